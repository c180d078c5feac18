"""Forward mode: tangents pushed through dense layers, and the weight gradients that deltas make.

Design
------
* A tangent is a direction in which activations move; pushing it through a layer is one product with the layer's weights and one
  fused pass that adds what moves at this layer and multiplies by the activation's derivative. Nothing goes backward.
* Several tangents of a batch are pushed in one product: M x B rows. Weights that move add a product for each tangent.
* Noise on the pre-activations of a ReLU is set to 0 where the unit is off: its derivative there is known to be 0.

Axes: M tangents, B batch, n units.
"""

from cython.parallel cimport prange
from libc.string cimport memset

from fcfast._core.backprop cimport sum_rows
from fcfast._core.blas cimport gemm
from fcfast._core.mathfn cimport IDENTITY, RELU, derivative
from fcfast._core.types cimport real

cdef enum:
    THREADED_WORK = 32768


cdef void move_row(real* tangent, real* noise, const real* value, Py_ssize_t n, int activation) noexcept nogil:
    """Add the noise of a sample's pre-activations, if any, and go through the activation of that value."""
    cdef Py_ssize_t j
    if noise != NULL:
        for j in range(n):
            tangent[j] += noise[j]
    if activation == RELU:                        # one loop for each array that changes: those vectorise
        for j in range(n):
            tangent[j] = tangent[j] if value[j] > 0 else 0
        if noise != NULL:
            for j in range(n):
                noise[j] = noise[j] if value[j] > 0 else 0
    elif activation != IDENTITY:
        for j in range(n):
            tangent[j] *= derivative(value[j], activation)


def push(const real[:, ::1] values,             # IN (B, n_out), the layer's activation values
         int activation,
         const real[:, :, ::1] tangents,        # IN (M, B, n_in), of the layer's inputs, or None: they do not move
         const real[:, ::1] weights,            # IN (n_out, n_in), or None: nothing comes from below
         const real[:, ::1] inputs,             # IN (B, n_in), or None: the weights do not move
         const real[:, :, ::1] weight_tangents, # IN (M, n_out, n_in), or None: the weights do not move
         const real[:, ::1] bias_tangents,      # IN (M, n_out), or None
         real[:, :, ::1] noise,                 # IN (M, B, n_out), of the pre-activations, or None; OUT: 0 where a ReLU is off
         real[:, :, ::1] out,                   # OUT (M, B, n_out), tangents of the activation values
         int n_threads):
    """Push tangents through one layer: its inputs, weights, biases and pre-activations may all move at once."""
    cdef Py_ssize_t M = out.shape[0], B = out.shape[1], n_out = out.shape[2], i, j, k
    cdef real started = 0
    cdef real* noise_data = NULL if noise is None else &noise[0, 0, 0]
    if M * B == 0:
        return
    with nogil:
        if tangents is not None:
            gemm(False, True, M * B, n_out, tangents.shape[2], <real>1, &tangents[0, 0, 0], &weights[0, 0], <real>0,
                 &out[0, 0, 0])
            started = 1
        if weight_tangents is not None:
            for k in range(M):
                gemm(False, True, B, n_out, inputs.shape[1], <real>1, &inputs[0, 0], &weight_tangents[k, 0, 0], started,
                     &out[k, 0, 0])
            started = 1
        if started == 0:
            memset(&out[0, 0, 0], 0, M * B * n_out * sizeof(real))
        if bias_tangents is not None:
            for k in range(M):
                for i in range(B):
                    for j in range(n_out):
                        out[k, i, j] += bias_tangents[k, j]
        if n_threads > 1 and M * B * n_out >= THREADED_WORK:
            for i in prange(M * B, schedule="static", num_threads=n_threads):
                move_row(&out[0, 0, 0] + i * n_out, NULL if noise_data == NULL else noise_data + i * n_out,
                         &values[i % B, 0], n_out, activation)
        else:
            for i in range(M * B):
                move_row(&out[0, 0, 0] + i * n_out, NULL if noise_data == NULL else noise_data + i * n_out,
                         &values[i % B, 0], n_out, activation)


def combine(const real[:, :, ::1] directions,       # IN (M, B, n)
            const double[:, :, ::1] coefficients,   # IN (M, B, G), one for each of G groups of n / G units
            real[:, ::1] deltas):                   # OUT (B, n)
    """Add up directions, each group of units of each sample times its coefficient."""
    cdef Py_ssize_t M = directions.shape[0], B = directions.shape[1], G = coefficients.shape[2]
    cdef Py_ssize_t size = directions.shape[2] // G, i, j, k, g
    cdef real c
    with nogil:
        for i in range(B):
            for g in range(G):
                for k in range(M):
                    c = <real>coefficients[k, i, g]
                    if k == 0:
                        for j in range(g * size, (g + 1) * size):
                            deltas[i, j] = c * directions[k, i, j]
                    else:
                        for j in range(g * size, (g + 1) * size):
                            deltas[i, j] += c * directions[k, i, j]


def outer_products(const Py_ssize_t[::1] widths,    # IN
                   bint bias,
                   const real[:, ::1] X,            # IN (B, widths[0])
                   const real[::1] values,          # IN, every layer's activation values but those of the last, packed
                   const real[::1] deltas,          # IN, every layer's, packed
                   real[::1] grad):                 # OUT
    """Fill the gradient of dense layers from the deltas of their pre-activations: no delta is made from another."""
    cdef Py_ssize_t layer, n_in, n_out, B = X.shape[0], n_params = 0, n_values = 0
    cdef const real* below = &X[0, 0]
    if B == 0:
        return
    with nogil:
        for layer in range(widths.shape[0] - 1):
            n_in = widths[layer]
            n_out = widths[layer + 1]
            gemm(True, False, n_out, n_in, B, <real>1, &deltas[n_values], below, <real>0, &grad[n_params])
            n_params += n_out * n_in
            if bias:
                sum_rows(&deltas[n_values], B, n_out, &grad[n_params])
                n_params += n_out
            if layer < widths.shape[0] - 2:
                below = &values[n_values]
            n_values += B * n_out
