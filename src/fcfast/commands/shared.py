"""Helpers of all commands: consoles, one-line errors, progress, checks of output files, numbers for tables."""

import json
import math
import re
import shlex
import signal
import sys
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from fcfast.errors import INTERRUPTED, ChangedFileError
from fcfast.progress import Tell, progress_bar

messages = Console(stderr=True)
# A pipe has no width, and tables need more than the 80 columns that rich would assume.
screen = Console() if Console().is_terminal else Console(width=110)

# Errors of the library name its parameters, which options have the names of.
PARAMETER = re.compile(r"\b(form|scoring|output)=(?:'([^']*)'|(\w+))")
# A ModelFileError is a ValueError.
CORRECTABLE = ValueError, TypeError, OSError, ImportError, MemoryError, ChangedFileError


@contextmanager
def clear_errors() -> Iterator[None]:
    """Print errors that the user can correct as one line and exit; let programming errors keep their traceback."""
    try:
        yield
    except KeyboardInterrupt:  # before typer turns it into "Aborted!"
        messages.print(INTERRUPTED, markup=False)
        raise typer.Exit(130) from None
    except CORRECTABLE as error:
        tell_user(f"fcfast: {_with_options(str(error)) or 'out of memory'}")
        raise typer.Exit(2) from None


def _with_options(message: str) -> str:
    """Name options of the command line in the place of parameters."""
    plain = message.replace("missing='mean'", "--impute mean").replace("scoring=None", "no --scoring")
    return PARAMETER.sub(lambda found: f"--{found[1]} {shlex.quote(found[2] or found[3])}", plain)


def tell_user(message: str) -> None:
    """Print to stderr without markup, because file names may look like markup."""
    messages.print(message, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def ending_on_interrupt() -> Iterator[None]:
    """Let Ctrl-C end the command, although `fit` catches it (to keep a partly fitted network in a notebook)."""
    answer = signal.getsignal(signal.SIGINT)
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    if not callable(answer):  # ignored, as in a background job
        yield
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, answer)
    if came:
        raise KeyboardInterrupt


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect warnings as plain sentences for the report, each once, without Python's source lines.

    Names of features are none of them: commands compare these themselves, because some formats keep them with the samples and
    others beside them.
    """
    sentences: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
        yield sentences
    sentences += dict.fromkeys(str(warning.message) for warning in caught)


def progress_on_terminal(n_steps: int | None) -> AbstractContextManager[Tell]:
    """Show progress where messages go, if that is a terminal."""
    return progress_bar(n_steps, messages)


# ----------------------------------------------------------------------------------------------------------------------
# options


def choice(choices: Collection[str], help: str, **settings: Any) -> Any:
    """Make an option that takes one of the given words; None is that it was not given."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in choices:
            raise typer.BadParameter(f"{value!r} is unknown; use one of {', '.join(choices)}")
        return value

    return typer.Option(callback=check, metavar="WORD", help=f"{help} One of: {', '.join(choices)}.", **settings)


def limit_in_bytes(gib: float) -> int:
    """Read --memory-limit."""
    n_bytes = gib * 2**30
    if not (math.isfinite(n_bytes) and n_bytes > 0):
        raise ValueError(f"--memory-limit must be a finite number of GiB above 0, got {gib:g}")
    return int(n_bytes)


# ----------------------------------------------------------------------------------------------------------------------
# files


def check_folder(folder: Path, option: str) -> None:
    """Check before the computation that the folder, or a new one of that name, can be written."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{option} {folder}: there is a file of that name; choose another folder")
    _check_writable(folder if folder.exists() else folder.parent, f"{option} {folder}")


def check_file(path: Path | None, option: str, ending: str | None = None, inputs: Collection[Path | None] = ()) -> None:
    """Check before the computation that a file can be written and is not one of the inputs."""
    if path is None:
        return
    if ending and path.suffix.lower() != ending:
        raise ValueError(f"{option} {path}: the name must end in {ending}, the only format written")
    if path.is_dir():
        raise IsADirectoryError(f"{option} {path}: there is a folder of that name; choose another name")
    for read in inputs:
        if read is not None and path.exists() and read.exists() and path.samefile(read):
            raise ValueError(f"{option} {path}: this file is read from; choose another name")
    _check_writable(path.parent, f"{option} {path}")


def _check_writable(folder: Path, what: str) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"{what}: the folder {folder} does not exist; create it first")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(f"{what}: cannot write in {folder} ({error.strerror}); choose another folder") from error


def print_data(text: str) -> None:
    """Print data for programs in UTF-8, as in files, whatever the encoding of messages; a terminal gets what it can show."""
    stream = getattr(sys.stdout, "buffer", None)  # a notebook has none
    if stream is None or sys.stdout.isatty():
        sys.stdout.write(text)
    else:
        sys.stdout.flush()
        stream.write(text.encode())
    sys.stdout.flush()


def json_text(content: dict[str, Any]) -> str:
    """Convert to JSON without NaN, which some readers refuse."""
    return json.dumps(content, indent=1, allow_nan=False)


# ----------------------------------------------------------------------------------------------------------------------
# tables and words


def plain_table(title: str | None, *headings: str, n_text: int = 1) -> Table:
    """Make a table without lines, with `n_text` columns of text followed by columns of numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for j, heading in enumerate(headings):
        table.add_column(heading, justify="left" if j < n_text else "right", no_wrap=j >= n_text)
    return table


def listed(names: Sequence[str]) -> str:
    """List the first few names."""
    return ", ".join(map(repr, names[:5])) + (" ..." if len(names) > 5 else "")


def number(value: float | None) -> str:
    """Format a number briefly, most numbers with the same width."""
    if value is None:
        return "-"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.1e}"


def percent(value: float | None) -> str:
    """Format a share as a percentage with one decimal."""
    return "-" if value is None else f"{value:.1%}"
