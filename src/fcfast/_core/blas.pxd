"""Row-major matrix products on SciPy's BLAS, for both precisions.

BLAS is column-major: a row-major matrix is its transpose there, so C = A B is computed as C' = B' A'.
The dimensions are C ints, as in every 32-bit-integer BLAS. A single row goes to the matrix-vector product and an outer product
to a loop: a matrix product packs its operands first, which takes longer than using them once (measured: one sample at a
time, 256 x 784, a third of the step).
"""

from scipy.linalg.cython_blas cimport dgemm, dgemv, dsyrk, sgemm, sgemv, ssyrk

from fcfast._core.types cimport real


cdef inline void outer(Py_ssize_t m, Py_ssize_t n, real alpha, const real* a, const real* b, real beta,
                       real* c) noexcept nogil:
    """C (m x n) = alpha a b' + beta C."""
    cdef Py_ssize_t i, j
    cdef real factor
    for i in range(m):
        factor = alpha * a[i]
        if beta == 0:       # apart: C may hold anything, NaN too
            for j in range(n):
                c[i * n + j] = factor * b[j]
        else:
            for j in range(n):
                c[i * n + j] = factor * b[j] + beta * c[i * n + j]


cdef inline void multiply_row(bint transpose_b, int cols, int inner, int ldb, real alpha, const real* a, const real* b,
                              real beta, real* c) noexcept nogil:
    """C (1 x cols) = alpha a op(B) + beta C."""
    cdef int one = 1
    cdef char* trans = b"T" if transpose_b else b"N"
    cdef int* m = &inner if transpose_b else &cols
    cdef int* n = &cols if transpose_b else &inner
    if real is float:
        sgemv(trans, m, n, &alpha, <float*>b, &ldb, <float*>a, &one, &beta, c, &one)
    else:
        dgemv(trans, m, n, &alpha, <double*>b, &ldb, <double*>a, &one, &beta, c, &one)


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
    if inner == 1:
        outer(m, n, alpha, a, b, beta, c)
        return
    # A zero leading dimension is an error to BLAS even where nothing is read.
    lda = max(lda, 1)
    ldb = max(ldb, 1)
    if rows == 1 and inner > 0:
        multiply_row(transpose_b, cols, inner, ldb, alpha, a, b, beta, c)
        return
    if real is float:
        sgemm(tb, ta, &cols, &rows, &inner, &alpha, <float*>b, &ldb, <float*>a, &lda, &beta, c, &cols)
    else:
        dgemm(tb, ta, &cols, &rows, &inner, &alpha, <double*>b, &ldb, <double*>a, &lda, &beta, c, &cols)


cdef inline void add_product(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const real* a, const real* b, Py_ssize_t row_b,
                             real* c, Py_ssize_t row_c) noexcept nogil:
    """C (m x n) += A (m x k) B (k x n), where B and C are columns of matrices whose rows are row_b and row_c long."""
    cdef int rows = <int>m, cols = <int>n, inner = <int>k, ldb = <int>row_b, ldc = <int>row_c
    cdef real one = 1
    if real is float:
        sgemm(b"N", b"N", &cols, &rows, &inner, &one, <float*>b, &ldb, <float*>a, &inner, &one, c, &ldc)
    else:
        dgemm(b"N", b"N", &cols, &rows, &inner, &one, <double*>b, &ldb, <double*>a, &inner, &one, c, &ldc)


cdef inline void syrk(Py_ssize_t n, Py_ssize_t k, const real* a, real* c) noexcept nogil:
    """C (n x n) = A A' for A (n x k): half the work of a general product, the other half copied."""
    cdef int size = <int>n, inner = <int>k, lda = max(<int>k, 1)
    cdef real one = 1, zero = 0
    cdef Py_ssize_t i, j
    if real is float:
        ssyrk(b"U", b"T", &size, &inner, &one, <float*>a, &lda, &zero, c, &size)
    else:
        dsyrk(b"U", b"T", &size, &inner, &one, <double*>a, &lda, &zero, c, &size)
    for i in range(n):
        for j in range(i):
            c[j * n + i] = c[i * n + j]
