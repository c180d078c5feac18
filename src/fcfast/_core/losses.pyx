"""Losses of a batch, with their gradients with respect to the outputs.

Design
------
* A loss of numbers is a sum over the outputs of a scalar function (`lossfn.pxd`), and of a batch the weighted mean over the
  samples. The formula of each is there once; the loops here only call it.
* Targets that are NaN are left out: the mean of each output is then over the samples that have a target for it. Such targets
  are looked for once, when `Targets` are made, and have a loop of their own, so that others pay nothing for them.
* The settings of a loss are an array of numbers that repeats over the outputs: a share of smoothing, a bound between squares
  and lines, a level for each of several quantiles.
"""

from libc.math cimport exp, log

from fcfast._core.buffers cimport address
from fcfast._core.lossfn cimport CROSS_ENTROPY, SQUARED_ERROR, Point, loss_at
from fcfast._core.types cimport real

import numpy as np

cdef enum:
    KEPT_CLASSES = 64   # exponentials of a sample that are kept; of more classes they are computed twice
    KEPT_OUTPUTS = 64   # outputs whose samples are counted together


cdef class Targets:
    """What the outputs are compared with, and how: values (N, c), NaN where one is missing, or labels (N,).

    One of the two is None. ``kind`` is the code of the loss, and its ``parameters`` (1,) or more repeat over the outputs.
    """

    def __init__(self, values, labels, sample_weight, int kind, parameters):
        self.held, self.kind = [], kind
        if (labels is None) == (kind == CROSS_ENTROPY) or (values is None) == (labels is None) or not len(parameters):
            raise ValueError(f"loss {kind} needs values or labels, and parameters")
        self.values = address(values, self.held, None if values is None else values.dtype, False)
        self.labels = <const Py_ssize_t*>address(labels, self.held, np.intp, False)
        self.sample_weight = <const double*>address(sample_weight, self.held, np.float64, False)
        self.parameters = <const double*>address(parameters, self.held, np.float64, False)
        self.n_parameters = len(parameters)
        if values is not None:
            self.is_double, self.n_columns = values.dtype == np.float64, values.shape[1]
            self.has_gaps = np.isnan(values).any()


cdef check_targets(Targets targets, bint is_double, Py_ssize_t n_outputs):
    """Raise a ValueError if the targets are no numbers like the outputs."""
    if targets.labels == NULL and (targets.is_double != is_double or targets.n_columns != n_outputs):
        raise ValueError(f"expected targets of {n_outputs} outputs in their precision, got {targets.n_columns}")


cdef double half_squared_error_rows(const real* outputs, const real* targets, const Py_ssize_t* rows,
                                    const double* sample_weight, Py_ssize_t n_rows, Py_ssize_t n_out,
                                    real* delta) noexcept nogil:
    cdef Py_ssize_t i, k, row
    cdef double total = 0, error, share
    cdef double mass = total_weight(sample_weight, rows, n_rows)
    for i in range(n_rows):
        row = rows[i]
        share = (1 if sample_weight == NULL else sample_weight[row]) / mass
        for k in range(n_out):
            error = <double>outputs[i * n_out + k] - targets[row * n_out + k]
            total += error * error * share
            delta[i * n_out + k] = <real>(error * share)
    return total / 2


cdef double softmax_cross_entropy_rows(const real* outputs, const Py_ssize_t* labels, const Py_ssize_t* rows,
                                       const double* sample_weight, double smoothing, Py_ssize_t n_rows,
                                       Py_ssize_t n_out, real* delta) noexcept nogil:
    """The target probabilities are 1 - smoothing for the label, and smoothing / n_out more for every class."""
    cdef Py_ssize_t i, k, row
    cdef double total = 0, largest, normaliser, share, exponential, expected, mean
    cdef double kept[KEPT_CLASSES]
    cdef double mass = total_weight(sample_weight, rows, n_rows)
    cdef const real* output = outputs
    for i in range(n_rows):
        row = rows[i]
        share = (1 if sample_weight == NULL else sample_weight[row]) / mass
        largest = output[0]
        for k in range(1, n_out):
            largest = max(largest, <double>output[k])
        normaliser = 0
        for k in range(n_out):
            exponential = exp(output[k] - largest)
            normaliser += exponential
            if k < KEPT_CLASSES:
                kept[k] = exponential
        expected = output[labels[row]] - largest
        if smoothing > 0:
            mean = 0
            for k in range(n_out):
                mean += (output[k] - largest) / n_out
            expected += smoothing * (mean - expected)
        total += share * (log(normaliser) - expected)
        for k in range(n_out):
            exponential = kept[k] if k < KEPT_CLASSES else exp(output[k] - largest)
            delta[k] = <real>(share * exponential / normaliser - share * smoothing / n_out)
        delta[labels[row]] -= <real>(share * (1 - smoothing))
        output += n_out
        delta += n_out
    return total


cdef double numbers_rows(const real* outputs, Targets targets, const Py_ssize_t* rows, Py_ssize_t n_rows, Py_ssize_t n_out,
                         real* delta) noexcept nogil:
    """Any loss of numbers."""
    cdef const real* values = <const real*>targets.values
    cdef const double* sample_weight = targets.sample_weight
    cdef Py_ssize_t i, k, row
    cdef double total = 0, share
    cdef double mass = total_weight(sample_weight, rows, n_rows)
    cdef Point point
    for i in range(n_rows):
        row = rows[i]
        share = (1 if sample_weight == NULL else sample_weight[row]) / mass
        for k in range(n_out):
            point = loss_at(targets.kind, outputs[i * n_out + k], values[row * n_out + k],
                            targets.parameters[k % targets.n_parameters])
            total += share * point.loss
            delta[i * n_out + k] = <real>(share * point.slope)
    return total


cdef double numbers_with_gaps(const real* outputs, Targets targets, const Py_ssize_t* rows, Py_ssize_t n_rows,
                              Py_ssize_t n_out, real* delta) noexcept nogil:
    """Any loss of numbers, where targets that are missing are NaN: the mean of each output is over those that are there."""
    cdef const real* values = <const real*>targets.values
    cdef const double* sample_weight = targets.sample_weight
    cdef Py_ssize_t i, k, row, first = 0, last
    cdef double total = 0, weight, share, target
    cdef double masses[KEPT_OUTPUTS]
    cdef Point point
    while first < n_out:
        last = min(first + KEPT_OUTPUTS, n_out)
        for k in range(first, last):
            masses[k - first] = 0
        for i in range(n_rows):
            row = rows[i]
            weight = 1 if sample_weight == NULL else sample_weight[row]
            for k in range(first, last):
                target = values[row * n_out + k]
                if target == target:
                    masses[k - first] += weight
        for i in range(n_rows):
            row = rows[i]
            weight = 1 if sample_weight == NULL else sample_weight[row]
            for k in range(first, last):
                target = values[row * n_out + k]
                delta[i * n_out + k] = 0
                if target == target and masses[k - first] > 0:
                    share = weight / masses[k - first]
                    point = loss_at(targets.kind, outputs[i * n_out + k], target,
                                    targets.parameters[k % targets.n_parameters])
                    total += share * point.loss
                    delta[i * n_out + k] = <real>(share * point.slope)
        first = last
    return total


cdef double batch_loss(const real* outputs, Targets targets, const Py_ssize_t* rows, Py_ssize_t n_rows, Py_ssize_t n_out,
                       real* delta) noexcept nogil:
    """Loss of a batch; `rows` says which targets and weights belong to it."""
    if targets.kind == CROSS_ENTROPY:
        return softmax_cross_entropy_rows(outputs, targets.labels, rows, targets.sample_weight, targets.parameters[0], n_rows,
                                          n_out, delta)
    if targets.has_gaps:
        return numbers_with_gaps(outputs, targets, rows, n_rows, n_out, delta)
    if targets.kind == SQUARED_ERROR:
        return half_squared_error_rows(outputs, <const real*>targets.values, rows, targets.sample_weight, n_rows, n_out, delta)
    return numbers_rows(outputs, targets, rows, n_rows, n_out, delta)


cdef inline double total_weight(const double* sample_weight, const Py_ssize_t* rows, Py_ssize_t n_rows) noexcept nogil:
    """What a batch's weights sum to; 1 where they are all 0, so that such a batch has no gradient instead of NaN."""
    cdef Py_ssize_t i
    cdef double total = 0
    if sample_weight == NULL:
        return n_rows
    for i in range(n_rows):
        total += sample_weight[rows[i]]
    return total if total > 0 else 1


def loss_of_rows(Targets targets not None,
                 const real[:, ::1] outputs,        # IN (B, c)
                 const Py_ssize_t[::1] rows,        # IN (B,), the samples of the batch
                 real[:, ::1] delta):               # OUT (B, c)
    """Loss of a batch; ``delta`` receives its gradient with respect to the outputs."""
    check_targets(targets, real is double, outputs.shape[1])
    return batch_loss(&outputs[0, 0], targets, &rows[0], outputs.shape[0], outputs.shape[1], &delta[0, 0])
