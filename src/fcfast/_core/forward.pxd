from fcfast._core.types cimport real

cdef void activate_row(real* row, const real* bias, Py_ssize_t n, int activation) noexcept nogil

cdef void forward_pass(const real* params, const Py_ssize_t* widths, Py_ssize_t n_layers, bint bias, int activation,
                       const real* x, Py_ssize_t n_rows, real* values, int n_threads) noexcept nogil

cdef double half_squared_error_rows(const real* outputs, const real* targets, const Py_ssize_t* rows,
                                    const double* sample_weight, Py_ssize_t n_rows, Py_ssize_t n_out,
                                    real* delta) noexcept nogil

cdef double softmax_cross_entropy_rows(const real* outputs, const Py_ssize_t* labels, const Py_ssize_t* rows,
                                       const double* sample_weight, double smoothing, Py_ssize_t n_rows,
                                       Py_ssize_t n_out, real* delta) noexcept nogil
