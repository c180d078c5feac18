"""Forward pass of a dense network.

Design
------
* All parameters live in one packed vector: for each layer its weights (n_out x n_in, row-major), then its biases.
  An update is then one loop, and a whole step needs no allocation.
* ``values`` is one packed workspace too: for each layer its block (n_rows x n_out) of activation values. The last layer
  is linear, so the last block holds the outputs (logits). Derivatives come from values alone; pre-activations are not kept.
* Products go to BLAS; the bias and the activation are one fused pass, row by row, threaded above THREADED_WORK.
"""

from cython.parallel cimport prange

from fcfast._core.blas cimport gemm
from fcfast._core.mathfn cimport IDENTITY, RELU, relu
from fcfast._core.mathfn cimport activate as activate_scalar
from fcfast._core.types cimport real

# Elements below which starting threads costs more than it saves (about 10 us here for a thread team).
cdef enum:
    THREADED_WORK = 32768


cdef void activate_row(real* row, const real* bias, Py_ssize_t n, int activation) noexcept nogil:
    cdef Py_ssize_t j
    if bias != NULL and activation == RELU:     # apart, so that it is one pass
        for j in range(n):
            row[j] = relu(row[j] + bias[j])
        return
    if bias != NULL:
        for j in range(n):
            row[j] += bias[j]
    if activation == RELU:      # apart, so that it vectorises
        for j in range(n):
            row[j] = relu(row[j])
    elif activation != IDENTITY:
        for j in range(n):
            row[j] = activate_scalar(row[j], activation)


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


def product(const real[:, ::1] A,               # IN (m, k), or (k, m) if it is to be transposed
            bint transpose_a,
            const real[:, ::1] B,               # IN (k, n), or (n, k)
            bint transpose_b,
            real[:, ::1] out):                  # OUT (m, n)
    """Multiply two matrices; other threads may run meanwhile, which SciPy's own wrappers do not let them."""
    cdef Py_ssize_t m = out.shape[0], n = out.shape[1], k = A.shape[0] if transpose_a else A.shape[1]
    if m == 0 or n == 0:
        return
    if k == 0:
        out[:, :] = 0
        return
    with nogil:
        gemm(transpose_a, transpose_b, m, n, k, <real>1, &A[0, 0], &B[0, 0], <real>0, &out[0, 0])


def activate(real[:, ::1] S, int activation):        # IN and OUT
    """Apply an activation in place."""
    cdef Py_ssize_t i
    with nogil:
        for i in range(S.shape[0]):
            activate_row(&S[i, 0], NULL, S.shape[1], activation)


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
