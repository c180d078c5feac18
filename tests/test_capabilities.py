"""Classes say what they can do: nobody asks for their names, and classes of the user's own work everywhere."""

import ast
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor

import fcfast
from fcfast import NoPropClassifier, front, losses, optimizers, rules
from fcfast.commands import options
from fcfast.front import FORMS
from fcfast.gram.start import GivenWeights
from fcfast.losses import LOSSES
from fcfast.optimizers import OPTIMIZERS
from fcfast.registry import Registry
from fcfast.rules import RULES

SOURCE = Path(fcfast.__file__).parent
REGISTRIES = FORMS, OPTIMIZERS, RULES, LOSSES
OWN_PACKAGES = {"front", "optimizers", "rules", "losses", "paper", "_core", "_pure"}  # the paper's techniques have names too


def names():
    return {name for registry in REGISTRIES for name in registry}


def classes():
    held = [entry for registry in REGISTRIES for entry in registry.values()]
    return {(entry if isinstance(entry, type) else type(entry)).__name__ for entry in held}


def constants(node):
    """Give the strings in an expression."""
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def asks_for_a_name(node):
    """Whether an expression compares with a name, looks one up, or asks for one of the classes."""
    if isinstance(node, ast.Compare):
        compared = [node.left, *node.comparators]
        kinds = {part.id for part in compared if isinstance(part, ast.Name)}
        return bool(set().union(*map(constants, compared)) & names() or kinds & classes())
    if isinstance(node, ast.Dict):
        return bool(set().union(*(constants(key) for key in node.keys if key is not None)) & names())
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value in names()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass"):
        return bool({part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)} & classes())
    return False


def test_nobody_asks_for_a_name():
    """No comparison with the name of a form, rule, optimiser or loss, and no question for its class, outside its package."""
    asked = []
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] not in OWN_PACKAGES:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            asked += [
                f"{path.relative_to(SOURCE)}:{node.lineno} {ast.unparse(node)}"
                for node in ast.walk(tree)
                if asks_for_a_name(node)
            ]
    asked = [what for what in asked if "noprop.py" not in what and "variant" not in what]  # a variant is called "backprop" too
    assert asked == []


def test_the_search_for_names_finds_them():
    """The expressions that the code used to have."""
    for code in ('form == "weights"', 'name in ("adam", "adamw")', "type(rule) is Backprop", "isinstance(x, (SGD, Muon))"):
        assert any(asks_for_a_name(node) for node in ast.walk(ast.parse(code))), code


def test_the_command_line_knows_all_names():
    """It lists them itself, because importing them takes longer than its help."""
    assert set(options.FORMS) == {"auto", *FORMS}
    assert set(options.OPTIMIZERS) == set(OPTIMIZERS)


# ----------------------------------------------------------------------------------------------------------------------
# classes of the user's own; docs/architecture.md has more of them, which its test runs


@pytest.fixture
def wide():
    """Forty samples of three classes with three hundred features."""
    rng = np.random.default_rng(3)
    y = np.arange(40) % 3
    return rng.normal(size=(40, 300)) + np.kron(np.eye(3)[y], np.ones(100)), y


SETTINGS = {"max_epochs": 4, "tol": 0, "dtype": "float64", "random_state": 0, "learning_rate": 0.01}


@dataclass(frozen=True)
class ByWeight(optimizers.NeuronAdam):
    """NeuronAdam's momentum, and the sign of each weight's."""

    name = "by-weight"
    commutes = False

    def update(self, layer, rate, step):
        layer.accumulate(self.beta1, 1 - self.beta1)
        layer.weights -= rate * np.sign(layer.velocity)


def test_an_optimiser_that_does_not_commute_is_given_weights(wide):
    """In every estimator and in the plan; other forms, and sparse data, are refused with a reason."""
    X, y = wide
    for kind in (FrontClassifier, NoPropClassifier):
        assert kind(optimizer=ByWeight(), **SETTINGS).fit(X, y).form_ == "weights"
        for form in ("contributions", "windowed"):
            with pytest.raises(ValueError, match=f"form='{form}'.*form='weights'"):
                kind(optimizer=ByWeight(), form=form, **SETTINGS).fit(X, y)
        assert not kind(optimizer=ByWeight()).__sklearn_tags__().input_tags.sparse
    assert fcfast.plan(40, 300, optimizer=ByWeight()).form == "weights"


@dataclass(frozen=True)
class Halved(optimizers.SGD):
    """SGD at half the rate: the kernel of whole epochs does not know it."""

    name = "halved"

    def update(self, layer, rate, step):
        super().update(layer, rate / 2, step)


@dataclass(frozen=True)
class Doubled(rules.Backprop):
    """Backpropagation of twice the loss's gradient above the front layer."""

    name = "doubled"

    def feedback(self, upper, state):
        return [2 * weights for weights in upper.weights]


def test_a_subclass_of_what_is_compiled_is_not(wide):
    """What it overrides is called; the result is that of the setting it stands for."""
    X, y = wide
    for form in FORMS:
        same = FrontClassifier((6,), optimizer=optimizers.SGD(0.9), form=form, **SETTINGS | {"learning_rate": 0.005}).fit(X, y)
        halved = FrontClassifier((6,), optimizer=Halved(0.9), form=form, **SETTINGS).fit(X, y)
        np.testing.assert_allclose(halved.coefs_[0], same.coefs_[0], rtol=1e-9, atol=1e-12)
    plain, doubled = (FrontClassifier((6,), rule=rule, **SETTINGS).fit(X, y) for rule in ("backprop", Doubled()))
    assert abs(plain.coefs_[0] - doubled.coefs_[0]).max() > 1e-4
    np.testing.assert_allclose(plain.loss_curve_[0], doubled.loss_curve_[0])


@dataclass(frozen=True)
class Squares(losses.Loss):
    """Half the squared error, not compiled."""

    name = "squares"

    def of_samples(self, outputs, targets):
        return ((outputs - targets) ** 2).sum(axis=1) / 2, outputs - targets


def test_a_loss_of_ones_own_trains_as_the_compiled_one(wide):
    """The same network, with and without sample weights, by name and as an object; a name is needed to be saved."""
    X, _ = wide
    target, weights = X[:, :2], np.linspace(0, 2, len(X))
    losses.register(Squares)
    for sample_weight in (None, weights):
        compiled, by_name, by_object = (
            FrontRegressor((6,), loss=loss, **SETTINGS).fit(X, target, sample_weight)
            for loss in ("squared_error", "squares", Squares())
        )
        np.testing.assert_allclose(by_name.loss_curve_, compiled.loss_curve_, rtol=1e-12)
        np.testing.assert_allclose(by_name.predict(X), compiled.predict(X), rtol=1e-9)
        np.testing.assert_array_equal(by_name.predict(X), by_object.predict(X))


def test_what_is_registered_is_stored_by_name_or_settings(wide, tmp_path):
    """An optimiser, rule or loss as a name or an object; one that is not registered is refused before anything is written."""
    X, y = wide
    path = tmp_path / "model.safetensors"
    with pytest.raises(TypeError, match=r"optimizer=Halved.*cannot be stored"):
        FrontClassifier((4,), optimizer=Halved(), **SETTINGS).fit(X, y).save(path)
    assert not path.exists()
    for registry, kind in ((OPTIMIZERS, Halved), (RULES, Doubled), (LOSSES, Squares)):
        registry.register(kind)
    for given in ("halved", Halved(0.5)):
        model = FrontClassifier((4,), optimizer=given, rule=Doubled(), **SETTINGS).fit(X, y)
        model.save(path)
        loaded = fcfast.load(path)
        assert loaded.get_params() == model.get_params()
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    regressor = FrontRegressor((4,), loss=Squares(), **SETTINGS).fit(X, y)
    regressor.save(path)
    assert fcfast.load(path).loss == Squares()


class Scaled(front.WeightsForm):
    """Weights of the inputs divided by two, which are twice as large: another representation of the same layer."""

    name = "scaled"
    updates_each_weight = False

    def __init__(self, X, initial, dtype, with_velocity, n_jobs=None):
        super().__init__(X, initial, dtype, with_velocity, n_jobs)
        self.turn = np.linalg.qr(np.random.default_rng(0).normal(size=(X.shape[1],) * 2))[0].astype(dtype)
        self.source, self.base = self.source @ self.turn, np.ascontiguousarray(self.base @ self.turn)

    def expand(self):
        return self.base @ self.turn.T

    def preactivations(self, X):
        return X @ self.expand().T


class Clipped(front.WeightsForm):
    """Weights that are clipped after each step."""

    name = "clipped"

    def windows(self, *arguments):
        for opened in super().windows(*arguments):
            yield opened
            np.clip(self.base, -0.01, 0.01, out=self.base)


class EveryOther(front.WeightsForm):
    """Every other feature: a form whose inputs have other columns than X, and that does not say how it takes new ones."""

    name = "a-half"
    updates_each_weight = False

    def __init__(self, X, initial, dtype, with_velocity, n_jobs=None):
        super().__init__(X, initial, dtype, with_velocity, n_jobs)
        self.source, self.base = (np.ascontiguousarray(array[:, ::2]) for array in (self.source, self.base))
        self.velocity = np.zeros_like(self.base)


def test_a_form_of_ones_own_changes_no_stream(wide):
    """`partial_fit` takes the library's own forms; one whose new samples do not fit what it holds is refused."""
    X, y = wide
    front.register(EveryOther)
    assert FrontClassifier((4,), **SETTINGS).partial_fit(X, y, classes=[0, 1, 2]).form_ == "windowed"
    model = FrontClassifier((4,), form="a-half", **SETTINGS).partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="form 'a-half' takes no more samples"):
        model.partial_fit(X, y)


@pytest.mark.parametrize("optimizer", ["sgd", "neuron-adam"])
def test_windows_of_ones_own_are_never_left_out(wide, optimizer):
    """No kernel knows them, so none trains that form; a form that inherits its windows has kernels."""
    X, y = wide
    front.register(Clipped)
    model = FrontClassifier((4,), form="clipped", optimizer=optimizer, **SETTINGS).fit(X, y)
    assert abs(model.coefs_[0]).max() == 0.01
    assert (Clipped.compiled, Scaled.compiled) == (False, True)
    assert all(kind.compiled for kind in (FORMS["weights"], FORMS["windowed"], FORMS["contributions"]))


@pytest.mark.parametrize("optimizer", ["sgd", "neuron-adam", "muon"])
def test_a_form_of_ones_own_trains_the_same_network(wide, optimizer):
    """In estimators with optimisers that commute, and in NoProp; the others are refused; a file of it loads."""
    X, y = wide
    front.register(Scaled)
    for kind, more in ((FrontClassifier, {}), (NoPropClassifier, {"n_blocks": 2, "hidden": (6, 4)})):
        own, weights = (
            kind(optimizer=optimizer, form=form, **SETTINGS | {"learning_rate": 0.001}, **more).fit(X, y)
            for form in ("scaled", "weights")
        )
        np.testing.assert_allclose(own.predict_proba(X), weights.predict_proba(X), atol=1e-6)
        assert own.form_ == "scaled"
        assert "scaled" in own.plan_.costs
    with pytest.raises(ValueError, match="form='scaled'"):
        FrontClassifier(optimizer="adam", form="scaled", **SETTINGS).fit(X, y)


def test_a_name_stands_for_one_class():
    """A second class of that name is refused, unless it is the same one again, as when a cell of a notebook runs twice."""
    shapes = Registry("shape")

    def make(module):
        return type("Square", (), {"name": "square", "__module__": module, "__qualname__": "Square"})

    shapes.register(make("cell"))
    again = shapes.register(make("cell"))
    assert shapes["square"] is again
    with pytest.raises(ValueError, match=r"cell\.Square is the shape 'square' already"):
        shapes.register(make("other"))
    for nameless in (type("None_", (), {}), type("Inherits", (again,), {})):
        with pytest.raises(TypeError, match="name of its own"):
            shapes.register(nameless)


@optimizers.register
@dataclass(frozen=True)
class _Named(optimizers.Optimizer):
    """Settings of its own beside one of the estimators'."""

    momentum: float = 0.5
    speed: float = 1.0
    name = "own-settings"

    def update(self, layer, rate, step):
        layer.accumulate(self.momentum, 1.0)
        layer.descend(np.full(layer.n_out, rate * self.speed))


del OPTIMIZERS["own-settings"]  # the tests register it


def test_a_named_optimiser_takes_the_parameters_that_it_has():
    """Parameters of the same name are passed on; others that were set are refused, with the optimisers that have them."""
    optimizers.register(_Named)
    assert FrontClassifier(optimizer="own-settings", momentum=0.25)._optimizer() == _Named(momentum=0.25)
    with pytest.raises(ValueError, match=r"weight_decay=0\.1 is a setting of .*'sgd'.*'own-settings' has none"):
        FrontClassifier(optimizer="own-settings", weight_decay=0.1)._optimizer()
    assert NoPropClassifier(optimizer="own-settings")._optimizer() == _Named(momentum=0.9)


# ----------------------------------------------------------------------------------------------------------------------
# learning rates and weight decay by layer


@dataclass
class Case:
    """Settings by layer, with the three groups of parameters that they make in PyTorch."""

    rates: list = field(default_factory=lambda: [0.02, (0.01, 0.05), 0.0])
    decays: list = field(default_factory=lambda: [(0.1, 0.0), 0.3, (0.0, 0.2)])


PEERS = {
    "sgd": ("SGD", {"momentum": 0.9}), "adam": ("Adam", {}), "adamw": ("AdamW", {}), "adagrad": ("Adagrad", {}),
    "rmsprop": ("RMSprop", {}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("optimizer", "form"), [(name, form) for name in PEERS for form in FORMS if OPTIMIZERS[name].commutes or form == "weights"]
)
def test_settings_by_layer_are_pytorchs_parameter_groups(wide, optimizer, form):
    """Three layers, weights and biases apart, against torch.optim with a group for each."""
    torch = pytest.importorskip("torch", reason="the reference is PyTorch")
    X, y = wide
    case, generator = Case(), np.random.default_rng(1)
    sizes = [300, 6, 5, 3]
    coefs = [generator.normal(size=shape) / shape[0] ** 0.5 for shape in pairwise(sizes)]
    biases = [generator.normal(size=n) / 3 for n in sizes[1:]]
    model = FrontClassifier(
        (6, 5), "tanh", optimizer=optimizer, form=form, learning_rate=case.rates, weight_decay=case.decays, batch_size=16,
        max_epochs=3, tol=0, shuffle=False, dtype="float64",
    )  # fmt: skip
    model.fit(X, y, coefs_init=coefs, intercepts_init=biases)
    linears = [torch.nn.Linear(*coef.shape, dtype=torch.float64) for coef in coefs]
    pairs = [[np.broadcast_to(value, 2).tolist() for value in values] for values in (case.rates, case.decays)]
    groups = []
    for linear, coef, bias, rates, decays in zip(linears, coefs, biases, *pairs, strict=True):
        linear.weight.data[:], linear.bias.data[:] = torch.tensor(coef.T), torch.tensor(bias)
        for part, rate, decay in zip((linear.weight, linear.bias), rates, decays, strict=True):
            groups.append({"params": [part], "lr": rate, "weight_decay": decay})
    name, settings = PEERS[optimizer]
    peer = getattr(torch.optim, name)(groups, **settings)
    network = torch.nn.Sequential(linears[0], torch.nn.Tanh(), linears[1], torch.nn.Tanh(), linears[2])
    for _ in range(3):
        for start in range(0, len(X), 16):
            rows = slice(start, start + 16)
            peer.zero_grad()
            torch.nn.functional.cross_entropy(network(torch.tensor(X[rows])), torch.tensor(y[rows])).backward()
            peer.step()
    for linear, coef, bias in zip(linears, model.coefs_, model.intercepts_, strict=True):
        np.testing.assert_allclose(coef.T, linear.weight.detach().numpy(), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(bias, linear.bias.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "muon", "neuron-adam"])
@pytest.mark.parametrize("rule", ["backprop", "lg-fg-a"])
def test_settings_by_layer_agree_in_all_forms(wide, optimizer, rule):
    """Contributions, windows and weights train the same network; rates of 0 leave a layer as it was."""
    X, y = wide
    settings = SETTINGS | {"learning_rate": [(0.002, 0.001), 0.0, 0.003], "weight_decay": [0.5, 0.1, (0.2, 0.0)]}
    models = [
        FrontClassifier((6, 5), optimizer=optimizer, rule=rule, form=form, batch_size=8, **settings).fit(X, y) for form in FORMS
    ]
    for model in models[1:]:
        for one, other in zip(models[0].coefs_, model.coefs_, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)
    longer = FrontClassifier((6, 5), optimizer=optimizer, rule=rule, batch_size=8, **settings | {"max_epochs": 7}).fit(X, y)
    np.testing.assert_array_equal(longer.coefs_[1], models[0].coefs_[1])
    assert (longer.coefs_[2] != models[0].coefs_[2]).all()


def test_equal_settings_by_layer_are_one_setting(wide):
    """To the last bit."""
    X, y = wide
    one = FrontClassifier((6,), **SETTINGS | {"learning_rate": 0.25}, weight_decay=0.125).fit(X, y)
    each = FrontClassifier((6,), **SETTINGS | {"learning_rate": [0.25, 0.25]}, weight_decay=np.full(2, 0.125)).fit(X, y)
    for a, b in zip(one.coefs_, each.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


@dataclass(frozen=True)
class DecayOfWeights(optimizers.NeuronAdam):
    """Only weights decay, as is usual."""

    name = "decay-of-weights"

    @property
    def for_biases(self):
        return optimizers.NeuronAdam()


def test_biases_have_the_decay_of_their_optimiser(wide):
    """An optimiser's `for_biases` may have another weight decay."""
    X, y = wide
    own = FrontClassifier((6,), optimizer=DecayOfWeights(weight_decay=5.0), **SETTINGS).fit(X, y)
    layered = FrontClassifier((6,), optimizer="neuron-adam", weight_decay=[(5, 0), (5, 0)], **SETTINGS).fit(X, y)
    for one, other in zip(own.coefs_ + own.intercepts_, layered.coefs_ + layered.intercepts_, strict=True):
        np.testing.assert_array_equal(one, other)


def test_settings_by_layer_may_change_between_partial_fits(wide):
    """The next call takes the new ones."""
    X, y = wide
    model = FrontClassifier((6,), **SETTINGS | {"learning_rate": [0.01, 0.0]}).partial_fit(X, y, classes=[0, 1, 2])
    before = [coef.copy() for coef in model.coefs_]
    model.set_params(learning_rate=[0.0, 0.01]).partial_fit(X, y)
    np.testing.assert_array_equal(model.coefs_[0], before[0])
    assert (model.coefs_[1] != before[1]).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": [0.1]}, r"learning_rate has 1 value\(s\), but the network has 2 layers"),
        ({"learning_rate": [0.1, (1, 2, 3)]}, "neither a number nor a pair"),
        ({"learning_rate": [0, (0, 0)]}, "positive for some layer"),
        ({"learning_rate": [0.1, -1]}, r"learning_rate must be in \[0, inf\)"),
        ({"learning_rate": [0.1, np.nan]}, r"learning_rate must be in \[0, inf\)"),
        ({"weight_decay": [0.1, 0.1, 0.1]}, r"weight_decay has 3 value\(s\)"),
        ({"weight_decay": [0.1, "x"]}, "weight_decay must be a number"),
        ({"learning_rate": {0: 0.1, 1: 0.2}}, "learning_rate must be a number, or a list"),
        ({"weight_decay": {0.1, 0.2}}, "weight_decay must be a number, or a list"),
        ({"weight_decay": iter([0.1, 0.2])}, "weight_decay must be a number, or a list"),
    ],
)
def test_bad_settings_by_layer(wide, settings, message):
    """The message names the parameter and what is needed."""
    X, y = wide
    with pytest.raises((ValueError, TypeError), match=message):
        FrontClassifier((6,), **settings).fit(X, y)


def test_layers_of_blocks(wide):
    """Blocks have other layers than networks."""
    X, y = wide
    for name in ("learning_rate", "weight_decay"):
        with pytest.raises(ValueError, match=rf"{name} has 2 value\(s\), but the network has 7 layers"):
            NoPropClassifier(**{name: [0.1, 0.1]}).fit(X, y)


# ----------------------------------------------------------------------------------------------------------------------
# classes that are wrong


class Short(front.WeightsForm):
    """It forgets half of the samples."""

    name = "short"

    def __init__(self, X, initial, dtype, with_velocity, n_jobs=None):
        super().__init__(X[: len(X) // 2], initial, dtype, with_velocity, n_jobs)


class Precise(front.WeightsForm):
    """It holds double precision, whatever was asked for."""

    name = "precise"

    def __init__(self, X, initial, dtype, with_velocity, n_jobs=None):
        super().__init__(X, initial, np.dtype("float64"), with_velocity, n_jobs)


class Narrow(front.WeightsForm):
    """It reads the first features only, and inherits an `append` that brings all."""

    name = "narrow"

    def __init__(self, X, initial, dtype, with_velocity, n_jobs=None):
        super().__init__(X[:, :20], GivenWeights(initial.dense(dtype)[:, :20]), dtype, with_velocity, n_jobs)
        self.n_features = initial.n_features

    def expand(self):
        return np.pad(self.base, ((0, 0), (0, self.n_features - 20)))

    def preactivations(self, X):
        return super().preactivations(X[:, :20])


def test_a_form_whose_arrays_do_not_fit_is_refused(wide):
    """Before a kernel reads them."""
    X, y = wide
    for kind in (Short, Precise, Narrow):
        front.register(kind)
    settings = {"max_epochs": 1, "random_state": 0}
    for kind in (FrontClassifier, NoPropClassifier):
        with pytest.raises(ValueError, match=r"form 'short' cannot be trained: its source has shape \(20, 300\).*\(40, 300\)"):
            kind(form="short", **settings).fit(X, y)
        with pytest.raises(ValueError, match=r"form 'precise' cannot be trained: its arrays have dtypes .*float64.*float32"):
            kind(form="precise", dtype="float32", **settings).fit(X, y)
    narrow = FrontClassifier((4,), form="narrow", **settings).partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="form 'narrow' takes no more samples: it holds 20 columns"):
        narrow.partial_fit(X, y)
    assert fcfast.plan(40, 300).form in ("contributions", "windowed", "weights")
    assert not {"short", "precise", "narrow"} & {fcfast.plan(n, 20).form for n in (10, 1000, 100_000)}


class OneColumn(losses.Loss):
    """Its gradient has one column for all outputs."""

    name = "one-column"

    def of_samples(self, outputs, targets):
        return (outputs[:, 0] - targets[:, 0]) ** 2, outputs[:, :1] - targets[:, :1]


@dataclass(frozen=True)
class OneMatrix(rules.Backprop):
    """It forgets the output layer."""

    name = "one-matrix"

    def feedback(self, upper, state):
        return upper.weights[:1]


def test_wrong_shapes_of_losses_and_rules_are_named(wide):
    """The message names the class and the shapes."""
    X, y = wide
    with pytest.raises(ValueError, match=r"loss OneColumn gave .*\(40, 1\), but .*\(40, 2\) are needed"):
        FrontRegressor((4,), loss=OneColumn(), **SETTINGS).fit(X, X[:, :2])
    with pytest.raises(ValueError, match=r"rule 'one-matrix' gave feedback weights of shapes \[\(5, 4\)\].*\(3, 5\)"):
        FrontClassifier((4, 5), rule=OneMatrix(), **SETTINGS).fit(X, y)


@dataclass(frozen=True)
class Plain(optimizers.Optimizer):
    """Gradient descent without a velocity, one rate for all units."""

    name = "plain"
    has_velocity = False

    def update(self, layer, rate, step):
        layer.descend(rate)


def test_a_step_without_a_velocity_goes_along_the_gradient(wide):
    """As SGD without momentum, in every form."""
    X, y = wide
    for form in ("contributions", "windowed", "weights"):
        plain, sgd = (
            FrontClassifier((4,), optimizer=optimizer, form=form, batch_size=8, window=16, **SETTINGS).fit(X, y)
            for optimizer in (Plain(), optimizers.SGD())
        )
        np.testing.assert_allclose(plain.coefs_[0], sgd.coefs_[0], rtol=1e-9, atol=1e-12)
