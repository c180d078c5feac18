"""Gaussian noise, and the words of Philox for single features (twin of ``_core/noise.pyx``)."""

import numpy as np
from numpy.typing import NDArray

from fcfast._pure.mathfn import Array

STEP, FIRST, SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _mixed(z: Array) -> Array:
    """Give SplitMix64's output function (Steele, Lea and Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    return z ^ (z >> np.uint64(31))


def normals(key: int, out: Array, n_threads: int) -> None:
    """Fill with independent numbers of the standard normal distribution, the same ones for the same key and length."""
    n_pairs = len(out) // 2
    bits = _mixed(np.uint64(key) + np.arange(1, n_pairs + 2, dtype=np.uint64) * STEP)
    # in single precision: the number nearest to 1 rounds to 1
    u = (((bits >> np.uint64(40)).astype(np.float32) + np.float32(0.5)) / np.float32(2**24)).astype(np.float64)
    angle = 2 * np.pi * ((bits & np.uint64(0xFFFFFF)).astype(np.float64) / 2**24 - 0.5)
    radius = np.sqrt(-2 * np.log(u))
    out[:n_pairs], out[n_pairs : 2 * n_pairs] = radius[:-1] * np.cos(angle[:-1]), radius[:-1] * np.sin(angle[:-1])
    if len(out) % 2:
        out[-1] = radius[-1] * np.cos(angle[-1])


def philox_rows(key: NDArray[np.uint64], features: NDArray[np.int64], out: NDArray[np.int16]) -> None:
    """For each feature f give the numbers f h to (f + 1) h - 1 of those that the words hold, four in each."""
    h = out.shape[1]
    for row, feature in zip(out, features.tolist(), strict=True):
        counter, first = divmod(feature * h, 16)
        words = np.random.Philox(key=key, counter=counter).random_raw(-(-(first + h) // 4))
        row[:] = words.astype("<u8", copy=False).view("<i2")[first : first + h]
