"""What OpenMP this build has."""

cdef extern from "openmp_shim.h" nogil:
    int fcfast_openmp_enabled()
    int fcfast_max_threads()


def enabled():
    """Whether the kernels were compiled with OpenMP."""
    return bool(fcfast_openmp_enabled())


def max_threads():
    """Threads OpenMP would use by itself (honours OMP_NUM_THREADS); 1 without OpenMP."""
    return fcfast_max_threads()
