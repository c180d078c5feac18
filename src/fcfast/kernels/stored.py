"""Kernels as entries of files: the name under which a kernel is registered, and its settings."""

from typing import Any

from fcfast import validation
from fcfast.kernels.base import KERNELS, Kernel


def kernel_entry(kernel: Any) -> dict[str, Any]:
    """Describe a kernel for a file.

    Parameters
    ----------
    kernel : Kernel, FunctionKernel or Precomputed

    Returns
    -------
    dict
        Its name and settings.

    Raises
    ------
    TypeError
        If it is a function or a given matrix, or its class is not registered: no file can describe it.

    Examples
    --------
    >>> from fcfast.kernels import RBF
    >>> from fcfast.kernels.stored import kernel_entry, kernel_of_entry
    >>> kernel_entry(RBF(gamma=0.5))
    {'name': 'rbf', 'settings': {'gamma': 0.5}}
    >>> kernel_of_entry(kernel_entry(RBF(gamma=0.5)))
    RBF(gamma=0.5)
    """
    if KERNELS.get(kernel.name) is not type(kernel):
        raise TypeError(f"a file cannot describe the kernel {kernel.name!r}, which is not registered")
    return {"name": kernel.name, "settings": kernel.settings}


def kernel_of_entry(entry: Any) -> Kernel:
    """Make the kernel that an entry describes.

    Raises
    ------
    ValueError, TypeError
        If it describes none.
    """
    is_entry = isinstance(entry, dict) and set(entry) == {"name", "settings"}
    if not (is_entry and isinstance(entry["name"], str) and isinstance(entry["settings"], dict)):
        raise ValueError(f"kernel is {entry!r}")
    kernel: Kernel = KERNELS[validation.choice(entry["name"], "kernel", KERNELS)](**entry["settings"])
    return kernel
