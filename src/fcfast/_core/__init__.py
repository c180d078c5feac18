"""Compiled kernels: typed, without the GIL, without checks. Callers validate; ``fcfast._pure`` is the readable twin."""
