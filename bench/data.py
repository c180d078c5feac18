"""Location of real data for tests and benchmarks: FCFAST_DATA, or ../shared/data. The repository contains no data."""

import os
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("FCFAST_DATA") or Path(__file__).parents[2] / "shared" / "data")


def path_of(name: str) -> Path:
    """Where a data set is, if it is there."""
    return DATA / f"{name}.npz"


def load(name: str) -> dict[str, np.ndarray]:
    """Give the arrays of a data set, such as "colon_alon"; FileNotFoundError where it is absent."""
    path = path_of(name)
    if not path.exists():
        raise FileNotFoundError(f"real data {path} is absent; set FCFAST_DATA to the folder that has it")
    with np.load(path) as arrays:
        return dict(arrays)
