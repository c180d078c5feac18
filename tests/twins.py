"""Run the compiled and the pure-Python version of a kernel, and compare the results.

A case is a kernel's arguments by name. Inputs are read-only; outputs are poisoned, so that a value that is not written shows.
Both twins get copies, and afterwards every array but scratch space is compared. Modules that import this one are skipped
where the compiled kernels are not built.
"""

import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from fcfast.backend import KERNELS

try:
    CORE = {module: import_module(f"fcfast._core.{module}") for module in KERNELS}
except ImportError as missing:
    pytest.skip(f"the compiled kernels are not built, there is nothing to compare: {missing}", allow_module_level=True)
PURE = {module: import_module(f"fcfast._pure.{module}") for module in KERNELS}

SCRATCH = {"scratch", "sum_u", "sum_z", "sums"}

Arguments = dict[str, Any]
Kernel = str | Callable[..., Any]


def functions(modules: dict[str, Any]) -> dict[str, Callable[..., Any]]:
    """Every public function defined in the modules, by 'module.name'."""
    return {
        f"{module}.{name}": value
        for module, namespace in modules.items()
        for name, value in vars(namespace).items()
        if callable(value) and not name.startswith("_") and getattr(value, "__module__", None) == namespace.__name__
    }


def poison(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    """An output nobody has written yet."""
    return np.full(shape, np.nan if np.issubdtype(dtype, np.floating) else -7, dtype=dtype)


def locked(array: Any, dtype: Any = np.float64) -> np.ndarray:
    """An input: contiguous and read-only."""
    array = np.array(array, dtype=dtype, order="C")
    array.flags.writeable = False
    return array


def signature(function: Callable[..., Any]) -> inspect.Signature:
    """Names and defaults of the parameters; those of a compiled class are in the first line of its docstring."""
    try:
        return inspect.signature(function)
    except ValueError:
        declared = (function.__doc__ or "").splitlines()[0].partition("(")[2].removesuffix(")")
        names = [parameter.split()[-1] for parameter in declared.split(", ")]
        return inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names])


def run(modules: dict[str, Any], kernel: Kernel, arguments: Arguments, n_threads: int = 1) -> Arguments:
    """Call a kernel with copies of its arguments; give the arguments back as it left them, and what it returned.

    A kernel is its name, or a function that is given the modules and calls it.
    """
    function = partial(kernel, modules) if callable(kernel) else functions(modules)[kernel]
    arguments = {name: copy(value) for name, value in arguments.items()}
    threads = {"n_threads": n_threads} if "n_threads" in inspect.signature(function).parameters else {}
    result = function(**arguments, **threads)
    return {name: value for name, value in arguments.items() if name not in SCRATCH} | {"return": result}


def copy(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    array = value.copy()
    array.flags.writeable = value.flags.writeable
    return array


def assert_twins_agree(kernel: Kernel, arguments: Arguments, rtol: float, atol: float) -> Arguments:
    """Run both twins, compare everything they leave behind, and hand it over."""
    compiled, pure = run(CORE, kernel, arguments), run(PURE, kernel, arguments)
    for name, value in pure.items():
        message = f"{kernel}: {name}"
        assert type(compiled[name]) is type(value), message
        if isinstance(value, np.ndarray):
            assert compiled[name].dtype == value.dtype, message
        if value is not None:
            np.testing.assert_allclose(compiled[name], value, rtol=rtol, atol=atol, err_msg=message)
    return compiled


def assert_same_bits(one: Arguments, other: Arguments) -> None:
    """What two runs left behind is equal to the last bit."""
    for name, value in one.items():
        assert np.asarray(value).tobytes() == np.asarray(other[name]).tobytes(), name
