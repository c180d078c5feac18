"""SGD epochs of a network whose front layer holds the weights of sparse features, at the cost of the entries.

Design
------
* The features that occur are numbered by falling frequency. The weights W of a feature and their velocity M lie side by side in
  a *slot* of a table, padded to whole cache lines. Features that never occur are not here: they follow from ``scale``.
* A step changes the features of its batch. The others only decay, linearly and all alike, so that a feature is left alone until
  it occurs again and is then caught up in one step (`catch_up.pxd`). The result is that of dense SGD.
* A window of K rows goes through four stages. `sort_entries` orders its entries by features. `project` passes each feature's slot
  once, catches it up on the way and adds it to the pre-activations of its rows. `run_window` takes the steps as for dense rows.
  `flush` passes each slot again, catches it up and adds the steps. Slots are read a few features ahead (`slots.pxd`).
* Threads share the hidden units, in whole cache lines. Each unit's arithmetic is the same whoever does it, so that results have
  the same bits for any number of threads. While one thread takes the steps of a window, another sorts the entries of the next.
* At the end of an epoch all features are caught up, so that the table holds the weights as they are. An epoch that takes its
  samples in blocks (`take_rows`) does so once, after the last of them (`settle`).

Axes: N samples, h hidden units, B batch, K window.
"""

from cython.parallel cimport prange
from fcfast._core.buffers cimport address
from fcfast._core.catch_up cimport History, LENGTH, MOST_WINDOWS, add_window, begin, catch_up, catch_up_units, multiply, set_identity
from fcfast._core.front cimport GRAM, START, START_VELOCITY, FRONT_DELTA, Network, Sgd, Workspace, run_window
from fcfast._core.losses cimport Targets, check_targets
from fcfast._core.mathfn cimport root
from fcfast._core.slots cimport (
    CACHE_LINE, Entries, add, fetch, mix, mix_and_add, mix_velocity, mix_weights, settled, sum_rows,
)
from fcfast._core.types cimport cloned, real

import numpy as np

cdef enum:
    AHEAD = 3               # features between the one that is worked on and the one whose slot is fetched
    THREADED_WORK = 65536   # multiplications of a pass that are worth sharing out among threads
    UNIT_NUMBERS = 1 << 22  # in a history with numbers for each unit; features are all caught up before it begins again


cdef class SparseNetwork(Network):
    """The arrays of a network whose front layer holds a table of slots, and its samples in CSR.

    ``table`` (slots, 2 or 1, width) has W and, with momentum, M of each feature; the first h numbers of a width count.
    ``scale`` has c and its velocity, by which features without a slot follow from their initial weights. ``indptr`` (N + 1,),
    ``indices`` (entries,), which are slots and differ within a row, and ``values`` (entries,) are the samples.
    """

    cdef Py_ssize_t n_copies, width
    cdef const Py_ssize_t* indptr
    cdef const int* indices
    cdef const void* values
    cdef object buffers         # arrays of the structures below
    cdef Entries entries[2]     # of a window, and of the next one
    cdef History history
    cdef int* stamps            # of each slot the window at whose start it was up to date
    cdef void* caught           # (2, width) a feature's W and M, or sums of its steps
    cdef void* lagging          # (width) what its M adds to W of each unit, if units differ
    cdef void* by_unit          # (width) factors of a step's sums, if units differ
    cdef Py_ssize_t n_room      # entries that there is room for
    cdef Py_ssize_t n_history   # windows of a history, before features are all caught up
    cdef bint lags              # whether features may not be up to date between single steps, or blocks of an epoch
    cdef bint goes_on           # whether an epoch takes its samples in blocks
    cdef object rows_held

    def __init__(self, table, scale, indptr, indices, values, params, velocity, widths, int activation):
        if table.ndim != 3 or table.shape[2] < widths[0] or table.shape[2] * table.itemsize % CACHE_LINE:
            raise ValueError("expected a table (slots, 2 or 1, width) of whole cache lines, not narrower than h")
        has_velocity = table.shape[1] == 2
        nothing = np.empty((0, 0), table.dtype)
        Network.__init__(self, table, table if has_velocity else None, nothing, None, scale, params, velocity, widths,
                         activation, None, None, None)
        self.n_copies, self.width = table.shape[1], table.shape[2]
        self._hold_rows(indptr, indices, values)
        self.stamps = <int*>address(np.zeros(len(table), np.int32), self.held, np.int32, True)
        self.caught = address(np.empty((2, self.width), table.dtype), self.held, table.dtype, True)
        self.lagging = address(np.empty(self.width, table.dtype), self.held, table.dtype, True)
        self.by_unit = address(np.empty(self.width, table.dtype), self.held, table.dtype, True)
        self.n_room = -1
        self.buffers = {}

    cdef _hold_rows(self, indptr, indices, values):
        held = []
        self.indptr = <const Py_ssize_t*>address(indptr, held, np.intp, False)
        self.indices = <const int*>address(indices, held, np.int32, False)
        self.values = address(values, held, np.float64 if self.is_double else np.float32, False)
        self.rows_held = held

    def take_rows(self, indptr, indices, values):
        """Take other samples. From now on features lag behind from one call of `sgd_epochs` to the next, until `settle`."""
        self._hold_rows(indptr, indices, values)
        self.goes_on = True

    cdef reserve_entries(self, Py_ssize_t n_entries):
        """Make room for windows with so many entries."""
        if n_entries <= self.n_room:
            return
        self.n_room, n_features = n_entries, min(n_entries, self.n_base)
        held = []
        for entries in range(2):
            self.entries[entries].slots = <int*>address(np.empty(n_features, np.int32), held, np.int32, True)
            self.entries[entries].ends = <Py_ssize_t*>address(np.empty(n_features, np.intp), held, np.intp, True)
            self.entries[entries].lags = <double*>address(np.empty((n_features, 4)), held, np.float64, True)
            self.entries[entries].since = <int*>address(np.empty(n_features, np.int32), held, np.int32, True)
            self.entries[entries].rows = <int*>address(np.empty(n_entries, np.int32), held, np.int32, True)
            self.entries[entries].values = <double*>address(np.empty(n_entries), held, np.float64, True)
        self.buffers["entries"] = held

    cdef reserve_history(self, Py_ssize_t n_windows, Py_ssize_t n_units):
        """Begin a history of so many windows, or of as many as there may be, with numbers for so many units."""
        most = MOST_WINDOWS if n_units == 0 else max(1, UNIT_NUMBERS // (n_units * LENGTH)) * LENGTH
        self.n_history, n_chunks = min(n_windows, most), min(n_windows, most) // LENGTH + 1
        held = []
        self.history.current = <double*>address(np.empty((LENGTH, 4)), held, np.float64, True)
        self.history.to_end = <double*>address(np.empty((n_chunks, LENGTH, 4)), held, np.float64, True)
        self.history.far = <double*>address(np.empty((n_chunks, 4)), held, np.float64, True)
        self.history.n_units = n_units
        self.history.current_units = <double*>address(np.empty((LENGTH, n_units)), held, np.float64, True)
        self.history.to_end_units = <double*>address(np.empty((n_chunks, LENGTH, n_units)), held, np.float64, True)
        self.history.far_units = <double*>address(np.empty((n_chunks, n_units)), held, np.float64, True)
        self.buffers["history"] = held
        begin(&self.history)


# ----------------------------------------------------------------------------------------------------------------------
# the entries of a window


cdef void sort_entries(const real* values, SparseNetwork network, Workspace workspace, const Py_ssize_t* rows,
                       Py_ssize_t n_rows, Entries* entries) noexcept nogil:
    """Order the entries of some rows by features, which come in the order in which they are met."""
    cdef Py_ssize_t* place = &workspace.place[0]
    cdef const int* indices = network.indices
    cdef Py_ssize_t i, e, n, count, total = 0, n_features = 0
    for i in range(n_rows):
        for e in range(network.indptr[rows[i]], network.indptr[rows[i] + 1]):
            if place[indices[e]] < 0:
                place[indices[e]] = n_features
                entries.slots[n_features] = indices[e]
                entries.ends[n_features] = 0
                n_features += 1
            entries.ends[place[indices[e]]] += 1
    for n in range(n_features):     # for now: where they begin
        count = entries.ends[n]
        entries.ends[n] = total
        total += count
    for i in range(n_rows):
        for e in range(network.indptr[rows[i]], network.indptr[rows[i] + 1]):
            n = place[indices[e]]
            entries.rows[entries.ends[n]] = <int>i
            entries.values[entries.ends[n]] = values[e]
            entries.ends[n] += 1
    for n in range(n_features):
        place[entries.slots[n]] = -1
    entries.n_features, entries.n_entries = n_features, total


cdef void fill_gram(const Entries* entries, Py_ssize_t n_rows, real* gram) noexcept nogil:
    """The products of the rows of a window with each other."""
    cdef Py_ssize_t i, j, n, e, first = 0
    cdef real* row
    for i in range(n_rows * n_rows):
        gram[i] = 0
    for n in range(entries.n_features):
        for e in range(first, entries.ends[n]):
            row = gram + entries.rows[e] * n_rows
            for j in range(first, e + 1):
                row[entries.rows[j]] += <real>(entries.values[e] * entries.values[j])
        first = entries.ends[n]
    for i in range(n_rows):
        for j in range(i):
            gram[j * n_rows + i] = gram[i * n_rows + j]


cdef void find_lags(Entries* entries, const History* history, const int* stamps) noexcept nogil:
    """Note what catches up each feature."""
    cdef Py_ssize_t n
    for n in range(entries.n_features):
        entries.since[n] = stamps[entries.slots[n]]
        catch_up(history, entries.since[n], entries.lags + 4 * n)


cdef void stamp(const Entries* entries, Py_ssize_t n_windows, int* stamps) noexcept nogil:
    """Note that features are up to date after so many windows."""
    cdef Py_ssize_t n
    for n in range(entries.n_features):
        stamps[entries.slots[n]] = <int>n_windows


cdef inline const real* lagging_units(SparseNetwork network, const Entries* entries, Py_ssize_t n, real* out, Py_ssize_t first,
                                      Py_ssize_t last) noexcept nogil:
    """What catches up a feature in each unit, if units differ: some units of ``out``, from the first one on."""
    if network.history.n_units == 0:
        return <const real*>NULL
    catch_up_units(&network.history, entries.since[n], out, first, last)
    return out + first


# ----------------------------------------------------------------------------------------------------------------------
# the table


cdef cloned project(real* table, SparseNetwork network, const Entries* entries, bint decays, real* start, real* start_velocity,
                  Py_ssize_t n_rows, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Pre-activations of a window's rows, and the same of the velocity unless that is NULL, of some units."""
    cdef Py_ssize_t h = network.widths[0], width = network.width, size = last - first, i, n, e, begun = 0
    cdef Py_ssize_t stride = network.n_copies * width
    cdef real* caught = <real*>network.caught + first
    cdef const real* W
    cdef const real* M = NULL
    cdef const real* now
    cdef const real* units
    for i in range(n_rows):
        for n in range(first, last):
            start[i * h + n] = 0
            if start_velocity != NULL:
                start_velocity[i * h + n] = 0
    for n in range(entries.n_features):
        if n + AHEAD < entries.n_features:
            fetch(table + entries.slots[n + AHEAD] * stride, width, network.n_copies if decays else 1, first, last)
        W = now = table + entries.slots[n] * stride + first
        if network.base_velocity != NULL:
            M = W + width
        if decays:
            units = lagging_units(network, entries, n, <real*>network.lagging, first, last)
            mix_weights(W, M, entries.lags + 4 * n, units, caught, size)
            now = caught
        for e in range(begun, entries.ends[n]):
            add(start + entries.rows[e] * h + first, <real>entries.values[e], now, size)
        if start_velocity != NULL:
            mix_velocity(W, M, entries.lags + 4 * n, caught, size)
            for e in range(begun, entries.ends[n]):
                add(start_velocity + entries.rows[e] * h + first, <real>entries.values[e], caught, size)
        begun = entries.ends[n]


cdef cloned flush(real* table, SparseNetwork network, const Entries* entries, bint decays, const real* D, Py_ssize_t n_rows,
                Py_ssize_t batch_size, const double* r, const double* r_units, const double* a, const real* a_units,
                const double* m, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """The steps of a window, of which n_rows were taken, on some units of its features.

    Where units differ, the window is a single step, with r01 and a of each unit.
    """
    cdef Py_ssize_t h = network.widths[0], width = network.width, size = last - first, n, s, j, end, begun = 0
    cdef Py_ssize_t stride = network.n_copies * width
    cdef real* sums = <real*>network.caught + first
    cdef real* lagging = <real*>network.lagging
    cdef const real* units = NULL
    cdef real* M = NULL
    cdef real* W
    cdef double x
    cdef double p[4]
    set_identity(p)
    for n in range(entries.n_features):
        if n + AHEAD < entries.n_features:
            fetch(table + entries.slots[n + AHEAD] * stride, width, network.n_copies, first, last)
        W = table + entries.slots[n] * stride + first
        if network.base_velocity != NULL:
            M = W + width
        if decays:
            units = lagging_units(network, entries, n, lagging, first, last)
            if units != NULL:
                for j in range(first, last):
                    lagging[j] = <real>(r[0] * lagging[j] + r_units[j] * entries.lags[4 * n + 3])
            multiply(r, entries.lags + 4 * n, p)
        end = entries.ends[n]
        while end > begun and entries.rows[end - 1] >= n_rows:
            end -= 1
        if end == begun:
            mix(W, M, p, units, size)
        elif a_units != NULL:
            sum_rows(entries, begun, end, D + first, h, <const double*>NULL, batch_size, sums, size)
            for j in range(size):
                sums[width + j] = a_units[first + j] * sums[j]
            mix_and_add(W, M, p, units, sums + width, 1, sums, m[0], size)
        elif end == begun + 1:
            x, s = entries.values[begun], entries.rows[begun] // batch_size
            mix_and_add(W, M, p, units, D + entries.rows[begun] * h + first, x * a[s], D + entries.rows[begun] * h + first,
                        x * m[s], size)
        elif n_rows <= batch_size:  # one step: both sums are multiples of the same
            sum_rows(entries, begun, end, D + first, h, <const double*>NULL, batch_size, sums, size)
            mix_and_add(W, M, p, units, sums, a[0], sums, m[0], size)
        else:
            sum_rows(entries, begun, end, D + first, h, a, batch_size, sums, size)
            if M != NULL:
                sum_rows(entries, begun, end, D + first, h, m, batch_size, sums + width, size)
            mix_and_add(W, M, p, units, sums, 1, sums + width, 1, size)
        begun = entries.ends[n]


cdef cloned catch_up_slots(real* table, SparseNetwork network, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Bring some units of all slots up to date."""
    cdef Py_ssize_t slot, width = network.width
    cdef real* lagging = <real*>network.lagging
    cdef const real* units = NULL
    cdef real* W
    cdef double p[4]
    for slot in range(network.n_base):
        if network.stamps[slot] < network.history.n_windows:
            catch_up(&network.history, network.stamps[slot], p)
            if network.history.n_units > 0:
                catch_up_units(&network.history, network.stamps[slot], lagging, first, last)
                units = lagging + first
            W = table + slot * network.n_copies * width + first
            mix(W, NULL if network.base_velocity == NULL else W + width, p, units, last - first)


# ----------------------------------------------------------------------------------------------------------------------
# epochs


cdef inline int parts_of(Py_ssize_t h, Py_ssize_t n_entries, int n_threads, size_t itemsize, Py_ssize_t* share) noexcept nogil:
    """Share out the hidden units in whole cache lines. Returns how many threads take part; ``share`` is the units of each."""
    cdef Py_ssize_t line = CACHE_LINE // itemsize
    cdef int n_parts = n_threads if n_entries * h >= THREADED_WORK else 1
    share[0] = ((h + n_parts - 1) // n_parts + line - 1) // line * line
    return n_parts


cdef void prepare(const real* values, SparseNetwork network, Workspace workspace, const Py_ssize_t* rows, Py_ssize_t n_rows,
                  Entries* entries) noexcept nogil:
    """`sort_entries`, unless no rows are left."""
    if n_rows > 0:
        sort_entries(values, network, workspace, rows, n_rows, entries)


cdef void catch_up_all(real* table, SparseNetwork network, int n_threads) noexcept nogil:
    """Bring all slots up to date, and begin a new history."""
    cdef Py_ssize_t h = network.widths[0], slot, part, share
    cdef int n_parts = parts_of(h, network.n_base, n_threads, sizeof(real), &share)
    for part in prange(n_parts, schedule="static", num_threads=n_parts):
        catch_up_slots(table, network, min(part * share, h), min((part + 1) * share, h))
    for slot in range(network.n_base):
        network.stamps[slot] = 0
    begin(&network.history)


cdef void note_window(real* table, SparseNetwork network, const Entries* entries, const double* r, const double* r_units,
                      int n_threads) noexcept nogil:
    """Note a window whose features are up to date. If the history is full, bring all features up to date."""
    stamp(entries, network.history.n_windows + 1, network.stamps)
    add_window(&network.history, r, r_units)
    if network.history.n_windows == network.n_history:
        catch_up_all(table, network, n_threads)


cdef Py_ssize_t run_epoch(real* table, SparseNetwork network, Targets targets, Sgd sgd, Workspace workspace,
                          const Py_ssize_t* rows, Py_ssize_t n_rows, const double* rates, bint first, double* losses,
                          int n_threads) noexcept nogil:
    """An epoch, window by window. Returns the number of steps done."""
    cdef Py_ssize_t h = network.widths[0], batch_size = workspace.batch_size
    cdef Py_ssize_t position = 0, step = 0, now = 0, K, next_K, n_steps, part, share
    cdef Py_ssize_t taken[1]    # not a plain number, which each thread would have of its own
    cdef const real* values = <const real*>network.values
    cdef real* start = <real*>workspace.parts[START]
    cdef real* start_velocity
    cdef bint decays = network.base_velocity != NULL or sgd.weight_decay[0, 0] != 0
    cdef Entries* entries
    cdef double* a = &workspace.factors[0]
    cdef double* m
    cdef double r[4]
    cdef double c
    cdef int n_parts
    K = min(workspace.window, n_rows)
    prepare(values, network, workspace, rows, K, &network.entries[0])
    while position < n_rows:
        entries = &network.entries[now]
        n_steps = (K + batch_size - 1) // batch_size
        m = a + n_steps
        n_parts = parts_of(h, entries.n_entries, n_threads, sizeof(real), &share)
        if decays:
            find_lags(entries, &network.history, network.stamps)
        start_velocity = <real*>workspace.parts[START_VELOCITY] if network.base_velocity != NULL and n_steps > 1 else NULL
        for part in prange(n_parts, schedule="static", num_threads=n_parts):
            project(table, network, entries, decays, start, start_velocity, K, min(part * share, h), min((part + 1) * share, h))
        if n_steps > 1 or sgd.max_norm > 0:
            fill_gram(entries, K, <real*>workspace.parts[GRAM])
        next_K = min(workspace.window, n_rows - position - K)
        for part in prange(2, schedule="static", num_threads=min(n_parts, 2)):
            if part == 0:
                taken[0] = run_window(start, network, targets, sgd, workspace, rows + position, K, rates + step, first,
                                      losses + step, r, a, m, n_threads)
            else:
                prepare(values, network, workspace, rows + position + K, next_K, &network.entries[1 - now])
        first = False
        if taken[0] < n_steps:
            K = taken[0] * batch_size
        c = network.scale[0]
        network.scale[0] = r[0] * c + r[1] * network.scale[1]
        network.scale[1] = r[2] * c + r[3] * network.scale[1]
        for part in prange(n_parts, schedule="static", num_threads=n_parts):
            flush(table, network, entries, decays, <const real*>workspace.parts[FRONT_DELTA], K, batch_size, r,
                  <const double*>NULL, a, <const real*>NULL, m, min(part * share, h), min((part + 1) * share, h))
        step += taken[0]
        if decays:
            note_window(table, network, entries, r, <const double*>NULL, n_threads)
        if taken[0] < n_steps:
            break
        position += K
        K = next_K
        now = 1 - now
    if decays and network.goes_on:
        network.lags = True
    elif decays:
        catch_up_all(table, network, n_threads)
    return step


cdef Py_ssize_t largest_window(SparseNetwork network, Py_ssize_t window, const Py_ssize_t* rows,
                               Py_ssize_t n_rows) noexcept nogil:
    """Most entries of a window of an epoch."""
    cdef Py_ssize_t i, entries = 0, most = 0
    for i in range(n_rows):
        if i % window == 0:
            entries = 0
        entries += network.indptr[rows[i] + 1] - network.indptr[rows[i]]
        most = max(most, entries)
    return most


def sgd_epochs(SparseNetwork network not None,  # IN and OUT
               Targets targets not None,
               Sgd sgd not None,
               Workspace workspace not None,    # of at least as many rows
               const Py_ssize_t[:, ::1] rows,   # IN, of each epoch the samples in the order they are taken
               const double[:, ::1] rates,      # IN, of each epoch one per step
               double[:, ::1] losses,           # OUT, of each epoch one per step
               bint first,                      # whether velocities start with the first gradient
               int n_threads):
    """Epochs of SGD. Returns the number of steps done: all, or those before the first loss that is not finite."""
    cdef Py_ssize_t epoch, done = 0, in_epoch, n_rows = rows.shape[1], most = 0
    check_targets(targets, network.is_double, network.widths[network.n_layers])
    for epoch in range(rows.shape[0]):
        most = max(most, largest_window(network, workspace.window, &rows[epoch, 0], n_rows))
    network.reserve_entries(most)
    if not network.lags:
        network.reserve_history(MOST_WINDOWS if network.goes_on else n_rows // workspace.window + 2, 0)
    with nogil:
        for epoch in range(rows.shape[0]):
            if network.is_double:
                in_epoch = run_epoch(<double*>network.base, network, targets, sgd, workspace, &rows[epoch, 0], n_rows,
                                     &rates[epoch, 0], first and done == 0, &losses[epoch, 0], n_threads)
            else:
                in_epoch = run_epoch(<float*>network.base, network, targets, sgd, workspace, &rows[epoch, 0], n_rows,
                                     &rates[epoch, 0], first and done == 0, &losses[epoch, 0], n_threads)
            done += in_epoch
            if in_epoch < rates.shape[1]:
                break
    return done


# ----------------------------------------------------------------------------------------------------------------------
# single steps that Python drives


cdef void project_rows(real* out, SparseNetwork network, Workspace workspace, const Py_ssize_t* rows, Py_ssize_t n_rows,
                       int n_threads) noexcept nogil:
    """Pre-activations of some rows."""
    cdef Py_ssize_t h = network.widths[0], part, share
    cdef Entries* entries = &network.entries[0]
    cdef real* table = <real*>network.base
    cdef int n_parts
    sort_entries(<const real*>network.values, network, workspace, rows, n_rows, entries)
    if network.lags:
        find_lags(entries, &network.history, network.stamps)
    n_parts = parts_of(h, entries.n_entries, n_threads, sizeof(real), &share)
    for part in prange(n_parts, schedule="static", num_threads=n_parts):
        project(table, network, entries, network.lags, out, <real*>NULL, n_rows, min(part * share, h),
                min((part + 1) * share, h))


def project_batch(SparseNetwork network not None,
                  Workspace workspace not None,
                  const Py_ssize_t[::1] rows,       # IN
                  real[:, ::1] out,                 # OUT, pre-activations without biases
                  int n_threads):
    """Pre-activations of a batch, whose entries are kept for the functions below."""
    network.reserve_entries(largest_window(network, rows.shape[0], &rows[0], rows.shape[0]))
    with nogil:
        project_rows(&out[0, 0], network, workspace, &rows[0], rows.shape[0], n_threads)


def batch_gram(SparseNetwork network not None,
               real[:, ::1] out):                   # OUT
    """Products of the rows of the last batch with each other."""
    with nogil:
        fill_gram(&network.entries[0], out.shape[0], &out[0, 0])


cdef void step_on_rows(const real* D, SparseNetwork network, Py_ssize_t n_rows, const double* r, const double* r_units,
                       const double* a, const real* a_units, double m, bint decays, int n_threads) noexcept nogil:
    """A step on the features of the last rows, which the others lag behind from now on if weights decay."""
    cdef Py_ssize_t h = network.widths[0], part, share
    cdef Entries* entries = &network.entries[0]
    cdef real* table = <real*>network.base
    cdef double c = network.scale[0]
    cdef int n_parts = parts_of(h, entries.n_entries, n_threads, sizeof(real), &share)
    if decays and not network.lags:     # no feature lags behind so far
        find_lags(entries, &network.history, network.stamps)
        network.lags = True
    for part in prange(n_parts, schedule="static", num_threads=n_parts):
        flush(table, network, entries, decays, D, n_rows, n_rows, r, r_units, a, a_units, &m, min(part * share, h),
              min((part + 1) * share, h))
    network.scale[0] = r[0] * c + r[1] * network.scale[1]
    network.scale[1] = r[2] * c + r[3] * network.scale[1]
    if decays:
        note_window(table, network, entries, r, r_units, n_threads)


def take_step(SparseNetwork network not None,       # IN and OUT
              const real[:, ::1] D,                 # IN, deltas of the batch's pre-activations
              const double[::1] r,                  # IN, (4,): what the step makes of (W, M) without a gradient
              const double[::1] r_units,            # IN, r01 of each unit, if they differ; then r01 and r10 are 0
              const double[::1] a,                  # IN, what it adds to W times a gradient: a number, or one for each unit
              double m,                             # what it adds to M
              Py_ssize_t n_steps,                   # of which this is one, before `settle`
              int n_threads):
    """A linear step on the weights of the last batch's features; the others are caught up when they occur, or by `settle`."""
    cdef Py_ssize_t h = network.widths[0], j, n_units = r_units.shape[0] if network.n_copies == 2 else 0
    cdef bint decays = network.n_copies == 2 or r[0] != 1 or network.lags
    cdef const double* moved = NULL
    cdef real* a_units = NULL
    if decays and not network.lags:
        network.reserve_history(n_steps + 1, n_units)
    elif decays and network.history.n_units != n_units:
        raise ValueError("steps that treat units alike and steps that do not need a `settle` in between")
    if a.shape[0] > 1:
        a_units = <real*>network.by_unit
        for j in range(h):
            a_units[j] = <real>a[j]
    if n_units > 0:
        moved = &r_units[0]
    with nogil:
        step_on_rows(&D[0, 0], network, D.shape[0], &r[0], moved, &a[0], a_units, m, decays, n_threads)


def settle(SparseNetwork network not None, int n_threads):
    """Bring the weights of all features up to date after single steps, or after the last block of an epoch."""
    network.goes_on = False
    if not network.lags:
        return
    network.lags = False
    with nogil:
        if network.is_double:
            catch_up_all(<double*>network.base, network, n_threads)
        else:
            catch_up_all(<float*>network.base, network, n_threads)


# ----------------------------------------------------------------------------------------------------------------------
# single steps of optimisers under which weights without a gradient rest; M is a second moment v there


cdef cloned descend_some(real* table, SparseNetwork network, const real* D, double rate, double fresh, double eps,
                       Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """A step on some units of a batch's features, each of which keeps the share of v that its lag says."""
    cdef const Entries* entries = &network.entries[0]
    cdef Py_ssize_t h = network.widths[0], width = network.width, stride = 2 * width, size = last - first, n, j, begun = 0
    cdef real* g = <real*>network.caught + first
    cdef real* W
    cdef real* v
    cdef real kept, new = <real>fresh, step = <real>rate, small = <real>eps
    for n in range(entries.n_features):
        if n + AHEAD < entries.n_features:
            fetch(table + entries.slots[n + AHEAD] * stride, width, 2, first, last)
        W = table + entries.slots[n] * stride + first
        v = W + width
        kept = <real>entries.lags[4 * n]
        sum_rows(entries, begun, entries.ends[n], D + first, h, <const double*>NULL, 1, g, size)
        for j in range(size):
            v[j] = settled(kept * v[j] + new * g[j] * g[j])
            W[j] -= step * g[j] / (root(v[j]) + small)
        begun = entries.ends[n]


def descend_by_root(SparseNetwork network not None,     # IN and OUT
                    const real[:, ::1] D,               # IN, deltas of the batch's pre-activations
                    double rate,
                    double keep,
                    double fresh,
                    double eps,
                    Py_ssize_t step,                    # steps taken before, since `catch_up_moments`
                    int n_threads):
    """A step of `root_step` on the weights of the last batch's features, whose v has decayed since they occurred last."""
    cdef Py_ssize_t h = network.widths[0], n, part, share
    cdef Entries* entries = &network.entries[0]
    cdef real* table = <real*>network.base
    cdef int n_parts = parts_of(h, entries.n_entries, n_threads, sizeof(real), &share)
    for n in range(entries.n_features):
        entries.lags[4 * n] = keep ** (step + 1 - network.stamps[entries.slots[n]])
        network.stamps[entries.slots[n]] = <int>(step + 1)
    for part in prange(n_parts, schedule="static", num_threads=n_parts, nogil=True):
        descend_some(table, network, &D[0, 0], rate, fresh, eps, min(part * share, h), min((part + 1) * share, h))


def catch_up_moments(SparseNetwork network not None,    # IN and OUT
                     double keep,
                     Py_ssize_t step):
    """Bring v of all features up to date after so many steps."""
    cdef Py_ssize_t slot, j, h = network.widths[0], width = network.width
    cdef double factor
    for slot in range(network.n_base):
        factor = keep ** (step - network.stamps[slot])
        network.stamps[slot] = 0
        for j in range(h):
            if network.is_double:
                (<double*>network.base)[(2 * slot + 1) * width + j] *= factor
            else:
                (<float*>network.base)[(2 * slot + 1) * width + j] *= <float>factor
