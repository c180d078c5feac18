"""Kernels: first layers without weights, whose units are functions of a kernel's feature space.

A kernel is derived from linear products and norms (`Kernel`), given as a matrix (`refuse_indefinite`) or as a function of two
blocks of samples (`evaluate`).
"""

from dataclasses import fields
from typing import Any

from fcfast import validation
from fcfast.kernels.base import KERNELS, Kernel, check_settings, cosines, register, squared_distances
from fcfast.kernels.callables import evaluate
from fcfast.kernels.definite import refuse_indefinite
from fcfast.kernels.elementwise import RBF, ArcCosine, Cosine, Linear, Polynomial, Tanimoto

__all__ = [
    "KERNELS", "RBF", "ArcCosine", "Cosine", "Kernel", "Linear", "Polynomial", "Tanimoto", "cosines", "evaluate", "make_kernel",
    "refuse_indefinite", "register", "squared_distances",
]  # fmt: skip


def make_kernel(kernel: str | Kernel, gamma: float | str = "scale", degree: int = 3, coef0: float = 0.0) -> Kernel:
    """Give the kernel of that name with its settings, or the kernel itself.

    Parameters
    ----------
    kernel : str or Kernel
        "linear", "poly", "rbf", "cosine", "tanimoto", "arc-cosine", a name that `register` has entered, or a kernel.
    gamma : {"scale", "auto"} or float
        Factor in "poly" and "rbf": "scale" is 1 / (n_features * X.var()), "auto" is 1 / n_features.
    degree : int
        Degree of "poly".
    coef0 : float
        Constant in "poly".

    Returns
    -------
    Kernel
        A kernel whose `gamma` may still be "scale" or "auto"; see `Kernel.resolved`.

    Raises
    ------
    ValueError
        For an unknown name, a setting out of range, or settings beside a kernel that is given as an object.
    TypeError
        If an argument has the wrong type.

    Notes
    -----
    Settings that a named kernel does not have are checked and otherwise ignored, as in scikit-learn's SVC. A grid search may
    therefore combine names of kernels with values of gamma.

    Examples
    --------
    >>> from fcfast.kernels import make_kernel
    >>> make_kernel("poly", degree=2, coef0=1.0).resolved(n_features=10, variance=0.5)
    Polynomial(gamma=0.2, degree=2, coef0=1.0)
    """
    settings: dict[str, Any] = {"gamma": gamma, "degree": degree, "coef0": coef0}
    if isinstance(kernel, Kernel):
        for setting, plain in (("gamma", "scale"), ("degree", 3), ("coef0", 0.0)):
            if settings[setting] != plain:
                raise ValueError(
                    f"{setting}={settings[setting]!r} was given beside kernel={kernel!r}, which has its own; set it there"
                )
        return kernel
    if not isinstance(kernel, str):
        raise TypeError(f"kernel must be one of {list(KERNELS)} or a fcfast.kernels.Kernel, got {kernel!r}")
    kind = KERNELS[validation.choice(kernel, "kernel", KERNELS)]
    check_settings(**settings)
    made: Kernel = kind(**{field.name: settings[field.name] for field in fields(kind) if field.name in settings})
    return made
