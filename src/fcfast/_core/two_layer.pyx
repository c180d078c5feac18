"""Backpropagation of the two-layer network, the reference of every technique, and the comparison with it.

Design
------
* A call trains many independent networks (leading axis of every array): threads share out the networks, time stays serial
  inside each, so the bits do not depend on the number of threads.
* State arrays come in as the initial state and go out as the final one; ``outputs`` receives y of every iteration. The
  kernels allocate nothing and check nothing.
* A network whose output is no longer finite stops there: ``diverged_at`` has the iteration, later outputs are NaN.

Axes: n networks, h hidden units, d input features, N samples, c outputs. Samples are taken in turn, t mod N.
"""

from cython.parallel cimport prange
from libc.math cimport NAN, fabs, isnan


cdef Py_ssize_t backprop_network(double* W1, double* w, const double* X, const double* targets, double* s,
                                 Py_ssize_t h, Py_ssize_t d, Py_ssize_t N, Py_ssize_t c, double eta, bint sequential,
                                 double* outputs, Py_ssize_t n_iter) noexcept nogil:
    cdef Py_ssize_t t, i = 0, j, f
    cdef const double* x
    for t in range(n_iter):
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


def backprop(double[:, :, ::1] W1,              # IN and OUT (n, h, d)
             double[:, :, ::1] w2,              # IN and OUT (n, c, h)
             const double[:, ::1] X,            # IN (N, d)
             const double[:, ::1] targets,      # IN (N, c)
             double eta,
             bint sequential,
             double[:, ::1] scratch,            # (n, h)
             double[:, :, ::1] outputs,         # OUT (n, n_iter, c)
             Py_ssize_t[::1] diverged_at,       # OUT (n,)
             int n_threads):
    """Backpropagation, both weight layers updated (equations 9-16)."""
    cdef Py_ssize_t n = W1.shape[0], h = W1.shape[1], d = W1.shape[2], N = X.shape[0], c = targets.shape[1]
    cdef Py_ssize_t n_iter = outputs.shape[1], i
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        if c == 1:      # a constant the compiler can use: the paper's case is the fast one
            diverged_at[i] = backprop_network(&W1[i, 0, 0], &w2[i, 0, 0], &X[0, 0], &targets[0, 0], &scratch[i, 0],
                                              h, d, N, 1, eta, sequential, outputs_of(outputs, i), n_iter)
        else:
            diverged_at[i] = backprop_network(&W1[i, 0, 0], &w2[i, 0, 0], &X[0, 0], &targets[0, 0], &scratch[i, 0],
                                              h, d, N, c, eta, sequential, outputs_of(outputs, i), n_iter)


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
