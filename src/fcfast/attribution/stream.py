"""All attributions of some samples, made for a few features at a time and never held together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.attribution.parts import DensePart, Part, Product, Radial, SparsePart
from fcfast.front.pullback import Opened, Read, Term, opened
from fcfast.gram import budget
from fcfast.gram.occurring import all_occurring, is_sparse, within
from fcfast.gram.reading import Reader, row_readers
from fcfast.sharing import sharing
from fcfast.sources.protocol import Source
from fcfast.threads import resolve_n_jobs
from fcfast.tiles import slices

Array = NDArray[Any]
Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Result = TypeVar("Result")

PART = 512  # features that a thread makes at a time, so that their weights stay in its cache


@dataclass(frozen=True, eq=False)
class FeatureStream:
    """Attributions ``(x - x0) * gradient`` of M samples to d features, for K outputs.

    Attributes
    ----------
    X : ndarray, memmap, sparse or Source of shape (M, d)
        Samples as the network takes them.
    baseline : ndarray of shape (d,), or None
        Baseline x0; None is 0.
    terms : list of Term
        Products that sum to the mean gradients; the rows on the left have the shape (M, K, r).
    radial : Radial or None
        What the gradients of a kernel have in addition.
    expected, tolerance : ndarray of shape (M, K)
        Sums over all features, and how far rounding may move them.
    dtype : dtype
        Precision of the attributions.
    n_jobs : int or None
        Number of threads.
    """

    X: Any
    baseline: Array | None
    terms: list[Term]
    radial: Radial | None
    expected: Floats
    tolerance: Floats
    dtype: np.dtype[Any]
    n_jobs: int | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of samples, of outputs and of features."""
        return (*self.expected.shape, self.X.shape[1])

    @property
    def is_sparse(self) -> bool:
        """Whether attributions are 0 wherever a sample has no entry."""
        return is_sparse(self.X) and self.baseline is None

    @property
    def touched(self) -> Places | None:
        """The features, in rising order, that may have an attribution other than 0; None if these may be most."""
        if not is_sparse(self.X):
            return None
        columns = all_occurring(self.X)
        if self.baseline is not None:
            columns = np.union1d(columns, np.flatnonzero(self.baseline))
        return columns.astype(np.intp) if 2 * len(columns) <= self.X.shape[1] else None

    def of_rows(self, rows: Places | slice) -> "FeatureStream":
        """Give the same for some samples."""
        X = self.X.tocsr()[rows] if sparse.issparse(self.X) else self.X[rows]
        terms = [Term(term.left[rows], term.rows) for term in self.terms]
        radial = None if self.radial is None else self.radial.of(rows)
        return replace(self, X=X, terms=terms, radial=radial, expected=self.expected[rows], tolerance=self.tolerance[rows])

    def each(self, reduce: Callable[[Part], Result]) -> Iterator[tuple[Part, Result]]:
        """Make the attributions part by part, in a fixed order, and give what is made of each.

        Raises
        ------
        RuntimeError
            At the end, if the attributions do not have the sums that they should have.
        """
        sums = np.zeros(self.expected.shape)

        def reduced(task: Callable[[], Part]) -> tuple[Part, Result]:
            part = task()
            return part, reduce(part)

        with sharing(resolve_n_jobs(self.n_jobs)) as run:
            for block in self._blocks():
                for part, result in run(reduced, block.parts()):
                    sums[part.rows] += part.sums
                    yield part, result
        self._check(sums)

    def _check(self, sums: Floats) -> None:
        wrong = ~(np.abs(sums - self.expected) <= self.tolerance)
        if wrong.any():
            sample, output = np.argwhere(wrong)[0].tolist()
            raise RuntimeError(
                f"the attributions of sample {sample} sum to {sums[sample, output]:.6g} and not to "
                f"{self.expected[sample, output]:.6g}: X was changed after attribute was called, or its values are so large "
                f"beside their differences that {self.dtype} loses these; call attribute again, or scale X"
            )

    def _blocks(self) -> Iterator["OpenBlock"]:
        """Read samples and weights, a block of features at a time."""
        columns = self.touched
        X = self.X if columns is None else within(self.X, columns)
        features = np.arange(self.X.shape[1]) if columns is None else columns
        baseline = None if self.baseline is None else np.asarray(self.baseline[features], self.dtype)
        factors = [term.rows.opened(columns) for term in self.terms]
        for rows, inputs in self._opened(X):
            for block in slices(len(features), min(inputs.width, *(factor.width for factor in factors))):
                reads = [factor.read(block) for factor in factors]
                yield OpenBlock(self, rows, features, baseline, block, inputs.read(block), reads)

    def _opened(self, X: Any) -> Iterator[tuple[slice, Opened]]:
        """Give ranges of samples, and how to read them; sparse samples are read together."""
        if self.is_sparse:
            read = X.read(slice(0, X.shape[1])) if isinstance(X, Source) else X
            held: Any = sparse.csc_array(read, dtype=self.dtype, copy=True)
            held.sum_duplicates()
            yield slice(0, X.shape[0]), opened(Reader(held.shape, budget.MAX_SIDE, lambda features: held[:, features]))
            return
        for rows, reader in row_readers(X, budget.MIN_SIDE, self.dtype):
            yield rows, opened(reader)


@dataclass(frozen=True, eq=False)
class OpenBlock:
    """A block of features of some samples that has been read.

    Attributes
    ----------
    stream : FeatureStream
    rows : slice
        Samples.
    features : ndarray of int
        All features that are touched; `block` is a range of them.
    baseline : ndarray or None
        Baseline of these.
    block : slice
    inputs : callable
        Gives the samples (n, w) in any part of the block.
    reads : list of callable
        Give the rows (r, w) of each term.
    """

    stream: FeatureStream
    rows: slice
    features: Places
    baseline: Array | None
    block: slice
    inputs: Read
    reads: list[Read]

    def parts(self) -> list[Callable[[], Part]]:
        """Give functions that make the parts, which threads share."""
        return [partial(self._part, where) for where in slices(self.block.stop, PART, self.block.start)]

    def _part(self, where: slice) -> Part:
        stream = self.stream
        products = [Product(term.left[self.rows], read(where)) for term, read in zip(stream.terms, self.reads, strict=True)]
        radial = None if stream.radial is None else stream.radial.of(self.rows)
        features, inputs = self.features[where], self.inputs(where)
        if stream.is_sparse:
            return SparsePart(self.rows, features, inputs, products, radial)
        return DensePart(self.rows, features, inputs, None if self.baseline is None else self.baseline[where], products, radial)
