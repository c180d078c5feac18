"""A dense network with packed parameters, one workspace, and compiled forward and backward passes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcfast import backend, validation
from fcfast.activations import ACTIVATIONS
from fcfast.layers.views import layer_views
from fcfast.losses import Targets, make_loss
from fcfast.optimizers import SGD
from fcfast.threads import kernel_threads, resolve_n_jobs

Array = NDArray[Any]

COMPILED_LOSSES = ("half_squared_error", "cross_entropy")


class DenseNetwork:
    """A chain of dense layers; the hidden layers have an activation, and the last layer is linear.

    Parameters
    ----------
    weights : sequence of array-like of shape (n_out, n_in)
        Initial weights, beginning with the first layer.
    biases : sequence of array-like of shape (n_out,), or None
        Initial biases; None makes a network without biases.
    activation : {"identity", "relu", "leaky_relu", "tanh", "logistic"}
        Activation of the hidden layers. ReLU has derivative 0 at 0; the slope of "leaky_relu" is 0.01 below 0.
    loss : {"half_squared_error", "cross_entropy"}
        Mean over the batch of half the squared distance to the target, or of the cross-entropy of softmax outputs.
    dtype : {"float64", "float32"}
        Precision of the parameters and the computation.
    n_jobs : int or None
        Number of threads for the elementwise passes; matrix products use the threads of BLAS.

    Attributes
    ----------
    params, grad : ndarray of shape (n_params,)
        All parameters and their gradient, packed.
    weights, biases, weight_grads, bias_grads : list of ndarray
        Views of these arrays. The lists of biases are empty for a network without biases.

    Raises
    ------
    ValueError, TypeError
        If shapes do not form a chain, values are NaN or infinite, or a name is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.network import DenseNetwork
    >>> network = DenseNetwork([np.eye(2), np.ones((1, 2))])
    >>> network.loss_and_gradient([[1.0, 2.0]], [[1.0]])
    2.0
    >>> network.weight_grads[1]
    array([[2., 4.]])
    """

    def __init__(
        self,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike] | None = None,
        activation: str = "relu",
        loss: str = "half_squared_error",
        dtype: str = "float64",
        n_jobs: int | None = None,
    ) -> None:
        self.activation = validation.choice(activation, "activation", ACTIVATIONS)
        self.loss = validation.choice(loss, "loss", COMPILED_LOSSES)
        self.dtype = np.dtype(validation.choice(dtype, "dtype", ("float64", "float32")))
        self.n_threads = resolve_n_jobs(n_jobs)
        matrices = validation.chain(weights)
        self.widths = np.array([matrices[0].shape[1], *map(len, matrices)], dtype=np.intp)
        offsets = None if biases is None else validation.layer_biases(biases, self.widths[1:])
        self.bias = offsets is not None
        parts = [part for l, matrix in enumerate(matrices) for part in (matrix, *([offsets[l]] if offsets else []))]
        self.params: Array = np.concatenate([part.ravel() for part in parts]).astype(self.dtype)
        self.grad = np.zeros_like(self.params)
        self.weights, self.biases = layer_views(self.params, self.widths, self.bias)
        self.weight_grads, self.bias_grads = layer_views(self.grad, self.widths, self.bias)
        self._values = self._deltas = np.empty(0, dtype=self.dtype)
        self._velocity: Array | None = None

    def _forward(self, X: ArrayLike) -> tuple[Array, Array]:
        inputs = np.ascontiguousarray(validation.real_array(X, "X"), dtype=self.dtype)
        if inputs.ndim != 2 or inputs.shape[1] != self.widths[0]:
            raise ValueError(f"X has shape {inputs.shape}, but the network takes {self.widths[0]} features; use (N, d)")
        if len(inputs) == 0:
            raise ValueError(f"X is empty, shape {inputs.shape}; at least one sample is needed")
        size = len(inputs) * int(self.widths[1:].sum())
        if len(self._values) != size:
            self._values, self._deltas = np.empty(size, dtype=self.dtype), np.empty(size, dtype=self.dtype)
        backend.forward.forward(
            self.params,
            self.widths,
            self.bias,
            ACTIVATIONS[self.activation],
            inputs,
            self._values,
            self._threads(len(inputs)),
        )
        return inputs, self._last_block(self._values, len(inputs))

    def _threads(self, n_rows: int) -> int:
        return kernel_threads(self.n_threads, 2.0 * n_rows * int((self.widths[1:] * self.widths[:-1]).max()))

    def _last_block(self, workspace: Array, n_rows: int) -> Array:
        return workspace[-n_rows * self.widths[-1] :].reshape(n_rows, self.widths[-1])

    def outputs(self, X: ArrayLike) -> Array:
        """Compute the outputs (N, c) for inputs X (N, d); with cross-entropy these are the values before the softmax."""
        return self._forward(X)[1].copy()

    def loss_and_gradient(self, X: ArrayLike, y: ArrayLike, input_gradient: Array | None = None) -> float:
        """Compute the mean loss over a batch and fill `grad`.

        Parameters
        ----------
        X : array-like of shape (N, d)
            Inputs of the batch.
        y : array-like of shape (N, c), or of shape (N,) and integers 0..c-1 for cross-entropy
            Targets of the batch.
        input_gradient : ndarray of shape (N, d) or None
            Array that dLoss/dX is written to.

        Returns
        -------
        float
            Mean loss.
        """
        inputs, outputs = self._forward(X)
        if input_gradient is not None:
            validation.writable_like(input_gradient, "input_gradient", inputs.shape, self.dtype)
        delta = self._last_block(self._deltas, len(inputs))
        kind = make_loss(self.loss)
        if kind.has_classes:
            targets: Array = validation.labels(y, len(inputs), len(outputs.T))
        else:
            targets = np.ascontiguousarray(validation.real_array(y, "y"), dtype=self.dtype)
            if targets.shape != outputs.shape:
                raise ValueError(f"y has shape {targets.shape}, but the network gives {outputs.shape}")
        loss = Targets(kind, targets, None).mean_loss(outputs, np.arange(len(inputs)), delta)
        backend.backprop.backward(
            self.params, self.widths, self.bias, ACTIVATIONS[self.activation], inputs, self._values, self._deltas,
            self.grad, input_gradient, self._threads(len(inputs)),
        )  # fmt: skip
        return loss

    def step(
        self,
        learning_rate: float,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        """Apply `grad` in one step of SGD with the settings of `fcfast.optimizers.SGD`."""
        validation.positive(learning_rate, "learning_rate")
        SGD(momentum, dampening, nesterov, weight_decay)  # this raises an error for invalid settings
        first = self._velocity is None
        if momentum and self._velocity is None:
            self._velocity = np.zeros_like(self.params)
        backend.backprop.sgd_step(
            self.params, self.grad, self._velocity, learning_rate, momentum, dampening, nesterov, weight_decay, first
        )
