"""Run the tests of bits with each BLAS kernel.

OpenBLAS has kernels for many processors and takes the one for the processor it finds, or the one that OPENBLAS_CORETYPE names.
Each rounds in its own way, so that a mistake can hide behind the one kernel of a developer's machine. A kernel that the
processor or the BLAS lacks is skipped, with the reason.

BLAS has two threads, because these tests compare two with one, to which they can limit it but not the other way round. The
kernel that is taken here has one thread: the suite itself runs with it on all cores.
"""

import os
import subprocess
import sys
from pathlib import Path

KERNELS = (None, "Haswell", "SkylakeX", "Prescott")  # None: whatever is taken here
OTHER_NAMES = {"Katmai": "Prescott"}  # what OpenBLAS calls its oldest kernel

# A product by NumPy's BLAS and one by SciPy's, which ends the process where an instruction is unknown; then the kernels' names.
PROBE = """
import numpy as np, scipy.linalg.blas as blas, threadpoolctl
for dtype, gemm in (("f4", blas.sgemm), ("f8", blas.dgemm)):
    X = np.ones((300, 300), dtype)
    assert (X @ np.asfortranarray(X) == 300).all() and (gemm(1, X, X) == 300).all()
libraries = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
print(*(library.get("architecture", library["internal_api"]) for library in libraries))
"""


def environment(kernel: str | None) -> dict[str, str]:
    return dict(os.environ) if kernel is None else os.environ | {"OPENBLAS_CORETYPE": kernel}


def taken(kernel: str | None) -> str:
    """Name the kernels that work with this wish, those of NumPy and SciPy; or say that the wish ends the process."""
    run = subprocess.run([sys.executable, "-c", PROBE], env=environment(kernel), capture_output=True, text=True, check=False)
    if run.returncode:
        return f"nothing (exit code {run.returncode})"
    return " ".join(sorted({OTHER_NAMES.get(name, name) for name in run.stdout.split()}))


def passes(kernel: str | None, n_threads: int) -> bool:
    """Run the tests of bits, and show how they end, or everything where they fail."""
    root = Path(__file__).parent.parent
    variables = environment(kernel) | {"OPENBLAS_NUM_THREADS": str(n_threads)}
    options = ["-q", "-m", "bits", "-c", str(root / "pyproject.toml"), "--rootdir", str(root), "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, str(root / "tests")]
    run = subprocess.run(command, env=variables, cwd=sys.prefix, capture_output=True, text=True, check=False, timeout=1200)
    print(run.stdout.splitlines()[-1] if run.returncode == 0 else run.stdout + run.stderr, flush=True)
    return run.returncode == 0


def main() -> int:
    """Give the exit code."""
    seen: set[str] = set()
    passed = True
    for kernel in KERNELS:
        found = taken(kernel)
        if kernel not in (None, found):
            print(f"{kernel}: skipped, on this processor OPENBLAS_CORETYPE={kernel} gives {found}")
        elif found in seen:
            print(f"{kernel}: done above, it is the kernel that is taken here")
        else:
            n_threads = 1 if kernel is None else 2
            print(f"{found}{' (taken here)' if kernel is None else ''}, {n_threads} thread(s): ", end="", flush=True)
            passed = passes(kernel, n_threads) and passed
        seen.add(found)
    return not passed


if __name__ == "__main__":
    sys.exit(main())
