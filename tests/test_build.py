"""Results of the build."""

import os
import re
import runpy
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import fcfast
from fcfast import backend

CORE = files(fcfast) / "_core"


def test_openmp():
    """A compiled build has OpenMP; set FCFAST_TEST_SKIP_OPENMP=1 where it is meant to have none."""
    if os.environ.get("FCFAST_TEST_SKIP_OPENMP", "0") not in ("", "0"):
        pytest.skip("FCFAST_TEST_SKIP_OPENMP is set: this build is meant to have no OpenMP")
    if backend.NAME == "python":
        pytest.skip("pure-Python mode has no OpenMP")
    assert backend.openmp.enabled()


def test_no_kernel_flushes_subnormals(run_python):
    """Importing the package leaves floating-point arithmetic alone (linked with -ffast-math it would not)."""
    code = """
import fcfast.network, fcfast.paper
import numpy as np
print(np.float64(5e-324) * 1 != 0, np.float32(1e-45) * np.float32(1) != 0)
"""
    result = run_python(code)
    assert result.stdout.split() == ["True", "True"], result.stderr


@pytest.mark.parametrize("kernel", backend.KERNELS)
def test_kernel_sources_are_shipped(kernel):
    """Each kernel's source stands beside it, for whoever reads or cimports it."""
    assert (CORE / f"{kernel}.pyx").is_file()


def test_headers_are_shipped():
    """So does everything the kernels include or cimport."""
    shipped = {file.name: file for file in CORE.iterdir()}
    sources = [file.read_text(encoding="utf-8") for name, file in shipped.items() if name.endswith((".pyx", ".pxd"))]
    text = "\n".join(sources)
    needed = {f"{module}.pxd" for module in re.findall(r"from fcfast\._core\.(\w+) cimport", text)}
    needed |= set(re.findall(r'cdef extern from "(\w+\.h)"', text)) - {"Python.h"}  # which every compiler of extensions has
    assert {"types.pxd", "openmp_shim.h"} <= needed <= set(shipped)


def test_typed():
    """The package tells type checkers that it has types."""
    assert (files(fcfast) / "py.typed").is_file()


@pytest.mark.parametrize("fault", ["no compiler", "no headers"])
def test_a_failed_build_says_how_to_do_without(fault, tmp_path, monkeypatch):
    """The last words of an installation without a compiler, or with one that fails, name the pure-Python mode."""
    setuptools = pytest.importorskip("setuptools")
    monkeypatch.setattr(setuptools, "setup", lambda **settings: None)
    monkeypatch.setenv("FCFAST_NO_EXTENSIONS", "1")  # only the command is wanted here, not the kernels
    command = runpy.run_path(str(Path(__file__).parents[1] / "setup.py"))["BuildKernels"]
    if fault == "no compiler" and sys.platform == "win32":
        pytest.skip("the Visual C++ compiler is not found by an environment variable")
    monkeypatch.chdir(tmp_path)
    if fault == "no compiler":
        monkeypatch.setenv("CC", str(tmp_path / "nonexistent"))
    Path("kernel.c").write_text('#include "missing.h"\n', encoding="utf-8")
    build = command(setuptools.Distribution({"ext_modules": [setuptools.Extension("kernel", ["kernel.c"])]}))
    build.ensure_finalized()
    with pytest.raises(setuptools.errors.CompileError, match=r"Install a C compiler[^$]*FCFAST_NO_EXTENSIONS=1"):
        build.run()
