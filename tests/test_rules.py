"""Learning rules against their definitions and invariants, with every form, optimiser and group that supports them."""

import copy
from itertools import product

import numpy as np
import pytest
from classic import FrontClassifier, FrontRegressor
from rule_reference import (
    BATCH,
    FORMS,
    GUIDED,
    NOISE,
    SPACES,
    STAYS,
    TARGETS,
    Peer,
    assert_equals_peer,
    assert_same_moves,
    flat,
    gradients_of,
    hidden_part,
    moves,
    parameters,
    problem,
)
from scipy import sparse

from fcfast import plan
from fcfast.losses import CrossEntropy
from fcfast.optimizers import SCHEDULES, SGD, Adam, Muon, NeuronAdam
from fcfast.rules import (
    RULES,
    Backprop,
    ForwardGradient,
    FrozenHidden,
    LocalLoss,
)  # fmt: skip
from fcfast.training.upper import block_diagonal

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs on purpose


# ----------------------------------------------------------------------------------------------------------------------
# every rule against its definition


def grid():
    """Every target, guess, space, scalar and choice of normalisation that makes sense."""
    sensible = []
    for settings in product(TARGETS, (*NOISE, *GUIDED), SPACES, (True, False), ("block", "joint")):
        try:
            sensible.append(ForwardGradient(*settings))
        except ValueError:
            continue  # test_nonsense has these
    return sensible


def label(rule):
    if not isinstance(rule, ForwardGradient):
        return str(rule)
    return ",".join([f"{rule.target}<-{rule.guess}", rule.space, rule.scalar, "projected" if rule.is_normalized else "plain"])


@pytest.mark.parametrize("rule", grid(), ids=label)
def test_forward_gradients_equal_their_definition(rule):
    """Three steps, the last one of a shorter batch: the updates of all layers and heads, and the losses."""
    for seed, (activation, loss) in enumerate((("relu", "cross_entropy"), ("tanh", "half_squared_error"))):
        assert_equals_peer(problem(rule, activation=activation, loss=loss, seed=seed), message=activation)


FURTHER = [
    ForwardGradient("global", "gaussian", "activation", n_tangents=3),
    ForwardGradient("global", "gaussian", "weight", n_tangents=3),
    ForwardGradient("global", "rademacher", "activation", normalize=True, scalar="block", block_size=2, n_tangents=2),
    ForwardGradient("global", "gaussian", "weight", normalize=True, scalar="block", block_size=2),
    ForwardGradient("local", "gaussian", "activation", n_tangents=3, block_size=2),
    ForwardGradient("local", "rademacher", "weight", n_tangents=2, block_size=2, normalize=True),
    ForwardGradient("local", "gaussian", "activation", head_layer_sizes=(5, 4)),
    ForwardGradient("local", "gaussian", "activation", block_size=2, groups=2, n_tangents=2),
    ForwardGradient("local", "gaussian", "activation", block_size=3, groups=2, normalize=True),
    ForwardGradient("local", "gaussian", "weight", block_size=2, groups=2, n_tangents=2),
    ForwardGradient("local", "rademacher", "weight", groups=2, normalize=True),
    ForwardGradient("local", "local", "activation", head_layer_sizes=(5,)),
    ForwardGradient("local", "ntk", "activation", head_layer_sizes=(5,)),
    ForwardGradient("global", "local", "activation", head_layer_sizes=(5, 4)),
    ForwardGradient("global", "ntk", "avg-weight", head_layer_sizes=(3,)),
    LocalLoss(),
    LocalLoss(block_size=2, head_layer_sizes=(5,)),
    LocalLoss(block_size=7),
    *RULES.values(),
]


@pytest.mark.parametrize("activation", ["identity", "relu", "leaky_relu", "tanh", "logistic"])
@pytest.mark.parametrize("rule", FURTHER, ids=str)
def test_rules_equal_their_definition(rule, activation):
    """Several draws, blocks, groups, heads of several layers, all presets; samples have weights, those of a batch are all 0."""
    weights = np.random.default_rng(5).uniform(0, 2, 11)
    weights[[1, 4, 5, 6, 7]] = 0  # a whole batch without weight
    case = problem(rule, hidden=(6, 4, 8), activation=activation, sample_weight=weights, groups=(1, 2, 2), optimizer=SGD())
    assert_equals_peer(case)


@pytest.mark.parametrize("rule", FURTHER, ids=str)
def test_rules_learn_smoothed_labels(rule):
    """The losses of the outputs and of all heads are smoothed."""
    weights = np.random.default_rng(6).uniform(0, 2, 11)
    case = problem(rule, hidden=(6, 4, 8), loss=CrossEntropy(0.3), sample_weight=weights, groups=(1, 2, 2))
    assert_equals_peer(case)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", STAYS)
def test_every_form_equals_the_definition(name, form):
    """Weights, windows and contributions, over epochs with momentum and weight decay."""
    optimizer = SGD(momentum=0.8, weight_decay=0.05)
    assert_equals_peer(problem(name, form, activation="relu", optimizer=optimizer), n_epochs=3, rate=0.1, tolerance=1e-9)


@pytest.mark.parametrize(
    "optimizer",
    [SGD(momentum=0.9, weight_decay=0.1), SGD(0.5, 0.3, max_grad_norm=0.2), Adam(weight_decay=0.1, eps=1e-3)],
    ids=str,
)
@pytest.mark.parametrize(
    "rule", [*RULES.values(), LocalLoss(2, (5,)), ForwardGradient("global", "local", head_layer_sizes=(5,))], ids=str
)
def test_heads_are_trained_by_the_optimiser(rule, optimizer):
    """Heads have momentum, decay, moments and a share in the gradient's norm as all other layers have: PyTorch over 9 steps."""
    case = problem(rule, optimizer=optimizer)
    heads = [head.params.copy() for head in case.network.rule_state.heads]
    assert_equals_peer(case, n_epochs=3, rate=0.02, tolerance=1e-9)
    for head, start in zip(case.network.rule_state.heads, heads, strict=True):
        assert (head.params != start).mean() > 0.9


def test_random_heads_stay(global_random_seed):
    """A guide is never trained: "ntk-fixed" keeps its bits, "ntk" draws them anew."""
    for guess in ("ntk-fixed", "ntk"):
        case = problem(ForwardGradient(guess=guess), optimizer=SGD(0.9, weight_decay=0.1), seed=global_random_seed)
        guides = [guide.params.copy() for guide in case.network.rule_state.guides]
        case.train(2)
        same = [np.array_equal(a, b.params) for a, b in zip(guides, case.network.rule_state.guides, strict=True)]
        assert same == [guess == "ntk-fixed"] * 2
        assert case.network.rule_state.heads == []


# ----------------------------------------------------------------------------------------------------------------------
# laws


def autograd(case, rows):
    """PyTorch's gradients of a batch by layer: (weights, biases)."""
    peer = Peer(case)
    peer.gradients(rows)
    return [(W.grad.numpy(), b.grad.numpy()) for W, b in peer.layers]


def estimates(case, rows=None):
    """What the rule makes of a batch, by layer: (weights, biases)."""
    gradients, n = gradients_of(case, rows), len(case.network.widths)
    return list(zip(gradients[:n], gradients[n : 2 * n], strict=True))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("guess", NOISE)
@pytest.mark.parametrize("space", ["activation", "weight"])
def test_derivative_is_the_product_with_the_gradient(space, guess, activation, global_random_seed):
    """What multiplies the noise is its inner product with the gradient: of the output's loss, or of each layer's own."""
    one = np.arange(1)  # of one sample, the gradients of the biases are those of the pre-activations
    for target, exact in (("global", Backprop()), ("local", LocalLoss())):  # of the same seed: the same heads
        case, true = (
            problem(rule, activation=activation, seed=global_random_seed)
            for rule in (ForwardGradient(target, guess, space), exact)
        )
        estimated, gradients, draw = estimates(case, one)[:-1], autograd(true, one)[:-1], Peer(case).ours.noise
        noise, products = [], []
        for G, g in gradients:
            U = draw(1, *G.shape)[0] if space == "weight" else np.zeros_like(G)
            u = draw(1, len(g))[0] if space == "weight" else draw(1, 1, len(g))[0, 0] * ((activation != "relu") | (g != 0))
            noise.append((U, u))
            products.append(np.sum(G * U) + g @ u)
        if target == "global":
            products = [sum(products)] * len(products)
        for (W, b), (U, u), derivative in zip(estimated, noise, products, strict=True):
            np.testing.assert_allclose(b, derivative * u, rtol=1e-12, atol=1e-14)
            if space == "weight":
                np.testing.assert_allclose(W, derivative * U, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["fg-w", "fg-a", "lg-fg-w", "lg-fg-a"])
def test_noise_is_unbiased(name, scaled, global_random_seed):
    """The mean over many draws is the gradient of the rule's loss: no number is further off than its standard error allows."""
    preset, n_means = RULES[name], scaled(150, 60)
    for guess in NOISE:
        rule = ForwardGradient(preset.target, guess, preset.space, n_tangents=100)
        case = problem(rule, hidden=(8, 6), activation="relu", n_features=3, seed=global_random_seed)
        exact = Backprop() if rule.target == "global" else LocalLoss()
        true = problem(exact, hidden=(8, 6), activation="relu", n_features=3, seed=global_random_seed)
        gradient = flat(hidden_part(gradients_of(true), 2))
        means = np.array([flat(hidden_part(gradients, 2)) for gradients in repeated(case, n_means)])
        errors = (means.mean(axis=0) - gradient) / (means.std(axis=0, ddof=1) / n_means**0.5 + 1e-13)
        assert np.abs(errors).max() < 5
        # and the standard error is small enough to tell
        assert np.linalg.norm(means.std(axis=0)) / n_means**0.5 < 0.15 * np.linalg.norm(gradient)


def repeated(case, n_times):
    """Estimates of the same batch's gradient, again and again from the same weights, with new noise."""
    network = copy.deepcopy(case.network)
    start = network.snapshot()
    before = [array.copy() for array in parameters(network)]
    for _ in range(n_times):
        network.train_epoch(np.arange(network.batch_size), np.ones(1), case.answers, None)
        yield [-move for move in moves(before, parameters(network))]
        network.restore(start)


@pytest.mark.parametrize("hidden", [(5,), (5, 4)])
@pytest.mark.parametrize("guess", NOISE)
def test_variance(guess, hidden, global_random_seed):
    """Noise of D numbers has D + 1 times the squared gradient as variance (D - 1 for signs), summed over all that moves.

    For one layer: (q + 1) S / N by sample with activations, (p q + 1) S with weights (and biases), as the literature has it;
    where all layers move, D counts them all.
    """
    n_draws, N = 1000, BATCH
    for space in ("activation", "weight"):
        settings = {"hidden": hidden, "activation": "identity", "n_features": 6, "seed": global_random_seed}
        case = problem(ForwardGradient("global", guess, space), **settings)
        by_layer = np.array([flat(hidden_part(g, len(hidden))) for g in repeated(case, n_draws)])
        true = problem("backprop", **settings)
        gradient = flat(hidden_part(gradients_of(true), len(hidden)))
        sign = 1 if guess == "gaussian" else -1
        if space == "weight":
            expected = (len(gradient) + sign) * np.sum(gradient**2)
        else:
            # of sample n: |d_n|^2 + d_ni^2 of each unit i, times the squared norm of what the unit is fed, a bias too
            expected, fed, deltas = 0.0, *fed_and_deltas(true)
            total = sum(np.sum(delta**2, axis=1) for delta in deltas)
            for below, delta in zip(fed, deltas, strict=True):
                by_sample = delta.shape[1] * total + sign * np.sum(delta**2, axis=1)
                expected += np.sum((1 + np.sum(below**2, axis=1)) * by_sample)
            if hidden == (5,):
                S = np.mean([np.sum((1 + np.sum(x**2)) * (N * d) ** 2) for x, d in zip(fed[0], deltas[0], strict=True)])
                np.testing.assert_allclose(expected, (hidden[0] + sign) * S / N, rtol=1e-12)
        squares = np.sum((by_layer - gradient) ** 2, axis=1)
        assert abs(squares.mean() - expected) < 4 * squares.std() / n_draws**0.5
        assert squares.std() / n_draws**0.5 < 0.08 * expected


def fed_and_deltas(case):
    """Inputs of each hidden layer, and PyTorch's gradients with respect to its pre-activations, for the first batch."""
    peer, rows = Peer(case), np.arange(case.network.batch_size)
    z, values, inputs = peer.forward(rows)
    peer.loss(peer.head_outputs(peer.layers[-1:], values[-1]), rows).backward()
    return [below.numpy() for below in inputs], [s.grad.numpy() for s in z]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("scalar", ["block", "joint"])
def test_guess_of_the_gradient_itself_is_backpropagation(scalar, space, form):
    """A projection of the gradient onto itself: exact, over epochs with momentum, in every form, groups or not."""
    rule = ForwardGradient("global", "global", space, scalar=scalar)
    for groups in (None, (1, 2, 2)):
        settings = {"hidden": (6, 4, 8), "activation": "relu", "optimizer": SGD(momentum=0.9), "groups": groups}
        start = parameters(problem("backprop", form, **settings).network)
        ours, theirs = problem(rule, form, **settings).trained(2), problem("backprop", form, **settings).trained(2)
        assert_same_moves(start, ours, theirs, 1e-11)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("head_layer_sizes", [(), (5,)])
def test_local_guess_of_a_local_target_is_the_local_gradient(head_layer_sizes, space):
    """Target and guess are the same head's: exact local learning, heads included (PyTorch's: FURTHER)."""
    rule = ForwardGradient("local", "local", space, head_layer_sizes=head_layer_sizes)
    exact = LocalLoss(head_layer_sizes=head_layer_sizes)
    settings = {"activation": "relu", "optimizer": SGD(momentum=0.9)}
    start = parameters(problem(exact, **settings).network)
    assert_same_moves(start, problem(rule, **settings).trained(2), problem(exact, **settings).trained(2), 1e-11)


@pytest.mark.parametrize("guess", ["local", "ntk-fixed"])
def test_weights_of_a_sample_project_as_its_pre_activations(guess, global_random_seed):
    """In space "weight", written out for the weights of each sample; without an activation it is space "activation"."""
    settings = {"activation": "identity", "seed": global_random_seed}
    by_weights, by_values = (
        estimates(problem(ForwardGradient("global", guess, s), **settings)) for s in ("weight", "activation")
    )
    for (W, b), (V, v) in zip(by_weights, by_values, strict=True):
        np.testing.assert_allclose(W, V, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(b, v, rtol=1e-12, atol=1e-14)
    case = problem(ForwardGradient("global", guess, "weight"), activation="relu", seed=global_random_seed)
    peer = Peer(case)
    for sample in range(BATCH):
        rows = np.array([sample])
        fed, deltas = fed_and_deltas(case._replace(X=case.X[rows], answers=case.answers[rows], network=one_row(case.network)))
        _, values, _ = peer.forward(rows)
        for i, (W, b) in enumerate(estimates(case, rows)[:-1]):
            dh = peer.guess(i, values[i], rows).numpy()[0] * (values[i].detach().numpy()[0] > 0)
            G, V = np.outer(deltas[i][0], fed[i][0]), np.outer(dh, fed[i][0])
            if np.sum(V * V):
                np.testing.assert_allclose(W, np.sum(G * V) / np.sum(V * V) * V, rtol=1e-11, atol=1e-14)
                np.testing.assert_allclose(b, deltas[i][0] @ dh / (dh @ dh) * dh, rtol=1e-11, atol=1e-14)


def one_row(network):
    network = copy.deepcopy(network)
    network.batch_size = 1
    return network


@pytest.mark.parametrize("guess", ["gaussian", "rademacher", "local", "ntk", "ntk-fixed"])
@pytest.mark.parametrize("target", TARGETS)
def test_projections_are_short_and_downhill(target, guess):
    """A projection of the gradient is no longer than it, and never points against it, whatever the guess."""
    exact = Backprop() if target == "global" else LocalLoss()
    for seed in range(20):
        for space, rows in (("weight", [0]), ("activation", [0]), ("avg-weight", range(BATCH))):
            if guess in NOISE and space == "avg-weight":
                continue
            rule = ForwardGradient(target, guess, space, normalize=True, scalar="block")
            # without an activation, values and pre-activations are the same
            settings = {"activation": "identity" if space == "activation" else "relu", "seed": seed}
            ours = estimates(problem(rule, **settings), np.array(rows))
            true = estimates(problem(exact, **settings), np.array(rows))
            for (W, b), (G, g) in zip(ours[:-1], true[:-1], strict=True):
                mine, other = np.r_[W.ravel(), b], np.r_[G.ravel(), g]
                assert np.linalg.norm(mine) <= np.linalg.norm(other) * (1 + 1e-12) + 1e-15
                assert mine @ other >= -1e-15
                assert np.any(mine) or not np.any(other)


# ----------------------------------------------------------------------------------------------------------------------
# forms, optimisers, groups


OPTIMIZERS = [
    SGD(),
    SGD(0.9, weight_decay=0.1),
    SGD(0.9, nesterov=True, weight_decay=0.1, max_grad_norm=0.2),
    SGD(0.5, 0.3, weight_decay=0.1),
    NeuronAdam(eps=1e-3, weight_decay=0.1),
    NeuronAdam(eps=1e-3, max_grad_norm=0.2),
    Muon(weight_decay=0.1),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("rule", [*STAYS, ForwardGradient(space="avg-weight"), ForwardGradient(space="weight")], ids=str)
def test_every_form_trains_the_same_network(rule, optimizer):
    """Weights, windows and contributions, whatever applies the updates."""
    settings = {"optimizer": optimizer, "activation": "leaky_relu"}
    start = parameters(problem(rule, **settings).network)
    expected = problem(rule, **settings).trained(3, rate=0.05)
    for form in ("windowed", "contributions"):
        assert_same_moves(start, problem(rule, form, **settings).trained(3, rate=0.05), expected, 1e-9, form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("optimizer", [each for each in OPTIMIZERS if isinstance(each, SGD)], ids=str)
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_batch_by_batch_is_the_compiled_epoch(schedule, optimizer, form):
    """SGD as one kernel, and step by step by rules that amount to backpropagation: guess the gradient, align the feedback."""
    n_epochs, settings = 4, {"optimizer": optimizer, "activation": "relu"}
    factors = SCHEDULES[schedule].factors(np.arange(3 * n_epochs), 3 * n_epochs)
    case = problem("backprop", form, **settings)
    start = parameters(case.network)
    losses = case.train(n_epochs, factors=factors)
    aligned, guessed = problem("fa", form, **settings), problem(ForwardGradient("global", "global"), form, **settings)
    aligned.network.rule_state.feedback = aligned.network.params[aligned.network.widths[0] :]  # a view: it follows the weights
    for other in (aligned, guessed):
        np.testing.assert_allclose(other.train(n_epochs, factors=factors), losses, rtol=1e-9)
        assert_same_moves(start, parameters(other.network), parameters(case.network), 1e-9)


def test_memory_limit_counts_noise_on_weights():
    """As many numbers as there are weights for each tangent; what a plan states is refused where it is too much."""
    few, many = (plan(100, 50_000, 16, 100, rule=ForwardGradient("global", "gaussian", "weight", n_tangents=n)) for n in (1, 9))
    assert few.form == many.form == "weights"
    extra = many.costs["weights"].n_bytes - few.costs["weights"].n_bytes
    assert extra == pytest.approx(8 * 50_000 * 16 * 4, rel=0.01)
    X, y = np.random.default_rng(0).normal(size=(20, 50_000)).astype(np.float32), np.arange(20) % 2
    rule = ForwardGradient("global", "gaussian", "weight", n_tangents=9)
    with pytest.raises(MemoryError, match=r"'contributions' does not hold the weights, which the rule.*Raise memory_limit"):
        FrontClassifier((16,), rule=rule, memory_limit=2**25).fit(X, y)


def test_warm_start_in_another_precision():
    """Feedback is taken over as numbers of the new precision."""
    X, y = np.random.default_rng(0).normal(size=(20, 6)), np.arange(20) % 2
    for name in ("fa", "dfa", "local-loss"):
        model = FrontClassifier((4, 4), rule=name, warm_start=True, max_epochs=2).fit(X, y)
        feedback = model.network_.rule_state.feedback
        model.set_params(dtype="float64").fit(X, y)
        assert model.network_.rule_state.feedback.dtype == np.float64
        np.testing.assert_array_equal(model.network_.rule_state.feedback, feedback)


@pytest.mark.parametrize("form", ["contributions", "windowed"])
@pytest.mark.parametrize("name", [name for name in RULES if name not in STAYS])
def test_rules_that_leave_the_span_need_weights(name, form):
    """The error says why, and what to do; "auto" takes form "weights" by itself, for streams too."""
    X, y = np.random.default_rng(0).normal(size=(10, 50)), np.arange(10) % 2
    for train in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=rf"the rule.*random directions.*span.*form='{form}'.*form='weights'"):
            getattr(FrontRegressor(rule=name, form=form), train)(X, y)
    with pytest.raises(ValueError, match=r"random directions.*dense X.*toarray"):
        FrontClassifier(rule=name).fit(sparse.csr_array(X), y)
    assert FrontClassifier(rule=name, max_epochs=1).fit(X, y).form_ == "weights"
    assert FrontClassifier(rule=name).partial_fit(X, y, classes=[0, 1]).form_ == "weights"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("optimizer", [SGD(0.9, weight_decay=0.1), NeuronAdam(eps=1e-3, weight_decay=0.1)], ids=str)
def test_frozen_layers_keep_their_bits(optimizer, form):
    """No momentum and no weight decay moves hidden layers; the output layer learns."""
    case = problem(FrozenHidden(), form, optimizer=optimizer)
    before = [array.copy() for array in parameters(case.network)]
    losses = case.train(20, rate=0.05)
    same = [np.array_equal(a, b) for a, b in zip(before, parameters(case.network), strict=True)]
    assert same == [True, True, True, False] * 2
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["backprop", "local-fg-w", "lg-fg-a", "local-loss", "dfa"])
def test_groups_stay_apart(name, form):
    """Units are connected within groups, as in PyTorch's network with masked weights, and stay so, weight decay or not."""
    groups, optimizer = (1, 2, 4), SGD(0.9, weight_decay=0.1, max_grad_norm=1.0)
    case = problem(name, form, hidden=(6, 4, 8), groups=groups, optimizer=optimizer)
    assert_equals_peer(case, n_epochs=3, rate=0.1, tolerance=1e-9)
    for W, count in zip(case.network.weights, groups[1:], strict=False):
        np.testing.assert_array_equal(W != 0, block_diagonal(*W.T.shape, count))


@pytest.mark.parametrize("name", ["fg-w", "lg-fg-w"])
def test_noise_on_weights_stays_in_groups(name):
    """No noise between groups, in the weights as in the estimate."""
    case = problem(name, hidden=(6, 4, 8), groups=(1, 2, 4), optimizer=NeuronAdam(eps=1e-3))
    case.train(3)
    for W, count in zip(case.network.weights, (2, 4), strict=False):
        np.testing.assert_array_equal(W != 0, block_diagonal(*W.T.shape, count))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"groups": 3, "hidden_layer_sizes": (6, 4)}, r"3 does not divide hidden layers of 6 and 4 units"),
        ({"groups": (1, 2, 2), "hidden_layer_sizes": (4, 4)}, r"one number per hidden layer, 2, the first one 1"),
        ({"groups": (2, 2), "hidden_layer_sizes": (4, 4)}, r"the first one 1"),
        ({"groups": 0, "hidden_layer_sizes": (4, 4)}, "groups"),
        ({"groups": 2, "hidden_layer_sizes": (4, 4), "optimizer": "muon"}, "mixes all units"),
        (
            {"rule": ForwardGradient("local", "gaussian", groups=4), "hidden_layer_sizes": (4, 6)},
            "4 does not divide the 6 units",
        ),
        (
            {"rule": ForwardGradient("local", "gaussian", groups=2, block_size=2), "hidden_layer_sizes": (4, 4)},
            r"hidden layer 2 inside a block.*reach the others.*groups=2, or block_size=1",
        ),
    ],
)
def test_wrong_groups(parameters, message):
    """Groups that do not divide the units, or that a rule's noise would leave."""
    with pytest.raises(ValueError, match=message):
        FrontClassifier(**parameters).fit(np.eye(8), np.arange(8) % 2)


def test_given_weights_must_respect_groups():
    """Initial weights between groups are refused, not dropped."""
    coefs = [np.ones((8, 4)), np.ones((4, 4)), np.ones((4, 2))]
    with pytest.raises(ValueError, match=r"coefs_init\[1\] connects units of different groups"):
        FrontClassifier((4, 4), groups=2).fit(np.eye(8), np.arange(8) % 2, coefs_init=coefs)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"target": "above"}, ValueError, "target"),
        ({"guess": "sign"}, ValueError, "guess"),
        ({"space": "span"}, ValueError, "space"),
        ({"scalar": "layer"}, ValueError, "scalar"),
        ({"normalize": "yes"}, ValueError, "normalize must be True, False or 'auto', got 'yes'"),
        ({"normalize": 1}, ValueError, "normalize"),
        ({"n_tangents": 0}, ValueError, "n_tangents"),
        ({"groups": 1.5}, TypeError, "groups"),
        ({"head_layer_sizes": 5}, TypeError, "head_layer_sizes"),
        ({"head_layer_sizes": (0,)}, ValueError, "head_layer_sizes"),
        ({"guess": "gaussian", "space": "avg-weight"}, ValueError, r"once for a batch.*space='weight'"),
        ({"guess": "rademacher", "space": "avg-weight"}, ValueError, r"nothing to average"),
        ({"target": "local", "scalar": "joint"}, ValueError, r"separate losses of the blocks"),
        ({"n_tangents": 2}, ValueError, r"guess='local'.*only noise is averaged"),
        ({"guess": "ntk", "block_size": 2}, ValueError, r"a backward pass to the lower layers of a block; use block_size=1"),
        ({"guess": "gaussian", "groups": 2}, ValueError, r"copies of a local loss; use target='local'"),
        ({"target": "local", "groups": 2}, ValueError, r"a noise guess"),
        ({"target": "local", "guess": "gaussian", "groups": 2, "head_layer_sizes": (3,)}, ValueError, r"linear heads"),
        ({"guess": "gaussian", "head_layer_sizes": (3,)}, ValueError, r"has no heads"),
        ({"guess": "global", "head_layer_sizes": (3,)}, ValueError, r"has no heads"),
    ],
)
def test_nonsense(settings, error, message):
    """Combinations without a meaning are refused when the rule is made, and say why."""
    with pytest.raises(error, match=message):
        ForwardGradient(**settings)


def test_wrong_rules():
    """Unknown names list the known ones; classes and other objects are no rules."""
    with pytest.raises(ValueError, match=r"rule='fg'.*fg-w"):
        FrontClassifier(rule="fg").fit(np.eye(4), [0, 1, 0, 1])
    for rule in (ForwardGradient, 3, None):
        with pytest.raises(TypeError, match="rule must be one of"):
            FrontClassifier(rule=rule).fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="block_size"):
        LocalLoss(block_size=0)
    with pytest.raises(TypeError, match="head_layer_sizes"):
        LocalLoss(head_layer_sizes=("a",))
