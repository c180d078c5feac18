"""Backpropagation of the two-layer network, the reference of every technique, and the comparison with it.

Design
------
* A call trains many independent networks (leading axis of every array): threads share out the networks, time stays serial
  inside each, so the bits do not depend on the number of threads.
* State arrays come in as the initial state and go out as the final one; ``outputs`` receives y of every iteration. The
  kernels allocate nothing and check nothing.
* A network's iteration is one chain of dependent operations, so a processor mostly waits. Networks with one output are
  trained LANES at a time, in step and interleaved in memory: three times faster, the same bits (measured with 2-2-1).
* A network whose output is no longer finite stops there: ``diverged_at`` has the iteration, later outputs are NaN.

Axes: n networks, h hidden units, d input features, N samples, c outputs. Samples are taken in turn, t mod N.
"""

from cython.parallel cimport prange
from libc.math cimport NAN, fabs, isnan

from fcfast._core.mathfn cimport relu


cdef enum:
    LANES = 8


cdef Py_ssize_t backprop_network(double* W1, double* w, const double* X, const double* targets, double* s,
                                 Py_ssize_t h, Py_ssize_t d, Py_ssize_t N, Py_ssize_t c, double eta, bint sequential,
                                 double* outputs, Py_ssize_t start, Py_ssize_t n_iter) noexcept nogil:
    cdef Py_ssize_t t, i = start % N, j, f
    cdef const double* x
    for t in range(start, n_iter):
        x = X + i * d
        for j in range(h):
            s[j] = 0
            for f in range(d):
                s[j] += W1[j * d + f] * x[f]
        if not learn(s, w, targets + i * c, outputs + t * c, h, c, eta, sequential):
            return stop(outputs, t, n_iter, c)
        for j in range(h):
            for f in range(d):
                W1[j * d + f] += s[j] * x[f]
        i = i + 1 if i + 1 < N else 0
    return -1


cdef inline void interleave(const double* a, Py_ssize_t size, double* lanes) noexcept nogil:
    cdef Py_ssize_t i, l
    for l in range(LANES):
        for i in range(size):
            lanes[i * LANES + l] = a[l * size + i]


cdef inline void separate(const double* lanes, Py_ssize_t size, double* a) noexcept nogil:
    cdef Py_ssize_t i, l
    for l in range(LANES):
        for i in range(size):
            a[l * size + i] = lanes[i * LANES + l]


cdef Py_ssize_t train_lanes(double* W1, double* w, double* s, const double* X, const double* targets, Py_ssize_t h,
                            Py_ssize_t d, Py_ssize_t N, double eta, bint sequential, double* outputs,
                            Py_ssize_t n_iter) noexcept nogil:
    """LANES networks of one output in step, operation for operation as `backprop_network`. Returns the first iteration
    with an output that is not finite, before its update, or n_iter."""
    cdef Py_ssize_t t, i = 0, j, f, l
    cdef const double* x
    cdef double y[LANES]
    cdef double rate[LANES]
    cdef double error[LANES]
    cdef double before[LANES]
    cdef double* s_j
    cdef double* w_j
    cdef double* W1_jf
    cdef double not_finite
    for t in range(n_iter):
        x = X + i * d
        for l in range(LANES):
            y[l] = 0
        for j in range(h):
            s_j = s + j * LANES
            w_j = w + j * LANES
            for l in range(LANES):
                s_j[l] = 0
            for f in range(d):
                W1_jf = W1 + (j * d + f) * LANES
                for l in range(LANES):
                    s_j[l] += W1_jf[l] * x[f]
            for l in range(LANES):
                s_j[l] = relu(s_j[l])
                y[l] += w_j[l] * s_j[l]
        not_finite = 0
        for l in range(LANES):
            not_finite += y[l] - y[l]
        if not_finite != 0:
            return t
        for l in range(LANES):
            outputs[l * n_iter + t] = y[l]
            error[l] = y[l] - targets[i]
            rate[l] = eta * error[l]
        for j in range(h):
            s_j = s + j * LANES
            w_j = w + j * LANES
            for l in range(LANES):
                before[l] = w_j[l]
                w_j[l] -= rate[l] * s_j[l]
                s_j[l] = 0 if s_j[l] <= 0 else -eta * (error[l] * (w_j[l] if sequential else before[l]))
            for f in range(d):
                W1_jf = W1 + (j * d + f) * LANES
                for l in range(LANES):
                    W1_jf[l] += s_j[l] * x[f]
        i = i + 1 if i + 1 < N else 0
    return n_iter


cdef void backprop_lanes(double* W1, double* w, const double* X, const double* targets, double* scratch, Py_ssize_t h,
                         Py_ssize_t d, Py_ssize_t N, double eta, bint sequential, double* outputs, Py_ssize_t n_iter,
                         Py_ssize_t* diverged_at) noexcept nogil:
    cdef Py_ssize_t l, done
    cdef double* w_lanes = scratch + LANES * h * d
    cdef double* s_lanes = w_lanes + LANES * h
    interleave(W1, h * d, scratch)
    interleave(w, h, w_lanes)
    done = train_lanes(scratch, w_lanes, s_lanes, X, targets, h, d, N, eta, sequential, outputs, n_iter)
    separate(scratch, h * d, W1)
    separate(w_lanes, h, w)
    # Where one network diverges, they part: each goes on, or stops, by itself.
    for l in range(LANES):
        diverged_at[l] = backprop_network(W1 + l * h * d, w + l * h, X, targets, scratch, h, d, N, 1, eta, sequential,
                                          outputs + l * n_iter, done, n_iter)


def backprop(double[:, :, ::1] W1,              # IN and OUT (n, h, d)
             double[:, :, ::1] w2,              # IN and OUT (n, c, h)
             const double[:, ::1] X,            # IN (N, d)
             const double[:, ::1] targets,      # IN (N, c)
             double eta,
             bint sequential,
             double[:, ::1] scratch,            # (n, h (d + 2))
             double[:, :, ::1] outputs,         # OUT (n, n_iter, c)
             Py_ssize_t[::1] diverged_at,       # OUT (n,)
             int n_threads):
    """Backpropagation, both weight layers updated (equations 9-16)."""
    cdef Py_ssize_t n = W1.shape[0], h = W1.shape[1], d = W1.shape[2], N = X.shape[0], c = targets.shape[1]
    cdef Py_ssize_t n_iter = outputs.shape[1], i, n_blocks = n // LANES if c == 1 else 0, b
    # One output, the paper's case: networks in step hide each other's waiting for the last result.
    for b in prange(n_blocks, nogil=True, schedule="static", num_threads=n_threads):
        backprop_lanes(&W1[b * LANES, 0, 0], &w2[b * LANES, 0, 0], &X[0, 0], &targets[0, 0], &scratch[b * LANES, 0], h, d,
                       N, eta, sequential, outputs_of(outputs, b * LANES), n_iter, &diverged_at[b * LANES])
    for i in prange(n_blocks * LANES, n, nogil=True, schedule="static", num_threads=n_threads):
        diverged_at[i] = backprop_network(&W1[i, 0, 0], &w2[i, 0, 0], &X[0, 0], &targets[0, 0], &scratch[i, 0],
                                          h, d, N, c, eta, sequential, outputs_of(outputs, i), 0, n_iter)


cdef double largest(const double* a, const double* b, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef double worst = 0, difference
    for i in range(size):
        difference = fabs(a[i] - b[i])
        if isnan(difference):
            return NAN
        worst = max(worst, difference)
    return worst


def largest_difference(const double[:, :, ::1] a,       # IN (n, n_iter, c)
                       const double[:, :, ::1] b,       # IN (n, n_iter, c)
                       double[::1] out,                 # OUT (n,)
                       int n_threads):
    """Per network max |a - b| over iterations and outputs; NaN where either run diverged."""
    cdef Py_ssize_t n = a.shape[0], size = a.shape[1] * a.shape[2], i
    if size == 0:
        return
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        out[i] = largest(&a[i, 0, 0], &b[i, 0, 0], size)
