"""Groups of features, such as pathways and chromosomes, and the sums of attributions over them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast import validation
from fcfast.attribution.ranking import Ranking, order_of, stacked

Array = NDArray[Any]
Floats = NDArray[np.float64]

SHOWN = 5  # names in a message


@dataclass(frozen=True, eq=False)
class Members:
    """Which features belong to which groups.

    Attributes
    ----------
    names : list
        Names of the groups.
    matrix : CSR of shape (d, n_groups)
        1 where a feature belongs to a group.
    """

    names: list[Any]
    matrix: Any

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Number of features of each group."""
        return np.asarray(self.matrix.sum(axis=0)).ravel().astype(np.intp)

    @classmethod
    def of(cls, groups: Any, n_features: int, feature_names: Sequence[str] | None, unknown: str) -> "Members":
        """Read groups as `Attributions.by_group` takes them."""
        validation.choice(unknown, "unknown", ("error", "ignore"))
        if isinstance(groups, Mapping):
            return cls._of_mapping(groups, n_features, feature_names, unknown)
        labels = np.asarray(groups)
        if labels.shape != (n_features,):
            raise ValueError(
                f"groups must map names to features, or have one label for each of {n_features} features, got "
                f"{'an array of shape ' + str(labels.shape) if labels.ndim else repr(groups)}"
            )
        if labels.dtype == object:
            labels = labels.astype(str)
        names, places = np.unique(labels, return_inverse=True)
        return cls(names.tolist(), _matrix(np.arange(n_features), places.reshape(-1), n_features, len(names)))

    @classmethod
    def _of_mapping(
        cls, groups: Mapping[Any, Any], n_features: int, feature_names: Sequence[str] | None, unknown: str
    ) -> "Members":
        if not groups:
            raise ValueError("groups is empty; give at least one group of features")
        places = None if feature_names is None else {name: j for j, name in enumerate(feature_names)}
        members = [_members(name, group, n_features, places, unknown) for name, group in groups.items()]
        numbers = np.repeat(np.arange(len(members)), [len(group) for group in members])
        return cls(list(groups), _matrix(np.concatenate(members), numbers, n_features, len(members)))


def _matrix(features: Array, groups: Array, n_features: int, n_groups: int) -> Any:
    ones = np.ones(len(features), np.float64)
    return sparse.csr_array((ones, (features, groups)), shape=(n_features, n_groups))


def _members(name: Any, group: Any, n_features: int, places: Mapping[str, int] | None, unknown: str) -> NDArray[np.intp]:
    """Give the numbers of the features of a group, each once."""
    if isinstance(group, str) or not validation.has_items(group):
        raise TypeError(f"groups[{name!r}] must be a sequence of features, got {group!r}")
    listed = group.tolist() if isinstance(group, np.ndarray) else list(group)
    if any(isinstance(item, str) for item in listed):
        return _named(name, listed, places, unknown)
    numbers = np.asarray(listed)
    if len(numbers) == 0:
        return np.zeros(0, np.intp)
    if numbers.dtype == bool and len(numbers) == n_features:
        return np.flatnonzero(numbers)
    if numbers.dtype == bool:
        raise ValueError(
            f"groups[{name!r}] is a mask of {len(numbers)} features, but there are {n_features}; give True or False for each"
        )
    if numbers.dtype.kind not in "iu":
        raise TypeError(f"groups[{name!r}] must hold numbers or names of features, got {_few(listed)}")
    if numbers.min() < -n_features or numbers.max() >= n_features:
        raise ValueError(
            f"groups[{name!r}] has features {numbers.min()} to {numbers.max()}, but there are {n_features}, counted from 0"
        )
    return np.unique(np.where(numbers < 0, numbers + n_features, numbers)).astype(np.intp)


def _named(name: Any, listed: list[Any], places: Mapping[str, int] | None, unknown: str) -> NDArray[np.intp]:
    if places is None:
        raise ValueError(f"groups[{name!r}] names features, but those of the model have no names; give their numbers")
    strangers = [item for item in listed if item not in places]
    if strangers and unknown == "error":
        raise ValueError(
            f"groups[{name!r}] has names that are no features: {_few(strangers)}; unknown='ignore' leaves them out"
        )
    return np.unique([places[item] for item in listed if item in places]).astype(np.intp)


def _few(items: Iterable[Any]) -> str:
    listed = list(items)
    return ", ".join(map(repr, listed[:SHOWN])) + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")


class GroupSums:
    """Sums of attributions over groups of features.

    Attributes
    ----------
    names : list
        Names of the groups.
    sizes : ndarray of int of shape (n_groups,)
        Number of features in each group.
    values : ndarray of shape (M, n_groups), or (M, n_groups, c)
        Sum of the attributions of each group for each sample.
    importance : ndarray of shape (n_groups,), or (n_groups, c)
        Means of the absolute values over the samples.
    labels : list
        What the outputs are, if `values` has an axis for them.
    """

    def __init__(self, names: list[Any], sizes: NDArray[np.intp], values: Floats, labels: list[Any]) -> None:
        self.names, self.sizes, self.values, self.labels = names, sizes, values, labels
        self.importance: Floats = np.abs(values).mean(axis=0)

    def top(self, k: int = 20) -> Ranking:
        """Rank the groups by their mean absolute sums.

        Parameters
        ----------
        k : int
            Number of groups; all if there are no more.

        Returns
        -------
        Ranking
            Columns "rank", "group", "n_features", "importance" (mean of the absolute sums) and "mean" (mean of the sums).

        Raises
        ------
        ValueError
            If `k` is below 1.
        """
        validation.integer(k, "k", 1)
        if self.values.ndim == 2:
            return self._top(k, self.values, self.importance)
        each = [self._top(k, self.values[..., j], self.importance[..., j]) for j in range(len(self.labels))]
        return stacked(each, "output", self.labels)

    def _top(self, k: int, values: Floats, importance: Floats) -> Ranking:
        order = order_of(importance, k)
        names = np.array(self.names)[order]
        return Ranking({
            "rank": np.arange(1, len(order) + 1), "group": names, "n_features": self.sizes[order],
            "importance": importance[order], "mean": values.mean(axis=0)[order],
        })  # fmt: skip

    def __repr__(self) -> str:
        return f"<GroupSums of {len(self.names)} groups for {len(self.values)} samples>"
