"""Attributions of samples that ``fcfast explain`` reads in blocks, because memory may not hold them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fcfast.attribution.groups import GroupSums
from fcfast.attribution.ranking import Ranking, ranked, stacked
from fcfast.streams import Stream, SvmlightStream

if TYPE_CHECKING:
    from fcfast.attribution import Attributions

Floats = NDArray[np.float64]
Explain = Callable[[Any], "Attributions"]  # attributes the samples of a block


class BlockedAttributions:
    """What a ranking over all samples needs of their attributions: sums over the blocks, which do not grow with them.

    Its methods are those of `fcfast.attribution.Attributions` that rank; each passes over the file anew.

    Parameters
    ----------
    stream : Stream
        Samples; there must be one.
    explain : callable
        Gives the `Attributions` of the samples of a block.
    path : Path
        File of the samples, for messages.
    """

    def __init__(self, stream: Stream, explain: Explain, path: Path) -> None:
        self._stream, self._explain = stream, explain
        found, n_samples, totals, errors = None, 0, np.zeros(()), [0.0]
        for found in self._blocks():
            means = np.stack([found.importance_, found.mean_])
            totals, n_samples = totals + means * found.shape[0], n_samples + found.shape[0]
            errors.append(float(np.abs(found.completeness_error_).max()))
        if found is None:
            raise ValueError(f"{path} has no samples")
        self.importance_, self.mean_ = totals / n_samples
        self.completeness_error_ = np.array(errors)
        self.shape = (n_samples, *found.shape[1:])
        self.method, self.baseline, self.feature_names = found.method, found.baseline, found.feature_names
        self._labels = found.labels_.tolist()

    def _blocks(self) -> Iterator["Attributions"]:
        return (self._explain(block.X) for block in self._stream if block.X.shape[0])

    def top(self, k: int, sample: slice | None = None) -> Ranking:
        """Rank the features over all samples, or for each sample."""
        if sample is not None:
            return self._top_of_each(k)
        if self.importance_.ndim == 1:
            return self._ranked(k, self.importance_, self.mean_)
        pairs = zip(self.importance_.T, self.mean_.T, strict=True)
        return stacked([self._ranked(k, *pair) for pair in pairs], "output", self._labels)

    def _ranked(self, k: int, importance: Floats, mean: Floats) -> Ranking:
        touched = np.flatnonzero(importance)
        return ranked(touched, importance[touched], mean[touched], self.feature_names, k)

    def _top_of_each(self, k: int) -> Ranking:
        parts, n_samples = [], 0
        for found in self._blocks():
            part = found.top(k, sample=slice(None))
            parts.append({**part, "sample": part["sample"] + n_samples})
            n_samples += found.shape[0]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if "output" not in columns:
            return Ranking(columns)
        place = {label: j for j, label in enumerate(self._labels)}  # outputs come one after another, not block by block
        order = np.argsort([place[label] for label in columns["output"].tolist()], kind="stable")
        return Ranking({name: column[order] for name, column in columns.items()})

    def by_group(self, groups: Any, unknown: str = "error") -> GroupSums:
        """Sum the attributions of each sample over groups of features."""
        sums = [found.by_group(groups, unknown) for found in self._blocks()]
        return GroupSums(sums[0].names, sums[0].sizes, np.concatenate([part.values for part in sums]), sums[0].labels)


def explained_in_blocks(estimator: Any, model: Path, data: Path, rows: int, explain: Explain) -> BlockedAttributions:
    """Attribute the samples of an svmlight file, so many rows at a time."""
    if getattr(estimator, "text_", None) is not None:
        raise ValueError(f"{model} takes texts, but {data} holds numbers; give a table with a column of texts")
    return BlockedAttributions(SvmlightStream(data, estimator.n_features_in_, block_rows=rows), explain, data)
