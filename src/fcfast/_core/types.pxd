"""The one fused type of all kernels: a call is wholly float32 or wholly float64."""

ctypedef fused real:
    float
    double
