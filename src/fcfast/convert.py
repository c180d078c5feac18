"""Conversion of fitted networks to scikit-learn and PyTorch, and of their weights to initial weights."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.neural_network._base import ACTIVATIONS as OUTPUT_ACTIVATIONS
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from fcfast import validation

if TYPE_CHECKING:
    from torch.nn import Module, Sequential

    from fcfast.estimators import FrontClassifier, FrontRegressor

Array = NDArray[Any]
Layers = tuple[list[Array], list[Array]]

SKLEARN_ACTIVATIONS = ("identity", "relu", "tanh", "logistic")
OUTPUTS = {"identity": "identity", "log": "exp", "logit": "logistic"}  # activations that undo a link
LEAKY_SLOPE = 0.01


def to_sklearn(estimator: "FrontClassifier | FrontRegressor") -> MLPClassifier | MLPRegressor:
    """Convert a fitted estimator to scikit-learn's own network, fitted and with the same predictions up to rounding.

    The two outputs of a binary classifier become their difference, because scikit-learn has a single logistic output for two
    classes. The difference is held in float64, in which it is exact. Predictions for targets of shape (N, 1) have shape (N,),
    as MLPRegressor always gives them.

    Parameters
    ----------
    estimator : FrontClassifier or FrontRegressor
        Fitted estimator.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or MLPRegressor
        Fitted network.

    Raises
    ------
    ValueError
        If scikit-learn has no such network, because the activation is "leaky_relu", there is a single class, or the loss gives
        several predictions for a target, or others than this version has.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> from fcfast.convert import to_sklearn
    >>> X, y = np.random.default_rng(0).normal(size=(20, 300)), np.arange(20) % 2
    >>> classifier = FrontClassifier((8,), max_epochs=5, dtype="float64", random_state=0).fit(X, y)
    >>> np.allclose(to_sklearn(classifier).predict_proba(X), classifier.predict_proba(X), rtol=1e-12)
    True
    """
    check_is_fitted(estimator, "network_")
    activation = estimator.network_.activation
    if activation not in SKLEARN_ACTIVATIONS:
        raise ValueError(f"scikit-learn's networks have no activation {activation!r}, only {', '.join(SKLEARN_ACTIVATIONS)}")
    mlp = _mlp_classifier(estimator) if is_classifier(estimator) else _mlp_regressor(estimator)
    mlp.n_layers_ = len(mlp.coefs_) + 1
    mlp.n_outputs_ = len(mlp.intercepts_[-1])
    mlp.n_features_in_ = estimator.n_features_in_
    if hasattr(estimator, "feature_names_in_"):
        mlp.feature_names_in_ = estimator.feature_names_in_
    mlp.loss_curve_, mlp.n_iter_, mlp.t_ = list(estimator.loss_curve_), estimator.n_epochs_, 0
    mlp.loss_ = mlp.loss_curve_[-1] if mlp.loss_curve_ else np.inf
    mlp.best_loss_ = min(mlp.loss_curve_, default=np.inf)
    mlp.validation_scores_ = mlp.best_validation_score_ = None
    mlp._no_improvement_count = 0  # for partial_fit
    return mlp


def _settings(estimator: "FrontClassifier | FrontRegressor") -> dict[str, Any]:
    """Give the parameters that both libraries have, under scikit-learn's names."""
    return {
        "hidden_layer_sizes": tuple(map(int, estimator.network_.widths[:-1])),
        "activation": estimator.network_.activation,
        "solver": "sgd",
        "alpha": 0.0,
        "learning_rate_init": float(np.max(estimator._setting("learning_rate"))),
        "momentum": estimator.momentum,
        "nesterovs_momentum": estimator.nesterov,
        "batch_size": estimator._setting("batch_size"),
        "max_iter": _number(estimator._setting("max_epochs"), MLPClassifier().max_iter),
        "tol": estimator.tol,
        "n_iter_no_change": _number(estimator._setting("n_iter_no_change"), MLPClassifier().n_iter_no_change),
        "shuffle": estimator.shuffle,
        "random_state": estimator.random_state,
    }


def _number(setting: Any, otherwise: int) -> int:
    """Give a setting that a stream has no use for, and has not chosen."""
    return otherwise if validation.is_auto(setting) else int(setting)


def _copied_layers(estimator: "FrontClassifier | FrontRegressor") -> Layers:
    """Copy weights and biases, so that training one network does not change the other."""
    # those of a network that was trained on a dask array are computed
    return [np.array(coef, order="C") for coef in estimator.coefs_], [intercept.copy() for intercept in estimator.intercepts_]


def _mlp_classifier(estimator: "FrontClassifier") -> MLPClassifier:
    if not estimator.network_.loss.has_classes:  # several labels
        mlp = MLPClassifier(**_settings(estimator))
        mlp.coefs_, mlp.intercepts_ = _copied_layers(estimator)
        mlp.out_activation_ = "logistic"
        mlp._label_binarizer = LabelBinarizer().fit(np.eye(len(estimator.classes_), dtype=int))
        mlp.classes_ = mlp._label_binarizer.classes_
        return mlp
    if len(estimator.classes_) == 1:
        raise ValueError(f"the only class is {estimator.classes_[0]!r}; scikit-learn's networks need two")
    mlp = MLPClassifier(**_settings(estimator))
    mlp.coefs_, mlp.intercepts_ = _copied_layers(estimator)
    mlp.out_activation_ = "softmax"
    if len(estimator.classes_) == 2:  # softmax of two outputs is the logistic function of their difference
        mlp.coefs_[-1] = np.diff(mlp.coefs_[-1].astype(np.float64), axis=1)
        mlp.intercepts_[-1] = np.diff(mlp.intercepts_[-1].astype(np.float64))
        mlp.out_activation_ = "logistic"
    mlp._label_binarizer = LabelBinarizer().fit(estimator.classes_)
    mlp.classes_ = mlp._label_binarizer.classes_
    return mlp


def _mlp_regressor(estimator: "FrontRegressor") -> MLPRegressor:
    loss = estimator.network_.loss
    activation = OUTPUTS.get(loss.link)
    if activation not in OUTPUT_ACTIVATIONS or loss.per_target > 1:
        raise ValueError(
            f"scikit-learn's networks (version {sklearn.__version__}) do not predict as loss {loss.name!r} does; use to_torch, "
            "whose outputs are those that the loss is given"
        )
    mlp = MLPRegressor(**_settings(estimator))
    mlp.coefs_, mlp.intercepts_ = _copied_layers(estimator)
    mlp.out_activation_ = activation
    return mlp


def from_sklearn(mlp: MLPClassifier | MLPRegressor) -> Layers:
    """Take the weights of scikit-learn's network, for ``fit(..., coefs_init=, intercepts_init=)``.

    The single logistic output of a binary classifier becomes two outputs, minus half of it and plus half of it, whose softmax
    is the same. Give the estimator the same `activation`, and a regressor the same loss.

    Parameters
    ----------
    mlp : sklearn.neural_network.MLPClassifier or MLPRegressor
        Fitted network.

    Returns
    -------
    coefs : list of ndarray of shape (n_in, n_out)
        Weights of all layers.
    intercepts : list of ndarray of shape (n_out,)
        Biases of all layers.

    Raises
    ------
    TypeError
        If `mlp` is neither of these networks.
    ValueError
        If the network has no hidden layer.
    """
    if not isinstance(mlp, (MLPClassifier, MLPRegressor)):
        raise TypeError(f"mlp must be an MLPClassifier or an MLPRegressor, got a {type(mlp).__name__}")
    check_is_fitted(mlp, "coefs_")
    if len(mlp.coefs_) < 2:
        raise ValueError("mlp has no hidden layer; fcfast needs at least one, the front layer")
    coefs, intercepts = [coef.copy() for coef in mlp.coefs_], [intercept.copy() for intercept in mlp.intercepts_]
    binary = mlp.out_activation_ == "logistic" and mlp.n_outputs_ == 1
    if binary:
        coefs[-1] = coefs[-1] * np.array([-0.5, 0.5], coefs[-1].dtype)
        intercepts[-1] = intercepts[-1] * np.array([-0.5, 0.5], intercepts[-1].dtype)
    return coefs, intercepts


def to_torch(estimator: "FrontClassifier | FrontRegressor") -> "Sequential":
    """Convert a fitted estimator to a PyTorch module with the same outputs up to rounding.

    Parameters
    ----------
    estimator : FrontClassifier or FrontRegressor
        Fitted estimator.

    Returns
    -------
    torch.nn.Sequential
        Linear layers and activations, in the estimator's dtype. A classifier has one logit for each of `classes_`; the outputs
        of a regressor have shape (M, c), and are those that its loss is given: logarithms of rates for "poisson".

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    """
    torch = _torch()
    check_is_fitted(estimator, "network_")
    activation = estimator.network_.activation
    modules: list[Module] = []
    for coef, intercept in zip(estimator.coefs_, estimator.intercepts_, strict=True):
        dtype = getattr(torch, coef.dtype.name)
        linear = torch.nn.utils.skip_init(torch.nn.Linear, *coef.shape, dtype=dtype)  # this draws no random numbers
        linear.weight.detach().numpy()[:], linear.bias.detach().numpy()[:] = np.asarray(coef).T, intercept
        modules += [linear, _activation_module(torch, activation)]
    return torch.nn.Sequential(*modules[:-1])


def _activation_module(torch: Any, name: str) -> "Module":
    nn = torch.nn
    if name == "leaky_relu":
        return nn.LeakyReLU(LEAKY_SLOPE)
    return {"identity": nn.Identity, "relu": nn.ReLU, "tanh": nn.Tanh, "logistic": nn.Sigmoid}[name]()


def from_torch(sequential: "Sequential") -> Layers:
    """Take the weights of a PyTorch module, for ``fit(..., coefs_init=, intercepts_init=)``.

    Give the estimator the same `activation`. A layer without bias becomes a layer with bias 0.

    Parameters
    ----------
    sequential : torch.nn.Sequential
        Linear layers with the same activation after each layer except the last. The activation is ReLU, LeakyReLU(0.01), Tanh,
        Sigmoid or Identity.

    Returns
    -------
    coefs : list of ndarray of shape (n_in, n_out)
        Weights of all layers in float64.
    intercepts : list of ndarray of shape (n_out,)
        Biases of all layers in float64.

    Raises
    ------
    TypeError
        If `sequential` is not a Sequential.
    ValueError
        If the module has another architecture.
    ImportError
        If PyTorch is not installed.
    """
    nn = _torch().nn
    if not isinstance(sequential, nn.Sequential):
        raise TypeError(f"sequential must be a torch.nn.Sequential, got a {type(sequential).__name__}")
    linears, activations = list(sequential[::2]), list(sequential[1::2])
    for place, linear in zip(range(0, len(sequential), 2), linears, strict=True):
        if not isinstance(linear, nn.Linear):
            raise ValueError(f"module {place} must be a Linear, got {linear}; Linear layers and activations must take turns")
    _check_activations(nn, activations)
    if len(linears) < 2 or len(linears) == len(activations):
        raise ValueError(f"sequential has {len(sequential)} module(s); it must begin and end with a Linear, two or more")
    for l, (below, above) in enumerate(pairwise(linears), start=1):
        if below.out_features != above.in_features:
            raise ValueError(f"module {2 * l} takes {above.in_features} inputs, but the layer below gives {below.out_features}")
    coefs = [_numpy(linear.weight).T for linear in linears]
    return coefs, [np.zeros(linear.out_features) if linear.bias is None else _numpy(linear.bias) for linear in linears]


def _check_activations(nn: Any, modules: "list[Module]") -> None:
    known = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.Identity)
    for l, module in enumerate(modules):
        leaky_otherwise = isinstance(module, nn.LeakyReLU) and module.negative_slope != LEAKY_SLOPE
        if type(module) not in known or leaky_otherwise:
            raise ValueError(f"module {2 * l + 1} is {module}; use ReLU, LeakyReLU({LEAKY_SLOPE}), Tanh, Sigmoid or Identity")
        if type(module) is not type(modules[0]):
            raise ValueError(f"module {2 * l + 1} is {module}, but module 1 is {modules[0]}; they must be the same")


def _numpy(parameter: Any) -> Array:
    return parameter.detach().cpu().double().numpy().copy()


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError('this needs PyTorch: pip install "fcfast[torch]"') from error
    return torch
