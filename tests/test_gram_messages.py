"""What is said of samples that a Gram matrix or a kernel does not take: the argument, what was got, and what to do."""

import datetime
import re

import numpy as np
import pandas as pd
import pytest
from classic import SpanClassifier as FrontClassifier
from classic import SpanRegressor as FrontRegressor
from scipy import sparse

from fcfast import Gram, NoPropClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose

X = np.random.default_rng(0).normal(size=(20, 6))
Y = np.arange(20) % 2
K = X @ X.T
HOLED = np.where(np.arange(20)[:, None] == 3, np.nan, X)
WORDS = [f"ab{i}" for i in range(20)]


def product(A, B):
    """The linear kernel as a function."""
    return np.asarray(A) @ np.asarray(B).T


def letters(A, B):
    """Compare texts by their letters."""
    return np.array([[float(len(set(a) & set(b))) for b in B] for a in A])


def network(**settings):
    return FrontClassifier((4,), max_epochs=2, tol=0, random_state=0, **settings)


@pytest.mark.parametrize("make", [network, lambda: NoPropClassifier(max_epochs=1, n_blocks=2)], ids=["front", "noprop"])
@pytest.mark.parametrize("rows", [slice(None), slice(2, 15)], ids=["all", "a view"])
def test_products_of_new_samples_with_some_of_the_samples(make, rows):
    """All are needed, also by an estimator that was fitted on a view."""
    gram = Gram(X) + Gram(X[:, :3])
    model = make().fit(gram[rows], Y[rows])
    assert len(model.predict(K[:4])) == 4
    message = r"X has 7 features, but \w+ is expecting 20 features as input: products of each new sample with all 20 samples"
    with pytest.raises(ValueError, match=message):
        model.predict(K[:, :7])


@pytest.mark.parametrize(
    "use",
    [
        lambda: Gram(np.where(np.isnan(HOLED @ X.T), np.nan, K), kernel="precomputed"),
        lambda: network(kernel="precomputed").fit(np.full((20, 20), np.nan), Y),
        lambda: network(kernel="precomputed").fit(K, Y).predict(HOLED @ X.T),
        lambda: network().fit(Gram(X) * 2.0, Y).predict(HOLED @ X.T),
        lambda: network(kernel=product).fit(HOLED, Y),
        lambda: network(kernel=product).fit(X, Y).predict(HOLED),
        lambda: Gram(pd.DataFrame(HOLED), kernel=product),
    ],
    ids=["matrix", "fit to a matrix", "new products", "new products of a sum", "function", "new samples", "table"],
)
def test_nan_that_nobody_fills_in(use):
    """missing='mean' is refused there, and is not offered."""
    with pytest.raises(ValueError, match="X contains NaN, and missing='mean' is not for a kernel that is given"):
        use()


def test_nan_that_a_function_gives():
    """The function may know what to do with NaN, so that only its values are looked at."""
    with pytest.raises(ValueError, match=r"kernel product gave 39 value\(s\) of 400 that are NaN.*; look for NaN in X"):
        Gram(HOLED, kernel=product)
    assert Gram(HOLED, kernel=lambda A, B: product(np.nan_to_num(A), np.nan_to_num(B))).shape == (20, 20)


@pytest.mark.parametrize("sample", ["ab1", b"ab1", 3, None])
def test_a_single_sample_is_no_sequence(sample):
    """Nor are the letters of a text samples."""
    gram = Gram(WORDS, kernel=letters)
    model = network().fit(gram, Y)
    np.testing.assert_array_equal(model.predict(WORDS), model.predict(gram))
    for use in (model.predict, model.predict_proba, gram.cross):
        with pytest.raises(TypeError, match=r"X must be a sequence of samples .*, got \w+; give a single sample as \[sample\]"):
            use(sample)


def test_a_gram_from_before_samples_were_added():
    """Rows of it have no products with samples that partial_fit has added as features."""
    gram = Gram(X)
    model = network().fit(gram, Y).partial_fit(X[:5] + 1, Y[:5]).partial_fit(X[:5] - 1, Y[:5])
    with pytest.raises(ValueError, match=r"X is a Gram matrix as it was before partial_fit added samples.*; give features"):
        model.predict(gram)
    assert len(model.predict(X)) == 20
    with pytest.raises(ValueError, match="of other samples"):
        model.predict(Gram(X))


def test_a_function_that_gives_a_sparse_matrix():
    """It is not made dense in silence, because it may be large."""
    with pytest.raises(TypeError, match=r"gave a sparse matrix, but its values must be dense; let it return result\.toarray"):
        Gram(X, kernel=lambda A, B: sparse.csr_array(product(A, B)))


DAYS = pd.date_range("2020-01-01", periods=20)
DATES = {
    "dates": DAYS,
    "dates of a place": DAYS.tz_localize("UTC"),
    "times": DAYS - DAYS[0],
    "objects": [datetime.date(2020, 1, 1)] * 20,
}


@pytest.mark.parametrize("name", DATES)
@pytest.mark.parametrize("alone", [False, True])
def test_dates(name, alone):
    """NumPy would take dates alone for numbers of nanoseconds."""
    table = pd.DataFrame({"when": DATES[name]}) if alone else pd.DataFrame(X).add_prefix("x").assign(when=DATES[name])
    kind = "objects" if name == "objects" else "dates or times"
    message = f"X holds {kind} in the columns 'when'.*; turn them into numbers"
    for use in (Gram, lambda table: network().fit(table, Y), lambda table: FrontRegressor((4,)).fit(table, X[:, 0])):
        with pytest.raises(TypeError, match=message):
            use(table)
    with pytest.raises(TypeError, match=re.escape("X holds dates or times; turn")):
        Gram(DAYS.to_numpy()[:, None])
