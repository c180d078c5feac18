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
from fcfast._core.mathfn cimport IDENTITY, RELU, relu
from fcfast._core.mathfn cimport activate as activate_scalar
from fcfast._core.types cimport real

# Elements below which starting threads costs more than it saves (about 10 us here for a thread team).
cdef enum:
    THREADED_WORK = 32768
    KEPT_CLASSES = 64   # exponentials of a sample that are kept; of more classes they are computed twice


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


cdef double half_squared_error_rows(const real* outputs, const real* targets, const Py_ssize_t* rows,
                                    const double* sample_weight, Py_ssize_t n_rows, Py_ssize_t n_out,
                                    real* delta) noexcept nogil:
    """Loss of a batch; `rows` says which targets and weights belong to it (NULL: the first ones)."""
    cdef Py_ssize_t i, k, row
    cdef double total = 0, error, share
    cdef double mass = total_weight(sample_weight, rows, n_rows)
    for i in range(n_rows):
        row = i if rows == NULL else rows[i]
        share = (1 if sample_weight == NULL else sample_weight[row]) / mass
        for k in range(n_out):
            error = <double>outputs[i * n_out + k] - targets[row * n_out + k]
            total += error * error * share
            delta[i * n_out + k] = <real>(error * share)
    return total / 2


cdef double softmax_cross_entropy_rows(const real* outputs, const Py_ssize_t* labels, const Py_ssize_t* rows,
                                       const double* sample_weight, double smoothing, Py_ssize_t n_rows,
                                       Py_ssize_t n_out, real* delta) noexcept nogil:
    """Loss of a batch; `rows` says which labels and weights belong to it (NULL: the first ones).

    The target probabilities are 1 - smoothing for the label, and smoothing / n_out more for every class.
    """
    cdef Py_ssize_t i, k, row
    cdef double total = 0, largest, normaliser, share, exponential, expected, mean
    cdef double kept[KEPT_CLASSES]
    cdef double mass = total_weight(sample_weight, rows, n_rows)
    cdef const real* output = outputs
    for i in range(n_rows):
        row = i if rows == NULL else rows[i]
        share = (1 if sample_weight == NULL else sample_weight[row]) / mass
        largest = output[0]
        for k in range(1, n_out):
            largest = max(largest, <double>output[k])
        normaliser = 0
        for k in range(n_out):
            exponential = exp(output[k] - largest)
            normaliser += exponential
            if k < KEPT_CLASSES:
                kept[k] = exponential
        expected = output[labels[row]] - largest
        if smoothing > 0:
            mean = 0
            for k in range(n_out):
                mean += (output[k] - largest) / n_out
            expected += smoothing * (mean - expected)
        total += share * (log(normaliser) - expected)
        for k in range(n_out):
            exponential = kept[k] if k < KEPT_CLASSES else exp(output[k] - largest)
            delta[k] = <real>(share * exponential / normaliser - share * smoothing / n_out)
        delta[labels[row]] -= <real>(share * (1 - smoothing))
        output += n_out
        delta += n_out
    return total


cdef inline double total_weight(const double* sample_weight, const Py_ssize_t* rows, Py_ssize_t n_rows) noexcept nogil:
    """What a batch's weights sum to; 1 where they are all 0, so that such a batch has no gradient instead of NaN."""
    cdef Py_ssize_t i
    cdef double total = 0
    if sample_weight == NULL:
        return n_rows
    for i in range(n_rows):
        total += sample_weight[i if rows == NULL else rows[i]]
    return total if total > 0 else 1


def half_squared_error(const real[:, ::1] outputs,      # IN
                       const real[:, ::1] targets,      # IN
                       real[:, ::1] delta):             # OUT
    """Mean over rows of ||output - target||^2 / 2; ``delta`` receives its gradient with respect to the outputs."""
    return half_squared_error_rows(&outputs[0, 0], &targets[0, 0], NULL, NULL, outputs.shape[0], outputs.shape[1],
                                   &delta[0, 0])


def softmax_cross_entropy(const real[:, ::1] outputs,       # IN
                          const Py_ssize_t[::1] labels,     # IN
                          real[:, ::1] delta,               # OUT
                          double smoothing=0):              # share of the target probability that all classes get alike
    """Mean over rows of -log softmax(outputs)[label]; ``delta`` receives its gradient with respect to the outputs."""
    return softmax_cross_entropy_rows(&outputs[0, 0], &labels[0], NULL, NULL, smoothing, outputs.shape[0], outputs.shape[1],
                                      &delta[0, 0])


def loss_of_rows(const real[:, ::1] outputs,            # IN (B, c)
                 const Py_ssize_t[::1] rows,            # IN (B,), the samples of the batch
                 const real[:, ::1] targets,            # IN (N, c), or None
                 const Py_ssize_t[::1] labels,          # IN (N,), or None
                 const double[::1] sample_weight,       # IN (N,), or None
                 real[:, ::1] delta,                    # OUT (B, c)
                 double smoothing=0):                   # of labels
    """Loss of a batch, cross-entropy if there are labels; ``delta`` receives its gradient with respect to the outputs."""
    cdef const double* weight_data = NULL if sample_weight is None else &sample_weight[0]
    if labels is not None:
        return softmax_cross_entropy_rows(&outputs[0, 0], &labels[0], &rows[0], weight_data, smoothing,
                                          outputs.shape[0], outputs.shape[1], &delta[0, 0])
    return half_squared_error_rows(&outputs[0, 0], &targets[0, 0], &rows[0], weight_data, outputs.shape[0],
                                   outputs.shape[1], &delta[0, 0])
