"""Arithmetic on the slots of sparse features: W of a feature, and with momentum M beside it, for some hidden units.

A 2 x 2 matrix p, which is the same for all units, catches (W, M) up (`catch_up.pxd`). Where `units` is not NULL, it has p01 of
each unit.
"""

from libc.float cimport DBL_MIN, FLT_MIN

from fcfast._core.types cimport real

cdef extern from "prefetch.h" nogil:
    void fcfast_prefetch(const void*)

cdef enum:
    CACHE_LINE = 64     # bytes; slots consist of whole ones


cdef struct Entries:
    # The entries of a window, feature by feature.
    Py_ssize_t n_features, n_entries
    int* slots              # of each feature
    Py_ssize_t* ends        # where its entries end; those of the first begin at 0
    double* lags            # (features, 4): what catches it up
    int* since              # the window at whose start it was up to date
    int* rows               # row in the window of each entry, rising within a feature
    double* values


cdef inline void fetch(const real* slot, Py_ssize_t width, Py_ssize_t n_copies, Py_ssize_t first,
                       Py_ssize_t last) noexcept nogil:
    """Ask for some units of a slot."""
    cdef Py_ssize_t copy, line, in_line = CACHE_LINE // sizeof(real)
    for copy in range(n_copies):
        for line in range(first // in_line, (last + in_line - 1) // in_line):
            fcfast_prefetch(slot + copy * width + line * in_line)


cdef inline void add(real* out, real factor, const real* row, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        out[j] += factor * row[j]


cdef inline real settled(real m) noexcept nogil:
    """0 in place of a subnormal velocity: that of a dead unit decays for ever, and arithmetic would slow down. NaN stays."""
    cdef real smallest = <real>(FLT_MIN if real is float else DBL_MIN)
    return 0 if -smallest < m < smallest else m


cdef inline void mix_weights(const real* W, const real* M, const double* p, const real* units, real* out,
                             Py_ssize_t n) noexcept nogil:
    """out = p00 W + p01 M, without losing the digits of a p00 near 1."""
    cdef Py_ssize_t j
    cdef real less = <real>(p[0] - 1), p01 = <real>p[1]
    if M == NULL:
        for j in range(n):
            out[j] = W[j] + less * W[j]
    elif units == NULL:
        for j in range(n):
            out[j] = W[j] + (less * W[j] + p01 * M[j])
    else:
        for j in range(n):
            out[j] = W[j] + (less * W[j] + units[j] * M[j])


cdef inline void mix_velocity(const real* W, const real* M, const double* p, real* out, Py_ssize_t n) noexcept nogil:
    """out = p10 W + p11 M."""
    cdef Py_ssize_t j
    cdef real p10 = <real>p[2], p11 = <real>p[3]
    for j in range(n):
        out[j] = settled(p10 * W[j] + p11 * M[j])


cdef inline void mix(real* W, real* M, const double* p, const real* units, Py_ssize_t n) noexcept nogil:
    """(W, M) <- p (W, M)."""
    cdef Py_ssize_t j
    cdef real w, less = <real>(p[0] - 1), p01 = <real>p[1], p10 = <real>p[2], p11 = <real>p[3]
    if M == NULL:
        mix_weights(W, <const real*>NULL, p, <const real*>NULL, W, n)
    elif units == NULL:
        for j in range(n):
            w = W[j]
            W[j] = w + (less * w + p01 * M[j])
            M[j] = settled(p10 * w + p11 * M[j])
    else:
        for j in range(n):
            W[j] = W[j] + (less * W[j] + units[j] * M[j])
            M[j] = settled(p11 * M[j])


cdef inline void sum_rows(const Entries* entries, Py_ssize_t begun, Py_ssize_t end, const real* D, Py_ssize_t h,
                          const double* factors, Py_ssize_t batch_size, real* out, Py_ssize_t size) noexcept nogil:
    """The sum of a feature's entries times the deltas of their rows, each with the factor of its step unless that is NULL."""
    cdef Py_ssize_t e, j
    cdef double x
    for j in range(size):
        out[j] = 0
    for e in range(begun, end):
        x = entries.values[e]
        if factors != NULL:
            x = x * factors[entries.rows[e] // batch_size]
        add(out, <real>x, D + entries.rows[e] * h, size)


cdef inline void mix_and_add(real* W, real* M, const double* p, const real* units, const real* w_steps, double w_factor,
                             const real* m_steps, double m_factor, Py_ssize_t n) noexcept nogil:
    """(W, M) <- p (W, M) + (w_factor w_steps, m_factor m_steps)."""
    cdef Py_ssize_t j
    cdef real w, less = <real>(p[0] - 1), p01 = <real>p[1], p10 = <real>p[2], p11 = <real>p[3]
    cdef real a = <real>w_factor, m = <real>m_factor
    if M == NULL:
        for j in range(n):
            W[j] = W[j] + less * W[j] + a * w_steps[j]
    elif units == NULL:
        for j in range(n):
            w = W[j]
            W[j] = w + (less * w + p01 * M[j]) + a * w_steps[j]
            M[j] = settled(p10 * w + p11 * M[j]) + m * m_steps[j]
    else:
        for j in range(n):
            W[j] = W[j] + (less * W[j] + units[j] * M[j]) + a * w_steps[j]
            M[j] = settled(p11 * M[j]) + m * m_steps[j]
