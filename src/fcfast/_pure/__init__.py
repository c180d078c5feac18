"""The kernels once more in NumPy: same names, same signatures, same results. The oracle and the debugging mode.

Written to be read, one network and one iteration at a time; ``n_threads`` is there for the signature's sake only.
"""
