"""Argument checks: accepted values, returned values, and messages with the wrong value and a remedy."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcfast import validation

NOT_REAL = {
    "object": np.array([1.0, None], dtype=object),
    "complex": np.array([1j, 2.0]),
    "strings": ["1.0", "2.0"],
    "bytes": [b"1"],
    "dates": np.array(["2021-06-10"], dtype="datetime64[D]"),
}


# ----------------------------------------------------------------------------------------------------------------------
# arrays


@pytest.mark.parametrize("value", [[1, 2], (1.0, 2.0), [True, 2], np.array([1, 2], dtype=np.uint8)], ids=repr)
def test_finite_array_converts(value):
    """Integers, booleans and any real dtype become C-contiguous float64."""
    array = validation.finite_array(value, "X", 1)
    assert array.dtype == np.float64
    assert array.tolist() == [1.0, 2.0]


def test_finite_array_is_contiguous():
    """Strided and Fortran-ordered arrays are copied, suitable ones are not."""
    matrix = np.arange(12.0).reshape(3, 4)
    assert np.shares_memory(validation.finite_array(matrix, "X", 2), matrix)
    for value in (matrix.T, matrix[:, ::2], np.asfortranarray(matrix)):
        array = validation.finite_array(value, "X", 2)
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, value)


def test_finite_array_keeps_dimensions():
    """A number stays a number, an empty array empty."""
    assert validation.finite_array(3, "y", (0, 1)).shape == ()
    assert validation.finite_array([], "y", 1).shape == (0,)
    assert validation.finite_array(np.ones((2, 0, 3)), "y", (1, 3)).shape == (2, 0, 3)


@pytest.mark.parametrize("value", NOT_REAL.values(), ids=NOT_REAL)
def test_finite_array_refuses_other_dtypes(value):
    """What holds no real numbers is a TypeError that names argument and dtype."""
    with pytest.raises(TypeError, match=r"weights must hold real numbers, got an array of dtype \S+"):
        validation.finite_array(value, "weights", 1)


@pytest.mark.parametrize(("bad", "count"), [([np.nan, 1], 1), ([[np.inf, -np.inf], [0, np.nan]], 3)], ids=repr)
def test_finite_array_refuses_nan_and_infinity(bad, count):
    """The message counts them and says what to do."""
    with pytest.raises(ValueError, match=rf"X holds {count} value\(s\) that are NaN or infinite; remove or impute"):
        validation.finite_array(bad, "X", (1, 2))


@pytest.mark.parametrize(
    ("value", "ndim", "message"),
    [
        (np.ones((2, 3)), 1, r"y must have 1 dimension\(s\), got shape \(2, 3\)"),
        (5.0, (1, 2), r"y must have 1 or 2 dimension\(s\), got shape \(\)"),
        (np.ones((1, 2, 3)), (0, 1, 2), r"y must have 0 or 1 or 2 dimension\(s\), got shape \(1, 2, 3\)"),
    ],
)
def test_finite_array_refuses_other_dimensions(value, ndim, message):
    """The message has the dimensions wanted and the shape got."""
    with pytest.raises(ValueError, match=message):
        validation.finite_array(value, "y", ndim)


def test_ragged_lists():
    """Rows of different lengths are refused in the name of the argument."""
    with pytest.raises(ValueError, match="X"):
        validation.finite_array([[1, 2], [3]], "X", 2)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_finite_array_changes_no_value(values):
    """Every finite float64 passes through as it is, subnormals and -0.0 included."""
    assert validation.finite_array(values, "X", 1).tobytes() == np.array(values, dtype=float).tobytes()


# ----------------------------------------------------------------------------------------------------------------------
# numbers and names


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int8(2), Fraction(2)], ids=repr)
def test_positive_accepts(value):
    """Any real number > 0 becomes a float."""
    assert type(validation.positive(value, "eta")) is float
    assert validation.positive(value, "eta") == 2


@pytest.mark.parametrize("value", [0, -1, -0.0, np.nan, np.inf, -np.inf, np.float32(-1)], ids=repr)
def test_positive_refuses_values(value):
    """Zero, negative and non-finite numbers are a ValueError."""
    with pytest.raises(ValueError, match=r"eta must be finite and > 0, got .+"):
        validation.positive(value, "eta")


@pytest.mark.parametrize("value", ["0.1", None, True, np.True_, 1j, [0.1], np.array([0.1])], ids=repr)
def test_positive_refuses_types(value):
    """What is no number, booleans included, is a TypeError."""
    with pytest.raises(TypeError, match=r"eta must be a number, got .+"):
        validation.positive(value, "eta")


def test_positive_refuses_huge_integers():
    """An integer that no float can hold is refused as the infinity it would be."""
    with pytest.raises(ValueError, match="eta must be finite"):
        validation.positive(10**400, "eta")


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)], ids=repr)
def test_integer_accepts(value):
    """Python's and NumPy's integers, the minimum included, become an int."""
    assert type(validation.integer(value, "n_iter", 3)) is int
    assert validation.integer(value, "n_iter", 3) == 3


def test_integer_refuses_values():
    """Below the minimum is a ValueError with the minimum."""
    with pytest.raises(ValueError, match="n_iter must be >= 3, got 2"):
        validation.integer(2, "n_iter", 3)


@pytest.mark.parametrize("value", ["3", None, True, np.True_, 3.0, np.float64(3), 1j, [3]], ids=repr)
def test_integer_refuses_types(value):
    """Floats that happen to be whole, booleans and strings are a TypeError."""
    with pytest.raises(TypeError, match=r"n_iter must be an integer, got .+"):
        validation.integer(value, "n_iter", 0)


def test_choice():
    """One of the names passes, anything else is told which there are."""
    assert validation.choice("relu", "activation", ("relu", "tanh")) == "relu"
    for value in ("RELU", "", "rel", None, 1, ["relu"]):
        with pytest.raises(ValueError, match=r"activation=.+ is unknown; use one of 'relu', 'tanh'"):
            validation.choice(value, "activation", ("relu", "tanh"))


# ----------------------------------------------------------------------------------------------------------------------
# data


@pytest.mark.parametrize(
    ("X", "y", "shapes"),
    [
        ([1.0, 2.0], 3.0, ((1, 2), (1, 1))),
        ([1.0, 2.0], [3.0], ((1, 2), (1, 1))),
        ([1.0, 2.0], [[3.0, 4.0]], ((1, 2), (1, 2))),
        ([[1.0, 2.0]], 3.0, ((1, 2), (1, 1))),
        (np.ones((4, 2)), np.ones(4), ((4, 2), (4, 1))),
        (np.ones((4, 2)), np.ones((4, 3)), ((4, 2), (4, 3))),
    ],
)
def test_samples_shapes(X, y, shapes):
    """One input or many, one target or many: matrices come back."""
    inputs, targets = validation.samples(X, y)
    assert (inputs.shape, targets.shape) == shapes
    assert inputs.ravel().tolist() == np.ravel(X).tolist()
    assert targets.ravel().tolist() == np.ravel(y).tolist()


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([], 1.0, r"X is empty, shape \(0,\); at least one sample and one feature"),
        (np.ones((0, 2)), [], r"X is empty, shape \(0, 2\)"),
        (np.ones((2, 0)), [1, 2], r"X is empty, shape \(2, 0\)"),
        (1.0, 1.0, r"X must have 1 or 2 dimension\(s\), got shape \(\)"),
        (np.ones((1, 1, 1)), 1.0, r"X must have 1 or 2 dimension\(s\)"),
        ([[1, 2], [3, 4]], [1, 2, 3], r"X has 2 sample\(s\) but y has 3; give one target"),
        ([1, 2, 3], [1, 2, 3], r"X has 1 sample\(s\) but y has 3"),
        ([[1, 2], [3, 4]], 1.0, r"X has 2 sample\(s\) but y has 1"),
        ([[1, 2]], np.ones((1, 0)), r"y has no outputs, shape \(1, 0\)"),
        ([[1, 2]], np.ones((1, 1, 1)), r"y must have 0 or 1 or 2 dimension\(s\)"),
        ([[np.nan, 2]], [1], r"X holds 1 value\(s\) that are NaN"),
        ([[1, 2]], [np.inf], r"y holds 1 value\(s\) that are NaN or infinite"),
    ],
)
def test_samples_refuses(X, y, message):
    """Empty data, shapes that do not fit and non-finite values."""
    with pytest.raises(ValueError, match=message):
        validation.samples(X, y)


@pytest.mark.parametrize("bad", NOT_REAL.values(), ids=NOT_REAL)
def test_samples_refuses_other_dtypes(bad):
    """X and y are each named."""
    with pytest.raises(TypeError, match="X must hold real numbers"):
        validation.samples(bad, 1.0)
    with pytest.raises(TypeError, match="y must hold real numbers"):
        validation.samples(np.ones((2, 2)), bad)


def test_labels():
    """Integers of any kind become intp; order and values stay."""
    for kind in (np.int8, np.uint16, np.int64, np.uint64):
        labels = validation.labels(np.array([2, 0, 1], dtype=kind), 3, 3)
        assert labels.dtype == np.intp
        assert labels.tolist() == [2, 0, 1]
    assert validation.labels(np.arange(6)[::2], 3, 5).flags.c_contiguous


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], r"y must be 3 integer label\(s\), got shape \(2,\)"),
        ([[0], [1], [2]], r"y must be 3 integer label\(s\), got shape \(3, 1\)"),
        (0, r"y must be 3 integer label\(s\), got shape \(\)"),
        ([0.0, 1.0, 2.0], r"y must be 3 integer label\(s\), got .*dtype float64"),
        ([True, False, True], r"y must be 3 integer label\(s\), got .*dtype bool"),
        (["a", "b", "c"], r"y must be 3 integer label\(s\), got .*dtype <U1"),
        (np.array([0, 1, None]), r"y must be 3 integer label\(s\), got .*dtype object"),
        ([0, 1, 3], "y has labels from 0 to 3; use 0 to 2"),
        ([-1, 0, 1], "y has labels from -1 to 1; use 0 to 2"),
        (np.array([0, 1, 2**64 - 1], dtype=np.uint64), f"y has labels from 0 to {2**64 - 1}; use 0 to 2"),
    ],
)
def test_labels_refuses(y, message):
    """Another shape, another dtype, a label that is no class."""
    with pytest.raises(ValueError, match=message):
        validation.labels(y, 3, 3)


# ----------------------------------------------------------------------------------------------------------------------
# weights


def test_chain():
    """Matrices that follow one another come back in float64, in order."""
    matrices = validation.chain([[[1, 2], [3, 4], [5, 6]], [[7, 8, 9]]])
    assert [matrix.tolist() for matrix in matrices] == [[[1, 2], [3, 4], [5, 6]], [[7, 8, 9]]]
    assert all(matrix.dtype == np.float64 for matrix in matrices)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([], ValueError, r"weights is empty; give at least one matrix \(n_out, n_in\)"),
        ([np.ones((2, 3)), np.ones((2, 3))], ValueError, r"weights\[1\] has shape \(2, 3\).* 2 unit\(s\); use \(n_out, n_in\)"),
        ([np.ones((2, 3)), np.ones(2)], ValueError, r"weights\[1\] must have 2 dimension\(s\), got shape \(2,\)"),
        ([np.ones((2, 3)), np.ones((0, 2))], ValueError, r"weights\[1\] is empty, shape \(0, 2\)"),
        ([np.ones((2, 0))], ValueError, r"weights\[0\] is empty, shape \(2, 0\)"),
        ([[[np.nan]]], ValueError, r"weights\[0\] holds 1 value"),
        ([[["a"]]], TypeError, r"weights\[0\] must hold real numbers"),
    ],
)
def test_chain_refuses(weights, error, message):
    """The matrix at fault is named by its place."""
    with pytest.raises(error, match=message):
        validation.chain(weights)


def test_fit_chain():
    """A chain must begin with the data's features and end with its outputs."""
    weights = [np.ones((4, 3)), np.ones((2, 4))]
    assert [matrix.shape for matrix in validation.fit_chain(weights, 3, 2)] == [(4, 3), (2, 4)]
    with pytest.raises(ValueError, match=r"weights\[0\] has shape \(4, 3\), but X has 5 feature\(s\)"):
        validation.fit_chain(weights, 5, 2)
    with pytest.raises(ValueError, match=r"the last of weights has shape \(2, 4\), but y has 1 output\(s\)"):
        validation.fit_chain(weights, 3, 1)
    with pytest.raises(ValueError, match="weights is empty"):
        validation.fit_chain([], 3, 1)


def test_layer_biases():
    """One vector for each layer."""
    vectors = validation.layer_biases([[1, 2], [3]], np.array([2, 1]))
    assert [vector.tolist() for vector in vectors] == [[1, 2], [3]]
    for biases, got in (([[1, 2]], r"\[2\]"), ([[1, 2], [3, 4]], r"\[2, 2\]"), ([[3], [1, 2]], r"\[1, 2\]"), ([], r"\[\]")):
        with pytest.raises(ValueError, match=rf"biases have lengths {got}, but the layers have \[2, 1\] units"):
            validation.layer_biases(biases, np.array([2, 1]))
    with pytest.raises(ValueError, match=r"biases\[1\] must have 1 dimension\(s\), got shape \(1, 1\)"):
        validation.layer_biases([[1, 2], [[3]]], [2, 1])
    with pytest.raises(ValueError, match=r"biases\[0\] holds 1 value"):
        validation.layer_biases([[np.nan, 2], [3]], [2, 1])
    with pytest.raises(TypeError, match=r"biases\[1\] must hold real numbers"):
        validation.layer_biases([[1, 2], ["3"]], [2, 1])


def test_two_layers():
    """The final layer may be a vector for one output, a matrix for several."""
    W1, w2 = validation.two_layers(np.ones((4, 3)), [1, 2, 3, 4], 3, 1)
    assert (W1.shape, w2.shape) == ((4, 3), (1, 4))
    assert w2.tolist() == [[1, 2, 3, 4]]
    assert validation.two_layers(np.ones((4, 3)), np.ones((2, 4)), 3, 2)[1].shape == (2, 4)


@pytest.mark.parametrize(
    ("W1", "w2", "n_outputs", "error", "message"),
    [
        (np.ones(3), np.ones(4), 1, ValueError, r"W1 must have 2 dimension\(s\), got shape \(3,\)"),
        (np.ones((0, 3)), [], 1, ValueError, r"W1 has no hidden units, shape \(0, 3\)"),
        (np.ones((3, 4)), np.ones(3), 1, ValueError, r"W1 has shape \(3, 4\), but X has 3.*use \(n_hidden, 3\)"),
        (np.ones((4, 3)), np.ones(3), 1, ValueError, r"w2 has shape \(3,\).*4 hidden.*use \(1, 4\) or \(4,\)$"),
        (np.ones((4, 3)), np.ones(4), 2, ValueError, r"w2 has shape \(4,\).*y 2 output\(s\); use \(2, 4\)$"),
        (np.ones((4, 3)), np.ones((4, 2)), 2, ValueError, r"w2 has shape \(4, 2\).*use \(2, 4\)$"),
        (np.ones((4, 3)), 1.0, 1, ValueError, r"w2 must have 1 or 2 dimension\(s\)"),
        (np.full((4, 3), np.nan), np.ones(4), 1, ValueError, r"W1 holds 12 value"),
        (np.ones((4, 3)), np.full(4, np.inf), 1, ValueError, r"w2 holds 4 value"),
        ([["a"] * 3] * 4, np.ones(4), 1, TypeError, "W1 must hold real numbers"),
        (np.ones((4, 3)), [1j] * 4, 1, TypeError, "w2 must hold real numbers"),
    ],
)
def test_two_layers_refuses(W1, w2, n_outputs, error, message):
    """W1 and w2 are each named, with the shape to use."""
    with pytest.raises(error, match=message):
        validation.two_layers(W1, w2, 3, n_outputs)


@pytest.mark.parametrize("value", ["no", 1, 0.0, None])
def test_boolean_is_no_string_and_no_number(value):
    """Only True and False, Python's or NumPy's."""
    with pytest.raises(TypeError, match=f"shuffle must be True or False, got {value!r}"):
        validation.boolean(value, "shuffle")
    assert validation.boolean(np.True_, "shuffle") is True


@pytest.mark.parametrize("values", [[-1.0, 2], [np.nan, 1], [0.0, 0], [np.inf, 1], [1.7e308, 1.7e308]])
def test_sample_weights_have_a_mean(values):
    """Finite, none negative, not all 0, and with a finite sum."""
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="class_weight gives weights"):
        validation.sample_weights(np.array(values), "class_weight")
    validation.sample_weights(np.array([0, 1e300]), "class_weight")
