"""Tables from files of each format; files that are damaged, incomplete or ambiguous raise an error of one line."""

import csv
import gzip
import io
import os
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from bench.data import DATA
from fcfast.datafiles import ENDINGS, Table, read_table

X = np.array([[0.1, -2.0, 3e-7], [4.0, 5.5, 1e300]])
LINES = "0.1,-2,3e-7\n4,5.5,1e300\n"


@pytest.fixture
def write(tmp_path):
    """``write("a.csv", text or bytes)``: a file in a folder of its own."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture(scope="module")
def one_path(tmp_path_factory):
    """One path for all examples of a property."""
    return tmp_path_factory.mktemp("csv") / "a.csv"


@pytest.fixture
def savez(tmp_path):
    """``savez(X=..., y=...)``: an .npz file of these arrays."""

    def savez(**arrays: object) -> Path:
        path = tmp_path / "table.npz"
        np.savez(path, **arrays)
        return path

    return savez


@pytest.fixture
def parquet(tmp_path):
    """``parquet({"a": [1, 2]})``: a Parquet file of these columns; skipped without pyarrow."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    def parquet(columns: dict) -> Path:
        path = tmp_path / "table.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return parquet


@pytest.fixture
def svmlight():
    """Skip where scikit-learn, which reads svmlight files, is missing."""
    pytest.importorskip("sklearn")


def dense(X):
    """Make an array of a sparse or dense matrix."""
    return X.toarray() if sparse.issparse(X) else X


def refuse(path, message, target=None, error=ValueError, **options):
    """Check the one-line message, a pattern, of the error that reading `path` raises."""
    with pytest.raises(error, match=message) as caught:
        read_table(path, target, **options)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


# ----------------------------------------------------------------------------------------------------------------------
# delimited text


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [("a.csv", ","), ("a.CSV", ";"), ("a.csv", "\t"), ("a.tsv", "\t"), ("a.v2.txt", "\t"), ("a.txt", ","), ("a.txt", ";")],
)
@pytest.mark.parametrize("header", ["", "u,v,w\n"], ids=["bare", "named"])
@pytest.mark.parametrize("compressed", [False, True], ids=["", "gz"])
def test_delimited(write, name, delimiter, header, compressed):
    """Each delimiter, with and without a header line, plain and compressed."""
    text = (header + LINES).replace(",", delimiter).encode()
    table = read_table(write(name + ".gz", gzip.compress(text)) if compressed else write(name, text))
    np.testing.assert_array_equal(table.X, X)
    assert table.X.dtype == np.float64
    assert table.feature_names == (["u", "v", "w"] if header else None)
    assert table.y is None
    assert table.target_names is None
    assert table.n_train is None


@pytest.mark.parametrize("text", ["0.1 -2 3e-7\n4 5.5 1e300\n", "  0.1   -2 3e-7 \n\n4    5.5  1e300"])
def test_white_space(write, text):
    """A .txt without other delimiters is split at white space, however much."""
    np.testing.assert_array_equal(read_table(write("a.txt", text)).X, X)


@pytest.mark.parametrize(
    "text",
    [
        LINES.rstrip(),
        LINES.replace("\n", "\r\n"),
        "\n" + LINES.replace("\n", "\n\n"),
        "\ufeff" + LINES,
        LINES.replace(",", ",  ").replace("  -2", '"-2 "'),
    ],
    ids=["no end of line", "CRLF", "blank lines", "byte order mark", "quotes and spaces"],
)
def test_text_variants(write, text):
    """What spreadsheets and other systems write."""
    np.testing.assert_array_equal(read_table(write("a.csv", text)).X, X)


def test_byte_order_mark_is_not_part_of_a_name(write):
    """The first name is clean, so that it can be asked for."""
    assert read_table(write("a.csv", "\ufeffkind, b \nx,1\ny,2\n"), "kind").feature_names == ["b"]


def test_read_array_is_writeable(write):
    """It is an array like any other."""
    table = read_table(write("a.csv", LINES))
    table.X[0, 0] = 7
    assert table.X[0, 0] == 7


@given(
    rows=st.integers(1, 3).flatmap(
        lambda d: st.lists(
            st.tuples(
                st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=d, max_size=d),
                st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1).map("l".__add__),
            ),
            min_size=1,
            max_size=5,
        )
    ),
    named=st.booleans(),
    first=st.booleans(),
)
def test_csv_round_trip(one_path, rows, named, first):
    """What the csv module writes is read back bit for bit, any text as a label."""
    d = len(rows[0][0])
    names = [f"feature, {j}" for j in range(d)]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    for features, label in [(names, "the label")] * named + rows:
        writer.writerow([label, *features] if first else [*features, label])
    one_path.write_bytes(stream.getvalue().encode())
    table = read_table(one_path, target=0 if first else -1)
    np.testing.assert_array_equal(table.X, [features for features, _ in rows])
    assert table.y.tolist() == [label.strip() for _, label in rows]
    assert table.feature_names == (names if named else None)


# ----------------------------------------------------------------------------------------------------------------------
# the target of delimited text


@pytest.mark.parametrize("target", ["kind", 1, -2, "1", "-2", np.int64(1)])
def test_target(write, target):
    """By name, by index from either end, by an index that is written as a string."""
    table = read_table(write("a.csv", "u,kind,w\n1,x,2\n3,yy,4\n"), target)
    assert table.X.tolist() == [[1, 2], [3, 4]]
    assert table.y.tolist() == ["x", "yy"]
    assert table.y.dtype.kind == "U"
    assert table.feature_names == ["u", "w"]


def test_target_without_header(write):
    """Class names in the first line are no reason to take it for a header."""
    table = read_table(write("a.csv", "1,2,x\n3,4,y\n"), -1)
    assert table.X.tolist() == [[1, 2], [3, 4]]
    assert table.y.tolist() == ["x", "y"]
    assert table.feature_names is None


@pytest.mark.parametrize(
    ("labels", "values", "kind"),
    [
        (["0", "2", "-1"], [0, 2, -1], "i"),
        (["1.0", "2", "3.e+00"], [1, 2, 3], "i"),
        (["0.5", "2", "3"], [0.5, 2, 3], "f"),
        (["1e+17", "2", "3"], [1e17, 2, 3], "f"),
        (["1", "2", "2a"], ["1", "2", "2a"], "U"),
        (["no", "some", "1_000"], ["no", "some", "1_000"], "U"),
    ],
)
def test_target_type(write, labels, values, kind):
    """Whole numbers are integers, other numbers floats, and with text among them all are class names."""
    table = read_table(write("a.csv", "x,t\n" + "".join(f"1,{label}\n" for label in labels)), "t")
    assert table.y.tolist() == values
    assert table.y.dtype.kind == kind


def test_name_goes_before_index(write):
    """A column named 0 is that column, wherever it stands."""
    path = write("a.csv", "a,0\n1,2\n")
    assert read_table(path, "0", header=True).y.tolist() == [2]
    assert read_table(path, 0, header=True).y.tolist() == [1]


def test_names_that_are_numbers(write):
    """Wavelengths as names: known from the name of the target, or announced, or else data."""
    spectra = write("a.csv", "900,902.5,octane\n1,2,88.1\n3,4,85.3\n")
    table = read_table(spectra, "octane")
    assert table.feature_names == ["900", "902.5"]
    assert table.y.tolist() == [88.1, 85.3]
    unlabelled = write("b.csv", "900,902.5\n1,2\n")
    assert read_table(unlabelled, header=True).X.tolist() == [[1, 2]]
    assert read_table(unlabelled).X.tolist() == [[900, 902.5], [1, 2]]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("Speces", r"has no column 'Speces'; did you mean 'species'\?"),
        ("WIDTH", "has no column 'WIDTH'; did you mean 'Width'"),
        ("qqq", "has no column 'qqq'; it has 'length', 'Width', 'species'"),
        (3, "has no column 3; it has 3, use 0 to 2, or -1 for the last"),
        ("-4", "has no column -4; it has 3"),
    ],
)
def test_missing_target(write, target, message):
    """The message shows names that are close, or those there are."""
    refuse(write("a.csv", "length,Width,species\n1,2,x\n"), message, target)


def test_missing_target_among_many(write):
    """The message stays short."""
    names = [f"g{j}" for j in range(2000)]
    refuse(write("a.csv", f"{','.join(names)}\n"), "it has 'g0', 'g1', 'g2', ..., 'g1998', 'g1999'$", "outcome")


def test_ambiguous_target(write):
    """Two columns of the name asked for."""
    refuse(write("a.csv", "a,t,t\n1,2,3\n"), "has 2 columns named 't'; give the index", "t")


def test_named_target_without_header(write):
    """A name needs a header line."""
    refuse(write("a.csv", LINES), "has no header line to look for 'w' in; give the column's index", "w", header=False)


# ----------------------------------------------------------------------------------------------------------------------
# what delimited text must not hold


@pytest.mark.parametrize("value", ["male", "1_000", "--", "0x10"])
@pytest.mark.parametrize("header", ["g1;sex\n", ""], ids=["named", "bare"])
def test_text_for_a_number(write, value, header):
    """The message has the column, the line and the value."""
    column = "'sex'" if header else r"1 \(counted from 0\)"
    path = write("a.csv", f"{header}1;2\n\n3;{value}\n")
    refuse(path, rf"column {column}, line {4 if header else 3}: '{value}' is not a number; encode .* or name it with --id")


def test_options_for_a_column_of_text(write):
    """What to type, ready for the shell."""
    path = write("a.csv", "a,type of tumour\n1,x\n")
    refuse(path, r"make it the target \(--target 'type of tumour'\), or name it with --id 'type of tumour'")


@pytest.mark.parametrize("text", ["a;b\n1,5;2\n", "1,5;2,5\n3,5;4\n", "1,5;2\n,5;4\n", "a\tb\n1,5\t2\n"])
def test_decimal_commas(write, text):
    """Named for what they are, with a header line or without."""
    refuse(write("a.csv" if ";" in text else "a.tsv", text), "decimal commas.*; write points")


def test_commas_between_whole_numbers_and_names(write):
    """Only numbers alone make a comma a decimal one."""
    assert read_table(write("a.csv", "1,5,2\n3,4,5\n")).X.shape == (2, 3)
    assert read_table(write("b.csv", "x;1,y\n3,4\n")).feature_names == ["x;1", "y"]


@pytest.mark.parametrize("ids", ["name", 0, "0"])
def test_names_of_samples(write, parquet, ids):
    """No feature, whatever they are, and given back; beside a target too."""
    path = write("a.csv", "name,a,t,b\n s1,1,x,2\n7,3,y,4\n")
    table = read_table(path, "t", ids=ids)
    assert (table.ids, table.X.tolist(), table.y.tolist(), table.feature_names) == (
        ["s1", "7"], [[1, 2], [3, 4]], ["x", "y"], ["a", "b"],
    )  # fmt: skip
    table = read_table(parquet({"name": ["s1", "s2"], "a": [1, 2]}), ids=ids)
    assert (table.ids, table.X.tolist()) == (["s1", "s2"], [[1], [2]])


def test_names_of_samples_without_a_header(write):
    """By index, in a column that R leaves unnamed too; not twice the same column."""
    assert read_table(write("a.csv", "s1,1\ns2,3\n"), ids=0).ids == ["s1", "s2"]
    path = write("b.csv", '"","a"\n"1",0.5\n')
    assert read_table(path, ids=0).feature_names == ["a"]
    refuse(path, "column 0 .* has no name in line 1", ids="a")
    refuse(write("c.csv", "a,b\n1,2\n"), "is the target and names the samples too", "b", ids=1)


def test_names_of_samples_in_arrays(savez, tmp_path):
    """An array of an .npz of its own; other files have no place for them."""
    path = savez(X=X, names=np.array(["u", "v"]), few=np.array(["u"]), y=np.array([0, 1]))
    assert read_table(path, ids="names").ids == ["u", "v"]
    refuse(path, "has no array 'name'; did you mean 'names'", ids="name")
    refuse(path, "has 1 names of samples for 2 samples", ids="few")
    refuse(path, "names of samples have dtype float64", ids="X")
    np.save(tmp_path / "x.npy", X)
    refuse(tmp_path / "x.npy", "cannot hold names of samples; leave out ids='a'", ids="a")


def test_only_the_features_that_are_needed(write, parquet):
    """Other columns are skipped unread, text and gaps and all; those that lack are named."""
    path = write("a.csv", "id,b,kind,gap,a\ns1,1,x,,2\ns2,3,y,,4\n")
    table = read_table(path, features=["a", "b"])
    assert (table.X.tolist(), table.feature_names, table.skipped) == ([[1, 2], [3, 4]], ["b", "a"], ["id", "kind", "gap"])
    table = read_table(path, "kind", ids="id", features=["a", "b"])
    assert (table.ids, table.y.tolist(), table.skipped) == (["s1", "s2"], ["x", "y"], ["gap"])
    refuse(path, "lacks 1 of the 2 features that are needed: 'c'$", features=["a", "c"])
    refuse(path, "lacks 1 of the 2 features that are needed: 'b'$", "b", features=["a", "b"])
    assert read_table(write("n.csv", "900,note,902\n1,x,2\n"), features=["900", "902"]).X.tolist() == [[1, 2]]
    columns = {"id": ["s1", "s2"], "a": [1, 2], "t": [0, 1]}
    table = read_table(parquet(columns), "t", features=["a"])
    assert (table.X.tolist(), table.y.tolist(), table.skipped) == ([[1], [2]], [0, 1], ["id"])


def test_text_for_a_number_beside_the_target(write):
    """Columns keep their index in the file when the target is taken out."""
    refuse(write("a.csv", "1,x,2,3\n1,x,2,b\n"), r"column 3 \(counted from 0\), line 2: 'b'", 1)


def test_long_text_is_cut(write):
    """A cell of any length makes a short message."""
    path = write("a.csv", f"a,b\n1,{'z' * 10_000}\n")
    with pytest.raises(ValueError, match="is not a number") as caught:
        read_table(path)
    assert len(str(caught.value)) < len(str(path)) + 200


@pytest.mark.parametrize("gap", ["", "  ", "NA", "nan", "N/A", "null", "?", "inf", "-Infinity", "1e999"])
def test_gaps_in_features(write, gap):
    """The message has the first column, how many lines, the first line, how many columns more, and what to do."""
    path = write("a.csv", f"a,b,c\n1,2,3\n4,{gap},{gap}\n5,{gap},6\n")
    message = r"column 'b' is empty, NaN or infinite in 2 line\(s\), the first is line 3, and so are 1 more column\(s\); fill"
    refuse(path, message)


def test_gap_in_first_line(write):
    """A line of numbers with a gap is no header."""
    refuse(write("a.csv", "1,,3\n4,5,6\n"), r"column 1 \(counted from 0\) is empty, NaN or infinite in 1 line\(s\), .* line 1;")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("1", ""), "is empty, NaN or infinite in 1 line(s), the first is line 3; leave out the lines without a target"),
        (("x", ""), "is empty in 1 line(s), the first is line 3; leave out the lines without a target"),
        (
            ("x", "NA"),
            "is 'NA' or empty in 1 line(s), the first is line 3; if 'NA' is a class and not a missing value, use --missing ''",
        ),
        (("1.5", "nan"), "is empty, NaN or infinite in 1 line(s), the first is line 3; if 'nan' is a class"),
        (
            ("1", "inf"),
            "is empty, NaN or infinite in 1 line(s), the first is line 3; if 'inf' is the name of a class, use "
            "--target-type labels; else leave out",
        ),
    ],
)
def test_gap_in_target(write, labels, message):
    """A sample without a target is refused, whether the others have numbers or names; nobody is told to take a mean."""
    path = write("a.csv", f"a,t\n1,{labels[0]}\n2,{labels[1]}\n")
    refuse(path, re.escape(f"column 't' {message}"), "t")


@pytest.mark.parametrize(("line", "n_cells"), [("3", 1), ("3,4,5", 3), ("3,4,", 3)])
def test_ragged_lines(write, line, n_cells):
    """The message has the line and both lengths."""
    refuse(write("a.csv", f"a,b\n1,2\n\n{line}\n"), rf"line 4 has {n_cells} cell\(s\) instead of 2")


def test_first_line_of_numbers_and_text(write):
    """Names or data? It is asked, not guessed, and can be answered."""
    path = write("a.csv", "5,wide\n1,2\n")
    refuse(path, r"line 1 has numbers \('5'\) and text \('wide'\), .* use header=True .*or header=False")
    assert read_table(path, header=True).feature_names == ["5", "wide"]
    refuse(path, "line 1: 'wide' is not a number", header=False)


def test_header_hidden_by_the_target(write):
    """A first target unlike the others: the name of the column, or a class? It is asked, not guessed."""
    path = write("a.csv", "octane,900,902\n88,1,2\n85,3,4\n")
    refuse(path, r"text in line 1 \('octane'\) and numbers below, .* use header=True .*or header=False", 0)
    assert read_table(path, 0, header=True).y.tolist() == [88, 85]
    assert read_table(path, "octane").y.tolist() == [88, 85]
    assert read_table(path, 0, header=False).y.tolist() == ["octane", "88", "85"]


def test_unnamed_column(write):
    """The row numbers that R and pandas write are not a feature."""
    refuse(write("a.csv", '"","a"\n"1",0.5\n'), r"column 0 .* has no name in line 1; .* \(R: row.names=FALSE")


@pytest.mark.parametrize("content", ["", "\n \n\n", b"\xef\xbb\xbf"])
def test_empty_text(write, content):
    """Nothing is not a table."""
    refuse(write("a.csv", content), "is empty; a line of numbers for each sample is needed")


def test_no_samples_or_no_features(write):
    """A header alone, or a target alone."""
    refuse(write("a.csv", "a,b\n"), r"has 0 line\(s\) of data and 2 feature\(s\); at least one of each is needed")
    refuse(write("a.csv", "t\n1\n"), r"has 1 line\(s\) of data and 0 feature\(s\)", "t")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", 'a,b\n1,"2\n3,4\n', "unexpected end of data"),
        ("a.csv", 'a,b\n1,"2"3\n', "expected after"),
        ("a.csv", f'a,b\n1,"{"," * 200_000}"\n', "field larger than field limit"),
        ("a.csv.gz", LINES, "gzip"),
    ],
)
def test_undecodable_text(write, name, content, reason):
    """Quotes left open, endless cells, gzip only by name."""
    refuse(write(name, content), f"cannot be read as delimited text .*{reason}.*; save it again as plain text in UTF-8")


# ----------------------------------------------------------------------------------------------------------------------
# the file itself


def test_missing_file(tmp_path):
    """Nothing there, or a folder."""
    refuse(tmp_path / "a.csv", "data file .* does not exist; check the path", error=FileNotFoundError)
    refuse(tmp_path, "is a folder; give the path of a file", error=FileNotFoundError)


@pytest.mark.parametrize("error", [PermissionError, MemoryError])
@pytest.mark.parametrize("name", ["a.csv", "a.npz"])
def test_sound_file_that_cannot_be_read(write, monkeypatch, name, error):
    """A file that is locked or too large is not called damaged."""

    def fail(*args, **kwargs):
        raise error("as the system says")

    monkeypatch.setattr("fcfast.datafiles.sources.open", fail, raising=False)
    with pytest.raises(error, match="as the system says"):
        read_table(write(name, LINES))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("n_lines", [0, 3, 5000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_in_another_encoding(write, compressed, n_lines, end):
    """The byte and its line, and what to do."""
    content = (f"a,b,dx{end}" + f"1,2,x{end}" * n_lines + f"1,3,f\u00e4lle{end}" + f"1,2,x{end}" * 5000).encode("cp1252")
    path = write("a.csv.gz" if compressed else "a.csv", gzip.compress(content) if compressed else content)
    refuse(
        path, rf"is not UTF-8 \(byte 0xe4 in line {n_lines + 2}\), perhaps Windows-1252; in Excel save it as 'CSV UTF-8'", "dx"
    )


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("10%", "a percentage; leave out the sign in the whole column, as in 10$"),
        ("<0.1", "a value beyond a limit"),
        (">= 5", "a value beyond a limit"),
        ("\u22121.5", r"its minus is the character U\+2212; replace it by the hyphen, as in -1.5$"),
        ("#DIV/0!", "an error value of Excel; correct the formula"),
        ("#n/a", "an error value of Excel; correct the formula"),
        ("#NAME?", "an error value of Excel; correct the formula"),
        ("<b", "encode the column as numbers"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_what_a_cell_looks_like(write, cell, message, first):
    """The message says what it is; errors of Excel at the start of a line are no comment."""
    row = f"{cell},1" if first else f"1,{cell}"
    refuse(
        write("a.csv", f"a,b,dx\n1,2,x\n{row},z\n"),
        f"column '{'a' if first else 'b'}', line 3: .*: {message}" if "b" not in cell else message,
        "dx",
    )
    assert read_table(write("b.csv", "# N/A\n#note: a\na,b\n1,2\n")).X.tolist() == [[1, 2]]


def test_error_of_excel_in_the_target(write):
    """A gap, unless it is said to be a class."""
    path = write("a.csv", "a,dx\n1,x\n2,#N/A\n3,y\n")
    refuse(path, "is '#N/A' or empty in 1 line", "dx")
    assert read_table(path, "dx", missing="").y.tolist() == ["x", "#N/A", "y"]
    refuse(write("b.csv", "a,dx\n1,1\n2,#REF!\n3,2\n"), "is empty, NaN .* line 3", "dx")


def test_class_called_inf(write):
    """It can be read as a number, so that the message says how to have it as a name."""
    path = write("a.csv", "a,dx\n1,inf\n2,1\n3,1\n")
    refuse(path, "if 'inf' is the name of a class, use --target-type labels; else leave out", "dx")
    assert read_table(path, "dx", target_type="labels").y.tolist() == ["inf", "1", "1"]


@pytest.mark.parametrize("name", ["a.xlsx", "a.XLS", "a.ods"])
def test_spreadsheet(write, name):
    """What to do with it."""
    refuse(write(name, "PK"), "is a spreadsheet; open it and save the sheet as 'CSV UTF-8', then give that file")


@pytest.mark.parametrize("name", ["a.docx", "a", "csv"])
def test_unknown_ending(write, name):
    """The message lists those that are known."""
    known = re.escape(", ".join(ENDINGS))
    refuse(write(name, LINES), rf"the ending '{Path(name).suffix}' is unknown; use one of {known} \(text also with .gz\)")


@pytest.mark.parametrize("name", ["a.npz.gz", "a.parquet.gz", "a.gz"])
def test_only_text_is_compressed(write, name):
    """Binary files have a compression of their own."""
    refuse(write(name, b""), r"only text may be compressed \(\.csv, .*\); unpack it with gunzip")


@pytest.mark.parametrize(
    ("name", "module", "remedy"),
    [
        ("a.parquet", "pyarrow", r"needs pyarrow; install it with: pip install 'fcfast\[parquet\]'"),
        ("a.svm", "sklearn.datasets", "needs scikit-learn; install it with: pip install scikit-learn"),
    ],
)
def test_missing_library(write, monkeypatch, name, module, remedy):
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    refuse(write(name, b""), remedy, error=ImportError)


# ----------------------------------------------------------------------------------------------------------------------
# .npz


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "bool"])
def test_npz(savez, dtype):
    """Arrays come as they are, with all that is said about them."""
    names = {"target_names": ["no", "yes"], "feature_names": ["a", "b", "c"]}
    inputs = np.array([[0, 1, 2], [3, 0, 5]]).astype(dtype)
    table = read_table(savez(X=inputs, y=[1, 0], n_train=1, other=[1], **names))
    assert table.X.dtype == dtype
    np.testing.assert_array_equal(table.X, inputs)
    assert table.y.tolist() == [1, 0]
    assert (table.target_names, table.feature_names) == (["no", "yes"], ["a", "b", "c"])
    assert table.n_train == 1


def test_npz_target(savez):
    """The target is y if there is one, or another array; names of classes belong to y."""
    path = savez(X=X, y=[0, 0], weight=[0.5, 1.5], target_names=["a"])
    assert read_table(path, "y").target_names == ["a"]
    table = read_table(path, "weight")
    assert table.y.tolist() == [0.5, 1.5]
    assert table.target_names is None
    table = read_table(savez(X=X, target_names=["a"]))
    assert (table.y, table.target_names) == (None, None)
    refuse(savez(X=X, weight=[1, 2]), "has no array 'weigth'; did you mean 'weight'", "weigth")
    refuse(savez(X=X), "has no array 'y'; it has 'X'", "y")
    refuse(savez(X=X), "has no array 'x'; did you mean 'X'", "x")


def test_npz_of_class_names(savez):
    """Labels may be names."""
    assert read_table(savez(X=X, y=["a", "b"])).y.tolist() == ["a", "b"]


def test_npz_of_several_outputs(savez):
    """Names of outputs are told from names of classes by the shape of y."""
    table = read_table(savez(X=X, y=X[:, :2], target_names=["fat", "water"]))
    np.testing.assert_array_equal(table.y, X[:, :2])
    assert table.target_names == ["fat", "water"]


@pytest.mark.parametrize("scipy_format", [False, True])
def test_npz_csr(savez, tmp_path, scipy_format):
    """The four arrays of a CSR matrix, also as SciPy saves them."""
    matrix = sparse.csr_array(np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0]], dtype="uint16"))
    path = tmp_path / "table.npz"
    if scipy_format:
        sparse.save_npz(path, matrix)
    else:
        savez(data=matrix.data, indices=matrix.indices, indptr=matrix.indptr, shape=matrix.shape, y=[0, 1, 2])
    table = read_table(path)
    assert table.X.format == "csr"
    assert table.X.dtype == np.uint16
    np.testing.assert_array_equal(table.X.toarray(), matrix.toarray())
    assert (table.y is None) == scipy_format


def test_npz_csr_becomes_canonical(savez):
    """Entries that are given twice are added, and columns sorted."""
    table = read_table(savez(data=[1.0, 2.0, 4.0], indices=[2, 0, 2], indptr=[0, 3], shape=[1, 3]))
    assert table.X.data.tolist() == [2, 5]
    assert table.X.indices.tolist() == [0, 2]


CSR = {"data": [1.0, 2.0], "indices": [0, 1], "indptr": [0, 1, 2], "shape": [2, 2]}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"indices": [0, 2]}, "cannot be read as a CSR matrix .*; save it again with scipy.sparse.save_npz"),
        ({"indices": [0, -1]}, "cannot be read as a CSR matrix"),
        ({"indptr": [0, 2, 1]}, "cannot be read as a CSR matrix"),
        ({"indptr": [0, 1, 3]}, "cannot be read as a CSR matrix"),
        ({"indptr": [0, 2]}, "cannot be read as a CSR matrix"),
        ({"shape": [2, 2, 2]}, "cannot be read as a CSR matrix"),
        ({"shape": ["a", "b"]}, "cannot be read as a CSR matrix"),
        ({"data": ["a", "b"]}, "cannot be read as a CSR matrix|real numbers"),
        ({"format": "lil"}, r"sparse matrix in format 'lil'; save matrix.tocsr\(\)"),
        ({"format": "csc", "indices": [0, 2]}, "cannot be read as a CSC matrix"),
        ({"data": [1, np.nan]}, r"column 1 \(counted from 0\) is empty, NaN or infinite in 1 row\(s\), the first is row 1;"),
    ],
    ids=str,
)
def test_npz_csr_refused(savez, damage, message):
    """Indices that a loop over the matrix would follow out of it, other formats, gaps."""
    refuse(savez(**CSR | damage), message)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "has no array 'X', nor all of data, indices, indptr, shape; it has 'x'"),
        ({"X": X[0]}, r"X has dtype float64 and shape \(3,\); real numbers \(n_samples, n_features\) are needed"),
        ({"X": X[:0]}, r"shape \(0, 3\)"),
        ({"X": X[:, :0]}, r"shape \(2, 0\)"),
        ({"X": X * 1j}, "X has dtype complex128"),
        ({"X": [["1", "2"]]}, "X has dtype <U1"),
        ({"X": X, "y": [1, 2, 3]}, r"the target has dtype int64 and shape \(3,\), but X has 2 samples"),
        ({"X": X, "y": 1}, r"the target has dtype int64 and shape \(\)"),
        ({"X": X, "y": np.ones((2, 0))}, r"shape \(2, 0\)"),
        ({"X": X, "y": [["a"], ["b"]]}, r"dtype <U1 and shape \(2, 1\)"),
        ({"X": X, "y": [b"a", b"\xff"]}, "cannot be read as an .npz archive .*; save y as text in UTF-8"),
        ({"X": X, "y": [np.nan, 1]}, r"column 'target' is empty, NaN or infinite in 1 row\(s\), the first is row 0"),
        ({"X": X, "y": [[1, 2], [3, np.inf]], "target_names": ["u", "v"]}, "column 'v' is empty, .* the first is row 1"),
        ({"X": np.full((2, 3), np.nan), "feature_names": list("abc")}, r"column 'a' .* 2 row\(s\), .* so are 2 more col"),
        ({"X": X, "y": [0, 2], "target_names": ["a", "b"]}, "2 target_names, but labels 0 to 2; use 0 to 1"),
        ({"X": X, "y": [-1, 0], "target_names": ["a", "b"]}, "2 target_names, but labels -1 to 0; use 0 to 1"),
        ({"X": X, "y": X * np.nan, "target_names": ["a"]}, "1 target_names for 3 outputs; give one for each"),
        ({"X": X, "feature_names": ["a"]}, "1 feature_names for 3 features; give one for each"),
        ({"X": X, "feature_names": [1, 2, 3]}, r"feature_names has dtype int64 and shape \(3,\); save a list of strings"),
        ({"X": X, "n_train": 3}, "n_train is 3, but there are 2 samples; use 1 to 2"),
        ({"X": X, "n_train": 0}, "n_train is 0"),
        ({"X": X, "n_train": 1.0}, r"n_train has dtype float64 and shape \(\); save one integer"),
    ],
)
def test_npz_refused(savez, arrays, message):
    """Arrays that are missing, of a wrong kind, with gaps, or do not fit one another."""
    refuse(savez(**arrays), message)


class Bomb:
    """Unpickling an instance makes the folder `Bomb.path`."""

    path: Path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["X", "y", "target_names"])
def test_npz_never_unpickles(savez, tmp_path, name):
    """Pickled objects are refused before their code runs."""
    Bomb.path = tmp_path / "exploded"
    path = savez(**{"X": X, "y": [0, 1]} | {name: np.array([Bomb(), None], dtype=object)})
    with np.load(path, allow_pickle=True) as arrays:
        assert arrays[name].dtype == object
    assert Bomb.path.exists(), "the bomb is a dud, so the test would prove nothing"
    Bomb.path.rmdir()
    refuse(path, "cannot be read as an .npz archive .*pickled objects are refused")
    assert not Bomb.path.exists()


def test_npz_of_other_names(savez):
    """The message says how to save it."""
    refuse(savez(data=X, labels=X[:, 0]), r"it has 'data', 'labels'; save it again with numpy.savez\(path, X=..., y=...\)$")


def test_npz_by_name_only(write):
    """An .npy file with the wrong ending."""
    stream = io.BytesIO()
    np.save(stream, X)
    refuse(
        write("a.npz", stream.getvalue()),
        r"cannot be read as an .npz archive \(it is not a zip archive, or it is truncated\); write",
    )


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_bare_pickle(write, tmp_path, name):
    """A pickle under another name is refused too."""
    Bomb.path = tmp_path / "exploded"
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb()))
    refuse(path, "pickled objects are refused")
    assert not Bomb.path.exists()


# ----------------------------------------------------------------------------------------------------------------------
# .npy


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path, order):
    """The array stays on disk, read-only; the target is another file."""
    np.save(tmp_path / "X.npy", np.asarray(X, order=order))
    np.save(tmp_path / "y.npy", [3, 1])
    table = read_table(tmp_path / "X.npy", str(tmp_path / "y.npy"))
    assert isinstance(table.X, np.memmap)
    assert not table.X.flags.writeable
    np.testing.assert_array_equal(table.X, X)
    assert table.y.tolist() == [3, 1]
    assert read_table(tmp_path / "X.npy").y is None
    assert read_table(tmp_path / "X.npy", tmp_path / "y.npy").y.tolist() == [3, 1]


def test_npy_is_not_paged_through(tmp_path):
    """Reading is free, whatever the size: gaps are left to training, which has to look at every number anyway."""
    np.save(tmp_path / "X.npy", [[np.nan]])
    assert np.isnan(read_table(tmp_path / "X.npy").X).all()


def test_npy_refused(tmp_path):
    """A target that is no file, is missing or does not fit; objects; an archive under a wrong name."""
    path = tmp_path / "X.npy"
    np.save(path, X)
    for target in ("y", 0, -1):
        refuse(path, f"is one array, so target={target!r} is unknown; give the path of an .npy file with the target", target)
    with pytest.raises(FileNotFoundError, match=r"target file .*y\.npy does not exist; check the path"):
        read_table(path, tmp_path / "y.npy")
    np.save(tmp_path / "y.npy", [1, 2, 3])
    refuse(path, r"the target has dtype int64 and shape \(3,\), but X has 2 samples", tmp_path / "y.npy")
    np.save(path, X[0])
    refuse(path, r"X has dtype float64 and shape \(3,\)")
    np.save(path, np.array([[None]]))
    refuse(path, "cannot be read as an .npy array .*pickled objects are refused")
    with open(path, "wb") as file:
        np.savez(file, X=X)
    refuse(path, "cannot be read as an .npy array")


# ----------------------------------------------------------------------------------------------------------------------
# svmlight


@pytest.mark.parametrize("name", ["a.svm", "a.svmlight", "a.libsvm", "a.svm.gz"])
def test_svmlight(svmlight, write, name):
    """Feature j of the file is column j, in every file; comments are dropped."""
    text = b"# a comment\n1 1:0.5 3:2\n-1 2:-4 # another\n"
    table = read_table(write(name, gzip.compress(text) if name.endswith("gz") else text))
    assert table.X.format == "csr"
    assert table.X.toarray().tolist() == [[0, 0.5, 0, 2], [0, 0, -4, 0]]
    assert table.y.tolist() == [1, -1]
    assert table.y.dtype.kind == "i"


def test_svmlight_width(svmlight, write):
    """A file with fewer features can be read to the width of another; one with more is refused."""
    path = write("a.svm", "0.5 0:1 2:1\n")
    table = read_table(path, n_features=5)
    assert table.X.toarray().tolist() == [[1, 0, 1, 0, 0]]
    assert table.y.tolist() == [0.5]
    table = read_table(path, n_features=2)
    assert (table.X.toarray().tolist(), table.skipped) == ([[1, 0]], ["2"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x 1:2\n", "cannot be read as svmlight text .*; write it again with sklearn.datasets.dump_svmlight_file"),
        ("1 1:a\n", "cannot be read as svmlight text"),
        ("1 -1:2\n", "cannot be read as svmlight text"),
        ("1 2:1 1:1\n", "cannot be read as svmlight text"),
        (f"1 {10**30}:1\n", "cannot be read as svmlight text"),
        ("1 1:1\n1 3:nan\n", r"column 3 \(counted from 0\) is empty, NaN or infinite in 1 row\(s\), the first is row 1"),
        ("nan 1:1\n", "column 'target' is empty, NaN or infinite"),
        ("# nothing\n", "cannot be read as svmlight text|real numbers"),
    ],
)
def test_svmlight_refused(svmlight, write, text, message):
    """Text for numbers, indices that cannot be, gaps, no samples."""
    refuse(write("a.svm", text), message)


def test_svmlight_target(svmlight, write):
    """There is no other target to choose."""
    refuse(write("a.svm", "1 1:2\n"), "has its target at the start of every line; leave out target='y'", "y")


# ----------------------------------------------------------------------------------------------------------------------
# .parquet


def test_parquet(parquet):
    """Columns of any kind of number; the target by name or index."""
    columns = {"a": [1, 2], "kind": ["x", " yy"], "b": [0.5, 1.5], "c": [True, False]}
    table = read_table(parquet(columns), "kind")
    assert table.X.tolist() == [[1, 0.5, 1], [2, 1.5, 0]]
    assert table.y.tolist() == ["x", "yy"]
    assert table.feature_names == ["a", "b", "c"]
    assert read_table(parquet(columns), "1").y.tolist() == ["x", "yy"]
    del columns["kind"]
    assert read_table(parquet(columns)).y is None
    table = read_table(parquet(columns), -1)
    assert table.y.tolist() == ["True", "False"]
    assert table.feature_names == ["a", "b"]
    np.testing.assert_array_equal(table.X, [[1, 0.5], [2, 1.5]])


def test_parquet_types(parquet):
    """Single precision stays single; decimals, categories and large strings are read."""
    pa = pytest.importorskip("pyarrow")
    assert read_table(parquet({"a": np.float32([1, 2])})).X.dtype == np.float32
    decimals = pa.array([1, 2]).cast(pa.decimal128(21, 2))
    assert read_table(parquet({"a": decimals})).X.tolist() == [[1], [2]]
    for labels in (pa.array(["u", "v"]).dictionary_encode(), pa.array(["u", "v"], pa.large_string())):
        assert read_table(parquet({"a": [1, 2], "t": labels}), "t").y.tolist() == ["u", "v"]
    assert read_table(parquet({"a": [1, 2], "__index_level_0__": [7, 8]})).feature_names == ["a"]


@pytest.mark.parametrize(
    ("columns", "target", "message"),
    [
        ({"a": [1, 2], "b": [None, "x"]}, None, "column 'b', row 1: 'x' is not a number; encode the column"),
        ({"a": [[1, 2], [3]]}, None, r"column 'a', row 0: \[1, 2\] is not a number"),
        ({"a": [1, 2], "b": [None, 1]}, None, r"column 'b' is empty, NaN or infinite in 1 row\(s\), the first is row 0"),
        ({"a": [1.0, np.nan]}, None, "column 'a' is empty, .* the first is row 1"),
        ({"a": [None, None]}, None, r"column 'a' is empty, NaN or infinite in 2 row\(s\)"),
        ({"a": [True, None]}, None, r"column 'a' is empty, NaN or infinite in 1 row\(s\)"),
        ({"a": [1, 2], "t": ["x", None]}, "t", r"column 't' is empty in 1 row\(s\), the first is row 1"),
        ({"a": [1, 2], "t": [0.5, None]}, "t", r"column 't' is empty, NaN or infinite in 1 row\(s\), the first is row 1"),
        ({"a": [1], "outcome": [1]}, "outcom", r"has no column 'outcom'; did you mean 'outcome'\?"),
        ({"a": [1], "b": [1]}, 2, "has no column 2; it has 2, use 0 to 1"),
        ({"t": [1]}, "t", r"has no features, only 1 column\(s\)"),
        ({"a": np.zeros(0)}, None, r"shape \(0, 1\)"),
    ],
)
def test_parquet_refused(parquet, columns, target, message):
    """The same refusals as for text, with rows in place of lines."""
    refuse(parquet(columns), message, target)


def test_parquet_with_invalid_text(parquet):
    """Text that is no UTF-8 is found when the file is read."""
    pa = pytest.importorskip("pyarrow")
    text = pa.StringArray.from_buffers(2, pa.py_buffer(np.int32([0, 1, 2])), pa.py_buffer(b"a\xff"))
    refuse(parquet({"a": [1, 2], "t": text}), "cannot be read as Parquet .*; write it again", "t")


# ----------------------------------------------------------------------------------------------------------------------
# damaged files

TABLE = "a,b,kind\n" + "".join(f"{i / 7},{-i},k{i}\n" for i in range(6))


def attempt(path: Path, target: str | int | None) -> Table | ValueError:
    """Read a file, or check that the ValueError names it in one line; any other exception fails the test."""
    try:
        return read_table(path, target)
    except ValueError as error:
        refusal = error
    assert str(path) in str(refusal)
    assert "\n" not in str(refusal)
    return refusal


def whole_file(kind: str) -> tuple[bytes, str | int | None]:
    """Make a sound file of each kind, and the target to read it with."""
    stream = io.BytesIO()
    if kind == ".csv":
        return TABLE.encode(), "kind"
    if kind == ".csv.gz":
        return gzip.compress(TABLE.encode(), mtime=0), "kind"
    if kind == ".txt":
        return TABLE.replace(",", " ").encode(), -1
    if kind == ".svm":
        pytest.importorskip("sklearn")
        return b"1 1:0.25 7:3e2 # c\n-1 2:1\n2 5:-1.5 6:1\n", None
    if kind == ".npz":
        np.savez_compressed(stream, X=X, y=[0, 1], target_names=["a", "b"])
    elif kind == ".npy":
        np.save(stream, X)
    else:
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet as pq

        pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "kind": ["x", "y"]}), stream)
    return stream.getvalue(), "kind" if kind == ".parquet" else None


@pytest.mark.parametrize("kind", [".csv.gz", ".npz", ".npy", ".parquet"])
def test_truncated_binary_file(write, kind):
    """Cut anywhere, a file with a known length is refused, always by a ValueError."""
    content, target = whole_file(kind)
    read_table(write("a" + kind, content), target)
    for length in {*range(0, len(content), max(1, len(content) // 100)), *range(len(content) - 10, len(content))}:
        refuse(write("a" + kind, content[:length]), "; ", target)


@pytest.mark.parametrize("kind", [".csv", ".txt", ".svm"])
def test_truncated_text(write, kind):
    """Cut anywhere, text gives the lines before the cut, or a ValueError."""
    content, target = whole_file(kind)
    whole = read_table(write("a" + kind, content), target)
    for length in range(len(content)):
        path = write("a" + kind, content[:length])
        table = attempt(path, target)
        if isinstance(table, Table):
            n_whole, n_features = table.X.shape[0] - 1, table.X.shape[1]  # the last line may have been cut
            np.testing.assert_array_equal(dense(table.X)[:n_whole], dense(whole.X)[:n_whole, :n_features])


@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".txt", ".svm", ".npz", ".npy", ".parquet"])
def test_damaged_bytes(write, kind, global_random_seed):
    """Any byte changed, a file is read or refused by a ValueError in one line."""
    content, target = whole_file(kind)
    rng = np.random.default_rng(global_random_seed)
    for _ in range(150):
        damaged = bytearray(content)
        for position in rng.integers(len(content), size=rng.integers(1, 4)):
            damaged[position] = rng.integers(256)
        attempt(write("a" + kind, bytes(damaged)), target)


# ----------------------------------------------------------------------------------------------------------------------
# real data


@pytest.mark.parametrize(
    ("name", "shape", "n_train", "target_names"),
    [
        ("colon_alon", (62, 2000), None, ["n", "t"]),
        ("golub_leukemia", (72, 7129), None, ["ALL", "AML"]),
        ("nir_gasoline", (60, 401), None, None),
        ("nir_tecator", (215, 100), None, ["Fat", "Water", "Protein"]),
        ("news20_counts", (18846, 130107), 11314, 20),
        ("imdb_counts", (50000, 74851), 25000, None),
        ("cifar10_png5k", (5000, 3072), 4000, 10),
    ],
)
def test_real_data(load_data, name, shape, n_train, target_names):
    """The data sets, dense and sparse, with the shapes SOURCES.md gives."""
    arrays = load_data(name)
    table = read_table(DATA / f"{name}.npz")
    assert table.X.shape == shape
    assert table.n_train == n_train
    if isinstance(target_names, int):
        assert len(table.target_names) == target_names
    else:
        assert table.target_names == target_names
    np.testing.assert_array_equal(table.y, arrays["y"])
    if "X" in arrays:
        np.testing.assert_array_equal(table.X, arrays["X"])
    else:
        assert table.X.format == "csr"
        np.testing.assert_array_equal(table.X.data, arrays["data"])
        np.testing.assert_array_equal(table.X.indices, arrays["indices"])
        np.testing.assert_array_equal(table.X.indptr, arrays["indptr"])


def test_real_data_as_text(load_data, tmp_path):
    """Gene expressions written as CSV, class names and all, come back to the last bit."""
    arrays = load_data("colon_alon")
    labels = arrays["target_names"][arrays["y"]]
    path = tmp_path / "colon.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"gene {j}" for j in range(2000)] + ["tissue"])
        writer.writerows([*map(float, row), label] for row, label in zip(arrays["X"], labels, strict=True))
    table = read_table(path, "tissue")
    np.testing.assert_array_equal(table.X.astype(np.float32), arrays["X"])
    assert table.y.tolist() == labels.tolist()
    assert table.feature_names[-1] == "gene 1999"


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_line_in_a_single_column_is_no_row(tmp_path, blank):
    """No row is moved or made by it."""
    path = tmp_path / "one.csv"
    path.write_text(f"x\n1.5\n{blank}\n2.5\n", encoding="utf-8")
    np.testing.assert_array_equal(read_table(path).X, [[1.5], [2.5]])
