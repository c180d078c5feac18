"""The law: a call gives finite numbers, or one of the documented errors, raised on purpose; no other warning, no other end."""

import linecache
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError

import fcfast
from fcfast.errors import DivergenceError, ModelFileError

# The types themselves: an UnicodeDecodeError or a LinAlgError is a ValueError too, but nobody meant it.
MEANT = (ValueError, TypeError, MemoryError, DivergenceError, ModelFileError, NotFittedError, ImportError, ModuleNotFoundError)
# Warnings that the documentation speaks of.
TOLD = (ConvergenceWarning, DataConversionWarning)
NAMES_TOLD = re.compile("fitted with(out)? feature names|sparse columns found")  # scikit-learn's, of every estimator
PACKAGE = str(Path(fcfast.__file__).parent)
# Conversions by NumPy and others of what the caller gave: their own errors say what is wrong with it.
CONVERTERS = ("numpy", "pandas", "scipy", "sklearn", "narwhals", "pyarrow", "joblib", "typer", "click")
# They have subclasses of ValueError and TypeError of their own.
OWN_ERRORS = ("sklearn", "narwhals", "pandas")

REFUSED = object()
MORE_MEMORY = 4 << 30  # bytes of addresses beside those that a process has


class BrokenLaw(AssertionError):
    """A call that ended as none may."""


@contextmanager
def limited_memory() -> Iterator[None]:
    """Have the system refuse absurd allocations at once, where it can tell how much memory there is already (Linux).

    A sanitizer takes terabytes of addresses for itself.
    """
    try:
        import resource

        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        held = sys.maxsize
    if held > 2**40:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + MORE_MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def obey(
    call: Callable[[], Any], names: Collection[str] = (), also: tuple[type[BaseException], ...] = (), files: bool = False
) -> Any:
    """Make a call that must obey the law; give what it returns, or `REFUSED` where it was refused with a documented error.

    Parameters
    ----------
    call : callable
    names : collection of str
        Names of which the message of an error raised in the package must have one; none for any message.
    also : tuple of exception types
        Documented for this call beside the usual ones.
    files : bool
        Whether the call opens files, so that an OSError may be raised too.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except Exception as error:
            _judge(error, names, also, files)
            result = REFUSED
    for warning in caught:
        if not issubclass(warning.category, TOLD) and not NAMES_TOLD.search(str(warning.message)):
            raise BrokenLaw(
                f"stray warning: {warning.category.__name__}: {warning.message} ({warning.filename}:{warning.lineno})"
            )
    if result is not REFUSED:
        _finite(result)
    return result


def _judge(error: Exception, names: Collection[str], also: tuple[type[BaseException], ...], files: bool) -> None:
    last = traceback.extract_tb(error.__traceback__)[-1]
    meant = (
        type(error) in MEANT
        or isinstance(error, (MemoryError, *also))
        or (files and isinstance(error, OSError))
        or (isinstance(error, (ValueError, TypeError)) and _is_of(last.filename, OWN_ERRORS))
    )
    text = str(error)
    if not meant:
        raise BrokenLaw(f"{type(error).__name__} is not documented: {text}") from error
    if isinstance(error, (MemoryError, OSError)):
        return
    if not text:
        raise BrokenLaw(f"{type(error).__name__} without a message") from error
    if last.filename.startswith(PACKAGE):
        if not _is_raise(last.filename, last.lineno or 0):
            raise BrokenLaw(f"{type(error).__name__} that nobody raised: {text} ({last.filename}:{last.lineno})") from error
        if names and not set(re.findall(r"\w+", text)) & set(names):
            raise BrokenLaw(f"message without the name of an argument: {text}") from error
    elif not _is_of(last.filename, CONVERTERS):
        raise BrokenLaw(f"{type(error).__name__} from {last.filename}:{last.lineno}: {text}") from error


def _is_of(filename: str, libraries: Collection[str]) -> bool:
    return any(f"/{name}/" in "/" + filename.replace("\\", "/") for name in libraries)


def _is_raise(filename: str, line: int) -> bool:
    """Whether a statement that raises stands there: an error out of any other line was an accident."""
    return linecache.getline(filename, line).strip().startswith("raise")


def _finite(result: Any) -> None:
    """Look for NaN and infinity in whatever holds numbers."""
    if isinstance(result, (list, tuple)):
        for item in result:
            _finite(item)
    elif isinstance(result, dict):
        _finite(list(result.values()))
    elif sparse.issparse(result):
        _finite(result.data)
    elif isinstance(result, (np.ndarray, np.generic, float)):
        array = np.asarray(result)
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise BrokenLaw(f"silent NaN or infinity: {array!r}")
