"""Sources in memory, what is recognised as a source, and files by their endings."""

import gzip

import numpy as np
import pytest
from scipy import io, sparse
from source_checks import check_copies, check_reads, numbers

from fcfast.sources import ArraySource, SparseSource, as_source, open_matrix_market, open_source, protocol

DTYPES = ["bool", "int8", "uint16", "float16", "float32", "float64"]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_and_memory_maps(tmp_path, dtype, order):
    """An array, a memory map and a part of either read as they are."""
    array = np.array(numbers((9, 20), dtype), order=order)
    source = as_source(array)
    assert isinstance(source, ArraySource)
    assert source.array is array
    check_reads(source, array)
    check_copies(source, array)
    np.save(tmp_path / "x.npy", array)
    check_reads(as_source(np.load(tmp_path / "x.npy", mmap_mode="r")), array)
    check_reads(as_source(array[1::2, 3:]), array[1::2, 3:])


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_sparse(form, kind):
    """Sparse matrices of any format give CSC blocks."""
    matrix = sparse.random(9, 20, 0.3, random_state=0)
    array = matrix.toarray()
    source = as_source(getattr(sparse, f"{form}_{kind}")(matrix))
    assert isinstance(source, SparseSource)
    check_reads(source, array)
    check_copies(source, array)


def test_a_source_is_a_source():
    """A source is given back, and what indexes its rows may be anything that indexes rows."""
    array = numbers((9, 20), "float32")
    source = as_source(array)
    assert as_source(source) is source
    mask = np.arange(9) % 2 == 0
    for key in (mask, [3, 1], slice(None, None, 2), (mask, slice(None)), (np.array([-1]), ...)):
        rows = key[0] if isinstance(key, tuple) else key
        np.testing.assert_array_equal(source[key].read(slice(0, 20)), array[rows])


def test_names_follow_rows():
    """Selected rows keep the names of features, and the names of their own."""
    source = as_source(np.ones((3, 2)))
    assert source[[1]].sample_names is None
    source.sample_names, source.feature_names = ["a", "b", "c"], ["x", "y"]
    assert source[[2, 0]][[0, 0, 1]].sample_names == ["c", "c", "a"]
    assert source[[2, 0]].feature_names == ["x", "y"]


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones(3), ValueError, r"two dimensions, samples by features, got shape \(3,\)"),
        (np.ones((3, 2, 2)), ValueError, "two dimensions"),
        (np.array([["a", "b"]]), TypeError, "real numbers, got dtype <U1"),
        (np.array([[1, None]]), TypeError, "real numbers, got dtype object"),
        (np.ones((2, 2), complex), TypeError, "real numbers, got dtype complex128"),
        (sparse.csr_array(np.ones((2, 2), complex)), TypeError, "real numbers"),
        (np.ma.masked_array(np.ones((2, 2)), [[True, False]] * 2), ValueError, r"X has masked values; fill them in \(X.filled"),
        ("x.bed", TypeError, "got builtins.str; open a file with"),
        (None, TypeError, "got builtins.NoneType$"),
        ([[1, 2]], TypeError, "got builtins.list$"),
    ],
)
def test_what_is_no_source(X, error, message):
    """The message says what X is and must be."""
    with pytest.raises(error, match=message):
        as_source(X)


def test_libraries_are_not_imported(run_python):
    """Recognising an object, and importing the sources, imports none of the libraries that read files."""
    code = (
        "import sys, numpy, fcfast.sources as s; s.as_source(numpy.ones((2, 2)))\n"
        "print([n for n in ('h5py', 'zarr', 'anndata', 'bed_reader', 'pandas') if n in sys.modules])"
    )
    assert run_python(code).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("x.h5", "h5py", "hdf5"), ("x.h5ad", "anndata.io", "anndata"), ("x.bed", "bed_reader", "bed"), ("x.zarr", "zarr", "zarr")],
)
def test_missing_libraries(tmp_path, monkeypatch, name, module, extra):
    """The message says how to install what is missing."""
    (tmp_path / name).mkdir() if name == "x.zarr" else (tmp_path / name).touch()
    for beside in ("x.bim", "x.fam"):
        (tmp_path / beside).touch()
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=rf"x.* needs .*pip install 'fcfast\[{extra}\]'"):
        open_source(tmp_path / name)


def test_opening_by_ending(tmp_path):
    """Unknown endings, missing files and options of other formats are refused."""
    (tmp_path / "x.txt").touch()
    with pytest.raises(ValueError, match=r"none of the endings that say what a file is: \.bed, "):
        open_source(tmp_path / "x.txt")
    with pytest.raises(FileNotFoundError, match=r"no file .*x\.bed"):
        open_source(tmp_path / "x.bed")
    io.mmwrite(tmp_path / "x.mtx", np.ones((2, 2)))
    with pytest.raises(ValueError, match="layer='a' means nothing for"):
        open_source(tmp_path / "x.mtx", layer="a")
    with pytest.raises(ValueError, match="dataset='a' means nothing for"):
        open_source(tmp_path / "x.mtx", dataset="a")
    (tmp_path / "x.h5").touch()
    with pytest.raises(ValueError, match="transpose=True means nothing for"):
        open_source(tmp_path / "x.h5", transpose=True)


# ----------------------------------------------------------------------------------------------------------------------
# Matrix Market


@pytest.mark.parametrize("ending", [".mtx", ".mtx.gz"])
@pytest.mark.parametrize("transpose", [False, True])
def test_matrix_market(tmp_path, ending, transpose):
    """Sparse and dense files, compressed or not, in both directions."""
    matrix = sparse.random(9, 20, 0.3, random_state=0)
    io.mmwrite(tmp_path / "m.mtx", matrix, precision=17)
    io.mmwrite(tmp_path / "d.mtx", matrix.toarray(), precision=17)
    for name in ("m.mtx", "d.mtx"):
        path = tmp_path / name
        if ending.endswith(".gz"):
            path = tmp_path / f"{name}.gz"
            path.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        array = matrix.toarray()
        source = open_source(path, transpose=transpose)
        assert source.is_sparse == (name == "m.mtx")
        check_reads(source, np.ascontiguousarray(array.T if transpose else array))
        check_copies(source, array.T if transpose else array)


@pytest.mark.parametrize("prefix", ["", "GSM1_"])
@pytest.mark.parametrize("kind", ["features.tsv", "genes.tsv.gz"])
def test_names_beside_matrix_market(tmp_path, prefix, kind):
    """10x's files give names, with the sample's prefix and compressed, too; what has another length does not."""
    io.mmwrite(tmp_path / f"{prefix}matrix.mtx", sparse.coo_array(np.eye(3, 2)))
    genes, cells = ["ENSG1", "ENSG2", "ENSG3"], ["AAAC-1", "AAAG-1"]
    text = "".join(f"{gene}\tname\tGene Expression\n" for gene in genes).encode()
    (tmp_path / f"{prefix}{kind}").write_bytes(gzip.compress(text) if kind.endswith("gz") else text)
    (tmp_path / f"{prefix}barcodes.tsv").write_text("\n".join(cells))
    source = open_matrix_market(tmp_path / f"{prefix}matrix.mtx", transpose=True)
    assert (source.sample_names, source.feature_names) == (cells, genes)
    source = open_matrix_market(tmp_path / f"{prefix}matrix.mtx")
    assert (source.sample_names, source.feature_names) == (genes, cells)
    io.mmwrite(tmp_path / f"{prefix}matrix.mtx", sparse.coo_array(np.eye(2, 3)))  # cells by genes
    source = open_matrix_market(tmp_path / f"{prefix}matrix.mtx")
    assert (source.sample_names, source.feature_names) == (cells, genes)
    io.mmwrite(tmp_path / f"{prefix}matrix.mtx", sparse.coo_array(np.eye(4, 5)))
    source = open_matrix_market(tmp_path / f"{prefix}matrix.mtx")
    assert (source.sample_names, source.feature_names) == (None, None)


def test_damaged_matrix_market(tmp_path):
    """A file that ends early, is no Matrix Market file, or holds complex numbers, is refused with its name."""
    path = tmp_path / "m.mtx"
    io.mmwrite(path, sparse.random(9, 20, 0.3, random_state=0))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"m\.mtx cannot be read as a Matrix Market file"):
        open_source(path)
    path.write_text("1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"m\.mtx cannot be read as a Matrix Market file"):
        open_source(path)
    (tmp_path / "m.mtx.gz").write_bytes(gzip.compress(b"%%MatrixMarket matrix array real general\n" * 20)[:-9])
    with pytest.raises(ValueError, match=r"m\.mtx\.gz cannot be read as a Matrix Market file"):
        open_source(tmp_path / "m.mtx.gz")
    io.mmwrite(path, sparse.coo_array(np.eye(2) * 1j))
    with pytest.raises(TypeError, match="real numbers"):
        open_source(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        open_matrix_market(tmp_path / "n.mtx")


def test_dense_reads_in_blocks(monkeypatch):
    """A whole source is read in blocks of at most READ_BYTES."""
    monkeypatch.setattr(protocol, "READ_BYTES", 9 * 8 * 3)
    array = numbers((9, 20), "float64")
    assert as_source(array).dense("float32").tobytes() == array.astype("float32").tobytes()
