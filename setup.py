"""Build of the compiled kernels. Everything that is data stands in pyproject.toml.

Environment variables
---------------------
FCFAST_NO_EXTENSIONS=1  build without the compiled kernels (pure-Python mode only)
FCFAST_NO_OPENMP=1      build the kernels without OpenMP
FCFAST_DEBUG=1          build with bounds checks (slow; for finding bugs)
FCFAST_NATIVE=1         add -march=native (the result runs on this kind of machine only)
FCFAST_SANITIZE=...     instrument the kernels: "address,undefined" or "thread", as -fsanitize takes it (.ci/sanitize runs them)
"""

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError, CompileError

KERNELS = (
    "forward", "backprop", "two_layer", "compensation", "closed_form", "states", "front", "forward_gradient", "noise", "openmp",
    "sparse_front", "svmlight", "losses",
)  # fmt: skip
CORE = "src/fcfast/_core"

# A program that only exits with 0 if two threads really ran: a compiler may accept the flag and ignore it.
OPENMP_PROBE = textwrap.dedent(
    """
    #include <omp.h>
    int main(void) {
        int threads = 0;
        #pragma omp parallel num_threads(2) reduction(+:threads)
        threads += 1;
        return threads == 2 ? 0 : 1;
    }
    """
)

# What to do where nothing can be compiled: the last words of a failed installation.
NO_KERNELS = """the compiled kernels could not be built: {error}
Install a C compiler with the headers of Python (Debian, Ubuntu: apt install build-essential python3-dev; macOS:
xcode-select --install; Windows: Microsoft's C++ Build Tools), or set the environment variable FCFAST_NO_EXTENSIONS=1 and
install again: fcfast then runs in plain Python, with the same results and a hundred or more times slower in places."""


def enabled(variable: str) -> bool:
    return os.environ.get(variable, "0") not in ("", "0")


class BuildKernels(build_ext):
    """Choose flags for the compiler at hand and probe OpenMP by compiling, linking and running."""

    def run(self) -> None:
        try:
            super().run()
        except (BaseError, CCompilerError, OSError) as error:
            raise CompileError(NO_KERNELS.format(error=error)) from error

    def build_extensions(self) -> None:
        self.parallel = self.parallel or os.cpu_count()
        self.force = True  # objects of an earlier build may have been made with other switches
        msvc = self.compiler.compiler_type == "msvc"
        # -ffp-contract=off: the same arithmetic on every machine, with or without fused multiply-add.
        # -fno-math-errno: a square root need not report errors, so that it can be vectorised; its value is the same.
        compile_args = ["/O2", "/fp:precise"] if msvc else ["-O3", "-ffp-contract=off", "-fno-math-errno"]
        if not enabled("FCFAST_DEBUG") and not msvc:
            compile_args.append("-g0")  # Python's own flags ask for debug symbols: a quarter of the time, most of the wheel
        if enabled("FCFAST_DEBUG") and not msvc:
            compile_args.append("-O1")  # bounds are checked all the same, and it builds in half the time
        if enabled("FCFAST_NATIVE") and not msvc:
            compile_args.append("-march=native")
        openmp_compile, openmp_link = self.find_openmp(msvc)
        if (sanitizers := os.environ.get("FCFAST_SANITIZE")) and not msvc:
            openmp_link = [*openmp_link, f"-fsanitize={sanitizers}"]
            compile_args += [f"-fsanitize={sanitizers}", "-fno-omit-frame-pointer", "-g", "-O1"]
        for extension in self.extensions:
            extension.extra_compile_args += compile_args + openmp_compile
            extension.extra_link_args += openmp_link
        super().build_extensions()

    def find_openmp(self, msvc: bool) -> tuple[list[str], list[str]]:
        if enabled("FCFAST_NO_OPENMP"):
            return [], []
        if msvc:
            candidates = [(["/openmp"], [])]
        elif sys.platform == "darwin":
            # Apple's clang has no OpenMP of its own; libomp comes from Homebrew or conda (CFLAGS, LDFLAGS).
            candidates = [(["-Xpreprocessor", "-fopenmp"], ["-lomp"]), (["-fopenmp"], ["-fopenmp"])]
        else:
            candidates = [(["-fopenmp"], ["-fopenmp"])]
        for compile_args, link_args in candidates:
            if self.openmp_runs(compile_args, link_args):
                return compile_args, link_args
        print(
            "*" * 88 + "\nfcfast: this compiler builds no working OpenMP program; the kernels will use one thread.\n"
            "On macOS: `brew install libomp` and set CFLAGS and LDFLAGS to its folders.\n" + "*" * 88,
            file=sys.stderr,
        )
        return [], []

    def openmp_runs(self, compile_args: list[str], link_args: list[str]) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(OPENMP_PROBE)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=compile_args)
                self.compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=link_args)
                program = next(p for p in Path(folder).rglob("probe*") if p.suffix in ("", ".exe"))
                return subprocess.run([str(program)], timeout=60, check=False).returncode == 0
            except Exception as error:  # each compiler class raises its own types; any failure means: no OpenMP
                print(f"fcfast: OpenMP probe with {compile_args} failed: {error}", file=sys.stderr)
                return False


def kernels() -> list[Extension]:
    if enabled("FCFAST_NO_EXTENSIONS"):
        return []
    import numpy
    from Cython.Build import cythonize

    checks = enabled("FCFAST_DEBUG")
    extensions = [
        Extension(
            f"fcfast._core.{name}",
            [f"{CORE}/{name}.pyx"],
            include_dirs=[CORE, numpy.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        )
        for name in KERNELS
    ]
    return cythonize(
        extensions,
        force=True,  # the C of an earlier build may have been made with other directives
        compiler_directives={
            "language_level": 3,
            "binding": True,
            "embedsignature": True,
            "cdivision": True,
            "boundscheck": checks,
            "wraparound": False,
            "initializedcheck": checks,
            "nonecheck": checks,
        },
    )


setup(ext_modules=kernels(), cmdclass={"build_ext": BuildKernels})
