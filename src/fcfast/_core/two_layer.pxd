"""The two-layer ReLU network of the Front Contribution paper (arXiv 2106.05569): what all its techniques share.

`learn` is the network above the hidden layer. A technique only says how the hidden pre-activations of the current sample
are obtained and how its step moves them.
"""

from libc.math cimport NAN, isfinite

from fcfast._core.mathfn cimport relu


cdef inline bint predict(const double* v, const double* w, Py_ssize_t h, Py_ssize_t c, double* y) noexcept nogil:
    """Equation 11 for c outputs: y_k = sum_j w_kj v_j. False when an output is not finite."""
    cdef Py_ssize_t j, k
    cdef bint finite = True
    for k in range(c):
        y[k] = 0
        for j in range(h):
            y[k] += w[k * h + j] * v[j]
        finite = finite and isfinite(y[k])
    return finite


cdef inline double back_error(const double* w, const double* y, const double* target, Py_ssize_t j,
                              Py_ssize_t h, Py_ssize_t c) noexcept nogil:
    """dE/dv_j = sum_k (y_k - target_k) w_kj."""
    cdef Py_ssize_t k
    cdef double total = 0
    for k in range(c):
        total += (y[k] - target[k]) * w[k * h + j]
    return total


cdef inline double learn_unit(double* w, double v, const double* y, const double* target, Py_ssize_t j,
                              Py_ssize_t h, Py_ssize_t c, double eta, bint sequential) noexcept nogil:
    """Equations 13 and 14 for hidden unit j of value v: update w, return the factor a of the hidden step a x."""
    cdef Py_ssize_t k
    cdef double before = back_error(w, y, target, j, h, c)
    for k in range(c):
        w[k * h + j] -= eta * (y[k] - target[k]) * v
    if v <= 0:
        return 0
    return -eta * (back_error(w, y, target, j, h, c) if sequential else before)


cdef inline bint learn(double* s, double* w, const double* target, double* y, Py_ssize_t h, Py_ssize_t c,
                       double eta, bint sequential) noexcept nogil:
    """One sample above the hidden layer. In: pre-activations s; out: the factors a of the hidden step, in their place."""
    cdef Py_ssize_t j
    for j in range(h):
        s[j] = relu(s[j])
    if not predict(s, w, h, c, y):
        return False
    for j in range(h):
        s[j] = learn_unit(w, s[j], y, target, j, h, c, eta, sequential)
    return True


cdef inline double* outputs_of(double[:, :, ::1] outputs, Py_ssize_t network) noexcept nogil:
    """Where a network's outputs start; without iterations there is nothing to point at."""
    return &outputs[network, 0, 0] if outputs.shape[1] > 0 else NULL


cdef inline Py_ssize_t stop(double* outputs, Py_ssize_t t, Py_ssize_t n_iter, Py_ssize_t c) noexcept nogil:
    """Mark the outputs from iteration t on as undefined."""
    cdef Py_ssize_t i
    for i in range(t * c, n_iter * c):
        outputs[i] = NAN
    return t
