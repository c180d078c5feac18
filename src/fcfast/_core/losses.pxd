"""What other kernels share with `losses`: targets, and the loss of a batch."""

from fcfast._core.types cimport real


cdef class Targets:
    cdef list held
    cdef bint is_double, has_gaps
    cdef int kind
    cdef const void* values
    cdef const Py_ssize_t* labels
    cdef const double* sample_weight
    cdef const double* parameters
    cdef Py_ssize_t n_parameters, n_columns


cdef check_targets(Targets targets, bint is_double, Py_ssize_t n_outputs)

cdef double batch_loss(const real* outputs, Targets targets, const Py_ssize_t* rows, Py_ssize_t n_rows, Py_ssize_t n_out,
                       real* delta) noexcept nogil
