"""Forward pass of a dense network, and the losses.

Design
------
* All parameters live in one packed vector: for each layer its weights (n_out x n_in, row-major), then its biases.
  An update is then one loop, and a whole step needs no allocation.
* ``values`` is one packed workspace too: for each layer its block (n_rows x n_out) of activation values. The last layer
  is linear, so the last block holds the outputs (logits). Derivatives come from values alone; pre-activations are not kept.
* Products go to BLAS; the bias and the activation are one fused pass, row by row, threaded above THREADED_WORK.
"""

from cython.parallel cimport prange
from libc.math cimport exp, log

from fcfast._core.blas cimport gemm
from fcfast._core.mathfn cimport IDENTITY, activate
from fcfast._core.types cimport real

# Elements below which starting threads costs more than it saves (about 10 us here for a thread team).
cdef enum:
    THREADED_WORK = 32768


cdef inline void activate_row(real* row, const real* bias, Py_ssize_t n, int activation) noexcept nogil:
    cdef Py_ssize_t j
    if bias != NULL:
        for j in range(n):
            row[j] += bias[j]
    if activation != IDENTITY:
        for j in range(n):
            row[j] = activate(row[j], activation)


cdef void forward_pass(const real* params, const Py_ssize_t* widths, Py_ssize_t n_layers, bint bias, int activation,
                       const real* x, Py_ssize_t n_rows, real* values, int n_threads) noexcept nogil:
    cdef Py_ssize_t layer, i, n_in, n_out
    cdef const real* layer_bias
    cdef int layer_activation
    for layer in range(n_layers):
        n_in = widths[layer]
        n_out = widths[layer + 1]
        gemm(False, True, n_rows, n_out, n_in, <real>1, x, params, <real>0, values)
        params += n_out * n_in
        layer_bias = params if bias else NULL
        layer_activation = activation if layer < n_layers - 1 else IDENTITY
        if n_threads > 1 and n_rows * n_out >= THREADED_WORK:
            for i in prange(n_rows, schedule="static", num_threads=n_threads):
                activate_row(values + i * n_out, layer_bias, n_out, layer_activation)
        else:
            for i in range(n_rows):
                activate_row(values + i * n_out, layer_bias, n_out, layer_activation)
        if bias:
            params += n_out
        x = values
        values += n_rows * n_out


def forward(const real[::1] params,             # IN
            const Py_ssize_t[::1] widths,       # IN
            bint bias,
            int activation,
            const real[:, ::1] X,               # IN
            real[::1] values,                   # OUT
            int n_threads):
    """Fill ``values`` with every layer's activation values; the last block is the network's outputs."""
    if X.shape[0] == 0:
        return
    with nogil:
        forward_pass(&params[0], &widths[0], widths.shape[0] - 1, bias, activation, &X[0, 0], X.shape[0],
                     &values[0], n_threads)


def half_squared_error(const real[:, ::1] outputs,      # IN
                       const real[:, ::1] targets,      # IN
                       real[:, ::1] delta):             # OUT
    """Mean over rows of ||output - target||^2 / 2; ``delta`` receives its gradient with respect to the outputs."""
    cdef Py_ssize_t n_rows = outputs.shape[0], n_out = outputs.shape[1], i, k
    cdef double total = 0, error
    with nogil:
        for i in range(n_rows):
            for k in range(n_out):
                error = <double>outputs[i, k] - targets[i, k]
                total += error * error
                delta[i, k] = <real>(error / n_rows)
    return total / (2 * n_rows)


def softmax_cross_entropy(const real[:, ::1] outputs,       # IN
                          const Py_ssize_t[::1] labels,     # IN
                          real[:, ::1] delta):              # OUT
    """Mean over rows of -log softmax(outputs)[label]; ``delta`` receives its gradient with respect to the outputs."""
    cdef Py_ssize_t n_rows = outputs.shape[0], n_out = outputs.shape[1], i, k
    cdef double total = 0, largest, normaliser
    with nogil:
        for i in range(n_rows):
            largest = outputs[i, 0]
            for k in range(1, n_out):
                largest = max(largest, <double>outputs[i, k])
            normaliser = 0
            for k in range(n_out):
                normaliser += exp(outputs[i, k] - largest)
            total += log(normaliser) - (outputs[i, labels[i]] - largest)
            for k in range(n_out):
                delta[i, k] = <real>(exp(outputs[i, k] - largest) / (normaliser * n_rows))
            delta[i, labels[i]] -= <real>(1.0 / n_rows)
    return total / n_rows
