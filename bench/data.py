"""Where tests and benchmarks find real data: FCFAST_DATA, or ../shared/data beside the repository. None of it is in here."""

import os
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("FCFAST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def load(name: str) -> dict[str, np.ndarray]:
    """Give the arrays of a data set, such as "colon_alon"; FileNotFoundError where it is absent."""
    path = DATA / f"{name}.npz"
    if not path.exists():
        raise FileNotFoundError(f"real data {path} is absent; set FCFAST_DATA to the folder that has it")
    with np.load(path) as arrays:
        return dict(arrays)
