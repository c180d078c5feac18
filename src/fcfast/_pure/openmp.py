"""What OpenMP the pure-Python mode has: none."""


def enabled() -> bool:
    """Whether the kernels were compiled with OpenMP."""
    return False


def max_threads() -> int:
    """Threads OpenMP would use by itself (honours OMP_NUM_THREADS); 1 without OpenMP."""
    return 1
