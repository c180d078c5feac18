"""Lines of svmlight text as CSR (twin of ``_core/svmlight.pyx``)."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
FEATURE = re.compile(rb"(\d+):(" + NUMBER.pattern + rb")")
BLANKS = b" \t\r"
LARGEST = 10**17  # feature without its last digit


def parse(text: bytes) -> tuple[Array, Array, Array, Array] | None:
    """Read lines "target feature:value ...", the last of which ends with a line feed.

    Returns targets (n,), and indptr (n + 1,), indices and values of a CSR matrix; None if a line is not of this kind.
    """
    if text and not text.endswith(b"\n"):
        return None
    targets, ends, indices, values = list[float](), [0], list[int](), list[float]()
    for line in text.split(b"\n"):
        if not line.strip(BLANKS):
            continue
        target, *cells = re.split(rb"[ \t\r]+", line.strip(BLANKS))
        if not NUMBER.fullmatch(target):
            return None
        last = -1
        for cell in cells:
            found = FEATURE.fullmatch(cell)
            if found is None or (index := int(found[1])) <= last or index // 10 > LARGEST:
                return None
            indices.append(index)
            values.append(float(found[2]))
            last = index
        targets.append(float(target))
        ends.append(len(indices))
    return np.array(targets), np.array(ends, np.int64), np.array(indices, np.int64), np.array(values, np.float64)
