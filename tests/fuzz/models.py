"""Cases of model files: damaged, truncated, spliced, and malicious."""

import copy
import functools
import json
import tempfile
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from hypothesis import strategies as st

import fcfast
from fcfast import FrontClassifier, FrontRegressor, NoPropClassifier
from fcfast.errors import ModelFileError
from fcfast.modelfile import format as modelfile

from .law import REFUSED, BrokenLaw, obey
from .values import Draw, chance, mutated

LARGEST_LOAD = 64 << 20  # bytes that Python may allocate for a file of a few kilobytes
JSON_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 10**9, 10**12, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, 1e999, float("nan"), "",
    "x", "F32",
    "relu", "FrontRegressor", [], [1], [0, 8], [1, 1], [10**12, 10**12], [2**62, 4], {}, {"a": 1}, {"dict": [[1, 2]]},
    {"tuple": [1, 2]}, {"tuple": 1},
    {"settings": ["SGD", {"momentum": 2}]}, {"settings": ["Cosine", {}]}, {"settings": ["os.system", {}]},
    {"dict": [[[1], 2]]}, [[[[[]]]]], ["a", "b", "c"],
]  # fmt: skip


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
            (
                NoPropClassifier(
                    "ct", hidden=(3, 2), embedding="learned", embedding_dim=4, batch_norm=True, max_epochs=1, random_state=0
                ).fit(X, y),
                {},
            ),
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
    claimed = data.draw(
        st.sampled_from((len(header), len(header), len(header), len(header), 0, 2**63, 2**64 - 1, 10**8, len(header) - 1))
    )
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


CASES = {
    "models.damaged": (damaged_model, 8), "models.hostile_container": (hostile_container, 6),
    "models.hostile": (hostile_model, 8),
}  # fmt: skip
