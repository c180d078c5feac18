"""SGD epochs of a network whose first, "front" layer is held in one of three forms.

Design
------
* The front layer has a *base* that is touched once per window of K rows: the weights W (h x d) with their velocity M, or
  the contributions A (N x h) with theirs, W = c W(0) + A' X. Form "weights" is a base of weights with a window of one batch,
  "windowed" the same with a longer window, "contributions" a base of contributions.
* Inside a window nothing of the base changes. Every step's deltas D_s are kept as they are, and W and M are linear in
  them: W = r00 W_start + r01 M_start + (sum_s a_s D_s)' X, likewise M. Momentum, dampening, Nesterov and weight decay act on
  the scalars r, a_s, m_s alone (`advance`), so a step costs no pass over the base.
* Pre-activations follow from products made once per window (rows of X with W and M) and from the Gram matrix of the window.
* ``params`` holds the front layer's biases (h), then the dense layers above, each with weights and biases.
* A step whose loss is not finite ends the epoch before it is applied; its index is returned.

Axes: N samples, d features, h hidden units, c outputs, B batch, K window.
"""

from cython.parallel cimport prange
from libc.float cimport DBL_MIN, FLT_MIN
from libc.math cimport fabs, fabsf, isfinite, sqrt
from libc.string cimport memcpy

from fcfast._core.backprop cimport backward_pass, scale_by_derivative, sgd_update, sum_rows
from fcfast._core.blas cimport add_product, gemm, syrk
from fcfast._core.forward cimport activate_row, forward_pass, half_squared_error_rows, softmax_cross_entropy_rows
from fcfast._core.types cimport real

cdef enum:
    CROSS_ENTROPY = 1
    THREADED_WORK = 32768       # elements of a pass that are worth sharing out among threads
    CHUNK = 8192
    THREADED_PRODUCT = 1000000  # multiplications that are; SHARED and more are left to BLAS's own threads
    SHARED = 10000000           # half of fcfast.threads.SMALL_PRODUCT
    TILE = 64                   # units of a product that a thread makes


cdef struct Sgd:
    double momentum, dampening, weight_decay, max_norm
    bint nesterov


cdef inline void advance(double* w, double* m, double gradient, const Sgd* sgd, double rate, bint first) noexcept nogil:
    """One step of torch.optim.SGD on one coordinate of the weights and of the velocity."""
    gradient += sgd.weight_decay * w[0]
    if sgd.momentum == 0:
        w[0] -= rate * gradient
        return
    m[0] = gradient if first else sgd.momentum * m[0] + (1 - sgd.dampening) * gradient
    w[0] -= rate * (gradient + sgd.momentum * m[0] if sgd.nesterov else m[0])


cdef inline double squared_norm(const real* a, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef double total = 0
    for i in range(n):
        total += <double>a[i] * a[i]
    return total


cdef inline double clip_factor(double norm_squared, double max_norm) noexcept nogil:
    """As torch.nn.utils.clip_grad_norm_; max_norm 0 means no clipping."""
    cdef double factor
    if max_norm <= 0:
        return 1
    factor = max_norm / (sqrt(norm_squared) + 1e-6)
    return factor if factor < 1 else 1


cdef double upper_gradient(real* v, const real* params, const Py_ssize_t* widths, Py_ssize_t n_layers, int activation,
                           int loss, const real* targets, const Py_ssize_t* labels, const double* sample_weight,
                           const Py_ssize_t* rows, Py_ssize_t n_rows, real* values, real* deltas, real* grad,
                           real* front_delta, int n_threads) noexcept nogil:
    """The network above the front layer. In: v holds X W'; out: grad, and front_delta = dLoss/dS. Returns the loss."""
    cdef Py_ssize_t i, h = widths[0], n_out = widths[n_layers], last = 0
    cdef double result
    for i in range(1, n_layers):
        last += n_rows * widths[i]
    for i in range(n_rows):
        activate_row(v + i * h, params, h, activation)
    forward_pass(params + h, widths, n_layers, True, activation, v, n_rows, values, n_threads)
    if loss == CROSS_ENTROPY:
        result = softmax_cross_entropy_rows(values + last, labels, rows, sample_weight, n_rows, n_out, deltas + last)
    else:
        result = half_squared_error_rows(values + last, targets, rows, sample_weight, n_rows, n_out, deltas + last)
    backward_pass(params + h, widths, n_layers, True, activation, v, n_rows, values, deltas, grad + h, front_delta, n_threads)
    scale_by_derivative(front_delta, v, n_rows * h, activation)
    sum_rows(front_delta, n_rows, h, grad)
    return result


cdef Py_ssize_t run_window(const real* start, const real* start_velocity, const real* gram, const Py_ssize_t* rows,
                           Py_ssize_t n_rows, Py_ssize_t batch_size, real* params, real* velocity, Py_ssize_t n_params,
                           const Py_ssize_t* widths, Py_ssize_t n_layers, int activation, int loss, const real* targets,
                           const Py_ssize_t* labels, const double* sample_weight, const double* rates, const Sgd* sgd,
                           bint first, double* losses, real* v, real* scaled, real* values, real* deltas, real* grad,
                           real* D, double* r, double* a, double* m, int n_threads) noexcept nogil:
    """The steps of one window, from the pre-activations of its start. Out: D, r (2 x 2), a and m. Returns steps done."""
    cdef Py_ssize_t h = widths[0], step = 0, done = 0, B, i, j, s
    cdef double factor, norm
    r[0] = r[3] = 1
    r[1] = r[2] = 0
    while done < n_rows:
        B = min(batch_size, n_rows - done)
        if step == 0:
            memcpy(v, start, B * h * sizeof(real))
        else:
            for i in range(B * h):
                v[i] = <real>r[0] * start[done * h + i]
            if start_velocity != NULL:
                for i in range(B * h):
                    v[i] += <real>r[1] * start_velocity[done * h + i]
            for i in range(B):
                for s in range(step):
                    for j in range(s * batch_size, (s + 1) * batch_size):
                        scaled[i * done + j] = <real>a[s] * gram[(done + i) * n_rows + j]
            gemm(False, False, B, h, done, <real>1, scaled, D, <real>1, v)
        losses[step] = upper_gradient(v, params, widths, n_layers, activation, loss, targets, labels, sample_weight,
                                      rows + done, B, values, deltas, grad, D + done * h, n_threads)
        if not isfinite(losses[step]):
            return step
        factor = 1
        if sgd.max_norm > 0:
            # ||D' X||^2 = sum of (G_BB D) * D
            for i in range(B):
                memcpy(scaled + i * B, gram + (done + i) * n_rows + done, B * sizeof(real))
            gemm(False, False, B, h, B, <real>1, scaled, D + done * h, <real>0, v)
            norm = squared_norm(grad, n_params)
            for i in range(B * h):
                norm += <double>v[i] * D[done * h + i]
            factor = clip_factor(norm, sgd.max_norm)
            if factor < 1:
                for i in range(n_params):
                    grad[i] *= <real>factor
        sgd_update(params, grad, velocity, n_params, rates[step], sgd.momentum, sgd.dampening, sgd.nesterov,
                   sgd.weight_decay, first)
        a[step] = m[step] = 0
        advance(&r[0], &r[2], 0, sgd, rates[step], first)
        advance(&r[1], &r[3], 0, sgd, rates[step], first)
        for s in range(step):
            advance(&a[s], &m[s], 0, sgd, rates[step], first)
        advance(&a[step], &m[step], factor, sgd, rates[step], first)
        first = False
        done += B
        step += 1
    return step


cdef inline real magnitude(real x) noexcept nogil:
    return fabsf(x) if real is float else fabs(x)


cdef void mix_some(real* W, real* M, Py_ssize_t n, const double* r) noexcept nogil:
    cdef Py_ssize_t i
    cdef real m, smallest = <real>(FLT_MIN if real is float else DBL_MIN)
    cdef real w, r00 = <real>r[0], r01 = <real>r[1], r10 = <real>r[2], r11 = <real>r[3]
    if M == NULL:
        for i in range(n):
            W[i] *= r00
        return
    for i in range(n):
        w = W[i]
        W[i] = r00 * w + r01 * M[i]
        m = r10 * w + r11 * M[i]
        M[i] = 0 if magnitude(m) < smallest else m      # NaN stays


cdef void mix(real* W, real* M, Py_ssize_t n, const double* r, int n_threads) noexcept nogil:
    """(W, M) <- (r00 W + r01 M, r10 W + r11 M); nothing where that changes nothing.

    The velocity of a dead unit decays for ever; as soon as it is subnormal it is 0, or arithmetic would slow down.
    """
    cdef Py_ssize_t i
    if M == NULL and r[0] == 1:
        return
    if n < THREADED_WORK:
        n_threads = 1
    for i in prange(0, n, CHUNK, schedule="static", num_threads=n_threads):
        mix_some(W + i, NULL if M == NULL else M + i, min(CHUNK, n - i), r)


cdef void gather(const real* source, const Py_ssize_t* rows, Py_ssize_t n_rows, Py_ssize_t n_columns, real* out) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n_rows):
        memcpy(out + i * n_columns, source + rows[i] * n_columns, n_columns * sizeof(real))


cdef void project(const real* gathered, const real* base, const real* S0, double scale, const Py_ssize_t* rows,
                  Py_ssize_t n_rows, Py_ssize_t n_columns, Py_ssize_t h, real* out, int n_threads) noexcept nogil:
    """Pre-activations of some rows: X W', or c S0 + G A where S0 is given."""
    cdef Py_ssize_t i, j, first
    if S0 == NULL:
        gemm(False, True, n_rows, h, n_columns, <real>1, gathered, base, <real>0, out)
        return
    for i in range(n_rows):
        for j in range(h):
            out[i * h + j] = <real>scale * S0[rows[i] * h + j]
    # The parts must not depend on the number of threads, so that the bits of the result do not either.
    if THREADED_PRODUCT <= n_rows * n_columns * h < SHARED:
        for first in prange(0, h, TILE, schedule="static", num_threads=n_threads):
            add_product(n_rows, min(TILE, h - first), n_columns, gathered, base + first, h, out + first, h)
    else:
        gemm(False, False, n_rows, h, n_columns, <real>1, gathered, base, <real>1, out)


cdef void add_steps(const real* D, const double* factors, const real* gathered, bint scatter, const Py_ssize_t* rows,
                    Py_ssize_t n_rows, Py_ssize_t n_columns, Py_ssize_t batch_size, Py_ssize_t h, real* scaled,
                    real* base) noexcept nogil:
    """Add the steps of a window to the base: D' X to weights, rows of D to contributions (scatter)."""
    cdef Py_ssize_t i, j
    cdef real factor
    cdef real* out
    for i in range(n_rows):
        factor = <real>factors[i // batch_size]
        if scatter:
            out = base + rows[i] * h
            for j in range(h):
                out[j] += factor * D[i * h + j]
        else:
            for j in range(h):
                scaled[i * h + j] = factor * D[i * h + j]
    if not scatter:
        gemm(True, False, h, n_columns, n_rows, <real>1, scaled, gathered, <real>1, base)


def sgd_epoch(real[:, ::1] base,                # IN and OUT, W (h, d) or A (N, h)
              real[:, ::1] base_velocity,       # IN and OUT, or None without momentum
              const real[:, ::1] source,        # IN, X (N, d) for weights, G (N, N) for contributions
              const real[:, ::1] S0,            # IN, X W(0)' (N, h) for contributions, None for weights
              double[::1] scale,                # IN and OUT, c and its velocity, for contributions; None for weights
              const Py_ssize_t[::1] rows,       # IN, the samples in the order they are taken
              Py_ssize_t batch_size,
              Py_ssize_t window,                # rows, a multiple of batch_size
              real[::1] params,                 # IN and OUT
              real[::1] velocity,               # IN and OUT, or None without momentum
              const Py_ssize_t[::1] widths,     # IN, h ... c
              int activation,
              int loss,
              const real[:, ::1] targets,       # IN (N, c), or None
              const Py_ssize_t[::1] labels,     # IN (N,), or None
              const double[::1] sample_weight,  # IN (N,), or None
              const double[::1] rates,          # IN, one per step
              double momentum,
              double dampening,
              bint nesterov,
              double weight_decay,
              double max_norm,
              bint first,
              double[::1] losses,               # OUT, one per step
              real[::1] work,                   # scratch, see work_size
              double[::1] factors,              # scratch, two per step of a window
              int n_threads):
    """An epoch of SGD. Returns the number of steps done: all, or those before the first loss that is not finite."""
    cdef Py_ssize_t n_columns = source.shape[1], n_rows = rows.shape[0], n_params = params.shape[0], h = widths[0]
    cdef Py_ssize_t n_layers = widths.shape[0] - 1, K, i, j, position = 0, step = 0, done, n_steps
    cdef const real* target_data = NULL if targets is None else &targets[0, 0]
    cdef const Py_ssize_t* label_data = NULL if labels is None else &labels[0]
    cdef const double* weight_data = NULL if sample_weight is None else &sample_weight[0]
    cdef const real* S0_data = NULL if S0 is None else &S0[0, 0]
    cdef bint contributions = S0 is not None
    cdef real* M = NULL if base_velocity is None else &base_velocity[0, 0]
    cdef real* velocity_data = NULL if velocity is None else &velocity[0]
    cdef double r[4]
    cdef double c = 1, c_velocity = 0, c_before
    cdef Sgd sgd = Sgd(momentum, dampening, weight_decay, max_norm, nesterov)
    window = min(window, n_rows)
    batch_size = min(batch_size, window)
    # The parts of the scratch, one after the other (work_size).
    cdef real* v = &work[0]
    cdef real* D = v + batch_size * h
    cdef real* start = D + window * h
    cdef real* start_velocity = start + window * h
    cdef real* gram = start_velocity + window * h
    cdef real* scaled = gram + window * window
    cdef real* gathered = scaled + batch_size * window
    cdef real* grad = gathered + window * n_columns
    cdef real* values = grad + n_params
    cdef real* deltas = values
    for i in range(1, n_layers + 1):
        deltas += batch_size * widths[i]
    if contributions:
        c, c_velocity = scale[0], scale[1]
    with nogil:
        while position < n_rows:
            K = min(window, n_rows - position)
            n_steps = (K + batch_size - 1) // batch_size
            gather(&source[0, 0], &rows[position], K, n_columns, gathered)
            project(gathered, &base[0, 0], S0_data, c, &rows[position], K, n_columns, h, start, n_threads)
            if M != NULL and n_steps > 1:
                project(gathered, M, S0_data, c_velocity, &rows[position], K, n_columns, h, start_velocity,
                        n_threads)
            if n_steps > 1 or max_norm > 0:
                if contributions:
                    for i in range(K):
                        for j in range(K):
                            gram[i * K + j] = gathered[i * n_columns + rows[position + j]]
                else:
                    syrk(K, n_columns, gathered, gram)
            done = run_window(start, start_velocity if M != NULL else NULL, gram, &rows[position], K, batch_size,
                              &params[0], velocity_data, n_params, &widths[0], n_layers, activation, loss, target_data,
                              label_data, weight_data, &rates[step], &sgd, first, &losses[step], v, scaled, values, deltas,
                              grad, D, r, &factors[0], &factors[n_steps], n_threads)
            first = False
            if done < n_steps:
                K = done * batch_size
            c_before = c
            c = r[0] * c + r[1] * c_velocity
            c_velocity = r[2] * c_before + r[3] * c_velocity
            mix(&base[0, 0], M, base.shape[0] * base.shape[1], r, n_threads)
            add_steps(D, &factors[0], gathered, contributions, &rows[position], K, n_columns, batch_size, h, start,
                      &base[0, 0])
            if M != NULL:
                add_steps(D, &factors[n_steps], gathered, contributions, &rows[position], K, n_columns, batch_size, h, start, M)
            step += done
            if done < n_steps:
                break
            position += K
    if contributions:
        scale[0], scale[1] = c, c_velocity
    return step


def work_size(Py_ssize_t n_rows,                    # in an epoch
              Py_ssize_t batch_size,
              Py_ssize_t window,
              Py_ssize_t n_columns,                 # d for weights, N for contributions
              const Py_ssize_t[::1] widths,         # IN, h ... c
              Py_ssize_t n_params):
    """How many numbers of scratch an epoch needs."""
    cdef Py_ssize_t h = widths[0], upper = 0, i
    window = min(window, n_rows)
    batch_size = min(batch_size, window)
    for i in range(1, widths.shape[0]):
        upper += widths[i]
    return (batch_size * (h + 2 * upper + window) + window * (3 * h + window + n_columns) + n_params)
