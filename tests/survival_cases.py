"""Survival data, and Cox's partial likelihood written as it stands in the books: a loop over events, and one over ties."""

import numpy as np

SURVIVAL = [("event", bool), ("time", float)]
QUICK = {"hidden_layer_sizes": (8,), "max_epochs": 5, "random_state": 0, "dtype": "float64"}


def survival(event, time):
    """Make targets as scikit-survival has them."""
    return np.array(list(zip(np.asarray(event, bool), time, strict=True)), dtype=SURVIVAL)


def changed(y, **fields):
    """Replace fields of targets."""
    y = y.copy()
    for name, values in fields.items():
        y[name] = values
    return y


def random_targets(rng, n, n_times=None, share=0.6):
    """Draw events and times; with few distinct times there are many ties."""
    time = rng.exponential(size=n) if n_times is None else rng.integers(0, n_times, n).astype(float)
    y = survival(rng.random(n) < share, time)
    y["event"][rng.integers(n)] = True
    return y


def wide_survival(n=60, d=300, seed=0):
    """Draw wide samples with a hidden risk, on which a tenth of the features depend."""
    rng = np.random.default_rng(seed)
    X, risk = rng.normal(size=(n, d)), rng.normal(size=n)
    X[:, : d // 10] += risk[:, None]
    time, censored = rng.exponential(np.exp(-2 * risk)), rng.exponential(2.0, n)
    return X, survival(time < censored, np.minimum(time, censored))


def naive_loss(outputs, y, weights):
    """Efron's partial likelihood, with the derivatives of its logarithm by hand, in plain loops."""
    n, mean = len(outputs), weights[weights > 0].mean()
    weights = weights / mean
    kept = [i for i in range(n) if weights[i] > 0]
    hazards = [weights[i] * np.exp(outputs[i]) for i in range(n)]
    total = sum(weights[i] for i in kept if y["event"][i])
    loss, gradient = 0.0, np.zeros(n)
    for t in sorted({y["time"][i] for i in kept if y["event"][i]}):
        tied = [i for i in kept if y["event"][i] and y["time"][i] == t]
        at_risk = [i for i in kept if y["time"][i] >= t]
        mean_weight = sum(weights[i] for i in tied) / len(tied)
        for i in tied:
            loss -= weights[i] * outputs[i]
            gradient[i] -= weights[i]
        for left in range(len(tied)):
            share = left / len(tied)
            remaining = sum(hazards[i] for i in at_risk) - share * sum(hazards[i] for i in tied)
            loss += mean_weight * np.log(remaining)
            for i in at_risk:
                gradient[i] += mean_weight * hazards[i] * (1 - share * (i in tied)) / remaining
    return loss / total, gradient / total


def naive_concordance(y, risk, weights=None):
    """Look at all pairs."""
    weights = np.ones(len(y)) if weights is None else weights
    right = total = 0.0
    for i in range(len(y)):
        for j in range(len(y)):
            outlives = y["time"][j] > y["time"][i] or (y["time"][j] == y["time"][i] and not y["event"][j])
            if y["event"][i] and outlives:
                total += weights[i] * weights[j]
                right += weights[i] * weights[j] * (1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0)
    return right / total
