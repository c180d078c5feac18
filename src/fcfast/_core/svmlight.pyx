"""Lines of svmlight text as CSR. scikit-learn reads what is unusual, and finds out what is wrong.

Design
------
* One pass counts lines and features, so that the arrays have their size from the start; another one fills them.
* A number with at most 2^53 as its digits and a power of ten up to 22 is exact in double precision up to one division or product,
  which is rounded correctly (Clinger 1990). Python's own conversion takes all others.
"""

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr

import numpy as np

cdef extern from "Python.h":
    double PyOS_string_to_double(const char*, char**, PyObject*) except? -1.0

cdef enum:
    LARGEST_POWER = 22      # of ten that is exact

cdef uint64_t MOST = 1000000000000000000ULL     # digits up to here leave room for one more
cdef uint64_t EXACT = 1ULL << 53
cdef double[23] POWERS

cdef int _power
POWERS[0] = 1
for _power in range(LARGEST_POWER):
    POWERS[_power + 1] = 10 * POWERS[_power]


cdef inline bint is_digit(char c) noexcept:
    return c"0" <= c <= c"9"


cdef inline const char* blanks_skipped(const char* s) noexcept:
    """The next character that is no blank; every line ends with a line feed."""
    while s[0] == c" " or s[0] == c"\t" or s[0] == c"\r":
        s += 1
    return s


cdef const char* number(const char* s, double* out) except? NULL:
    """Read a plain decimal number. Returns where it ends, or where it began if it is none."""
    cdef const char* begin = s
    cdef char* stop = NULL
    cdef bint negative = s[0] == c"-", exact = True, some = False, less
    cdef uint64_t digits = 0
    cdef int power = 0, given = 0
    if s[0] == c"-" or s[0] == c"+":
        s += 1
    while is_digit(s[0]):
        exact = exact and digits < MOST
        digits = 10 * digits + <uint64_t>(s[0] - c"0")
        some = True
        s += 1
    if s[0] == c".":
        s += 1
        while is_digit(s[0]):
            exact = exact and digits < MOST
            digits = 10 * digits + <uint64_t>(s[0] - c"0")
            power -= 1
            some = True
            s += 1
    if not some:
        return begin
    if s[0] == c"e" or s[0] == c"E":
        s += 1
        less = s[0] == c"-"
        if s[0] == c"-" or s[0] == c"+":
            s += 1
        if not is_digit(s[0]):
            return begin
        while is_digit(s[0]):
            given = min(10 * given + (s[0] - c"0"), 100000)
            s += 1
        power += -given if less else given
    if not (exact and digits <= EXACT and -LARGEST_POWER <= power <= LARGEST_POWER):
        out[0] = PyOS_string_to_double(begin, &stop, NULL)
        return s if stop == s else begin
    out[0] = digits / POWERS[-power] if power < 0 else digits * POWERS[power]
    if negative:
        out[0] = -out[0]
    return s


def parse(bytes text):
    """Read lines "target feature:value ...", the last of which ends with a line feed.

    Returns targets (n,), and indptr (n + 1,), indices and values of a CSR matrix; None if a line is not of this kind.
    """
    cdef const char* begin = text
    cdef const char* end = begin + len(text)
    cdef const char* s = begin
    cdef const char* after
    cdef Py_ssize_t n_lines = 0, n_features = 0, row = 0, entry = 0
    cdef int64_t index, last
    while s < end:
        s = <const char*>memchr(s, c"\n", end - s)
        if s == NULL:
            return None
        n_lines += 1
        s += 1
    s = begin
    while s < end:
        s = <const char*>memchr(s, c":", end - s)
        if s == NULL:
            break
        n_features += 1
        s += 1
    y, indptr = np.empty(n_lines), np.zeros(n_lines + 1, np.int64)
    indices, values = np.empty(n_features, np.int64), np.empty(n_features)
    cdef double[::1] targets = y, numbers = values
    cdef int64_t[::1] ends = indptr, features = indices
    s = begin
    while s < end:
        s = blanks_skipped(s)
        if s[0] == c"\n":
            s += 1
            continue
        after = number(s, &targets[row])
        if after == s:
            return None
        s, last = after, -1
        while True:
            after = blanks_skipped(s)
            if after[0] == c"\n":
                break
            if after == s or not is_digit(after[0]):
                return None
            s, index = after, 0
            while is_digit(s[0]):
                if index > <int64_t>MOST // 10:
                    return None
                index = 10 * index + (s[0] - c"0")
                s += 1
            if s[0] != c":" or index <= last:
                return None
            s += 1
            after = number(s, &numbers[entry])
            if after == s:
                return None
            s, last = after, index
            features[entry] = index
            entry += 1
        s = after + 1
        row += 1
        ends[row] = entry
    return y[:row], indptr[:row + 1], indices[:entry], values[:entry]
