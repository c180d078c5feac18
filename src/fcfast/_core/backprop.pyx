"""Backward pass of a dense network and the parameter update.

Design
------
* Same packed layouts as ``forward.pyx``: ``values`` and ``deltas`` have the blocks of the layers one after the other,
  ``grad`` mirrors ``params``.
* Two products per layer go to BLAS, the derivative is multiplied in place, so nothing is allocated.
* The updates have the semantics of torch.optim's SGD, Adam and AdamW and are one pass over the packed vectors.
"""

from cython.parallel cimport prange
from libc.math cimport sqrt

from fcfast._core.blas cimport gemm
from fcfast._core.mathfn cimport IDENTITY, RELU, derivative, root
from fcfast._core.types cimport cloned, real

cdef enum:
    THREADED_WORK = 32768


cdef void scale_by_derivative(real* delta, const real* value, Py_ssize_t n, int activation) noexcept nogil:
    cdef Py_ssize_t j
    if activation == RELU:      # apart, and without a branch, so that it vectorises
        for j in range(n):
            delta[j] = delta[j] if value[j] > 0 else 0
        return
    for j in range(n):
        delta[j] *= derivative(value[j], activation)


def through_activation(real[:, ::1] delta,          # IN and OUT
                       const real[:, ::1] values,   # IN, activation values
                       int activation):
    """Multiply by the activation's derivative, which is known from its values."""
    cdef Py_ssize_t i
    with nogil:
        for i in range(delta.shape[0]):
            scale_by_derivative(&delta[i, 0], &values[i, 0], delta.shape[1], activation)


cdef void sum_rows(const real* a, Py_ssize_t n_rows, Py_ssize_t n_cols, real* out) noexcept nogil:
    cdef Py_ssize_t i, j
    for j in range(n_cols):
        out[j] = 0
    for i in range(n_rows):
        for j in range(n_cols):
            out[j] += a[i * n_cols + j]


cdef void scale_and_sum(real* delta, const real* value, Py_ssize_t n_rows, Py_ssize_t n_cols, int activation,
                        real* sums) noexcept nogil:
    """`scale_by_derivative` and `sum_rows` in one pass, row by row, so that each row is still in the cache."""
    cdef Py_ssize_t i, j
    for j in range(n_cols):
        sums[j] = 0
    for i in range(n_rows):
        scale_by_derivative(delta, value, n_cols, activation)
        for j in range(n_cols):
            sums[j] += delta[j]
        delta += n_cols
        value += n_cols


cdef void backward_pass(const real* params, const Py_ssize_t* widths, Py_ssize_t n_layers, bint bias, int activation,
                        const real* x, Py_ssize_t n_rows, const real* values, real* deltas, real* grad, real* input_delta,
                        int n_threads) noexcept nogil:
    cdef Py_ssize_t layer, i, n_in, n_out, n_params = 0, n_values = 0
    cdef const real* below
    cdef real* delta_below
    for layer in range(n_layers):
        n_params += widths[layer + 1] * (widths[layer] + (1 if bias else 0))
        n_values += n_rows * widths[layer + 1]
    for layer in range(n_layers - 1, -1, -1):
        n_in = widths[layer]
        n_out = widths[layer + 1]
        n_params -= n_out * (n_in + (1 if bias else 0))
        n_values -= n_rows * n_out
        below = values + n_values - n_rows * n_in if layer > 0 else x
        delta_below = deltas + n_values - n_rows * n_in if layer > 0 else input_delta
        gemm(True, False, n_out, n_in, n_rows, <real>1, deltas + n_values, below, <real>0, grad + n_params)
        if bias:
            sum_rows(deltas + n_values, n_rows, n_out, grad + n_params + n_out * n_in)
        if delta_below == NULL:
            continue
        gemm(False, False, n_rows, n_in, n_out, <real>1, deltas + n_values, params + n_params, <real>0, delta_below)
        if layer == 0 or activation == IDENTITY:
            continue
        if n_threads > 1 and n_rows * n_in >= THREADED_WORK:
            for i in prange(n_rows, schedule="static", num_threads=n_threads):
                scale_by_derivative(delta_below + i * n_in, below + i * n_in, n_in, activation)
        else:
            scale_by_derivative(delta_below, below, n_rows * n_in, activation)


def backward(const real[::1] params,            # IN
             const Py_ssize_t[::1] widths,      # IN
             bint bias,
             int activation,
             const real[:, ::1] X,              # IN
             const real[::1] values,            # IN
             real[::1] deltas,                  # IN: last block, OUT: the others
             real[::1] grad,                    # OUT
             real[:, ::1] input_delta,          # OUT, or None
             int n_threads):
    """Fill ``grad`` and every block of ``deltas`` from the last one, dLoss/d outputs; optionally dLoss/dX."""
    cdef real* x_delta = NULL
    if X.shape[0] == 0:
        return
    if input_delta is not None:
        x_delta = &input_delta[0, 0]
    with nogil:
        backward_pass(&params[0], &widths[0], widths.shape[0] - 1, bias, activation, &X[0, 0], X.shape[0],
                      &values[0], &deltas[0], &grad[0], x_delta, n_threads)


cdef void sgd_update(real* params, const real* grad, real* velocity, Py_ssize_t n, double learning_rate, double momentum,
                     double dampening, bint nesterov, double weight_decay, bint first) noexcept nogil:
    cdef Py_ssize_t i
    cdef real g, rate = <real>learning_rate, mu = <real>momentum, decay = <real>weight_decay
    cdef real fresh = <real>(1 - dampening)
    if momentum == 0:
        for i in range(n):
            params[i] -= rate * (grad[i] + decay * params[i])
        return
    for i in range(n):
        g = grad[i] + decay * params[i]
        velocity[i] = g if first else mu * velocity[i] + fresh * g
        params[i] -= rate * (g + mu * velocity[i] if nesterov else velocity[i])


def sgd_step(real[::1] params,              # IN and OUT
             const real[::1] grad,          # IN
             real[::1] velocity,            # IN and OUT, or None without momentum
             double learning_rate,
             double momentum,
             double dampening,
             bint nesterov,
             double weight_decay,
             bint first):
    """One step of SGD as torch.optim.SGD defines it; ``first`` starts the velocity with the gradient itself."""
    cdef real* velocity_data = NULL
    if velocity is not None:
        velocity_data = &velocity[0]
    with nogil:
        sgd_update(&params[0], &grad[0], velocity_data, params.shape[0], learning_rate, momentum, dampening, nesterov,
                   weight_decay, first)


cdef cloned adam_update(real* w, const real* grad, real* m, real* v, Py_ssize_t n, real beta1, real fresh1, real beta2,
                      real fresh2, real rate, real correction, real eps, real decay, real shrink) noexcept nogil:
    """``correction`` is that of the root of the second moment, ``rate`` holds that of the first."""
    cdef Py_ssize_t i
    cdef real g
    for i in range(n):
        g = grad[i] + decay * w[i]
        m[i] = beta1 * m[i] + fresh1 * g
        v[i] = beta2 * v[i] + fresh2 * g * g
        w[i] = shrink * w[i] - rate * m[i] / (root(v[i]) * correction + eps)


def adam_step(real[::1] params,             # IN and OUT
              const real[::1] grad,         # IN
              real[::1] first_moment,       # IN and OUT
              real[::1] second_moment,      # IN and OUT
              double learning_rate,
              double beta1,
              double beta2,
              double eps,
              double weight_decay,
              bint decoupled,
              Py_ssize_t step,
              int n_threads):
    """Step number ``step`` (from 1) of Adam, or with ``decoupled`` weight decay of AdamW, as torch.optim defines them."""
    cdef Py_ssize_t i, n = params.shape[0]
    cdef real rate = <real>(learning_rate / (1 - beta1 ** step)), correction = <real>(1 / sqrt(1 - beta2 ** step))
    cdef real b1 = <real>beta1, b2 = <real>beta2, fresh1 = <real>(1 - beta1), fresh2 = <real>(1 - beta2), small = <real>eps
    cdef real decay = 0 if decoupled else <real>weight_decay
    cdef real shrink = <real>(1 - learning_rate * weight_decay) if decoupled else 1
    if n < THREADED_WORK:
        n_threads = 1
    for i in prange(0, n, THREADED_WORK, schedule="static", num_threads=n_threads, nogil=True):
        adam_update(&params[i], &grad[i], &first_moment[i], &second_moment[i], min(THREADED_WORK, n - i), b1, fresh1, b2,
                    fresh2, rate, correction, small, decay, shrink)


cdef cloned root_update(real* w, const real* grad, real* v, Py_ssize_t n, real rate, real keep, real fresh, real eps,
                      real decay) noexcept nogil:
    cdef Py_ssize_t i
    cdef real g
    for i in range(n):
        g = grad[i] + decay * w[i]
        v[i] = keep * v[i] + fresh * g * g
        w[i] = w[i] - rate * g / (root(v[i]) + eps)


def root_step(real[::1] params,             # IN and OUT
              const real[::1] grad,         # IN
              real[::1] second_moment,      # IN and OUT
              double learning_rate,
              double keep,
              double fresh,
              double eps,
              double weight_decay,
              int n_threads):
    """A step along the gradient over the root of v <- keep v + fresh gradient^2, as torch's Adagrad and RMSprop take it."""
    cdef Py_ssize_t i, n = params.shape[0]
    if n < THREADED_WORK:
        n_threads = 1
    for i in prange(0, n, THREADED_WORK, schedule="static", num_threads=n_threads, nogil=True):
        root_update(&params[i], &grad[i], &second_moment[i], min(THREADED_WORK, n - i), <real>learning_rate, <real>keep,
                    <real>fresh, <real>eps, <real>weight_decay)
