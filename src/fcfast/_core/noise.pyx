"""Random numbers: Gaussian noise for forward gradients, which need one for every unit of every sample in every step, and the
words of Philox for the initial weights of single features.

Design
------
* Pair i of a stream is a function of the stream's key and i alone (SplitMix64, then Box and Muller's transform), so that threads
  share the work without changing a bit.
* Logarithm, sine and cosine are polynomials (Chebyshev interpolation, errors below 1e-7 before rounding) without branches, so
  that the loop vectorises: four times as fast as numpy.random's generators, whose noise took a sixth of a step.
* Numbers are made in single precision, 24 bits of each; the largest possible is 5.9.
* Philox (Salmon et al. 2011) is NumPy's, which is as fast for long runs of words, but takes microseconds to begin one. Each
  feature that is new in a stream of sparse samples needs a short run of its own.
"""

from cython.parallel cimport prange
from libc.math cimport sqrtf
from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fcfast._core.types cimport cloned, real

cdef enum:
    CHUNK = 256         # pairs made at a time, on the stack
    THREADED_WORK = 32768

cdef uint64_t STEP = 0x9E3779B97F4A7C15ULL
cdef uint64_t SECOND_STEP = 0xBB67AE8584CAA73BULL     # of Philox, like the factors
cdef uint64_t FIRST_FACTOR = 0xD2E7470EE14C6C93ULL
cdef uint64_t SECOND_FACTOR = 0xCA5A826395121157ULL
cdef uint64_t LOW_HALF = 0xFFFFFFFFULL


cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    """SplitMix64's output function (Steele, Lea and Flood 2014)."""
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EBULL
    return z ^ (z >> 31)


cdef inline float logarithm(float u) noexcept nogil:
    """Of 0 < u <= 1, as exponent log(2) + log(m) with m from sqrt(1/2) to sqrt(2)."""
    cdef uint32_t bits
    cdef int32_t exponent
    cdef float m, x, p
    memcpy(&bits, &u, 4)
    exponent = <int32_t>(bits - <uint32_t>0x3F3504F3) >> 23     # 0x3F3504F3 is sqrt(1/2)
    bits -= <uint32_t>exponent << 23
    memcpy(&m, &bits, 4)
    x = m - 1
    p = <float>0.0874394535
    p = p * x - <float>0.143773306
    p = p * x + <float>0.149490955
    p = p * x - <float>0.16560696
    p = p * x + <float>0.199569775
    p = p * x - <float>0.250021535
    p = p * x + <float>0.333341833
    p = p * x - <float>0.49999987
    p = p * x + <float>0.999999974
    return p * x + <float>exponent * <float>0.693147181


cdef inline float sine(float t) noexcept nogil:
    """Of pi t for -1/2 <= t <= 1/2."""
    cdef float z = t * t, p = <float>-0.00702838637
    p = p * z + <float>0.0820504018
    p = p * z - <float>0.599252198
    p = p * z + <float>2.55016332
    p = p * z - <float>5.16771276
    p = p * z + <float>3.14159265
    return p * t


cdef inline float cosine(float t) noexcept nogil:
    """Of pi t for -1/2 <= t <= 1/2."""
    cdef float z = t * t, p = <float>-0.0243963243
    p = p * z + <float>0.234937314
    p = p * z - <float>1.335212
    p = p * z + <float>4.05870916
    p = p * z - <float>4.93480214
    return p * z + 1


cdef cloned fill_chunk(uint64_t key, uint64_t first, Py_ssize_t n_pairs, real* even, real* odd) noexcept nogil:
    """Pairs first, first + 1 ...: one number of each goes to `even`, the other to `odd`."""
    cdef float u[CHUNK]
    cdef float t[CHUNK]
    cdef uint64_t bits
    cdef float radius, s, c
    cdef Py_ssize_t i
    for i in range(n_pairs):
        bits = mixed(key + (first + <uint64_t>i + 1) * STEP)
        u[i] = (<float><int32_t>(bits >> 40) + <float>0.5) * <float>5.9604644775390625e-08     # 2^-24
        t[i] = <float><int32_t>(bits & 0xFFFFFF) * <float>5.9604644775390625e-08 - <float>0.5
    for i in range(n_pairs):
        radius = sqrtf(-2 * logarithm(u[i]))
        s = sine(t[i])
        c = cosine(t[i])
        even[i] = radius * (c * c - s * s)
        odd[i] = radius * 2 * s * c


def normals(unsigned long long key, real[::1] out, int n_threads):    # OUT
    """Fill with independent numbers of the standard normal distribution, the same ones for the same key and length."""
    cdef Py_ssize_t n = out.shape[0], n_pairs = n // 2, chunk, first
    cdef real last[2]
    if n_pairs * 2 < THREADED_WORK:
        n_threads = 1
    for chunk in prange((n_pairs + CHUNK - 1) // CHUNK, schedule="static", num_threads=n_threads, nogil=True):
        first = chunk * CHUNK
        fill_chunk(key, first, min(CHUNK, n_pairs - first), &out[first], &out[n_pairs + first])
    if n % 2:
        fill_chunk(key, n_pairs, 1, last, last + 1)
        out[n - 1] = last[0]


# ----------------------------------------------------------------------------------------------------------------------
# Philox4x64-10


cdef inline uint64_t high_product(uint64_t a, uint64_t b) noexcept nogil:
    """The upper 64 bits of a b."""
    cdef uint64_t a0 = a & LOW_HALF, a1 = a >> 32, b0 = b & LOW_HALF, b1 = b >> 32
    cdef uint64_t middle = a1 * b0 + ((a0 * b0) >> 32), other = a0 * b1 + (middle & LOW_HALF)
    return a1 * b1 + (middle >> 32) + (other >> 32)


cdef inline void philox(uint64_t counter, uint64_t key0, uint64_t key1, uint64_t* words) noexcept nogil:
    """The four words of a value of the counter."""
    cdef uint64_t first = FIRST_FACTOR, second = SECOND_FACTOR, w0, w2
    cdef int turn
    words[0] = counter
    words[1] = words[2] = words[3] = 0
    for turn in range(10):
        w0, w2 = words[0], words[2]
        words[0] = high_product(second, w2) ^ words[1] ^ key0
        words[1] = second * w2
        words[2] = high_product(first, w0) ^ words[3] ^ key1
        words[3] = first * w0
        key0 += STEP
        key1 += SECOND_STEP


def philox_rows(const uint64_t[::1] key,        # IN, (2,)
                const int64_t[::1] features,    # IN
                int16_t[:, ::1] out):           # OUT, (features, h)
    """For each feature f give the numbers f h to (f + 1) h - 1 of those that the words hold, four in each."""
    cdef Py_ssize_t h = out.shape[1], n, j
    cdef uint64_t place
    cdef uint64_t words[4]
    with nogil:
        for n in range(features.shape[0]):
            place = <uint64_t>features[n] * <uint64_t>h
            for j in range(h):
                if j == 0 or place % 16 == 0:
                    philox(place // 16 + 1, key[0], key[1], words)  # NumPy counts before it draws
                out[n, j] = <int16_t>(words[place % 16 // 4] >> (16 * (place % 4)))
                place += 1
