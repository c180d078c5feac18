"""The peak memory of a training, measured in a process of its own.

memory: VmHWM of a child process, which holds the data and has trained before, minus its resident memory before the training.
Not getrusage's ru_maxrss, which starts at the size of the process that made the child.
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
    """Whether this system has /proc with a peak that can be reset (Linux)."""
    return STATUS.exists() and RESET.exists()


def training_memory(name: str, estimator: Any, X: Any, y: Array) -> int:
    """Give the bytes that fitting adds to the data at its peak, measured in a child process.

    Parameters
    ----------
    name : str
        Of what is trained, for an error.
    estimator : estimator
    X : ndarray or sparse matrix of shape (N, d)
    y : ndarray

    Raises
    ------
    RuntimeError
        If the child fails; it has that name and the child's own message.
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
    warnings.simplefilter("ignore")  # whoever measures has seen them in the training itself
    clone(estimator).fit(X[:2, :2], y[:2])  # libraries hold memory from their first use on
    RESET.write_text("5")  # the peak starts again at what is resident now
    before = _status_bytes("VmRSS")
    estimator.fit(X, y)
    return max(0, _status_bytes("VmHWM") - before)


def _status_bytes(field: str) -> int:
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith(field))
