"""Some features of a source, in any order: the same bits as the columns of the array."""

import numpy as np
import pytest
from scipy import sparse
from source_checks import check_copies, check_reads, numbers

from fcfast.sources import ArraySource, SelectedFeatures, Source, SparseSource, protocol

D = 90


class Counted(ArraySource):
    """An array that notes how many columns are read of it."""

    def read(self, features, rows=None):
        """Note and read."""
        self.reads = [*getattr(self, "reads", []), features.stop - features.start]
        return super().read(features, rows)


def orders():
    """Give choices of columns: neighbours, some far apart, all in another order, some more than once, negative ones."""
    rng = np.random.default_rng(0)
    return [
        np.arange(20, 60),
        np.array([3, 80, 5, 4, 41]),
        rng.permutation(D),
        np.array([7, 7, 1, 7, 0, 2]),
        np.array([-1, 0, -D, 5]),
        np.arange(D)[::-1],
    ]


@pytest.mark.parametrize("features", orders(), ids=["run", "apart", "shuffled", "repeated", "negative", "reversed"])
@pytest.mark.parametrize("read_bytes", [64 << 20, 200])
@pytest.mark.parametrize("dtype", ["float64", "int8"])
def test_reads_the_same(features, read_bytes, dtype, monkeypatch):
    """Dense and sparse, in any blocks and rows, however little is read at a time."""
    monkeypatch.setattr(protocol, "READ_BYTES", read_bytes)
    array = numbers((13, D), dtype)
    check_reads(SelectedFeatures(ArraySource(array), features), array[:, features])
    check_copies(SelectedFeatures(ArraySource(array), features), array[:, features])
    entries = np.where(np.random.default_rng(1).random(array.shape) < 0.3, array, 0)
    check_reads(SelectedFeatures(SparseSource(sparse.csr_array(entries)), features), entries[:, features])


def test_neighbours_are_read_together(monkeypatch):
    """Near each other in one read; far apart, or larger than a block, in several; each column once."""
    base = Counted(numbers((10, D), "float64"))
    SelectedFeatures(base, [5, 3, 9, 80]).read(slice(0, 4))
    assert base.reads == [7, 1]
    base.reads = []
    monkeypatch.setattr(protocol, "READ_BYTES", 10 * 8 * 30)
    SelectedFeatures(base, np.arange(D)[::-1]).read(slice(0, D))
    assert base.reads == [30, 30, 30]


def test_blocks_of_other_types():
    """Missing calls turn some blocks of integers into floats; they are put together as floats."""

    class Calls(ArraySource):
        def read(self, features, rows=None):
            block = super().read(features, rows)
            return np.where(block < 0, np.nan, block).astype(np.float32) if (block < 0).any() else block

    array = np.zeros((3, D), np.int8)
    array[:, 0], array[1, 50] = (0, 1, 2), -1
    block = SelectedFeatures(Calls(array), [50, 0]).read(slice(0, 2))
    assert block.dtype == np.float32
    np.testing.assert_array_equal(block, [[0, 0], [np.nan, 1], [0, 2]])


def test_names_and_fingerprint():
    """Names belong to the features; another choice is another content."""
    base = ArraySource(np.ones((2, 4)))
    assert SelectedFeatures(base, [1]).feature_names is None
    base.feature_names, base.sample_names = list("abcd"), ["s", "t"]
    selected = SelectedFeatures(base, [3, 0])
    assert (selected.feature_names, selected.sample_names) == (["d", "a"], ["s", "t"])
    assert selected[[1]].sample_names == ["t"]
    assert selected.fingerprint() == SelectedFeatures(base, [3, 0]).fingerprint()
    assert selected.fingerprint() != SelectedFeatures(base, [0, 3]).fingerprint()
    assert isinstance(selected, Source)
    with pytest.raises(IndexError):
        SelectedFeatures(base, [4])
