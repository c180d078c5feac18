"""What contributions are good for after training: pre-activations of new data, conventional weights, explanations.

The front layer is ``W1 = c W1(0) + A' X``. It starts either from weights W1(0), which are a function of feature and unit, or in
the span of the training samples, W1(0) = A(0)' X. Then W1 = (A + c A(0))' X refers to the samples alone, and X may be replaced
by the feature space of any kernel.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast.front.pullback import Term, WeightRows, by_contributions
from fcfast.front.scored import Scored
from fcfast.gram.held import refuse_overflow
from fcfast.gram.object import Gram
from fcfast.gram.occurring import ChosenWeights, all_occurring, within
from fcfast.gram.products import (
    cross_gram_and_preactivations,
    expand,
    initial_preactivations,
    lazily_expanded,
    preactivations_by_weights,
    preactivations_of,
)
from fcfast.gram.scattered import ScatteredWeights
from fcfast.gram.start import GivenWeights, InitialWeights, NoWeights, SpanStart
from fcfast.gram.work import Work
from fcfast.threads import one_blas_thread

Array = NDArray[Any]

KEPT_BYTES = 128 << 20  # largest size of expanded weights that are kept for predictions


class Contributed:
    """The weights of contributions, as a function of the contributions A and of the factor c of the initial weights.

    Parameters
    ----------
    gram : Gram
        Training samples.
    initial : InitialWeights
        Initial weights W1(0); `NoWeights` for a start in the span.
    start : ndarray of shape (N, h), or None
        Contributions A(0) that a start in the span begins with.
    is_own : bool
        Whether the products were made for these contributions alone, so that copies of them depend on the inputs.
    """

    def __init__(self, gram: Gram, initial: InitialWeights, start: Array | None, is_own: bool) -> None:
        self.gram, self.initial, self.start, self.is_own = gram, initial, start, is_own
        self._is_finished = False
        self._weights: Array | None = None
        self._scored: Scored | None = None

    @classmethod
    def given(cls, gram: Gram, start: Array, n_features: int) -> tuple["Contributed", Array, Array]:
        """Start from contributions A(0) = `start`; give products and initial pre-activations, too, as `starting` does."""
        G = gram.matrix
        return cls(gram, NoWeights(start.shape[1], n_features), start, is_own=True), G, np.asarray(G @ start)

    @property
    def is_kept(self) -> bool:
        """Whether predictions use conventional weights, which are small enough to be kept after training."""
        n_bytes = self.initial.n_hidden * self.initial.n_features * self.gram.dtype.itemsize
        return self._is_finished and self.gram.has_weights and n_bytes <= KEPT_BYTES

    def uses_weights_for(self, X: Any) -> bool:
        """Whether predictions for X use conventional weights.

        Rows of a Gram matrix have their products already, and other products may cost less than weights that are kept.
        """
        if not self.is_kept or (isinstance(X, Gram) and self.start is not None):
            return False
        initial = self.initial
        if self.gram.is_elsewhere:  # products would read the training samples there again
            return True
        return not Work(X.shape[0], len(self.gram), initial.n_features, initial.n_hidden, initial.is_zero).suits_products

    def features_of(self, X: Any) -> Any:
        """Give the features of new data, which may be rows of the Gram matrix of the training samples."""
        if not isinstance(X, Gram):
            return X
        self.gram.refuse_others(X)
        return X.X

    @classmethod
    def starting(
        cls, X: Any, initial: InitialWeights | SpanStart, dtype: np.dtype[Any], n_jobs: int | None
    ) -> tuple["Contributed", Array, Array]:
        """Start from training samples X, a `Gram` or validated features.

        Returns
        -------
        Contributed
        G : ndarray of shape (N, N)
            Products of the samples with each other, which a view of a `Gram` copies whenever it is asked.
        S0 : ndarray of shape (N, h)
            Initial pre-activations.
        """
        gram, is_own = (X, False) if isinstance(X, Gram) else (None, True)
        if isinstance(initial, SpanStart):
            gram = Gram.of(X, None, dtype, n_jobs)[0] if gram is None else gram
            G = gram.matrix
            S0, start = initial.draw(G)
            none = NoWeights(initial.n_hidden, initial.n_features)
            return cls(gram, none, start.astype(dtype, copy=False), is_own), G, S0.astype(dtype, copy=False)
        if gram is not None and gram.is_centred:
            raise ValueError(
                "X is a centred Gram matrix, on which a network starts in the span of the samples; use init='span'"
            )
        if gram is None:
            gram, S0 = Gram.of(X, initial, dtype, n_jobs)
        else:
            S0 = initial_preactivations(gram.X, initial, dtype, n_jobs)
            refuse_overflow(S0)
        return cls(gram, initial, None, is_own), gram.matrix, S0

    def begin(self) -> None:
        """Drop the weights that were kept for predictions."""
        self._is_finished, self._weights = False, None

    def finish(self) -> None:
        """Note that training has ended, and drop the products of samples that were scored after its epochs."""
        self._is_finished, self._scored = True, None

    def total(self, A: Array, c: float | Array) -> Array:
        """Give all contributions (N, h), those of the start included; of the samples as they are, if training centred them."""
        if self.start is None:
            return A
        total = A + np.asarray(c, A.dtype) * self.start
        return total - total.mean(axis=0) if self.gram.is_centred else total

    def offset(self, total: Array) -> Array | None:
        """Give what centring adds (h,) to the pre-activations of all contributions; None without centring."""
        return -(self.gram.means @ total) if self.gram.is_centred else None

    def preactivations(self, X: Any, A: Array, c: float) -> Array:
        """Give the pre-activations (M, h) of new data."""
        total = self.total(A, c)
        S = self._uncentred(X, A, c, total)
        offset = self.offset(total)
        return S if offset is None else S + offset

    def scored(self, X: Any, memory_limit: float) -> Scored | None:
        """Multiply samples with the training samples, for `preactivations_of`; None if there are too many products.

        Raises
        ------
        ValueError
            If the products overflow.
        """
        n_samples = X.shape[0] if hasattr(X, "shape") else len(X)
        n_bytes = n_samples * (len(self.gram) + self.initial.n_hidden) * self.gram.dtype.itemsize
        if not Scored.suits(X, len(self.gram)) and n_bytes > memory_limit:
            return None
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            products = self.products(X)
        refuse_overflow(*products)
        return Scored(X, products)

    def preactivations_of(self, scored: Scored, A: Array, c: float) -> Array:
        """Give the pre-activations (M, h) of samples from their products."""
        total = self.total(A, c)
        S, offset = scored.preactivations(total, c), self.offset(total)
        return S if offset is None else S + offset

    def _uncentred(self, X: Any, A: Array, c: float, total: Array) -> Array:
        gram = self.gram
        if self.uses_weights_for(X):
            return preactivations_by_weights(self.features_of(X), self.expand(A, c), gram.n_jobs)
        if not self._is_finished and Scored.suits(X, len(gram)):
            if self._scored is None or not self._scored.is_of(X):
                self._scored = Scored(X, self.products(X))
            return self._scored.preactivations(total, c)
        if self.start is None:
            return preactivations_of(self.features_of(X), gram.X, A, c, self.initial, gram.dtype, gram.n_jobs)
        if gram.has_weights and not isinstance(X, Gram):
            return preactivations_of(X, gram.X, total, 1.0, self.initial, gram.dtype, gram.n_jobs)
        with one_blas_thread():
            return np.asarray(gram.crossed(X) @ total)

    def products(self, X: Any) -> tuple[Array, Array]:
        """Give the products (M, N) of new data with the training samples, and the pre-activations (M, h) of W1(0)."""
        gram = self.gram
        if self.start is None:
            return cross_gram_and_preactivations(self.features_of(X), gram.X, self.initial, gram.dtype, gram.n_jobs)
        crossed = gram.crossed(X)
        return crossed, np.zeros((len(crossed), self.initial.n_hidden), gram.dtype)

    def append(self, X: Any) -> tuple["Contributed", Array]:
        """Give the same weights for more training samples, and the initial pre-activations (M, h) of the new ones."""
        gram = self.gram.append(X)
        if self.start is not None:
            new = gram.matrix[len(self.gram) :, : len(self.gram)]
            added = np.zeros((len(gram) - len(self.gram), self.start.shape[1]), self.start.dtype)
            start = np.concatenate([self.start, added])
            return Contributed(gram, self.initial, start, self.is_own), np.asarray(new @ self.start)
        S0 = initial_preactivations(self.features_of(X), self.initial, gram.dtype, gram.n_jobs)
        refuse_overflow(S0)
        return Contributed(gram, self.initial, None, self.is_own), S0

    def expand(self, A: Array, c: float | Array) -> Array:
        """Give the conventional weights (h, d), which are kept after training.

        Raises
        ------
        AttributeError
            If the samples are known by a kernel or by products alone.
        """
        if self._weights is not None:
            return self._weights
        gram = self.gram
        self._refuse_without_weights()
        weights = expand(gram.X, self.total(A, c), c, self.initial, gram.dtype, n_jobs=gram.n_jobs)
        if self._is_finished:
            self._weights = weights
        return weights

    def lazily_expanded(self, A: Array, c: float, scale: Array | None) -> Any:
        """Give the weights (d, h) as an array where the training samples lie, for raw features if they have a scale (d,).

        None if the samples do not lie elsewhere.
        """
        gram = self.gram
        if not (gram.is_elsewhere and gram.has_weights):
            return None
        return lazily_expanded(gram.X, self.total(A, c), c, self.initial, gram.dtype, gram.n_jobs, scale)

    def pulled_back(self, G: Array, A: Array, c: float, entrywise: bool) -> list[Term]:
        """Give the product of gradients G (..., h) with the conventional weights, which are made only if they are kept already.

        Raises
        ------
        AttributeError
            If the samples are known by a kernel or by products alone.
        """
        gram = self.gram
        if self._weights is not None:
            return [Term(G, WeightRows(GivenWeights(self._weights), gram.dtype))]
        self._refuse_without_weights()
        return by_contributions(G, self.total(A, c), c, self.initial, gram.X, gram.dtype, entrywise)

    def _refuse_without_weights(self) -> None:
        if not self.gram.has_weights:
            raise AttributeError(
                f"the front layer has no weights for features, because its samples are known by the {self.gram.kernel_name} "
                "kernel; use explain, or contributions_"
            )

    def scattered(self, A: Array, c: float) -> ScatteredWeights | None:
        """Give the conventional weights as those of the features that occur, with the initial weights of the others.

        None unless samples are a sparse matrix in which most features do not occur.
        """
        gram, initial = self.gram, self.initial
        if gram.is_centred or not gram.has_weights or not sparse.issparse(gram.X):
            return None
        features = all_occurring(gram.X)
        if 2 * len(features) > initial.n_features:
            return None
        chosen = ChosenWeights(initial, features)
        weights = expand(within(gram.X, features), self.total(A, c), c, chosen, gram.dtype, n_jobs=gram.n_jobs)
        return ScatteredWeights(features.astype(np.int64), np.ascontiguousarray(weights.T), float(c), initial).flattened()

    def __getstate__(self) -> dict[str, Any]:
        """Leave weights and products out of copies and pickles, because they can be made again with the same bits.

        Nobody could use a copy if the inputs have changed, so that a RuntimeError tells of it now. A `Gram` that many
        estimators share can do without its inputs, so that these are not read for a copy.
        """
        if self.is_own and self.gram.has_features:
            _ = self.gram.X
        return self.__dict__ | {"_weights": None, "_scored": None}
