"""Delimited text from R, pandas, NumPy, Excel and GEO is read correctly or refused with the right remedy."""

import csv
import gzip
import io
import os
import sys
import threading

import numpy as np
import pandas as pd
import pytest

from fcfast.datafiles import read_table

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).round(3)
CLASSES = np.array(["ctl", "case"])[np.arange(40) % 2]
GENES = [f"g{j}" for j in range(6)]


@pytest.fixture
def write(tmp_path):
    """``write("a.csv", text or bytes)``: a file in a folder of its own."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def table_of(names, rows, sep=","):
    """Write a table as it is."""
    return "\n".join(sep.join(map(str, row)) for row in [names, *rows]) + "\n"


def samples(labels=CLASSES):
    """Rows of features and a class."""
    return [[*row, label] for row, label in zip(X.tolist(), labels.tolist(), strict=True)]


def r_table(sep=" ", quote='"', corner=False, rows=None, names=(*GENES, "dx")):
    """Write as R's write.table does: names of rows first, no name for them (write.csv: an empty one)."""

    def cell(value):
        return f"{quote}{value}{quote}" if isinstance(value, str) else str(value)

    rows = samples() if rows is None else rows
    head = [cell("")] * corner + [cell(name) for name in names]
    body = ([cell(str(i)), *map(cell, row)] for i, row in enumerate(rows, 1))
    return "\n".join(map(sep.join, [head, *body])) + "\n"


def refuse(path, message, target=None, **options):
    """Check the message, a pattern, of the error that reading `path` raises."""
    with pytest.raises(ValueError, match=message) as caught:
        read_table(path, target, **options)
    assert "\n" not in str(caught.value)


# ----------------------------------------------------------------------------------------------------------------------
# names that are numbers


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (range(6), X),
        (range(1, 7), X),
        (np.linspace(900, 1700, 401), RNG.normal(size=(20, 401)).cumsum(axis=1).round(4)),
        (RNG.choice(100_000, 200, replace=False), RNG.poisson(2, size=(20, 200))),
        (RNG.choice(100_000, 200, replace=False), RNG.normal(size=(20, 200)).round(2)),
    ],
    ids=["from 0", "from 1", "wavelengths", "Entrez ids over counts", "Entrez ids"],
)
@pytest.mark.parametrize("target", [None, -1], ids=["bare", "target"])
def test_names_that_are_clearly_numbers(write, names, values, target):
    """They are never a sample; with a target by its index they are not either."""
    names, rows = [str(name) for name in names], values.tolist()
    if target is not None:
        names, rows = [*names, "dx"], [[*row, label] for row, label in zip(rows, CLASSES, strict=False)]
    table = read_table(write("a.csv", table_of(names, rows)), target)
    np.testing.assert_array_equal(table.X, values)
    assert table.feature_names == (names if target is None else names[:-1])


@pytest.mark.parametrize(
    ("names", "values"),
    [
        ([7157, 672, 675, 1956, 3845, 5290], X),
        ([7157, 672, 675, 1956, 3845, 5290], RNG.poisson(40, size=(20, 6))),
        ([0, 100, 50, 20], RNG.normal(size=(20, 4)).round(2)),
        ([400, 410, 420, 430, 440], RNG.poisson(400, size=(20, 5))),
        ([0, 1, 2], RNG.normal(size=(20, 3)).round(2)),
    ],
    ids=["Entrez ids", "Entrez ids over counts", "the start of a series?", "wavelengths", "three"],
)
def test_names_that_may_be_numbers(write, names, values):
    """It is asked, and can be answered."""
    path = write("a.csv", table_of(names, values.tolist()))
    refuse(
        path, r"line 1 .* may be a sample, or names that are numbers.*header=True \(--header\) or header=False \(--no-header\)"
    )
    np.testing.assert_array_equal(read_table(path, header=True).X, values)
    np.testing.assert_array_equal(read_table(path, header=False).X, [names, *values.tolist()])


def test_class_that_occurs_in_the_first_line_only(write):
    """A name above numbers that no other line has may be the target's."""
    path = write("a.csv", "900.0,902.5,dx\n312,297,a\n317,311,a\n295,306,b\n319,310,b\n")
    refuse(path, "may be a sample, or names", -1)
    assert read_table(path, "dx").feature_names == ["900.0", "902.5"]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("5.1,3.5,1.4,0.2,setosa\n4.9,3.0,1.4,0.2,setosa\n7.0,3.2,4.7,1.4,versicolor\n", -1),
        ("6,148,72,35,0,33.6,0.627,50,1\n1,85,66,29,0,26.6,0.351,31,0\n8,183,64,0,0,23.3,0.672,32,1\n", -1),
        ("5,0,0,3,18,18\n0,0,0,0,0,3\n4,0,0,0,0,0\n1,0,0,0,7,2\n", 0),
        ("0,1,2,3\n4,5,6,7\n8,9,10,11\n", None),
        ("12,7,30,21,5,9\n" + table_of(*[RNG.poisson(20, size=6).tolist()], RNG.poisson(20, size=(9, 6)).tolist()), -1),
    ],
    ids=["iris", "diabetes", "images", "a toy", "counts"],
)
def test_samples_stay_samples(write, text, target):
    """The well-known tables without names lose no line."""
    table = read_table(write("a.csv", text), target)
    assert (table.X.shape[0], table.feature_names) == (text.count("\n"), None)


def test_unnamed_index_above_numbers(write):
    """What pandas writes beside an array: refused as an unnamed column, whatever the other names are, with what reads it."""
    pd = pytest.importorskip("pandas")
    for frame in (pd.DataFrame(X), pd.DataFrame(X[:, :2], columns=[7157, 672])):
        path = write("a.csv", frame.to_csv())
        option = "''" if 0 in frame else "0"
        refuse(path, rf"column 0 .* has no name in line 1; .* pandas: index=False\), or use --id {option} if it names them$")
        for ids in ("", 0, *(["0"] if option == "0" else [])):
            table = read_table(path, ids=ids)
            assert (table.ids, table.feature_names) == (list(map(str, frame.index)), list(map(str, frame)))
            np.testing.assert_array_equal(table.X, frame.to_numpy())


@pytest.mark.parametrize("target", [None, -1])
def test_id_that_is_a_name_and_an_index(write, target):
    """The column named 0 is not taken for the index beside it, which would become a feature."""
    pd = pytest.importorskip("pandas")
    path = write("a.csv", pd.DataFrame(X).to_csv())
    refuse(
        path, "--id 0 is the name of a column and the index of another one, which has no name; use --id '' for", target, ids="0"
    )
    refuse(path, "--id 0 is the name of a column", target, ids="0", features=["1", "2"])
    refuse(path, "column 0 .* has no name", target, ids="-6")  # it is a header, though the id has a name
    table = read_table(path, target, ids="")
    assert table.feature_names == [str(j) for j in range(6 if target is None else 5)]
    assert table.ids == [str(i) for i in range(len(X))]
    path = write("b.csv", "0,,a\n1,2,3\n4,5,6\n")
    refuse(path, r"column 1 .* use --id 1 if", header=True)
    path = write("b.csv", "1,,a\n1,2,3\n4,5,6\n")
    refuse(path, r"column 1 .* use --id '' if", header=True)
    path = write("b.csv", ",2,,a\n1,1,2,3\n4,4,5,6\n")
    refuse(path, r"column 2 .* use --id -2 if", header=True, ids="")


@pytest.mark.parametrize(
    ("text", "target", "column"),
    [
        (table_of([400, 500, 600, 700, 800, 1], [[*row, 1] for row in RNG.poisson(50, size=(20, 5)).tolist()]), "1", 5),
        (table_of([400.5, 402.5, 405.5, 407.5, 2], RNG.normal(size=(20, 5)).round(2).tolist()), "2", 4),
    ],
)
def test_index_that_may_be_a_name(write, text, target, column):
    """A number asked for that stands in a first line of numbers: the line is asked about, not taken for a sample."""
    path = write("a.csv", text)
    refuse(
        path, rf"line 1 .* is all numbers, and {target} may be the name of a column there or an index; use header=True", target
    )
    named, bare = read_table(path, target, header=True), read_table(path, target, header=False)
    assert (len(named.X), named.target_name) == (20, repr(target))
    assert (len(bare.X), bare.target_name) == (21, f"column {target}")
    path = write("b.csv", "3,1.5,2.5\n4,3.5,6.5\n8,7.5,9.5\n")
    assert len(read_table(path, "0").X) == 3  # an index only


def test_first_line_with_a_gap(write):
    """It may be names."""
    refuse(write("a.csv", "1,,3\n4,,6\n7,8,9\n1,2,3\n"), "; if line 1 has names, use --header$")


@pytest.mark.parametrize("header", ["", "g0,g1,g2,g3,g4,g5", "made by hand"])
def test_savetxt(write, header):
    """The names that numpy.savetxt writes as a comment are names; other comments are none."""
    stream = io.StringIO()
    np.savetxt(stream, X, delimiter=",", header=header)
    table = read_table(write("a.csv", stream.getvalue()))
    np.testing.assert_array_equal(table.X, X)
    assert table.feature_names == (GENES if "," in header else None)


# ----------------------------------------------------------------------------------------------------------------------
# R


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv"])
@pytest.mark.parametrize("sep", [" ", "\t", ","])
@pytest.mark.parametrize("quote", ['"', ""])
def test_write_table(write, name, sep, quote):
    """Header one cell short: the first column has the names of the rows, whatever parts the cells."""
    table = read_table(write(name, r_table(sep, quote)), "dx")
    np.testing.assert_array_equal(table.X, X)
    assert (table.feature_names, table.y.tolist()) == (GENES, CLASSES.tolist())
    assert table.ids == [str(i) for i in range(1, 41)]


def test_write_table_with_blanks_and_quotes_in_names(write):
    r"""Blanks are kept within quotes; R writes \" for a quote."""
    rows = [[*row[:-1], "New York" if row[-1] == "ctl" else r"the \"L. A.\""] for row in samples()]
    text = r_table(rows=rows).replace('"g0"', '"gene 0"')
    table = read_table(write("a.txt", text), "dx")
    assert set(table.y) == {"New York", 'the "L. A."'}
    assert table.feature_names[0] == "gene 0"
    np.testing.assert_array_equal(table.X, X)


def test_write_csv_and_csv2(write):
    """An empty name above the rows' names is asked about; decimal commas are refused with the option that reads them."""
    path = write("a.csv", r_table(",", corner=True))
    refuse(path, "column 0 .* has no name", "dx")
    np.testing.assert_array_equal(read_table(path, "dx", ids=0).X, X)
    path = write("b.csv", r_table(";", corner=True).replace(".", ","))
    refuse(path, "decimal commas; write points, as in 0.5, or use --decimal ,", "dx", ids=0)
    table = read_table(path, "dx", ids=0, decimal=",")
    np.testing.assert_array_equal(table.X, X)


def test_short_header_is_not_taken_for_granted(write):
    """A line of thousands has a cell too many as well: its first one counts nothing and is in no quotes."""
    for text in ("a,b,dx\n1,126,4,x\n2,200,5,y\n7,300,2,x\n", "a b dx\n3 126 4 x\n2 200 5 y\n"):
        refuse(write("a.csv", text), r"line 2 has 4 cell\(s\) instead of 3", "dx")


# ----------------------------------------------------------------------------------------------------------------------
# Excel


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\na;b;dx\n1;2;x\n3;4;y\n",
        "Plate 3\nread on 3 March, by hand\n\na,b,dx\n1,2,x\n3,4,y\n",
        "Plate 3,,\n,,\na,b,dx\n1,2,x\n3,4,y\n",
        "a,b,dx,,\n1,2,x,,\n3,4,y,,\n",
        "a,b,dx\n1,2,x\n3,4,y\n,,\n,,\n",
        "a|b|dx\n1|2|x\n3|4|y\n",
        '"a", "b", "dx"\n1, 2, "x"\n3, 4, "y"\n',
        "a,b,dx\r1,2,x\r3,4,y\r",
        "a\tb\tdx\n1\t2\tx\n3\t4\ty\n".encode("utf-16"),
        "a  b dx\n 1  2 x\n 3\t4 y \n",
        "# made by hand\n#\na,b,dx\n1,2,x\n# a break\n3,4,y\n",
        'a,b,dx\n"1","2","x"\n"3","4","y"\n',
    ],
    ids=[
        "sep=",
        "titles",
        "filled titles",
        "empty columns",
        "empty rows",
        "bars",
        "blanks",
        "CR",
        "UTF-16",
        "white",
        "comments",
        "quotes",
    ],
)
def test_layouts(write, text):
    """The same table in every one."""
    table = read_table(write("a.csv", text), "dx")
    assert (table.X.tolist(), table.y.tolist(), table.feature_names) == ([[1, 2], [3, 4]], ["x", "y"], ["a", "b"])


def test_title_is_told(write):
    """Nothing is left out without a word."""
    table = read_table(write("a.csv", "Plate 3\na,b,dx\n1,2,x\n3,4,y\n"), "dx")
    assert "names in line 2" in str(table)
    assert "1 line(s) above the table left out" in str(table)


@pytest.mark.parametrize("cell", ['"1,126"', "1 126", "1'126", "1\u00a0126"])
def test_thousands(write, cell):
    """Refused, with both meanings where there are two; read with the option."""
    mark = cell.strip('"')[1]
    path = write("a.csv", f"a;b;dx\n{cell};2;x\n17;4;y\n")
    refuse(
        path,
        r"1126: use --thousands ,\) or be a decimal comma \(1.126: use --decimal ,\)" if mark == "," else "--thousands",
        "dx",
    )
    assert read_table(path, "dx", thousands=mark).X.tolist() == [[1126, 2], [17, 4]]


def test_thousands_in_cells_with_commas_between(write):
    """As Excel writes them."""
    path = write("a.csv", 'a,b,dx\n"1,126","1,234,567.5",x\n"12,126",4,y\n')
    refuse(path, "'1,126' is not a number: the comma may separate thousands", "dx")
    assert read_table(path, "dx", thousands=",").X.tolist() == [[1126, 1234567.5], [12126, 4]]
    refuse(write("b.csv", 'a,b,dx\n"1,12",3,x\n'), "'1,12' is not a number", "dx", thousands=",")


def test_points_that_separate_thousands(write):
    """Beside decimal commas, a point is no decimal point."""
    path = write("a.csv", "a;b;dx\n1.126,5;4,25;x\n1.200;2;y\n")
    refuse(path, "use --decimal , --thousands .", "dx")
    refuse(write("b.csv", "a;b;dx\n1.126;4,25;x\n"), "'1.126' is not a number: a point where", "dx", decimal=",")
    refuse(path, "'1.126,5' is not a number: a point where the decimal mark is a comma", "dx", decimal=",")
    assert read_table(path, "dx", decimal=",", thousands=".").X.tolist() == [[1126.5, 4.25], [1200, 2]]


def test_comma_within_quotes_does_not_make_up_for_a_missing_cell(write):
    """Quotes are taken off only where they protect nothing."""
    refuse(write("a.csv", 'a,b,dx\n1,2,x\n"3,4",y\n'), r"line 3 has 2 cell\(s\) instead of 3", "dx")
    refuse(write("a.txt", 'a b dx\n1 2 x\n"3 4" y\n'), r"line 3 has 2 cell\(s\) instead of 3", "dx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": "ab"}, "delimiter 'ab' is unknown; use one character, or one of tab"),
        ({"delimiter": '"'}, "is unknown"),
        ({"decimal": ";"}, "decimal must be '.' or ','"),
        ({"thousands": "."}, "thousands must be one character other than the decimal mark"),
        ({"target_type": "class"}, "target_type 'class' is unknown; use one of auto, labels, numbers"),
    ],
)
def test_bad_options(write, options, message):
    """Named, with what is known."""
    refuse(write("a.csv", "1,2\n"), message, **options)


def test_delimiter_asked_for(write):
    """What parts the cells is not looked for then."""
    path = write("a.csv", "a;b,c\n1;2,5\n3;4,5\n")
    assert read_table(path, delimiter=";", decimal=",").X.tolist() == [[1, 2.5], [3, 4.5]]
    assert read_table(write("b.txt", "a:b\n1:2\n"), delimiter=":").X.tolist() == [[1, 2]]
    assert read_table(write("c.csv", "a\tb\n1\t2\n"), delimiter="tab").feature_names == ["a", "b"]


# ----------------------------------------------------------------------------------------------------------------------
# comments and missing values


def test_comment_that_could_be_a_row(write):
    """Above the table and in it: asked, and answered."""
    for text in ("#1,2,x\n3,4,x\n5,6,y\n", "3,4,x\n#1,2,x\n5,6,y\n"):
        path = write("a.csv", text)
        refuse(path, r"begins like a comment, but has as many cells as the table; use comment='' \(--comment ''\)", -1)
        assert read_table(path, -1, comment="#").X.tolist() == [[3, 4], [5, 6]]
        assert read_table(path, -1, comment="", ids=0).X.shape == (3, 1)


def test_all_lines_are_comments(write):
    """Nothing is left, which is said."""
    refuse(write("a.csv", "#1,2\n#3,4\n"), r"is empty; .* all its lines are comments \(--comment ''", comment="#")


def test_numbers_that_stand_for_a_gap(write):
    """-999 is refused as any gap once it is known to be one."""
    path = write("a.csv", "a,b\n-999,2\n3,4\n")
    assert read_table(path).X[0, 0] == -999
    refuse(path, r"column 'a' is empty, NaN or infinite in 1 line\(s\), the first is line 2", missing="-999")
    refuse(write("b.csv", "a,b\n.,2\n3,4\n"), "column 'a' is empty", missing=["."])
    refuse(write("c.csv", "a,b\nNA,2\n3,4\n"), "'NA' is not a number", missing="")


def test_truth_values_are_numbers(write):
    """As in Parquet, where pandas writes False and True."""
    assert read_table(write("a.csv", "a,b\nTrue,2\nFALSE,4\n")).X.tolist() == [[1, 2], [0, 4]]


# ----------------------------------------------------------------------------------------------------------------------
# features in lines

GEO = "\n".join(
    "\t".join(row)
    for row in [
        ["!Series_title", '"lungs, livers"'],
        ["!Sample_title", '"a 1"', '"a 2"', '"b 1"', '"b 2"'],
        ["!Sample_characteristics_ch1", '"tissue: lung"', '"tissue: lung"', '"tissue: liver"', '"tissue: liver"'],
        ["!Sample_characteristics_ch1", '"age: 5"', '"age: 6"', '"age: 7"', '"age: 9"'],
        ["!series_matrix_table_begin"],
        ['"ID_REF"', '"GSM1"', '"GSM2"', '"GSM3"', '"GSM4"'],
        ['"1007_s_at"', "1.5", "2", "3", "4"],
        ['"117_at"', "1", "2", "3.5", "4"],
        ["!series_matrix_table_end"],
        [""],
    ]
)


@pytest.mark.parametrize("compressed", [False, True])
def test_series_matrix(write, compressed):
    """Columns are samples; what is said of them above the table can be the target."""
    path = write("a.txt.gz", gzip.compress(GEO.encode())) if compressed else write("a.txt", GEO)
    table = read_table(path, "tissue")
    assert table.X.tolist() == [[1.5, 1], [2, 2], [3, 3.5], [4, 4]]
    assert (table.feature_names, table.ids) == (["1007_s_at", "117_at"], ["GSM1", "GSM2", "GSM3", "GSM4"])
    assert table.y.tolist() == ["lung", "lung", "liver", "liver"]
    assert read_table(path, "age", ids="!Sample_title").y.tolist() == [5, 6, 7, 9]
    assert "transposed" in str(table)
    refuse(path, "has no line 'Tissue'; did you mean 'tissue'", "Tissue")
    refuse(path, "in a transposed table the target is a line; give its name", -1)
    if not compressed:
        path.write_text(GEO.replace("3.5", "null"))
        refuse(path, r"column 'GSM3' is empty, .* the first is line 8")


@pytest.mark.parametrize("corner", ["gene", ""])
def test_genes_in_lines(write, corner):
    """The hint comes where the names of genes are in the way; --transpose reads the table, a line of classes included."""
    rows = [[gene, *column] for gene, column in zip(GENES, X.T.tolist(), strict=True)]
    names = [f"s{i}" for i in range(40)]
    path = write("a.csv", table_of([corner, *names], rows))
    refuse(path, r"if the rows are features and the columns samples, use --transpose \(transpose=True\)")
    table = read_table(path, transpose=True)
    np.testing.assert_array_equal(table.X, X)
    assert (table.feature_names, table.ids) == (GENES, names)
    path = write("b.csv", table_of([corner, *names], [["dx", *CLASSES], *rows]))
    refuse(path, "has no column 'dx', but a line of that name; .* use --transpose", "dx")
    table = read_table(path, "dx", transpose=True, features=["g4", "g1"])
    np.testing.assert_array_equal(table.X, X[:, [1, 4]])
    assert (table.y.tolist(), table.skipped) == (CLASSES.tolist(), ["g0", "g2", "g3", "g5"])
    refuse(path, "lacks 1 of the 1 features that are needed: 'g9'", transpose=True, features=["g9"])


def test_labels_of_genes_in_lines_are_elsewhere(write):
    """A target that is neither a column nor a line."""
    path = write("a.csv", "gene,s1,s2,s3\nTP53,1,2.5,3\nBRCA,4,5.5,6\nEGFR,7,8.5,9\n")
    refuse(path, "no column 'dx'; it has .*use --transpose .* labels are in another file, add them .* begins with dx$", "dx")
    path = write("a.csv", path.read_text() + "dx,x,y,x\n")
    assert read_table(path, "dx", transpose=True).y.tolist() == ["x", "y", "x"]


def test_genes_in_lines_of_other_files(tmp_path):
    """Arrays and Parquet are turned as well."""
    np.save(tmp_path / "a.npy", X.T)
    np.testing.assert_array_equal(read_table(tmp_path / "a.npy", transpose=True).X, X)
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pd.DataFrame(X.T, index=GENES, columns=[f"s{i}" for i in range(40)]).to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet", transpose=True)
    np.testing.assert_array_equal(table.X, X)
    assert (table.feature_names, table.ids[:2]) == (GENES, ["s0", "s1"])


# ----------------------------------------------------------------------------------------------------------------------
# pipes


def as_standard_input(monkeypatch, content):
    """Put bytes into standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize("kind", ["csv", "gz", "npy", "npz", "svm", "parquet"])
def test_standard_input(monkeypatch, tmp_path, kind):
    """The first bytes tell what it is."""
    expected = [[1, 2], [3, 4.5]]
    if kind in ("csv", "gz"):
        content = b"a,b\n1,2\n3,4.5\n"
        content = gzip.compress(content) if kind == "gz" else content
    elif kind == "svm":
        content = b"1 0:1 1:2\n-1 0:3 1:4.5\n"
    elif kind == "parquet":
        pd = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        content = pd.DataFrame(expected, columns=["a", "b"]).to_parquet()
    else:
        stream = io.BytesIO()
        np.save(stream, expected) if kind == "npy" else np.savez(stream, X=expected)
        content = stream.getvalue()
    as_standard_input(monkeypatch, content)
    table = read_table("-")
    assert (table.X.toarray() if kind == "svm" else table.X).tolist() == expected
    as_standard_input(monkeypatch, b"")
    refuse("-", "standard input is empty")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_named_pipe(tmp_path):
    """A pipe that can be read once only, as the shell's <(...) makes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("a,b\n1,2\n3,x\n",))
    writer.start()
    refuse(path, "column 'b', line 3: 'x' is not a number")
    writer.join()


# ----------------------------------------------------------------------------------------------------------------------
# fast and slow


def test_blocks_and_single_lines_agree(write, monkeypatch):
    """Whole blocks of plain lines and lines with quotes that matter, one by one, give the same bits in their order."""
    values = RNG.normal(size=(300, 7)) * 10.0 ** RNG.integers(-300, 300, size=(300, 7))
    stream = io.StringIO()
    writer = csv.writer(stream)
    for i, row in enumerate(values.tolist()):
        writer.writerow([f"s, {i}" if i % 7 == 0 else f"s{i}", *row, "a\nb" if i % 11 == 0 else "c"])
    path = write("a.csv", stream.getvalue())
    for block in (1, 500, 1 << 22):
        monkeypatch.setattr("fcfast.datafiles.rows.BLOCK", block)
        table = read_table(path, -1, ids=0)
        np.testing.assert_array_equal(table.X, values)
        assert table.ids[:2] == ["s, 0", "s1"]
        assert [label == "a\nb" for label in table.y] == [i % 11 == 0 for i in range(300)]
    path.write_text(stream.getvalue() + "s,1,2,3,4,five,6,7,c\n")
    refuse(path, r"column 5 \(counted from 0\), line \d+: 'five' is not a number", -1, ids=0)


@pytest.mark.parametrize(
    "order", [["review", "label", "x"], ["x", "label", "review"], ["label", "review"], ["review", "label"]]
)
@pytest.mark.parametrize("most", [3, 40])
def test_columns_beside_cells_with_line_breaks(tmp_path, order, most):
    """Delimiters are found, and other columns are read, even if the first cells have more lines than are looked at."""
    rng = np.random.default_rng(0)
    words = np.array([f"word{i}," for i in range(40)] + ['"so"', "it's", "a;b", ""])
    reviews = ["\n".join(" ".join(rng.choice(words, 10)) for _ in range(rng.integers(1, most))) for _ in range(60)]
    frame = pd.DataFrame({"review": reviews, "label": ["good", "bad"] * 30, "x": np.arange(60) / 2})
    frame[order].to_csv(tmp_path / "a.csv", index=False)
    if "x" in order:
        table = read_table(tmp_path / "a.csv", "label", ids="review")
        assert table.feature_names == ["x"]
        assert table.X.ravel().tolist() == frame["x"].tolist()
        assert table.y.tolist() == frame["label"].tolist()
    with pytest.raises(ValueError, match=r"column 'review', line 2: .* take its words as features \(--text review\)"):
        read_table(tmp_path / "a.csv", "label")
