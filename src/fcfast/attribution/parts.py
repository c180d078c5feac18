"""Attributions of some samples to some features, and what is made of them while they are in cache."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.gram.reading import Block
from fcfast.tiles import slices

Array = NDArray[Any]
Floats = NDArray[np.float64]
Places = NDArray[np.intp]

TILE = 1 << 17  # attributions that are made together and stay in a core's cache
NONE = -1  # in place of a feature where a sample has fewer than were asked for


class Totals(NamedTuple):
    """Sums over the samples: of the attributions, and of their absolute values, of shape (K, w)."""

    signed: Floats
    absolute: Floats


class Largest(NamedTuple):
    """The largest attributions of each sample, of shape (n, K, k), in any order; features without any are `NONE`."""

    values: Array
    features: Places


class Product(NamedTuple):
    """Rows (n, K, r), and what they are multiplied by, (r, w)."""

    left: Array
    right: Block


class Radial(NamedTuple):
    """Factors (n, K) of the baseline and of x - x0, which the gradient of a kernel has in addition."""

    by_baseline: Array
    by_step: Array

    def of(self, rows: Any) -> "Radial":
        """Give those of some samples."""
        return Radial(self.by_baseline[rows], self.by_step[rows])


@dataclass(eq=False)
class DensePart:
    """Attributions of samples that are held densely.

    Attributes
    ----------
    rows : slice
        Which samples these are.
    features : ndarray of int of shape (w,)
        Which features these are.
    inputs : ndarray or CSC of shape (n, w)
        Samples.
    baseline : ndarray of shape (w,), or None
        Baseline; None is 0.
    products : list of Product
        Products that sum to the gradients.
    radial : Radial or None
    sums : ndarray of shape (n, K)
        Sums of the attributions of each sample, once they have been made.
    """

    rows: slice
    features: Places
    inputs: Any
    baseline: Array | None
    products: list[Product]
    radial: Radial | None
    sums: Floats = field(init=False)

    def _tiles(self) -> Iterator[tuple[slice, Array]]:
        """Make the attributions (m, K, w) of a few samples after the other; the array is made anew for each."""
        n_samples, n_outputs = self.products[0].left.shape[:2]
        self.sums = np.empty((n_samples, n_outputs))
        inputs = self.inputs.toarray() if sparse.issparse(self.inputs) else self.inputs
        ones = np.ones(len(self.features), inputs.dtype)  # BLAS sums faster than NumPy
        for rows in slices(n_samples, max(1, TILE // (n_outputs * len(self.features)))):
            made = self._gradients(rows).reshape(-1, n_outputs, len(self.features))
            steps = inputs[rows] if self.baseline is None else inputs[rows] - self.baseline
            if self.radial is not None:
                by_baseline, by_step = self.radial.of(rows)
                made += by_step[..., None] * steps[:, None]
                if self.baseline is not None:
                    made += by_baseline[..., None] * self.baseline
            made *= steps[:, None]
            self.sums[rows] = (made.reshape(-1, len(self.features)) @ ones).reshape(-1, n_outputs)
            yield rows, made

    def _gradients(self, rows: slice) -> Array:
        first, *others = (_multiplied(left[rows].reshape(-1, left.shape[2]), right) for left, right in self.products)
        for product in others:
            first += product
        return first

    def totals(self) -> Totals:
        """Sum over the samples."""
        signed, absolute = np.zeros((2, self.products[0].left.shape[1], len(self.features)))
        for _, made in self._tiles():
            ones, flat = np.ones(len(made), made.dtype), made.reshape(len(made), -1)
            signed += (ones @ flat).reshape(signed.shape)
            absolute += (ones @ np.abs(flat, out=flat)).reshape(absolute.shape)
        return Totals(signed, absolute)

    def array(self) -> Array:
        """Give all attributions (n, K, w)."""
        return np.concatenate([made for _, made in self._tiles()])

    def largest(self, k: int) -> Largest:
        """Give the k attributions of each sample with the largest absolute values, or all if there are no more."""
        return joined([largest_of(made, self.features, k) for _, made in self._tiles()])

    def grouped(self, groups: Any) -> Floats:
        """Give the sums (n, K, g) over groups of features, from a sparse matrix (w, g) with 1 for each member."""
        members = groups.T.tocsr()
        n_outputs = self.products[0].left.shape[1]
        sums = [(members @ made.reshape(-1, made.shape[2]).T).T for _, made in self._tiles()]
        return np.concatenate(sums).reshape(len(self.sums), n_outputs, groups.shape[1])


@dataclass(eq=False)
class SparsePart:
    """Attributions of sparse samples for the baseline 0, which are 0 wherever a sample has no entry.

    Attributes
    ----------
    rows, features, products, radial, sums
        The same as for `DensePart`.
    inputs : CSC of shape (n, w)
        Samples.
    """

    rows: slice
    features: Places
    inputs: Any
    products: list[Product]
    radial: Radial | None
    sums: Floats = field(init=False)

    def _made(self) -> tuple[Array, Places, Places]:
        """Make the attributions (e, K) of all entries, and give their rows and columns."""
        rows, columns = self.inputs.indices, np.repeat(np.arange(len(self.features)), np.diff(self.inputs.indptr))
        n_samples, n_outputs = self.products[0].left.shape[:2]
        values = self.inputs.data[:, None]
        made = np.zeros((len(rows), n_outputs), values.dtype)
        for left, right in self.products:
            by_feature = np.ascontiguousarray((right.toarray() if sparse.issparse(right) else right).T)
            for part in slices(len(rows), max(1, TILE // (n_outputs * left.shape[2]))):
                made[part] += np.einsum("ekr,er->ek", left[rows[part]], by_feature[columns[part]])
        if self.radial is not None:
            made += self.radial.by_step[rows] * values
        made *= values
        self.sums = np.stack([np.bincount(rows, numbers, n_samples) for numbers in made.T], axis=1)
        return made, rows, columns

    def totals(self) -> Totals:
        """Sum over the samples."""
        made, _, columns = self._made()
        n = len(self.features)
        signed = np.array([np.bincount(columns, numbers, n) for numbers in made.T])
        return Totals(signed, np.array([np.bincount(columns, numbers, n) for numbers in np.abs(made).T]))

    def array(self) -> list[Any]:
        """Give all attributions, a CSC of shape (n, w) for each output."""
        made = self._made()[0]
        places = self.inputs.indices, self.inputs.indptr
        return [sparse.csc_array((numbers.copy(), *places), shape=self.inputs.shape) for numbers in made.T]

    def largest(self, k: int) -> Largest:
        """Give the k attributions of each sample with the largest absolute values, or all if it has no more entries."""
        made, rows, columns = self._made()
        n_samples, n_outputs = self.products[0].left.shape[:2]
        values = np.zeros((n_samples, n_outputs, k), made.dtype)
        features = np.full(values.shape, NONE, np.intp)
        firsts = np.cumsum(np.bincount(rows, minlength=n_samples)) - np.bincount(rows, minlength=n_samples)
        for output, numbers in enumerate(made.T):
            order = np.lexsort((-np.abs(numbers), rows))
            own = rows[order]
            rank = np.arange(len(own)) - firsts[own]
            kept = rank < k
            place = own[kept], output, rank[kept]
            values[place], features[place] = numbers[order][kept], self.features[columns[order][kept]]
        return Largest(values, features)

    def grouped(self, groups: Any) -> Floats:
        """Give the sums (n, K, g) over groups of features, from a sparse matrix (w, g) with 1 for each member."""
        return np.stack([(part @ groups).toarray() for part in self.array()], axis=1)


Part = DensePart | SparsePart


def _multiplied(left: Array, right: Block) -> Array:
    return np.ascontiguousarray((right.T @ left.T).T) if sparse.issparse(right) else left @ right


def largest_of(values: Array, features: Places, k: int) -> Largest:
    """Keep the k values (..., k) of the largest absolute values; `features` has the shape (w,) or that of the values."""
    everywhere = np.broadcast_to(features, values.shape)
    if values.shape[-1] <= k:
        return Largest(values, everywhere)
    kept = np.argpartition(np.abs(values), -k, axis=-1)[..., -k:]
    return Largest(np.take_along_axis(values, kept, axis=-1), np.take_along_axis(everywhere, kept, axis=-1))


def joined(found: list[Largest]) -> Largest:
    """Join those of several samples."""
    return Largest(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))


def merged(one: Largest, other: Largest, k: int) -> Largest:
    """Keep the largest of two sets of features of the same samples."""
    values, features = (np.concatenate(arrays, axis=-1) for arrays in zip(one, other, strict=True))
    return largest_of(values, features, k)
