"""Types that all kernels share."""

ctypedef fused real:
    # A call is wholly float32 or wholly float64.
    float
    double

cdef extern from "clones.h":
    ctypedef void cloned "FCFAST_CLONES void"   # of a function with loops over many numbers, which wide vectors make faster
