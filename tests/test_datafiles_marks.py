"""Decimal commas, separators of thousands, truth values and odd cells must not confuse delimiters, headers and targets."""

import pytest

from fcfast.datafiles import read_table

NO_NUMBER = "is not a number"


@pytest.fixture
def read(tmp_path):
    """``read(text, ...)``: the table that a file of this text holds."""

    def read(text, target=None, ending=".csv", **options):
        path = tmp_path / f"a{ending}"
        path.write_text(text)
        return read_table(path, target, **options)

    return read


# ----------------------------------------------------------------------------------------------------------------------
# where the table begins


@pytest.mark.parametrize("header", [None, False])
@pytest.mark.parametrize(
    ("text", "options", "X"),
    [
        ("1,25;5\n7,5;2,5\n8,5;3,5\n", {"decimal": ","}, [[1.25, 5], [7.5, 2.5], [8.5, 3.5]]),
        ("1,25;5\n7,5;b\n8,5;c\n", {"decimal": ",", "target": 1}, [[1.25], [7.5], [8.5]]),
        ("1,234;5\n2,345;7,300\n", {"thousands": ","}, [[1234, 5], [2345, 7300]]),
        ("1'234;5\n2'345;7'300\n", {"thousands": "'"}, [[1234, 5], [2345, 7300]]),
        ("True,1\nTrue,False\nFalse,True\n", {}, [[1, 1], [1, 0], [0, 1]]),
        ("1,TRUE,0\nTRUE,FALSE,TRUE\n", {}, [[1, 1, 0], [1, 0, 1]]),
    ],
)
def test_first_sample_is_no_title(read, text, options, X, header):
    """Numbers with other marks and truth values are no names, so what stands above them is no title."""
    assert read(text, header=header, **options).X.tolist() == X


def test_no_line_is_left_out_without_a_header(read):
    """A line as wide as the others is a sample then, even if it looks like a title above names."""
    for header in (None, False):
        with pytest.raises(ValueError, match=r"line 2: 'x' is not a number|line 1: 'Plate' is not a number"):
            read(
                "a,1\nb,x\nc,2\n" if header is None else "Plate,\na,b\n1,2\n", ids=0 if header is None else None, header=header
            )


@pytest.mark.parametrize("header", [None, True])
@pytest.mark.parametrize(
    ("text", "options", "names"),
    [
        (";g0\ns0;1,5\ns1;2,5\n", {"decimal": ",", "ids": 0}, ["g0"]),
        (",g0\ns0,True\ns1,False\n", {"ids": 0}, ["g0"]),
        ('"a" "b"\n"s0" 1,5 2,5\n"s1" 2,5 3,5\n', {"decimal": ","}, ["a", "b"]),
        ('"a" "b"\n"s0" TRUE FALSE\n"s1" FALSE TRUE\n', {}, ["a", "b"]),
        ('"a" "b" "y"\n"s0" TRUE FALSE "u"\n"s1" FALSE TRUE "v"\n', {"target": "y"}, ["a", "b"]),
        ("a,b\ns0,NA,TRUE\ns1,1,FALSE\n", {"missing": "x", "features": ["b"]}, ["b"]),
    ],
)
def test_header_above_values(read, text, options, names, header):
    """Decimal commas and truth values below it do not make it a title."""
    table = read(text, header=header, **options)
    assert (table.feature_names, table.ids) == (names, ["s0", "s1"])


def test_header_of_numbers_with_decimal_commas(read):
    """Wavelengths are recognised however they are written."""
    rows = "".join(f"{i},5;{9 - i};{i * i % 7};{i * 3 % 5}\n" for i in range(6))
    with pytest.raises(ValueError, match="may be a sample, or names"):
        read(f"400,5;402,0;403,5;405,0\n{rows}", decimal=",")


def test_names_of_rows_that_repeat_are_none(read):
    """Else a line with a cell too many would pass for R's."""
    with pytest.raises(ValueError, match=r"line 2 has 3 cell\(s\) instead of 2"):
        read('"a","b"\n"s",1,2\n"s",3,4\n')


def test_empty_cells_at_the_end_of_the_header_count(read):
    """A last column without a name is none of empty cells if the header lacks only them, and the reverse."""
    assert read("a,b,\n1,2,\n3,4,\n").feature_names == ["a", "b"]
    with pytest.raises(ValueError, match="column 'c' is empty"):
        read("a,b,c\n1,2,\n3,4,\n")


# ----------------------------------------------------------------------------------------------------------------------
# what parts the cells


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".txt"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a;16,26\nb;17,27\na;18,27\n", {"target": 0}),
        ("16,26;a\n17,27;b\n18,27;a\n", {"target": -1}),
        ("s0;16,26\ns1;17,27\n", {"ids": 0}),
        ("g0\ns0;16,26\ns1;17,27\n", {}),
        ("s0;a;16,26\ns1;b;17,27\n", {"ids": 0, "target": 1}),
        ("Plate 3, by hand\ns0;16,26\ns1;17,27\ns2;17,28\n", {"ids": 0}),
    ],
)
def test_decimal_commas_do_not_part_cells(read, text, options, delimiter, ending):
    """A delimiter that leaves another one inside the cells is none."""
    text = text.replace(";", delimiter)
    with pytest.raises(ValueError, match="'16,26' is not a number: decimal commas"):
        read(text, ending=ending, **options)
    assert read(text, ending=ending, decimal=",", **options).X[:2].tolist() == [[16.26], [17.27]]


@pytest.mark.parametrize(
    "text", ["New York,26\nLos Angeles,27\n", "New York\t26\nLos Angeles\t27\n", "New York;26\nRome, Paris;27\n"]
)
def test_names_with_blanks(read, text):
    """Blanks in text part no cells."""
    assert read(text, 0).X.tolist() == [[26], [27]]


@pytest.mark.parametrize(
    ("text", "options", "X"),
    [
        ("-9,8\n-8,2\n", {"decimal": ","}, [[-9.8], [-8.2]]),
        ("x\n-9,8\n-8,2\n", {"decimal": ","}, [[-9.8], [-8.2]]),
        ("1,500\n2,500\n", {"thousands": ","}, [[1500], [2500]]),
        ("1,234;a\n2,345;b\n", {"thousands": ",", "target": 1}, [[1234], [2345]]),
        ("1 234;5\n2 345;7\n", {"thousands": " "}, [[1234, 5], [2345, 7]]),
        ('"1,5","2,5"\n"3,5","4,5"\n', {"decimal": ","}, [[1.5, 2.5], [3.5, 4.5]]),
        ('a,b\n"1,5",2\n"3,5",4\n', {"decimal": ","}, [[1.5, 2], [3.5, 4]]),
        ('a,b\n"1,5",2\n"3,5",4\n', {"decimal": ",", "delimiter": ","}, [[1.5, 2], [3.5, 4]]),
        ('"1,500",2\n"3,500",4\n', {"thousands": ","}, [[1500, 2], [3500, 4]]),
    ],
)
def test_marks_part_no_cells(read, text, options, X):
    """What was said to stand within numbers is no delimiter, unless such numbers are in quotes."""
    assert read(text, **options).X.tolist() == X


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("1,5,2,5\n1,5,3,5\n", {"decimal": ","}, "'1,5,2,5'|'1,5,3,5' is not a number"),
        ("1,5,2,5\n1,5,3,5\n", {"decimal": ",", "delimiter": ","}, "',' cannot separate the cells .* leave out decimal=','"),
        ("sep=,\n1,5,2,5\n1,5,3,5\n", {"decimal": ","}, "',' cannot separate the cells"),
        ("1,234,5\n1,300,6\n", {"thousands": ",", "delimiter": ","}, "leave out thousands=','"),
        ("a,b\n1,2\n3,4\n", {"decimal": ","}, "seems to separate the cells, as in 'a,b'; leave out --decimal"),
    ],
)
def test_marks_that_would_part_cells(read, text, options, message):
    """Refused, with what to leave out."""
    with pytest.raises(ValueError, match=message):
        read(text, **options)


def test_title_with_as_many_words_as_columns(read):
    """Tabs part the lines below it."""
    table = read("my three words\nid\ta\tb\ns1\t1\t2\ns2\t3\t4\n", ids=0)
    assert (table.feature_names, table.ids, table.X.tolist()) == (["a", "b"], ["s1", "s2"], [[1, 2], [3, 4]])
    text = "my three words\nid\t400\t401\ns1\t1\t2\ns2\t3\t4\n"
    with pytest.raises(ValueError, match=r"line 2 \(id, 400, 401\) differs .* header=True"):
        read(text, ids=0)
    assert read(text, ids=0, header=True).feature_names == ["400", "401"]
    assert read(text, ids=0, header=False).ids == ["id", "s1", "s2"]


# ----------------------------------------------------------------------------------------------------------------------
# headers and comments


@pytest.mark.parametrize(
    "text",
    ["0,1\n5,6\n7,2\n", "0,1,2\n5,6,7\n7,8,9\n", "0;1\n1,5;2\n", "0,1,2,3\n4,5,6,8\n", "# made by x\n0 1 2\n5 6 7\n7 8 2\n"],
)
def test_few_columns_that_are_counted(read, text):
    """0,1 and 0,1,2 are what pandas calls columns without names, and may be a sample: asked, and answered."""
    options = {"decimal": ","} if "," in text and ";" in text else {}
    with pytest.raises(ValueError, match=r"header=True \(--header\) or header=False \(--no-header\)"):
        read(text, **options)
    table = read(text, header=True, **options)
    assert table.feature_names == list("0123")[: table.X.shape[1]]
    assert len(read(text, header=False, **options).X) == len(table.X) + 1


def test_header_below_a_comment(read):
    """A comment with as many words as there are columns gives names only if the line below has none."""
    rows = "".join(f"5 {i % 4} 6\n" for i in range(14))
    with pytest.raises(ValueError, match=r"line 2 .* may be a sample, or names"):
        read(f"# made by x\n400 401 402\n{rows}")
    assert read(f"# made by x\nu v w\n{rows}", "u").feature_names == ["v", "w"]
    assert read(f"# u v w\n{rows}", "u").feature_names == ["v", "w"]


def test_names_that_begin_with_a_comment_sign(read):
    """A name keeps it; a blank between them makes it a comment, as `numpy.savetxt` writes."""
    assert read("#x0,x1\n1,2\n").feature_names == ["#x0", "x1"]
    assert read("# x0,x1\n1,2\n").feature_names == ["x0", "x1"]
    assert read("# x0,x1\nTrue,False\n").feature_names == ["x0", "x1"]


def test_samples_that_begin_with_a_comment_sign(read):
    """They are not left out in silence below R's short header."""
    text = "0,1,2,3,4\n#0,5,15,15,10,6\n#1,-3,10,4,-2,-5\n"
    with pytest.raises(ValueError, match="line 2 begins like a comment, but has as many cells"):
        read(text)
    assert read(text, comment="").ids == ["#0", "#1"]
    assert read(f"{text}1,2,3,4,5\n", comment="#", header=False).X.shape == (2, 5)
    assert read("a,b\n1,2\n# left, or, right\n# end\n3,4\n").X.tolist() == [[1, 2], [3, 4]]


# ----------------------------------------------------------------------------------------------------------------------
# targets


@pytest.mark.parametrize("odd", ["-", "--", ".", "n.a.", "missing", "1,5", "True"])
def test_odd_cell_among_numbers(read, odd):
    """It does not make classes of them."""
    text = f"a;y\n0;1.5\n1;2.25\n2;{odd}\n3;7.125\n"
    message = "decimal commas" if odd == "1,5" else rf"stands for a missing value, use --missing='?{odd[:2]}"
    with pytest.raises(ValueError, match=rf"column 'y', line 4: '{odd}' is not a number, .*{message}.*--target-type labels"):
        read(text, "y")
    assert read(text, "y", target_type="labels").y.tolist() == ["1.5", "2.25", odd, "7.125"]


@pytest.mark.parametrize("word", ["#N/A", "#DIV/0!", "<NA>", "None", "#NA"])
def test_words_for_gaps(read, word):
    """Refused among numbers, in features, and as a class, which can be asked for."""
    for text in (f"a;y\n0;1.5\n2;{word}\n3;7.125\n", f"a;y\n0;u\n2;{word}\n3;v\n"):
        with pytest.raises(ValueError, match=f"if '{word}' is a class and not a missing value, use --missing ''"):
            read(text, "y")
    assert read(text, "y", missing="").y.tolist() == ["u", word, "v"]
    with pytest.raises(ValueError, match=r"column 'a'( is empty|, line 2: .* an error value of Excel)"):
        read(f"y;a\nu;{word}\nv;1\n", "y")


@pytest.mark.parametrize(
    ("cells", "remedy", "options"),
    [
        (["1,5", "2,5", "3"], "use --decimal ,", {"decimal": ","}),
        (["1,500", "2,500", "3,500"], "use --thousands ,", {"thousands": ","}),
        (["1 500", "2 500", "3"], "use --thousands ' '", {"thousands": " "}),
    ],
)
def test_target_of_other_numbers(read, cells, remedy, options):
    """Refused as they are in a feature; read as numbers with the option."""
    text = "a;y\n" + "".join(f"{i};{cell}\n" for i, cell in enumerate(cells))
    with pytest.raises(ValueError, match=f"{remedy}.*--target-type labels"):
        read(text, "y")
    assert read(text, "y", **options).y.dtype.kind in "if"
    assert read(text, "y", target_type="labels").y.tolist() == cells


def test_many_numbers_are_a_quantity(read):
    """Whole numbers in many writings are no classes, few are; many with an odd cell are asked about."""
    few = "a,y\n" + "".join(f"{i},{i % 4}\n{i},{i % 4}.0\n" for i in range(8))
    assert read(few, "y").y.dtype.kind == "U"
    many = "a,y\n" + "".join(f"{i},{i}\n{i},{i}.0\n" for i in range(40))
    assert read(many, "y").y.dtype.kind == "i"
    with pytest.raises(ValueError, match="'-' is not a number"):
        read(f"{many}1,-\n", "y")
