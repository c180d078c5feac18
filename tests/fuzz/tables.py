"""Cases of tables: files of every format, good, damaged, random."""

import functools
import gzip
import io
import string
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy import sparse

from fcfast.datafiles import read_table

from .law import REFUSED, BrokenLaw, obey
from .values import Draw, chance, mutated

CELLS = [
    "1",
    "0.5",
    "-3e2",
    "1e999",
    "nan",
    "NA",
    "",
    " 2 ",
    "a",
    '"b,c"',
    '"',
    "'",
    "1,5",
    "1.000,5",
    "0x1F",
    "01",
    "inf",
    "é",
    "\x00",
    "#",
    "!",
    "True",
    "99999999999999999999",
    "1:2",
    "2:0.5",
    "-1:3",
]
SEPARATORS = [",", ",", ",", ";", "\t", " ", "|", ", "]


@functools.cache
def tables() -> dict[str, tuple[bytes, ...]]:
    """Good files by ending."""
    X, y = np.random.default_rng(0).normal(size=(5, 3)), np.array([0, 1, 0, 1, 2])
    text = "id,a,b,c,y\n" + "".join(
        f"s{i},{','.join(f'{v:.3f}' for v in row)},{t}\n" for i, (row, t) in enumerate(zip(X, y, strict=True))
    )
    svm = "".join(f"{t} " + " ".join(f"{j}:{v:.3f}" for j, v in enumerate(row, 1)) + "\n" for row, t in zip(X, y, strict=True))

    def numpy_file(save: Any, *arrays: Any, **named: Any) -> bytes:
        file = io.BytesIO()
        save(file, *arrays, **named)
        return file.getvalue()

    files = {
        ".csv": (text.encode(), text.replace(",", ";").encode("utf-8-sig"), text[text.index("\n") + 1 :].encode()),
        ".tsv": (text.replace(",", "\t").encode(),), ".txt": (text.replace(",", " ").encode(),),
        ".csv.gz": (gzip.compress(text.encode()),), ".svm": (svm.encode(),), ".svmlight": (svm.encode(),),
        ".npy": (numpy_file(np.save, X), numpy_file(np.save, X.astype(">f4").T), numpy_file(np.save, np.array([b"PK"]))),
        ".npz": (
            numpy_file(np.savez, X=X, y=y), numpy_file(np.savez_compressed, X=X, y=y.astype(str), Xt=X, yt=y),
            numpy_file(sparse.save_npz, sparse.csr_array(X)), numpy_file(np.savez, X=X, y=y.astype(object)),
        ),
    }  # fmt: skip
    try:
        import pandas as pd

        frame = pd.DataFrame(X, columns=list("abc")).assign(y=y.astype(str))
        file = io.BytesIO()
        frame.to_parquet(file)
        files[".parquet"] = (file.getvalue(),)
    except ImportError:
        pass
    return files


def random_table(data: Draw) -> bytes:
    """Cells of all kinds in rows of about the same length."""
    width, separator = data.draw(st.integers(1, 5)), data.draw(st.sampled_from(SEPARATORS))
    cells = data.draw(st.lists(st.sampled_from(CELLS[:4] if chance(data, 2) else CELLS), min_size=width, max_size=30))
    lines = [separator.join(cells[i : i + width]) for i in range(0, len(cells), width)]
    if chance(data, 2):
        lines.insert(0, separator.join(string.ascii_lowercase[j % (26 if chance(data, 2) else 2)] for j in range(width)))
    end = data.draw(st.sampled_from(("\n", "\n", "\r\n", "\r")))
    return (end.join(lines) + end).encode(data.draw(st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))))


def any_table(data: Draw) -> tuple[str, bytes]:
    """A file, and its ending."""
    ending = data.draw(st.sampled_from(sorted(tables())))
    content = data.draw(st.sampled_from(tables()[ending]))
    text = ending in (".csv", ".tsv", ".txt", ".svm", ".svmlight")
    if text and chance(data, 2):
        content = random_table(data)
    elif chance(data, 12):
        ending = data.draw(st.sampled_from(sorted(tables())))  # the wrong one
    if not text and ending == ".csv.gz" and chance(data, 2):
        return ending, gzip.compress(mutated(data, gzip.decompress(content))) if content[:2] == b"\x1f\x8b" else content
    return ending, mutated(data, content) if not chance(data, 3) else content


def table(data: Draw) -> None:
    """Read a table with some options: finite numbers, or what is wrong with the file."""
    ending, content = any_table(data)
    options: dict[str, Any] = {}
    if chance(data, 2):
        options["target"] = data.draw(st.sampled_from(("y", "a", "id", "nothing", "", 0, -1, 4, 99, 10**30)))
    if chance(data, 4):
        options["header"] = data.draw(st.sampled_from((True, False)))
    if chance(data, 4):
        options["ids"] = data.draw(st.sampled_from(("id", "a", 0, -1, "none")))
    if chance(data, 6):
        options["n_features"] = data.draw(st.sampled_from((1, 3, 4, 10**6)))
    if chance(data, 6):
        options["features"] = data.draw(st.sampled_from((["a", "b", "c"], ["c", "a"], [], ["z"])))
    if chance(data, 6):
        options["marks"] = data.draw(st.sampled_from(("b", "id", 1, -2, "none")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"table{ending}")
        path.write_bytes(content)
        read = obey(lambda: read_table(path, **options), {"table", *options}, files=True)
    if read is REFUSED:
        return
    obey(lambda: read.X)
    if read.y is not None:
        obey(lambda: read.y)
        if len(read.y) != read.X.shape[0]:
            raise BrokenLaw(f"{read.X.shape[0]} samples, but {len(read.y)} targets")
    if options.get("marks") is not None and len(read.marks or ()) != read.X.shape[0]:
        raise BrokenLaw(f"{read.X.shape[0]} samples, but {len(read.marks or ())} marks")
    if read.feature_names is not None and len(read.feature_names) != read.X.shape[1]:
        raise BrokenLaw(f"{read.X.shape[1]} features, but {len(read.feature_names)} names")


CASES = {"tables.read": (table, 20)}
