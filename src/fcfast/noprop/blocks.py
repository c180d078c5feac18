"""NoProp blocks, which compute scores of the classes from an input and a noisy label, with forward and backward passes.

A block has a branch for the input, a branch for the noisy label z (with a skip connection if there is no time), a branch for
the time (if there is one), and a trunk on top of them (arXiv 2503.24322, figure 6, without its convolutions)::

    x = act(S + b)                      S: pre-activations of the front layer, in any form
    z = h + Wz3 act(Wz2 h),             h = act(Wz1 z)           without time (DT)
    z = act(Wz1 z), t = act(Wt e(t))                             with time (CT, FM)
    scores = Wo act(Wf2 act(Wf1 [x, z, t]))

With batch normalisation there is one after every layer but the last.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.noprop.schedule import EMBEDDED_TIMES

Array = NDArray[Any]

MAX_BLOCKS = 10_000  # schedules and blocks are made before memory is looked at
NORM_EPS, NORM_MOMENTUM = 1e-5, 0.1  # the defaults of torch.nn.BatchNorm1d
SMALL_START = 0.1  # factor of the initial weights of the last layer and of the end of the skip


@dataclass(frozen=True)
class Shape:
    """Sizes and options that all blocks of a network share.

    Attributes
    ----------
    n_hidden, n_fused : int
        Number of units of each branch and of the first layer of the trunk; number of units of its second layer.
    n_embedding, n_classes : int
        Dimension of the embeddings, number of classes.
    activation : int
        Code of the activation in the kernels.
    has_time, batch_norm : bool
        Whether a block takes the time as an input; whether it has batch normalisation.
    """

    n_hidden: int
    n_fused: int
    n_embedding: int
    n_classes: int
    activation: int
    has_time: bool
    batch_norm: bool

    @property
    def layers(self) -> dict[str, tuple[int, int]]:
        """Return the numbers of outputs and inputs of each layer above the front layer."""
        h, z = self.n_hidden, {"z1": (self.n_hidden, self.n_embedding)}
        branch = {"t": (h, EMBEDDED_TIMES)} if self.has_time else {"z2": (h, h), "z3": (h, h)}
        n_branches = 3 if self.has_time else 2
        trunk = {"f1": (h, n_branches * h), "f2": (self.n_fused, h), "out": (self.n_classes, self.n_fused)}
        return {**z, **branch, **trunk}

    @property
    def chains(self) -> list[tuple[str, str]]:
        """Return the first and last layer of each chain of layers that kernels process in one call."""
        return [("f1", "out")] if self.has_time else [("z2", "z3"), ("f1", "out")]

    @property
    def n_params(self) -> int:
        """Return the number of parameters of a block, without the weights of the front layer."""
        shapes = self.layers
        norms = 2 * (self.n_hidden + sum(n for name, (n, _) in shapes.items() if name != "out")) if self.batch_norm else 0
        return self.n_hidden + sum(n_out * (n_in + 1) for n_out, n_in in shapes.values()) + norms

    def initial(self, generator: np.random.Generator) -> Array:
        """Draw the parameters of a block: He uniform weights, zero biases."""
        params = np.zeros(self.n_params)
        layers = Layers(self, params, params)
        for name, weights in layers.weights.items():
            bound = (6 / weights.shape[1]) ** 0.5 * (SMALL_START if name in ("z3", "out") else 1)
            weights[:] = generator.uniform(-bound, bound, weights.shape)
        for norm in layers.norms.values():
            norm.scale[:] = 1
        return params


class Place(NamedTuple):
    """Where the weights or the biases of a layer are among packed parameters."""

    layer: int
    place: slice
    shape: tuple[int, int]


class Norm:
    """Batch normalisation of one layer, like torch.nn.BatchNorm1d: by batch statistics in training, else by running ones."""

    def __init__(self, params: Array, grad: Array) -> None:
        (self.scale, self.shift), (self.d_scale, self.d_shift) = params.reshape(2, -1), grad.reshape(2, -1)

    def training(self, S: Array, running: Array) -> tuple[Array, tuple[Array, Array]]:
        """Normalise a batch and update the running mean and variance; return the arrays for `backward` too."""
        mean, variance = S.mean(axis=0), S.var(axis=0)
        if len(S) > 1:  # one sample has no variance
            running *= 1 - NORM_MOMENTUM
            running[0] += NORM_MOMENTUM * mean
            running[1] += NORM_MOMENTUM * len(S) / (len(S) - 1) * variance
        inverse = 1 / np.sqrt(variance + NORM_EPS)
        normal = (S - mean) * inverse
        return self.scale * normal + self.shift, (normal, inverse)

    def predicting(self, S: Array, running: Array) -> Array:
        """Normalise by the running statistics."""
        return self.scale / np.sqrt(running[1] + NORM_EPS) * (S - running[0]) + self.shift

    def backward(self, delta: Array, kept: tuple[Array, Array]) -> Array:
        """Fill the gradients of scale and shift; return the gradient with respect to the input of the normalisation."""
        normal, inverse = kept
        self.d_scale[:], self.d_shift[:] = (delta * normal).sum(axis=0), delta.sum(axis=0)
        n = len(delta)
        return (self.scale * inverse) * (delta - self.d_shift / n - normal * (self.d_scale / n))


class Layers:
    """Views of the packed parameters and gradient of a block: front bias, weights and bias of each layer, then the norms."""

    def __init__(self, shape: Shape, params: Array, grad: Array) -> None:
        h = shape.n_hidden
        self.bias, self.d_bias = params[:h], grad[:h]
        self.packed: dict[str, tuple[Array, Array, NDArray[np.intp]]] = {}
        self.places: dict[str, slice] = {}
        self.weights: dict[str, Array] = {}
        # for optimisers: the layer, counted from the front layer as 0, the slice of the vector, and the shape
        self.matrices: list[Place] = []
        self.vectors = [Place(0, slice(0, h), (h, 1))]
        start = h
        for layer, (name, (n_out, n_in)) in enumerate(shape.layers.items(), 1):
            split, end = start + n_out * n_in, start + n_out * (n_in + 1)
            self.places[name] = slice(start, end)
            self.packed[name] = params[start:end], grad[start:end], np.array([n_in, n_out], dtype=np.intp)
            self.weights[name] = params[start:split].reshape(n_out, n_in)
            self.matrices.append(Place(layer, slice(start, split), (n_out, n_in)))
            self.vectors.append(Place(layer, slice(split, end), (n_out, 1)))
            start = end
        self.chains = {} if shape.batch_norm else {ends: self._chain(*ends, params, grad) for ends in shape.chains}
        self.norms: dict[str, Norm] = {}
        if shape.batch_norm:
            normed = [("x", h), *((name, n) for name, (n, _) in shape.layers.items() if name != "out")]
            for layer, (name, n) in enumerate(normed):
                self.norms[name] = Norm(params[start : start + 2 * n], grad[start : start + 2 * n])
                for first in (start, start + n):
                    self.vectors.append(Place(layer, slice(first, first + n), (n, 1)))
                start += 2 * n

    def _chain(self, first: str, last: str, params: Array, grad: Array) -> tuple[Array, Array, NDArray[np.intp]]:
        """Return the parameters, the gradient and the widths of a chain of layers."""
        names = list(self.packed)
        members = names[names.index(first) : names.index(last) + 1]
        widths = np.array([self.packed[first][2][0], *(self.packed[name][2][1] for name in members)], dtype=np.intp)
        start, end = self.places[first].start, self.places[last].stop
        return params[start:end], grad[start:end], widths


class Block:
    """Parameters of a block above the front layer, their gradient, and the passes through the block.

    Parameters
    ----------
    shape : Shape
        Sizes of the block.
    params : ndarray of shape (shape.n_params,)
        Parameters; the array is not copied, and training changes it.
    n_threads : int
        Number of threads of the kernels.
    """

    def __init__(self, shape: Shape, params: Array, n_threads: int) -> None:
        self.shape, self.params, self.n_threads = shape, params, n_threads
        self.grad = np.zeros_like(params)
        self.layers = Layers(shape, params, self.grad)
        self.running = {name: np.zeros((2, len(norm.shift)), params.dtype) for name, norm in self.layers.norms.items()}
        for seen in self.running.values():
            seen[1] = 1  # the variance before the first batch

    def __getstate__(self) -> dict[str, Any]:
        """Leave the gradient and all views out of copies and pickles, where views would become separate arrays."""
        return {name: value for name, value in self.__dict__.items() if name not in ("grad", "layers")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.grad = np.zeros_like(self.params)
        self.layers = Layers(self.shape, self.params, self.grad)

    def with_front_bias(self, bias: Array) -> Array:
        """Copy the parameters, with another bias of the front layer."""
        params = self.params.copy()
        Layers(self.shape, params, params).bias[:] = bias
        return params

    def inputs(self, S: Array) -> Array:
        """Return the values of the input branch (B, h) in prediction, from pre-activations of the front layer without bias."""
        x = np.ascontiguousarray(S + self.layers.bias, dtype=self.params.dtype)
        return _Pass(self, None).activated("x", x)

    def scores(self, x: Array, z: Array, t: Array | None) -> Array:
        """Return the scores (B, m) in prediction, from values of the input branch, noisy labels (B, d) and embedded times."""
        return _Pass(self, None).scores(x, z, t)

    def training(self, S: Array, z: Array, t: Array | None) -> "_Pass":
        """Run the forward pass of a batch; the returned pass has the scores and runs the backward pass."""
        kept = _Pass(self, {})
        S += kept.layers.bias
        kept.result = kept.scores(kept.activated("x", np.ascontiguousarray(S)), z, t)
        return kept


class _Pass:
    """A pass through a block. In training it keeps the arrays for the backward pass, by the names of the layers."""

    result: Array

    def __init__(self, block: Block, kept: dict[tuple[str, str], Any] | None) -> None:
        self.block, self.kept, self.layers = block, kept, block.layers
        self.activation, self.n_threads = block.shape.activation, block.n_threads

    # ------------------------------------------------------------------------------------------------------------------
    # forward

    def scores(self, x: Array, z: Array, t: Array | None) -> Array:
        h = self.activated("z1", self.linear("z1", z))
        branches = [x, h + self.chain(("z2", "z3"), h)] if t is None else [x, h, self.activated("t", self.linear("t", t))]
        return self.chain(("f1", "out"), np.concatenate(branches, axis=1))

    def chain(self, ends: tuple[str, str], X: Array) -> Array:
        """Apply a chain of layers, all but the last with their activation."""
        if ends not in self.layers.chains:  # a norm follows each layer
            return self.normed_chain(ends, X)
        params, _, widths = self.layers.chains[ends]
        values = np.empty(len(X) * int(widths[1:].sum()), X.dtype)
        backend.forward.forward(params, widths, True, self.activation, X, values, self.n_threads)
        if self.kept is not None:
            self.kept[ends] = X, values
        return values[-len(X) * widths[-1] :].reshape(len(X), widths[-1])

    def normed_chain(self, ends: tuple[str, str], X: Array) -> Array:
        if ends == ("z2", "z3"):
            return self.normalised("z3", self.linear("z3", self.activated("z2", self.linear("z2", X))))
        first = self.activated("f1", self.linear("f1", X))
        return self.linear("out", self.activated("f2", self.linear("f2", first)))

    def linear(self, name: str, X: Array) -> Array:
        params, _, widths = self.layers.packed[name]
        out = np.empty((len(X), widths[1]), X.dtype)
        backend.forward.forward(params, widths, True, 0, X, out.ravel(), self.n_threads)
        if self.kept is not None:
            self.kept[name, "inputs"] = X
        return out

    def normalised(self, name: str, S: Array) -> Array:
        norm = self.layers.norms.get(name)
        if norm is None:
            return S
        if self.kept is None:
            return norm.predicting(S, self.block.running[name])
        S, self.kept[name, "norm"] = norm.training(S, self.block.running[name])
        return S

    def activated(self, name: str, S: Array) -> Array:
        S = self.normalised(name, S)
        backend.forward.activate(S, self.activation)
        if self.kept is not None:
            self.kept[name, "values"] = S
        return S

    # ------------------------------------------------------------------------------------------------------------------
    # backward

    def backward(self, delta: Array, needs_z: bool = False) -> tuple[Array, Array | None]:
        """Fill the gradient of the block; return the gradients of the front layer's pre-activations and, if needed, of z."""
        h = self.block.shape.n_hidden
        branches = self.below_chain(("f1", "out"), delta)
        dx, dz = (np.ascontiguousarray(part) for part in (branches[:, :h], branches[:, h : 2 * h]))
        if self.block.shape.has_time:
            self.below("t", self.through("t", np.ascontiguousarray(branches[:, 2 * h :])), False)
        else:
            dz += self.below_chain(("z2", "z3"), dz)
        to_z = self.below("z1", self.through("z1", dz), needs_z)
        D = self.through("x", dx)
        self.layers.d_bias[:] = D.sum(axis=0)
        return D, to_z if needs_z else None

    def below_chain(self, ends: tuple[str, str], delta: Array) -> Array:
        """Fill the gradients of a chain of layers; return the gradient with respect to its inputs."""
        if ends not in self.layers.chains:
            return self.below_normed_chain(ends, delta)
        assert self.kept is not None
        params, grad, widths = self.layers.chains[ends]
        X, values = self.kept[ends]
        deltas, out = np.empty_like(values), np.empty_like(X)
        deltas[-delta.size :] = delta.ravel()
        backend.backprop.backward(params, widths, True, self.activation, X, values, deltas, grad, out, self.n_threads)
        return out

    def below_normed_chain(self, ends: tuple[str, str], delta: Array) -> Array:
        if ends == ("z2", "z3"):
            return self.below("z2", self.through("z2", self.below("z3", self.before_norm("z3", delta))))
        first = self.through("f2", self.below("out", delta))
        return self.below("f1", self.through("f1", self.below("f2", first)))

    def below(self, name: str, delta: Array, needed: bool = True) -> Array:
        """Fill the gradient of a layer; return the gradient with respect to its inputs."""
        assert self.kept is not None
        params, grad, widths = self.layers.packed[name]
        X = self.kept[name, "inputs"]
        out = np.empty_like(X) if needed else None
        # a single layer does not read the values and computes no deltas
        backend.backprop.backward(params, widths, True, 0, X, delta.ravel(), delta.ravel(), grad, out, self.n_threads)
        return delta if out is None else out

    def through(self, name: str, delta: Array) -> Array:
        """Backpropagate through an activation and the norm before it."""
        assert self.kept is not None
        backend.backprop.through_activation(delta, self.kept[name, "values"], self.activation)
        return self.before_norm(name, delta)

    def before_norm(self, name: str, delta: Array) -> Array:
        assert self.kept is not None
        norm = self.layers.norms.get(name)
        return delta if norm is None else np.ascontiguousarray(norm.backward(delta, self.kept[name, "norm"]))
