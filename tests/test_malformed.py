"""Sparse matrices whose places contradict their shape are refused before any compiled code follows them."""

import functools
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from fcfast import FrontClassifier, Gram, NoPropClassifier, load
from fcfast.comparison import compare
from fcfast.scaling import measure, scaled
from fcfast.sources import SparseSource, as_source
from fcfast.streams import Stream
from fcfast.validation import refuse_malformed

SETTINGS: dict[str, Any] = {"max_epochs": 1, "random_state": 0}
N, D = 8, 100
Y = np.arange(N) % 2


def samples(kind: str = "csr") -> Any:
    return sparse.coo_array(sparse.random(N, D, 0.2, random_state=np.random.default_rng(0))).asformat(kind)


def change(part: str, place: int, value: int, kind: str = "csr") -> Any:
    X = samples(kind)
    getattr(X, part)[place] = value
    return X


def without(part: str) -> Any:
    X = samples()
    setattr(X, part, getattr(X, part)[:-1])
    return X


MALFORMED = {
    "index beyond the columns": lambda: change("indices", 2, 5000),
    "index of one column too many": lambda: change("indices", 2, D),
    "negative index": lambda: change("indices", 2, -1),
    "row that ends far away": lambda: change("indptr", 1, 900),
    "rows that fall": lambda: change("indptr", 3, 1),
    "rows that end beyond the entries": lambda: change("indptr", -1, 10**6),
    "rows that start later": lambda: change("indptr", 0, 1),
    "row too few": lambda: without("indptr"),
    "index too few": lambda: without("indices"),
    "index beyond the rows of columns": lambda: change("indices", 2, N, "csc"),
    "column of coordinates": lambda: change("col", 2, D, "coo"),
    "row of coordinates": lambda: change("row", 2, -1, "coo"),
}
MESSAGE = "X is a malformed sparse matrix of shape .*; make it anew"


@functools.cache
def well_formed() -> FrontClassifier:
    return FrontClassifier(form="windowed", **SETTINGS).fit(samples(), Y)


ENTRANCES = {
    "fit": lambda X: FrontClassifier(**SETTINGS).fit(X, Y),
    "fit in windows": lambda X: FrontClassifier(form="windowed", **SETTINGS).fit(X, Y),
    "fit of scaled samples": lambda X: FrontClassifier(standardize="scale", **SETTINGS).fit(X, Y),
    "fit of blocks": lambda X: NoPropClassifier(**SETTINGS).fit(X, Y),
    "first partial_fit": lambda X: FrontClassifier(**SETTINGS).partial_fit(X, Y, classes=[0, 1]),
    "later partial_fit": lambda X: well_formed().partial_fit(X, Y),
    "stream": lambda X: FrontClassifier(**SETTINGS).fit(Stream([(X, Y)])),
    "later block": lambda X: FrontClassifier(**SETTINGS).fit(Stream([(samples(), Y), (X, Y)])),
    "predict": lambda X: well_formed().predict(X),
    "predict blocks": lambda X: well_formed().predict(Stream([X])),
    "score": lambda X: well_formed().score(X, Y),
    "Gram": Gram,
    "Gram of a function": lambda X: Gram(X, kernel=lambda a, b: (a @ b.T).toarray()),
    "products with a Gram": lambda X: Gram(samples()).cross(X),
    "source": as_source,
    "compare": lambda X: compare(X, Y, ["backprop"], epochs=1),
    "measure": lambda X: measure(X, np.arange(N)),
    "scaled": lambda X: scaled(X, np.arange(N), None, "float32"),
}


@pytest.mark.parametrize("fault", MALFORMED)
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_refused(entrance, fault):
    """Wherever samples come in, whatever is wrong, nothing but a clear error comes out."""
    with pytest.raises(ValueError, match=MESSAGE):
        ENTRANCES[entrance](MALFORMED[fault]())


def test_training_inputs_of_a_file(tmp_path):
    """They are looked at, too."""
    FrontClassifier(form="contributions", **SETTINGS).fit(samples(), Y).save(tmp_path / "model", weights=False)
    with pytest.raises(ValueError, match=MESSAGE):
        load(tmp_path / "model", X=change("indices", 2, D))


def test_says_what_is_wrong():
    """The message names the numbers."""
    X = sparse.csr_array((np.ones(4), np.array([0, 1, 3, 2]), np.array([0, 2, 4])), shape=(2, 100))
    X.indptr = np.array([0, 4, 2])
    with pytest.raises(ValueError, match=r"^test X is .* \(2, 100\): the numbers in indptr do not rise; make it anew"):
        refuse_malformed(X, "test X")
    X = sparse.csr_array((np.ones(4), np.array([0, 1, 3, 2]), np.array([0, 2, 4])), shape=(2, 100))
    X.indices[2] = 5000
    with pytest.raises(ValueError, match="it has indices from 0 to 5000, but only 0 to 99 are inside"):
        refuse_malformed(X)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"])
def test_whatever_is_well_formed_passes(kind):
    """Also without entries, with room behind the last one, and with places twice or out of order."""
    refuse_malformed(samples().asformat(kind))
    refuse_malformed(sparse.csr_array((N, D)).asformat(kind))
    refuse_malformed(sparse.csr_array((np.ones(5), [4, 4, 0, 1, 77], [0, 3, 4]), shape=(2, 5)))
    refuse_malformed(sparse.bsr_array(np.ones((4, 6)), blocksize=(2, 3)))
    refuse_malformed(np.ones((2, 2)))
    assert SparseSource(samples()).shape == (N, D)
