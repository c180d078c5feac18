"""Epochs that are trained ahead, several in a call, leave behind exactly what one epoch at a time does."""

import warnings

import numpy as np
import pytest
from classic import FrontClassifier

from fcfast.training import blocks
from fcfast.training.network import FrontNetwork

FORMS = ["weights", "windowed", "contributions"]
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 30)), np.arange(24) % 3


def fit(monkeypatch, ahead, on_call=None, callbacks=(), **parameters):
    """Train with blocks that grow without limit, or of one epoch; give the estimator, the warnings, and the epochs of calls."""
    calls, train_epochs = [], FrontNetwork.train_epochs

    def counted(self, orders, *arguments):
        calls.append(len(orders))
        losses = train_epochs(self, orders, *arguments)
        if on_call:
            on_call(len(calls))
        return losses

    settings = {"momentum": 0.9, "batch_size": 24, "max_epochs": 100, "tol": 0, "random_state": np.random.RandomState(1)}
    estimator = FrontClassifier((6,), **settings | parameters)
    with monkeypatch.context() as patch, warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        patch.setattr(blocks, "BLOCK", 1e6 if ahead else 0.0)
        patch.setattr(FrontNetwork, "train_epochs", counted)
        estimator.fit(X, Y, callbacks=callbacks)
    return estimator, [str(warning.message) for warning in heard], calls


def assert_same(one, other):
    """The same losses, weights, memory of the optimiser, and random numbers to come, to the last bit."""
    assert one.loss_curve_ == other.loss_curve_
    assert one.n_epochs_ == other.n_epochs_
    networks = one.network_, other.network_
    states = [(*net.snapshot(), *net.checkpoint()[1], net.front.base) for net in networks]
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)
    assert networks[0].checkpoint()[0] == networks[1].checkpoint()[0]
    assert one.random_state.randint(2**31) == other.random_state.randint(2**31)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [5, 24])
@pytest.mark.parametrize("form", FORMS)
def test_all_epochs(form, batch_size, shuffle, monkeypatch):
    """100 epochs in blocks of 1, 4, 16, 64 and 15."""
    settings = {"form": form, "batch_size": batch_size, "shuffle": shuffle, "schedule": "cosine", "weight_decay": 0.01}
    ahead, _, calls = fit(monkeypatch, True, **settings)
    alone, _, none = fit(monkeypatch, False, **settings)
    assert calls == [4, 16, 64, 15]
    assert none == []
    assert_same(ahead, alone)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("patience", [6, 7, 8])
def test_stop_within_a_block(form, patience, monkeypatch):
    """The epochs after the one that ends the training are taken back, with what was drawn for them."""
    settings = {"form": form, "batch_size": 9, "learning_rate": 0.3, "tol": 1e-2, "n_iter_no_change": patience}
    ahead, _, calls = fit(monkeypatch, True, **settings)
    alone, _, _ = fit(monkeypatch, False, **settings)
    assert alone.n_epochs_ < 100
    assert_same(ahead, alone)
    assert calls[-1] < calls[-2]  # the last block, and as much of it as was wanted
    assert alone.n_epochs_ == 1 + sum(calls[:-2]) + calls[-1]


class Spike:
    """A constant rate, but for one step that is far too large."""

    def __init__(self, at, factor):
        self.at, self.factor = at, factor

    def factors(self, steps, n_steps):
        return np.where(steps == self.at, self.factor, 1.0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("at", [3, 12, 20, 47])
@pytest.mark.parametrize("factor", [1e4, 1e15, 1e50, 1e308])
def test_divergence_within_a_block(form, at, factor, monkeypatch):
    """The best network before it, and the same words: for losses that grow, for those that are not finite, for weights."""
    settings = {"form": form, "schedule": Spike(at, factor), "n_iter_no_change": 100, "learning_rate": 0.01}
    ahead, said, calls = fit(monkeypatch, True, **settings)
    alone, expected, _ = fit(monkeypatch, False, **settings)
    assert said == expected
    assert any("diverged" in message for message in said)
    assert calls
    assert at <= ahead.n_epochs_ <= at + 2
    assert_same(ahead, alone)


@pytest.mark.parametrize("form", FORMS)
def test_divergence_at_the_start_of_a_block(form, monkeypatch):
    """The loss grows a thousandfold, and stays finite: the optimiser starts anew from the network before the block."""
    settings = {"form": form, "schedule": Spike(5, 3e4), "learning_rate": 0.01}
    ahead, said, calls = fit(monkeypatch, True, **settings)
    alone, expected, _ = fit(monkeypatch, False, **settings)
    assert "grown more than 1000 times" in said[0]
    assert said == expected
    assert (ahead.n_epochs_, calls) == (6, [4, 16])
    assert not any(velocity.any() for velocity in alone.network_.checkpoint()[1][:2])
    assert_same(ahead, alone)


def test_interrupt_within_a_block(monkeypatch):
    """The block is taken back: the network is that of the epochs before it, from where it can be trained on."""

    def interrupt(n_calls):
        if n_calls == 3:
            raise KeyboardInterrupt

    interrupted, said, _ = fit(monkeypatch, True, on_call=interrupt)
    assert "interrupted after 21 epoch(s)" in said[0]
    expected, _, _ = fit(monkeypatch, False, max_epochs=21)
    for a, b in zip(interrupted.network_.snapshot(), expected.network_.snapshot(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(interrupted.network_.checkpoint()[1], expected.network_.checkpoint()[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "settings",
    [{"callbacks": (lambda epoch: None,)}, {"early_stopping": True, "validation_fraction": 0.3}, {"optimizer": "muon"}],
)
def test_what_needs_every_epoch_gets_it(settings, monkeypatch):
    """Callbacks and validation scores see each epoch's network; other optimisers have no compiled epochs."""
    _, _, calls = fit(monkeypatch, True, **settings)
    assert calls == []


class Until:
    """A schedule that is none after some epochs."""

    def __init__(self, n_epochs, ends):
        self.n_epochs, self.ends = n_epochs, ends

    def factors(self, steps, n_steps):
        if self.ends and steps.max() >= self.n_epochs:
            raise ValueError("there are no rates after that")
        return np.where(steps < self.n_epochs, 1.0, -1.0)


@pytest.mark.parametrize("ends", [True, False])
def test_rates_of_epochs_that_are_not_reached_are_not_missed(ends, monkeypatch):
    """A block may ask for rates of epochs after the one that ends the training."""
    settings = {"schedule": Until(16, ends), "tol": 0.5, "n_iter_no_change": 10}
    ahead, _, _ = fit(monkeypatch, True, **settings)
    alone, _, _ = fit(monkeypatch, False, **settings)
    assert 5 < alone.n_epochs_ < 16
    assert_same(ahead, alone)
    with pytest.raises(ValueError, match=r"no rates after that|for 1 steps, got array\(\[-1\.\]\)"):
        fit(monkeypatch, True, schedule=Until(16, ends))


def test_any_bit_generator(monkeypatch):
    """Orders are drawn by random states of other generators than NumPy's oldest, too."""
    ahead, heard, _ = fit(monkeypatch, True, random_state=np.random.RandomState(np.random.PCG64(0)))
    alone, _, _ = fit(monkeypatch, False, random_state=np.random.RandomState(np.random.PCG64(0)))
    assert not any("legacy" in message for message in heard)
    assert_same(ahead, alone)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ahead", [True, False])
def test_ctrl_c_between_blocks(form, ahead, monkeypatch):
    """It may come when a block is trained, and none of its epochs has been looked at."""
    is_finite, n_calls = FrontNetwork.is_finite, []

    def interrupted(self):
        n_calls.append(1)
        if len(n_calls) == 4:
            raise KeyboardInterrupt
        return is_finite(self)

    with monkeypatch.context() as patch:
        patch.setattr(FrontNetwork, "is_finite", interrupted)
        stopped, _, _ = fit(monkeypatch, ahead, form=form, batch_size=9)
    assert stopped.n_epochs_ == (1 + 4 + 16 if ahead else 3)
    whole, _, _ = fit(monkeypatch, ahead, form=form, batch_size=9, max_epochs=stopped.n_epochs_)
    assert stopped.loss_curve_ == whole.loss_curve_
    for a, b in zip(stopped.coefs_, whole.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
