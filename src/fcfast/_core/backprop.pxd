from fcfast._core.types cimport real

cdef void scale_and_sum(real* delta, const real* value, Py_ssize_t n_rows, Py_ssize_t n_cols, int activation,
                        real* sums) noexcept nogil

cdef void sum_rows(const real* a, Py_ssize_t n_rows, Py_ssize_t n_cols, real* out) noexcept nogil

cdef void backward_pass(const real* params, const Py_ssize_t* widths, Py_ssize_t n_layers, bint bias, int activation,
                        const real* x, Py_ssize_t n_rows, const real* values, real* deltas, real* grad, real* input_delta,
                        int n_threads) noexcept nogil

cdef void sgd_update(real* params, const real* grad, real* velocity, Py_ssize_t n, double learning_rate, double momentum,
                     double dampening, bint nesterov, double weight_decay, bint first) noexcept nogil
