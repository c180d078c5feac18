"""Arrays that are views of files, whose values stay on the disk."""

import mmap
from typing import Any


def is_mapped(array: Any) -> bool:
    """Whether an array is a view of a file, through any number of views."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None
