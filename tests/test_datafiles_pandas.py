"""Random small tables: each is read as pandas reads it with the same options, or refused."""

import csv
import random

import numpy as np
import pytest

from fcfast.datafiles import read_table

pd = pytest.importorskip("pandas")

N_CASES = 300
LABELS = [["a", "b"], ["New York", "Rome"], ["u,v", "w"], ["x;y", "z"], ["01", "02"], ["s1", "s2"]]


def number_cells(random, n, decimal, thousands):
    """Write a column of numbers: whole, with fractions, large with groups of three digits."""
    kind = random.choice(["whole", "fractions", "large", "mixed"])
    cells = []
    for _ in range(n):
        which = random.choice(["whole", "fractions"]) if kind == "mixed" else kind
        value = random.randint(-20, 20) if which == "whole" else round(random.gauss(0, 10), random.randint(1, 3))
        if which == "large":
            value = round(random.choice([1, 1000, 100_000]) * value, 2)
        text = f"{value:,}" if thousands else str(value)
        marks = str.maketrans({",": thousands or ",", ".": decimal})
        cells.append(text.translate(marks))
    return cells


def case(seed):
    """Make a table: its text, what is said of it to both readers, and which column is the target."""
    r = random.Random(seed)
    n, d = r.randint(1, 6), r.randint(1, 6)
    decimal, thousands = r.choice([(".", None), (".", None), (",", None), (".", ","), (",", ".")])
    sep = r.choice(",;\t")
    names = [f"g{j}" for j in range(d)] if r.random() < 0.8 or d == 1 else list(map(str, range(d)))
    target = r.randrange(d) if d > 1 and r.random() < 0.4 else None
    columns = []
    for j in range(d):
        if j == target:
            labels = r.choice(LABELS)
            columns.append([r.choice(labels) for _ in range(n)])
        elif r.random() < 0.2:
            columns.append([r.choice(["True", "False"]) for _ in range(n)])
        else:
            columns.append(number_cells(r, n, decimal, thousands))
    has_header, has_index = r.random() < 0.7, r.random() < 0.4
    if has_index:
        columns.insert(0, [f"s{i}" for i in range(n)] if r.random() < 0.7 else [str(i) for i in range(n)])
        names.insert(0, r.choice(["", "id"]))
        target = None if target is None else target + 1
    said = {"ids": 0} if has_index else {}
    said |= {"target": target} if target is not None else {}
    said |= {"decimal": decimal} if decimal != "." else {}
    said |= {"thousands": thousands} if thousands else {}
    said |= {"header": has_header} if r.random() < 0.3 else {}
    said |= {"delimiter": sep} if sep in (decimal, thousands) or r.random() < 0.2 else {}
    return [names] * has_header + list(map(list, zip(*columns, strict=True))), sep, r.choice([0, 0, 1]), has_header, said


def check(seed, path):
    """Compare the two readers; tell whether fcfast has read the table."""
    rows, sep, quoting, has_header, said = case(seed)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=sep, quoting=quoting, lineterminator="\n").writerows(rows)
    try:
        table = read_table(path, **said)
    except ValueError:
        return False
    index, target = said.get("ids"), said.get("target")
    text = {column: str for column in (index, target) if column is not None}
    frame = pd.read_csv(
        path,
        sep=sep,
        decimal=said.get("decimal", "."),
        thousands=said.get("thousands"),
        header=0 if has_header else None,
        dtype={(rows[0][column] or "Unnamed: 0") if has_header else column: kind for column, kind in text.items()},
        keep_default_na=False,
    )
    features = [column for column in range(frame.shape[1]) if column not in (index, target)]
    told = f"seed {seed}: {path.read_text()!r} {said}"
    np.testing.assert_array_equal(table.X, frame.iloc[:, features].to_numpy(np.float64), told)
    assert table.feature_names == ([rows[0][column] for column in features] if has_header else None), told
    assert index is None or table.ids == frame.iloc[:, index].tolist(), told
    assert target is None or table.y.tolist() == frame.iloc[:, target].tolist(), told
    return True


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".txt"])
def test_read_as_pandas_reads(tmp_path, ending):
    """None is read otherwise, and most are read."""
    first = [".csv", ".tsv", ".txt"].index(ending) * N_CASES // 3
    read = [check(seed, tmp_path / f"a{ending}") for seed in range(first, first + N_CASES // 3)]
    assert np.mean(read) > 0.6
