"""Whole trainings with every loss, with and without missing targets, are those of PyTorch in every form."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from test_front_exact import distance, random_configuration, torch, train_torch

from fcfast import backend, losses
from fcfast.streams import Stream

N_CONFIGURATIONS = 50 if backend.NAME == "compiled" else 10
functional = torch.nn.functional
LOSSES = "squared_error", "logistic", "poisson", "huber", "quantile"


def drawn(seed):
    """Draw a training with a loss: the estimator, its parameters, X, y with gaps or without, weights or None, and a start."""
    _, parameters, X, _, coefs, _ = random_configuration(seed)
    rng = np.random.default_rng(seed)
    name, n_targets = LOSSES[seed % len(LOSSES)], int(rng.integers(2, 5))
    per_target = 1
    kind = FrontRegressor
    if name == "logistic":
        kind = FrontClassifier
        y = rng.integers(0, 2, (len(X), n_targets)).astype(float)
        parameters["label_smoothing"] = float(rng.choice([0, 0.2]))
    else:
        loss = {
            "huber": losses.Huber(float(rng.uniform(0.2, 2))),
            "quantile": losses.Quantile(sorted(rng.uniform(0.05, 0.95, int(rng.integers(1, 4))))),
        }.get(name, name)
        parameters["loss"] = loss
        per_target = losses.make_loss(loss).per_target
        y = rng.poisson(2.0, (len(X), n_targets)) if name == "poisson" else rng.normal(size=(len(X), n_targets))
        y = y.astype(float)
    if rng.random() < 0.6:
        y[rng.random(y.shape) < 0.3] = np.nan
        y[:, rng.integers(n_targets)] = y[:, 0] if rng.random() < 0.5 else np.nan  # a column that may be missing altogether
    weights = rng.uniform(0.1, 2, len(X)) if rng.random() < 0.4 else None
    widths = (*[coef.shape[0] for coef in coefs], n_targets * per_target)
    coefs = [rng.uniform(-1, 1, (i, o)) / i**0.5 for i, o in pairwise(widths)]
    return kind, parameters, X, y, weights, coefs, [rng.uniform(-0.2, 0.2, o) for o in widths[1:]]


def torch_losses(kind, parameters):
    """Give PyTorch's loss of each output, for outputs and targets with a column for each."""
    loss = parameters.get("loss", "logistic")
    if kind is FrontClassifier:
        share = parameters["label_smoothing"]
        return lambda z, t: functional.binary_cross_entropy_with_logits(z, (1 - share) * t + share / 2, reduction="none")
    if loss == "squared_error":
        return lambda z, t: (z - t) ** 2 / 2
    if loss == "poisson":
        return lambda z, t: functional.poisson_nll_loss(z, t, reduction="none") + torch.special.xlogy(t, t) - t
    if isinstance(loss, losses.Huber):
        return lambda z, t: functional.huber_loss(z, t, reduction="none", delta=loss.delta)
    levels = torch.tensor(loss.parameters, dtype=torch.float64)
    # PyTorch's maximum halves its gradient at a tie, which a random start never meets
    return lambda z, t: torch.maximum((level := levels.repeat(z.shape[1] // len(levels))) * (t - z), (level - 1) * (t - z))


def masked_twin(kind, parameters, X, y, weights, coefs, biases):
    """Train in PyTorch: of each output the mean over the samples of a batch that have a target, summed over the outputs."""
    each, per_target = torch_losses(kind, parameters), coefs[-1].shape[1] // y.shape[1]
    targets = torch.tensor(np.repeat(y, per_target, axis=1))
    every = torch.ones(len(X)) if weights is None else torch.tensor(weights)

    def loss_of(outputs, batch):
        there = ~targets[batch].isnan()
        shares = every[batch][:, None] * there
        totals = torch.where(shares.sum(0) > 0, shares.sum(0), 1.0)
        return ((shares * each(outputs, targets[batch].nan_to_num(0.0))).sum(0) / totals).sum()

    return train_torch(parameters, X, y, coefs, biases, loss_of=loss_of)


def fitted(kind, parameters, X, y, weights, coefs, biases, form, **more):
    """Train by the estimator, samples in order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 30 steps are not meant to converge
        warnings.filterwarnings("ignore", "y has no value in")
        estimator = kind(**parameters | more, form=form, dtype="float64", shuffle=False, tol=0, n_iter_no_change=10**6)
        return estimator.fit(X, y, weights, coefs_init=coefs, intercepts_init=biases)


def assert_equal(estimator, expected, message):
    of_epochs, weights, offsets = expected
    assert distance([estimator.loss_curve_], [of_epochs]) < 1e-9, message
    assert distance(estimator.coefs_, weights) < 1e-9, message
    assert distance(estimator.intercepts_, offsets) < 1e-9, message


@pytest.mark.parametrize("group", range(5))
def test_every_form_equals_pytorch(group):
    """Depths, activations, batches, momentum, decay, clipping, schedules; weights of samples, missing targets: 1e-9."""
    for seed in range(group, N_CONFIGURATIONS, 5):
        case = drawn(seed)
        expected = masked_twin(*case)
        for form, window in (("weights", "auto"), ("windowed", 1 + 13 * (seed % 4)), ("contributions", 1 + 17 * (seed % 3))):
            estimator = fitted(*case, form, window=window)
            assert_equal(estimator, expected, f"seed {seed}, {form}, {case[:2]}")
            assert estimator.network_.by_blocks is not None


def test_sparse_weights_equal_pytorch():
    """Rare features, which are left alone between the batches that have them."""
    for seed in range(100, 120):
        kind, parameters, X, *rest = drawn(seed)
        X = X * (np.random.default_rng(seed).random(X.shape) < 0.2)
        expected = masked_twin(kind, parameters, X, *rest)
        estimator = fitted(kind, parameters, sparse.csr_array(X), *rest, "windowed")
        assert_equal(estimator, expected, f"seed {seed}, {parameters}")


@pytest.mark.parametrize("rule", ["backprop", "local-loss", "dfa", "fg-a", "forward-gradient"])
def test_rules_that_take_single_steps(rule):
    """A loss that the kernels do not know, made of the same formula, trains the same network by the same rule."""
    for seed in range(200, 210):
        kind, parameters, X, y, weights, coefs, biases = drawn(seed)
        if kind is FrontClassifier:
            continue
        loss = losses.make_loss(parameters["loss"])
        own = losses.FunctionLoss(
            lambda z, t, loss=loss: loss.of_outputs(z, t)[0], lambda z, t, loss=loss: loss.of_outputs(z, t)[1]
        )
        y = np.repeat(y, loss.per_target, axis=1)
        if loss.per_target > 1:
            loss = losses.Quantile(0.5)
            own = losses.FunctionLoss(lambda z, t: abs(z - t) / 2, lambda z, t: np.sign(z - t) / 2)
        ours, theirs = (
            fitted(kind, parameters | {"loss": each}, X, y, weights, coefs, biases, "contributions", rule=rule, random_state=0)
            for each in (loss, own)
        )
        assert distance([theirs.loss_curve_], [ours.loss_curve_]) < 1e-9, f"seed {seed}"
        assert distance(theirs.coefs_, ours.coefs_) < 1e-9, f"seed {seed}"


def test_portions_and_streams_equal_fits():
    """A portion of all samples is an epoch of `fit`; a stream in blocks of some rows has the batches of all together."""
    for seed in range(300, 315):
        kind, parameters, X, y, weights, coefs, biases = drawn(seed)
        parameters = parameters | {"max_epochs": 1, "schedule": "constant", "batch_size": 4}
        case = kind, parameters, X, y, weights, coefs, biases
        whole = fitted(*case, "windowed")
        ends = [*range(0, len(X), 7), len(X)]

        def blocks(X=X, y=y, weights=weights, ends=ends):
            for first, last in pairwise(ends):
                part = slice(first, last)
                yield (X[part], y[part]) if weights is None else (X[part], y[part], weights[part])

        streamed = kind(**parameters, form="windowed", dtype="float64", shuffle=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", "y has no value in")
            streamed.fit(Stream(blocks), coefs_init=coefs, intercepts_init=biases)
        assert distance([streamed.loss_curve_], [whole.loss_curve_]) < 1e-9, f"seed {seed}, {parameters}"
        assert distance(streamed.coefs_, whole.coefs_) < 1e-9, f"seed {seed}, {parameters}"


def test_masks_of_whole_columns_equal_separate_fits():
    """A column without any target changes nothing for the others, in any form, also where its batch has none by chance."""
    for seed in range(400, 410):
        kind, parameters, X, y, weights, coefs, biases = drawn(seed)
        if kind is FrontClassifier and y.shape[1] == 2:
            continue  # one label alone is a class
        first = coefs[-1].shape[1] // y.shape[1]
        y = np.where(np.isnan(y), 1.0, y)
        y[:, 0] = np.nan
        others = [*coefs[:-1], coefs[-1][:, first:]], [*biases[:-1], biases[-1][first:]]
        for form in ("weights", "windowed", "contributions"):
            both = fitted(kind, parameters, X, y, weights, coefs, biases, form)
            alone = fitted(kind, parameters, X, y[:, 1:], weights, *others, form)
            assert distance([both.loss_curve_], [alone.loss_curve_]) < 1e-9, f"seed {seed}, {form}"
            ours = [*both.coefs_[:-1], both.coefs_[-1][:, first:]]
            assert distance(ours, alone.coefs_) < 1e-9, f"seed {seed}, {form}"
