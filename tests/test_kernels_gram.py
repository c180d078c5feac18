"""Kernels from linear products: their values, precision and symmetry, settings, callables and the checks of given matrices."""

import math
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import pairwise
from sklearn.svm import SVC

from fcfast import Gram, kernels
from fcfast.gram.products import cross_gram
from fcfast.kernels import (
    KERNELS,
    RBF,
    ArcCosine,
    Cosine,
    Kernel,
    Linear,
    Polynomial,
    Tanimoto,
    evaluate,
    make_kernel,
    refuse_indefinite,
)
from fcfast.kernels import base as kernels_base
from fcfast.sources import ArraySource

OWN = (Polynomial(gamma=0.03, degree=3, coef0=1.5), RBF(gamma=0.05), Cosine(), Tanimoto(), ArcCosine())
NAMED = pytest.mark.parametrize("kernel", OWN, ids=lambda kernel: kernel.name)


def samples(n_samples, seed=0, n_features=30):
    """Counts, so that every kernel takes them, with a sample of zeros and two equal ones."""
    X = np.random.default_rng(seed).poisson(0.7, (n_samples, n_features)).astype(np.float64)
    if n_samples > 4:
        X[2], X[4] = 0, X[1]
    return X


def norms_of(X):
    return (X * X).sum(axis=1)


def applied(kernel, X, Y, dtype=np.float64, n_jobs=1):
    return kernel.apply((X @ Y.T).astype(dtype), norms_of(X), norms_of(Y), n_jobs=n_jobs)


def loops(k, X, Y):
    return np.array([[k(x, y) for y in Y] for x in X])


def tanimoto(x, y):
    common, union = sum(x * y), sum(x * x) + sum(y * y) - sum(x * y)
    return 1.0 if union == 0 else common / union


def arc_cosine(x, y):
    lengths = math.hypot(*x) * math.hypot(*y)
    if lengths == 0:
        return 0.0
    angle = math.acos(max(-1.0, min(1.0, sum(x * y) / lengths)))
    return lengths * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / math.pi


REFERENCES = {
    "poly": lambda X, Y: pairwise.polynomial_kernel(X, Y, degree=3, gamma=0.03, coef0=1.5),
    "rbf": lambda X, Y: pairwise.rbf_kernel(X, Y, gamma=0.05),
    "cosine": pairwise.cosine_similarity,
    "tanimoto": lambda X, Y: loops(tanimoto, X, Y),
    "arc-cosine": lambda X, Y: loops(arc_cosine, X, Y),
}


@NAMED
def test_derivatives(kernel):
    """Equal to differences of the values, one number moved at a time; finite for samples of zeros and for equal ones."""
    X, Y = samples(9), samples(7, seed=1) + 0.01
    X = X + np.random.default_rng(2).random(X.shape)  # no two have one direction, where values end at 1
    products, rows, columns = X @ Y.T, norms_of(X)[:, None], norms_of(Y)[None]
    by_products, by_norms = kernel.derivatives(products, rows, columns)
    step = 1e-5

    def slope(moved, other):
        return (kernel.values(*moved) - kernel.values(*other)) / (2 * step)

    np.testing.assert_allclose(
        by_products, slope((products + step, rows, columns), (products - step, rows, columns)), rtol=1e-6, atol=1e-8
    )
    np.testing.assert_allclose(
        by_norms, slope((products.copy(), rows + step, columns), (products.copy(), rows - step, columns)), rtol=1e-6, atol=1e-8
    )
    Z = samples(9)
    for derivative in kernel.derivatives(Z @ Z.T, norms_of(Z)[:, None], norms_of(Z)[None]):
        assert np.isfinite(derivative).all()


# ----------------------------------------------------------------------------------------------------------------------
# values


@NAMED
def test_values_are_those_of_the_definition(kernel):
    """scikit-learn's kernels, or a plain double loop over the samples."""
    X, Y = samples(23), samples(31, 1)
    np.testing.assert_allclose(applied(kernel, X, Y), REFERENCES[kernel.name](X, Y), rtol=1e-12, atol=1e-13)
    square = kernel.apply_symmetric(X @ X.T)
    np.testing.assert_allclose(square, REFERENCES[kernel.name](X, X), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(kernel.diagonal(norms_of(X)), square.diagonal(), rtol=1e-15)


@NAMED
def test_single_precision_loses_only_the_rounding_of_the_products(kernel):
    """The error is a few roundings of the products, times the slope of the kernel."""
    X, Y = samples(60), samples(50, 1)
    exact, single = applied(kernel, X, Y), applied(kernel, X, Y, np.float32)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, rtol=3e-7, atol=1e-6)
    rounded = np.sqrt(X * 0.37 + 0.11)
    products, norms = (rounded @ rounded.T).astype(np.float32), norms_of(rounded)
    double = kernel.apply(products.astype(np.float64), norms, norms)
    np.testing.assert_array_equal(kernel.apply(products, norms, norms), double.astype(np.float32))
    np.testing.assert_allclose(products, kernel.apply(rounded @ rounded.T, norms, norms), rtol=8 * np.finfo(np.float32).eps)


def test_rounding_makes_no_similarity_larger_than_one():
    """Norms and products of equal samples may be rounded differently."""
    X = np.repeat(np.random.default_rng(0).uniform(size=(40, 9)), 2, axis=0)
    for kernel in (RBF(gamma=0.5), Cosine(), Tanimoto()):
        for error in (-1e-7, 1e-7):
            K = kernel.apply(X @ X.T * (1 + error), norms_of(X), norms_of(X))
            assert K.max() <= 1
            np.testing.assert_allclose(K.diagonal(), 1, rtol=1e-6)


@NAMED
def test_the_array_is_changed_in_place_whatever_the_tiles_and_threads(kernel, monkeypatch):
    """The same bits with tiles of 7, of 256 and with one for all; with 1 thread and 3; in either memory order."""
    X, Y = samples(70), samples(45, 1)
    products = X @ Y.T
    assert kernel.apply(products, norms_of(X), norms_of(Y)) is products
    gram = X @ X.T
    assert kernel.apply_symmetric(gram) is gram
    for side in (7, 64, 1000):
        monkeypatch.setattr(kernels_base, "TILE", side)
        for n_jobs in (1, 3):
            np.testing.assert_array_equal(applied(kernel, X, Y, n_jobs=n_jobs), products)
            np.testing.assert_array_equal(kernel.apply_symmetric(X @ X.T, n_jobs=n_jobs), gram)
        columnwise = np.asfortranarray(X @ Y.T)
        np.testing.assert_array_equal(kernel.apply(columnwise, norms_of(X), norms_of(Y)), products)


@NAMED
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gram_matrix_stays_symmetric_and_positive_semi_definite(kernel, dtype):
    """Symmetric to the last bit, also without knowing that it is; the diagonal is k(x, x)."""
    X = np.sqrt(samples(300) * 0.37 + 0.11)
    X[5] = 0
    products = X @ X.T
    products = np.tril(products) + np.tril(products, -1).T
    K = kernel.apply_symmetric(products.astype(dtype))
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(K.diagonal(), kernel.diagonal(products.astype(dtype).diagonal().astype(float)).astype(dtype))
    refuse_indefinite(K, tolerance=3000 * np.finfo(dtype).eps)
    assert np.linalg.eigvalsh(K.astype(np.float64))[0] > -3000 * np.finfo(dtype).eps * K.max()
    whole = kernel.apply(products.astype(dtype), products.diagonal(), products.diagonal())
    np.testing.assert_array_equal(whole, whole.T)


def test_diagonals_are_exact():
    """A distance of 0, an angle of 0 and a quotient of equals leave no rounding."""
    X = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    for kernel in (RBF(gamma=3.0), Cosine()):
        np.testing.assert_array_equal(kernel.apply_symmetric(X @ X.T).diagonal(), 1)
    np.testing.assert_array_equal(Tanimoto().apply_symmetric(np.abs(X) @ np.abs(X).T).diagonal(), 1)
    G = X @ X.T
    np.testing.assert_array_equal(ArcCosine().apply_symmetric(G.copy()).diagonal(), G.diagonal())


def test_samples_of_zeros():
    """They have no direction (0), and are equal to each other as fingerprints (1); nothing is NaN."""
    X = np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]])
    G = X @ X.T
    assert Cosine().apply_symmetric(G.copy()).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert Tanimoto().apply_symmetric(G.copy()).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert ArcCosine().apply_symmetric(G.copy()).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 25]]
    assert RBF(gamma=0.0001).apply_symmetric(G.copy())[0].tolist() == pytest.approx([1, 1, math.exp(-0.0025)], rel=1e-14)


def test_tanimoto_of_binary_fingerprints_is_the_jaccard_index():
    """scikit-learn's distance of booleans is 1 minus it."""
    X = samples(40) > 0
    X[7] = False
    distances = pairwise.pairwise_distances(X, metric="jaccard")
    np.testing.assert_allclose(applied(Tanimoto(), X * 1.0, X * 1.0), 1 - distances, atol=1e-15)


def test_arc_cosine_is_a_layer_of_random_relus():
    """The mean over 400,000 random units, within five standard errors, and angles of 0, 90 and 180 degrees."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(6, 3))
    hidden = np.maximum(X @ rng.normal(size=(3, 400_000)), 0)
    terms = 2 * hidden[:, None] * hidden[None]
    errors = terms.mean(axis=2) - ArcCosine().apply_symmetric(X @ X.T)
    assert (abs(errors) < 5 * terms.std(axis=2) / math.sqrt(400_000)).all()
    directions = np.array([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
    K = ArcCosine().apply_symmetric(directions @ directions.T)
    np.testing.assert_allclose(K, [[4, 2 / np.pi, 0], [2 / np.pi, 1, 3 / np.pi], [0, 3 / np.pi, 9]], atol=1e-15)


def test_polynomial_is_the_product_of_its_explicit_features():
    """Degree 2: squares, products times sqrt(2), the features times sqrt(2 coef0) and a constant."""
    X = np.random.default_rng(1).normal(size=(20, 4))
    pairs = [(i, j) for i in range(4) for j in range(i)]
    features = np.column_stack(
        [
            0.5 * X**2,
            *(math.sqrt(2) * 0.5 * X[:, i] * X[:, j] for i, j in pairs),
            math.sqrt(2 * 0.5 * 3) * X,
            np.full(20, 3.0),
        ]
    )
    kernel = Polynomial(gamma=0.5, degree=2, coef0=3.0)
    np.testing.assert_allclose(kernel.apply_symmetric(X @ X.T), features @ features.T, rtol=1e-12)


@pytest.mark.parametrize("degree", [1, 2, 5, 8, 13])
def test_powers(degree):
    """Powers by multiplication, with signs."""
    X = samples(9) - 0.4
    np.testing.assert_allclose(
        applied(Polynomial(gamma=0.1, degree=degree, coef0=0.3), X, X), (0.1 * (X @ X.T) + 0.3) ** degree, rtol=1e-13
    )


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 5))
def test_properties(seed, n_samples, n_features):
    """Permuted samples permute the values; rotations of the features change nothing; lengths scale as they should."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features)) * rng.integers(0, 2, (n_samples, 1))
    order = rng.permutation(n_samples)
    rotation = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    for kernel in (Polynomial(gamma=0.5, coef0=1.0), RBF(gamma=0.3), Cosine(), ArcCosine()):
        K = applied(kernel, X, X)
        np.testing.assert_allclose(K.diagonal(), kernel.diagonal(norms_of(X)), rtol=1e-14, atol=1e-14)
        np.testing.assert_array_equal(
            kernel.apply((X @ X.T)[order][:, order], norms_of(X)[order], norms_of(X)[order]), K[order][:, order]
        )
        np.testing.assert_allclose(applied(kernel, X @ rotation, X @ rotation), K, atol=1e-6)
        if kernel.name != "poly":
            bound = np.outer(K.diagonal(), K.diagonal())
            assert (K**2 - bound).max() <= 1e-12 * bound.max()
    factor = float(rng.uniform(0.1, 10))
    np.testing.assert_allclose(applied(Cosine(), factor * X, X), applied(Cosine(), X, X), atol=1e-12)
    np.testing.assert_allclose(applied(ArcCosine(), factor * X, X), factor * applied(ArcCosine(), X, X), rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(
        applied(RBF(gamma=0.3), factor * X, factor * X), applied(RBF(gamma=0.3 * factor**2), X, X), atol=1e-9
    )
    bits = (X > 0) * 1.0
    np.testing.assert_allclose(applied(Tanimoto(), factor * bits, factor * bits), applied(Tanimoto(), bits, bits), atol=1e-12)


def test_products_of_the_library_go_in():
    """Float32 products and those of sparse inputs, as `fcfast.gram` makes them."""
    X = samples(40)
    for inputs in (X, sparse.csr_array(X)):
        K = RBF(gamma=0.05).apply(cross_gram(inputs, inputs, "float32"), norms_of(X), norms_of(X))
        np.testing.assert_allclose(K, pairwise.rbf_kernel(X, gamma=0.05), atol=1e-6)


def test_the_linear_kernel_changes_nothing():
    """It alone has weights; a subclass that may change the values does not."""
    G = samples(5) @ samples(5).T
    assert Linear().apply(G, np.zeros(5), np.zeros(5)) is Linear().apply_symmetric(G) is G
    np.testing.assert_array_equal(G, samples(5) @ samples(5).T)
    assert [name for name, kind in KERNELS.items() if kind.has_weights] == ["linear"]
    assert not type("Twice", (Linear,), {}).has_weights


def test_no_samples():
    """Empty products stay empty."""
    for kernel in OWN:
        assert kernel.apply(np.empty((0, 3)), np.empty(0), np.ones(3)).shape == (0, 3)
        assert kernel.apply_symmetric(np.empty((0, 0))).shape == (0, 0)


# ----------------------------------------------------------------------------------------------------------------------
# settings


@pytest.mark.parametrize("gamma", ["scale", "auto", 0.25])
@pytest.mark.parametrize("kernel", ["poly", "rbf"])
def test_settings_mean_what_they_mean_in_svc(kernel, gamma):
    """An SVC gives the same decisions with its own kernel and with ours as a precomputed one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 5)) * 0.7
    y = X[:, 0] * X[:, 1] > 0
    settings = {"gamma": gamma, "degree": 2, "coef0": 0.5}
    ours = make_kernel(kernel, **settings)
    assert ours.needs_variance == (gamma == "scale")
    K = ours.resolved(5, X.var()).apply_symmetric(X @ X.T)
    own, precomputed = SVC(kernel=kernel, tol=1e-9, **settings).fit(X, y), SVC(kernel="precomputed", tol=1e-9).fit(K, y)
    np.testing.assert_allclose(precomputed.decision_function(K), own.decision_function(X), atol=1e-7)


def test_settings_that_a_kernel_lacks_are_ignored_but_checked():
    """As in SVC, so that a grid may combine them."""
    assert make_kernel("cosine", gamma=0.5, degree=7, coef0=2.0) == Cosine()
    assert make_kernel("rbf", gamma=0.5, degree=7) == RBF(gamma=0.5)
    assert make_kernel("linear").resolved(10) == Linear()
    assert RBF(gamma="scale").resolved(5, 0.0) == RBF(gamma=1.0)
    given = RBF(gamma=0.5)
    assert make_kernel(given) is given.resolved(3) is given
    with pytest.raises(ValueError, match="degree must be >= 1"):
        make_kernel("cosine", degree=0)
    with pytest.raises(ValueError, match=r"gamma=2 was given beside kernel=RBF\(gamma=0\.5\)"):
        make_kernel(given, gamma=2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel": "gauss"}, "kernel='gauss' is unknown; use one of 'linear', 'poly', 'rbf'"),
        ({"kernel": 3}, "kernel must be one of"),
        ({"kernel": RBF}, "kernel must be one of"),
        ({"gamma": "large"}, "gamma='large' is unknown; use one of 'scale', 'auto'"),
        ({"gamma": 0}, "gamma must be finite and > 0"),
        ({"gamma": np.nan}, "gamma must be finite and > 0"),
        ({"gamma": None}, "gamma must be a number"),
        ({"degree": 1.5}, "degree must be an integer"),
        ({"degree": 0}, "degree must be >= 1"),
        ({"coef0": -1}, r"coef0 must be in \[0, inf\)"),
        ({"coef0": "1"}, "coef0 must be a number"),
    ],
)
def test_bad_settings(settings, message):
    """The message names the setting; objects check theirs as names do."""
    with pytest.raises((ValueError, TypeError), match=message):
        make_kernel(**{"kernel": "poly"} | settings)
    if "kernel" not in settings:
        with pytest.raises((ValueError, TypeError), match=message):
            Polynomial(**settings)


def test_gamma_must_be_a_number_when_it_is_needed():
    """Nothing is guessed from the products."""
    with pytest.raises(ValueError, match=r"gamma='scale' depends on the training data; call resolved"):
        RBF().apply_symmetric(np.eye(3))
    with pytest.raises(ValueError, match="gamma='scale' of kernel 'rbf' needs the variance"):
        RBF().resolved(5)
    with pytest.raises(ValueError, match="variance must be in"):
        RBF().resolved(5, np.nan)
    with pytest.raises(ValueError, match="gamma='scale' is not finite"):
        RBF().resolved(5, 1e-320)
    with pytest.raises(ValueError, match="n_features must be >= 1"):
        RBF(gamma="auto").resolved(0)


# ----------------------------------------------------------------------------------------------------------------------
# products that are refused


def refused(message, kernel, products, rows=None, columns=None, kind=ValueError):
    """Check the message, and that the array is as it was."""
    before = products.copy() if isinstance(products, np.ndarray) else None
    call = kernel.apply_symmetric if rows is None else kernel.apply
    with pytest.raises(kind, match=message):
        call(*(argument for argument in (products, rows, columns) if argument is not None))
    if before is not None:
        np.testing.assert_array_equal(products, before)


def test_products_that_do_not_fit_are_refused_unchanged():
    """Shapes, dtypes, norms and overflows."""
    rbf, one = RBF(gamma=1.0), np.ones(3)
    refused("float32 or float64, got dtype int64", rbf, np.eye(3, dtype=np.int64), kind=TypeError)
    refused("array of float32 or float64, got 'list'", rbf, [[1.0]], kind=TypeError)
    refused("2 dimensions", rbf, np.ones(3))
    refused(r"square Gram matrix, got shape \(2, 3\)", rbf, np.ones((2, 3)))
    refused(r"norms_rows must have shape \(2,\), got \(3,\)", rbf, np.ones((2, 3)), one, one)
    refused(r"norms_columns must have shape \(3,\), got \(2,\)", rbf, np.ones((2, 3)), one[:2], one[:2])
    refused("norms_columns must be finite and >= 0", rbf, np.ones((3, 3)), one, -one)
    refused("norms_rows must be finite and >= 0", rbf, np.ones((3, 3)), one * np.nan, one)
    refused("the diagonal of products must be finite and >= 0", rbf, np.full((3, 3), np.inf))
    refused("kernel 'poly' overflows float32", Polynomial(gamma=1.0), np.full((2, 2), 1e13, np.float32))
    locked = np.eye(3)
    locked.flags.writeable = False
    refused("products is read-only", rbf, locked)
    refused("'tanimoto' is meant for features >= 0, but X has negative ones", Tanimoto(), np.array([[1.0, -0.5], [-0.5, 1.0]]))


def test_values_that_are_not_finite_never_travel():
    """Products that are NaN although their norms are not."""
    for kernel in OWN:
        with pytest.raises(ValueError, match=f"kernel '{kernel.name}' gave NaN or infinite values"):
            kernel.apply(np.array([[np.nan, 1.0]]), np.ones(1), np.ones(2))


def test_distances_without_digits_are_refused():
    """Single precision far from 0; centred or double precision is accurate, and an outlier is no reason."""
    X = np.random.default_rng(0).normal(size=(50, 20)) + 3000
    kernel = RBF().resolved(20, X.var())
    with pytest.raises(ValueError, match=r"leaves no accurate distances in float32; centre X .* or use dtype='float64'"):
        kernel.apply_symmetric((X @ X.T).astype(np.float32))
    np.testing.assert_allclose(kernel.apply_symmetric(X @ X.T), pairwise.rbf_kernel(X, gamma=kernel.gamma), atol=1e-6)
    centred = X - X.mean(axis=0)
    centred[0] = 1e6
    accurate = kernel.apply_symmetric((centred @ centred.T).astype(np.float32))
    np.testing.assert_allclose(accurate, pairwise.rbf_kernel(centred, gamma=kernel.gamma), atol=2e-6)


@pytest.mark.parametrize(("dtype", "offset"), [("float64", 1e6), ("float32", 100)])
def test_distances_with_few_digits_are_told_of(dtype, offset):
    """The warning points at the caller and gives the size of the error, which centred features do not have."""
    X = np.random.default_rng(0).normal(size=(50, 20))
    gamma, exact = 1 / 20, pairwise.rbf_kernel(X, gamma=1 / 20)
    with pytest.warns(RuntimeWarning, match=rf"wrong by about .* in {dtype}; centre X \(standardize=True\)") as caught:
        values = Gram(X + offset, kernel="rbf", gamma=gamma, dtype=dtype).matrix
    assert caught[0].filename == __file__
    told = float(re.search(r"about ([\d.e-]+)", str(caught[0].message)).group(1))
    assert told / 10 < abs(values - exact).max() < told * 10
    scaled = Gram(X + offset, kernel="rbf", gamma=gamma, dtype=dtype, standardize=True).matrix
    exact = pairwise.rbf_kernel(X / X.std(axis=0), gamma=gamma)
    np.testing.assert_allclose(scaled, exact, atol=1e-5 if dtype == "float32" else 1e-9)


# ----------------------------------------------------------------------------------------------------------------------
# kernels of the user's own


@dataclass(frozen=True)
class RationalQuadratic(Kernel):
    """A kernel that fcfast does not have."""

    gamma: float = 1.0
    power: float = 2.0
    name = "rational-quadratic"

    def values(self, products, norms_rows, norms_columns):
        return (1 + self.gamma * kernels.squared_distances(products, norms_rows, norms_columns)) ** -self.power


def test_a_kernel_of_ones_own(monkeypatch):
    """It is found by name, takes the settings it has, and is checked like the others."""
    kernels.register(RationalQuadratic)
    monkeypatch.delitem(KERNELS, "rational-quadratic")
    monkeypatch.setitem(KERNELS, "rational-quadratic", RationalQuadratic)
    kernel = make_kernel("rational-quadratic", gamma=0.5, degree=9)
    assert kernel == RationalQuadratic(gamma=0.5)
    assert not kernel.has_weights
    X = samples(30)
    expected = (1 + 0.5 * pairwise.euclidean_distances(X, squared=True)) ** -2.0
    np.testing.assert_allclose(kernel.apply_symmetric(X @ X.T), expected, rtol=1e-12)
    np.testing.assert_array_equal(replace(kernel, power=1.0).apply_symmetric(X @ X.T).diagonal(), 1)
    with pytest.raises(ValueError, match="is the kernel 'rbf' already"):
        kernels.register(type("Mine", (Kernel,), {"name": "rbf"}))


def test_a_kernel_of_ones_own_that_is_wrong():
    """A wrong shape, values that are not finite, no values at all."""

    class Flat(Kernel):
        name = "flat"

        def diagonal(self, norms):
            return np.ones_like(norms)

        def values(self, products, norms_rows, norms_columns):
            return norms_rows

    class Logarithm(Flat):
        name = "logarithm"

        def values(self, products, norms_rows, norms_columns):
            return np.log(products)

    class Nothing(Kernel):
        name = "nothing"

    with pytest.raises(ValueError, match=r"kernel 'flat' gave values of shape \(3, 1\) for \(3, 3\) products"):
        Flat().apply_symmetric(np.eye(3))
    with pytest.raises(ValueError, match="kernel 'logarithm' gave NaN or infinite values"):
        Logarithm().apply_symmetric(np.eye(3))
    with pytest.raises(NotImplementedError, match="kernel 'nothing' does not define values"):
        Nothing().apply_symmetric(np.eye(3))


# ----------------------------------------------------------------------------------------------------------------------
# callables


def test_functions_are_evaluated_by_blocks(monkeypatch):
    """Any split gives the same; arrays, sparse matrices, sources, frames and lists are sliced as they are."""
    pandas = pytest.importorskip("pandas")
    X, Y = samples(23), samples(9, 1)
    expected = pairwise.laplacian_kernel(X, Y, gamma=0.1)
    for side in (4, 1024):
        monkeypatch.setattr("fcfast.kernels.callables.SIDE", side)
        calls = []

        def laplacian(A, B, calls=calls):
            calls.append((A.shape[0], B.shape[0]))
            return pairwise.laplacian_kernel(A, B, gamma=0.1)

        kinds = (np.asarray, sparse.csr_array, ArraySource, lambda X: pandas.DataFrame(X, np.linspace(1, 2, len(X))))
        for kind in kinds:
            np.testing.assert_allclose(evaluate(laplacian, kind(X), kind(Y)), expected, rtol=1e-12)
        assert max(calls) <= (side, side)
        assert sum(m * n for m, n in calls) == len(kinds) * 23 * 9
    words = ["front", "contribution", "gram"]
    shared = evaluate(lambda A, B: [[len({*a} & {*b}) for b in B] for a in A], words, words, "float32")
    assert shared.dtype == np.float32
    np.testing.assert_array_equal(shared, [[5, 4, 1], [4, 8, 1], [1, 1, 4]])


def broken(result):
    def kernel(A, B):
        return result(len(A), len(B))

    return kernel


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            broken(lambda m, n: np.ones((n, m))),
            r"kernel broken\.<locals>\.kernel gave an array of shape \(2, 3\) for 3 and 2 sam",
        ),
        (broken(lambda m, n: np.ones(m)), r"gave an array of shape \(3,\)"),
        (broken(lambda m, n: np.full((m, n), np.nan)), r"kernel broken\.<locals>\.kernel gave 6 value\(s\) of 6 that are NaN"),
        (broken(lambda m, n: np.full((m, n), 1e300)), r"gave 6 value\(s\) of 6 that are NaN or infinite in float32"),
        (broken(lambda m, n: None), r"the result of kernel broken\.<locals>\.kernel must hold real numbers"),
        (broken(lambda m, n: np.ones((m, n), complex)), "must hold real numbers"),
        ("rbf", "a function of two blocks"),
        (RBF, "a function of two blocks"),
    ],
)
def test_functions_that_are_wrong(function, message):
    """The message names the function and what it gave."""
    with pytest.raises((ValueError, TypeError), match=message):
        evaluate(function, np.ones((3, 4)), np.ones((2, 4)), "float32")


# ----------------------------------------------------------------------------------------------------------------------
# matrices that were computed elsewhere


def test_kernel_matrices_pass():
    """Definite, singular, rounded, zero, of one sample and of none; they are not changed."""
    X = np.random.default_rng(0).normal(size=(300, 20))
    centred = X - X.mean(axis=0)
    K = centred @ centred.T
    for matrix in (
        K, K.astype(np.float32), K.astype(np.float32).astype(np.float64), K + np.eye(300), np.asfortranarray(K), K[::-1, ::-1],
        np.zeros((4, 4)), np.ones((1, 1)), np.zeros((0, 0)), np.eye(5, dtype=int), [[2, 1], [1, 2]],
    ):  # fmt: skip
        before = np.array(matrix)
        refuse_indefinite(matrix)
        np.testing.assert_array_equal(matrix, before)


def test_indefinite_matrices_are_refused():
    """The smallest eigenvalue is named; the tolerance is relative to the diagonal."""
    rng = np.random.default_rng(1)
    Q = np.linalg.qr(rng.normal(size=(300, 300)))[0]
    for smallest, definite in ((-1e-7, True), (-0.01, False)):
        K = (Q * np.r_[smallest, np.linspace(1, 2, 299)]) @ Q.T
        K = (K + K.T) / 2
        if definite:
            refuse_indefinite(K)
            with pytest.raises(ValueError, match=r"smallest eigenvalue is -1e-07"):
                refuse_indefinite(K, tolerance=1e-10)
        else:
            with pytest.raises(ValueError, match=r"K_train is not positive semi-definite: its smallest eigenvalue is -0\.01"):
                refuse_indefinite(K, "K_train")
            refuse_indefinite(K, tolerance=0.02)
    with pytest.raises(ValueError, match="smallest eigenvalue is -1,"):
        refuse_indefinite(-np.eye(3))
    with pytest.raises(ValueError, match="smallest eigenvalue is -1,"):
        refuse_indefinite(np.array([[0.0, 1.0], [1.0, 0.0]]))
    X = rng.normal(size=(50, 3))
    with pytest.raises(ValueError, match="not positive semi-definite"):
        refuse_indefinite(pairwise.sigmoid_kernel(X, gamma=1.0, coef0=-1.0))


def test_asymmetric_matrices_are_refused():
    """The largest difference is named with its place, in whichever tile it is; rounding is allowed."""
    K = np.eye(600) + 1
    K[3, 2] += 0.1
    for row, column in ((0, 1), (599, 0), (10, 590), (300, 301)):
        wrong = K.copy()
        wrong[row, column] += 0.5
        places = "|".join(f"row {i}, column {j} has .*, but row {j}, column {i} has" for i, j in ((row, column), (column, row)))
        with pytest.raises(ValueError, match=rf"K is not symmetric: ({places})"):
            refuse_indefinite(wrong)
    rounded = np.eye(3) + 1
    rounded[0, 1] += 1e-6
    refuse_indefinite(rounded)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), r"K must be a square matrix.*\(2, 3\)"),
        (np.ones(3), "K must be a square matrix"),
        (np.array([[1, np.nan], [np.nan, 1]]), "K holds NaN or infinite values, the first at row 0, column 1"),
        (np.array([[1, 0], [0, np.inf]]), "the first at row 1, column 1"),
        (np.array([["a"]]), "K must hold real numbers"),
        (np.eye(2) * 1j, "K must hold real numbers"),
    ],
)
def test_matrices_that_are_none_of_kernels(matrix, message):
    """The message names the argument and the place."""
    with pytest.raises((ValueError, TypeError), match=message):
        refuse_indefinite(matrix)
    with pytest.raises(ValueError, match="tolerance must be in"):
        refuse_indefinite(np.eye(2), tolerance=-1)
