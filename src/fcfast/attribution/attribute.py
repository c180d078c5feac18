"""Attributions of a network's outputs to the features of samples."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.attribution import path
from fcfast.attribution.curved import KernelPath
from fcfast.attribution.facts import Facts
from fcfast.attribution.outputs import Chosen, chosen_outputs
from fcfast.attribution.parts import Radial
from fcfast.attribution.result import Attributions
from fcfast.attribution.stream import FeatureStream
from fcfast.attribution.upper import Floats, Places, Upper
from fcfast.errors import frames_within
from fcfast.front.base import FrontForm
from fcfast.front.pullback import Term, by_samples
from fcfast.gram.object import Gram
from fcfast.gram.occurring import is_sparse
from fcfast.kernels import Kernel
from fcfast.threads import one_blas_thread
from fcfast.validation import is_auto

Array = NDArray[Any]

INTEGRATED, GRADIENT = "integrated_gradients", "gradient_x_input"
METHODS = (INTEGRATED, GRADIENT)
WARNED = 0.01  # error of the sums, relative to the mean difference of the outputs, that a warning tells of
LOST = 0.01  # share of the size of a sum that its parts may lack
ROUNDED = 1000  # errors of rounding that the pre-activations behind a sum may have


class AttributionWarning(RuntimeWarning):
    """Attributions do not sum to the differences of the outputs, because they had too few steps."""


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Attributes
    ----------
    method : {"integrated_gradients", "gradient_x_input"}
    steps : int or None
        Number of steps; None is as many as are needed.
    output : object
        As `chosen_outputs` takes it.
    """

    method: str
    steps: int | None
    output: Any

    @classmethod
    def of(cls, method: str, steps: Any, output: Any) -> "Asked":
        """Check the arguments.

        Raises
        ------
        ValueError, TypeError
            If one of them is invalid.
        """
        validation.choice(method, "method", METHODS)
        if is_auto(steps):
            return cls(method, None, output)
        if isinstance(steps, str):
            raise ValueError(f"steps must be a number of steps or 'auto', got {steps!r}")
        validation.integer(steps, "steps", 1)
        if method == GRADIENT:
            raise ValueError(f"method={GRADIENT!r} takes one gradient, at the sample; leave out steps={steps!r}")
        return cls(method, int(steps), output)


class Pulled(NamedTuple):
    """Mean gradients with respect to the features, in parts that are multiplied block by block.

    Attributes
    ----------
    terms : list of Term
    radial : Radial or None
    sums, tolerance : ndarray of shape (M, K)
        Sums of the attributions, and how far rounding may move them.
    steps : ndarray of int of shape (M,)
    """

    terms: list[Term]
    radial: Radial | None
    sums: Floats
    tolerance: Floats
    steps: NDArray[np.intp]


def refuse_without_features(gram: Gram | None) -> None:
    """Raise a ValueError if the training samples of a network say nothing about features."""
    if gram is None:
        return
    kernel = gram.kernel
    if not gram.has_features:
        raise ValueError(
            "attribute needs features, but the training samples of this network are known by their products alone; fit on "
            "features, on a Gram of them, or on Gram.load(path, X=features)"
        )
    if not kernel.has_weights and kernel.derivatives is None:
        why = "compares samples of any kind" if not kernel.takes_features else "defines no derivatives()"
        raise ValueError(
            f"attribute needs the kernel's derivatives with respect to the features, but kernel {kernel.name!r} {why}; use "
            "kernel='linear' or another named kernel, or explain, which splits pre-activations by training sample"
        )


def attributions_of(
    front: FrontForm,
    upper: Upper,
    bias: Array,
    X: Any,
    baseline: tuple[Array | None, str],
    asked: Asked,
    classes: Array | None,
    one_each: bool,
    feature_names: Any,
    check: Callable[..., None],
    n_jobs: int | None,
) -> Attributions:
    """Follow the paths from the baseline to each sample, and give the attributions, of which none has been made yet.

    Parameters
    ----------
    front : FrontForm
        Front layer.
    upper : Upper
        Layers above.
    bias : ndarray of shape (h,)
        Biases of the front layer.
    X : ndarray, memmap, sparse or Source of shape (M, d)
        Samples as the network takes them.
    baseline : tuple
        Baseline (d,) or None for 0, and its kind.
    asked : Asked
    classes : ndarray or None
        Classes of a classifier.
    one_each : bool
        Whether each sample has one of the classes.
    feature_names : sequence of str or None
    check : callable
        Raises an error unless arrays are finite.
    n_jobs : int or None
        Number of threads.

    Warns
    -----
    AttributionWarning
        If the sums of integrated gradients are off by more than `WARNED`.
    """
    x0, kind = baseline
    gram = front.gram
    with one_blas_thread():
        line: _Line | _Curve
        if gram is None or gram.has_weights:
            line = _Line.of(front, upper, bias, X, x0)
        else:
            line = _Curve.of(front, upper, bias, X, x0, n_jobs)
        outputs, start = line.outputs(), line.start_outputs()
        check(outputs, start)
        chosen = chosen_outputs(asked.output, outputs, classes, one_each)
        pulled = line.pulled(chosen, asked, entrywise=is_sparse(X) and x0 is None)
    facts = Facts(
        asked.method, kind, feature_names, chosen.labels, chosen.has_axis, np.take_along_axis(outputs, chosen.places, axis=1),
        start[chosen.places], pulled.sums, pulled.steps,
    )  # fmt: skip
    if asked.method == INTEGRATED:
        _warn(facts)
    stream = FeatureStream(X, x0, pulled.terms, pulled.radial, pulled.sums, pulled.tolerance, front.base.dtype, n_jobs)
    return Attributions(stream, facts)


def _warn(facts: Facts) -> None:
    differences = facts.outputs - facts.baseline_outputs
    errors = np.abs(facts.sums - differences)
    typical = float(np.abs(differences).mean())
    rounding = ROUNDED * float(np.finfo(np.float64).eps) * (np.abs(facts.outputs) + np.abs(facts.baseline_outputs))
    n_off = int((errors > WARNED * typical + rounding).any(axis=1).sum())
    if n_off:
        warnings.warn(
            f"the attributions of {n_off} of {len(errors)} samples do not sum to the difference of their outputs from those of "
            f"the baseline: they are off by up to {errors.max():.2g}, with {int(facts.steps.max())} steps, and the mean "
            f"difference is {typical:.2g}; use more steps",
            AttributionWarning,
            stacklevel=1 + frames_within(),
        )


@dataclass(frozen=True, eq=False)
class _Line:
    """A front layer with weights: pre-activations are straight lines along a path."""

    front: FrontForm
    upper: Upper
    S: Floats
    start: Floats

    @classmethod
    def of(cls, front: FrontForm, upper: Upper, bias: Array, X: Any, x0: Array | None) -> "_Line":
        if x0 is None:
            start = np.zeros(len(bias)) if front.offset is None else np.asarray(front.offset, np.float64)
        else:
            start = np.asarray(front.preactivations(x0[None])[0], np.float64)
        biases = np.asarray(bias, np.float64)
        return cls(front, upper, np.asarray(front.preactivations(X), np.float64) + biases, start + biases)

    def outputs(self) -> Floats:
        return self.upper.outputs(self.S)

    def start_outputs(self) -> Floats:
        return self.upper.outputs(self.start)

    def pulled(self, chosen: Chosen, asked: Asked, entrywise: bool) -> Pulled:
        gradients, steps = self._integral(chosen.places, asked)
        moves, sizes = self.S - self.start, np.abs(self.S) + np.abs(self.start)
        sums = np.einsum("mkh,mh->mk", gradients, moves)
        moved, sized = (np.einsum("mkh,mh->mk", np.abs(gradients), size) for size in (np.abs(moves), sizes))
        dtype = self.front.base.dtype
        terms = self.front.pulled_back(gradients.astype(dtype), entrywise)
        return Pulled(terms, None, sums, _tolerance(moved, sized, dtype), steps)

    def _integral(self, places: Places, asked: Asked) -> path.Integral:
        if asked.method == GRADIENT:
            return path.last_gradient(self.upper, self.S, places)
        if asked.steps is None:
            return path.exact(self.upper, self.start, self.S, places)
        return path.summed(self.upper, self.start, self.S, places, asked.steps)


@dataclass(frozen=True, eq=False)
class _Curve:
    """A front layer of a kernel."""

    gram: Gram
    upper: Upper
    path: KernelPath

    @classmethod
    def of(cls, front: FrontForm, upper: Upper, bias: Array, X: Any, x0: Array | None, n_jobs: int | None) -> "_Curve":
        assert front.gram is not None  # kernels are held by contributions
        assert front.contributions is not None
        assert isinstance(front.gram.kernel, Kernel)  # others have no derivatives
        if x0 is None and front.gram.kernel.jumps_at_zero:
            raise ValueError(
                f"the baseline is 0 once samples are scaled, where the {front.gram.kernel_name} kernel jumps, because 0 has no "
                "direction; give another baseline, such as a sample"
            )
        offset = 0.0 if front.offset is None else front.offset
        return cls(front.gram, upper, KernelPath.of(front.gram, front.contributions, bias + offset, X, x0, n_jobs))

    def outputs(self) -> Floats:
        return self.upper.outputs(self.path.preactivations(1.0, slice(None)))

    def start_outputs(self) -> Floats:
        return self.upper.outputs(self.path.preactivations(0.0, slice(1)))[0]

    def pulled(self, chosen: Chosen, asked: Asked, entrywise: bool) -> Pulled:
        dtype = self.gram.dtype
        found = self.path.integral(self.upper, chosen.places, asked.steps, at_end=asked.method == GRADIENT)
        terms = [by_samples(found.by_samples.astype(dtype), self.gram.X, dtype)]
        radial = Radial(found.by_baseline.astype(dtype), found.by_step.astype(dtype))
        return Pulled(terms, radial, found.sums, _tolerance(*self.path.sizes(found), dtype), found.steps)


def _tolerance(moved: Floats, sized: Floats, dtype: np.dtype[Any]) -> Floats:
    """Say how far sums may be off, from the sizes of their terms and of the numbers that these are differences of."""
    limits = np.finfo(dtype)
    return LOST * moved + ROUNDED * float(limits.eps) * sized + float(limits.tiny)
