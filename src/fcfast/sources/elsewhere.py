"""Work on features that lie elsewhere, such as on the machines of a cluster: it is done there, and its results are summed.

A function of samples is a sum over their features. It is evaluated for one range of features after another, each in a `Job`
that any process can run, and the results are added in a binary tree whose shape depends on their number alone. The bits of
the sum therefore do not depend on which process did what, and when.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from fcfast.sources.protocol import Part, Source


@dataclass(frozen=True)
class Outcome:
    """What a job gives, or several of them.

    Attributes
    ----------
    summands : tuple
        Arrays, or objects with ``plus(other)``.
    found : tuple of (slice, list)
        What was found out about each range of features, for each source of the job.
    """

    summands: tuple[Any, ...]
    found: tuple[tuple[slice, list[Any]], ...] = ()

    def plus(self, other: "Outcome") -> "Outcome":
        """Add what jobs for later features give; nothing is changed in place, because a process may need it again."""
        added = tuple(_added(mine, others) for mine, others in zip(self.summands, other.summands, strict=True))
        return Outcome(added, self.found + other.found)


def _added(mine: Any, other: Any) -> Any:
    return mine.plus(other) if hasattr(mine, "plus") else mine + other


class Job:
    """A function of some neighbouring features, which another process can run.

    Parameters
    ----------
    function : callable
        It gives a tuple of summands. Functions, and what they are bound to, are pickled.
    features : slice
    parts : tuple
        Sources, and whatever else there is for these features alone.
    others : tuple
        Further arguments.
    """

    def __init__(
        self, function: Callable[..., tuple[Any, ...]], features: slice, parts: tuple[Any, ...], others: tuple[Any, ...]
    ) -> None:
        self.function, self.features, self.parts, self.others = function, features, parts, others

    @property
    def waits(self) -> bool:
        """Whether the job needs something that others make before."""
        return any(part.waits for part in self.parts if isinstance(part, Source))

    def __call__(self) -> Outcome:
        """Run the function here."""
        with np.errstate(over="ignore", invalid="ignore"):  # whoever takes the sum looks for these
            summands = self.function(*self.parts, *self.others)
        return Outcome(summands, ((self.features, [getattr(part, "found", None) for part in self.parts]),))


MakeJob = Callable[[], Job]


class Elsewhere(Protocol):
    """What runs jobs where features lie."""

    @property
    def ranges(self) -> Sequence[slice]:
        """Ranges of features that one job should take."""

    def totals(self, what: str, sums: Sequence[Sequence[MakeJob]], size: int) -> Iterator[tuple[int, Outcome]]:
        """Run the jobs of each sum, and give the number of a sum with its total as soon as it is complete.

        Parameters
        ----------
        what : str
            What the jobs do, for whoever looks on.
        sums : sequence of sequence of callable
            What makes the jobs of each sum, called shortly before a job runs.
        size : int
            Bytes of a sum.
        """

    def array(self, what: str, jobs: Sequence[MakeJob], shapes: Sequence[tuple[int, int]], dtype: Any) -> Any:
        """Give an array whose rows are the results of jobs, which run whenever its numbers are asked for."""


@dataclass(frozen=True)
class PerFeature:
    """A number for each feature.

    Attributes
    ----------
    numbers : ndarray of shape (d,)
    """

    numbers: Any

    def part(self, features: slice) -> "PerFeature":
        """Give the numbers of neighbouring features."""
        return PerFeature(self.numbers[features])


def elsewhere(*inputs: Any) -> Elsewhere | None:
    """Give what runs jobs where the largest of the inputs that are not read here lie; None if all are read here."""
    far = [X for X in inputs if isinstance(X, Source) and X.elsewhere is not None]
    return max(far, key=lambda X: X.shape[0]).elsewhere if far else None


def part_of(held: Any, features: slice) -> Any:
    """Give the part for some features of samples or weights; None stays None."""
    if held is None or hasattr(held, "part"):
        return None if held is None else held.part(features)
    return Part(held[:, features], features.start)


def spread_sums(
    what: str,
    function: Callable[..., tuple[Any, ...]],
    rows_of: Sequence[Any],
    others: tuple[Any, ...],
    *arguments: Any,
    size: int,
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Evaluate a sum over the features where they lie, for each of several strips of rows.

    Parameters
    ----------
    what : str
        What is done, for whoever looks on.
    function : callable
        ``function(strip, *others, *arguments)`` for some of the features gives summands.
    rows_of : sequence of samples
        Strips of samples, for each of which there is a sum.
    others : tuple
        Samples, weights and None, of which a job gets the part that belongs to its features.
    *arguments
        Further arguments of the function.
    size : int
        Bytes of a sum.

    Yields
    ------
    number : int
        Number of the strip.
    summands : tuple
        Sums for this strip.
    """
    far = elsewhere(*rows_of, *others)
    assert far is not None  # or the work would be done here
    sums = [[maker(function, features, (strip, *others), arguments) for features in far.ranges] for strip in rows_of]
    for number, outcome in far.totals(what, sums, size):
        for features, found in outcome.found:
            for held, learnt in zip((rows_of[number], *others), found, strict=True):
                if learnt is not None:
                    held.learn(features, learnt)
        yield number, outcome.summands


def maker(
    function: Callable[..., tuple[Any, ...]], features: slice, held: tuple[Any, ...], arguments: tuple[Any, ...]
) -> MakeJob:
    """Give what makes the job of a function for some features: it gets parts of what is held, and further arguments."""
    return lambda: Job(function, features, tuple(part_of(one, features) for one in held), arguments)


# ----------------------------------------------------------------------------------------------------------------------
# a sum whose order is fixed

Value = TypeVar("Value")


@dataclass
class FixedTree(Generic[Value]):
    """A sum in a binary tree, to which values come in any order. Neighbours are added first, then neighbouring sums.

    Parameters
    ----------
    n_leaves : int
        Number of values, at least 1.
    add : callable
        ``add(earlier, later)`` gives a sum.

    Examples
    --------
    >>> from fcfast.sources.elsewhere import FixedTree
    >>> tree = FixedTree(5, lambda a, b: f"({a}{b})")
    >>> for leaf in (4, 1, 0, 3, 2):
    ...     tree.put(leaf, "abcde"[leaf])
    >>> tree.total
    '(((ab)(cd))e)'
    """

    n_leaves: int
    add: Callable[[Value, Value], Value]
    total: Value | None = None
    _held: dict[tuple[int, int], Value] = field(default_factory=dict)

    def put(self, number: int, value: Value, level: int = 0) -> None:
        """Take a value, or the sum of ``2**level`` neighbours, and add all sums that are complete by it."""
        size = n_nodes(self.n_leaves, level)
        while size > 1:
            sibling = number ^ 1
            if sibling < size:
                if (level, sibling) not in self._held:
                    self._held[level, number] = value
                    return
                other = self._held.pop((level, sibling))
                value = self.add(value, other) if number < sibling else self.add(other, value)
            number, level = number // 2, level + 1
            size = n_nodes(self.n_leaves, level)
        self.total = value

    @property
    def n_held(self) -> int:
        """Number of sums that wait for their neighbours."""
        return len(self._held)


def n_nodes(n_leaves: int, level: int) -> int:
    """Give the number of sums of ``2**level`` neighbouring values, the last of which may have fewer."""
    return -(-n_leaves // 2**level)
