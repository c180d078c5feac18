"""What is true of every source: it reads the same bits as the array that it holds, in any blocks and rows."""

import copy
import os
import pickle

import numpy as np
import pytest
from scipy import sparse


def dense(block):
    """Make a block dense."""
    return block.toarray() if sparse.issparse(block) else block


def check_reads(source, array, seed=0, n_blocks=12):
    """Compare passes in blocks of several widths, random blocks and random rows with the array, to the last bit."""
    rng = np.random.default_rng(seed)
    n_samples, n_features = array.shape
    assert source.shape == array.shape
    assert source.dtype == array.dtype
    assert len(source) == n_samples
    for width in (1, 3, 7, n_features):  # passes, with borders of blocks within chunks
        for start in range(0, n_features, width):
            same(source.read(slice(start, min(start + width, n_features))), array[:, start : start + width], source)
    for _ in range(n_blocks):
        start, stop = sorted(rng.integers(0, n_features + 1, 2))
        rows = rng.integers(0, n_samples, rng.integers(0, 2 * n_samples))  # in any order, some of them twice
        same(source.read(slice(start, stop)), array[:, start:stop], source)
        same(source.read(slice(start, stop), rows), array[rows, start:stop], source)
        same(source.read(slice(start, stop), slice(2, 5)), array[2:5, start:stop], source)
        same(source[rows][::-1].read(slice(start, stop)), array[rows[::-1], start:stop], source)
    assert source.dense(array.dtype).tobytes() == array.tobytes()
    if source.is_sparse:
        np.testing.assert_array_equal(source.count_entries(), (array != 0).sum(axis=0))
    with pytest.raises(IndexError):
        source.read(slice(0, 1), np.array([n_samples]))


def same(block, expected, source):
    """Compare a block."""
    assert sparse.issparse(block) == source.is_sparse
    assert not source.is_sparse or block.format == "csc"
    assert block.dtype == expected.dtype
    assert block.shape == expected.shape
    assert dense(block).tobytes() == np.ascontiguousarray(expected).tobytes()


def check_copies(source, array):
    """A source can be pickled and copied after it has been read, and the copies have the same fingerprint."""
    source.read(slice(0, 2))
    for copied in (pickle.loads(pickle.dumps(source)), copy.deepcopy(source)):
        assert copied.fingerprint() == source.fingerprint()
        same(copied.read(slice(0, array.shape[1])), array, source)


def check_changes(source, path):
    """A change of the file is an error from then on, in copies, too, and so is a file that is gone; it has to be local."""
    before = source.fingerprint()
    kept = pickle.dumps(source)
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    for changed in (source, pickle.loads(kept)):
        with pytest.raises(RuntimeError, match="was changed while it was in use"):
            changed.read(slice(0, source.shape[1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    source.read(slice(0, source.shape[1]))
    assert source.fingerprint() == before


def numbers(shape, dtype, seed=0):
    """Make random numbers of any dtype."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return rng.standard_normal(shape).astype(dtype)
