"""Streams of blocks of samples, from a function or an iterable of the caller's own."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from fcfast.validation import unmasked

if TYPE_CHECKING:
    from fcfast.text import TextFeatures

BLOCK_ROWS = 100_000  # rows of a block of a file


class Block(NamedTuple):
    """Some samples of a stream.

    Attributes
    ----------
    X : ndarray, DataFrame or sparse matrix of shape (n, d)
    y : array-like of shape (n,) or (n, c), or None
        Targets; they may be left out for predictions.
    sample_weight : array-like of shape (n,), or None
        Weights of the samples.
    """

    X: Any
    y: Any = None
    sample_weight: Any = None


class Stream:
    """Samples in blocks of rows, which can be read as often as there are epochs.

    Estimators take a stream in place of X in `fit`, `predict`, `predict_proba` and `score`. Memory holds one block at a time.

    Parameters
    ----------
    blocks : callable or iterable
        A function that returns a new iterator of blocks whenever it is called, or an iterable that can be read again, such as
        a list. A block is a tuple ``(X, y)`` or ``(X, y, sample_weight)``, or X alone for predictions. Every reading has to
        give the same samples, in the same order.

    Raises
    ------
    TypeError
        If `blocks` is an iterator, such as a generator, which can be read only once, or is no iterable.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> from fcfast.streams import Stream
    >>> def read():
    ...     for seed in range(4):
    ...         X = np.random.default_rng(seed).normal(size=(50, 6))
    ...         yield X, X[:, 0] > 0
    >>> classifier = FrontClassifier(max_epochs=20, random_state=0).fit(Stream(read))
    >>> classifier.score(Stream(read)) > 0.9
    True
    """

    widens: ClassVar[bool] = False  # whether the number of features is known only at the end, and blocks may be narrower
    text_features: "TextFeatures | None" = None  # how texts become X, if a model file can hold it

    def __init__(self, blocks: Callable[[], Iterable[Any]] | Iterable[Any]) -> None:
        if hasattr(blocks, "__next__"):
            raise TypeError(
                f"a stream is read again in every epoch, but {type(blocks).__name__} can be read only once; give the function "
                "that makes it, Stream(read) in place of Stream(read()), or a list of blocks"
            )
        if hasattr(blocks, "shape") or not (callable(blocks) or hasattr(blocks, "__iter__")):
            raise TypeError(
                "a stream is made from a function that returns an iterator of blocks (X, y), or from a list of them, got "
                f"{type(blocks).__name__}"
            )
        self._blocks = blocks

    def __iter__(self) -> Iterator[Block]:
        """Read the blocks from the start."""
        blocks = self._blocks() if callable(self._blocks) else self._blocks
        if not hasattr(blocks, "__iter__"):
            raise TypeError(
                f"the function of the stream returned {type(blocks).__name__}; it has to return an iterator of blocks (X, y), "
                "which a function with yield does"
            )
        for number, block in enumerate(blocks, 1):
            if isinstance(block, list) and block and getattr(block[0], "ndim", 0) == 2:
                raise TypeError(f"block {number} of the stream is a list of {len(block)} arrays; give a tuple, (X, y)")
            if not isinstance(block, tuple):
                yield Block(unmasked(block, "X"))
            elif 1 <= len(block) <= len(Block._fields):
                yield Block(*map(unmasked, block, Block._fields))
            else:
                raise ValueError(
                    f"block {number} of the stream is a tuple of {len(block)}; give (X, y), (X, y, sample_weight) or X alone"
                )
