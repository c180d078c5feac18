"""The attributions of a network's outputs to features: made by blocks, ranked, and summed over groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast import validation
from fcfast.attribution.facts import Block, Facts
from fcfast.attribution.groups import GroupSums, Members
from fcfast.attribution.parts import NONE, Largest, Part, Totals, merged
from fcfast.attribution.ranking import Ranking, names_of, ranked, stacked
from fcfast.attribution.stream import FeatureStream

Array = NDArray[Any]
Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(eq=False)
class Attributions:
    """Attributions of an output to the features of M samples, which are made anew in every pass, a few features at a time.

    `FrontClassifier.attribute` and `FrontRegressor.attribute` make it. No method but `to_array` holds all attributions. It
    refers to the samples; if these are changed, the methods raise a RuntimeError, because the sums do not fit any more.

    With ``output="all"`` arrays have one more axis at the end, for the outputs.

    Attributes
    ----------
    shape : tuple of int
        (M, d), or (M, d, c).
    method, baseline : str
        Method, and kind of the baseline.
    feature_names : sequence of str or None
        Names of the features, if they are known.
    labels_ : ndarray of shape (M,), or (c,)
        What is attributed: for a classifier the class of each sample, for a regression the number of the output.
    outputs_, baseline_outputs_ : ndarray of shape (M,), or (M, c)
        The outputs that are attributed, for the samples and for the baseline.
    sums_ : ndarray of shape (M,), or (M, c)
        Sums of the attributions over all features.
    completeness_error_ : ndarray of shape (M,), or (M, c)
        `sums_` less the difference between `outputs_` and `baseline_outputs_`.
    steps_ : ndarray of int of shape (M,)
        Number of gradients that were computed for each sample; 1 where the integral is known in closed form.
    importance_, mean_ : ndarray of shape (d,), or (d, c)
        Means over the samples of the absolute attributions, and of the attributions; a pass over all features makes both.
    """

    _stream: FeatureStream
    _facts: Facts
    _totals: Totals | None = field(default=None, init=False, repr=False)
    _features: Places = field(init=False, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of samples and features, and of outputs if there is an axis for them."""
        n_samples, n_outputs, n_features = self._stream.shape
        return (n_samples, n_features, n_outputs) if self._facts.has_axis else (n_samples, n_features)

    @property
    def method(self) -> str:
        """Method."""
        return self._facts.method

    @property
    def baseline(self) -> str:
        """Kind of the baseline."""
        return self._facts.baseline

    @property
    def feature_names(self) -> Sequence[str] | None:
        """Names of the features."""
        return self._facts.feature_names

    @property
    def labels_(self) -> Array:
        """What is attributed."""
        return self._facts.labels

    @property
    def outputs_(self) -> Floats:
        """The outputs for the samples."""
        return self._squeezed(self._facts.outputs)

    @property
    def baseline_outputs_(self) -> Floats:
        """The outputs for the baseline."""
        return self._squeezed(self._facts.baseline_outputs)

    @property
    def sums_(self) -> Floats:
        """Sums over all features."""
        return self._squeezed(self._facts.sums)

    @property
    def completeness_error_(self) -> Floats:
        """The sums less the differences of the outputs."""
        facts = self._facts
        return self._squeezed(facts.sums - (facts.outputs - facts.baseline_outputs))

    @property
    def steps_(self) -> NDArray[np.intp]:
        """Number of gradients for each sample."""
        return self._facts.steps

    def _squeezed(self, array: Array) -> Array:
        """Leave out the axis of outputs, which is the last one, unless all are attributed."""
        return array if self._facts.has_axis else array[..., 0]

    # ------------------------------------------------------------------------------------------------------------------
    # passes over the features

    def blocks(self) -> Iterator[Block]:
        """Make the attributions, a few hundred features at a time.

        Features without an entry in sparse samples are left out where the baseline is 0 for them: their attributions are 0.

        Yields
        ------
        Block
            Samples, features and values. With many samples there are several blocks for the same features.
        """
        for part, made in self._stream.each(lambda part: part.array()):
            if isinstance(made, list):
                values: Any = made if self._facts.has_axis else made[0]
            else:
                values = np.moveaxis(made, 1, 2) if self._facts.has_axis else made[:, 0]
            yield Block(part.rows, part.features, values)

    def to_array(self) -> Any:
        """Give all attributions, of the shape `shape`; this takes as much memory as the samples, or c times as much.

        Returns
        -------
        ndarray
            Attributions. For sparse samples and the baseline 0 a CSR array, or a list of c of them.
        """
        if self._stream.is_sparse:
            return self._sparse_array()
        made = np.zeros(self.shape, self._stream.dtype)
        for rows, features, values in self.blocks():
            made[rows, _as_slice(features)] = values
        return made

    def _sparse_array(self) -> Any:
        n_samples, n_outputs, n_features = self._stream.shape
        found: list[list[Any]] = [[] for _ in range(n_outputs)]
        features = []
        for part, made in self._stream.each(lambda part: part.array()):
            features.append(part.features)
            for held, array in zip(found, made, strict=True):
                held.append(array)
        places = np.concatenate(features)
        arrays = []
        for held in found:
            narrow = sparse.csr_array(sparse.hstack(held, format="csr"))
            wide = sparse.csr_array((narrow.data, places[narrow.indices], narrow.indptr), shape=(n_samples, n_features))
            arrays.append(wide)
        return arrays if self._facts.has_axis else arrays[0]

    @property
    def importance_(self) -> Floats:
        """Means of the absolute attributions."""
        return self._of_all_features(self._means.absolute)

    @property
    def mean_(self) -> Floats:
        """Means of the attributions."""
        return self._of_all_features(self._means.signed)

    def _of_all_features(self, means: Floats) -> Floats:
        """Give means (K, t) of touched features as an array with 0 for all others."""
        _, n_outputs, n_features = self._stream.shape
        whole = np.zeros((n_features, n_outputs))
        whole[self._features] = means.T
        return self._squeezed(whole)

    @property
    def _means(self) -> Totals:
        """The means over the samples for the features that are touched, which `_features` are."""
        if self._totals is None:
            n_samples, n_outputs, n_features = self._stream.shape
            touched = self._stream.touched
            features = np.arange(n_features) if touched is None else touched
            means = Totals(*np.zeros((2, n_outputs, len(features))))
            for part, made in self._stream.each(lambda part: part.totals()):
                own = _as_slice(np.searchsorted(features, part.features))
                for mean, total in zip(means, made, strict=True):
                    mean[:, own] += total / n_samples
            self._features, self._totals = features, means
        return self._totals

    def top(self, k: int = 20, sample: Any = None) -> Ranking:
        """Rank the features, over all samples or for single samples.

        Rankings of wide data are unstable: another draw of the training samples may give another one.
        `fcfast.attribution.stability` says by how much.

        Parameters
        ----------
        k : int
            Number of features; all if there are no more. Features without an entry in sparse samples may be left out.
        sample : int, slice, sequence of int or None
            None ranks by the mean absolute attribution over all samples. Otherwise the features are ranked for these samples,
            each by itself; ``slice(None)`` are all.

        Returns
        -------
        Ranking
            Over all samples: the columns "rank", "feature" (number), "name", "importance" (mean absolute attribution), "mean"
            (mean attribution) and "share" of the importance of all features. For single samples: "sample", "rank", "feature",
            "name" and "attribution"; features of sparse samples with an attribution of 0 are left out. All outputs have a
            column "output" in addition. Features without names are called x0, x1, ... as in scikit-learn.

        Raises
        ------
        ValueError, TypeError, IndexError
            If `k` is below 1, or there is no such sample.
        """
        validation.integer(k, "k", 1)
        if sample is not None:
            return self._top_of_samples(k, sample)
        means = self._means
        pairs = zip(means.absolute, means.signed, strict=True)
        rankings = [ranked(self._features, *pair, self.feature_names, k) for pair in pairs]
        return stacked(rankings, "output", self.labels_.tolist()) if self._facts.has_axis else rankings[0]

    def _top_of_samples(self, k: int, sample: Any) -> Ranking:
        n_samples = self.shape[0]
        if isinstance(sample, (str, bool, float)):
            raise TypeError(f"sample must be a number of a sample, a slice or a sequence of numbers, got {sample!r}")
        try:
            samples = np.atleast_1d(np.arange(n_samples)[sample])
        except IndexError as error:
            raise IndexError(f"sample={sample!r} is no sample; there are {n_samples}, counted from 0") from error
        if samples.ndim > 1:
            raise ValueError(f"sample must be a number of a sample, a slice or a sequence of numbers, got {sample!r}")
        if not len(samples):
            raise ValueError(f"sample={sample!r} are no samples; there are {n_samples}")
        found = self._largest(samples, min(k, self.shape[1]))
        rankings = [self._ranked_each(samples, *arrays) for arrays in zip(*(np.moveaxis(a, 1, 0) for a in found), strict=True)]
        return stacked(rankings, "output", self.labels_.tolist()) if self._facts.has_axis else rankings[0]

    def _largest(self, samples: Places, k: int) -> Largest:
        """Give the largest attributions (n, K, k) of some samples, each sample's in falling order."""
        stream = self._stream.of_rows(_as_slice(samples))
        found: dict[int, Largest] = {}
        for part, made in stream.each(lambda part: part.largest(k)):
            start = part.rows.start
            found[start] = merged(found[start], made, k) if start in found else made
        values, features = (np.concatenate(arrays) for arrays in zip(*(found[start] for start in sorted(found)), strict=True))
        order = np.lexsort((features, -np.abs(values)), axis=-1)
        return Largest(np.take_along_axis(values, order, axis=-1), np.take_along_axis(features, order, axis=-1))

    def _ranked_each(self, samples: Places, values: Array, features: Places) -> Ranking:
        n_samples, k = values.shape
        there = (features != NONE).ravel()
        chosen = features.ravel()[there]
        return Ranking({
            "sample": np.repeat(samples, k)[there], "rank": np.tile(np.arange(1, k + 1), n_samples)[there], "feature": chosen,
            "name": names_of(chosen, self.feature_names), "attribution": values.ravel()[there].astype(np.float64),
        })  # fmt: skip

    def by_group(self, groups: Any, unknown: str = "error") -> GroupSums:
        """Sum the attributions over groups of features, such as pathways or chromosomes.

        Parameters
        ----------
        groups : mapping, or array-like of shape (d,)
            A mapping from the name of each group to its features, by number, name or mask; a feature may belong to several
            groups, or to none, and counts once in each. Or the label of the group that each feature belongs to.
        unknown : {"error", "ignore"}
            What to do about names that are no features.

        Returns
        -------
        GroupSums

        Raises
        ------
        ValueError, TypeError
            If the groups are empty or have unknown members, or if there is not one label for each feature.
        """
        members = Members.of(groups, self.shape[1], self.feature_names, unknown)
        n_samples, n_outputs, _ = self._stream.shape
        sums = np.zeros((n_samples, n_outputs, len(members.names)))

        def grouped(part: Part) -> tuple[Places, Floats]:
            own = members.matrix[part.features]
            present = np.unique(own.indices)  # few of the groups have members in a few features
            return present, part.grouped(own[:, present])

        for part, (present, made) in self._stream.each(grouped):
            sums[part.rows, :, present] += made
        values = np.moveaxis(sums, 1, 2) if self._facts.has_axis else sums[:, 0]
        return GroupSums(members.names, members.sizes, values, self.labels_.tolist())

    def __repr__(self) -> str:
        error = float(np.abs(self.completeness_error_).max(initial=0))
        return (
            f"<Attributions of shape {self.shape}: {self.method}, baseline {self.baseline!r}, largest completeness error "
            f"{error:.2g}>"
        )


def _as_slice(places: Places) -> Places | slice:
    """Give a slice in place of numbers that follow one another, so that nothing is copied."""
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if np.array_equal(places, np.arange(first, last + 1)) else places
