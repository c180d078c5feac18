"""The peak memory of a training, measured in a child process.

The memory is VmHWM of a child process, which holds the data and has trained before, minus its resident memory before the
training. ru_maxrss of getrusage would not do, because it starts at the size of the parent process.
"""

import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import joblib
from numpy.typing import NDArray
from sklearn.base import clone

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

Array = NDArray[Any]


def memory_is_measurable() -> bool:
    """Tell whether this system has /proc with a peak that can be reset (Linux)."""
    return STATUS.exists() and RESET.exists()


def training_memory(name: str, estimator: Any, X: Any, y: Array) -> int:
    """Return the bytes that fitting needs beside the data at its peak, measured in a child process.

    Parameters
    ----------
    name : str
        Name of the rule, for an error message.
    estimator : estimator
    X : ndarray or sparse matrix of shape (N, d)
    y : ndarray

    Raises
    ------
    RuntimeError
        If the child fails. The message has the name of the rule and the message of the child.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "training.joblib")
        joblib.dump((estimator, X, y), file)
        code = "import sys; from fcfast.comparison.memory import _measure_here; print(_measure_here(sys.argv[1]))"
        child = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False)
    if child.returncode != 0:
        raise RuntimeError(f"rule {name!r}: measuring the memory of a training failed:\n{child.stderr}")
    return int(child.stdout)


def _measure_here(file: str) -> int:
    estimator, X, y = joblib.load(file)
    warnings.simplefilter("ignore")  # the training itself has already shown them
    clone(estimator).fit(X[:2, :2], y[:2])  # libraries allocate memory at their first use
    RESET.write_text("5")  # reset the peak to the memory that is resident now
    before = _status_bytes("VmRSS")
    estimator.fit(X, y)
    return max(0, _status_bytes("VmHWM") - before)


def _status_bytes(field: str) -> int:
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith(field))
