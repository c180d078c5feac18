"""Versions and configuration of this installation."""

import platform
from typing import Any, Literal, overload

import numpy as np
import scipy

from fcfast import backend
from fcfast._version import __version__
from fcfast.threads import available_threads, blas


def config() -> dict[str, Any]:
    """Collect the version, backend, OpenMP, BLAS and threads of this installation."""
    pools = [
        f"{pool.get('internal_api')} {pool.get('version')} ({pool.get('num_threads')} threads, {pool.get('architecture')})"
        for pool in blas().info()
    ]
    return {
        "fcfast": __version__,
        "backend": backend.NAME,
        "openmp": backend.openmp.enabled(),
        "threads": available_threads(),
        "blas": sorted(set(pools)),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }


@overload
def show_config(mode: Literal["print"] = ...) -> None: ...
@overload
def show_config(mode: Literal["dict"]) -> dict[str, Any]: ...


def show_config(mode: Literal["print", "dict"] = "print") -> dict[str, Any] | None:
    """Print or return the version, backend, OpenMP, BLAS and threads of this installation.

    Parameters
    ----------
    mode : {"print", "dict"}
        "print" prints one line per entry, "dict" returns a dictionary.

    Returns
    -------
    dict or None
        None with ``mode="print"``.

    Raises
    ------
    ValueError
        If `mode` is neither "print" nor "dict".

    Examples
    --------
    >>> import fcfast
    >>> fcfast.show_config("dict")["fcfast"] == fcfast.__version__
    True
    """
    if mode == "dict":
        return config()
    if mode != "print":
        raise ValueError(f"mode={mode!r} is unknown; use 'print' or 'dict'")
    for key, value in config().items():
        print(f"{key:8} {', '.join(value) if isinstance(value, list) else value}")
    return None
