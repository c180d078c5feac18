"""One input, simultaneous order: the whole network as two scalars, or as one (1 + c) x (1 + c) matrix for c outputs.

With kappa = |x|, u = s + kappa w and z = s - kappa w, one step multiplies every living unit's u by 1 - eta e kappa and its
z by 1 + eta e kappa. So alpha and beta, the products of these factors, are the network, and
y = (alpha^2 U - beta^2 Z) / (4 kappa) with U, Z the sums of u^2, z^2 over the living units. A unit dies for good when its
s = (alpha u + beta z) / 2 is no longer positive.

Design
------
* A call trains many independent networks (leading axis of every array): threads share out the networks, time stays serial
  inside each, so the bits do not depend on the number of threads.
* State arrays come in as the initial state and go out as the final one; ``outputs`` receives y of every iteration. The
  kernels allocate nothing and check nothing.
* A network whose output is no longer finite stops there: ``diverged_at`` has the iteration, later outputs are NaN.

Axes: n networks, h hidden units, d input features, N samples, c outputs. Samples are taken in turn, t mod N.
* Deaths are what makes the width matter. One output: the units are sorted by angle once, and only the two extreme ones are
  looked at. Several outputs: no such order exists, so the units are searched only when the map has moved far enough for
  the nearest of them to have died.
"""

from cython.parallel cimport prange
from libc.math cimport isfinite, sqrt

from fcfast._core.two_layer cimport outputs_of, stop


cdef struct Living:
    # The living units of one network: a range of the units sorted by angle, and the sums of squares over it.
    Py_ssize_t first, last, middle
    double U, Z


cdef void accumulate(Living* living, const double* u, const double* z, double* sum_u, double* sum_z) noexcept nogil:
    """Sums of squares outward from the middle, so that a range that loses an end needs no subtraction."""
    cdef Py_ssize_t i
    living.middle = (living.first + living.last) // 2
    for i in range(living.middle - 1, living.first - 1, -1):
        sum_u[i] = u[i] * u[i] + (sum_u[i + 1] if i + 1 < living.middle else 0)
        sum_z[i] = z[i] * z[i] + (sum_z[i + 1] if i + 1 < living.middle else 0)
    for i in range(living.middle, living.last):
        sum_u[i] = u[i] * u[i] + (sum_u[i - 1] if i > living.middle else 0)
        sum_z[i] = z[i] * z[i] + (sum_z[i - 1] if i > living.middle else 0)


cdef void sum_living(Living* living, const double* u, const double* z, double* sum_u, double* sum_z) noexcept nogil:
    """U and Z over the living units: O(1), but for O(units) whenever one side of the middle has died out (log times)."""
    if living.first > living.middle or living.last < living.middle:
        accumulate(living, u, z, sum_u, sum_z)
    living.U = living.Z = 0
    if living.first < living.middle:
        living.U += sum_u[living.first]
        living.Z += sum_z[living.first]
    if living.last > living.middle:
        living.U += sum_u[living.last - 1]
        living.Z += sum_z[living.last - 1]


cdef inline void expand_unit(const double* u, const double* z, double alpha, double beta, double kappa, Py_ssize_t j,
                             double* s, double* w) noexcept nogil:
    s[j] = (alpha * u[j] + beta * z[j]) / 2
    w[j] = (alpha * u[j] - beta * z[j]) / (2 * kappa)


cdef Py_ssize_t closed_form_network(const double* u, const double* z, Py_ssize_t n_living, double kappa, double target,
                                    double eta, double* sum_u, double* sum_z, double* s, double* w,
                                    double* scalars, double* outputs, Py_ssize_t n_iter) noexcept nogil:
    cdef Py_ssize_t t, j, diverged_at = -1
    cdef double alpha = 1, beta = 1, y, rate
    cdef bint death
    cdef Living living
    living.first = 0
    living.last = n_living
    accumulate(&living, u, z, sum_u, sum_z)
    sum_living(&living, u, z, sum_u, sum_z)
    for t in range(n_iter):
        if living.first == living.last:     # all dead: nothing changes any more
            outputs[t] = 0
            continue
        y = (alpha * alpha * living.U - beta * beta * living.Z) / (4 * kappa)
        if not isfinite(y):
            diverged_at = stop(outputs, t, n_iter, 1)
            break
        outputs[t] = y
        rate = eta * (y - target) * kappa
        alpha *= 1 - rate
        beta *= 1 + rate
        # Sorted by angle, only the two extreme units can be the next to die.
        death = False
        while living.first < living.last and alpha * u[living.first] + beta * z[living.first] <= 0:
            expand_unit(u, z, alpha, beta, kappa, living.first, s, w)
            living.first += 1
            death = True
        while living.first < living.last and alpha * u[living.last - 1] + beta * z[living.last - 1] <= 0:
            expand_unit(u, z, alpha, beta, kappa, living.last - 1, s, w)
            living.last -= 1
            death = True
        if death:
            sum_living(&living, u, z, sum_u, sum_z)
    for j in range(living.first, living.last):
        expand_unit(u, z, alpha, beta, kappa, j, s, w)
    scalars[0] = alpha
    scalars[1] = beta
    return diverged_at


def closed_form(const double[:, ::1] u,             # IN (n, h), s + kappa w, living units first, sorted by w / s
                const double[:, ::1] z,             # IN (n, h), s - kappa w, likewise
                const Py_ssize_t[::1] n_living,     # IN (n,)
                double kappa,                       # norm of the input
                double target,
                double eta,
                double[:, ::1] sum_u,               # scratch (n, h)
                double[:, ::1] sum_z,               # scratch (n, h)
                double[:, ::1] s,                   # IN and OUT (n, h), pre-activations
                double[:, ::1] w,                   # IN and OUT (n, h), final weights
                double[:, ::1] scalars,             # OUT (n, 2), alpha and beta
                double[:, :, ::1] outputs,          # OUT (n, n_iter, 1)
                Py_ssize_t[::1] diverged_at,        # OUT (n,)
                int n_threads):
    """Technique "closed_form", one output: a network of any width is two scalars, alpha and beta."""
    cdef Py_ssize_t n = u.shape[0], n_iter = outputs.shape[1], i
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        diverged_at[i] = closed_form_network(&u[i, 0], &z[i, 0], n_living[i], kappa, target, eta, &sum_u[i, 0],
                                             &sum_z[i, 0], &s[i, 0], &w[i, 0], &scalars[i, 0], outputs_of(outputs, i), n_iter)


cdef bint gram_of_living(const double* q, const unsigned char* living, Py_ssize_t h, Py_ssize_t m,
                           double* gamma) noexcept nogil:
    """Gamma = sum of q_j q_j' over the living units; returns whether there are any."""
    cdef Py_ssize_t j, a, b
    cdef bint alive = False
    for a in range(m * m):
        gamma[a] = 0
    for j in range(h):
        if living[j]:
            alive = True
            for a in range(m):
                for b in range(m):
                    gamma[a * m + b] += q[j * m + a] * q[j * m + b]
    return alive


cdef inline double inner(const double* a, const double* b, Py_ssize_t m) noexcept nogil:
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(m):
        total += a[i] * b[i]
    return total


cdef inline void apply_map(const double* phi, const double* q, Py_ssize_t m, double* out) noexcept nogil:
    cdef Py_ssize_t a
    for a in range(m):
        out[a] = inner(phi + a * m, q, m)


cdef double bury(const double* q, const double* phi, double* q_end, unsigned char* living, Py_ssize_t h, Py_ssize_t m,
                 bint* death) noexcept nogil:
    """Find the units with s_j <= 0; returns how far the first row of phi may move before the next one can die."""
    cdef Py_ssize_t j
    cdef double s, margin = 1e300
    death[0] = False
    for j in range(h):
        if living[j]:
            s = inner(phi, q + j * m, m)
            if s <= 0:
                apply_map(phi, q + j * m, m, q_end + j * m)
                living[j] = 0
                death[0] = True
            else:
                # |change of s_j| <= |change of phi_0| |q_j|, with room for rounding
                margin = min(margin, s * (1 - 1e-9) / sqrt(inner(q + j * m, q + j * m, m)))
    return margin


cdef Py_ssize_t closed_form_outputs_network(const double* q, unsigned char* living, Py_ssize_t h, Py_ssize_t m,
                                            double norm, const double* target, double eta, double* phi, double* scratch,
                                            double* q_end, double* outputs, Py_ssize_t n_iter) noexcept nogil:
    cdef Py_ssize_t t, a, b, k, c = m - 1, diverged_at = -1
    cdef double* gamma = scratch
    cdef double* first = scratch + m * m            # the first row of phi before the step
    cdef double* reference = first + m              # ... and at the last search for deaths
    cdef double* projected = reference + m          # Gamma phi_0
    cdef double* y
    cdef double error, moved, margin
    cdef bint finite, death, alive
    for a in range(m):
        for b in range(m):
            phi[a * m + b] = 1 if a == b else 0
        reference[a] = phi[a]
    alive = gram_of_living(q, living, h, m, gamma)
    margin = bury(q, phi, q_end, living, h, m, &death)
    for t in range(n_iter):
        y = outputs + t * c
        apply_map(gamma, phi, m, projected)
        finite = True
        for k in range(c):
            y[k] = inner(phi + (k + 1) * m, projected, m)
            finite = finite and isfinite(y[k])
        if not finite:
            diverged_at = stop(outputs, t, n_iter, c)
            break
        if not alive:       # all dead: nothing changes any more
            continue
        for a in range(m):
            first[a] = phi[a]
        for k in range(c):
            error = eta * (y[k] - target[k])
            for a in range(m):
                phi[a] -= norm * error * phi[(k + 1) * m + a]
                phi[(k + 1) * m + a] -= error * first[a]
        moved = 0
        for a in range(m):
            moved += (phi[a] - reference[a]) * (phi[a] - reference[a])
        if not sqrt(moved) < margin:
            margin = bury(q, phi, q_end, living, h, m, &death)
            for a in range(m):
                reference[a] = phi[a]
            if death:
                alive = gram_of_living(q, living, h, m, gamma)
    for a in range(h):
        if living[a]:
            apply_map(phi, q + a * m, m, q_end + a * m)
    return diverged_at


def closed_form_outputs(const double[:, :, ::1] q,          # IN (n, h, 1 + c), rows (s_j, w_1j, ..., w_cj)
                        unsigned char[:, ::1] living,       # IN and OUT (n, h)
                        double norm,                        # squared norm of the input
                        const double[:, ::1] targets,       # IN (1, c)
                        double eta,
                        double[:, :, ::1] phi,              # OUT (n, 1 + c, 1 + c)
                        double[:, ::1] scratch,             # (n, (1 + c)^2 + 3 (1 + c))
                        double[:, :, ::1] q_end,            # IN: q; OUT (n, h, 1 + c)
                        double[:, :, ::1] outputs,          # OUT (n, n_iter, c)
                        Py_ssize_t[::1] diverged_at,        # OUT (n,)
                        int n_threads):
    """Technique "closed_form", c outputs: a network of any width is one (1 + c) x (1 + c) matrix."""
    cdef Py_ssize_t n = q.shape[0], h = q.shape[1], m = q.shape[2], n_iter = outputs.shape[1], i
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        diverged_at[i] = closed_form_outputs_network(&q[i, 0, 0], &living[i, 0], h, m, norm, &targets[0, 0], eta,
                                                     &phi[i, 0, 0], &scratch[i, 0], &q_end[i, 0, 0],
                                                     outputs_of(outputs, i), n_iter)
