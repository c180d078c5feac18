"""Targets as numbers or class names in every file format; Parquet, array and svmlight files written by other programs."""

import numpy as np
import pytest
from scipy import sparse

from fcfast.datafiles import read_table

X = np.array([[0.5, 1.0], [2.0, 3.5], [4.0, 5.0], [6.5, 7.0]])


def read_labels(path, labels, **options):
    """Read labels back from CSV."""
    path.write_text("a,dx\n" + "".join(f"{i}.5,{labels[i % len(labels)]}\n" for i in range(6)))
    return read_table(path, "dx", **options).y


def refuse(path, message, target=None, **options):
    """Check the message, a pattern, of the error that reading `path` raises."""
    with pytest.raises(ValueError, match=message):
        read_table(path, target, **options)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["01", "1", "3"], "as written"),
        (["01", "02"], "as written"),
        (["1E2", "100", "3"], "as written"),
        (["1E2", "2E5"], "as written"),
        (["1.0", "1"], "as written"),
        (["1", "2", "3a"], "as written"),
        (["inf", "x"], "as written"),
        (["true", "1"], "as written"),
        (["12345678901234567890", "12345678901234567891"], "as written"),
        (["1.0", "2.0"], [1, 2]),
        (["+1", "-1"], [1, -1]),
        (["1e+05", "99999"], [100000, 99999]),
        (["0.10", "0.1"], [0.1, 0.1]),
        (["1.000000000000000000e+00", "0.000000000000000000e+00"], [1, 0]),
        (["True", "False"], ["True", "False"]),
        (["TRUE", "FALSE"], ["True", "False"]),
    ],
)
def test_what_is_a_number(tmp_path, labels, expected):
    """Text stays text if two classes would become one, or a name would change."""
    y = read_labels(tmp_path / "a.csv", labels)
    assert y[: len(labels)].tolist() == (labels if expected == "as written" else expected)


def test_target_type(tmp_path):
    """What could be both is what was asked for."""
    path = tmp_path / "a.csv"
    assert read_labels(path, ["1", "2"], target_type="labels").tolist() == ["1", "2"] * 3
    assert read_labels(path, ["TRUE", "FALSE"], target_type="labels")[0] == "TRUE"
    assert read_labels(path, ["01", "1E2"], target_type="numbers").tolist() == [1, 100] * 3
    assert read_labels(path, ["TRUE", "FALSE"], target_type="numbers").tolist() == [1, 0] * 3
    with pytest.raises(ValueError, match="column 'dx', line 3: 'x' is not a number"):
        read_labels(path, ["1", "x"], target_type="numbers")


@pytest.mark.parametrize("kind", ["csv", "quoted", "parquet", "npz"])
def test_class_called_NA(tmp_path, kind):
    """Asked in every kind of file, and never with the mean as a remedy; a class with missing=''."""
    labels = np.array(["EU", "NA", "NA", "EU"])
    path = tmp_path / f"a.{'csv' if kind == 'quoted' else kind}"
    if kind == "npz":
        np.savez(path, X=X, dx=labels)
    elif kind == "parquet":
        pd = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        pd.DataFrame(X, columns=["a", "b"]).assign(dx=labels).to_parquet(path)
    else:
        mark = '"' if kind == "quoted" else ""
        path.write_text("a,b,dx\n" + "".join(f"{a},{b},{mark}{label}{mark}\n" for (a, b), label in zip(X, labels, strict=True)))
    message = (
        r"is 'NA' or empty in 2 (line|row)\(s\), .*if 'NA' is a class and not a missing value, "
        r"use --missing '' \(missing=\(\)\); else leave"
    )
    refuse(path, message, "dx")
    for missing in ("", ()):
        assert read_table(path, "dx", missing=missing).y.tolist() == labels.tolist()


def test_truth_values_are_two_classes_everywhere(tmp_path):
    """The same in an archive, an array, a Parquet file and text; numbers if asked for."""
    y = np.array([True, False, False, True])
    np.savez(tmp_path / "a.npz", X=X, y=y)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    files = [(tmp_path / "a.npz", "y"), (tmp_path / "X.npy", tmp_path / "y.npy")]
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(y=y)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv", index=False)
    files += [(tmp_path / "a.parquet", "y"), (tmp_path / "a.csv", "y")]
    for path, target in files:
        assert read_table(path, target).y.tolist() == ["True", "False", "False", "True"]
        assert read_table(path, target, target_type="numbers").y.tolist() == [1, 0, 0, 1]


# ----------------------------------------------------------------------------------------------------------------------
# Parquet


@pytest.fixture
def frame():
    """A table of pandas; skipped without it or pyarrow."""
    pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(X, columns=["a", "b"]).assign(dx=["x", "y", "y", "x"])


def test_index_of_pandas(frame, tmp_path):
    """It names the samples, is no feature and not the last column; a name or the default one makes no difference."""
    path = tmp_path / "a.parquet"
    for index in ([3, 0, 2, 1], ["s1", "s2", "s3", "s4"]):
        for name in (None, "sample"):
            frame.set_axis(index, axis=0).rename_axis(name).to_parquet(path)
            for target in ("dx", -1):
                table = read_table(path, target)
                assert (table.ids, table.feature_names) == (list(map(str, index)), ["a", "b"])
                assert table.y.tolist() == ["x", "y", "y", "x"]
                assert "id the index" in str(table)
    assert read_table(path, "dx", ids="sample").ids == ["s1", "s2", "s3", "s4"]
    frame.set_index(["a", "b"]).assign(c=1).to_parquet(path)
    table = read_table(path, "dx")
    assert (table.feature_names, table.ids) == (["c"], ["0.5/1.0", "2.0/3.5", "4.0/5.0", "6.5/7.0"])
    assert "id the index (2 levels, joined by /)" in str(table)
    assert read_table(path, "dx", ids="b").ids == ["1.0", "3.5", "5.0", "7.0"]
    assert read_table(path, "a", features=["c"]).ids == ["1.0", "3.5", "5.0", "7.0"]
    assert read_table(path, "dx", ids="").ids == table.ids
    frame.to_parquet(path)
    assert read_table(path, "dx").ids is None


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Unnamed: 0", range(8)),
        ("Unnamed: 0", range(1, 9)),
        ("index", [5, 3, 9, 0, 4, 7, 11, 2]),
        ("level_0", range(8)),
        ("...1", range(1, 9)),
        ("row_nr", range(8)),
    ],
)
def test_index_in_a_column(tmp_path, kind, name, values):
    """What pandas, R and polars write of an index is no feature, unless it is asked for; named as the id it is read."""
    pd = pytest.importorskip("pandas")
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"a.{kind}"
    frame = pd.DataFrame({name: values, "a": [2.5, 1, 7, 3, 5, 8, 4, 9], "dx": list("xyxyxyxy")})
    write = {"csv": lambda: frame.to_csv(path, index=False), "parquet": lambda: frame.to_parquet(path)}[kind]
    write()
    refuse(path, f"column '{name}' seems to number the rows.*use --id '?{name}'? if it names the samples", "dx")
    table = read_table(path, "dx", ids=name)
    assert (table.ids, table.feature_names) == (list(map(str, values)), ["a"])
    assert read_table(path, "dx", features=[name, "a"]).X.shape == (8, 2)  # a model that has it keeps it
    frame[name] = [0.5, *list(values)[1:]]  # a measurement
    write()
    assert read_table(path, "dx").feature_names == [name, "a"]


def test_column_that_counts_the_rows(tmp_path):
    """With a name that says nothing it may be the time: a note."""
    path = tmp_path / "a.csv"
    path.write_text("Id,a,b\n" + "".join(f"{i},{9 - i},{i % 3}\n" for i in range(1, 7)))
    assert "warning: column 'Id' counts the rows; if it is not a measurement, use --id 'Id'" in str(read_table(path))
    assert read_table(path).feature_names == ["Id", "a", "b"]
    assert "counts" not in str(read_table(path, ids="Id"))


def test_text_of_every_kind(frame, tmp_path):
    """Bytes, categories and views are text, as in other columns of text."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    frame.assign(dx=[label.encode() for label in frame.dx]).to_parquet(path)
    assert read_table(path, "dx").y.tolist() == ["x", "y", "y", "x"]
    frame.astype({"dx": "category"}).to_parquet(path)
    assert read_table(path, "dx").y.tolist() == ["x", "y", "y", "x"]
    for kind in ("string_view", "binary_view", "large_binary"):
        if hasattr(pa, kind):
            labels = pa.array([b"x", b"y"] if "binary" in kind else ["x", "y"], getattr(pa, kind)())
            parquet.write_table(pa.table({"a": [1.0, 2.0], "dx": labels}), path)
            assert read_table(path, "dx").y.tolist() == ["x", "y"]
    parquet.write_table(pa.table({"a": pa.array([1, 2]).dictionary_encode(), "dx": pa.array([b"x", b"\xff"])}), path)
    refuse(path, "cannot be read as Parquet .*; write the column 'dx' as text in UTF-8", "dx")
    assert read_table(path, features=["a"]).X.tolist() == [[1], [2]]


def test_nullable_types_of_pandas(frame, tmp_path):
    """Integers and truth values that could be missing are numbers, and refused where they are."""
    pd = pytest.importorskip("pandas")
    path = tmp_path / "a.parquet"
    frame.assign(k=pd.array([1, 2, 3, 4], "Int64"), t=pd.array([True, False, True, True], "boolean")).to_parquet(path)
    assert read_table(path, "dx").X[:, 2:].tolist() == [[1, 1], [2, 0], [3, 1], [4, 1]]
    frame.assign(k=pd.array([1, None, 3, 4], "Int64")).to_parquet(path)
    refuse(path, r"column 'k' is empty, NaN or infinite in 1 row\(s\), the first is row 1", "dx")


# ----------------------------------------------------------------------------------------------------------------------
# arrays


@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "bsr", "dia"])
def test_save_npz(tmp_path, kind, layout):
    """Every format that SciPy saves."""
    dense = np.array([[0, 1.5, 0, 0], [2, 0, 0, 3], [0, 0, 0, 0], [0, 0, 4, 0]])
    sparse.save_npz(tmp_path / "a.npz", getattr(sparse, f"{layout}_{kind}")(dense))
    table = read_table(tmp_path / "a.npz")
    assert table.X.format == "csr"
    np.testing.assert_array_equal(table.X.toarray(), dense)


@pytest.mark.parametrize(
    ("layout", "damage"),
    [
        ("csc", {"indices": [0, 9, 0, 0]}),
        ("bsr", {"indptr": [0, 1, 99]}),
        ("coo", {"row": [0, 1, 1, -1]}),
        ("coo", {"col": [0, 1, 1, 4]}),
        ("coo", {"shape": [2, 2, 2]}),
    ],
)
def test_damaged_sparse_matrix(tmp_path, layout, damage):
    """Indices that lead out of the matrix are found before they are followed."""
    sparse.save_npz(tmp_path / "a.npz", sparse.coo_matrix(np.array([[0, 1.5, 0, 1], [2, 0, 0, 3]])).asformat(layout))
    with np.load(tmp_path / "a.npz") as arrays:
        np.savez(tmp_path / "a.npz", **{**arrays, **{name: np.array(value) for name, value in damage.items()}})
    refuse(tmp_path / "a.npz", f"cannot be read as a {layout.upper()} matrix .*; save it again with scipy.sparse.save_npz")


@pytest.mark.parametrize("name", ["y", "feature_names", "target_names", "names"])
def test_objects_are_named(tmp_path, name):
    """What pandas gives as names are objects: the message has the array, and how to save it."""
    arrays = {"X": X, name: np.array(["u", "v", "v", "u"], dtype=object), "unused": np.array([None])}
    np.savez(tmp_path / "a.npz", **arrays)
    refuse(
        tmp_path / "a.npz",
        rf"array '{name}' holds Python objects; save {name}.astype\(str\)",
        ids="names" if name == "names" else None,
    )
    np.savez(tmp_path / "a.npz", X=X, y=["u", "v", "v", "u"], unused=np.array([None]))
    assert read_table(tmp_path / "a.npz").y.tolist() == ["u", "v", "v", "u"]


def test_bytes_are_text(tmp_path):
    """As HDF5 and older NumPy have them."""
    np.savez(tmp_path / "a.npz", X=X, y=[b"u", b"v", b"v", b"u"], feature_names=[b"a", b"b"], names=[b"1", b"2", b"3", b"4"])
    table = read_table(tmp_path / "a.npz", ids="names")
    assert (table.y.tolist(), table.feature_names, table.ids) == (["u", "v", "v", "u"], ["a", "b"], ["1", "2", "3", "4"])


# ----------------------------------------------------------------------------------------------------------------------
# svmlight


def test_svmlight_without_targets(tmp_path):
    """Lines of features only; an empty one may be a sample, so it is asked."""
    path = tmp_path / "a.svm"
    path.write_text("# no targets\n0:1 2:3 # the first\n1:0.5\n")
    table = read_table(path)
    assert (table.X.toarray().tolist(), table.y) == ([[1, 0, 3], [0, 0.5, 0]], None)
    path.write_text("0:1 2:3\n\n1:0.5\n")
    refuse(path, "line 2 is empty in a file without targets; write 0:0")
    path.write_text("0:1 2:3\n1 1:0.5\n")
    refuse(path, "cannot be read as svmlight text")


def test_svmlight_that_is_too_wide(tmp_path):
    """Features beyond the width are named; a file that counts from 1 is not shifted in silence."""
    from sklearn.datasets import dump_svmlight_file

    path = tmp_path / "a.svm"
    matrix = sparse.csr_array(np.array([[1.0, 0, 2, 0, 7], [0, 3, 0, 4, 0]]))
    dump_svmlight_file(matrix, [0, 1], str(path), zero_based=True)
    table = read_table(path, n_features=3)
    np.testing.assert_array_equal(table.X.toarray(), matrix[:, :3].toarray())
    assert table.skipped == ["3", "4"]
    assert "left out: '3', '4' (2)" in str(table)
    dump_svmlight_file(matrix, [0, 1], str(path), zero_based=False)
    refuse(path, "it seems to count from 1", n_features=5)
