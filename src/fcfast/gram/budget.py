"""Sizes that bound how much of the inputs and of the weights is read, made and multiplied at a time.

They limit memory and keep threads busy. No setting changes them, so that results have the same bits everywhere.
"""

BLOCK_BYTES = 64 << 20  # size of a block of inputs, and of a product before it is added to the others
WEIGHT_BYTES = 4 << 20  # size of the weights that each thread makes before the threads wait for each other
PARTS_AT_ONCE = 4  # parts that these weights are made in; each of them is multiplied while it is still in cache
MIN_SIDE = 1024  # shortest side of a block: adding up the products of shorter ones would take longer than making them
MAX_SIDE = 65536  # most features that one product sums in single precision
FEW_BLOCKS = 8  # most blocks whose products are added in single precision
SPARSE_SHARE = 1 / 250  # share of a dense product's multiplications above which a sparse product is slower than BLAS
TILES = 8  # tiles along a side of a product that threads share; a Gram matrix needs those on and below its diagonal only
SMALL_PREACTIVATIONS = 65536  # numbers that every thread may hold a few times
MIN_TILE = 64  # fewest samples or units that a thread multiplies by itself; BLAS is slower on fewer
STRIP = 64  # features that are transposed while they are in cache
MIN_ROWS = 8  # fewest new samples that a thread multiplies by weights at a time, even if they are wide
