"""Several inputs taken in turn: states instead of weights (equations 17-20, 31, 32).

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

from fcfast._core.two_layer cimport outputs_of, learn, stop


cdef Py_ssize_t states_network(double* S, double* w, const double* gram, const double* targets, double* s,
                               Py_ssize_t h, Py_ssize_t N, Py_ssize_t c, double eta, bint sequential,
                               double* outputs, Py_ssize_t n_iter) noexcept nogil:
    cdef Py_ssize_t t, i = 0, j, row
    for t in range(n_iter):
        for j in range(h):
            s[j] = S[i * h + j]
        if not learn(s, w, targets + i * c, outputs + t * c, h, c, eta, sequential):
            return stop(outputs, t, n_iter, c)
        for row in range(N):
            for j in range(h):
                S[row * h + j] += gram[row * N + i] * s[j]
        i = i + 1 if i + 1 < N else 0
    return -1


def states(double[:, :, ::1] S,                 # IN and OUT (n, N, h), pre-activations of every sample
           double[:, :, ::1] w2,                # IN and OUT (n, c, h)
           const double[:, ::1] gram,           # IN (N, N)
           const double[:, ::1] targets,        # IN (N, c)
           double eta,
           bint sequential,
           double[:, ::1] scratch,              # (n, h)
           double[:, :, ::1] outputs,           # OUT (n, n_iter, c)
           Py_ssize_t[::1] diverged_at,         # OUT (n,)
           int n_threads):
    """Technique "states": every step moves the pre-activations of all samples by a row of the Gram matrix (17-20)."""
    cdef Py_ssize_t n = S.shape[0], N = S.shape[1], h = S.shape[2], c = targets.shape[1], n_iter = outputs.shape[1], i
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        diverged_at[i] = states_network(&S[i, 0, 0], &w2[i, 0, 0], &gram[0, 0], &targets[0, 0], &scratch[i, 0],
                                        h, N, c, eta, sequential, outputs_of(outputs, i), n_iter)


cdef Py_ssize_t contributions_network(double* A, double* w, const double* S0, const double* gram, const double* targets,
                                      double* s, Py_ssize_t h, Py_ssize_t N, Py_ssize_t c, double eta, bint sequential,
                                      double* outputs, Py_ssize_t n_iter) noexcept nogil:
    cdef Py_ssize_t t, i = 0, j, row
    for t in range(n_iter):
        for j in range(h):
            s[j] = S0[i * h + j]
        for row in range(N):
            for j in range(h):
                s[j] += gram[i * N + row] * A[row * h + j]
        if not learn(s, w, targets + i * c, outputs + t * c, h, c, eta, sequential):
            return stop(outputs, t, n_iter, c)
        for j in range(h):
            A[i * h + j] += s[j]
        i = i + 1 if i + 1 < N else 0
    return -1


def contributions(double[:, :, ::1] A,                  # IN and OUT (n, N, h), 0 at the start
                  double[:, :, ::1] w2,                 # IN and OUT (n, c, h)
                  const double[:, :, ::1] S0,           # IN (n, N, h), pre-activations of the frozen first layer
                  const double[:, ::1] gram,            # IN (N, N)
                  const double[:, ::1] targets,         # IN (N, c)
                  double eta,
                  bint sequential,
                  double[:, ::1] scratch,               # (n, h)
                  double[:, :, ::1] outputs,            # OUT (n, n_iter, c)
                  Py_ssize_t[::1] diverged_at,          # OUT (n,)
                  int n_threads):
    """Technique "contributions": one row of factors per distinct sample, however many steps; S = S0 + G A."""
    cdef Py_ssize_t n = A.shape[0], N = A.shape[1], h = A.shape[2], c = targets.shape[1], n_iter = outputs.shape[1], i
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        diverged_at[i] = contributions_network(&A[i, 0, 0], &w2[i, 0, 0], &S0[i, 0, 0], &gram[0, 0], &targets[0, 0],
                                               &scratch[i, 0], h, N, c, eta, sequential, outputs_of(outputs, i), n_iter)


cdef inline void move_input(double* coordinates, const double* x) noexcept nogil:
    """Equation 32 as printed: the sum and the difference taken on from one input to the next, x."""
    cdef double from_first = (coordinates[0] + coordinates[1]) / 2 * x[0]
    cdef double from_second = (coordinates[0] - coordinates[1]) / 2 * x[1]
    coordinates[0] = from_first + from_second
    coordinates[1] = from_first - from_second


cdef Py_ssize_t sum_difference_network(double* coordinates, double* w, const double* X, const double* targets, double* s,
                                       Py_ssize_t h, Py_ssize_t N, Py_ssize_t c, double eta, bint sequential,
                                       bint literal, double* outputs, Py_ssize_t n_iter) noexcept nogil:
    cdef Py_ssize_t t, i = 0, j
    cdef const double* x
    cdef double* pair
    for t in range(n_iter):
        x = X + 2 * i
        for j in range(h):
            pair = coordinates + 2 * j
            s[j] = pair[0] if literal else (pair[0] + pair[1]) / 2 * x[0] + (pair[0] - pair[1]) / 2 * x[1]
        if not learn(s, w, targets + i * c, outputs + t * c, h, c, eta, sequential):
            return stop(outputs, t, n_iter, c)
        i = i + 1 if i + 1 < N else 0
        for j in range(h):
            pair = coordinates + 2 * j
            if literal:
                pair[0] += s[j] * (x[0] * x[0] + x[1] * x[1])
                pair[1] += s[j] * (x[0] * x[0] - x[1] * x[1])
                move_input(pair, X + 2 * i)
            else:
                pair[0] += s[j] * (x[0] + x[1])
                pair[1] += s[j] * (x[0] - x[1])
    return -1


def sum_difference(double[:, :, ::1] coordinates,       # IN and OUT (n, h, 2), sums and differences
                   double[:, :, ::1] w2,                # IN and OUT (n, c, h)
                   const double[:, ::1] X,              # IN (N, 2)
                   const double[:, ::1] targets,        # IN (N, c)
                   double eta,
                   bint sequential,
                   bint literal,                        # coordinates at the current input, not at (1, 1)
                   double[:, ::1] scratch,              # (n, h)
                   double[:, :, ::1] outputs,           # OUT (n, n_iter, c)
                   Py_ssize_t[::1] diverged_at,         # OUT (n,)
                   int n_threads):
    """Techniques "sum_difference" and "sum_difference_literal": equations 5 and 32."""
    cdef Py_ssize_t n = coordinates.shape[0], h = coordinates.shape[1], N = X.shape[0], c = targets.shape[1]
    cdef Py_ssize_t n_iter = outputs.shape[1], i
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        diverged_at[i] = sum_difference_network(&coordinates[i, 0, 0], &w2[i, 0, 0], &X[0, 0], &targets[0, 0],
                                                &scratch[i, 0], h, N, c, eta, sequential, literal,
                                                outputs_of(outputs, i), n_iter)
