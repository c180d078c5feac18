"""Comparison of learning rules: fair to each rule, tuned without the test set, stored completely; and its command."""

import json
import os
import signal
import subprocess
import sys
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fcfast import comparison
from fcfast.comparison import (
    Comparison,
    RuleResult,
    Run,
    Trial,
    compare,
    default_rate,
    memory,
    parse_rule,
    rate_grid,
    rule_name,
    trainings,
)
from fcfast.estimators import FrontClassifier
from fcfast.rules import RULES, ForwardGradient, LocalLoss
from fcfast.training.network import FrontNetwork

NETWORK = {"hidden_layer_sizes": (8, 8), "batch_size": 10, "dtype": "float64", "n_jobs": 1}
QUICK = {**NETWORK, "epochs": 3, "n_seeds": 2, "n_rates": 3}


def samples(n=60, seed=0):
    """Three classes that can be told apart."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = rng.normal(size=(n, 6))
    X[:, :3] += 2 * (y[:, None] == np.arange(3))
    return X, y


def results(comparison_):
    """Results by rule."""
    return {result.rule: result for result in comparison_.results}


def without_times(result):
    """What has to be equal from call to call."""
    return result.trials, [{**vars(run), "seconds_per_epoch": None} for run in result.runs]


# ----------------------------------------------------------------------------------------------------------------------
# names


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        *((name, rule) for name, rule in RULES.items()),
        ("forward-gradient", ForwardGradient()),
        ("forward-gradient:target=global:guess=ntk", ForwardGradient("global", "ntk")),
        ("lg-fg-a:groups=16:block_size=2", ForwardGradient("local", "gaussian", groups=16, block_size=2)),
        ("local-loss:head_layer_sizes=64x32", LocalLoss(head_layer_sizes=(64, 32))),
        ("fg-a:normalize=true", ForwardGradient("global", "gaussian", normalize=True)),
        ("fg-a:normalize=auto", RULES["fg-a"]),
    ],
)
def test_rules_by_name(text, rule):
    """Names, with settings or without."""
    assert parse_rule(text) == rule


def test_a_rule_is_read_from_its_name():
    """Whatever its settings."""
    settings = (
        ["global", "local"], ["gaussian", "rademacher", "local", "ntk", "global"], ["activation", "weight"],
        [True, False, "auto"], [(), (5,), (5, 6)],
    )  # fmt: skip
    for target, guess, space, normalize, heads in product(*settings):
        heads = heads if target == "local" or guess in ("local", "ntk") else ()
        rule = ForwardGradient(target, guess, space, normalize, head_layer_sizes=heads)
        assert parse_rule(rule_name(rule)) == rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fg-b", "'fg-b' is unknown; use one of 'backprop'.*'forward-gradient'.*'lg-fg-a'"),
        ("backprop:groups=2", "'groups=2' is not a setting; write backprop:NAME=VALUE with one of rate"),
        ("lg-fg-a:group=2", "'group=2' is not a setting; write lg-fg-a:NAME=VALUE with one of target, guess"),
        ("lg-fg-a:groups", "'groups' is not a setting"),
        ("lg-fg-a:groups=two", "groups='two' is not a whole number"),
        ("local-loss:head_layer_sizes=3;4", "is not sizes such as"),
        ("lg-fg-a:groups=0", "rule 'lg-fg-a:groups=0': groups must be"),
        ("fg-a:groups=2", "use target='local'"),
        ("fg-a:guess=wild", "guess"),
        ("fg-a:rate", "'rate' is not a setting"),
        ("fg-a:rate=fast", "rule 'fg-a:rate=fast': rate='fast' is not a number"),
        ("fg-a:rate=0", "rule 'fg-a:rate=0': rate must be finite and > 0"),
        ("fg-a:rate=-1e-3", "rate must be finite and > 0"),
        ("fg-a:rate=nan", "rate must be finite and > 0"),
    ],
)
def test_bad_rules(text, message):
    """One sentence that says which rule, and what it takes."""
    with pytest.raises(ValueError, match=message):
        parse_rule(text)


def test_baselines_are_added_once():
    """Backpropagation first, frozen layers last, wherever the user has them; equal rules are one."""
    assert list(comparison.chosen_rules(["fg-a"])) == ["backprop", "fg-a", "frozen"]
    assert list(comparison.chosen_rules(["frozen", "fg-a", "backprop"], only=True)) == ["backprop", "fg-a", "frozen"]
    with_rate = ["frozen:rate=0.1", "fg-a", "backprop:rate=0.2"]
    assert list(comparison.chosen_rules(with_rate)) == ["backprop:rate=0.2", "fg-a", "frozen:rate=0.1"]
    twice = ["fg-a", "forward-gradient:guess=gaussian", "forward-gradient:guess=ntk"]
    assert list(comparison.chosen_rules(twice, only=True)) == ["fg-a", "forward-gradient:guess=ntk"]
    with pytest.raises(ValueError, match="rules is empty"):
        comparison.chosen_rules([])


@given(st.floats(1e-12, 1e12))
def test_a_rate_is_kept_in_the_name(rate):
    """And read from it, among other settings, as the same number to 15 digits; it is no part of the rule."""
    text = f"lg-fg-a:rate={rate!r}:groups=16"
    ((name, rule),) = comparison.chosen_rules([text], only=True).items()
    assert rule == parse_rule(text) == parse_rule(name) == parse_rule("lg-fg-a:groups=16")
    assert comparison.given_rate(text) == rate
    assert comparison.given_rate(name) == pytest.approx(rate, rel=1e-14)
    assert list(comparison.chosen_rules([name], only=True)) == [name]
    assert comparison.given_rate("lg-fg-a:groups=16") is None


def test_equal_rates_are_one_rule():
    """However they are written; other rates of a rule stand beside it."""
    names = ["fg-w:rate=0.003", "fg-w:rate=3e-3", "fg-w", "fg-w:rate=1"]
    assert list(comparison.chosen_rules(names, only=True)) == ["fg-w:rate=0.003", "fg-w", "fg-w:rate=1"]


# ----------------------------------------------------------------------------------------------------------------------
# fairness


def test_same_start_and_batches_for_all_rules(monkeypatch):
    """In all trainings of a seed, tried rates and final ones: weights, biases and order of samples."""
    seen = []
    train_epoch = FrontNetwork.train_epoch

    def note(self, order, *arguments):
        seen.append((len(order), self.params.copy(), self.front.expand().copy(), order.copy()))
        return train_epoch(self, order, *arguments)

    X, y = samples()
    rules = ["fg-w", "lg-fg-a:groups=2", "dfa", "local-fg-w"]
    monkeypatch.setattr(FrontNetwork, "train_epoch", note)
    compare(X, y, rules, epochs=1, n_seeds=2, n_rates=2, **NETWORK)
    for n, n_trainings, n_kinds in ((38, 2 * 6, 1), (48, 2 * 6, 2)):  # validation rows held out, and not; seeds
        of_this = [parts for size, *parts in seen if size == n]
        assert len(of_this) == n_trainings
        for part in zip(*of_this, strict=True):
            assert len({array.tobytes() for array in part}) == n_kinds


def test_tuning_never_sees_test_samples():
    """Other test samples change the test errors and nothing else."""
    X, y = samples()
    X_test, y_test = samples(30, seed=1)
    first, second = (
        results(compare(X, y, ["fg-a"], test=test, **QUICK)) for test in ((X_test, y_test), (-100 * X_test, 2 - y_test))
    )
    for name, result in first.items():
        other = second[name]
        assert (result.trials, result.learning_rate) == (other.trials, other.learning_rate)
        for run, same in zip(result.runs, other.runs, strict=True):
            assert (run.losses, run.train_error) == (same.losses, same.train_error)
            assert run.test_error != same.test_error


def test_equal_budget():
    """As many rates for each rule, spread as widely; the best one by validation error, then loss, is taken."""
    X, y = samples()
    for name, result in results(compare(X, y, ["fg-w", "local-loss"], **QUICK)).items():
        rates = [trial.learning_rate for trial in result.trials]
        assert len(rates) == 3, name
        np.testing.assert_allclose(rates, np.array([0.1, 1, 10]) * rates[1], rtol=0.01)
        assert result.learning_rate == min(result.trials, key=lambda trial: (trial.error, trial.loss)).learning_rate
        assert [run.seed for run in result.runs] == [0, 1]


def test_default_rates():
    """Less for long inputs and for noise; in proportion to 1 - momentum; the same for sparse data; the grid is log-even."""
    X = np.full((5, 4), 10.0)
    backprop, noise = RULES["backprop"], RULES["fg-w"]
    assert default_rate(backprop, np.ones((5, 4))) == pytest.approx(0.1)
    assert default_rate(backprop, X) == pytest.approx(0.025) == default_rate(backprop, sparse.csr_array(X))
    assert default_rate(noise, X, momentum=0.0) == pytest.approx(0.01 * 0.25)
    assert default_rate(noise, X, "adam") == default_rate(backprop, X, "adam")
    assert rate_grid(0.1, 5) == [0.01, 0.0316, 0.1, 0.316, 1.0]
    assert rate_grid(0.1, 1) == [0.1]


def test_fixed_rate_and_single_rate():
    """A given rate is every rule's, and nothing is tried; nor with a budget of one."""
    X, y = samples()
    fixed = compare(X, y, ["fg-a"], learning_rate=0.02, **QUICK)
    assert {(r.learning_rate, len(r.trials)) for r in fixed.results} == {(0.02, 0)}
    single = compare(X, y, ["fg-a"], **QUICK | {"n_rates": 1, "n_seeds": 1})
    assert [(r.learning_rate, len(r.trials)) for r in single.results] == [(0.1, 0), (0.01, 0), (0.3, 0)]


def test_rate_of_a_rule():
    """Nothing is tried for it, the others are tuned, or have the rate of all; it trains as with that rate for all."""
    X, y = samples()
    told = []
    tuned = results(compare(X, y, ["fg-w:rate=0.003", "fg-a"], tell=lambda words, done: told.append(done), **QUICK))
    assert [len(result.trials) for result in tuned.values()] == [3, 0, 3, 3]
    own = tuned["fg-w:rate=0.003"]
    assert (own.learning_rate, own.remark, len(own.runs)) == (0.003, "rate given", 2)
    assert told[-1] == comparison.n_epochs(4, 3, 2, 3)
    fixed = results(compare(X, y, ["fg-w", "fg-a:rate=0.01"], learning_rate=0.003, **QUICK))
    assert without_times(own) == without_times(fixed["fg-w"])
    assert {name: result.learning_rate for name, result in fixed.items()} == {
        "backprop": 0.003, "fg-w": 0.003, "fg-a:rate=0.01": 0.01, "frozen": 0.003,
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------------
# what is reported


def rule_result(trials, rate, runs=()):
    """A result with these trials."""
    return RuleResult("fg-a", "none", "none", 5, 5, "weights", rate, trials, list(runs))


def finished(error, diverged=False, n_warnings=0):
    """A run with this test error."""
    return Run(0, diverged, n_warnings, error, 0.0, 0.1, [1.0], [1], [error])


def test_edge_of_the_grid_is_told():
    """Lowest and highest, not the middle; and how many rates were lost."""
    trials = [Trial(0.1, 0.5, 1.0), Trial(1.0, 0.5, 1.0), Trial(10.0, None, None)]
    assert rule_result(trials, 0.1).remark == "rate at the edge of its grid, the lowest tried; 1 of 3 rates diverged"
    assert rule_result(trials[:2], 1.0).remark == "rate at the edge of its grid, the highest tried"
    assert rule_result(trials, 1.0).remark == "1 of 3 rates diverged"


def test_mean_and_standard_error():
    """Over the seeds that did not diverge; a single one has no standard error."""
    result = rule_result([], 0.1, [finished(0.2), finished(0.4), finished(0.9, diverged=True, n_warnings=1)])
    assert result.mean("test_error") == pytest.approx((0.3, 0.1))
    assert result.remark == "1 of 3 seeds diverged"
    assert np.isnan(rule_result([], 0.1, [finished(0.2)]).mean("test_error")[1])
    assert rule_result([], 0.1, [finished(0.9, diverged=True)]).mean("test_error") is None


def test_warnings_in_words():
    """What happened, in how many seeds: inputs that say nothing leave the loss where the class frequencies have it."""
    X, y = samples()
    nothing = np.ones_like(X)
    result = compare(nothing, y, ["frozen"], only=True, learning_rate=0.1, **QUICK | {"epochs": 12}).results[0]
    assert [run.losses[-1] > run.losses[0] for run in result.runs] == [False, True]
    assert result.remark == "1 of 2 seeds: learned only the class frequencies; 1 of 2 seeds: loss ended higher than it began"


def test_divergence_is_reported():
    """At every rate: nothing is trained further. At a given rate: the seeds are counted. No warning gets out."""
    X, y = samples()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuned = compare(1e3 * X, y, ["fg-w"], optimizer="muon", **QUICK)
        given_rate = compare(X, y, ["fg-a"], learning_rate=1e30, **QUICK)
    assert {r.rule for r in tuned.results} == {"backprop", "fg-w", "frozen"}
    for result in given_rate.results[:2]:
        assert "2 of 2 seeds diverged" in result.remark
        assert [run.diverged for run in result.runs] == [True, True]
    assert "diverged" in given_rate.table()
    lost = rule_result([Trial(0.1, None, None), Trial(1.0, None, None)], None)
    assert lost.remark == "diverged at every rate from 0.1 to 1"


def test_every_rate_diverges(monkeypatch):
    """Then no rate is chosen, and the table says so."""
    monkeypatch.setattr(trainings, "default_rate", lambda *arguments: 1e30)
    compared = compare(*samples(), ["backprop"], only=True, **QUICK)
    result = compared.results[0]
    assert (result.learning_rate, result.runs) == (None, [])
    assert "| -    | diverged" in compared.table()
    assert "diverged at every rate" in result.remark


def test_regression():
    """Errors are 1 - R², of several outputs too; the curve ends in the final error."""
    X, _ = samples()
    y = np.column_stack([X[:, 0] + X[:, 1], np.tanh(X[:, 2])])
    compared = compare(X, y, ["lg-fg-a"], task="regression", **QUICK | {"epochs": 30})
    backprop = results(compared)["backprop"]
    assert 0 < backprop.mean("test_error")[0] < 0.5
    for run in backprop.runs:
        assert run.test_errors[-1] == pytest.approx(run.test_error, rel=1e-12)
        assert (len(run.losses), len(run.scored_epochs), run.scored_epochs[-1]) == (30, 25, 30)
    assert "test 1 - R²" in compared.table()


def test_costs_are_the_rules_own():
    """Products for this depth, transposes and backward passes."""
    X, y = samples()
    compared = compare(X, y, ["lg-fg-a", "fa"], **QUICK)
    headings, costs = compared.sheets()[1]
    assert headings[:3] == ["rule", "products a step", "arrays held"]
    for result in compared.results:
        rule = parse_rule(result.rule)
        assert (result.matrix_products, result.kept_activations) == (rule.matrix_products(2), rule.kept_activations(2))
        assert [result.rule, str(rule.matrix_products(2)), str(rule.kept_activations(2))] in [row[:3] for row in costs]
        assert (result.transposes, result.backward_passes) == (rule.transposes, rule.backward_passes)


@pytest.mark.skipif(not comparison.memory_is_measurable(), reason="needs /proc")
def test_memory_of_a_child():
    """Momentum doubles what the weights take; a network of 8 MB adds at least that."""
    X, y = samples()
    wide = np.tile(X, 100)
    compared = compare(wide, y, ["backprop"], only=True, memory=True,
                       **QUICK | {"hidden_layer_sizes": (1700,), "form": "weights", "n_rates": 1, "n_seeds": 1})  # fmt: skip
    assert 2 * 8 * 600 * 1700 < compared.results[0].peak_bytes < 100e6
    assert "MiB" in compared.table()


@pytest.mark.skipif(not comparison.memory_is_measurable(), reason="needs /proc")
def test_a_child_ends_with_the_command(tmp_path):
    """Nobody goes on training for a command that was told to end, and its folder is gone."""
    code = (
        "import os, signal, subprocess, tempfile; signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "import fcfast.cli\nfrom fcfast.comparison import memory\n"
        "class Child(subprocess.Popen):\n"
        "    def communicate(self, *arguments, **settings):\n"
        "        print(self.pid, flush=True); return super().communicate(*arguments, **settings)\n"
        "subprocess.Popen = Child\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "class Slow:\n"
        "    def __reduce__(self): import time; return time.sleep, (600,)\n"
        "fcfast.cli.main = lambda: memory.training_memory('slow', Slow(), None, None)\n"
        "fcfast.cli.run()"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        child = int(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert not Path("/proc", str(child)).exists()
    assert list(tmp_path.iterdir()) == []


def test_memory_of_a_rule_that_fails():
    """The message has the rule's name, and the child's words."""
    X, y = samples()
    estimator = FrontClassifier((8,), rule=ForwardGradient("local", "gaussian", "weight"), form="windowed")
    with pytest.raises(RuntimeError, match="rule 'lg-fg-w': measuring the memory of a training failed") as caught:
        comparison.training_memory("lg-fg-w", estimator, X, y)
    assert "form='windowed' cannot hold" in str(caught.value)
    assert "ForwardGradient(" not in str(caught.value)


def test_memory_where_it_is_not_available(monkeypatch, tmp_path):
    """Said before anything is trained."""
    monkeypatch.setattr(memory, "RESET", tmp_path / "missing")
    with pytest.raises(ValueError, match="not available on this system"):
        compare(*samples(), ["fg-a"], memory=True, **QUICK)


# ----------------------------------------------------------------------------------------------------------------------
# kept results


def test_json_round_trip():
    """Equal after JSON without NaN."""
    compared = compare(*samples(), ["fg-a"], **QUICK)
    again = Comparison.from_dict(json.loads(json.dumps(compared.to_dict(), allow_nan=False)))
    assert again == compared
    with pytest.raises(ValueError, match="not a comparison"):
        Comparison.from_dict({"results": [{}]})


def test_results_are_taken_over():
    """Those of the same settings, to which rules can be added; told after each rule; a second call gives the same numbers."""
    X, y = samples()
    states = []
    told = []
    first = compare(X, y, ["fg-a"], **QUICK)
    second = compare(
        X, y, ["dfa"], earlier=first, after_rule=states.append, tell=lambda words, done: told.append((words, done)), **QUICK
    )
    assert [result.rule for result in second.results] == ["backprop", "dfa", "fg-a", "frozen"]
    assert [len(state.results) for state in states] == [4]
    assert all(words.startswith("dfa: ") for words, _ in told)
    assert told[0][1] == 1 + 15
    assert 15 + 4 * 3 < told[-1][1] <= 2 * 15 == comparison.n_epochs(2, 3, 2, 3)
    for name, result in results(first).items():
        assert results(second)[name] is result
    for name, result in results(compare(X, y, ["fg-a"], **QUICK)).items():
        assert without_times(result) == without_times(results(first)[name])


def test_a_given_rate_is_taken_over():
    """By the name that has it; the same rule at another rate, or tuned, is trained."""
    X, y = samples()
    trained = []
    first = compare(X, y, ["fg-a:rate=0.01"], **QUICK)
    second = compare(
        X, y, ["fg-a:rate=1e-2", "fg-a:rate=0.02", "fg-a"], earlier=first,
        after_rule=lambda state: trained.append(len(state.results)), **QUICK,
    )  # fmt: skip
    assert list(results(second)) == ["backprop", "fg-a:rate=0.01", "fg-a:rate=0.02", "fg-a", "frozen"]
    assert trained == [4, 5]
    assert second.results[1] is first.results[1]


def test_results_keep_their_machine(monkeypatch):
    """Those measured elsewhere are marked; where nothing is measured anew, the machine stays."""
    X, y = samples()
    here = comparison.config()
    first = compare(X, y, ["fa"], only=True, **QUICK)
    monkeypatch.setattr(comparison, "config", lambda: here | {"threads": 99, "numpy": "9.9"})
    same = compare(X, y, ["fa"], only=True, earlier=first, **QUICK)
    assert (same.machine, same.results) == (here, first.results)
    both = Comparison.from_dict(compare(X, y, ["dfa"], only=True, earlier=first, **QUICK).to_dict())
    assert both.machine["threads"] == 99
    assert [result.machine["threads"] for result in both.results] == [99, here["threads"]]
    dfa, fa = (both.remark(result) for result in both.results)
    assert "another machine" not in dfa
    assert fa.endswith("measured on another machine or setup (other threads, numpy): do not compare its times")
    assert fa in both.table()
    assert both.differences(both.results[1]) == {"threads": here["threads"], "numpy": here["numpy"]}


def test_results_without_a_machine():
    """Files from before have one for all; it stays with what they hold."""
    compared = compare(*samples(), ["fa"], only=True, **QUICK)
    content = compared.to_dict()
    for result in content["results"]:
        del result["machine"]
    content["machine"]["threads"] = 99
    read = Comparison.from_dict(content)
    assert [result.machine for result in read.results] == [content["machine"]]
    assert "another machine" not in read.table()
    added = compare(*samples(), ["dfa"], only=True, earlier=read, **QUICK)
    assert [result.machine["threads"] for result in added.results] == [comparison.config()["threads"], 99]


@pytest.mark.parametrize(
    ("change", "named"), [({"epochs": 4}, "epochs 3 is now 4"), ({"momentum": 0.5}, "network"), ({}, "data")]
)
def test_other_settings_are_not_taken_over(change, named):
    """Nor other data; what differs is named."""
    X, y = samples()
    first = compare(X, y, ["fg-a"], **QUICK)
    with pytest.raises(ValueError, match=named):
        compare(X if change else X + 1, y, ["fg-a"], earlier=first, **QUICK | change)


@pytest.mark.parametrize("place", ["X", "y", "test X", "test y"])
def test_data_that_are_not_finite_are_refused(place):
    """Before any training: none of these looks again."""
    rng = np.random.default_rng(0)
    parts = {"X": rng.normal(size=(40, 6)), "y": rng.normal(size=40), "test X": rng.normal(size=(9, 6)), "test y": np.ones(9)}
    parts[place].flat[5] = np.nan
    with pytest.raises(ValueError, match=f"Input {place} contains NaN"):
        compare(
            parts["X"], parts["y"], ["backprop"], task="regression", test=(parts["test X"], parts["test y"]), tell=pytest.fail,
            **QUICK,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "ranking"}, "task='ranking' is unknown"),
        ({"n_seeds": 0}, "n_seeds"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"max_epochs": 4}, "use epochs"),
        ({"tol": 0.1}, "leave it out"),
        ({"hidden": 4}, "hidden"),
        ({"validation_share": 0.001}, "validation_share=0.001 of 48 samples"),
        ({"test": (np.ones((3, 5)), np.ones(3))}, "do not go with"),
        ({"test": (np.ones((3, 6)), np.ones(2))}, "test X has 3 samples"),
        ({"rules": ["fg-w"], "form": "contributions"}, "'fg-w'.*form='weights'"),
        ({"rules": ["lg-fg-a:groups=3"]}, "'lg-fg-a:groups=3': groups=3 does not divide"),
        ({"rules": ["fa", ""]}, "rule='' is unknown"),
    ],
)
def test_errors_come_before_any_training(change, message):
    """A clear message; no rule was trained for nothing."""
    arguments = {"rules": ["fg-a"], **QUICK, **change}
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        compare(*samples(), arguments.pop("rules"), tell=pytest.fail, **arguments)
    assert "ForwardGradient(" not in str(caught.value)


def test_imports_without_extras(run_python):
    """No typer, rich or matplotlib."""
    code = (
        "import sys\nfor name in ('typer', 'rich', 'matplotlib'): sys.modules[name] = None\n"
        "from fcfast.comparison import compare\nprint(len(compare.__doc__) > 0)"
    )
    result = run_python(code)
    assert result.stdout == "True\n", result.stderr


# ----------------------------------------------------------------------------------------------------------------------
# the picture


def drawn(compared, tmp_path, monkeypatch):
    """The figure, laid out but not written."""
    pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")
    from fcfast import plots

    monkeypatch.setattr(plots, "save_figure", lambda figure, out: figure)
    figure = plots.comparison_figure(tmp_path / "curves.png", compared)
    figure.draw_without_rendering()
    return figure


def with_losses(losses, names=("fa",), **settings):
    """Results with this curve of losses, of which test errors are a tenth."""
    run = Run(0, False, 0, 0.1, 0.1, 0.1, losses, list(range(1, len(losses) + 1)), [loss / 10 for loss in losses])
    settings = {"task": "regression", "n_seeds": 1, "n_rates": 5, "learning_rate": None} | settings
    return Comparison(settings, {}, [RuleResult(name, "none", "one", 5, 4, "weights", 0.1, [], [run]) for name in names])


@pytest.mark.parametrize("losses", [[2.4e5, 2.1e5, 1.7e5], [1.0, 0.6, 0.3, 0.08], [0.693, 0.691], [30.0, 3.0, 0.02]], ids=str)
def test_tick_labels_are_different_numbers(losses, tmp_path, monkeypatch):
    """On both axes, in one notation, true to their places; at least two, whatever the range."""
    for ax in drawn(with_losses(losses), tmp_path, monkeypatch).axes:
        low, high = ax.get_ylim()
        ticks = [tick for tick in (*ax.yaxis.get_major_ticks(), *ax.yaxis.get_minor_ticks()) if low <= tick.get_loc() <= high]
        labels = {tick.get_loc(): tick.label1.get_text() for tick in ticks if tick.label1.get_text()}
        assert len(set(labels.values())) == len(labels) >= 2
        for place, label in labels.items():
            assert label == f"{place:g}"


@pytest.mark.parametrize(
    ("names", "settings", "title"),
    [
        (["fa"], {}, "each rule at its best rate"),
        (["fa"], {"n_rates": 1}, "each rule at its default rate"),
        (["fa"], {"learning_rate": 0.02}, "all rules at learning rate 0.02"),
        (["fa", "dfa:rate=0.1"], {"n_seeds": 3}, "each rule at its best rate, or at one given, mean of 3 seeds"),
        (["fa:rate=0.2", "dfa:rate=0.1"], {"learning_rate": 0.02}, "each rule at the rate given"),
    ],
)
def test_title_says_which_rates(names, settings, title, tmp_path, monkeypatch):
    """Chosen, default, one for all, or given."""
    figure = drawn(with_losses([1.0, 0.5], names, **settings), tmp_path, monkeypatch)
    assert figure.get_suptitle() == title


# ----------------------------------------------------------------------------------------------------------------------
# the command

SHORT = ("--epochs", 2, "--seeds", 2, "--tune", 2, "--hidden", "6,6", "--jobs", 1)


def command(*arguments):
    """Run the command in this process."""
    pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
    pytest.importorskip("matplotlib", reason="pictures need fcfast[plots]")
    from typer.testing import CliRunner

    from fcfast.commands import app

    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


@pytest.fixture
def data(tmp_path):
    """A data file."""
    X, y = samples()
    np.savez(tmp_path / "a.npz", X=100 * X + 5, y=y)
    return tmp_path / "a.npz"


def test_command(data, tmp_path, monkeypatch):
    """Both tables, three files, and nothing else; the report has the command line; a second call trains only what is new."""
    monkeypatch.setattr(sys, "argv", ["fcfast", "compare", "a b.npz"])
    out = tmp_path / "out"
    result = command(data, "--rules", "lg-fg-a:groups=2,fg-w", "--out", out, *SHORT)
    assert result.exit_code == 0, result.output
    for words in ("lg-fg-a:groups=2", "frozen", "test error %", "products a step", "48 training and 12 test", "written to"):
        assert words in result.stdout
    assert sorted(path.name for path in out.iterdir()) == ["comparison.json", "comparison.md", "curves.png"]
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "fcfast compare 'a b.npz'" in (out / "comparison.md").read_text()
    before = json.loads((out / "comparison.json").read_text())
    assert before["settings"]["network"]["batch_size"] == 4
    result = command(data, "--rules", "lg-fg-a:groups=2,dfa", "--out", out, "--json", *SHORT)
    assert result.exit_code == 0, result.output
    after = {rule["rule"]: rule for rule in json.loads(result.stdout)["results"]}
    assert list(after) == ["backprop", "lg-fg-a:groups=2", "dfa", "fg-w", "frozen"]
    assert all(after[rule["rule"]] == rule for rule in before["results"])
    result = command(data, "--rules", "dfa", "--out", out, *SHORT, "--epochs", 3)
    assert result.exit_code == 2
    assert "epochs 2 is now 3" in result.stderr.replace("\n", " ")


def test_all_commands_are_kept(data, tmp_path, monkeypatch):
    """In JSON and report: each that trained a rule, once; also the single one of a file that has no list."""
    out = tmp_path / "out"

    def call(words, rules):
        monkeypatch.setattr(sys, "argv", ["fcfast", "compare", *words])
        result = command(data, "--rules", rules, "--only", "--out", out, *SHORT)
        assert result.exit_code == 0, result.output
        return json.loads((out / "comparison.json").read_text()), (out / "comparison.md").read_text()

    call(["first"], "fa,fg-w:rate=0.01")
    call(["second"], "dfa,fa")
    kept, report = call(["third"], "fa")
    assert kept["about"]["commands"] == ["fcfast compare first", "fcfast compare second"]
    assert "```\nfcfast compare first\nfcfast compare second\n```" in report
    assert "third" not in report
    assert "a rule with a rate in its name uses that rate" in report
    kept["about"]["command"] = kept["about"].pop("commands")[0]
    kept["machine"]["numpy"] = "0.1"
    for rule in kept["results"]:
        del rule["machine"]
    (out / "comparison.json").write_text(json.dumps(kept))
    kept, report = call(["fourth"], "local-loss")
    assert kept["about"]["commands"] == ["fcfast compare first", "fcfast compare fourth"]
    assert report.count("measured on another machine or setup (other numpy)") == 3
    assert "fa was measured with different ones:\n\n- numpy: 0.1\n" in report


def test_report_of_another_program():
    """That gave the network only what differs from the defaults, and notes a single command."""
    pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
    from fcfast.commands.compared import report

    about = {
        "data": "digits", "command": "python own.py", "task": "classification", "task_reason": "three", "n_train": 48,
        "n_test": 12, "test_set": "drawn", "n_features": 6,
    }  # fmt: skip
    text = report(compare(*samples(), ["fa"], only=True, **QUICK), about)
    assert "```\npython own.py\n```" in text
    assert "hidden layers 8, 8; sgd, 3 epochs" in text


def test_command_scales_regression(tmp_path):
    """The figures do not depend on the unit of the target."""
    X, _ = samples()
    tables = []
    for factor in (1, 1000):
        np.savez(tmp_path / "r.npz", X=X, y=factor * (X[:, 0] - X[:, 1]) + 0.5)
        result = command(tmp_path / "r.npz", "--rules", "fg-a", "--json", *SHORT)
        assert result.exit_code == 0, result.output
        tables.append([run["test_error"] for rule in json.loads(result.stdout)["results"] for run in rule["runs"]])
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rules", "fg-b"), "'lg-fg-a'"),
        (("--rules", "fa,,dfa"), "--rules 'fa,,dfa' has a stray comma"),
        (("--rules", "fa, "), "--rules 'fa, ' has a stray comma"),
        (("--rules", ""), "rules is empty; give at least one of"),
        (("--rules", "fg-a:rate=0"), "rate must be finite and > 0"),
        (("--rules", "lg-fg-a:groups=4"), "does not divide"),
        (("--rules", "fg-w", "--form", "windowed"), "--form weights"),
        (("--rules", "fg-a", "--test", 0), "--test 0 leaves no samples"),
        (("--rules", "fg-a", "--out", "missing/out"), "create it first"),
        (("--rules", "fg-a", "--out", "a.npz"), "choose another folder"),
        (("--rules", "fg-a", "--out", "damaged"), "cannot be read"),
    ],
)
def test_command_errors(data, tmp_path, monkeypatch, arguments, message):
    """One line, exit code 2, nothing written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "comparison.json").write_text("{")
    result = command("a.npz", *SHORT, *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr.replace("\n", " ")
    assert (result.stdout, "Traceback" in result.stderr) == ("", False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "damaged"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_interrupt_keeps_what_is_finished(data, tmp_path):
    """Ctrl-C while the second rule trains: one line, the first rule's results and no other file."""
    pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import fcfast.cli\nfrom fcfast import comparison\n"
        "fit = comparison.FrontClassifier.fit\n"
        "def pausing(self, X, y, callbacks):\n"
        "    pause = lambda epoch: (print('training', flush=True), signal.pause())\n"
        "    return fit(self, X, y, callbacks=[pause] if self.rule.name == 'dfa' and len(y) > 2 else callbacks)\n"
        "comparison.FrontClassifier.fit = pausing\n"
        "sys.argv[1:] = ['compare', 'a.npz', '--rules', 'fg-a,dfa', '--only', '--out', 'out', '--epochs', '2', '--jobs', '1']\n"
        "fcfast.cli.run()"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, **pipes) as process:
        assert process.stdout.readline() == "training\n", process.stderr.read()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert (output, "interrupted" in errors, "Traceback" in errors) == ("", True, False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["comparison.json"]
    kept = Comparison.from_dict(json.loads((tmp_path / "out" / "comparison.json").read_text()))
    assert [result.rule for result in kept.results] == ["fg-a"]
