"""Cases of files: tables of every format and model files, damaged, cut off, spliced, and made by somebody who means harm."""

import copy
import functools
import gzip
import io
import json
import string
import tempfile
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from hypothesis import strategies as st
from scipy import sparse

import fcfast
from fcfast import FrontClassifier, FrontRegressor, NoPropClassifier, modelfile
from fcfast.datafiles import read_table
from fcfast.errors import ModelFileError

from .law import REFUSED, BrokenLaw, obey
from .values import Draw, chance

LARGEST_LOAD = 64 << 20  # bytes that Python may allocate for a file of a few kilobytes
JSON_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 10**9, 10**12, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, 1e999, float("nan"), "", "x", "F32", "float64",
    "relu", "FrontRegressor", [], [1], [0, 8], [1, 1], [10**12, 10**12], [2**62, 4], {}, {"a": 1}, {"dict": [[1, 2]]}, {"tuple": [1, 2]}, {"tuple": 1},
    {"settings": ["SGD", {"momentum": 2}]}, {"settings": ["Cosine", {}]}, {"settings": ["os.system", {}]}, {"dict": [[[1], 2]]}, [[[[[]]]]], ["a", "b", "c"],
]  # fmt: skip


def mutated(data: Draw, content: bytes) -> bytes:
    """Change some bytes."""
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(("flip", "flip", "byte", "cut", "double", "insert", "swap", "zero")))
        at = data.draw(st.integers(0, max(len(changed) - 1, 0)))
        size = data.draw(st.sampled_from((1, 2, 4, 8, 100)))
        if not changed:
            break
        if kind == "flip":
            changed[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "byte":
            changed[at] = data.draw(st.sampled_from((0, 1, 10, 13, 34, 35, 44, 127, 128, 255)))
        elif kind == "cut":
            del changed[at : at + (size if chance(data, 2) else len(changed))]
        elif kind == "double":
            changed[at:at] = changed[at : at + size]
        elif kind == "insert":
            changed[at:at] = data.draw(st.binary(max_size=8))
        elif kind == "swap":
            other = data.draw(st.integers(0, len(changed) - 1))
            changed[at], changed[other] = changed[other], changed[at]
        else:
            changed[at : at + size] = bytes(len(changed[at : at + size]))
    return bytes(changed)


# ----------------------------------------------------------------------------------------------------------------------
# model files


@functools.cache
def models() -> tuple[tuple[bytes, np.ndarray], ...]:
    """Model files of all kinds, and inputs for them."""
    X, y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 3
    X32 = X.astype("f4")
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        fitted: list[tuple[Any, dict[str, Any]]] = [
            (FrontClassifier((4,), max_epochs=2, random_state=0).fit(X, np.array(["no", "perhaps", "yes"])[y]), {}),
            (FrontClassifier((4, 2), max_epochs=2, random_state=0, form="contributions").fit(X32, y), {"weights": False}),
            (FrontRegressor((3,), max_epochs=2, random_state=0, form="windowed", optimizer="muon").fit(X, X[:, :2]), {}),
            (NoPropClassifier(n_blocks=2, hidden=(3, 2), max_epochs=1, random_state=0).fit(X, y), {}),
            (NoPropClassifier("ct", hidden=(3, 2), embedding="learned", embedding_dim=4, batch_norm=True, max_epochs=1, random_state=0).fit(X, y), {}),
            (NoPropClassifier("backprop", n_blocks=2, hidden=(3, 2), max_epochs=1, random_state=0).fit(X, y == 0), {}),
        ]
        files = []
        for estimator, keywords in fitted:
            estimator.save(Path(folder, "m"), **keywords)
            files.append(in_order(Path(folder, "m").read_bytes()))
    return tuple((content, X32 if j == 1 else X) for j, content in enumerate(files))


def in_order(content: bytes) -> bytes:
    """Sort the header, which safetensors writes in another order every time."""
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + size]), sort_keys=True).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


def load_obeys(content: bytes, X: np.ndarray) -> None:
    """Loading allocates little, and ends with a model that predicts, or with a `ModelFileError`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        path.write_bytes(content)
        tracemalloc.start()
        try:
            loaded = obey(lambda: fcfast.load(path, X), also=(ModelFileError,))
            peak = tracemalloc.get_traced_memory()[1]
        except BaseException:
            peak = 0
            raise
        finally:
            tracemalloc.stop()
        if peak > LARGEST_LOAD + 20 * len(content):
            raise BrokenLaw(f"a file of {len(content)} bytes took {peak} bytes")
        if loaded is REFUSED:
            try:
                fcfast.load(path, X)
            except ModelFileError:
                return
            except Exception as error:
                raise BrokenLaw(f"{type(error).__name__} instead of a ModelFileError: {error}") from error
    obey(lambda: loaded.predict(X), {"X", *loaded.get_params(deep=False)})
    obey(lambda: repr(loaded))


def damaged_model(data: Draw) -> None:
    """Bytes changed by chance."""
    content, X = data.draw(st.sampled_from(models()))
    load_obeys(mutated(data, content), X)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where there is anything in a JSON document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, item in items for place in places(item, (*at, key)))]


def json_value(data: Draw) -> Any:
    return copy.deepcopy(data.draw(st.sampled_from(JSON_VALUES)))


def changed_json(data: Draw, document: Any) -> Any:
    """Put another value somewhere, or take one out, or add one."""
    document = json.loads(json.dumps(document))
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.sampled_from(places(document)))
        if not at:
            continue
        parent = document
        for key in at[:-1]:
            parent = parent[key]
        kind = data.draw(st.sampled_from(("replace", "replace", "replace", "remove", "add")))
        if kind == "remove":
            del parent[at[-1]]
        elif kind == "add" and isinstance(parent, list):
            parent.append(json_value(data))
        elif kind == "add":
            parent["more"] = json_value(data)
        else:
            parent[at[-1]] = json_value(data)
    return document


def hostile_container(data: Draw) -> None:
    """The header of the safetensors file: shapes, offsets that overlap, names, absurd sizes."""
    content, X = data.draw(st.sampled_from(models()))
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(changed_json(data, json.loads(content[8 : 8 + size]))).encode()
    claimed = data.draw(st.sampled_from((len(header), len(header), len(header), len(header), 0, 2**63, 2**64 - 1, 10**8, len(header) - 1)))
    load_obeys(claimed.to_bytes(8, "little") + header + content[8 + size :], X)


def hostile_model(data: Draw) -> None:
    """The JSON of the model, or its tensors, with a checksum that is right all the same."""
    content, X = data.draw(st.sampled_from(models()))
    size = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + size])["__metadata__"]
    tensors = safetensors.numpy.load(content)
    model = json.loads(metadata["model"])
    if not chance(data, 3):
        model = changed_json(data, model)
    else:
        name = data.draw(st.sampled_from(sorted(tensors)))
        tensor = tensors[name].copy()
        kind = data.draw(st.sampled_from(("value", "shape", "dtype", "gone", "more", "all")))
        if kind == "value" and tensor.size:
            tensor.flat[0] = data.draw(st.sampled_from((np.nan, np.inf, 3e38, -1, 0))) if tensor.dtype.kind == "f" else 255
        elif kind == "all":
            tensor[...] = data.draw(st.sampled_from((0, -1, 1e30, 1e-40))) if tensor.dtype.kind == "f" else 0
        elif kind == "shape":
            tensor = tensor.reshape(-1) if tensor.ndim > 1 else tensor[None]
        elif kind == "dtype":
            with np.errstate(all="ignore"):
                tensor = tensor.astype(data.draw(st.sampled_from(("f8", "f4", "f2", "i8", "u1"))))
        tensors[name] = np.ascontiguousarray(tensor)
        if kind == "gone":
            del tensors[name]
        elif kind == "more":
            tensors["more"] = tensor
    text = json.dumps(model)
    metadata |= {"model": text, "checksum": modelfile._checksum(text, tensors)}
    load_obeys(safetensors.numpy.save(tensors, metadata), X)


# ----------------------------------------------------------------------------------------------------------------------
# tables

CELLS = ["1", "0.5", "-3e2", "1e999", "nan", "NA", "", " 2 ", "a", '"b,c"', '"', "'", "1,5", "1.000,5", "0x1F", "01", "inf", "é", "\x00", "#", "!", "True", "99999999999999999999", "1:2", "2:0.5", "-1:3"]
SEPARATORS = [",", ",", ",", ";", "\t", " ", "|", ", "]


@functools.cache
def tables() -> dict[str, tuple[bytes, ...]]:
    """Good files by ending."""
    X, y = np.random.default_rng(0).normal(size=(5, 3)), np.array([0, 1, 0, 1, 2])
    text = "id,a,b,c,y\n" + "".join(f"s{i},{','.join(f'{v:.3f}' for v in row)},{t}\n" for i, (row, t) in enumerate(zip(X, y, strict=True)))
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
    if read.feature_names is not None and len(read.feature_names) != read.X.shape[1]:
        raise BrokenLaw(f"{read.X.shape[1]} features, but {len(read.feature_names)} names")


# ----------------------------------------------------------------------------------------------------------------------
# the command line


def command(data: Draw) -> None:
    """Commands on files of all kinds: they end with exit code 0, or 2 and one line."""
    from typer.testing import CliRunner

    from fcfast.commands import app

    with tempfile.TemporaryDirectory() as folder:
        ending = data.draw(st.sampled_from(sorted(tables())))
        content = data.draw(st.sampled_from(tables()[ending]))
        if chance(data, 2):
            ending, content = any_table(data)
        path, model, out = Path(folder, f"table{ending}"), Path(folder, "model.safetensors"), Path(folder, "out.csv")
        path.write_bytes(content)
        stored = data.draw(st.sampled_from(models()))[0]
        model.write_bytes(stored if chance(data, 2) else mutated(data, stored))
        which = data.draw(st.sampled_from(("predict", "predict", "plan", "train")))
        if which == "predict":
            arguments = ["predict", str(model), str(path)]
            options = [["--proba"], ["--target", "y"], ["--id", "id"], ["--json"], ["--out", str(out)], ["--no-header"], ["--header"]]
        elif which == "plan":
            arguments = ["plan", *(str(data.draw(st.sampled_from(("1", "0", "-3", "100", "1e9", "10" * 20, "x")))) for _ in range(2))]
            options = [["--hidden", data.draw(st.sampled_from(("1", "256,128", "", "x", "0")))], ["--json"], ["--momentum", "2"], ["--memory-limit", "nan"], ["--epochs", "0"]]
        else:
            arguments = ["train", str(path), "--save", str(Path(folder, "new.safetensors")), "--epochs", "2", "--hidden", "3", "--jobs", "1"]
            options = [["--target", data.draw(st.sampled_from(("y", "a", "0", "-1", "nothing")))], ["--test", "0.5"], ["--task", "regression"], ["--id", "id"], ["--json"], ["--early-stopping"], ["--learning-rate", "1e300"], ["--batch-size", "1"], ["--hidden", "x"], ["--nothing"]]
        for option in data.draw(st.lists(st.sampled_from(options), max_size=3)):
            arguments += option
        result = obey(lambda: CliRunner().invoke(app, arguments))
    ended = isinstance(result.exception, SystemExit) or result.exception is None
    if not ended or result.exit_code not in (0, 1, 2):
        raise BrokenLaw(f"fcfast {' '.join(arguments)}: {result.exception!r}") from result.exception
    if result.exit_code and not result.output.strip():
        raise BrokenLaw(f"fcfast {' '.join(arguments)}: exit code {result.exit_code} without a word")


CASES = {
    "files.damaged_model": (damaged_model, 8), "files.hostile_container": (hostile_container, 6), "files.hostile_model": (hostile_model, 8),
    "files.table": (table, 20), "files.command": (command, 2),
}  # fmt: skip
