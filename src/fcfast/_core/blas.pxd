"""Row-major matrix products on SciPy's BLAS, for both precisions.

BLAS is column-major: a row-major matrix is its transpose there, so C = A B is computed as C' = B' A'.
The dimensions are C ints, as in every 32-bit-integer BLAS.
"""

from scipy.linalg.cython_blas cimport dgemm, sgemm

from fcfast._core.types cimport real


cdef inline void gemm(bint transpose_a, bint transpose_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
                      real alpha, const real* a, const real* b, real beta, real* c) noexcept nogil:
    """C (m x n) = alpha op(A) (m x k) op(B) (k x n) + beta C; all packed, row-major."""
    cdef int rows = <int>m, cols = <int>n, inner = <int>k
    cdef int lda = rows if transpose_a else inner
    cdef int ldb = inner if transpose_b else cols
    cdef char* ta = b"T" if transpose_a else b"N"
    cdef char* tb = b"T" if transpose_b else b"N"
    if rows == 0 or cols == 0:
        return
    # A zero leading dimension is an error to BLAS even where nothing is read.
    lda = max(lda, 1)
    ldb = max(ldb, 1)
    if real is float:
        sgemm(tb, ta, &cols, &rows, &inner, &alpha, <float*>b, &ldb, <float*>a, &lda, &beta, c, &cols)
    else:
        dgemm(tb, ta, &cols, &rows, &inner, &alpha, <double*>b, &ldb, <double*>a, &lda, &beta, c, &cols)
