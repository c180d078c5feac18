"""Plans with a machine made by hand, and the figures of the real one: measured, kept, read again."""

import json
import pickle
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from classic import FrontClassifier, NoPropClassifier
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import fcfast.planning.machine
from fcfast import backend
from fcfast.front import FORMS, WeightsForm, contributions, register, windowed
from fcfast.gram.start import RandomWeights
from fcfast.optimizers import SGD, Adam, Muon, NeuronAdam
from fcfast.optimizers.memory import Memory
from fcfast.planning.figures import DTYPES, SIDES, WORKING_SETS, Machine
from fcfast.planning.machine import machine
from fcfast.planning.plan import plan
from fcfast.planning.problem import Problem
from fcfast.rules import Backprop
from fcfast.training.network import FrontNetwork

RATES = [min(5e9 * side, 1e11) for side in SIDES]
MACHINE = Machine(
    inner={"float32": RATES, "float64": [rate / 2 for rate in RATES]},
    outer={"float32": RATES, "float64": [rate / 2 for rate in RATES]},
    bandwidth=[1e11] * (len(WORKING_SETS) - 1) + [2e10],
    speedup=1.8,
    n_threads=2,
    windows=True,
    decay={"float32": 4e-10, "float64": 8e-10},
    step=5e-7,
    row=2e-7,
    element=1e-9,
    draw=1e-9,
    fill=3e-9,
    sparse_pair=2e-8,
    sparse_product=2e-10,
    python_step=2e-5,
)


@pytest.fixture
def by_hand(monkeypatch):
    """Plans for a machine whose figures never change."""
    monkeypatch.setattr("fcfast.planning.plan.machine", lambda remeasure=False: MACHINE)


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """An empty cache, measurements counted and not made; reading starts anew when the fixture's list is cleared."""
    calls = []

    def measure():
        calls.append(1)
        return replace(MACHINE, speedup=1 + len(calls) / 10)

    monkeypatch.setenv("FCFAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fcfast.planning.machine, "measure", measure)
    monkeypatch.setattr(fcfast.planning.machine, "_known", {})
    return calls


def new_process(monkeypatch):
    """Forget what this process has read."""
    monkeypatch.setattr(fcfast.planning.machine, "_known", {})


# ----------------------------------------------------------------------------------------------------------------------
# the choice


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize(
    ("n_samples", "n_features", "options", "form"),
    [
        (100, 1_000_000, {"batch_size": 100}, "contributions"),
        (1000, 20_000, {}, "contributions"),
        (20_000, 100, {"batch_size": 1}, "windowed"),
        (20_000, 100, {"batch_size": 1, "momentum": 0.0}, "windowed"),
        (60_000, 784, {"batch_size": 1, "n_epochs": 1}, "windowed"),
        (20_000, 100, {"density": 0.01}, "windowed"),
        (1000, 10**6, {"density": 0.01, "batch_size": 1000}, "contributions"),
        (10**6, 300_000, {"density": 1e-4}, "windowed"),
        (100, 100_000, {"density": 0.01, "optimizer": "neuron-adam"}, "contributions"),
        (100, 100_000, {"optimizer": "adam"}, "weights"),
        (100, 100_000, {"optimizer": "muon"}, "contributions"),
        (100, 100_000, {"optimizer": "neuron-adam"}, "contributions"),
    ],
)
def test_choice(n_samples, n_features, options, form):
    """Wide data takes contributions, single samples of narrow data windows, optimisers by feature the weights."""
    made = plan(n_samples, n_features, **options)
    assert made.form == form
    assert made.window == made.costs[form].window
    assert made.machine is MACHINE


@given(st.sampled_from(list(FORMS)), st.integers(1, 300), st.integers(1, 10**6), st.booleans())
def test_windows_are_whole_batches(form, batch_size, n_samples, has_velocity):
    """As many as the rows that the user asks for, or the form, have room for, and one where that is less than a batch."""
    by_root = round(contributions.WINDOW_ROWS * n_samples**0.5)
    automatic = {
        "weights": batch_size,
        "windowed": windowed.WINDOW_ROWS,
        "contributions": batch_size if has_velocity and batch_size >= contributions.LARGE_BATCH else by_root,
    }
    for window in ("auto", 1, 100, 10**7):
        asked = automatic[form] if window == "auto" else batch_size if form == "weights" else min(window, n_samples)
        rows = FORMS[form].choose_window(window, batch_size, n_samples, has_velocity)
        assert rows >= batch_size
        assert rows % batch_size == 0
        assert rows <= asked or rows == batch_size
        assert rows + batch_size > asked


def test_large_batches_with_momentum_are_windows():
    """Longer windows would multiply velocities too; without momentum there are none."""
    form = FORMS["contributions"]
    assert form.choose_window("auto", 64, 10_000, has_velocity=True) == 64
    assert form.choose_window("auto", 64, 10_000, has_velocity=False) > 64
    assert form.choose_window("auto", 8, 10_000, has_velocity=True) > 64


@pytest.mark.usefixtures("by_hand")
def test_a_plan_survives_a_pickle():
    """Estimators keep theirs."""
    made = plan(100, 1000)
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.usefixtures("by_hand")
def test_choice_flips_once_between_narrow_and_wide():
    """Along the features there is one border, far below the number of samples."""
    choices = [plan(3000, n_features, batch_size=1).form for n_features in (100, 300, 1000, 10_000, 100_000)]
    assert choices[0] == "windowed"
    assert choices[-1] == "contributions"
    assert sum(a != b for a, b in pairwise(choices)) == 1


@pytest.mark.usefixtures("by_hand")
@given(
    st.integers(1, 3000), st.integers(1, 10**6), st.integers(1, 3000), st.integers(1, 2048), st.sampled_from((0.0, 0.9)),
    st.sampled_from(DTYPES), st.sampled_from(("sgd", "muon", "neuron-adam")),
)  # fmt: skip
def test_laws_of_predictions(n_samples, n_features, batch_size, hidden, momentum, dtype, optimizer):
    """The choice is the fastest form that fits; more features or epochs never take less, of contributions' epochs none more."""
    settings = {"hidden": hidden, "batch_size": batch_size, "momentum": momentum, "dtype": dtype, "optimizer": optimizer}
    made = plan(n_samples, n_features, **settings, memory_limit=1 << 50)
    wider = plan(n_samples, 2 * n_features, **settings, memory_limit=1 << 50)
    assert made.costs[made.form].seconds == min(cost.seconds for cost in made.costs.values())
    for form in FORMS:
        cost, more = made.costs[form], wider.costs[form]
        assert cost.seconds == pytest.approx(cost.seconds_once + 100 * cost.seconds_per_epoch, rel=1e-12)
        assert 0 < cost.seconds_once < more.seconds_once
        assert (cost.seconds_per_epoch < more.seconds_per_epoch) == (form != "contributions")
        assert (cost.n_bytes < more.n_bytes) == (form != "contributions")
        assert cost.reason == ""
    assert wider.costs["contributions"].seconds_per_epoch == made.costs["contributions"].seconds_per_epoch


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize("form", FORMS)
def test_more_samples_take_longer(form):
    """Also where they do not fill another window."""
    seconds = [plan(n, 5000, 64, 10, form=form).costs[form].seconds_per_epoch for n in (95, 96, 97, 192, 1000, 3000)]
    assert seconds == sorted(set(seconds))


@pytest.mark.usefixtures("by_hand")
def test_full_batch_of_weights_by_hand():
    """One step without momentum: two products of the front layer, three above it, and what a step takes besides."""
    n, d, h, c = 512, 4096, 512, 256
    cost = plan(n, d, h, n, 1, n_outputs=c, momentum=0.0, form="weights").costs["weights"]
    products = (4 * n * d * h + 6 * n * h * c) / (1e11 * 1.8)
    size = 4.0
    update = 5 * size * (h + c * (h + 1)) / 1e11
    # gathered rows of 8 MiB: between a rate of 1e11 for 16 MiB and below
    gathered = 2 * n * d * size / 1e11
    step = 5e-7 + n * 2e-7 + n * h * 1e-9
    assert cost.seconds_per_epoch == pytest.approx(2e-5 + products + update + gathered + step, rel=1e-9)


@pytest.mark.usefixtures("by_hand")
def test_products_of_sparse_columns():
    """Of text a few columns make most of the Gram matrix's products: they are counted, where it is known how many they are."""
    n, d, h, density = 2000, 50_000, 16, 0.001
    settings = {"density": density, "hidden": h, "form": "contributions"}
    once = plan(n, d, **settings, n_products=5e8).costs["contributions"].seconds_once
    n_entries = density * n * d
    multiplied = 2e-8 * (0.6 * 5e8 + 30 * n_entries) / 1.8
    assert once == pytest.approx(1e-9 * d * h / 1.8 + multiplied + 2e-10 * n_entries * h, rel=1e-9)
    even = plan(n, d, **settings)
    assert even.costs["contributions"] == plan(n, d, **settings, n_products=density**2 * n**2 * d).costs["contributions"]
    assert "spread evenly over the features; text can take forty times as long" in str(even)
    assert "evenly" not in str(plan(n, d, **settings, n_products=5e8))
    with pytest.raises(ValueError, match="n_products belongs to sparse inputs"):
        plan(n, d, n_products=5e8)
    with pytest.raises(ValueError, match="n_products"):
        plan(n, d, density=0.1, n_products=-1)


# ----------------------------------------------------------------------------------------------------------------------
# memory


@pytest.mark.skipif(backend.NAME != "compiled", reason="the plan counts what the compiled kernels hold")
@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("copies_X", [False, True])
@pytest.mark.parametrize(("n", "d", "hidden", "batch"), [(50, 70, (6, 5), 8), (7, 300, (4,), 7), (130, 20, (3,), 1)])
def test_memory_is_what_is_allocated(form, momentum, copies_X, n, d, hidden, batch, dtype):
    """The bytes of every array of a network that has trained an epoch."""
    rng = np.random.default_rng(0)
    other = np.dtype("float64" if dtype == np.float32 else "float32")
    X = rng.normal(size=(n, d)).astype(other if copies_X else dtype)
    cost = plan(n, d, hidden, batch, dtype=dtype.name, n_outputs=2, momentum=momentum, form=form, copies_X=copies_X).costs[form]
    front = FORMS[form](X, RandomWeights(hidden[0], d, 0, "relu"), dtype, bool(momentum))
    widths = (*hidden, 2)
    above = [rng.normal(size=(o, i)) for i, o in pairwise(widths)]
    biases = [np.zeros(width) for width in widths]
    network = FrontNetwork(front, biases, above, "relu", "cross_entropy", SGD(momentum), batch, cost.window, 1)
    network.train_epoch(np.arange(n), np.full(-(-n // batch), 1e-3), np.zeros(n, np.intp), None)
    arrays = [front.base, front.velocity, front.S0, network.params, network.upper.velocity, network._kernel._workspace.scratch]
    if form == "contributions" or copies_X:
        arrays.append(front.source)
    snapshots = 2 * (front.base.nbytes + network.params.nbytes)  # of the fit loop
    if momentum:  # and the velocities that it goes on from
        snapshots += 2 * (front.velocity.nbytes + network.upper.velocity.nbytes)
    assert cost.n_bytes == snapshots + sum(array.nbytes for array in arrays if array is not None)


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.9), NeuronAdam(), Adam(), Muon()], ids=lambda optimizer: optimizer.name)
def test_memory_of_the_optimizer(optimizer):
    """What it remembers of weights and biases, of the front layer and of those above."""
    problem = Problem(
        n_samples=5, n_features=30, hidden=(8, 6), n_outputs=2, batch_size=5, n_epochs=1, dtype="float64", optimizer=optimizer,
        rule=Backprop(), compiled=False,
    )  # fmt: skip
    memory = Memory(optimizer, np.dtype("float64"))
    widths = (30, 8, 6, 2)
    for layer, (n_in, n_out) in enumerate(pairwise(widths)):
        memory.of(f"weights {layer}", n_out, n_in), memory.of_bias(f"biases {layer}", n_out)
    assert problem.n_remembered == sum(array.size for array in memory)
    assert (problem.n_remembered > 0) == (optimizer.name != "sgd")


@pytest.mark.usefixtures("by_hand")
def test_memory_limit_moves_the_choice():
    """The fastest form of those within the limit, to the byte."""
    free = plan(2000, 20_000, 16)
    assert free.form == "contributions"
    needed = free.costs["contributions"].n_bytes
    assert plan(2000, 20_000, 16, memory_limit=needed).form == "contributions"
    tight = plan(2000, 20_000, 16, memory_limit=needed - 1)
    assert tight.form != "contributions"
    assert "memory_limit" in tight.costs["contributions"].reason
    assert tight.costs[tight.form].n_bytes < needed


@pytest.mark.usefixtures("by_hand")
def test_no_form_fits():
    """The error has the figures of each form and what to change."""
    with pytest.raises(MemoryError, match=r"'contributions' holds .* [KM]iB.*'weights' holds .*memory_limit=1000 bytes.*fewer"):
        plan(40, 3000, 16, memory_limit=1000)


@pytest.mark.usefixtures("by_hand")
def test_forced_form_over_the_limit():
    """The error has the figures and, where there is one, the alternative with its own."""
    with pytest.raises(MemoryError, match=r"20000 x 20000 samples, 1.5 GiB.*memory_limit=1.0 GiB.*form='windowed'.*KiB"):
        plan(20_000, 50, 16, batch_size=1, form="contributions", memory_limit=1 << 30)
    with pytest.raises(MemoryError, match=r"form='weights' holds .* GiB, over memory_limit=1.0 GiB.*form='contributions'"):
        plan(100, 10**7, form="weights", memory_limit=1 << 30)


@pytest.mark.usefixtures("by_hand")
def test_forms_that_cannot_be():
    """Sparse inputs and optimisers by feature say why, and what to use instead."""
    with pytest.raises(ValueError, match=r"form='windowed' leaves a feature alone.*neuron-adam.*use form='contributions'"):
        plan(100, 1000, density=0.1, form="windowed", optimizer="muon")
    with pytest.raises(ValueError, match=r"rotations.*form='contributions'.*neuron-adam.*form='weights'"):
        plan(100, 1000, optimizer="adamw", form="contributions")
    for form in ("auto", *FORMS):
        with pytest.raises(ValueError, match=r"optimizer='adam'.*sparse.*neuron-adam.*muon.*toarray"):
            plan(100, 1000, density=0.1, optimizer="adam", form=form)
    with pytest.raises(MemoryError, match="does not hold the weights"):
        plan(100, 1000, optimizer="adam", memory_limit=1000)
    with pytest.raises(ValueError, match=r"random directions.*needs form='weights'.*dense X.*toarray"):
        plan(100, 1000, density=0.1, rule="fg-w")


@pytest.mark.usefixtures("by_hand")
def test_steps_on_sparse_samples():
    """Other rules and NeuronAdam need more time than the kernel of whole epochs, and norms of gradients take some too."""

    def seconds(**settings):
        costs = plan(10**6, 10**5, density=1e-3, memory_limit=10**12, **settings).costs["windowed"]
        assert not costs.reason
        return costs.seconds_per_epoch

    own_steps = seconds(rule="dfa")
    assert seconds() < own_steps < seconds(optimizer="neuron-adam")
    assert own_steps < seconds(rule="dfa", momentum=0, optimizer="sgd") * 3
    few, many = (plan(n, 10**5, density=1e-3, optimizer="neuron-adam", n_epochs=1) for n in (100, 10**5))
    assert (few.form, many.form) == ("contributions", "windowed")


# ----------------------------------------------------------------------------------------------------------------------
# forms and optimisers of the user's own


@pytest.fixture
def row_space():
    """A form for as long as a test: weights in coordinates of the samples' row space."""

    @register
    class RowSpaceForm(WeightsForm):
        name = "row-space"
        updates_each_weight = False

        @classmethod
        def columns(cls, problem):
            return min(problem.n_samples, problem.n_features)

    yield RowSpaceForm
    del FORMS["row-space"]


@pytest.mark.usefixtures("by_hand", "row_space")
def test_form_of_the_users_own():
    """It inherits the costs of weights, says in one method where it differs, and is chosen like any other."""
    made = plan(100, 50_000, momentum=0.0)
    assert set(made.costs) == {"contributions", "windowed", "weights", "row-space"}
    assert made.costs["row-space"].n_bytes < made.costs["weights"].n_bytes / 100
    assert made.costs["row-space"].seconds_per_epoch < made.costs["weights"].seconds_per_epoch / 10
    assert "Form 'row-space' would take" in str(made)
    assert plan(100, 50_000, form="row-space").form == "row-space"
    assert plan(10_000, 100).costs["row-space"].n_bytes == plan(10_000, 100).costs["weights"].n_bytes
    assert plan(100, 50_000, density=0.1).costs["row-space"].reason == "needs a dense X"
    with pytest.raises(ValueError, match=r"form='row-space' cannot hold that.*form='weights'"):
        plan(100, 1000, form="row-space", optimizer="adam")
    with pytest.raises(ValueError, match=r"random directions.*form='row-space' cannot hold; use form='weights'"):
        plan(100, 1000, form="row-space", rule="fg-w")
    assert "row-space" not in plan(100, 1000, memory_limit=made.costs["row-space"].n_bytes - 1, optimizer="adam", hidden=1).form


@pytest.mark.usefixtures("by_hand")
def test_form_with_an_obstacle_of_its_own(row_space):
    """The error gives the form's own words."""

    def obstacle(problem):
        return "" if problem.n_samples < problem.n_features else "needs fewer samples than features"

    row_space.obstacle = obstacle
    assert plan(100, 1000).costs["row-space"].reason == ""
    assert plan(1000, 100).costs["row-space"].reason == "needs fewer samples than features"
    with pytest.raises(ValueError, match=r"form='row-space' needs fewer samples than features; use form='contributions' or"):
        plan(1000, 100, form="row-space")


class ByFeature(NeuronAdam):
    """An optimiser that the library does not know, and that treats features one by one."""

    name = "by-feature"
    commutes = False


@pytest.mark.usefixtures("by_hand")
def test_optimizer_of_the_users_own():
    """What it can do decides, not what it is called or descends from."""
    made = plan(100, 100_000, optimizer=ByFeature())
    assert made.form == "weights"
    scales = ", and by-feature scales every weight by itself in every step"
    assert made.costs["contributions"].reason == "does not hold the weights" + scales
    assert made.costs["windowed"].reason == "updates the weights only once per window" + scales
    sparsely = plan(100, 100_000, optimizer="adagrad", density=0.01).costs["windowed"].reason
    assert sparsely == "updates the weights only once per window" + scales.replace("by-feature", "adagrad")
    for form in ("contributions", "windowed"):
        with pytest.raises(ValueError, match=rf"optimizer='by-feature'.*rotations.*form='{form}'.*or form='weights'"):
            plan(100, 1000, optimizer=ByFeature(), form=form)
    with pytest.raises(
        ValueError, match=r"'by-feature' needs form='weights', which on sparse samples leaves features .* alone.*neuron-adam"
    ):
        plan(100, 1000, optimizer=ByFeature(), density=0.1)


@pytest.mark.usefixtures("by_hand")
def test_optimizers_as_objects():
    """They bring their own settings; Adam's second moments are counted wherever its update is inherited."""
    assert plan(100, 1000, optimizer=SGD(momentum=0.5)) == plan(100, 1000, momentum=0.5)
    assert plan(100, 1000, optimizer=Adam()) == plan(100, 1000, optimizer="adam")
    with pytest.raises(ValueError, match="settings of its own; set momentum and weight_decay there"):
        plan(100, 1000, optimizer=SGD(), momentum=0.5)
    with pytest.raises(TypeError, match="optimizer must be one of"):
        plan(100, 1000, optimizer=SGD)


# ----------------------------------------------------------------------------------------------------------------------
# estimators


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize(("groups", "rule", "optimizer"), [
    (1, "backprop", "sgd"), (4, "backprop", "sgd"), (1, "fa", "sgd"), (1, "backprop", "neuron-adam"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_plan_and_training_agree_on_the_kernel(groups, rule, optimizer):
    """Python drives every step of a training that no kernel knows, and each takes its share of Python's time."""
    X, y = np.random.default_rng(0).normal(size=(64, 30)), np.arange(64) % 2
    made = FrontClassifier((8, 8), groups=groups, rule=rule, optimizer=optimizer, batch_size=8, max_epochs=1).fit(X, y)
    driven = made.plan_.costs[made.form_].seconds_per_epoch > 8 * 5 * MACHINE.python_step
    assert driven == (not made.network_.is_compiled) == ((groups, rule, optimizer) != (1, "backprop", "sgd"))


def noprop(X, n_blocks, **settings):
    """A fitted stack of small blocks."""
    settings = {"hidden": (16, 8), "batch_size": 4, "max_epochs": 1, "random_state": 0} | settings
    return NoPropClassifier(n_blocks=n_blocks, **settings).fit(X, np.arange(X.shape[0]) % 2)


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("optimizer", ["sgd", "neuron-adam", "adam"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_plan_of_noprop(form, optimizer):
    """All blocks: their time, which Python drives, and the bytes of every array that training holds."""
    if optimizer == "adam" and form != "weights":
        pytest.skip("adam needs weights")
    X = np.random.default_rng(0).normal(size=(60, 400)).astype(np.float32)
    one, many = (noprop(X, n_blocks, form=form, optimizer=optimizer, window=8) for n_blocks in (1, 6))
    first, all_blocks = (made.plan_.costs[form] for made in (one, many))
    assert all_blocks.seconds_per_epoch == pytest.approx(6 * first.seconds_per_epoch, rel=1e-4)
    assert first.seconds_per_epoch > 15 * 5 * MACHINE.python_step
    assert many.network_.window == all_blocks.window
    assert "6 blocks of 16 and 8 hidden units" in str(many.plan_)
    network = many.network_
    changed = [*network.fronts.held, *(block.params for block in network.blocks), network.labels.params]
    arrays = [*changed, *changed, *changed, *(block.grad for block in network.blocks)]  # two snapshots
    arrays += [front.velocity for front in network.fronts.forms if front.velocity is not None]
    arrays += [front.S0 for front in network.fronts.forms if front.S0 is not None]
    if form == "contributions":
        arrays.append(network.fronts.forms[0].source)  # one for all
    held = sum(array.nbytes for array in arrays)
    assert held < all_blocks.n_bytes < 1.5 * held


@pytest.mark.usefixtures("by_hand")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_plan_of_noprop_counts_products_of_sparse_data():
    """Entries that samples have in the same columns make more products."""
    apart, shared = np.zeros((2, 40, 4000), np.float32)
    for i in range(40):
        apart[i, 100 * i : 100 * (i + 1)] = 1
        shared[i, 100 * (i // 2) : 100 * (i // 2 + 1)] = 1
    plans = [noprop(sparse.csr_array(X), 2).plan_ for X in (apart, shared)]
    assert plans[0].costs["contributions"].seconds_once < plans[1].costs["contributions"].seconds_once
    assert "evenly" not in str(plans[0])


# ----------------------------------------------------------------------------------------------------------------------
# what it says


@pytest.mark.usefixtures("by_hand")
def test_explanation_is_a_paragraph_with_the_figures():
    """Sizes, each form's time and memory or what rules it out, the choice and the machine."""
    text = str(plan(30_000, 1000, (16, 8), batch_size=1, memory_limit=1 << 30))
    assert "\n" not in text
    for part in (
        "30,000 samples of 1,000 dense features",
        "16 and 8 hidden units",
        "Form 'contributions' is out of the question: it holds 3.4 GiB, over memory_limit=1.0 GiB.",
        "Form 'weights' would take ",
        "Chosen: 'windowed', ",
        "times as fast as 'weights'",
        "180 billion operations a second",
    ):
        assert part in text
    assert "Chosen: 'weights', as asked." in str(plan(100, 1000, form="weights"))
    assert "Chosen: 'weights', the only one" in str(plan(100, 1000, optimizer="adam"))


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"n_samples": 0}, ValueError),
        ({"n_features": 2.5}, TypeError),
        ({"hidden": ()}, ValueError),
        ({"hidden": (8, 0)}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"n_epochs": "many"}, TypeError),
        ({"dtype": "float16"}, ValueError),
        ({"density": 0}, ValueError),
        ({"density": 1.5}, ValueError),
        ({"memory_limit": -1}, ValueError),
        ({"n_outputs": 0}, ValueError),
        ({"n_samples": 10**30}, ValueError),
        ({"n_features": 10**30}, ValueError),
        ({"hidden": 10**30}, ValueError),
        ({"n_epochs": 10**400}, ValueError),
        ({"optimizer": "lbfgs"}, ValueError),
        ({"momentum": 1.0}, ValueError),
        ({"weight_decay": -1}, ValueError),
        ({"window": 0}, ValueError),
        ({"form": "gram"}, ValueError),
    ],
)
def test_bad_arguments(arguments, error):
    """The message names the argument."""
    with pytest.raises(error, match=next(iter(arguments))):
        plan(**{"n_samples": 100, "n_features": 1000} | arguments)


# ----------------------------------------------------------------------------------------------------------------------
# the machine


def test_measured_figures_are_sound():
    """All rates and times are positive; more samples at a time make products faster."""
    figures = fcfast.planning.machine.measure()
    assert figures.is_sound()
    assert figures.windows == (backend.NAME == "compiled")
    assert 1 <= figures.speedup <= figures.n_threads
    for dtype in DTYPES:
        assert figures.inner[dtype][-1] > figures.inner[dtype][1]


def test_product_is_limited_by_arithmetic_or_memory():
    """A large product by the rate of its shortest side, on all threads where asked; one that is used once by the memory."""
    assert MACHINE.product(512, 512, 512, "float32") == pytest.approx(2 * 512**3 / 1e11)
    assert MACHINE.product(512, 512, 512, "float64", 2) == pytest.approx(2 * 512**3 / 5e10 / 1.8)
    assert MACHINE.product(4096, 4096, 4, "float32") == pytest.approx((2 * 4096**2 + 8 * 4096) * 4 / 2e10)
    fast, slow = MACHINE.passes(1, WORKING_SETS[-2]), MACHINE.passes(1, WORKING_SETS[-1])
    assert MACHINE.passes(1, 2**25) == pytest.approx((fast * slow) ** 0.5)


def test_figures_are_measured_once(measured, monkeypatch):
    """The next process reads what this one kept; measuring again replaces it."""
    first = machine()
    assert machine() is first
    new_process(monkeypatch)
    assert machine() == first
    assert len(measured) == 1
    again = machine(remeasure=True)
    assert again != first
    new_process(monkeypatch)
    assert machine() == again
    assert len(measured) == 2


def test_plan_measures_again_when_asked(measured):
    """And only then."""
    plan(100, 1000)
    assert plan(100, 1000).machine.speedup == 1.1
    assert plan(100, 1000, remeasure=True).machine.speedup == 1.2


def test_other_facts_have_their_own_figures(measured, monkeypatch):
    """Another processor, backend or number of threads is another machine."""
    first = machine()
    monkeypatch.setattr(fcfast.planning.machine, "_processor", lambda: "another")
    new_process(monkeypatch)
    assert machine() != first
    assert len(measured) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[1, 2]",
        lambda text: json.dumps({"machine": {"speedup": 1}}),
        lambda text: text.replace('"speedup": 1.1', '"speedup": -1.1'),
        lambda text: text.replace('"speedup": 1.1', '"speedup": "fast"'),
        lambda text: text.replace('"speedup": 1.1', '"speedup": NaN'),
        lambda text: text.replace('"speedup": 1.1', '"speedup": 1' + 400 * "0"),
        lambda text: text.replace('"speedup": 1.1', '"speedup": 1e-300'),
        lambda text: re.sub(r'("bandwidth": \[\s*)[\d.e+]+', r"\g<1>1e-300", text),
        lambda text: re.sub(r'("step": )[\d.e+-]+', r"\g<1>1e300", text),
        lambda text: "[" * 100_000,
        lambda text: "\x00\xff",
    ],
)
def test_damaged_file_is_replaced(measured, monkeypatch, tmp_path, damage):
    """As if it had not been there."""
    machine()
    (file,) = (tmp_path / "cache").iterdir()
    kept = file.read_text(encoding="utf-8")
    file.write_text(damage(kept), encoding="utf-8")
    new_process(monkeypatch)
    assert machine().speedup == 1.2
    new_process(monkeypatch)
    assert machine().speedup == 1.2
    assert len(measured) == 2
    assert list((tmp_path / "cache").iterdir()) == [file]


def test_no_place_to_keep_figures(measured, monkeypatch, tmp_path):
    """A folder that cannot be made is no error; a process still measures only once."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FCFAST_CACHE", str(tmp_path / "file" / "cache"))
    assert machine() is machine()
    assert len(measured) == 1
