"""How a training ended: noted by the estimator, and carried by the warning if there is one."""

import pickle
import warnings

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor

from fcfast import NoPropClassifier
from fcfast.training import Outcome, TrainingWarning
from fcfast.training.outcome import History

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 100)), np.arange(40) % 2
RARE = np.arange(60) % 3 == 0
FAR = 10 + np.random.default_rng(0).normal(size=(60, 2000)) + 0.5 * RARE[:, None]  # features far from 0 make units useless
SETTINGS = {"random_state": 0, "n_jobs": 1}


def interrupt(epoch):
    """Press Ctrl-C after the second epoch."""
    if epoch.epoch == 2:
        raise KeyboardInterrupt


def fitted(kind, settings, y=Y, inputs=X, width=8, **arguments):
    """Fit; give the estimator and the outcomes that its warnings carry."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator = kind((width,), **SETTINGS | settings).fit(inputs, y, **arguments)
    assert {warning.filename for warning in caught} <= {__file__}  # the caller's line is the one to look at
    return estimator, [warning.message.outcome for warning in caught]


ENDS = {
    "converged": (FrontClassifier, {"tol": 0.02, "n_iter_no_change": 3}, {}, False),
    "max_epochs": (FrontClassifier, {"tol": 0, "max_epochs": 3}, {}, False),
    "stopped": (FrontClassifier, {}, {"callbacks": [lambda epoch: epoch.epoch == 2]}, False),
    "interrupted": (FrontClassifier, {}, {"callbacks": [interrupt]}, True),
    "diverged": (FrontRegressor, {"activation": "identity", "learning_rate": 50.0}, {"y": X[:, 0]}, True),
    "loss_rose": (
        FrontRegressor,
        {"optimizer": "neuron-adam", "learning_rate": 0.1, "max_epochs": 2},
        {"y": X[:, 0]},
        True,
    ),
    "nothing_learned": (FrontClassifier, {"init_scale": 0.1}, {"inputs": FAR, "y": RARE, "width": 16}, True),
}


@pytest.mark.parametrize("outcome", ENDS)
def test_every_end_has_its_outcome(outcome):
    """As a member of the enumeration, which equals its text; a warning says the same."""
    kind, settings, arguments, warns = ENDS[outcome]
    estimator, warned = fitted(kind, settings, **arguments)
    assert estimator.outcome_ is Outcome(outcome)
    assert estimator.outcome_ == outcome
    assert f"{estimator.outcome_}" == outcome
    assert warned[-1:] == ([Outcome(outcome)] if warns else [])


def test_all_outcomes_are_tested():
    """A new member needs a case above."""
    assert set(ENDS) == {member.value for member in Outcome}


def test_all_epochs_with_a_tolerance_warn():
    """Only there more epochs may have been better."""
    estimator, warned = fitted(FrontClassifier, {"tol": 1e-9, "max_epochs": 12})
    assert estimator.outcome_ is Outcome.MAX_EPOCHS
    assert warned == [Outcome.MAX_EPOCHS]


def test_the_latest_training_counts():
    """A call of partial_fit is a training of one epoch."""
    estimator, _ = fitted(FrontClassifier, ENDS["converged"][1] | {"form": "windowed"})
    assert estimator.partial_fit(X, Y).outcome_ is Outcome.MAX_EPOCHS


@pytest.mark.parametrize("form", ["contributions", "windowed"])
def test_the_line_that_calls_partial_fit_is_the_one_to_look_at(form):
    """As with `fit`."""
    regressor = FrontRegressor((8,), form=form, activation="identity", learning_rate=1e30, batch_size=5, **SETTINGS)
    with pytest.warns(TrainingWarning) as caught:
        regressor.partial_fit(X, X[:, 0])
    assert {warning.filename for warning in caught} == {__file__}


def test_blocks_have_outcomes_too():
    """NoProp trains in the same loop."""
    classifier = NoPropClassifier(n_blocks=2, hidden=(4, 4), max_epochs=2, **SETTINGS).fit(X, Y)
    assert classifier.outcome_ is Outcome.MAX_EPOCHS


@pytest.mark.parametrize("first", [Outcome.INTERRUPTED, Outcome.DIVERGED])
def test_what_is_found_out_later_does_not_hide_it(first):
    """The network that a divergence or Ctrl-C left may be poor, too."""
    history = History()
    for outcome in (first, Outcome.LOSS_ROSE, Outcome.NOTHING_LEARNED, Outcome.DIVERGED):
        history.end(outcome)
    assert history.outcome is first


def test_a_divergence_from_a_poor_network_is_a_divergence():
    """The loss rises, then it overflows: one warning tells it, because the network of the last losses is not kept."""
    settings = {"activation": "identity", "learning_rate": 0.5, "batch_size": 40, "momentum": 0.0, "tol": 0}
    estimator, warned = fitted(FrontRegressor, settings, y=X[:, 0])
    assert estimator.loss_curve_[-1] > estimator.loss_curve_[0]
    assert warned == [Outcome.DIVERGED]
    assert estimator.outcome_ is Outcome.DIVERGED


def test_warnings_go_from_process_to_process():
    """With their outcome."""
    sent = pickle.loads(pickle.dumps(TrainingWarning("too fast", Outcome.DIVERGED)))
    assert (str(sent), sent.outcome) == ("too fast", Outcome.DIVERGED)
