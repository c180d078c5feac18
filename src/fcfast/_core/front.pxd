"""What other kernels share with `front`: its networks, its settings, its scratch and the steps of a window."""

from fcfast._core.losses cimport Targets
from fcfast._core.types cimport real

# The parts of the scratch.
cdef enum:
    START           # (K, h) pre-activations, first as of the start of the window
    START_VELOCITY  # (K, h) the same of the velocity
    FRONT_DELTA     # (K, h) derivatives of the loss with respect to the pre-activations
    GRAM            # (K, K)
    SCALED          # (B, K) rows of it, each column multiplied by the factor of its step
    GATHERED        # (K, d or N) rows of the source
    GRAD            # as params
    VALUES          # (B, units above the front layer)
    DELTAS          # the same
    N_PARTS


cdef class Network:
    cdef list held
    cdef bint is_double
    cdef void* base
    cdef void* base_velocity
    cdef const void* source
    cdef const void* S0
    cdef double* scale
    cdef const double* mean
    cdef const double* divisor
    cdef const double* fill
    cdef void* params
    cdef void* velocity
    cdef const Py_ssize_t* widths
    cdef Py_ssize_t n_layers, n_params, n_base, n_columns
    cdef int activation


cdef class Sgd:
    cdef double momentum, dampening, max_norm
    cdef bint nesterov
    cdef const double[:, ::1] rate_factors, weight_decay


cdef class Workspace:
    cdef Py_ssize_t batch_size, window
    cdef void* parts[N_PARTS]
    cdef Py_ssize_t[::1] place      # of each sample in the window, or -1
    cdef double[::1] factors        # of each step of a window: a, then m
    cdef readonly object scratch    # where the parts lie


cdef Py_ssize_t run_window(real* start, Network network, Targets targets, Sgd sgd, Workspace workspace,
                           const Py_ssize_t* rows, Py_ssize_t n_rows, const double* rates, bint first, double* losses,
                           double* r, double* a, double* m, int n_threads) noexcept nogil
