"""Which kernels are in use: the compiled ones or their pure-Python twins.

The environment variable ``FCFAST_BACKEND`` decides, once, at import: ``auto`` (the default: compiled, with a warning if
they are missing), ``compiled`` (an ImportError if they are missing) or ``python``.
"""

import os
import warnings
from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "KERNELS", "NAME", "backprop", "closed_form", "compensation", "forward", "forward_gradient", "front", "losses", "noise",
    "openmp", "sparse_front", "states", "svmlight", "two_layer",
]  # fmt: skip

KERNELS = (
    "forward", "backprop", "two_layer", "compensation", "closed_form", "states", "front", "forward_gradient", "noise", "openmp",
    "sparse_front", "svmlight", "losses",
)  # fmt: skip

if TYPE_CHECKING:  # the twins carry the types of both
    from fcfast._pure import (
        backprop,
        closed_form,
        compensation,
        forward,
        forward_gradient,
        front,
        losses,
        noise,
        openmp,
        sparse_front,
        states,
        svmlight,
    )
    from fcfast._pure import two_layer as two_layer


def _choose(requested: str) -> str:
    if requested not in ("auto", "compiled", "python"):
        raise ImportError(f"FCFAST_BACKEND={requested!r} is unknown; use 'auto', 'compiled' or 'python'")
    if requested == "python":
        return "python"
    try:
        for kernel in KERNELS:
            import_module(f"fcfast._core.{kernel}")
    except ImportError as error:
        if requested == "compiled":
            raise ImportError(
                "FCFAST_BACKEND=compiled, but the compiled kernels cannot be imported; "
                "reinstall fcfast with a C compiler, or set FCFAST_BACKEND=python"
            ) from error
        warnings.warn(
            f"fcfast runs in pure Python, hundreds of times slower: its compiled kernels cannot be imported ({error}). "
            "Set FCFAST_BACKEND=python to choose this silently.",
            RuntimeWarning,
            stacklevel=3,
        )
        return "python"
    return "compiled"


NAME = _choose(os.environ.get("FCFAST_BACKEND", "auto"))

for _kernel in KERNELS:
    globals()[_kernel] = import_module(f"fcfast.{'_core' if NAME == 'compiled' else '_pure'}.{_kernel}")
