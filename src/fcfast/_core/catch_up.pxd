"""How a feature that was absent for some windows is caught up in one step, without touching it in between.

In a window without a gradient, a weight and its velocity (W, M) are multiplied by a 2 x 2 matrix r that follows from the
learning rates alone. A feature whose state is that of the start of window t is therefore brought to the start of window w by
P(t, w) = r[w-1] ... r[t], for all hidden units alike. Quotients of running products would not do: their determinants vanish.

Windows form chunks. Within the current chunk, which begins with window s, P(t, w) is kept for every t; for earlier chunks
P(t, w) = P(s, w) far[chunk] P(t, end of the chunk), where ``far`` is the product over the whole chunks in between. A window costs
at most LENGTH products of scalars, and a look-up two.
"""

cdef enum:
    LENGTH = 64             # windows of a chunk
    MOST_WINDOWS = 1 << 18  # of a history; features are all caught up before it begins again


cdef struct History:
    Py_ssize_t n_windows    # so far
    double* current         # (LENGTH, 4): P(t, n_windows) for each t in the current chunk
    double* to_end          # (windows, 4): P(t, end of its chunk) for each t in earlier chunks
    double* far             # (chunks, 4): from the end of each earlier chunk to the start of the current one


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
    history.n_windows = 0
    set_identity(history.current)


cdef inline void catch_up(const History* history, Py_ssize_t t, double* p) noexcept nogil:
    """p = P(t, n_windows)."""
    cdef Py_ssize_t chunk = t // LENGTH, i
    if chunk == history.n_windows // LENGTH:
        for i in range(4):
            p[i] = history.current[4 * (t % LENGTH) + i]
        return
    multiply(history.far + 4 * chunk, history.to_end + 4 * t, p)
    multiply(history.current, p, p)


cdef inline void add_window(History* history, const double* r) noexcept nogil:
    """Note a window that multiplied (W, M) by r."""
    cdef Py_ssize_t chunk = history.n_windows // LENGTH, within = history.n_windows % LENGTH, t
    for t in range(within + 1):
        multiply(r, history.current + 4 * t, history.current + 4 * t)
    history.n_windows += 1
    if within + 1 < LENGTH:
        set_identity(history.current + 4 * (within + 1))
        return
    for t in range(4 * LENGTH):
        history.to_end[4 * LENGTH * chunk + t] = history.current[t]
    for t in range(chunk):
        multiply(history.current, history.far + 4 * t, history.far + 4 * t)
    set_identity(history.far + 4 * chunk)
    set_identity(history.current)
