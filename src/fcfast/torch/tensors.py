"""Arrays that are tensors wherever they are needed, and parts of no module."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]
INTEGERS = frozenset({torch.int64, torch.int32})  # of row numbers, as for nn.Embedding; smaller ones are likely features
ROUNDED = frozenset({torch.bfloat16, torch.float16})  # NumPy has no bfloat16
SPARSE_TENSOR = "{} is a sparse tensor ({}); give a SciPy sparse matrix, which stays sparse, or the dense tensor"


class Constant:
    """An array that never changes, as a tensor of any device and dtype.

    It is neither a buffer nor a parameter: copies of a module share it, state dictionaries and DDP do not carry it, and a
    pickle has the array alone. Tensors are made when they are first asked for, and kept.

    Parameters
    ----------
    array : ndarray
        Array, which a tensor on the CPU with the same dtype shares.
    """

    def __init__(self, array: Array) -> None:
        self.array = array
        self._latest: torch.Tensor | None = None
        self._kept: dict[tuple[torch.device, torch.dtype], torch.Tensor] = {}

    def like(self, tensor: torch.Tensor) -> torch.Tensor:
        """Give the array on the device and in the dtype of a tensor."""
        latest = self._latest
        if latest is not None and latest.dtype == tensor.dtype and latest.device == tensor.device:
            return latest
        return self._made(tensor.device, tensor.dtype)

    @torch.compiler.disable
    def _made(self, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        key = device, dtype
        if key not in self._kept:
            with torch.inference_mode(False):  # training may need the tensor later
                self._kept[key] = as_tensor(self.array).to(dtype).to(device)  # Apple's devices have no doubles
        self._latest = self._kept[key]
        return self._latest

    def __deepcopy__(self, memo: dict[int, Any]) -> "Constant":
        return self

    def __reduce__(self) -> Any:
        return Constant, (self.array,)


def as_tensor(array: Array) -> torch.Tensor:
    """Give an array as a tensor that shares its memory."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nobody writes to it
        return torch.from_numpy(np.asarray(array))


def as_array(tensor: torch.Tensor) -> Array:
    """Give a tensor as an array, without a copy where that is possible."""
    held = tensor.detach().cpu()
    array: Array = (held.float() if held.dtype in ROUNDED else held).numpy()
    return array


def as_doubles(tensor: torch.Tensor) -> NDArray[np.float64]:
    """Give a copy of a tensor in double precision."""
    return tensor.detach().cpu().double().numpy().copy()
