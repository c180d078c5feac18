"""One input, techniques that keep the first layer frozen and compensate in the final one (equations 4, 21-30).

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

from fcfast._core.mathfn cimport relu
from fcfast._core.two_layer cimport outputs_of, learn_unit, predict, stop


cdef inline void compensate(const double* s, const double* w, const double* frozen, Py_ssize_t h, Py_ssize_t c,
                            double* effective) noexcept nogil:
    """w + p, with p = w (v / v^c - 1)."""
    cdef Py_ssize_t j, k
    cdef double ratio
    for j in range(h):
        # Never divide by a frozen value of 0: that unit is dead and needs no compensation.
        ratio = relu(s[j]) / frozen[j] if frozen[j] > 0 else 1
        for k in range(c):
            effective[k * h + j] = w[k * h + j] + w[k * h + j] * (ratio - 1)


cdef Py_ssize_t weights_network(double* s, double* w, double* effective, const double* frozen, double norm, const double* target,
                                Py_ssize_t h, Py_ssize_t c, double eta, bint sequential,
                                double* outputs, Py_ssize_t n_iter) noexcept nogil:
    cdef Py_ssize_t t, j
    cdef double* y
    for t in range(n_iter):
        y = outputs + t * c
        compensate(s, w, frozen, h, c, effective)
        if not predict(frozen, effective, h, c, y):
            return stop(outputs, t, n_iter, c)
        for j in range(h):
            s[j] += norm * learn_unit(w, relu(s[j]), y, target, j, h, c, eta, sequential)
    compensate(s, w, frozen, h, c, effective)
    return -1


def weights(double[:, ::1] s,                   # IN and OUT (n, h), pre-activations
            double[:, :, ::1] w2,               # IN and OUT (n, c, h)
            double[:, :, ::1] effective,        # OUT (n, c, h), w2 + p
            const double[:, ::1] frozen,        # IN (n, h), hidden values of the frozen first layer
            double norm,                        # squared norm of the input
            const double[:, ::1] targets,       # IN (1, c)
            double eta,
            bint sequential,
            double[:, :, ::1] outputs,          # OUT (n, n_iter, c)
            Py_ssize_t[::1] diverged_at,        # OUT (n,)
            int n_threads):
    """Technique "weights": the final weights move and a compensation p is added to them (equations 4, 22-27)."""
    cdef Py_ssize_t n = s.shape[0], h = s.shape[1], c = targets.shape[1], n_iter = outputs.shape[1], i
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        diverged_at[i] = weights_network(&s[i, 0], &w2[i, 0, 0], &effective[i, 0, 0], &frozen[i, 0], norm,
                                         &targets[0, 0], h, c, eta, sequential, outputs_of(outputs, i), n_iter)


cdef Py_ssize_t compensation_network(double* s, double* p, const double* w2, double* effective, double* recovered,
                                     const double* frozen, double norm, const double* target, Py_ssize_t h, Py_ssize_t c,
                                     double eta, bint sequential, double* outputs, Py_ssize_t n_iter) noexcept nogil:
    cdef Py_ssize_t t, j, k
    cdef double* y
    cdef double v, ratio
    for t in range(n_iter):
        y = outputs + t * c
        for k in range(c * h):
            effective[k] = w2[k] + p[k]
        if not predict(frozen, effective, h, c, y):
            return stop(outputs, t, n_iter, c)
        for j in range(h):
            v = relu(s[j])
            if v == 0:      # dead for good: p cancels w2, the conventional weight stays as recovered
                continue
            ratio = v / frozen[j]
            for k in range(c):
                recovered[k * h + j] = effective[k * h + j] / ratio
            s[j] += norm * learn_unit(recovered, v, y, target, j, h, c, eta, sequential)
            ratio = relu(s[j]) / frozen[j]
            for k in range(c):
                p[k * h + j] = recovered[k * h + j] * ratio - w2[k * h + j]
    for k in range(c * h):
        effective[k] = w2[k] + p[k]
    return -1


def compensation(double[:, ::1] s,                  # IN and OUT (n, h), pre-activations
                 double[:, :, ::1] p,               # IN and OUT (n, c, h), 0 at the start
                 const double[:, :, ::1] w2,        # IN (n, c, h), never updated
                 double[:, :, ::1] effective,       # OUT (n, c, h), w2 + p
                 double[:, :, ::1] recovered,       # IN: w2; OUT (n, c, h), the final weights of backpropagation
                 const double[:, ::1] frozen,       # IN (n, h), hidden values of the frozen first layer
                 double norm,                       # squared norm of the input
                 const double[:, ::1] targets,      # IN (1, c)
                 double eta,
                 bint sequential,
                 double[:, :, ::1] outputs,         # OUT (n, n_iter, c)
                 Py_ssize_t[::1] diverged_at,       # OUT (n,)
                 int n_threads):
    """Technique "compensation": no weight is updated, only the compensations p of the final weights."""
    cdef Py_ssize_t n = s.shape[0], h = s.shape[1], c = targets.shape[1], n_iter = outputs.shape[1], i
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        diverged_at[i] = compensation_network(&s[i, 0], &p[i, 0, 0], &w2[i, 0, 0], &effective[i, 0, 0],
                                              &recovered[i, 0, 0], &frozen[i, 0], norm, &targets[0, 0], h, c, eta,
                                              sequential, outputs_of(outputs, i), n_iter)


cdef Py_ssize_t printed_form_network(double* s, double* w, double* r, const double* frozen, double norm, double target,
                                     Py_ssize_t h, double eta, double sum_scale, double* sums,
                                     double* outputs, Py_ssize_t n_iter) noexcept nogil:
    cdef Py_ssize_t t, j
    cdef double error, before, start
    for j in range(h):
        sums[j] = 0
        r[j] = w[j]
    for t in range(n_iter):
        if not predict(frozen, r, h, 1, outputs + t):
            return stop(outputs, t, n_iter, 1)
        error = outputs[t] - target
        for j in range(h):
            if frozen[j] == 0:
                continue
            before = s[j]
            w[j] -= eta * error * relu(before)
            start = frozen[j]
            sums[j] += sum_scale * error * w[j]
            s[j] = start + sums[j] * norm                   # A_n
            if before > 0 and s[j] > 0:
                r[j] = w[j] + w[j] * w[j] * w[j] * norm / (3 * (start + sums[j] * norm * norm))
            elif before > 0:
                r[j] = w[j] + w[j] * w[j] / (2 * eta * error * (start + sums[j] * norm))
    return -1


def printed_form(double[:, ::1] s,                  # IN and OUT (n, h), A_n
                 double[:, ::1] w,                  # IN and OUT (n, h), w_5n
                 double[:, ::1] r,                  # OUT (n, h), r_5n
                 const double[:, ::1] frozen,       # IN (n, h), hidden values of the frozen first layer
                 double norm,                       # squared norm of the input
                 double target,
                 double eta,
                 double sum_scale,                  # 1 as printed; -eta restores the factor the printed sums lack
                 double[:, ::1] sums,               # scratch (n, h)
                 double[:, :, ::1] outputs,         # OUT (n, n_iter, 1)
                 Py_ssize_t[::1] diverged_at,       # OUT (n,)
                 int n_threads):
    """Technique "printed_form": the formulas r_5n and r_6n as the paper prints them. They do not hold."""
    cdef Py_ssize_t n = s.shape[0], h = s.shape[1], n_iter = outputs.shape[1], i
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        diverged_at[i] = printed_form_network(&s[i, 0], &w[i, 0], &r[i, 0], &frozen[i, 0], norm, target, h, eta,
                                              sum_scale, &sums[i, 0], outputs_of(outputs, i), n_iter)
