"""What a prediction costs by products with the training samples, X_new X', and by conventional weights W1 = c W1(0) + A' X.

Costs follow from shapes alone, never from what was predicted before, so that the same call gives the same bits every time, in
copies and in several threads, and wherever the samples lie.
"""

from dataclasses import dataclass

READ = 16  # multiplications that take as long as reading, checking and converting a number of the training samples (measured)
READ_KEPT = 3  # multiplications that take as long as reading a weight (measured)
CALLS = 1 << 23  # multiplications that take as long as what products do besides, such as starting threads (measured)


@dataclass(frozen=True)
class Work:
    """The multiplications of a prediction, with the other work in the same units.

    Attributes
    ----------
    n_new, n_samples, n_features, n_hidden : int
        Numbers of new samples, training samples, features and units.
    is_zero : bool
        Whether there are no initial weights W1(0), as beside a start in the span of the samples.

    Examples
    --------
    >>> from fcfast.gram.work import Work
    >>> few, many = (Work(10, n_samples, n_features=20_000, n_hidden=256, is_zero=True) for n_samples in (100, 300))
    >>> few.suits_products, many.suits_products  # with 300 samples, weights that are kept are faster in the long run
    (True, False)
    >>> many.is_less_by_products  # but not if they were made for this prediction alone
    True
    """

    n_new: int
    n_samples: int
    n_features: int
    n_hidden: int
    is_zero: bool

    @property
    def is_less_by_products(self) -> bool:
        """Whether products take less than weights that are made for this prediction alone; both ways read X and make W1(0)."""
        making = self.n_samples * self.n_features * self.n_hidden
        return self._products + (0 if self.is_zero else self._applying) < making + self._applying

    @property
    def suits_products(self) -> bool:
        """Whether products take less than weights that have been made already, so that nobody needs to make them."""
        if not self.is_zero:  # making W1(0) again takes longer
            return False
        reading = READ * self.n_samples * self.n_features
        return self._products + reading + CALLS < self._applying + READ_KEPT * self.n_features * self.n_hidden

    @property
    def _products(self) -> int:
        """X_new X' and its product with A."""
        return self.n_new * self.n_samples * (self.n_features + self.n_hidden)

    @property
    def _applying(self) -> int:
        """X_new W1'."""
        return self.n_new * self.n_features * self.n_hidden
