"""AnnData objects and the files that AnnData writes."""

import errno
import gc
import os
import pickle
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from source_checks import check_changes, check_copies, check_reads, numbers

from fcfast.sources import AnnDataSource, as_source, open_source, protocol
from fcfast.sources.anndata import source_of_element
from fcfast.sources.buckets import Buckets
from fcfast.sources.compressed import RowsSource

anndata = pytest.importorskip("anndata", reason="AnnData needs fcfast[anndata]")
h5py = pytest.importorskip("h5py")
pd = pytest.importorskip("pandas")

SHAPE = 13, 27


def cells(matrix, **layers):
    """Annotate a matrix."""
    n_samples, n_features = (matrix if matrix is not None else next(iter(layers.values()))).shape
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical((["T", "B", "NK"] * n_samples)[:n_samples]),
            "age": np.arange(n_samples) / 2,
            "donor": [f"d{i % 2}" for i in range(n_samples)],
            "stage": pd.Categorical(([3, 1] * n_samples)[:n_samples]),
            "gaps": pd.Categorical(["a", None] + ["b"] * (n_samples - 2)),
        },
        index=[f"cell{i}" for i in range(n_samples)],
    )
    held = anndata.AnnData(matrix, obs, pd.DataFrame(index=[f"gene{j}" for j in range(n_features)]))
    for name, layer in layers.items():
        held.layers[name] = layer
    return held


def sparse_numbers(dtype="float32", density=0.3, shape=SHAPE, seed=0):
    """Make a sparse matrix, some of whose rows and columns are empty."""
    rng = np.random.default_rng(seed)
    array = np.where(rng.random(shape) < density, rng.integers(1, 100, shape), 0).astype(dtype)
    array[3], array[:, 5] = 0, 0
    return array


def three(array):
    """Give the forms that AnnData holds."""
    return {"dense": array, "csr": sparse.csr_matrix(array), "csc": sparse.csc_matrix(array)}


@pytest.fixture(params=["h5ad", "zarr"])
def written(request, tmp_path):
    """``written(data)``: write AnnData to a file, or to a folder; gives the path."""

    def write(data):
        path = tmp_path / f"x.{request.param}"
        if request.param == "h5ad":
            data.write_h5ad(path)
        else:
            pytest.importorskip("zarr")
            with warnings.catch_warnings():  # anndata 0.12 announces a new default, and anndata 0.11 uses old names of zarr's
                warnings.simplefilter("ignore")
                data.write_zarr(path)
        return path

    return write


@pytest.mark.parametrize("form", ["dense", "csr", "csc"])
@pytest.mark.parametrize("dtype", ["int8", "uint16", "float64"])
def test_in_memory(form, dtype):
    """X and layers of an object in memory, and of a view of it."""
    array = sparse_numbers(dtype)
    data = cells(three(array)[form], other=three(array[:, ::-1])[form])
    source = as_source(data)
    check_reads(source, array)
    check_copies(source, array)
    check_reads(AnnDataSource(data, "other"), np.ascontiguousarray(array[:, ::-1]))
    check_reads(as_source(data[2:12, 5:]), np.ascontiguousarray(array[2:12, 5:]))


@pytest.mark.parametrize(
    ("form", "dtype"),
    [*(("dense", dtype) for dtype in ("bool", "int8", "float32", "float64")), ("csr", "int8"), ("csr", "float64"),
     ("csc", "bool"), ("csc", "float32")],
)  # fmt: skip
def test_files(written, form, dtype):
    """X and layers from files and folders."""
    array, other = sparse_numbers(dtype), sparse_numbers(dtype, seed=1)
    path = written(cells(three(array)[form], other=three(other)[form]))
    source = open_source(path)
    check_reads(source, array)
    check_copies(source, array)
    check_reads(open_source(path, layer="other"), other)
    assert source.feature_names == [f"gene{j}" for j in range(SHAPE[1])]
    assert source[[2, 0]].sample_names == ["cell2", "cell0"]


@pytest.mark.parametrize("form", ["dense", "csr", "csc"])
def test_backed(tmp_path, form):
    """A backed object is read from its file, and so is its X alone."""
    array = sparse_numbers()
    cells(three(array)[form], other=array).write_h5ad(tmp_path / "x.h5ad")
    data = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
    source = as_source(data)
    assert source.path == str(tmp_path / "x.h5ad") if hasattr(source, "path") else source.base.path.endswith("x.h5ad")
    check_reads(source, array)
    check_copies(source, array)
    check_reads(as_source(data.X), array)
    check_reads(AnnDataSource(data, "other"), array)
    with pytest.raises(ValueError, match="view of a backed AnnData object"):
        as_source(data[:5])
    data.file.close()
    check_reads(source, array)
    check_reads(as_source(data), array)
    data.file.close()


def test_changes(written):
    """A file that changes is noticed."""
    for form in ("dense", "csr", "csc"):
        path = written(cells(three(sparse_numbers())[form]))
        file = path if path.is_file() else next(file for file in (path / "X").rglob("*") if file.is_file())
        check_changes(open_source(path), file)
        del file
        if path.is_dir():
            return  # AnnData does not write into a folder that is full


def test_truncated(tmp_path):
    """A file that is cut off is refused, or noticed later."""
    path = tmp_path / "x.h5ad"
    cells(sparse.csr_matrix(sparse_numbers())).write_h5ad(path)
    source = open_source(path)
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(RuntimeError, match="was changed while it was in use"):
        source.read(slice(0, 3))
    del source
    gc.collect()  # HDF5 would take a file for good that is open already, and AnnData may be in a circle of references
    with pytest.raises(OSError, match="cannot be opened as an HDF5 file"):
        open_source(path)


def test_what_is_missing(written):
    """Layers are listed, and a file that is not AnnData's is refused."""
    array = sparse_numbers()
    data = cells(None, counts=array, scaled=sparse.csr_matrix(array))
    path = written(data)
    with pytest.raises(ValueError, match="has no X; choose a layer: 'counts', 'scaled'"):
        open_source(path)
    with pytest.raises(ValueError, match="has no X; choose a layer: 'counts', 'scaled'"):
        as_source(data)
    check_reads(open_source(path, layer="scaled"), array)
    for refused in (path, data):
        with pytest.raises(KeyError, match="no layer 'raw'; it has 'counts', 'scaled'"):
            AnnDataSource(refused, "raw")


def test_foreign_files(tmp_path):
    """An HDF5 file of something else."""
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file["x"] = np.ones((2, 2))
    with pytest.raises(ValueError, match="was not written by AnnData: it has no obs and var"):
        open_source(tmp_path / "x.h5ad")


def test_targets(written):
    """Categories and text become labels, numbers stay numbers, and gaps are refused."""
    source = open_source(written(cells(sparse_numbers())))
    assert source.target("kind").tolist()[:4] == ["T", "B", "NK", "T"]
    assert source.target("donor").tolist()[:3] == ["d0", "d1", "d0"]
    assert source.target("stage").dtype.kind == "i"
    assert source.target("stage").tolist()[:3] == [3, 1, 3]
    assert source.target("age").dtype == np.float64
    with pytest.raises(KeyError, match="no column 'sex'; it has 'kind', 'age'"):
        source.target("sex")
    with pytest.raises(ValueError, match="no value for 1 of 13 samples, 'cell1' is the first"):
        source.target("gaps")


# ----------------------------------------------------------------------------------------------------------------------
# rows on disk


@pytest.fixture
def small(monkeypatch):
    """Blocks that hold a few entries only, so that there are several buckets and several reads of the file."""
    monkeypatch.setattr(protocol, "READ_BYTES", 8 * 24 * 10)  # 10 entries of float64 in a bucket


@pytest.mark.parametrize("density", [0, 0.1, 0.6, 1])
@pytest.mark.parametrize("dtype", ["int8", "float64"])
def test_buckets(tmp_path, small, density, dtype):
    """Rows that are sorted into buckets of columns read like the array."""
    array = sparse_numbers(dtype, density, (31, 53))
    cells(sparse.csr_matrix(array)).write_h5ad(tmp_path / "x.h5ad")
    source = open_source(tmp_path / "x.h5ad")
    check_reads(source, array)
    check_copies(source, array)
    if density >= 0.6:
        buckets = source.base._by_columns.__self__
        assert isinstance(buckets, Buckets)
        assert len(buckets.borders) > 10
    check_changes(source, tmp_path / "x.h5ad")


@pytest.mark.parametrize("seed", range(5))
def test_buckets_of_any_columns(small, seed):
    """Columns of very different lengths, and rows whose entries are not sorted."""
    rng = np.random.default_rng(seed)
    shape = 20, 40
    places = np.unique(rng.integers(0, shape[0], 600) * shape[1] + np.minimum(rng.geometric(0.2, 600) - 1, shape[1] - 1))
    n_entries = len(places)
    order = np.lexsort((rng.random(n_entries), places // shape[1]))
    rows, columns = places[order] // shape[1], places[order] % shape[1]
    values = rng.standard_normal(n_entries).astype("float32")
    buckets = Buckets(shape, values.dtype, np.bincount(columns, minlength=shape[1]))
    for start in range(0, n_entries, 70):
        part = slice(start, start + 70)
        buckets.add(rows[part], columns[part], values[part])
    indptr = np.searchsorted(rows, np.arange(shape[0] + 1))
    expected = sparse.csr_array((values, columns, indptr), shape=shape).tocsc()
    for _ in range(20):
        start, stop = sorted(rng.integers(0, shape[1] + 1, 2))
        block, wanted = buckets.read(start, stop), expected[:, start:stop]
        assert block.data.tobytes() == wanted.data.tobytes()
        np.testing.assert_array_equal(block.indices, wanted.indices)
        np.testing.assert_array_equal(block.indptr, wanted.indptr)


def test_temporary_file_is_removed(tmp_path, small, monkeypatch):
    """The sorted copy lies in the folder of temporary files, and is gone with the source; it is not pickled."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    array = sparse_numbers("float64", 0.6, (31, 53))
    cells(sparse.csr_matrix(array)).write_h5ad(tmp_path / "x.h5ad")
    source = open_source(tmp_path / "x.h5ad")
    source.read(slice(0, 3))
    file = source.base._by_columns.__self__.temporary.file
    assert not file.closed
    assert len(pickle.dumps(source.base)) < 4000
    del source
    assert file.closed
    assert list(folder.iterdir()) == []


def test_no_space(tmp_path, small, monkeypatch):
    """Too little space is known before anything is written, and a disk that fills up later is named, too."""
    array = sparse_numbers("float64", 0.6, (31, 53))
    cells(sparse.csr_matrix(array)).write_h5ad(tmp_path / "x.h5ad")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(OSError, match=r"cannot be sorted .* bytes are needed, 10 are free. Set TMPDIR"):
        open_source(tmp_path / "x.h5ad").read(slice(0, 3))
    monkeypatch.undo()
    monkeypatch.setattr(protocol, "READ_BYTES", 8 * 24 * 10)
    source = open_source(tmp_path / "x.h5ad")

    class Full:
        closed = False

        def seek(self, place):
            pass

        def write(self, content):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            self.closed = True

    full = Full()
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: full)
    with pytest.raises(OSError, match=r"cannot be sorted by columns in .*No space left on device. Set TMPDIR"):
        source.read(slice(0, 3))
    assert full.closed
    monkeypatch.undo()
    np.testing.assert_array_equal(source.read(slice(0, 3)).toarray(), array[:, :3])  # nothing half-written is used


def test_temporary_file_is_cut_off(tmp_path, small):
    """Whoever empties the folder of temporary files is noticed."""
    array = sparse_numbers("float64", 0.6, (31, 53))
    cells(sparse.csr_matrix(array)).write_h5ad(tmp_path / "x.h5ad")
    source = open_source(tmp_path / "x.h5ad")
    source.read(slice(0, 3))
    source.base._by_columns.__self__.temporary.file.truncate(0)
    with pytest.raises(OSError, match=r"temporary file in .* lacks \d+ bytes"):
        source.read(slice(40, 53))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("indptr", [0, 2, 1, 3], "does not rise"),
        ("indptr", [0, 1, 3], "does not rise"),
        ("indptr", [0, 1, 2, 4], "counts 4 entries, but there are 3 values and 3 indices"),
        ("data", [1.0, 2.0], "counts 3 entries, but there are 2 values"),
        ("indices", [0, 7, 1], "has an index that is not within 0 and"),
        ("indices", [0, -1, 1], "has an index that is not within 0 and"),
    ],
)
@pytest.mark.parametrize("encoding", ["csr_matrix", "csc_matrix"])
def test_damaged_sparse_files(tmp_path, name, values, message, encoding):
    """A sparse matrix whose parts do not fit each other is refused, whichever way it is stored."""
    parts = {"indptr": [0, 1, 2, 3], "indices": [0, 2, 1], "data": [1.0, 2.0, 3.0]} | {name: values}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("X")
        group.attrs["shape"], group.attrs["encoding-type"] = (3, 3), encoding
        for part, content in parts.items():
            group[part] = np.array(content)
    with h5py.File(tmp_path / "x.h5", "r") as file, pytest.raises(ValueError, match=message):
        source_of_element(file["X"]).read(slice(0, 3))


def test_other_groups(tmp_path):
    """A group that is no matrix."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("X")
    with (
        h5py.File(tmp_path / "x.h5", "r") as file,
        pytest.raises(ValueError, match="no sparse matrix there: its encoding-type"),
    ):
        source_of_element(file["X"])


def test_small_rows_are_held(tmp_path):
    """A small matrix by rows needs no temporary file."""
    array = sparse_numbers()
    cells(sparse.csr_matrix(array)).write_h5ad(Path(tmp_path, "x.h5ad"))
    source = open_source(tmp_path / "x.h5ad")
    assert isinstance(source.base, RowsSource)
    source.read(slice(0, 3))
    assert not hasattr(source.base._by_columns, "__self__")


def test_other_matrices():
    """A matrix of another library is refused with its type."""
    data = SimpleNamespace(
        layers={"x": object()}, isbacked=False, is_view=False, obs=pd.DataFrame(index=["a"]), var_names=pd.Index(["b"])
    )
    with pytest.raises(TypeError, match="layer 'x' of the AnnData object is a object; it must be a NumPy array or"):
        AnnDataSource(data, "x")
    with pytest.raises(TypeError, match="real numbers"):
        as_source(cells(numbers(SHAPE, "float64").astype(complex)))
