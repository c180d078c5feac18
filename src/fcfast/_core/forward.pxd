from fcfast._core.types cimport real

cdef void activate_row(real* row, const real* bias, Py_ssize_t n, int activation) noexcept nogil

cdef void forward_pass(const real* params, const Py_ssize_t* widths, Py_ssize_t n_layers, bint bias, int activation,
                       const real* x, Py_ssize_t n_rows, real* values, int n_threads) noexcept nogil
