"""The figures of this machine: measured once, in about a third of a second, then kept in a file."""

import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import scipy

from fcfast import backend
from fcfast._version import __version__
from fcfast.files import write_text
from fcfast.planning.figures import Machine
from fcfast.planning.measure import blas_threads, measure
from fcfast.threads import blas

__all__ = ["Machine", "machine"]

FORMAT = 2  # format of the file; with any other format the machine is measured again


def machine(remeasure: bool = False) -> Machine:
    """Give the figures of this machine, from memory or a file if they exist; otherwise they are measured and kept.

    The file is in the user's cache folder, or in the folder that the environment variable ``FCFAST_CACHE`` names. The machine
    is measured again if the versions of NumPy, SciPy or fcfast, the BLAS, the processor, the number of threads or the backend
    have changed. If no file can be written, every process measures.

    Parameters
    ----------
    remeasure : bool
        Whether to measure even if figures exist.

    Returns
    -------
    Machine
        Figures of this machine.

    Examples
    --------
    >>> import fcfast.planning.machine
    >>> fcfast.planning.machine.machine().n_threads >= 1
    True
    """
    folder = Path(os.environ.get("FCFAST_CACHE") or platformdirs.user_cache_dir("fcfast", appauthor=False))
    key = folder, blas_threads()
    if remeasure or key not in _known:
        facts = _facts()
        file = folder / f"machine-{sha256(json.dumps(facts).encode()).hexdigest()[:16]}.json"
        found = None if remeasure else _read(file)
        _known[key] = found or measure()
        if not found:
            _write(file, facts, _known[key])
    return _known[key]


_known: dict[tuple[Path, int], Machine] = {}  # by folder and threads: a process reads the file once


def _facts() -> dict[str, Any]:
    """Facts that the figures depend on."""
    return {
        "format": FORMAT,
        "fcfast": __version__,
        "backend": backend.NAME,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "blas": sorted(
            f"{pool.get('internal_api')} {pool.get('version')} {pool.get('architecture')}" for pool in blas().info()
        ),
        "processor": _processor(),
        "threads": blas_threads(),
    }


def _processor() -> str:
    """Name of the processor, which Linux tells elsewhere than other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"


def _read(file: Path) -> Machine | None:
    """Read figures; None where there are none, or not such as can be used."""
    try:
        found = Machine(**json.loads(file.read_text(encoding="utf-8"))["machine"])
        return found if found.is_sound() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def _write(file: Path, facts: dict[str, Any], figures: Machine) -> None:
    """Keep figures; they can be measured again where that fails."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps({"facts": facts, "machine": asdict(figures)}, indent=1))
