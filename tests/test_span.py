"""The start in the span: its distribution, contributions that give it, and Gram matrices of any rank."""

import os
import subprocess
import sys

import numpy as np
import pytest
import span_cases
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from span_cases import centred, repeated, with_zeros

from fcfast.gram import span
from fcfast.gram.span import span_factor, span_start
from fcfast.kernels import RBF


def normal_rows(n_samples, n_hidden, seed):
    """Standard normal numbers, one row for each sample."""
    return np.random.RandomState(seed).standard_normal((n_samples, n_hidden))


def gram(X, dtype=np.float64):
    """Exactly symmetric, as the library's products are."""
    G = X.astype(dtype) @ X.astype(dtype).T
    return np.tril(G) + np.tril(G, -1).T


def wide(n_samples=60, n_features=400):
    return span_cases.wide(n_samples, n_features, seed=0)


def genotypes():
    return np.random.default_rng(3).binomial(2, 0.05, (90, 40)).astype(np.float64)


CASES = {
    "wide": (wide, 60),
    "centred": (lambda: centred(wide()), 59),
    "repeated": (lambda: repeated(wide()), 30),
    "zero rows": (lambda: with_zeros(wide()), 57),
    "one row": (lambda: wide(1), 1),
    "one feature": (lambda: wide(50, 1), 1),
    "two panels": (lambda: wide(300, 400), 300),
    "square": (lambda: wide(150, 150), 150),
    "tall": (lambda: wide(400, 20), 20),
    "genotypes": (genotypes, 40),
    "far from 0": (lambda: wide(300, 1000) + 10, 300),
    "very different lengths": (lambda: wide(300, 1000) * 10.0 ** np.linspace(-9, 9, 300)[:, None], 300),
    "nothing": (lambda: np.zeros((7, 3)), 0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_contributions_give_the_start(case, dtype):
    """G A0 = S0; as many samples contribute as are independent; S0 has the covariance G, as far as G is known."""
    make, rank = CASES[case]
    G = gram(make(), dtype)
    n_samples, precision = len(G), float(np.finfo(dtype).eps)
    factor = span_factor(G)
    assert factor.rank == rank
    assert sorted(factor.order) == list(range(n_samples))
    Z = normal_rows(n_samples, 5, seed=0)
    exact = span_factor(G.astype(np.float64), tolerance=n_samples * precision)
    S0, A0 = exact.start(Z, 0.3)
    lengths = np.sqrt(G.diagonal().astype(np.float64))
    scale = np.where(lengths > 0, lengths, 1)[:, None]
    np.testing.assert_allclose(G @ A0 / scale, S0 / scale, atol=1e-10)
    assert (np.any(A0 != 0, axis=1)).sum() == rank
    square = exact.start(np.eye(n_samples), 1.0)[0]  # L, with the columns in the order of the samples
    np.testing.assert_allclose(square @ square.T / scale / scale.T, G / scale / scale.T, atol=20 * n_samples * precision)
    rounded = factor.start(Z, 0.3)
    for one, other in zip(rounded, (S0, A0), strict=True):
        assert one.dtype == dtype
        np.testing.assert_array_equal(one, other.astype(dtype))


def test_it_is_the_definition():
    """Sigma L Z and sigma L^-T Z of the plain decomposition, for a matrix of full rank in its own order."""
    G, Z = gram(wide(200)), normal_rows(200, 4, seed=1)
    L = np.linalg.cholesky(G)
    S0, A0 = span_start(G, Z, 0.25)
    np.testing.assert_allclose(S0, 0.25 * L @ Z, atol=1e-11)
    np.testing.assert_allclose(A0, 0.25 * np.linalg.solve(L.T, Z), atol=1e-11)
    assert (span_factor(G).order == np.arange(200)).all()


@pytest.mark.parametrize("case", ["wide", "centred", "repeated", "genotypes"])
def test_the_distribution_is_that_of_gaussian_weights(case):
    """Pre-activations of 3,000 units, whitened by other units, against X W' by Kolmogorov's test; their covariance."""
    X = CASES[case][0]()
    n_units = 3000
    S0, _ = span_start(gram(X), normal_rows(len(X), n_units, seed=4), 0.2)
    weights = 0.2 * np.random.default_rng(5).normal(size=(n_units, X.shape[1]))
    drawn = X @ weights.T
    rng = np.random.default_rng(6)
    for _ in range(5):
        direction = rng.normal(size=len(X))
        assert stats.ks_2samp(direction @ S0, direction @ drawn).pvalue > 0.001
        expected = stats.norm(scale=0.2 * np.linalg.norm(direction @ X))
        assert stats.kstest(direction @ S0, expected.cdf).pvalue > 0.001
    lengths = np.linalg.norm(X, axis=1)
    lengths[lengths == 0] = 1
    errors = (S0 @ S0.T / n_units - 0.04 * gram(X)) / 0.04 / lengths / lengths[:, None]
    assert abs(errors).max() < 5 * np.sqrt(2 / n_units)


def test_the_weights_lie_in_the_span_and_have_the_right_length():
    """A0' X has the length of the projection of Gaussian weights: chi-squared with r degrees of freedom."""
    X = centred(wide())
    _, A0 = span_start(gram(X), normal_rows(60, 2000, seed=0), 0.5)
    squares = ((A0.T @ X) ** 2).sum(axis=1) / 0.25
    assert stats.kstest(squares, stats.chi2(59).cdf).pvalue > 0.001


@pytest.mark.parametrize("case", ["wide", "centred", "repeated", "zero rows", "tall", "two panels", "genotypes"])
def test_contributions_of_given_weights_are_their_projection(case):
    """A' X is the projection of any weights onto the span, and gives the same pre-activations."""
    X = CASES[case][0]()
    W = np.random.default_rng(2).normal(size=(3, X.shape[1]))
    A = span_factor(gram(X)).contributions(X @ W.T)
    _, sizes, Vt = np.linalg.svd(X, full_matrices=False)
    rows = Vt[sizes > 1e-9 * sizes[0]]
    np.testing.assert_allclose(A.T @ X, W @ rows.T @ rows, atol=1e-9)
    np.testing.assert_allclose(gram(X) @ A, X @ W.T, atol=1e-9)


def test_start_and_contributions_agree():
    """The contributions of a start are the start's own."""
    factor = span_factor(gram(centred(wide())))
    S0, A0 = factor.start(normal_rows(60, 3, seed=0), 2.0)
    np.testing.assert_allclose(factor.contributions(S0), A0, atol=1e-10)


@pytest.mark.parametrize("case", ["wide", "centred", "repeated", "two panels", "far from 0"])
def test_rounding_does_not_change_the_start(case):
    """Single-precision products give the start of double-precision ones, to the accuracy of the products."""
    X = CASES[case][0]()
    Z = normal_rows(len(X), 5, seed=0)
    double, single = (span_start(gram(X, dtype), Z, 1.0)[0] for dtype in (np.float64, np.float32))
    np.testing.assert_allclose(single / abs(double).max(), double / abs(double).max(), atol=1e-3)


def test_samples_that_come_later_change_nothing_before():
    """With enough features, the start of the first samples is that of all samples."""
    X, Z = wide(200), normal_rows(200, 3, seed=0)
    whole, part = span_start(gram(X), Z, 1.0)[0], span_start(gram(X[:90]), Z[:90], 1.0)[0]
    np.testing.assert_allclose(whole[:90], part, atol=1e-11)


def test_a_kernel_without_features():
    """RBF, with nearly equal samples."""
    X = np.random.default_rng(0).normal(size=(80, 2))
    X[40:] = X[:40] + 1e-9
    G = RBF(gamma=1.0).apply_symmetric(gram(X))
    S0, A0 = span_start(G, normal_rows(80, 4, seed=0), 1.0)
    np.testing.assert_allclose(G @ A0, S0, atol=1e-5)
    np.testing.assert_allclose(S0[40:], S0[:40], atol=1e-5)


@given(st.integers(0, 2**32), st.integers(1, 24), st.integers(1, 8), st.integers(1, 6))
def test_any_small_integers(seed, n_samples, n_features, panel):
    """Exactly singular matrices, in panels of any size, against the rank from the singular values."""
    X = np.random.default_rng(seed).integers(-2, 3, (n_samples, n_features)).astype(np.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(span, "PANEL", panel)
        factor = span_factor(gram(X))
        assert factor.rank == np.linalg.matrix_rank(X)
        S0, A0 = factor.start(normal_rows(n_samples, 3, seed=1), 1.0)
        np.testing.assert_allclose(gram(X) @ A0, S0, atol=1e-8)
        square = factor.start(np.eye(n_samples), 1.0)[0]
        np.testing.assert_allclose(square @ square.T, gram(X), atol=1e-8)
        A = factor.contributions(X)
        np.testing.assert_allclose(gram(X) @ A, X, atol=1e-8)


def test_no_samples_no_units_no_deviation():
    """Nothing is drawn, and nothing fails."""
    S0, A0 = span_start(np.zeros((0, 0)), np.zeros((0, 4)), 1.0)
    assert S0.shape == A0.shape == (0, 4)
    S0, A0 = span_start(gram(wide()), np.zeros((60, 0)), 1.0)
    assert S0.shape == A0.shape == (60, 0)
    assert not any(part.any() for part in span_start(gram(wide()), normal_rows(60, 2, seed=0), 0.0))


def test_the_matrix_is_not_changed():
    """Nor are the numbers; results are new C-contiguous arrays."""
    G, Z = gram(centred(wide())), normal_rows(60, 3, seed=0)
    G.flags.writeable = Z.flags.writeable = False
    for part in span_start(G, Z, 1.0):
        assert part.flags.c_contiguous
        assert part.flags.writeable
    np.testing.assert_array_equal(span_start(np.asfortranarray(G), Z, 1.0)[1], span_start(G, Z, 1.0)[1])


SCRIPT = """
import hashlib, numpy as np
from fcfast.gram.span import span_start
X = np.random.default_rng(0).integers(-9, 10, (500, 700)).astype(float)
X[400:] = X[:100]
Z = np.random.RandomState(1).standard_normal((500, 64))
print(hashlib.sha256(b"".join(part.tobytes() for part in span_start(X @ X.T, Z, 0.1))).hexdigest())
"""


@pytest.mark.bits
def test_threads_change_no_bit():
    """BLAS with one thread and with two."""
    digests = set()
    for n_threads in ("1", "2"):
        limits = {"OPENBLAS_NUM_THREADS": n_threads, "OMP_NUM_THREADS": n_threads, "MKL_NUM_THREADS": n_threads}
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=os.environ | limits, capture_output=True, text=True, check=True
        )
        digests.add(run.stdout)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.eye(3, dtype=int), np.ones((3, 1)), 1.0), "G must be an array of float32 or float64, got int64"),
        (([[1.0]], np.ones((1, 1)), 1.0), "G must be an array of float32 or float64, got list"),
        ((np.ones((3, 2)), np.ones((3, 1)), 1.0), r"G must be a square Gram matrix, got shape \(3, 2\)"),
        ((-np.eye(3), np.ones((3, 1)), 1.0), "G must be finite, with squared norms >= 0"),
        ((np.full((3, 3), np.nan), np.ones((3, 1)), 1.0), "G must be finite"),
        ((np.eye(3) + np.diag([np.nan] * 2, 1) + np.diag([np.nan] * 2, -1), np.ones((3, 1)), 1.0), "G holds NaN"),
        ((np.eye(3), np.ones((2, 1)), 1.0), r"Z has shape \(2, 1\), but one row is needed for each of 3 samples"),
        ((np.eye(3), np.ones(3), 1.0), r"Z must have 2 dimension\(s\)"),
        ((np.eye(3), np.full((3, 1), np.inf), 1.0), "Z holds 3"),
        ((np.eye(3), np.ones((3, 1)), -1.0), "sigma must be in"),
        ((np.eye(3), np.ones((3, 1)), 1.0, 2.0), "tolerance must be in"),
    ],
)
def test_bad_arguments(arguments, message):
    """The message names the argument."""
    with pytest.raises((ValueError, TypeError), match=message):
        span_start(*arguments)


def test_bad_preactivations():
    """The message names the argument."""
    factor = span_factor(np.eye(3))
    with pytest.raises(ValueError, match=r"S has shape \(2, 2\), but one row is needed for each of 3"):
        factor.contributions(np.ones((2, 2)))
    with pytest.raises(ValueError, match="S holds 1"):
        factor.contributions(np.array([[1.0], [np.nan], [1.0]]))


@pytest.mark.parametrize("seed", range(50))
def test_rounding_of_the_elimination_adds_no_rank(seed):
    """A rank that only rounding makes would be divided by, and give contributions of 10^7."""
    X = np.random.default_rng(seed).normal(size=(12, 3))
    G = (X @ X.T + 1) ** 2  # quadratic functions of 3 features have 10 dimensions
    assert span_factor(G).rank == 10
