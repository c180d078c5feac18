"""How stable a ranking of features is: the share of refits, on other draws of the samples, with a feature at the top."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length

from fcfast import validation
from fcfast.attribution.ranking import Ranking, order_of
from fcfast.attribution.result import Attributions
from fcfast.gram.object import Gram
from fcfast.gram.samples import is_numeric
from fcfast.sources import as_source
from fcfast.survival import survival_targets

Array = NDArray[Any]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

RESAMPLED = ("bootstrap", "folds", "seeds")


class Stability:
    """The k features at the top of a ranking, beside what refits say about them.

    Attributes
    ----------
    ranking : Ranking
        Columns "rank", "feature", "name" and "importance" of a fit on all samples, or of given attributions; "share", the
        share of refits with the feature among their own top k; "mean_rank", its mean rank in the refits.
    overlap : float
        Mean share of the top k that two refits have in common.
    expected_overlap : float
        What it is for rankings at random, k / d.
    n_fits : int
        Number of refits.
    resample : str
        What differs between the refits.
    """

    def __init__(self, ranking: Ranking, tops: Array, n_features: int, resample: str) -> None:
        self.ranking, self.resample = ranking, resample
        self.n_fits, k = tops.shape
        self.overlap, self.expected_overlap = _overlap(tops, n_features), k / n_features

    def __str__(self) -> str:
        k = self.ranking.n_rows
        return (
            f"{self.ranking}\ntwo of {self.n_fits} refits ({self.resample}) have {self.overlap:.0%} of their top {k} in "
            f"common; by chance {self.expected_overlap:.1%}"
        )

    def __repr__(self) -> str:
        return f"<Stability of the top {self.ranking.n_rows} in {self.n_fits} fits: overlap {self.overlap:.2f}>"


def _overlap(tops: Array, n_features: int) -> float:
    """Give the mean share of features that two of the sets (n_fits, k) have in common."""
    n_fits, k = tops.shape
    counts = np.bincount(tops.ravel(), minlength=n_features).astype(np.float64)
    common = (counts * (counts - 1)).sum() / (n_fits * (n_fits - 1)) if n_fits > 1 else float(k)
    return float(common / k)


def stability(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    k: int = 50,
    n_fits: int = 20,
    *,
    resample: str = "bootstrap",
    output: Any = None,
    method: str = "integrated_gradients",
    baseline: Any = "auto",
    steps: Any = "auto",
    attributions: Attributions | None = None,
    random_state: Any = None,
) -> Stability:
    """Refit an estimator on other draws of the training samples, and see which features stay at the top of the ranking.

    Features are ranked by their mean absolute attribution over all samples in X, once for a fit on all of them (or for a
    fitted estimator, by its `attributions`) and once for each refit. Refits share one Gram matrix where the estimator holds
    contributions of the training samples, so that each reads the features only for its attributions.

    Parameters
    ----------
    estimator : FrontClassifier, FrontRegressor or FrontSurvival
        Estimator with its settings; it need not be fitted, and is not changed.
    X : array, sparse matrix, source or Gram of shape (N, d)
        Training samples, with features.
    y : array-like of shape (N,), or (N, c)
        Targets; those of a survival analysis are a structured array.
    k : int, default 50
        Number of features at the top; all if there are no more.
    n_fits : int, default 20
        Number of refits, at least 2.
    resample : {"bootstrap", "folds", "seeds"}, default "bootstrap"
        What differs between refits: "bootstrap" draws as many samples with replacement, each class by itself, and observed
        events apart from censored ones; "folds" leaves out one of `n_fits` parts; "seeds" only changes the seed of initial
        weights and batches. All change the seed.
    output, method, baseline, steps
        As for `FrontClassifier.attribute`; a ranking needs one output for each sample.
    attributions : Attributions, optional
        Attributions of a fitted estimator, whose own top k is compared with the refits. By default it is the top of a fit on
        all samples in X, with a seed of its own.
    random_state : int, RandomState or None, default None
        Seed of the draws and of the refits.

    Returns
    -------
    Stability

    Raises
    ------
    ValueError, TypeError
        If an argument is invalid, if there are several outputs, or if `attributions` have another number of features.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> from fcfast.attribution import stability
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(60, 500)), np.arange(60) % 2
    >>> X[:, :3] += np.where(y, 1.5, -1.5)[:, None]
    >>> found = stability(FrontClassifier(max_epochs=20), X, y, k=5, n_fits=4, random_state=0)
    >>> sorted(found.ranking["feature"][:3].tolist()), found.ranking["share"][:3].tolist()
    ([0, 1, 2], [1.0, 1.0, 1.0])
    """
    validation.integer(k, "k", 1)
    validation.integer(n_fits, "n_fits", 2)
    validation.choice(resample, "resample", RESAMPLED)
    if not hasattr(estimator, "attribute"):
        raise TypeError(f"estimator must have the method attribute, as a FrontClassifier has, got a {type(estimator).__name__}")
    if isinstance(X, np.ndarray) and X.ndim == 2 and is_numeric(X.dtype):
        X = as_source(X)  # whose rows are selected while they are read
    targets = _array_of(y)
    check_consistent_length(X, targets)
    random = check_random_state(random_state)
    asked = {"method": method, "baseline": baseline, "steps": steps}
    seeds = random.randint(2**31 - 1, size=n_fits + 1).tolist()
    reference = clone(estimator).set_params(random_state=seeds[0], warm_start=False).fit(X, targets)
    ranked = reference.attribute(X, output=output, **asked) if attributions is None else attributions
    if len(ranked.shape) == 3:
        raise ValueError("stability ranks one output of each sample; give output=, the class or the number of the output")
    if ranked.shape[1] != reference.n_features_in_:
        raise ValueError(f"attributions are of {ranked.shape[1]} features, but X has {reference.n_features_in_}")
    importance = ranked.importance_
    k = min(k, len(importance))
    draws = _draws(resample, len(targets), n_fits, _kinds(estimator, targets), random)
    refit = _refits(estimator, reference, X, targets)
    tops, top, ranks = np.empty((n_fits, k), np.intp), order_of(importance, k), np.zeros(k)
    for fit, (rows, seed) in enumerate(zip(draws, seeds[1:], strict=True)):
        fitted, samples = refit(rows, seed)
        order = order_of(fitted.attribute(samples, output=output, **asked).importance_, len(importance))
        place = np.empty(len(order), np.intp)
        place[order] = np.arange(len(order))
        tops[fit], ranks = order[:k], ranks + (place[top] + 1) / n_fits
    columns = ranked.top(k)
    share = (np.sort(tops, axis=1)[:, :, None] == top).any(axis=1).mean(axis=0)
    ranking = Ranking({name: columns[name] for name in ("rank", "feature", "name", "importance")} | {
        "share": share, "mean_rank": ranks,
    })  # fmt: skip
    return Stability(ranking, tops, len(importance), resample)


def _array_of(y: Any) -> Array:
    """Give targets as an array, missing values of pandas (NA) as NaN."""
    targets = np.asarray(y)
    if targets.dtype == object and hasattr(y, "to_numpy"):
        with suppress(TypeError, ValueError):  # labels that are text
            targets = y.to_numpy(dtype=np.float64, na_value=np.nan)
    return targets


def _kinds(estimator: Any, y: Array) -> Array | None:
    """Give the kind of each sample, of which a draw has as many as there are: its class, or whether its event was observed."""
    if y.dtype.names is not None:
        events: Array = survival_targets(y)["event"]
        return events
    return y if is_classifier(estimator) and y.ndim == 1 else None


def _draws(resample: str, n_samples: int, n_fits: int, kinds: Array | None, random: np.random.RandomState) -> Iterator[Rows]:
    """Give the rows of each refit."""
    rows = np.arange(n_samples)
    if resample == "seeds":
        return iter([rows] * n_fits)
    if resample == "folds":
        fewest = n_samples if kinds is None else min(np.unique(kinds, return_counts=True)[1])
        if n_fits > fewest:
            raise ValueError(
                f"n_fits={n_fits}, but resample='folds' leaves out one of so many parts, and there are {fewest} samples"
                f"{'' if kinds is None else ' of a class, or with or without an event'}; use fewer fits, or "
                "resample='bootstrap'"
            )
        folds = KFold if kinds is None else StratifiedKFold
        return (train for train, _ in folds(n_fits, shuffle=True, random_state=random).split(rows, kinds))
    each = [rows] if kinds is None else [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    return (np.concatenate([part[random.randint(len(part), size=len(part))] for part in each]) for _ in range(n_fits))


def _refits(estimator: Any, reference: Any, X: Any, y: Array) -> Callable[[Rows, int], tuple[Any, Any]]:
    """Give a function that refits on some rows with a seed, and gives what is fitted, and the samples to attribute."""
    gram: Gram | None = X if isinstance(X, Gram) else reference.network_.front.gram
    if gram is None or len(gram) != len(y) or gram.is_centred:
        settings, samples = {}, X  # contributions are not held, or early stopping has held out some samples
    else:
        # the samples of a Gram matrix have been scaled and filled in
        settings, samples = {"standardize": False, "missing": "error", "kernel": "linear"}, gram
    taken = samples.iloc if hasattr(samples, "iloc") else samples

    def refit(rows: Rows, seed: int) -> tuple[Any, Any]:
        fitted = clone(estimator).set_params(random_state=seed, warm_start=False, **settings)
        return fitted.fit(taken[rows], y[rows]), samples

    return refit
