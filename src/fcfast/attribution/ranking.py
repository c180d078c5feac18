"""Rankings of features, and of groups of features, as tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped, unused-ignore]  # its types are a package of their own

Array = NDArray[Any]

SHOWN = 20  # rows of the text of a table
LONGEST = 40  # characters of a cell


class Ranking(Mapping[str, Array]):
    """A table with a row for each feature or group, the largest first; a mapping from names of columns to arrays.

    Parameters
    ----------
    columns : mapping of str to ndarray
        Columns of the same length.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.attribution import Ranking
    >>> ranking = Ranking({"rank": np.array([1, 2]), "name": np.array(["TP53", "MYC"]), "importance": np.array([0.5, 0.25])})
    >>> print(ranking)
    rank  name  importance
       1  TP53         0.5
       2   MYC        0.25
    >>> ranking["name"].tolist(), ranking.n_rows
    (['TP53', 'MYC'], 2)
    >>> ranking.to_array()[0]["importance"].item()
    0.5
    """

    def __init__(self, columns: Mapping[str, Array]) -> None:
        self._columns = dict(columns)

    def __getitem__(self, name: str) -> Array:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        """Give the number of columns, as of any mapping."""
        return len(self._columns)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self._columns.values()), ()))

    def to_array(self) -> Array:
        """Give the table as a structured array (n_rows,)."""
        held = {name: np.asarray(column) for name, column in self._columns.items()}
        array = np.empty(self.n_rows, [(name, column.dtype) for name, column in held.items()])
        for name, column in held.items():
            array[name] = column
        return array

    def to_frame(self) -> "DataFrame":
        """Give the table as a DataFrame of pandas, which has to be installed."""
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise ImportError("to_frame needs pandas; install it, or use to_array() or the columns themselves") from error
        return DataFrame(self._columns)

    def lists(self) -> dict[str, list[Any]]:
        """Give the columns as lists, for files."""
        return {name: column.tolist() for name, column in self._columns.items()}

    def __str__(self) -> str:
        columns = [[name, *map(_cell, column[:SHOWN].tolist())] for name, column in self._columns.items()]
        widths = [max(map(len, column)) for column in columns]
        rows = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in zip(*columns, strict=True)
        ]
        hidden = self.n_rows - SHOWN
        return "\n".join([*rows, f"... {hidden:,} more rows"] if hidden > 0 else rows)

    def __repr__(self) -> str:
        return f"<Ranking of {self.n_rows} rows: {', '.join(self._columns)}>"


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def order_of(importance: Array, k: int) -> NDArray[np.intp]:
    """Give the places of the k largest numbers, the largest first and equal ones in their order."""
    return np.argsort(-importance, kind="stable")[:k]


def ranked(features: Array, importance: Array, mean: Array, names: Sequence[str] | None, k: int) -> Ranking:
    """Rank some features by their importance.

    Parameters
    ----------
    features : ndarray of int of shape (t,)
        Numbers of the features; all others have the importance 0.
    importance, mean : ndarray of shape (t,)
        Means over the samples of the absolute attributions, and of the attributions.
    names : sequence of str or None
        Names of all features.
    k : int
        Number of features at the top.
    """
    order = order_of(importance, k)
    total = float(importance.sum()) or 1.0
    return Ranking({
        "rank": np.arange(1, len(order) + 1), "feature": features[order], "name": names_of(features[order], names),
        "importance": importance[order], "mean": mean[order], "share": importance[order] / total,
    })  # fmt: skip


def names_of(features: Array, names: Sequence[str] | None) -> Array:
    """Give names to the numbers of features: x0, x1 ... without any."""
    return np.array([f"x{j}" if names is None else str(names[j]) for j in features.tolist()], dtype=str)


def stacked(rankings: list[Ranking], label: str, values: list[Any]) -> Ranking:
    """Put rankings below each other, with one more column that says to what each belongs."""
    counts = [ranking.n_rows for ranking in rankings]
    columns = {name: np.concatenate([ranking[name] for ranking in rankings]) for name in rankings[0]}
    return Ranking({label: np.repeat(np.array(values), counts)} | columns)
