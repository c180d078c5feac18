"""The choice of a backend, and the modules that the package imports. Each test runs in a new interpreter."""

import json
from importlib import import_module

import numpy as np
import pytest

from fcfast import __version__, backend, config, show_config
from fcfast._pure.mathfn import quiet

try:
    BUILT = {kernel: import_module(f"fcfast._core.{kernel}") for kernel in backend.KERNELS}
except ImportError:
    BUILT = {}
needs_kernels = pytest.mark.skipif(not BUILT, reason="the compiled kernels are not built")


def hide(*modules: str) -> str:
    """Code that makes importing these modules fail, as where they are not installed or not built."""
    return f"""
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name in {modules!r}:
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Hide())
"""


SHOW = "import fcfast.backend as backend; print(backend.NAME, backend.forward.__name__, backend.openmp.__name__)"
COMPILED, PYTHON = (
    [name, f"fcfast.{folder}.forward", f"fcfast.{folder}.openmp"]
    for name, folder in (("compiled", "_core"), ("python", "_pure"))
)


@needs_kernels
@pytest.mark.parametrize("requested", [None, "auto", "compiled"])
def test_compiled(run_python, requested):
    """By default, and when asked for, the compiled kernels are used, without a warning."""
    result = run_python(SHOW, "-W", "error", FCFAST_BACKEND=requested)
    assert result.stdout.split() == COMPILED, result.stderr
    assert result.stderr == ""


@pytest.mark.parametrize("before", ["", hide("fcfast._core.forward")], ids=["built", "missing"])
def test_python(run_python, before):
    """Pure Python is chosen without a warning, and needs no compiled kernel."""
    result = run_python(before + SHOW, "-W", "error", FCFAST_BACKEND="python")
    assert result.stdout.split() == PYTHON, result.stderr
    assert result.stderr == ""


@pytest.mark.parametrize("requested", ["fast", "Compiled", "cython"])
def test_unknown(run_python, requested):
    """Another value is an ImportError that says which there are."""
    result = run_python(SHOW, FCFAST_BACKEND=requested)
    assert result.returncode != 0
    last = result.stderr.splitlines()[-1]
    assert last == f"ImportError: FCFAST_BACKEND={requested!r} is unknown; use 'auto', 'compiled' or 'python'"


def test_compiled_and_missing(run_python):
    """Compiled is forced and one kernel, whichever, is missing: an ImportError that says what to do."""
    code = f"""
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "fcfast._core." + missing:
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Hide())
for missing in {backend.KERNELS}:
    for name in [name for name in sys.modules if name.startswith("fcfast")]:
        del sys.modules[name]
    try:
        import fcfast
        print("no error without", missing)
    except ImportError as error:
        print(error, error.__cause__)
"""
    lines = run_python(code, FCFAST_BACKEND="compiled").stdout.splitlines()
    assert len(lines) == len(backend.KERNELS)
    for line, kernel in zip(lines, backend.KERNELS, strict=True):
        assert line.startswith("FCFAST_BACKEND=compiled, but the compiled kernels cannot be imported")
        assert not BUILT or f"No module named fcfast._core.{kernel}" in line
        assert "FCFAST_BACKEND=python" in line


@pytest.mark.parametrize("requested", [None, "auto"])
def test_auto_and_missing(run_python, requested):
    """Pure Python takes over, never silently: one RuntimeWarning with the cause and the way out, from the import."""
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import fcfast
for warning in caught:
    print(warning.category.__name__, warning.message)
"""
    kernel = backend.KERNELS[-1]
    result = run_python(hide(f"fcfast._core.{kernel}") + code + SHOW, FCFAST_BACKEND=requested)
    warning, chosen = result.stdout.splitlines()
    assert warning.startswith("RuntimeWarning fcfast runs in pure Python")
    assert "FCFAST_BACKEND=python" in warning
    if BUILT:
        assert f"No module named fcfast._core.{kernel}" in warning
    assert chosen.split() == PYTHON


@needs_kernels
def test_both_train_the_same_network(run_python):
    """The choice reaches the library: the same run, equal up to rounding."""
    code = """
import json
from fcfast import paper
data = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], [[0.5, 0.2], [0.1, -0.3]], [0.4, 0.9], 0.1, 50
print(json.dumps(paper.train_front(*data, technique="states").outputs.tolist()))
"""
    compiled, python = (json.loads(run_python(code, FCFAST_BACKEND=name).stdout) for name in ("compiled", "python"))
    assert len(compiled) == 50
    assert compiled == pytest.approx(python, rel=1e-12, abs=1e-15)


# ----------------------------------------------------------------------------------------------------------------------
# what there is to ask, and what an import costs


@pytest.mark.parametrize("requested", [pytest.param("compiled", marks=needs_kernels), "python"])
def test_show_config(run_python, requested):
    """The configuration tells version, backend, OpenMP, threads, BLAS and platform."""
    code = "import json, fcfast; print(json.dumps(fcfast.show_config('dict')))"
    shown = json.loads(run_python(code, FCFAST_BACKEND=requested).stdout)
    assert set(shown) == {"fcfast", "backend", "openmp", "threads", "blas", "python", "numpy", "scipy", "machine"}
    assert shown["fcfast"] == __version__
    assert shown["backend"] == requested
    assert shown["openmp"] is (requested == "compiled" and BUILT["openmp"].enabled())
    assert shown["threads"] >= 1
    assert shown["threads"] == 1 or shown["openmp"]
    assert all(isinstance(line, str) for line in shown["blas"])


def test_show_config_prints(capsys):
    """A line for each entry."""
    assert show_config() is None
    lines = capsys.readouterr().out.splitlines()
    entries = config.config()
    assert [line.split()[0] for line in lines] == list(entries)
    assert f"backend  {backend.NAME}" in lines
    assert f"fcfast   {__version__}" in lines


def test_show_config_refuses():
    """Another mode is told which there are."""
    with pytest.raises(ValueError, match="mode='json' is unknown; use 'print' or 'dict'"):
        show_config("json")


def test_twins_leave_warnings_as_they_were():
    """A kernel silences NumPy for itself only, also one that calls another."""
    inner = quiet(np.geterr)
    with np.errstate(all="warn"):
        before = np.geterr()
        assert quiet(inner)()["over"] == "ignore"
        assert np.geterr() == before


MODULES = "fcfast, fcfast.network, fcfast.paper"


def test_import_is_light(run_python):
    """No plotting, command-line or comparison package is imported before it is needed."""
    # scikit-learn itself imports rich where it is installed, so that says nothing about fcfast: see the next test.
    code = f"import sys, {MODULES}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    imported = set(run_python(code).stdout.split())
    assert "fcfast" in imported
    assert not imported & {"matplotlib", "typer", "torch", "pandas", "pytest"}


def test_extras_are_optional(run_python):
    """Nothing but the dependencies is needed for an import."""
    code = hide("matplotlib", "typer", "rich", "torch", "pandas", "pytest")
    result = run_python(f"{code}import {MODULES}; print('imported')")
    assert result.stdout.split() == ["imported"], result.stderr


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("torch", 'fcfast.torch needs PyTorch: pip install "fcfast[torch]"'),
        ("onnx", 'ONNX models need the package onnx: pip install "fcfast[onnx]"'),
    ],
)
def test_packages_are_asked_for(run_python, package, message):
    """``import fcfast.torch`` without PyTorch says what to install, and so does what makes ONNX models."""
    result = run_python(f"{hide(package)}import fcfast; import fcfast.{package}")
    assert f"ImportError: {message}" in result.stderr


def test_modules_are_there_when_asked_for(run_python):
    """After ``import fcfast`` alone, whatever else has been imported, and named by dir()."""
    modules = ["convert", "datafiles", "explain", "machine", "optimizers", "plots", "rules"]
    code = f"""
import sys
for module in {modules}:
    for name in [name for name in sys.modules if name.startswith("fcfast") and not name.startswith("fcfast._core")]:
        del sys.modules[name]
    import fcfast
    assert module in dir(fcfast)
    print(getattr(fcfast, module).__name__)
"""
    result = run_python(code, "-W", "error")
    assert result.stdout.split() == [f"fcfast.{module}" for module in modules], result.stderr
