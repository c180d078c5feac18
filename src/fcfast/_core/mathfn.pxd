"""Scalar activation functions and their derivatives, and the square root, one inline function per formula."""

from libc.math cimport exp, expf, sqrt, sqrtf, tanh, tanhf

from fcfast._core.types cimport real

cdef enum Activation:
    IDENTITY = 0
    RELU = 1
    LEAKY_RELU = 2
    TANH = 3
    LOGISTIC = 4


cdef inline real root(real x) noexcept nogil:
    return sqrtf(x) if real is float else sqrt(x)   # of a type of its own: in a longer expression both would be a double


cdef inline real relu(real s) noexcept nogil:
    # Written so that NaN passes through: a diverged unit must not look like a dead one.
    return 0 if s <= 0 else s


cdef inline real activate(real s, int activation) noexcept nogil:
    if activation == RELU:
        return relu(s)
    if activation == LEAKY_RELU:
        return s if s > 0 else <real>0.01 * s
    if activation == TANH:
        return tanhf(s) if real is float else tanh(s)
    if activation == LOGISTIC:
        return 1 / (1 + (expf(-s) if real is float else exp(-s)))
    return s


cdef inline real derivative(real v, int activation) noexcept nogil:
    """The derivative, from the activation's *value* v: every activation here allows it. ReLU has 0 at 0."""
    if activation == RELU:
        return 1 if v > 0 else 0
    if activation == LEAKY_RELU:
        return 1 if v > 0 else <real>0.01
    if activation == TANH:
        return 1 - v * v
    if activation == LOGISTIC:
        return v * (1 - v)
    return 1
