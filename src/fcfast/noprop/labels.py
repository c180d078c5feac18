"""Labels as points: embeddings of the classes, predictions in their space, and the parameters that are learned there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial.distance import pdist
from sklearn.metrics import pairwise_distances_chunked

from fcfast.losses import CrossEntropy, Targets, softmax
from fcfast.noprop.blocks import Place

Array = NDArray[Any]
Labels = NDArray[np.intp]

EMBEDDINGS = ("one-hot", "learned", "prototype")
OF_CLASSES = CrossEntropy()


def orthogonal(n_classes: int, dimension: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw embeddings (m, d) of length 1, orthogonal if the dimension allows it."""
    drawn = generator.normal(size=(n_classes, dimension))
    if n_classes <= dimension:
        return np.linalg.qr(drawn.T)[0].T
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def _median_to_others(distances: Array, start: int) -> Array:
    """Return the median of each row without its smallest distance, the one to the sample itself, unless it is the only one."""
    first = min(1, distances.shape[1] - 1)
    return np.asarray(np.median(np.sort(distances, axis=1)[:, first:], axis=1))


def prototypes(X: Any, labels: Labels, n_classes: int) -> NDArray[np.float64]:
    """Choose a sample for each class (m, d): the one with the smallest median distance to the others of its class."""
    chosen = []
    for k in range(n_classes):
        members = X[np.flatnonzero(labels == k)]  # a copy
        if sparse.issparse(members):
            members.sum_duplicates()  # distances take each entry for a feature of its own
        with np.errstate(over="ignore", invalid="ignore"):  # if distances overflow, the first sample is used
            medians = np.concatenate(list(pairwise_distances_chunked(members, reduce_func=_median_to_others)))
        # the median of two samples is often the distance between them, and rounding must not choose between them
        best = int(np.argmax(medians <= (1 + 1e-6) * medians.min()))
        row = members[[best]]
        chosen.append(np.asarray(row.toarray() if hasattr(row, "toarray") else row, dtype=np.float64).ravel())
    return np.stack(chosen)


@dataclass(frozen=True)
class Prediction:
    """The prediction of a block, a point in the space of the embeddings.

    Attributes
    ----------
    point : ndarray of shape (B, d)
        The mean embedding under softmax(scores), or for a flow the sum of the embeddings with the scores as factors.
    factors : ndarray of shape (B, m)
        Factors of the embeddings.
    """

    point: Array
    factors: Array


@dataclass(frozen=True)
class Surroundings:
    """The embeddings around their mean, and how probabilities fall with the distance.

    Attributes
    ----------
    centre : ndarray of shape (d,)
        Mean of the embeddings.
    points : ndarray of shape (m, d)
        Embeddings less their mean.
    lengths : ndarray of shape (m,)
        Squared lengths of the points.
    factor : float
        Factor of squared distances in the logarithm of a probability.
    """

    centre: Array
    points: Array
    lengths: Array
    factor: float


class LabelSpace:
    """Embeddings of the classes, with a linear classifier of points if embeddings or the schedule are learned.

    Parameters
    ----------
    embedding : ndarray of shape (m, d)
        Initial embeddings.
    learned : bool
        Whether the embeddings are trained.
    has_head : bool
        Whether there is a classifier, which keeps learned embeddings or a learned schedule from collapsing.
    is_flow : bool
        Whether scores are the factors themselves, without a softmax.
    dtype : dtype
    generator : numpy.random.Generator
        Generator of the initial weights of the classifier.
    """

    def __init__(
        self,
        embedding: NDArray[np.float64],
        learned: bool,
        has_head: bool,
        is_flow: bool,
        dtype: np.dtype[Any],
        generator: np.random.Generator,
    ) -> None:
        m, d = self.shape = embedding.shape
        self.learned, self.has_head, self.is_flow = learned, has_head, is_flow
        self.is_one_hot = not learned and bool(np.array_equal(embedding, np.eye(m, d)))
        bound = (6 / (m + d)) ** 0.5
        head = [generator.uniform(-bound, bound, m * d), np.zeros(m)] if has_head else []
        self.params: Array = np.concatenate([embedding.ravel(), *head]).astype(dtype)
        self.grad = np.zeros_like(self.params)

    @property
    def embedding(self) -> Array:
        """Return a view (m, d) of the embeddings."""
        m, d = self.shape
        return self.params[: m * d].reshape(m, d)

    @property
    def head(self) -> tuple[Array, Array]:
        """Return views of the weights (m, d) and biases (m,) of the classifier."""
        m, d = self.shape
        return self.params[m * d : 2 * m * d].reshape(m, d), self.params[2 * m * d :]

    @property
    def trained(self) -> tuple[list[Place], list[Place]]:
        """Return the places in `params` of the trained matrices and of the trained vectors, which are one layer."""
        m, d = self.shape
        matrices = [Place(0, slice(0, m * d), (m, d))] if self.learned else []
        if not self.has_head:
            return matrices, []
        vectors = [Place(0, slice(2 * m * d, len(self.params)), (m, 1))]
        return [*matrices, Place(0, slice(m * d, 2 * m * d), (m, d))], vectors

    def predicted(self, scores: Array) -> Prediction:
        """Compute the point from scores."""
        factors = scores if self.is_flow else softmax(scores)
        return Prediction(factors if self.is_one_hot else factors @ self.embedding, factors)

    def to_scores(self, delta: Array, made: Prediction) -> Array:
        """Backpropagate the gradient with respect to a point to the scores."""
        by_factor = delta if self.is_one_hot else delta @ self.embedding.T
        if self.is_flow:
            return np.ascontiguousarray(by_factor)
        p = made.factors
        return np.ascontiguousarray(p * (by_factor - (p * by_factor).sum(axis=1, keepdims=True)))

    def classify(self, z: Array) -> Array:
        """Return the classifier's scores of points."""
        weights, bias = self.head
        return z @ weights.T + bias

    def head_loss(self, z: Array, labels: Labels, shares: Array) -> tuple[float, Array]:
        """Add the gradient of the classifier's cross-entropy; return the loss and the gradient with respect to the points."""
        m, d = self.shape
        scores = np.ascontiguousarray(self.classify(z))
        delta = np.empty_like(scores)
        loss = Targets(OF_CLASSES, labels, shares).mean_loss(scores, np.arange(len(scores)), delta)
        self.grad[m * d : 2 * m * d] += (delta.T @ z).ravel()
        self.grad[2 * m * d :] += delta.sum(axis=0)
        return loss, delta @ self.head[0]

    def add_gradient(self, by_class: Array) -> None:
        """Add to the gradient of the embeddings (m, d)."""
        m, d = self.shape
        self.grad[: m * d] += by_class.ravel()

    def gathered(self, rows: Array, labels: Labels) -> Array:
        """Sum rows (B, d) by class (m, d)."""
        total = np.zeros(self.shape, rows.dtype)
        np.add.at(total, labels, rows)
        return total

    def classified(self, z: Array) -> Array:
        """Return the classifier's probabilities of points."""
        return softmax(self.classify(z))

    def moved(self, z: Array, point: Array, a: float, b: float, c: float, noise: Array | None) -> Array:
        """Take a step of the chain (eq. 3 of the paper) in place, and return z."""
        real = z.dtype.type
        z *= real(b)
        z += real(a) * point
        if noise is not None:
            z += real(c**0.5) * noise
        return z

    @property
    def surroundings(self) -> Surroundings:
        """Return what tells how close points are to the embeddings."""
        centre = self.embedding.mean(axis=0)
        points = self.embedding - centre
        nearest = float(pdist(points, "sqeuclidean").min(initial=np.inf))
        factor = -4 / max(nearest, float(np.finfo(points.dtype).eps))
        return Surroundings(centre, points, np.square(points).sum(axis=1), factor)

    def closeness(self, z: Array) -> Array:
        """Return probabilities (M, m) that points belong to each embedding, for normal distributions of equal variance.

        The variance is an eighth of the smallest squared distance between two embeddings.
        """
        around = self.surroundings
        # without the squared distance of z to the centre, which is the same for all classes
        squared = around.lengths - 2 * (z - around.centre) @ around.points.T
        return softmax(squared * around.factor)
