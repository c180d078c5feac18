"""Losses of one output as scalar functions, one for each formula, with their derivatives; targets are numbers."""

from libc.math cimport exp, fabs, log, log1p

cdef enum Kind:
    SQUARED_ERROR = 0
    CROSS_ENTROPY = 1   # of all outputs together: the target is a class
    LOGISTIC = 2
    POISSON = 3
    HUBER = 4
    QUANTILE = 5


cdef struct Point:
    double loss
    double slope    # derivative with respect to the output


cdef inline Point squared_error(double output, double target) noexcept nogil:
    """Half the squared error."""
    cdef Point point
    point.slope = output - target
    point.loss = point.slope * point.slope / 2
    return point


cdef inline Point logistic(double output, double target, double smoothing) noexcept nogil:
    """Minus the log-likelihood of a label whose log-odds are the output; a share of the target is spread over 0 and 1."""
    cdef Point point
    cdef double tail = exp(-fabs(output))       # it does not overflow
    target = (1 - smoothing) * target + smoothing / 2
    point.loss = (output if output > 0 else 0) - output * target + log1p(tail)
    point.slope = (1 if output >= 0 else tail) / (1 + tail) - target
    return point


cdef inline Point poisson(double output, double target) noexcept nogil:
    """Half the deviance of a count whose log-rate is the output."""
    cdef Point point
    cdef double rate = exp(output)
    point.slope = rate - target
    point.loss = point.slope
    if target > 0:
        point.loss -= target * (output - log(target))
    return point


cdef inline Point huber(double output, double target, double delta) noexcept nogil:
    """Half the squared error up to delta, and linear beyond."""
    cdef Point point
    cdef double error = output - target, size = fabs(error)
    if size <= delta:
        point.loss = error * error / 2
        point.slope = error
    else:
        point.loss = delta * (size - delta / 2)
        point.slope = delta if error > 0 else -delta if error < 0 else error    # NaN stays
    return point


cdef inline Point quantile(double output, double target, double level) noexcept nogil:
    """The pinball loss; its slope is 0 where it has a kink, so that outputs that are right stay."""
    cdef Point point
    cdef double lack = target - output
    point.loss = (level if lack > 0 else level - 1) * lack
    point.slope = -level if lack > 0 else 1 - level if lack < 0 else lack        # 0, or NaN
    return point


cdef inline Point loss_at(int kind, double output, double target, double parameter) noexcept nogil:
    if kind == LOGISTIC:
        return logistic(output, target, parameter)
    if kind == POISSON:
        return poisson(output, target)
    if kind == HUBER:
        return huber(output, target, parameter)
    if kind == QUANTILE:
        return quantile(output, target, parameter)
    return squared_error(output, target)
