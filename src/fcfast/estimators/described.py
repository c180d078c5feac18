"""Model cards of fitted estimators: what is noted of the samples, the network, the settings and the outcome of a training."""

import inspect
import os
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from fcfast._version import __version__
from fcfast.gram.object import n_features_of
from fcfast.modelfile.cards import SHOWN, ModelCard, plain
from fcfast.sources.protocol import SelectedRows

if TYPE_CHECKING:
    from fcfast.estimators.base import TrainedEstimator

KINDS = {
    "ndarray": "array",
    "ArraySource": "array",
    "SparseSource": "sparse",
    "memmap": "memory map",
    "Gram": "Gram matrix",
    "Surveyed": "stream",
}
OF_MACHINE = ("n_jobs", "verbose")  # parameters that change no result


def samples_entries(X: Any) -> dict[str, Any]:
    """Describe checked training samples: an array, a sparse matrix, a source, a Gram matrix, or what is known of a stream."""
    name = type(X.base if isinstance(X, SelectedRows) else X).__name__
    kind = f"sparse {X.format}" if sparse.issparse(X) else KINDS.get(name, name)
    return {"kind": kind, "dtype": str(X.dtype), "samples": int(X.shape[0]), "features": int(n_features_of(X))}


def described(estimator: "TrainedEstimator", samples: dict[str, Any]) -> ModelCard:
    """Make the card of an estimator that has just been trained.

    Parameters
    ----------
    estimator : TrainedEstimator
        Its methods `_card_targets`, `_card_network` and `_card_scores` give what its class adds.
    samples : dict
        What `samples_entries` gave.
    """
    settings = estimator.settings_
    entries: dict[str, Any] = {
        "estimator": type(estimator).__name__,
        "fcfast": __version__,
        "trained": timestamp(),
        "data": samples | estimator._card_targets(),
        "network": estimator._card_network(),
        "settings": {name: {"value": value, "reason": settings.reasons[name]} for name, value in settings.items()},
        "parameters": {name: value for name, value in _given(estimator).items() if name not in settings},
        "training": _training_entries(estimator),
        "scores": estimator._card_scores(),
    }
    return ModelCard({name: plain(value) for name, value in entries.items() if value or value == 0})


def _training_entries(estimator: "TrainedEstimator") -> dict[str, Any]:
    """Describe the training; the loss is that of the epoch whose network was kept."""
    kept = estimator.best_epoch_ if estimator.early_stopping else None
    losses = estimator.loss_curve_
    return {
        "epochs": estimator.n_epochs_,
        **({} if kept is None else {"kept epoch": kept}),
        "loss": losses[(kept or len(losses)) - 1] if losses else None,
        "outcome": str(estimator.outcome_),
    }


def with_earlier(samples: dict[str, Any], card: ModelCard | None) -> dict[str, Any]:
    """Count the samples of earlier portions of a stream, too."""
    data = {} if card is None else card.get("data")
    earlier = data.get("samples") if isinstance(data, dict) else 0  # a file may hold anything
    return samples | {"samples": samples["samples"] + (earlier if type(earlier) is int else 0)}


def classes_entries(classes: Any) -> dict[str, Any]:
    """Describe class labels: all of them, or the first ones and their number."""
    few = {"classes": classes[:SHOWN].tolist()}
    return few if len(classes) <= SHOWN else few | {"number of classes": len(classes)}


def targets_entry(names: Any) -> dict[str, Any]:
    """Give the first names of targets in several columns, if they have any."""
    return {} if names is None else {"targets": names[:SHOWN].tolist()}


def validation_entries(scores: list[float], name: str) -> dict[str, Any]:
    """Give the best score of validation samples, which the network that was kept has, and what was scored."""
    finite = [score for score in scores if np.isfinite(score)]
    return {"validation": {name: max(finite)}} if finite else {}


def timestamp() -> str:
    """Give the time in UTC, or that of the environment variable SOURCE_DATE_EPOCH, with which files can be made again."""
    try:
        now = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)
    except (KeyError, ValueError, OverflowError, OSError):
        now = datetime.fromtimestamp(time.time(), timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def _given(estimator: "TrainedEstimator") -> dict[str, Any]:
    """Give the parameters that differ from their defaults."""
    known = inspect.signature(type(estimator).__init__).parameters
    params = estimator.get_params(deep=False)
    return {
        name: value
        for name, value in params.items()
        if name not in OF_MACHINE and (isinstance(value, np.ndarray) or value != known[name].default)
    }
