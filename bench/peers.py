"""The peers: PyTorch and scikit-learn training the same network from the same start, each at its best settings.

Fused SGD is up to 1.5 times as fast as PyTorch's default on these networks, and freeing gradients after each step is faster
than keeping them. Batches are views or are made beforehand, so that nothing is copied in the timed part.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

try:
    import torch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError('the peer is PyTorch: pip install torch ".[bench]"', name="torch") from error


class Start(NamedTuple):
    """Initial weights (n_out, n_in) and biases of a network with one hidden layer."""

    W1: np.ndarray
    W2: np.ndarray
    b1: np.ndarray
    b2: np.ndarray


class EmbeddingFirst(torch.nn.Module):
    """A first layer for sparse rows that reads and changes the weights of their features only."""

    sparse = True  # gradients

    def __init__(self, n_features, n_hidden):
        super().__init__()
        self.bag = torch.nn.EmbeddingBag(n_features, n_hidden, mode="sum", sparse=self.sparse)
        self.bias = torch.nn.Parameter(torch.zeros(n_hidden))

    @property
    def weight(self):
        return self.bag.weight.T

    def forward(self, batch):
        indices, offsets, values = batch
        return self.bag(indices, offsets, per_sample_weights=values) + self.bias

    @staticmethod
    def batch(X):
        return (
            torch.from_numpy(X.indices.astype(np.int64)),
            torch.from_numpy(X.indptr[:-1].astype(np.int64)),
            torch.from_numpy(X.data),
        )


class DenseEmbeddingFirst(EmbeddingFirst):
    """The same with dense gradients, which momentum needs: reads the weights of a batch's features, and changes all."""

    sparse = False


class SparseFirst(torch.nn.Module):
    """A first layer that multiplies sparse tensors with dense weights."""

    def __init__(self, n_features, n_hidden):
        super().__init__()
        self.transposed = torch.nn.Parameter(torch.nn.Linear(n_features, n_hidden).weight.detach().T.contiguous())
        self.bias = torch.nn.Parameter(torch.zeros(n_hidden))

    @property
    def weight(self):
        return self.transposed.T

    def forward(self, batch):
        return torch.sparse.mm(batch, self.transposed) + self.bias

    @staticmethod
    def batch(X):
        parts = (torch.from_numpy(part.astype(np.int64)) for part in (X.indptr, X.indices))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")  # what is beta in PyTorch
            return torch.sparse_csr_tensor(*parts, torch.from_numpy(X.data), size=X.shape)


class DenseFirst(torch.nn.Linear):
    """The ordinary first layer; sparse rows are made dense batch by batch, since all of them would not fit."""

    def forward(self, batch):
        dense = torch.from_numpy(batch.toarray()) if sparse.issparse(batch) else batch
        return super().forward(dense)

    @staticmethod
    def batch(X):
        return X if sparse.issparse(X) else torch.from_numpy(X)


class TorchNetwork:
    """One hidden layer of ReLUs, cross-entropy, SGD."""

    def __init__(self, X, y, n_hidden, n_classes, batch_size, rate, momentum, start=None, first=DenseFirst, compiled=False):
        layers = first(X.shape[1], n_hidden), torch.nn.ReLU(), torch.nn.Linear(n_hidden, n_classes)
        if start is not None:
            with torch.no_grad():
                for layer, weight, bias in ((layers[0], start.W1, start.b1), (layers[2], start.W2, start.b2)):
                    layer.weight.copy_(torch.from_numpy(weight))
                    layer.bias.copy_(torch.from_numpy(bias))
        self.network = torch.nn.Sequential(*layers)
        fused = None if getattr(first, "sparse", False) else True  # sparse gradients have no fused step
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=rate, momentum=momentum, fused=fused)
        cuts = range(0, X.shape[0], batch_size)
        self.batches = [(first.batch(X[i : i + batch_size]), torch.from_numpy(y[i : i + batch_size])) for i in cuts]
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, inputs, labels):
        return torch.nn.functional.cross_entropy(self.network(inputs), labels)

    def train(self, n_steps, n_threads=2):
        """Train on the first batches of an epoch; give the losses."""
        torch.set_num_threads(n_threads)
        losses = []
        for inputs, labels in self.batches[:n_steps]:
            loss = self.loss(inputs, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).numpy()


class SklearnNetwork:
    """scikit-learn's MLPClassifier, an epoch at a time."""

    def __init__(self, X, y, n_hidden, n_classes, batch_size, rate, momentum, start=None):
        settings = {"learning_rate_init": rate, "momentum": momentum, "nesterovs_momentum": False, "alpha": 0, "shuffle": False}
        self.data = X, y
        # An epoch makes it, then it is put back to the start.
        self.mlp = MLPClassifier((n_hidden,), solver="sgd", batch_size=min(batch_size, X.shape[0]), **settings, random_state=0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Got `batch_size`")  # of the one sample that it is made with
            self.mlp.partial_fit(X[:1], y[:1], classes=np.arange(n_classes))
        if start is not None:
            above = start.W2, start.b2
            if self.mlp.n_outputs_ == 1:  # of two classes, by the logistic function of their difference
                above = tuple(values[1:] - values[:1] for values in above)
            coefs, intercepts = (start.W1, above[0]), (start.b1, above[1])
            for into, values in zip(
                (*self.mlp.coefs_, *self.mlp.intercepts_), (*(w.T for w in coefs), *intercepts), strict=True
            ):
                into[:] = values
        for velocity in self.mlp._optimizer.velocities:
            velocity[:] = 0

    def train_epoch(self):
        """Train one epoch; give the mean loss over its samples."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # an epoch at a time converges nowhere
            self.mlp.partial_fit(*self.data)
        return self.mlp.loss_


# ----------------------------------------------------------------------------------------------------------------------
# the row space: what an expert would do with wide data


class RowSpace(NamedTuple):
    """Coordinates (N, N) of the samples, the initial weights (h, N) in them, and the way back to weights (h, d)."""

    coordinates: np.ndarray
    W1: np.ndarray
    expand: Callable[[np.ndarray], np.ndarray]


def by_qr(X, W1):
    """X = L Q' with orthonormal Q (d, N); what is added to weights in coordinates is added to W1 along Q."""
    initial = torch.from_numpy(W1)
    Q, R = torch.linalg.qr(torch.from_numpy(X).T)
    projected = initial @ Q

    def expand(trained):
        return torch.addmm(initial, torch.from_numpy(trained) - projected, Q.T).numpy()

    return RowSpace(R.T.contiguous().numpy(), projected.numpy(), expand)


def by_cholesky(X, W1):
    """X X' = L L', without ever making Q = X' L'^-1: loses half of the digits, and takes half the time."""
    samples, initial = torch.from_numpy(X), torch.from_numpy(W1)
    L = torch.linalg.cholesky(samples @ samples.T)
    projected = torch.linalg.solve_triangular(L, samples @ initial.T, upper=False).T

    def expand(trained):
        added = torch.linalg.solve_triangular(L.T, (torch.from_numpy(trained) - projected).T, upper=True)
        return torch.addmm(initial, added.T, samples).numpy()

    return RowSpace(L.numpy(), projected.contiguous().numpy(), expand)


REDUCTIONS = {"QR": by_qr, "Cholesky": by_cholesky}


def drawn(n_features, n_hidden, n_classes):
    """Initial weights and biases as PyTorch's layers draw them."""
    layers = torch.nn.Linear(n_features, n_hidden), torch.nn.Linear(n_hidden, n_classes)
    parts = *(layer.weight for layer in layers), *(layer.bias for layer in layers)
    return Start(*(part.detach().numpy() for part in parts))
