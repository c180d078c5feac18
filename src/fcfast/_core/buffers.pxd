"""Addresses of arrays, for the objects that hold them: a class cannot be generic, so functions for each precision cast."""

from cpython.buffer cimport PyBuffer_IsContiguous
from cpython.memoryview cimport PyMemoryView_FromObject, PyMemoryView_GET_BUFFER


cdef inline void* address(object array, list held, object dtype, bint written) except? NULL:
    """Address of an array's numbers, NULL for None. Its memoryview is held, so that it cannot go away."""
    if array is None:
        return NULL
    view = PyMemoryView_FromObject(array)
    buffer = PyMemoryView_GET_BUFFER(view)
    if array.dtype != dtype or not PyBuffer_IsContiguous(buffer, b"C") or written and buffer.readonly:
        raise ValueError(
            f"expected a C-contiguous{' and writable' if written else ''} array of {getattr(dtype, '__name__', dtype)}"
        )
    held.append(view)
    return buffer.buf
