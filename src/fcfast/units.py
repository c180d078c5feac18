"""Amounts in words: bytes and seconds with a unit that fits."""


def bytes_text(n_bytes: float) -> str:
    """Give bytes in the largest unit of which there is at least one."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= size:
            return f"{float(n_bytes / size):.1f} {unit}"
    return f"{float(n_bytes):.0f} bytes"


def duration(seconds: float) -> str:
    """Give seconds with three digits and a unit that fits."""
    if seconds >= 7200:
        return f"{seconds / 3600:.3g} h"
    if seconds >= 120:
        return f"{seconds / 60:.3g} min"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
