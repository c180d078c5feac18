"""The kernel that reads svmlight text, and its twin, against scikit-learn's reader."""

import io
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcfast import backend
from fcfast._pure import svmlight
from fcfast.datafiles import read_table

PARSERS = [svmlight, *([import_module("fcfast._core.svmlight")] if backend.NAME == "compiled" else [])]

plain = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.decimals(-1000, 1000, places=6).map(str),
    st.sampled_from(
        ["1", "0", "-0", "+3", ".5", "5.", "1e5", "1E-7", "123456789012345678901234567890.5", "9007199254740993", "1e-400"]
    ),
)
blanks = st.sampled_from([" ", "  ", "\t", " \t "])
features = st.lists(st.integers(0, 10**9), max_size=5, unique=True).map(sorted)


@st.composite
def lines(draw):
    """Draw a line of text as people write them."""
    text = draw(plain)
    for feature in draw(features):
        text += f"{draw(blanks)}{feature}:{draw(plain)}"
    return text + draw(st.sampled_from(["", " ", "\r"]))


@given(st.lists(st.one_of(lines(), st.just("")), min_size=1, max_size=6))
def test_the_same_numbers_as_scikit_learn(text):
    """Bit by bit, with the same rows; blank lines are left out."""
    from sklearn.datasets import load_svmlight_file

    content = ("\n".join(text) + "\n").encode()
    for parser in PARSERS:
        y, indptr, indices, values = parser.parse(content)
        if not len(y):
            continue
        X, expected = load_svmlight_file(io.BytesIO(content), zero_based=True)
        for ours, theirs in ((y, expected), (indptr, X.indptr), (indices, X.indices), (values, X.data)):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(np.signbit(values), np.signbit(X.data))


@pytest.mark.parametrize(
    "text",
    [
        "1 0:1", "x 0:1\n", "1 a:1\n", "1 0:a\n", "1 0:\n", "1 :1\n", "1 0 :1\n", "1 0: 1\n", "1 0:1:2\n", "1 1:1 0:1\n",
        "1 0:1 0:1\n", "1 -1:1\n", "1 0.5:1\n", "1 0:1e\n", "1 0:1 # note\n", "# note\n1 0:1\n", "1 qid:1 0:1\n", "1,2 0:1\n",
        "1 0:nan\n", "1 0:inf\n", "1 0:0x1\n", "1 0:1_0\n", f"1 {10**20}:1\n", "1 0:--1\n", "1 0:1\x002\n", "0:1\n", "1 0:.\n",
        "1 0:1 1\n", "1\x0b0:1\n",
    ],
)  # fmt: skip
def test_what_is_unusual_is_left_to_scikit_learn(text):
    """It reads it, or says what is wrong."""
    for parser in PARSERS:
        assert parser.parse(text.encode()) is None


def test_files_of_both_kinds(tmp_path):
    """A comment changes the reader, and nothing else."""
    rows = "1 0:0.5 3:2\n0\n1 1:-1e-3\n"
    (tmp_path / "plain.svm").write_text(rows)
    (tmp_path / "noted.svm").write_text("# by hand\n" + rows)
    (tmp_path / "open.svm").write_text(rows.rstrip())
    tables = [read_table(tmp_path / f"{name}.svm") for name in ("plain", "noted", "open")]
    for table in tables:
        np.testing.assert_array_equal(table.X.toarray(), [[0.5, 0, 0, 2], [0, 0, 0, 0], [0, -1e-3, 0, 0]])
        np.testing.assert_array_equal(table.y, [1, 0, 1])
