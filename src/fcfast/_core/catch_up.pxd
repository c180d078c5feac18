"""How a feature that was absent for some windows is caught up in one step, without touching it in between.

In a window without a gradient, a weight and its velocity (W, M) are multiplied by a 2 x 2 matrix r that follows from the
learning rates alone. A feature whose state is that of the start of window t is therefore brought to the start of window w by
P(t, w) = r[w-1] ... r[t], for all hidden units alike. Quotients of running products would not do: their determinants vanish.

Windows form chunks. Within the current chunk, which begins with window s, P(t, w) is kept for every t; for earlier chunks
P(t, w) = P(s, w) far[chunk] P(t, end of the chunk), where ``far`` is the product over the whole chunks in between. A window costs
at most LENGTH products of scalars, and a look-up two.

Under an optimiser whose steps differ from unit to unit, p01 is a number for each unit; p10 is 0 then, and the rest is the same
for all. These numbers are kept beside the matrices, and a look-up takes three passes over the units.
"""

from fcfast._core.types cimport real

cdef enum:
    LENGTH = 64             # windows of a chunk
    MOST_WINDOWS = 1 << 18  # of a history; features are all caught up before it begins again


cdef struct History:
    Py_ssize_t n_windows    # so far
    double* current         # (LENGTH, 4): P(t, n_windows) for each t in the current chunk
    double* to_end          # (windows, 4): P(t, end of its chunk) for each t in earlier chunks
    double* far             # (chunks, 4): from the end of each earlier chunk to the start of the current one
    Py_ssize_t n_units      # units with a p01 of their own, or 0; if there are any, p01 is 0 in the matrices
    double* current_units   # (LENGTH, n_units): p01 of each unit, as in `current`
    double* to_end_units    # (windows, n_units)
    double* far_units       # (chunks, n_units)


cdef inline void set_identity(double* p) noexcept nogil:
    p[0] = p[3] = 1
    p[1] = p[2] = 0


cdef inline void multiply(const double* a, const double* b, double* out) noexcept nogil:
    """out = a b, which may be b."""
    cdef double b0 = b[0], b1 = b[1]
    out[0] = a[0] * b0 + a[1] * b[2]
    out[2] = a[2] * b0 + a[3] * b[2]
    out[1] = a[0] * b1 + a[1] * b[3]
    out[3] = a[2] * b1 + a[3] * b[3]
    if -1e-30 < out[3] < 1e-30:     # momentum to a high power: subnormal numbers are slow
        out[3] = 0


cdef inline void begin(History* history) noexcept nogil:
    cdef Py_ssize_t j
    history.n_windows = 0
    set_identity(history.current)
    for j in range(history.n_units):
        history.current_units[j] = 0


cdef inline void catch_up(const History* history, Py_ssize_t t, double* p) noexcept nogil:
    """p = P(t, n_windows)."""
    cdef Py_ssize_t chunk = t // LENGTH, i
    if chunk == history.n_windows // LENGTH:
        for i in range(4):
            p[i] = history.current[4 * (t % LENGTH) + i]
        return
    multiply(history.far + 4 * chunk, history.to_end + 4 * t, p)
    multiply(history.current, p, p)


cdef inline void catch_up_units(const History* history, Py_ssize_t t, real* out, Py_ssize_t first,
                                Py_ssize_t last) noexcept nogil:
    """p01 of P(t, n_windows) for the units from `first` to `last`."""
    cdef Py_ssize_t chunk = t // LENGTH, n = history.n_units, j
    cdef const double* end = history.to_end + 4 * t
    cdef const double* far = history.far + 4 * chunk
    cdef const double* now_units = history.current_units
    cdef const double* far_units
    cdef const double* end_units
    cdef double by_end, by_far, by_now
    if chunk == history.n_windows // LENGTH:
        now_units += (t % LENGTH) * n
        for j in range(first, last):
            out[j] = <real>now_units[j]
        return
    end_units, far_units = history.to_end_units + t * n, history.far_units + chunk * n
    by_end, by_far, by_now = history.current[0] * far[0], history.current[0] * end[3], far[3] * end[3]
    if by_far == 0:     # a velocity from so long ago moves nothing any more
        for j in range(first, last):
            out[j] = <real>(by_end * end_units[j])
    else:
        for j in range(first, last):
            out[j] = <real>(by_end * end_units[j] + by_far * far_units[j] + by_now * now_units[j])


cdef inline void multiply_units(const double* a, const double* a_units, const double* b, const double* b_units, double* out,
                                Py_ssize_t n) noexcept nogil:
    """p01 of a b for each unit; out may be b_units."""
    cdef Py_ssize_t j
    for j in range(n):
        out[j] = a[0] * b_units[j] + a_units[j] * b[3]


cdef inline void add_window(History* history, const double* r, const double* r_units) noexcept nogil:
    """Note a window that multiplied (W, M) by r, where r01 of each unit is in `r_units` if they differ."""
    cdef Py_ssize_t chunk = history.n_windows // LENGTH, within = history.n_windows % LENGTH, n = history.n_units, t
    cdef double* now = history.current
    cdef double* units = history.current_units
    for t in range(within + 1):
        if n > 0:
            multiply_units(r, r_units, now + 4 * t, units + t * n, units + t * n, n)
        multiply(r, now + 4 * t, now + 4 * t)
    history.n_windows += 1
    if within + 1 < LENGTH:
        set_identity(now + 4 * (within + 1))
        for t in range(n):
            units[(within + 1) * n + t] = 0
        return
    for t in range(4 * LENGTH):
        history.to_end[4 * LENGTH * chunk + t] = now[t]
    for t in range(LENGTH * n):
        history.to_end_units[LENGTH * chunk * n + t] = units[t]
    for t in range(chunk):
        if n > 0:
            multiply_units(now, units, history.far + 4 * t, history.far_units + t * n, history.far_units + t * n, n)
        multiply(now, history.far + 4 * t, history.far + 4 * t)
    set_identity(history.far + 4 * chunk)
    set_identity(now)
    for t in range(n):
        history.far_units[chunk * n + t] = 0
        units[t] = 0
