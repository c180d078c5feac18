"""Arrays that are views of files: what they hold stays on the disk."""

import mmap
from typing import Any


def is_mapped(array: Any) -> bool:
    """Tell whether an array is a view of a file, through however many views."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None
