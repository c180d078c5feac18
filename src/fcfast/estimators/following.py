"""Scales that follow a stream: `partial_fit` measures its portions, and the network changes its units as scales do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.estimators.initial import InitialFront
from fcfast.estimators.samples import SquaredLength
from fcfast.estimators.starts import STARTS
from fcfast.estimators.targets import ROBUST, robust_scale
from fcfast.gram.occurring import is_stored_sparse
from fcfast.sources import ArraySource, as_source
from fcfast.sources.inputs import tidy
from fcfast.sources.lengths import Lengths
from fcfast.sources.running import GROWTH, RUNNING, Followed, Moments
from fcfast.sources.scale import Scale
from fcfast.sources.scaling import Scaling
from fcfast.validation import is_auto

Array = NDArray[Any]
Floats = NDArray[np.float64]
Followers = dict[str, Followed]

YOUNG = 1000  # samples of a stream, until which the size of the weights follows their lengths

FOLLOWED = {"standardize": "inputs", "standardize_targets": "targets"}  # what parameters are about, as files name it


class FollowingFront(InitialFront):
    """A network whose samples and targets are scaled by what has been seen of a stream, which `FrontEstimator` trains."""

    _followed: Followers = {}  # noqa: RUF012  # "standardize" and "standardize_targets"; it is replaced, never changed

    def _measure(self, X: Any, y: Array, sample_weight: Floats | None, first: bool) -> None:
        """Measure raw targets, and take a portion of raw data into the scales that follow the stream."""
        if self._follows("standardize", first):
            self._refuse_fixed_units(first)
            source = as_source(tidy(X) if is_stored_sparse(X) else X)
            self._take_inputs(Moments.of(source, sample_weight), not source.is_sparse)
        if "standardize_targets" in self._automatic:
            self._measure_targets(y, sample_weight, first)

    def _take_inputs(self, moments: Moments, capped: bool) -> None:
        """Take samples into the scale of the inputs, which follows the stream."""
        inputs = self._follow("standardize", moments, capped)
        missing = inputs.mean if self.missing == "mean" else None
        self._scaling = replace(self._scaling or Scaling(None, None), inputs=inputs, missing=missing)

    def _measure_targets(self, y: Array, sample_weight: Floats | None, first: bool) -> None:
        if first and self._setting("standardize_targets") == ROBUST:
            targets = robust_scale(self._numbers(y), sample_weight)
            self._scaling = replace(self._scaling or Scaling(None, None), targets=targets)
        elif self._follows("standardize_targets", first) or (first and self._setting("standardize_targets")):
            self._take_targets(Moments.of(ArraySource(self._numbers(y)), sample_weight, "y"), first)

    def _take_targets(self, moments: Moments, first: bool) -> None:
        """Scale targets, by a scale that may follow the stream."""
        follows = self._follows("standardize_targets", first)
        scale = self._follow("standardize_targets", moments, False) if follows else moments.scale(capped=False)
        known = Scale(scale.mean, np.where(scale.is_known, scale.scale, 1.0))
        self._scaling = replace(self._scaling or Scaling(None, None), targets=known)

    def _stored_stream(self) -> Followers:
        is_kept = {"standardize": type(self._front).changes_units, "standardize_targets": True}
        return {FOLLOWED[name]: held for name, held in self._followed.items() if is_kept[name]}

    def _restore_stream(self, followed: Followers) -> None:
        self._followed = {name: followed[what] for name, what in FOLLOWED.items() if what in followed}

    def _follows(self, name: str, first: bool) -> bool:
        """Whether a scale follows the stream. Files from before version 5 have scales, but not the moments behind them."""
        return bool(self._setting(name) == RUNNING) and (first or name in self._followed)

    def _follow(self, name: str, moments: Moments, capped: bool) -> Scale:
        """Take a portion into a scale that follows the stream, and give the scale."""
        known = self._followed.get(name)
        held = Followed.start(moments, capped) if known is None else known.with_portion(moments)
        self._followed = self._followed | {name: held}  # not changed in place: an interrupted call goes back to the old one
        return held.scale

    def _numbers(self, y: Array) -> Array:
        """Give targets as an array (N, c)."""
        raise NotImplementedError

    def _refuse_fixed_units(self, first: bool) -> None:
        if not (first or type(self._front).changes_units):
            raise ValueError(
                f"standardize={RUNNING!r} changes the weights of each feature, which form {self.form_!r} does not hold; use "
                "form='windowed' or 'weights', or standardize='capped'"
            )

    def _begin_lengths(self, length: SquaredLength) -> None:
        """Note the lengths of the first portion, if rates are made for them; with given ones a stream is plain SGD."""
        follows = is_auto(self.learning_rate) and not length.is_known
        self._lengths = Lengths.start(*length.rows, length.value) if follows else None

    @property
    def _start_has_size(self) -> bool:
        """Whether the size of the initial weights is made for the lengths of samples."""
        return STARTS[self._setting("init")].size is not None

    def _follow_lengths(self, X: Any, length: SquaredLength) -> float:
        """Take a portion's lengths in, choose rates for them, and give the factor of weights that have hardly been trained."""
        before = self._lengths
        if before is None:
            return 1.0
        self._lengths = now = before.with_portion(*length.rows)
        if now.chosen == before.chosen:
            return 1.0
        if is_auto(self.learning_rate):  # it may have been given since
            self._choose_stream_rates(X, now)
        is_young = before.n_samples < YOUNG
        return float(((before.chosen or 1.0) / now.chosen) ** 0.5) if is_young and self._start_has_size else 1.0

    def _choose_stream_rates(self, X: Any, lengths: Lengths) -> None:
        """Choose the learning rate anew for the lengths of the samples so far."""
        raise NotImplementedError

    @contextmanager
    def _in_new_units(self, before: Followers, factor: float) -> Iterator[None]:
        """Change the network to the scales that are followed now, and multiply the weights of the front layer by a factor.

        If what comes then fails, change it back.
        """
        changes = [
            (before[name].scale, self._followed[name].scale)
            if name in before and before[name].scale is not self._followed[name].scale
            else None
            for name in FOLLOWED
        ]
        if changes == [None, None] and factor == 1:
            yield
            return
        network = self.network_
        kept, checkpoint = network.snapshot(), network.checkpoint()
        try:
            network.change_units(*changes)  # Ctrl-C may come between two of its lines
            network.front.multiply(factor)
            if not (1 / GROWTH < factor**2 < GROWTH or network.optimizer.rests):
                network.front.forget()  # a velocity of samples of quite another length
            yield
        except BaseException:
            network.restore(kept)
            network.resume(checkpoint)
            raise
