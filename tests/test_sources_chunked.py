"""HDF5 datasets and zarr arrays, whose values may lie in compressed chunks."""

import os
import pickle
import shutil
import tempfile

import numpy as np
import pytest
from source_checks import check_changes, check_copies, check_reads, numbers

from fcfast.sources import Hdf5Source, ZarrSource, as_source, open_source, protocol
from fcfast.sources.chunks import Bands, ChunkedColumns

SHAPE = 11, 23
CHUNKS = [(11, 4), (4, 5), (1, 23), (11, 1), (11, 23)]


@pytest.fixture(params=["hdf5", "zarr"])
def write(request, tmp_path):
    """``write(array, chunks)``: write an array with the format's own library; gives the open array, and its path."""
    if request.param == "hdf5":
        h5py = pytest.importorskip("h5py")

        def with_h5py(array, chunks, **options):
            with h5py.File(tmp_path / "x.h5", "w") as file:
                file.create_dataset("group/x", data=array, chunks=chunks, **options)
            return h5py.File(tmp_path / "x.h5", "r")["group/x"], tmp_path / "x.h5"

        return with_h5py
    zarr = pytest.importorskip("zarr")

    def with_zarr(array, chunks):
        held = zarr.open(str(tmp_path / "x.zarr"), mode="w", shape=array.shape, chunks=chunks, dtype=array.dtype)
        held[...] = array
        return held, tmp_path / "x.zarr"

    return with_zarr


@pytest.mark.parametrize(
    ("dtype", "chunks"),
    [*(("float64", chunks) for chunks in CHUNKS), *((dtype, (4, 5)) for dtype in ("bool", "int8", "uint16", "float16"))],
)
def test_reads_the_same(write, dtype, chunks):
    """Any dtype in any chunks, from the open array and from the path."""
    array = numbers(SHAPE, dtype)
    held, path = write(array, chunks)
    source = as_source(held)
    check_reads(source, array)
    check_copies(source, array)
    opened = open_source(path)
    check_reads(opened, array, seed=1)
    assert opened.fingerprint() == source.fingerprint()


def test_small_reads(write, monkeypatch):
    """Selected rows need memory for a few columns of all samples only, whatever the chunks are."""
    array = numbers(SHAPE, "float32")
    held, _ = write(array, (11, 4))
    monkeypatch.setattr(protocol, "READ_BYTES", 11 * 4 * 5)
    check_reads(as_source(held), array)


@pytest.mark.parametrize("width", [1, 3, 4, 5, 9, 30])
def test_chunks_are_decoded_once(width):
    """A pass in blocks of any width reads each column once, and chunks of 4 columns never in parts."""
    array, ranges = numbers(SHAPE, "int8"), []

    def part(rows, columns):
        ranges.append((columns.start, columns.stop))
        return array[rows, columns]

    by_columns = ChunkedColumns(SHAPE, array.dtype, 4, part)
    for start in range(0, SHAPE[1], width):
        stop = min(start + width, SHAPE[1])
        np.testing.assert_array_equal(by_columns.read(start, stop), array[:, start:stop])
    assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges[:-1])]
    assert ranges[-1][1] == SHAPE[1]
    assert all(start % 4 == 0 and (stop % 4 == 0 or stop == SHAPE[1]) for start, stop in ranges)


@pytest.mark.parametrize("chunks", [(1, 23), (4, 23), (4, 9), (11, 10), (3, 5)])
@pytest.mark.parametrize("read_bytes", [1, 300, 700, 5000])
def test_chunks_of_rows_are_decoded_once(chunks, read_bytes, monkeypatch):
    """Each chunk is read once and as a whole; bands of any width have the array's numbers."""
    monkeypatch.setattr(protocol, "READ_BYTES", read_bytes)
    array, reads = numbers(SHAPE, "uint16"), np.zeros(SHAPE, int)

    def part(rows, columns):
        assert rows.start % chunks[0] == columns.start % chunks[1] == 0
        assert rows.stop % chunks[0] == 0 or rows.stop == SHAPE[0]
        assert columns.stop % chunks[1] == 0 or columns.stop == SHAPE[1]
        reads[rows, columns] += 1
        return array[rows, columns]

    bands = Bands(SHAPE, array.dtype, chunks, part)
    assert np.all(reads == 1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        start, stop = sorted(rng.integers(0, SHAPE[1] + 1, 2))
        np.testing.assert_array_equal(bands.read(start, stop), array[:, start:stop])


def test_rows_on_disk(write, monkeypatch, tmp_path):
    """Chunks of whole rows are sorted by columns into a temporary file, which is gone with the source."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(protocol, "READ_BYTES", 300)
    array = numbers(SHAPE, "float32")
    held, path = write(array, (3, 23))
    source = as_source(held)
    check_reads(source, array)
    check_copies(source, array)
    assert isinstance(source._by_columns, Bands)
    file = source._by_columns.temporary.file
    assert not file.closed
    del source
    assert file.closed
    assert list(folder.iterdir()) == []
    check_changes(as_source(held), path if path.is_file() else next(file for file in path.rglob("*") if file.is_file()))


def test_changes(write):
    """A file that changes is noticed by its sources and by their copies."""
    held, path = write(numbers(SHAPE, "float32"), (11, 4))
    source = as_source(held)
    check_changes(source, path if path.is_file() else next(file for file in path.rglob("*") if file.is_file()))


def test_what_is_no_matrix(write):
    """Other dimensions and complex numbers are refused with the path."""
    for array, chunks, error in ((np.ones(5), (2,), ValueError), (np.ones((2, 3), complex), (1, 1), TypeError)):
        held, path = write(array, chunks)
        with pytest.raises(error, match=f"{path.name}.* must "):
            as_source(held)
        del held


# ----------------------------------------------------------------------------------------------------------------------
# HDF5


def test_hdf5_contiguous(tmp_path):
    """A dataset without chunks, and one in Fortran's order of bytes on another machine."""
    h5py = pytest.importorskip("h5py")
    array = numbers(SHAPE, ">f4")
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["x"] = array
    check_reads(Hdf5Source(tmp_path / "x.hdf5", "x"), array)


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"compression": "lzf", "shuffle": True}])
def test_hdf5_compressed(tmp_path, options):
    """Compressed chunks."""
    h5py = pytest.importorskip("h5py")
    array = numbers(SHAPE, "uint16")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=array, chunks=(5, 4), **options)
    check_reads(open_source(tmp_path / "x.h5"), array)


def test_hdf5_names(tmp_path, monkeypatch):
    """The only matrix is found; otherwise the message lists them. A relative path is found from another folder."""
    h5py = pytest.importorskip("h5py")
    monkeypatch.chdir(tmp_path)
    with h5py.File("x.h5", "w") as file:
        file["a/x"], file["y"], file["names"] = np.ones((3, 2)), np.ones(3), ["p", "q"]
    source = open_source("x.h5")
    assert source.handle.name == "a/x"
    kept = pickle.dumps(source)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert pickle.loads(kept).read(slice(0, 2)).shape == (3, 2)
    with h5py.File(tmp_path / "z.h5", "w") as file:
        file["a"], file["b"] = np.ones((3, 2)), np.ones((3, 4))
    with pytest.raises(ValueError, match=r"\(--dataset\). It has: 'a' of shape \(3, 2\), 'b' of shape \(3, 4\)"):
        open_source(tmp_path / "z.h5")
    assert open_source(tmp_path / "z.h5", dataset="b").shape == (3, 4)
    with pytest.raises(KeyError, match="has no 'c'; it has 'a', 'b'"):
        open_source(tmp_path / "z.h5", dataset="c")
    with pytest.raises(ValueError, match="is a group; it has 'x'"):
        Hdf5Source(tmp_path / "x.h5", "a")
    with pytest.raises(ValueError, match="give the name of the dataset"):
        Hdf5Source(tmp_path / "x.h5")


def test_hdf5_closed(tmp_path):
    """A source outlives the file object; a dataset that is closed already, or in memory, cannot become one."""
    h5py = pytest.importorskip("h5py")
    array = numbers(SHAPE, "float32")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = array
    with h5py.File(tmp_path / "x.h5", "r") as file:
        dataset = file["x"]
        source = as_source(dataset)
    check_reads(source, array)
    with pytest.raises(ValueError, match="is closed; open it again"):
        as_source(dataset)
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as file:
        file["x"] = array
        with pytest.raises(ValueError, match=r"in no file on disk .* X\[:\]"):
            as_source(file["x"])


def test_hdf5_truncated(tmp_path):
    """A file that was cut off is refused when it is opened, and noticed when it happens later."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=numbers((50, 400), "float64"), chunks=(50, 10))
    source = open_source(path)
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(RuntimeError, match=r"x\.h5 was changed while it was in use: \d+ bytes .* when it was opened"):
        source.read(slice(0, 400))
    with pytest.raises(RuntimeError, match="was changed"):
        source.read(slice(390, 395), np.array([1]))
    del source
    with pytest.raises(OSError, match=r"x\.h5 cannot be opened as an HDF5 file: .*truncated"):
        open_source(path)
    path.write_text("no HDF5")
    with pytest.raises(OSError, match="cannot be opened as an HDF5 file"):
        open_source(path)


def test_hdf5_gone(tmp_path):
    """A file that is removed is named."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.ones((3, 4))
    kept = pickle.dumps(open_source(tmp_path / "x.h5"))
    (tmp_path / "x.h5").unlink()
    with pytest.raises(RuntimeError, match=r"x\.h5 can no longer be read"):
        pickle.loads(kept).read(slice(0, 4))


# ----------------------------------------------------------------------------------------------------------------------
# zarr


def test_zarr_groups(tmp_path):
    """An array within a group is found like one in HDF5."""
    zarr = pytest.importorskip("zarr")
    array = numbers(SHAPE, "int8")
    group = zarr.open_group(str(tmp_path / "x.zarr"), mode="w")
    for name in ("a/x", "b"):
        held = zarr.open(str(tmp_path / "x.zarr"), mode="a", path=name, shape=SHAPE, chunks=(11, 4), dtype="int8")
        held[...] = array
        if name == "a/x":
            check_reads(open_source(tmp_path / "x.zarr"), array)
            check_copies(as_source(group["a"]["x"]), array)
    with pytest.raises(ValueError, match=r"with dataset= \(--dataset\). It has: 'a/x' of shape \(11, 23\)"):
        open_source(tmp_path / "x.zarr")
    check_reads(open_source(tmp_path / "x.zarr", dataset="b"), array)
    with pytest.raises(KeyError, match="has no 'c'; it has 'a', 'b'"):
        open_source(tmp_path / "x.zarr", dataset="c")
    with pytest.raises(ValueError, match="is a zarr group, not an array; choose one of 'a', 'b'"):
        ZarrSource(tmp_path / "x.zarr")
    with pytest.raises(ValueError, match="is an array itself"):
        open_source(_moved(tmp_path), dataset="c")


def _moved(folder):
    shutil.copytree(folder / "x.zarr" / "b", folder / "b.zarr")
    return folder / "b.zarr"


def test_zarr_in_memory():
    """An array in memory is pickled by zarr, and its content is its fingerprint."""
    zarr = pytest.importorskip("zarr")
    array = numbers(SHAPE, "float32")
    held = zarr.array(array, chunks=(4, 5))
    source = as_source(held)
    check_reads(source, array)
    check_copies(source, array)
    before = source.fingerprint()
    held[0, 0] = 7
    assert source.fingerprint() != before


def test_zarr_chunk_removed(tmp_path):
    """Zarr reads a chunk that is gone as zeros; the source does not."""
    zarr = pytest.importorskip("zarr")
    held = zarr.open(str(tmp_path / "x.zarr"), mode="w", shape=SHAPE, chunks=(11, 4), dtype="int8")
    held[...] = 1
    source = as_source(held)
    chunk = max((file for file in (tmp_path / "x.zarr").rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    content = chunk.read_bytes()
    chunk.unlink()
    with pytest.raises(RuntimeError, match="was changed while it was in use"):
        source.read(slice(0, SHAPE[1]))
    chunk.write_bytes(content)
    shutil.rmtree(tmp_path / "x.zarr")
    with pytest.raises(RuntimeError, match="can no longer be read"):
        source.read(slice(0, 2))


def test_no_zarr(tmp_path):
    """A folder of something else is named."""
    pytest.importorskip("zarr")
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(FileNotFoundError, match=r"x\.zarr is no zarr array or group"):
        open_source(tmp_path / "x.zarr")
