"""The kernels that fcfast has: linear, polynomial, RBF, cosine, Tanimoto and arc-cosine."""

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.errors import frames_within
from fcfast.kernels.base import Kernel, check_settings, cosines, register, squared_distances

Array = NDArray[Any]
Floats = NDArray[np.float64]

LARGEST_ERROR, WARNED_ERROR = 0.01, 1e-4  # of a value of the RBF kernel, by rounding of the products


@register
@dataclass(frozen=True)
class Linear(Kernel):
    """The linear kernel <x, y>: an ordinary first layer, which has weights.

    Examples
    --------
    >>> from fcfast.kernels import Linear
    >>> Linear().has_weights
    True
    """

    name: ClassVar[str] = "linear"
    has_weights: ClassVar[bool] = True

    def values(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> Floats:
        """Give the products."""
        return products

    def apply(self, products: Array, norms_rows: Array, norms_columns: Array, n_jobs: int | None = None) -> Array:
        """Leave the products as they are."""
        return products

    def apply_symmetric(self, products: Array, n_jobs: int | None = None) -> Array:
        """Leave the products as they are."""
        return products


@dataclass(frozen=True)
class GammaKernel(Kernel):
    """A kernel with a factor gamma, as in scikit-learn's SVC.

    Parameters
    ----------
    gamma : {"scale", "auto"} or float
        "scale" is 1 / (n_features * X.var()), or 1 if X is constant; "auto" is 1 / n_features; a number is > 0.
    """

    gamma: float | str = "scale"

    def __post_init__(self) -> None:
        check_settings(gamma=self.gamma)
        validation.plain_numbers(self)

    @property
    def needs_variance(self) -> bool:
        """Whether gamma is "scale"."""
        return self.gamma == "scale"

    def resolved(self, n_features: int, variance: float | None = None) -> "Kernel":
        """Give the kernel with a number for gamma.

        Raises
        ------
        ValueError
            If gamma is "scale" and the variance is missing, negative or not finite.
        """
        if not isinstance(self.gamma, str):
            return self
        validation.size(n_features, "n_features")
        if validation.is_auto(self.gamma):
            return replace(self, gamma=1.0 / n_features)
        if variance is None:
            raise ValueError(f"gamma='scale' of kernel {self.name!r} needs the variance of X; use a number or 'auto'")
        validation.in_range(variance, "variance", 0, math.inf)
        spread = n_features * float(variance)
        if spread == 0:
            return replace(self, gamma=1.0)
        if math.isinf(spread) or math.isinf(1 / spread):
            raise ValueError(f"gamma='scale' is not finite for X with the variance {variance:g}; rescale X or use a number")
        return replace(self, gamma=1 / spread)

    @property
    def factor(self) -> float:
        """Gamma as a number.

        Raises
        ------
        ValueError
            If gamma is still "scale" or "auto".
        """
        if isinstance(self.gamma, str):
            raise ValueError(f"gamma={self.gamma!r} depends on the training data; call resolved(n_features, variance) first")
        return self.gamma


@register
@dataclass(frozen=True)
class Polynomial(GammaKernel):
    """The polynomial kernel (gamma <x, y> + coef0)^degree.

    Parameters
    ----------
    gamma : {"scale", "auto"} or float
        Factor of the products; see `GammaKernel`.
    degree : int
        Degree, >= 1.
    coef0 : float
        Constant, >= 0. scikit-learn takes negative ones too, but the kernel is then indefinite.

    Raises
    ------
    ValueError, TypeError
        If a setting is out of range or has the wrong type.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.kernels import Polynomial
    >>> Polynomial(gamma=1.0, degree=2, coef0=1.0).apply_symmetric(np.array([[4.0, 2.0], [2.0, 1.0]]))
    array([[25.,  9.],
           [ 9.,  4.]])
    """

    degree: int = 3
    coef0: float = 0.0

    name: ClassVar[str] = "poly"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(degree=self.degree, coef0=self.coef0)
        validation.plain_numbers(self)

    def values(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> Floats:
        """Compute the powers by multiplications, which round alike on every processor."""
        products *= self.factor
        products += self.coef0
        power, square, left = None, products, self.degree
        while left:
            if left % 2:
                power = square if power is None else power * square
            left //= 2
            square = square * square if left else square
        assert power is not None
        return power

    def onnx_values(self, graph: Any, products: str, norms_rows: str, norms_columns: Floats) -> str:
        """Add the nodes of the kernel to an ONNX graph."""
        base = graph.node("Add", graph.node("Mul", products, self.factor), self.coef0)
        return str(graph.node("Pow", base, float(self.degree)))

    def derivatives(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> tuple[Floats, Floats]:
        """Compute gamma degree (gamma <x, y> + coef0)^(degree - 1), and 0."""
        powers = np.power(self.factor * products + self.coef0, self.degree - 1)
        return self.factor * self.degree * powers, np.zeros_like(products)


@register
@dataclass(frozen=True)
class RBF(GammaKernel):
    """The radial basis function kernel exp(-gamma |x - y|^2).

    Distances come from products and norms, because features are read once, for their products. Data far from 0 compared with
    their spread lose digits by that: a value is wrong by about ``gamma |x|^2 eps``, where eps is 1.2e-7 in single precision and
    2.2e-16 in double precision. With ``gamma="scale"`` this is ``(1 + (mean / deviation)^2) eps``. A RuntimeWarning tells of
    errors above 1e-4, and a ValueError refuses those above 0.01. With ``standardize=True`` nothing is lost, because features
    are centred while they are read.

    Parameters
    ----------
    gamma : {"scale", "auto"} or float
        Factor of the squared distances; see `GammaKernel`.

    Raises
    ------
    ValueError, TypeError
        If gamma is out of range or has the wrong type.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.kernels import RBF
    >>> RBF(gamma=np.log(2)).apply_symmetric(np.array([[4.0, 2.0], [2.0, 1.0]]))
    array([[1. , 0.5],
           [0.5, 1. ]])
    """

    name: ClassVar[str] = "rbf"

    def check(self, products: Array, norms_rows: Floats, norms_columns: Floats) -> None:
        """Refuse products whose rounding errors the kernel would show, and warn of errors that it shows a little."""
        typical = float(np.median(norms_columns)) if len(norms_columns) else 0.0
        error = self.factor * typical * float(np.finfo(products.dtype).eps)
        problem = f"gamma={self.factor:.3g} times squared norms of {typical:.3g}"
        remedy = "centre X (standardize=True), use a smaller gamma"
        if products.dtype == np.float32:
            remedy += " or use dtype='float64'"
        if error > LARGEST_ERROR:
            raise ValueError(f"{problem} leaves no accurate distances in {products.dtype}; {remedy}")
        if error > WARNED_ERROR:
            message = f"{problem} leaves values that are wrong by about {error:.1g} in {products.dtype}; {remedy}"
            warnings.warn(message, RuntimeWarning, stacklevel=1 + frames_within())

    def values(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> Floats:
        """Compute the exponentials."""
        distances = squared_distances(products, norms_rows, norms_columns)
        distances *= -self.factor
        return np.exp(distances, out=distances)

    def onnx_values(self, graph: Any, products: str, norms_rows: str, norms_columns: Floats) -> str:
        """Add the nodes of the kernel to an ONNX graph."""
        distances = graph.node("Sub", graph.node("Add", norms_rows, norms_columns), graph.node("Mul", products, 2.0))
        return str(graph.node("Exp", graph.node("Mul", graph.node("Relu", distances), -self.factor)))

    def derivatives(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> tuple[Floats, Floats]:
        """Multiply the values by 2 gamma and by -gamma, because |x - y|^2 is |x|^2 + |y|^2 - 2 <x, y>."""
        values = self.values(products.copy(), norms_rows, norms_columns)
        return 2 * self.factor * values, -self.factor * values


@register
@dataclass(frozen=True)
class Cosine(Kernel):
    """The cosine of the angle between samples, <x, y> / (|x| |y|).

    A sample of zeros has no direction; its kernel is 0 with every sample, itself included, as in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.kernels import Cosine
    >>> Cosine().apply_symmetric(np.array([[4.0, -2.0, 0.0], [-2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    array([[ 1., -1.,  0.],
           [-1.,  1.,  0.],
           [ 0.,  0.,  0.]])
    """

    name: ClassVar[str] = "cosine"
    jumps_at_zero: ClassVar[bool] = True

    def values(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> Floats:
        """Divide by the lengths."""
        return cosines(products, np.sqrt(norms_rows) * np.sqrt(norms_columns))

    def onnx_values(self, graph: Any, products: str, norms_rows: str, norms_columns: Floats) -> str:
        """Add the nodes of the kernel to an ONNX graph."""
        return _cosine_nodes(graph, products, norms_rows, norms_columns)[0]

    def diagonal(self, norms: Floats) -> Floats:
        """Give exactly 1, or 0 for a sample of zeros."""
        return (norms > 0).astype(np.float64)

    def derivatives(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> tuple[Floats, Floats]:
        """Compute 1 / (|x| |y|) and -k(x, y) / (2 |x|^2); a sample of zeros has no direction, and its derivatives are 0."""
        by_products = inverses(np.sqrt(norms_rows) * np.sqrt(norms_columns))
        return by_products, -products * by_products * inverses(2 * norms_rows)


@register
@dataclass(frozen=True)
class Tanimoto(Kernel):
    """The Tanimoto kernel <x, y> / (|x|^2 + |y|^2 - <x, y>) of fingerprints.

    For binary fingerprints it is the number of common bits divided by the number of bits that either has: the Jaccard index,
    and RDKit's `TanimotoSimilarity`. Two samples of zeros are equal and have the value 1, as in RDKit and SciPy. For counts it
    is the generalisation by products, which is positive semi-definite for all real vectors; RDKit compares counts by
    sum(min(x, y)) / sum(max(x, y)), which products do not determine. Features must not be negative, as they become by
    standardisation, because a similarity then means nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.kernels import Tanimoto
    >>> bits = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> Tanimoto().apply_symmetric(bits @ bits.T).round(3)
    array([[1.   , 0.333],
           [0.333, 1.   ]])
    """

    name: ClassVar[str] = "tanimoto"

    def check(self, products: Array, norms_rows: Floats, norms_columns: Floats) -> None:
        """Refuse negative products, which only negative features have."""
        if products.size and (smallest := products.min()) < 0:
            raise ValueError(
                f"kernel 'tanimoto' is meant for features >= 0, but X has negative ones: two samples have the product "
                f"{smallest:.3g}; leave out standardize=True, or use kernel='cosine'"
            )

    def values(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> Floats:
        """Divide the products by the sizes of the unions."""
        unions = norms_rows + norms_columns
        unions -= products
        empty = unions == 0
        unions[empty] = 1
        products /= unions
        products[empty] = 1
        return np.minimum(products, 1, out=products)

    def onnx_values(self, graph: Any, products: str, norms_rows: str, norms_columns: Floats) -> str:
        """Add the nodes of the kernel to an ONNX graph."""
        unions = graph.node("Sub", graph.node("Add", norms_rows, norms_columns), products)
        is_empty = graph.node("Equal", unions, 0.0)
        ratios = graph.node("Div", products, graph.node("Where", is_empty, 1.0, unions))
        return str(graph.node("Min", graph.node("Where", is_empty, 1.0, ratios), 1.0))

    def derivatives(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> tuple[Floats, Floats]:
        """Derive <x, y> / union, where the union is |x|^2 + |y|^2 - <x, y>; two samples of zeros have the derivatives 0."""
        both = norms_rows + norms_columns
        squared = inverses(np.square(both - products))
        return both * squared, -products * squared


@register
@dataclass(frozen=True)
class ArcCosine(Kernel):
    """The arc-cosine kernel of order 1: a layer of infinitely many random ReLU units.

    With the angle t between x and y it is |x| |y| (sin t + (pi - t) cos t) / pi, which is 2 E[relu(w'x) relu(w'y)] for
    standard normal weights w (Cho and Saul, Kernel Methods for Deep Learning, 2009). It is |x|^2 for x with itself, and 0 for
    a sample of zeros with every sample.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.kernels import ArcCosine
    >>> ArcCosine().apply_symmetric(np.array([[4.0, 0.0], [0.0, 1.0]])).round(3)
    array([[4.   , 0.637],
           [0.637, 1.   ]])
    """

    name: ClassVar[str] = "arc-cosine"

    def values(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> Floats:
        """Compute the formula from the cosine of the angle."""
        lengths = np.sqrt(norms_rows) * np.sqrt(norms_columns)
        cosine = cosines(products, lengths)
        angle = np.arccos(cosine)
        values = np.sqrt((1 - cosine) * (1 + cosine))
        values += (np.pi - angle) * cosine
        values *= lengths
        values /= np.pi
        return values

    def onnx_values(self, graph: Any, products: str, norms_rows: str, norms_columns: Floats) -> str:
        """Add the nodes of the kernel to an ONNX graph."""
        node = graph.node
        cosine, lengths = _cosine_nodes(graph, products, norms_rows, norms_columns)
        sine = node("Sqrt", node("Mul", node("Sub", 1.0, cosine), node("Add", cosine, 1.0)))
        values = node("Add", sine, node("Mul", node("Sub", np.pi, graph.angle(cosine, sine)), cosine))
        return str(node("Div", node("Mul", values, lengths), np.pi))

    def diagonal(self, norms: Floats) -> Floats:
        """Give |x|^2."""
        return norms.copy()

    def derivatives(self, products: Floats, norms_rows: Floats, norms_columns: Floats) -> tuple[Floats, Floats]:
        """Compute (pi - t) / pi and |y| sin t / (2 pi |x|) with the angle t; the latter is 0 for a sample x of zeros."""
        cosine = cosines(products.copy(), np.sqrt(norms_rows) * np.sqrt(norms_columns))
        sine = np.sqrt((1 - cosine) * (1 + cosine))
        by_norms = sine * np.sqrt(norms_columns) * inverses(2 * np.pi * np.sqrt(norms_rows))
        return 1 - np.arccos(cosine) / np.pi, by_norms


def _cosine_nodes(graph: Any, products: str, norms_rows: str, norms_columns: Floats) -> tuple[str, str]:
    """Add cosines as `cosines` computes them, and the products of the lengths, to an ONNX graph."""
    lengths = graph.node("Mul", graph.node("Sqrt", norms_rows), np.sqrt(norms_columns))
    divisors = graph.node("Where", graph.node("Equal", lengths, 0.0), 1.0, lengths)
    return graph.node("Clip", graph.node("Div", products, divisors), -1.0, 1.0), lengths


def inverses(numbers: Floats) -> Floats:
    """Give 1 / numbers, and 0 for 0."""
    return np.divide(1, numbers, out=np.zeros_like(numbers), where=numbers > 0)
