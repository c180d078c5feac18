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
* A step whose loss is not finite ends the training before it is applied; the number of steps before it is returned.
* Full batches of small data spend as long on passes over N x h arrays as on products. Each array is therefore read and
  written once per stage: pre-activations stay where the product left them, the bias goes with the activation, the row sums
  with the derivative, and contributions, their velocities and the steps of a window meet in one pass (`update_rows`).
* The arguments are objects that last for a training: their views are taken once, their scratch is allocated once. A class
  cannot be generic, so they hold untyped addresses, which the functions for each precision cast. ``front.pxd`` declares what
  they hold, because `sparse_front` trains other front layers by the same windows.

Axes: N samples, d features, h hidden units, c outputs, B batch, K window.
"""

from cython.parallel cimport prange
from libc.float cimport DBL_MIN, FLT_MIN
from libc.math cimport fabs, fabsf, isfinite, sqrt
from libc.string cimport memcpy

from fcfast._core.backprop cimport backward_pass, scale_and_sum, sgd_update
from fcfast._core.blas cimport add_product, gemm, syrk
from fcfast._core.buffers cimport address
from fcfast._core.forward cimport activate_row, forward_pass
from fcfast._core.losses cimport Targets, batch_loss, check_targets
from fcfast._core.types cimport real

import numpy as np

cdef enum:
    THREADED_WORK = 32768       # elements of a pass that are worth sharing out among threads
    CHUNK = 8192
    THREADED_PRODUCT = 1000000  # multiplications that are; SHARED and more are left to BLAS's own threads
    SHARED = 10000000           # half of fcfast.threads.SMALL_PRODUCT
    TILE = 64                   # units of a product that a thread makes

# ----------------------------------------------------------------------------------------------------------------------
# what is trained, and how


cdef class Network:
    """The arrays of a network that is trained: the front layer in one of its forms, and the dense layers above.

    ``base`` and ``source`` are W (h, d) and X (N, d) in the forms that hold weights, A (N, h) and G = X X' (N, N) in the
    form that holds contributions, which has S0 = X W(0)' (N, h) and ``scale``, c and its velocity, too. Velocities are None
    without momentum. ``widths`` are h ... c. Where ``mean``, ``divisor`` and ``fill`` (d,) are given, which only the forms with
    weights take, a row x of the source stands for (x - mean) / divisor, in double precision before it is rounded, with
    ``fill`` in the place of NaN.
    """

    def __init__(self, base, base_velocity, source, S0, scale, params, velocity, widths, int activation,
                 mean, divisor, fill):
        dtype, self.held = base.dtype, []
        self.is_double = dtype == np.float64
        self.base = address(base, self.held, dtype, True)
        self.base_velocity = address(base_velocity, self.held, dtype, True)
        self.source = address(source, self.held, dtype, False)
        self.S0 = address(S0, self.held, dtype, False)
        self.scale = <double*>address(scale, self.held, np.float64, True)
        self.params = address(params, self.held, dtype, True)
        self.velocity = address(velocity, self.held, dtype, True)
        self.widths = <const Py_ssize_t*>address(widths, self.held, np.intp, False)
        self.n_layers, self.n_params = len(widths) - 1, len(params)
        self.n_base, self.n_columns = len(base), source.shape[1]
        self.activation = activation
        given = [array for array in (mean, divisor, fill) if array is not None]
        if given and (len(given) < 3 or S0 is not None or any(array.shape != (self.n_columns,) for array in given)):
            raise ValueError(f"expected mean, divisor and fill, each ({self.n_columns},), and no S0, or none of the three")
        self.mean = <const double*>address(mean, self.held, np.float64, False)
        self.divisor = <const double*>address(divisor, self.held, np.float64, False)
        self.fill = <const double*>address(fill, self.held, np.float64, False)


cdef class Sgd:
    """Settings of stochastic gradient descent, as torch.optim.SGD defines them; ``max_norm`` 0 means no clipping.

    For each layer, the front layer first, ``rate_factors`` (layers, 2) multiply the learning rate of a step, and
    ``weight_decay`` (layers, 2) is added to the gradient times the parameters: one for its weights, one for its biases.
    """

    def __init__(self, double momentum, double dampening, bint nesterov, double max_norm, rate_factors, weight_decay):
        self.momentum, self.dampening, self.nesterov, self.max_norm = momentum, dampening, nesterov, max_norm
        self.rate_factors, self.weight_decay = rate_factors, weight_decay


cdef class Workspace:
    """Scratch for epochs of at most so many rows of a network, in batches, with a window of whole batches."""

    def __init__(self, Network network not None, Py_ssize_t n_rows, Py_ssize_t batch_size, Py_ssize_t window):
        cdef Py_ssize_t sizes[N_PARTS]
        cdef Py_ssize_t i, itemsize = 8 if network.is_double else 4
        self.window = min(window, n_rows)
        self.batch_size = min(batch_size, self.window)
        lay_out(self.batch_size, self.window, network.n_columns, network.widths, network.n_layers, network.n_params, sizes)
        self.scratch = np.empty(sum([sizes[i] for i in range(N_PARTS)]), np.float64 if network.is_double else np.float32)
        cdef char* start = <char*>address(self.scratch, [], self.scratch.dtype, True)
        for i in range(N_PARTS):
            self.parts[i] = start
            start += sizes[i] * itemsize
        self.place = np.full(network.n_base, -1, dtype=np.intp)
        self.factors = np.empty(2 * ((self.window + self.batch_size - 1) // self.batch_size))


cdef void lay_out(Py_ssize_t batch_size, Py_ssize_t window, Py_ssize_t n_columns, const Py_ssize_t* widths,
                  Py_ssize_t n_layers, Py_ssize_t n_params, Py_ssize_t* sizes) noexcept nogil:
    """Numbers in each part of the scratch."""
    cdef Py_ssize_t h = widths[0], upper = 0, i
    for i in range(1, n_layers + 1):
        upper += widths[i]
    sizes[START] = sizes[START_VELOCITY] = sizes[FRONT_DELTA] = window * h
    sizes[GRAM] = window * window
    sizes[SCALED] = batch_size * window
    sizes[GATHERED] = window * n_columns
    sizes[GRAD] = n_params
    sizes[VALUES] = sizes[DELTAS] = batch_size * upper


def work_size(Py_ssize_t n_rows,                    # in an epoch
              Py_ssize_t batch_size,
              Py_ssize_t window,
              Py_ssize_t n_columns,                 # d for weights, N for contributions
              const Py_ssize_t[::1] widths,         # IN, h ... c
              Py_ssize_t n_params):
    """How many numbers of scratch an epoch needs."""
    cdef Py_ssize_t sizes[N_PARTS]
    cdef Py_ssize_t i
    window = min(window, n_rows)
    lay_out(min(batch_size, window), window, n_columns, &widths[0], widths.shape[0] - 1, n_params, sizes)
    return sum([sizes[i] for i in range(N_PARTS)])


# ----------------------------------------------------------------------------------------------------------------------
# steps


cdef inline void advance(double* w, double* m, double gradient, Sgd sgd, double rate, bint first) noexcept nogil:
    """One step of torch.optim.SGD on one coordinate of the front layer's weights and of their velocity."""
    gradient += sgd.weight_decay[0, 0] * w[0]
    if sgd.momentum == 0:
        w[0] -= rate * gradient
        return
    m[0] = gradient if first else sgd.momentum * m[0] + (1 - sgd.dampening) * gradient
    w[0] -= rate * (gradient + sgd.momentum * m[0] if sgd.nesterov else m[0])


cdef void update_params(real* params, const real* grad, Network network, Sgd sgd, double rate, bint first) noexcept nogil:
    """One step of SGD of the front layer's biases and of the layers above it, each part with its own rate and decay."""
    cdef real* velocity = <real*>network.velocity
    cdef Py_ssize_t part, layer, size, is_bias
    for part in range(1, 2 * network.n_layers + 2):      # part 0 is the front layer's weights
        layer = part // 2
        is_bias = part % 2
        size = network.widths[layer] * (1 if is_bias else network.widths[layer - 1])
        sgd_update(params, grad, velocity, size, rate * sgd.rate_factors[layer, is_bias], sgd.momentum, sgd.dampening,
                   sgd.nesterov, sgd.weight_decay[layer, is_bias], first)
        params += size
        grad += size
        if velocity != NULL:
            velocity += size


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


cdef double upper_gradient(real* v, Network network, Targets targets, Workspace workspace, const Py_ssize_t* rows,
                           Py_ssize_t n_rows, real* front_delta, int n_threads) noexcept nogil:
    """The network above the front layer. In: v holds X W'; out: gradient, and front_delta = dLoss/dS. Returns the loss."""
    cdef const real* params = <const real*>network.params
    cdef const Py_ssize_t* widths = network.widths
    cdef Py_ssize_t i, h = widths[0], n_layers = network.n_layers, n_out = widths[n_layers], last = 0
    cdef int activation = network.activation
    cdef real* values = <real*>workspace.parts[VALUES]
    cdef real* deltas = <real*>workspace.parts[DELTAS]
    cdef real* grad = <real*>workspace.parts[GRAD]
    cdef double result
    for i in range(1, n_layers):
        last += n_rows * widths[i]
    for i in range(n_rows):
        activate_row(v + i * h, params, h, activation)
    forward_pass(params + h, widths, n_layers, True, activation, v, n_rows, values, n_threads)
    result = batch_loss(values + last, targets, rows, n_rows, n_out, deltas + last)
    backward_pass(params + h, widths, n_layers, True, activation, v, n_rows, values, deltas, grad + h, front_delta, n_threads)
    scale_and_sum(front_delta, v, n_rows, h, activation, grad)
    return result


cdef Py_ssize_t run_window(real* start, Network network, Targets targets, Sgd sgd, Workspace workspace,
                           const Py_ssize_t* rows, Py_ssize_t n_rows, const double* rates, bint first, double* losses,
                           double* r, double* a, double* m, int n_threads) noexcept nogil:
    """The steps of one window, from the pre-activations of its start. Out: deltas, r (2 x 2), a and m. Returns steps done."""
    cdef Py_ssize_t h = network.widths[0], batch_size = workspace.batch_size, step = 0, done = 0, B, i, j, s
    cdef const real* start_velocity = <const real*>workspace.parts[START_VELOCITY]
    cdef const real* gram = <const real*>workspace.parts[GRAM]
    cdef real* D = <real*>workspace.parts[FRONT_DELTA]
    cdef real* scaled = <real*>workspace.parts[SCALED]
    cdef real* grad = <real*>workspace.parts[GRAD]
    cdef real* v
    cdef double factor, norm, rate
    r[0] = r[3] = 1
    r[1] = r[2] = 0
    while done < n_rows:
        B = min(batch_size, n_rows - done)
        v = start + done * h        # those of a batch are read once, so that they may become its activation values in place
        if step > 0:
            if r[0] != 1:
                for i in range(B * h):
                    v[i] *= <real>r[0]
            if network.base_velocity != NULL:
                for i in range(B * h):
                    v[i] += <real>r[1] * start_velocity[done * h + i]
            for i in range(B):
                for s in range(step):
                    for j in range(s * batch_size, (s + 1) * batch_size):
                        scaled[i * done + j] = <real>a[s] * gram[(done + i) * n_rows + j]
            gemm(False, False, B, h, done, <real>1, scaled, D, <real>1, v)
        losses[step] = upper_gradient(v, network, targets, workspace, rows + done, B, D + done * h, n_threads)
        if not isfinite(losses[step]):
            return step
        factor = 1
        if sgd.max_norm > 0:
            # ||D' X||^2 = sum of (G_BB D) * D
            for i in range(B):
                memcpy(scaled + i * B, gram + (done + i) * n_rows + done, B * sizeof(real))
            gemm(False, False, B, h, B, <real>1, scaled, D + done * h, <real>0, v)
            norm = squared_norm(grad, network.n_params)
            for i in range(B * h):
                norm += <double>v[i] * D[done * h + i]
            factor = clip_factor(norm, sgd.max_norm)
            if factor < 1:
                for i in range(network.n_params):
                    grad[i] *= <real>factor
        update_params(<real*>network.params, grad, network, sgd, rates[step], first)
        rate = rates[step] * sgd.rate_factors[0, 0]
        a[step] = m[step] = 0
        advance(&r[0], &r[2], 0, sgd, rate, first)
        advance(&r[1], &r[3], 0, sgd, rate, first)
        for s in range(step):
            advance(&a[s], &m[s], 0, sgd, rate, first)
        advance(&a[step], &m[step], factor, sgd, rate, first)
        first = False
        done += B
        step += 1
    return step


# ----------------------------------------------------------------------------------------------------------------------
# the base


cdef inline real magnitude(real x) noexcept nogil:
    return fabsf(x) if real is float else fabs(x)


cdef void mix_some(real* W, real* M, Py_ssize_t n, const double* r) noexcept nogil:
    """(W, M) <- (r00 W + r01 M, r10 W + r11 M).

    The velocity of a dead unit decays for ever; as soon as it is subnormal it is 0, or arithmetic would slow down.
    """
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
    """The same shared out among threads; nothing where that changes nothing."""
    cdef Py_ssize_t i
    if M == NULL and r[0] == 1:
        return
    if n < THREADED_WORK:
        n_threads = 1
    for i in prange(0, n, CHUNK, schedule="static", num_threads=n_threads):
        mix_some(W + i, NULL if M == NULL else M + i, min(CHUNK, n - i), r)


cdef void mix_and_add(real* A, real* M, const real* D, Py_ssize_t n, const double* r, double a, double m) noexcept nogil:
    """`mix_some` and the addition of a D to A and m D to M in one pass; the same arithmetic, so the same bits."""
    cdef Py_ssize_t i
    cdef real velocity, smallest = <real>(FLT_MIN if real is float else DBL_MIN)
    cdef real w, r00 = <real>r[0], r01 = <real>r[1], r10 = <real>r[2], r11 = <real>r[3], a_D = <real>a, m_D = <real>m
    if M == NULL:
        for i in range(n):
            A[i] = r00 * A[i] + a_D * D[i]
        return
    for i in range(n):
        w = A[i]
        A[i] = r00 * w + r01 * M[i] + a_D * D[i]
        velocity = r10 * w + r11 * M[i]
        M[i] = (0 if magnitude(velocity) < smallest else velocity) + m_D * D[i]


cdef bint find_places(const Py_ssize_t* rows, Py_ssize_t n_rows, Py_ssize_t* place) noexcept nogil:
    """Note where in the window each sample is; False, and nothing noted, if one is there twice."""
    cdef Py_ssize_t i
    for i in range(n_rows):
        if place[rows[i]] >= 0:
            forget_places(rows, i, place)
            return False
        place[rows[i]] = i
    return True


cdef void forget_places(const Py_ssize_t* rows, Py_ssize_t n_rows, Py_ssize_t* place) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n_rows):
        place[rows[i]] = -1


cdef void update_rows(real* A, real* M, const real* D, Py_ssize_t first, Py_ssize_t last, Py_ssize_t h,
                      const Py_ssize_t* place, Py_ssize_t batch_size, const double* r, const double* a,
                      const double* m) noexcept nogil:
    cdef Py_ssize_t i, step
    cdef real* velocity = NULL
    for i in range(first, last):
        if M != NULL:
            velocity = M + i * h
        if place[i] < 0:
            mix_some(A + i * h, velocity, h, r)
        else:
            step = place[i] // batch_size
            mix_and_add(A + i * h, velocity, D + place[i] * h, h, r, a[step], m[step])


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


cdef void update_base(real* base, Network network, Workspace workspace, const real* gathered, const Py_ssize_t* rows,
                      Py_ssize_t n_rows, const double* r, const double* a, const double* m, int n_threads) noexcept nogil:
    """The steps of a window, of which n_rows were taken, on what the front layer holds."""
    cdef real* M = <real*>network.base_velocity
    cdef const real* D = <const real*>workspace.parts[FRONT_DELTA]
    cdef real* scaled = <real*>workspace.parts[START]
    cdef bint contributions = network.S0 != NULL
    cdef Py_ssize_t i, h = network.widths[0], n_base = network.n_base, chunk = max(1, CHUNK // h)
    cdef Py_ssize_t n = n_base * (h if contributions else network.n_columns)
    cdef Py_ssize_t* place = &workspace.place[0]
    cdef Py_ssize_t batch_size = workspace.batch_size
    if contributions and (M != NULL or r[0] != 1) and find_places(rows, n_rows, place):
        if n < THREADED_WORK:
            n_threads = 1
        for i in prange(0, n_base, chunk, schedule="static", num_threads=n_threads):
            update_rows(base, M, D, i, min(i + chunk, n_base), h, place, batch_size, r, a, m)
        forget_places(rows, n_rows, place)
        return
    mix(base, M, n, r, n_threads)
    add_steps(D, a, gathered, contributions, rows, n_rows, network.n_columns, batch_size, h, scaled, base)
    if M != NULL:
        add_steps(D, m, gathered, contributions, rows, n_rows, network.n_columns, batch_size, h, scaled, M)


# ----------------------------------------------------------------------------------------------------------------------
# epochs


cdef inline void scale_row(const real* row, const double* mean, const double* divisor, const double* fill, Py_ssize_t n,
                           real* out) noexcept nogil:
    """(row - mean) / divisor in double precision, with fill in the place of NaN."""
    cdef Py_ssize_t j
    cdef double x
    for j in range(n):
        x = row[j]
        out[j] = <real>(((x if x == x else fill[j]) - mean[j]) / divisor[j])


cdef const real* gather(const real* source, Network network, const Py_ssize_t* rows, Py_ssize_t n_rows,
                        real* out) noexcept nogil:
    """Some rows one after the other: scaled, or where they are, if they are so already, or copied."""
    cdef Py_ssize_t i, n_columns = network.n_columns, n_consecutive = 1
    if network.mean != NULL:
        for i in range(n_rows):
            scale_row(source + rows[i] * n_columns, network.mean, network.divisor, network.fill, n_columns,
                      out + i * n_columns)
        return out
    while n_consecutive < n_rows and rows[n_consecutive] == rows[0] + n_consecutive:
        n_consecutive += 1
    if n_consecutive == n_rows:
        return source + rows[0] * n_columns
    for i in range(n_rows):
        memcpy(out + i * n_columns, source + rows[i] * n_columns, n_columns * sizeof(real))
    return out


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


cdef Py_ssize_t run_epoch(real* base, Network network, Targets targets, Sgd sgd, Workspace workspace,
                          const Py_ssize_t* rows, Py_ssize_t n_rows, const double* rates, bint first, double* losses,
                          int n_threads) noexcept nogil:
    """An epoch, window by window. Returns the number of steps done."""
    cdef Py_ssize_t n_columns = network.n_columns, h = network.widths[0], batch_size = workspace.batch_size
    cdef Py_ssize_t position = 0, step = 0, K, i, j, done, n_steps
    cdef const real* source = <const real*>network.source
    cdef const real* S0 = <const real*>network.S0
    cdef const real* M = <const real*>network.base_velocity
    cdef real* start = <real*>workspace.parts[START]
    cdef real* gram = <real*>workspace.parts[GRAM]
    cdef const real* gathered
    cdef double* a = &workspace.factors[0]
    cdef double* m
    cdef double r[4]
    cdef double c = 1, c_velocity = 0, c_before
    if S0 != NULL:
        c, c_velocity = network.scale[0], network.scale[1]
    while position < n_rows:
        K = min(workspace.window, n_rows - position)
        n_steps = (K + batch_size - 1) // batch_size
        m = a + n_steps
        gathered = gather(source, network, rows + position, K, <real*>workspace.parts[GATHERED])
        project(gathered, base, S0, c, rows + position, K, n_columns, h, start, n_threads)
        if M != NULL and n_steps > 1:
            project(gathered, M, S0, c_velocity, rows + position, K, n_columns, h, <real*>workspace.parts[START_VELOCITY],
                    n_threads)
        if n_steps > 1 or sgd.max_norm > 0:
            if S0 != NULL:
                for i in range(K):
                    for j in range(K):
                        gram[i * K + j] = gathered[i * n_columns + rows[position + j]]
            else:
                syrk(K, n_columns, gathered, gram)
        done = run_window(start, network, targets, sgd, workspace, rows + position, K, rates + step, first, losses + step,
                          r, a, m, n_threads)
        first = False
        if done < n_steps:
            K = done * batch_size
        c_before = c
        c = r[0] * c + r[1] * c_velocity
        c_velocity = r[2] * c_before + r[3] * c_velocity
        update_base(base, network, workspace, gathered, rows + position, K, r, a, m, n_threads)
        step += done
        if done < n_steps:
            break
        position += K
    if S0 != NULL:
        network.scale[0], network.scale[1] = c, c_velocity
    return step


def sgd_epochs(Network network not None,        # IN and OUT
               Targets targets not None,
               Sgd sgd not None,
               Workspace workspace not None,    # of at least as many rows
               const Py_ssize_t[:, ::1] rows,   # IN, of each epoch the samples in the order they are taken
               const double[:, ::1] rates,      # IN, of each epoch one per step
               double[:, ::1] losses,           # OUT, of each epoch one per step
               bint first,                      # whether velocities start with the first gradient
               int n_threads):
    """Epochs of SGD. Returns the number of steps done: all, or those before the first loss that is not finite."""
    cdef Py_ssize_t epoch, done = 0, in_epoch
    check_targets(targets, network.is_double, network.widths[network.n_layers])
    with nogil:
        for epoch in range(rows.shape[0]):
            if network.is_double:
                in_epoch = run_epoch(<double*>network.base, network, targets, sgd, workspace, &rows[epoch, 0], rows.shape[1],
                                     &rates[epoch, 0], first and done == 0, &losses[epoch, 0], n_threads)
            else:
                in_epoch = run_epoch(<float*>network.base, network, targets, sgd, workspace, &rows[epoch, 0], rows.shape[1],
                                     &rates[epoch, 0], first and done == 0, &losses[epoch, 0], n_threads)
            done += in_epoch
            if in_epoch < rates.shape[1]:
                break
    return done
