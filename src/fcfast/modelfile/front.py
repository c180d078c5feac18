"""Model files of networks with a front layer in any form. Tensors, where layer 0 is the front layer:

=========================  ===============  =============================================================================
layers.0.weights           (h, d)           unless the front layer is stored as contributions
front.contributions        (N, h)           only then
front.initial              (d, h), float64  W1(0)', only then, if it was given: random ones are made again from a seed, and
                                            a start in the span of the samples is part of the contributions
front.row_digests          (N, 16), uint8   only then: which rows the training inputs are
layers.1.weights ...       (n_out, n_in)
layers.0.biases ...        (n_out,)
inputs.mean ...                             how samples and targets are scaled (`fcfast.modelfile.scaling`)
=========================  ===============  =============================================================================
"""

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcfast import validation
from fcfast.activations import ACTIVATIONS
from fcfast.front.base import FrontForm
from fcfast.front.contributions import ContributionsForm
from fcfast.front.weights import WeightsForm
from fcfast.gram.start import GivenWeights, RandomWeights
from fcfast.losses import Loss
from fcfast.modelfile.checks import numbers, require
from fcfast.modelfile.headers import Expected, Header, Tensors
from fcfast.modelfile.scaling import INPUTS, SCALED, expected_tensors
from fcfast.sources.protocol import Source
from fcfast.sources.standardized import Standardized
from fcfast.training.network import FrontNetwork

DIGEST_BYTES = 16
BLOCK_BYTES = 64 << 20  # size in double precision of the inputs that are digested at a time

Array = NDArray[Any]


@dataclass(frozen=True)
class FrontHeader(Header):
    """The header of a file of a network with a front layer, which holds everything except its tensors.

    `form` is the stored form of the front layer. `n_samples`, `scale` (the factor c of W1(0)), `initial_seed` and
    `initial_scale` (both None if W1(0) is a tensor) belong to contributions and are None in other forms. `y_ndim` belongs to a
    regressor. `scaled` lists the data that the network was trained on in scaled form, "inputs" and "targets", and "missing" if
    missing values were filled in, in this order. `in_span` says that the front layer is in the
    span of the samples: W1(0) is part of the contributions.
    """

    later: ClassVar[dict[str, str]] = {"scaled": "2", "in_span": "3"}
    may_be_scaled: ClassVar[tuple[list[str], ...]]

    activation: str
    widths: list[int]
    n_samples: int | None
    scale: float | None
    initial_seed: int | None
    initial_scale: float | None
    y_ndim: int | None
    scaled: list[str] = field(default_factory=list)
    in_span: bool = field(default_factory=bool)

    @property
    def n_features(self) -> int:
        """Number of input features."""
        return self.widths[0]

    @property
    def n_outputs(self) -> int:
        """Number of outputs, which for a classifier is the number of classes."""
        return self.widths[-1]

    def check(self) -> None:
        """Raise a ValueError or a TypeError if an entry is invalid."""
        super().check()
        validation.choice(self.activation, "activation", ACTIVATIONS)
        require(isinstance(self.widths, list) and len(self.widths) >= 3, "widths is not a list of at least 3")
        for width in self.widths:
            validation.integer(width, "widths", 1)
        self.check_feature_names()
        self._check_contributions()
        self._check_targets()
        known = self.may_be_scaled
        require(self.scaled in known, f"scaled is {self.scaled!r}; it must be one of {known}")

    def _check_contributions(self) -> None:
        if self.form != ContributionsForm.name:
            extra = {self.n_samples, self.scale, self.initial_seed, self.initial_scale}
            require(extra == {None} and not self.in_span, f"it has parts of contributions, in form {self.form!r}")
            return
        validation.boolean(self.in_span, "in_span")
        validation.integer(self.n_samples, "n_samples", 1)
        numbers([self.scale], "scale")
        require(bool(np.isfinite(float(self.scale or 0))), f"scale is {self.scale}")
        if self.in_span:
            require(self.initial_seed is None, "it starts in the span of the samples, but has a seed of random weights")
        if self.initial_seed is not None:
            seed = validation.integer(self.initial_seed, "initial_seed", 0)
            require(seed < 2**128, f"initial_seed is {seed}; it must be below 2**128")
            validation.positive(self.initial_scale, "initial_scale")
        else:
            require(self.initial_scale is None, "it has a scale of random weights, but a tensor of initial weights")

    def _check_targets(self) -> None:
        raise NotImplementedError

    def tensors(self) -> Expected:
        """Give dtype and shape of every tensor that the file must hold."""
        n_features, n_hidden = self.widths[:2]
        expected: Expected = {}
        if self.form != ContributionsForm.name:
            expected["layers.0.weights"] = self.dtype, (n_hidden, n_features)
        elif self.n_samples is not None:
            expected["front.contributions"] = self.dtype, (self.n_samples, n_hidden)
            expected["front.row_digests"] = "uint8", (self.n_samples, DIGEST_BYTES)
            if self.initial_seed is None and not self.in_span:
                expected["front.initial"] = "float64", (n_features, n_hidden)
        for l, (n_in, n_out) in enumerate(pairwise(self.widths)):
            if l > 0:
                expected[f"layers.{l}.weights"] = self.dtype, (n_out, n_in)
            expected[f"layers.{l}.biases"] = self.dtype, (n_out,)
        return expected | expected_tensors(self.scaled, n_features, self.n_outputs)


@dataclass(frozen=True)
class ClassifierHeader(FrontHeader):
    """The header of a file of a classifier, whose outputs belong to classes."""

    may_be_scaled: ClassVar[tuple[list[str], ...]] = tuple(INPUTS)

    def _check_targets(self) -> None:
        require(self.y_ndim is None, "a classifier has no y_ndim")
        self.classes()


@dataclass(frozen=True)
class RegressorHeader(FrontHeader):
    """The header of a file of a regressor, whose outputs are numbers."""

    may_be_scaled: ClassVar[tuple[list[str], ...]] = (
        *INPUTS,
        *([what for what in SCALED if what in parts or what == "targets"] for parts in INPUTS),
    )

    def _check_targets(self) -> None:
        require(self.label_dtype is None and self.labels is None, "a regressor has no labels")
        require(type(self.y_ndim) is int and self.y_ndim in (1, 2), f"y_ndim is {self.y_ndim!r}; it must be 1 or 2")
        require(self.y_ndim == 2 or self.widths[-1] == 1, f"y_ndim is 1, but there are {self.widths[-1]} outputs")


def network_entries(network: FrontNetwork, as_contributions: bool) -> dict[str, Any]:
    """Collect the entries of `FrontHeader` that a network determines, with its front layer as contributions or as weights."""
    front: Any = network.front
    return {
        "dtype": network.params.dtype.name,
        "activation": network.activation,
        "widths": [int(front.n_features), *map(int, network.widths)],
        "n_samples": len(front.base) if as_contributions else None,
        "scale": front.initial_share if as_contributions else None,
        "initial_seed": getattr(front.initial, "seed", None) if as_contributions else None,
        "initial_scale": getattr(front.initial, "scale", None) if as_contributions else None,
        "in_span": as_contributions and front.in_span,
    }


def network_tensors(network: FrontNetwork, header: FrontHeader) -> Tensors:
    """Collect the tensors of a network."""
    tensors = {f"layers.{l}.biases": bias for l, bias in enumerate(network.biases)}
    tensors |= {f"layers.{l}.weights": weights for l, weights in enumerate(network.weights, start=1)}
    if header.form == ContributionsForm.name:
        front: Any = network.front
        tensors["front.contributions"] = front.contributions
        tensors["front.row_digests"] = row_digests(front.X, network.params.dtype)
        if header.initial_seed is None and not header.in_span:
            # in the memory order of coefs_init, so that products are rounded in the same way
            tensors["front.initial"] = front.initial.array.T.astype(np.float64)
    else:
        tensors["layers.0.weights"] = network.front.expand()
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def network_of(header: FrontHeader, tensors: Tensors, X: Any, loss: Loss, n_threads: int) -> FrontNetwork:
    """Restore the network for predictions, without optimiser, batches and windows; later training makes a network of its own.

    Parameters
    ----------
    header, tensors
        Header and tensors of the file.
    X : ndarray, sparse matrix or None
        Training inputs, which contributions need.
    loss : Loss
    n_threads : int
    """
    n_layers = len(header.widths) - 1
    front: FrontForm
    if header.form == ContributionsForm.name:
        front = _contributions(header, tensors, X)
        front.finish()
    else:
        front = WeightsForm.of(tensors["layers.0.weights"], n_threads)
    biases = [tensors[f"layers.{l}.biases"] for l in range(n_layers)]
    weights = [tensors[f"layers.{l}.weights"] for l in range(1, n_layers)]
    return FrontNetwork.for_prediction(front, biases, weights, header.activation, loss, n_threads)


def _contributions(header: FrontHeader, tensors: Tensors, X: Any) -> ContributionsForm:
    """Restore the front layer as contributions of the training samples X."""
    (n_features, n_hidden), dtype = header.widths[:2], np.dtype(header.dtype)
    held = tensors["front.contributions"]
    if header.in_span:
        return ContributionsForm.in_span_of(X, held, n_features, n_jobs=None)
    given, seed = tensors.get("front.initial"), header.initial_seed
    random = RandomWeights(n_hidden, n_features, int(seed or 0), header.activation, header.initial_scale or 1.0)
    front = ContributionsForm(X, random if given is None else GivenWeights(given.T), dtype, with_velocity=False)
    front.base[:] = held
    front.scale = np.array([header.scale, 0.0])
    return front


def row_digests(X: Any, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Digest the non-zero values of each row in the precision of training, so that dense and sparse inputs agree.

    Inputs that are scaled or filled in are digested before, in double precision, so that the digits of large means count.
    """
    if isinstance(X, Source):
        return _digests_of_source(X.base, np.dtype(np.float64)) if isinstance(X, Standardized) else _digests_of_source(X, dtype)
    n_samples, n_features = X.shape
    digests = np.empty((n_samples, DIGEST_BYTES), np.uint8)
    height = max(1, BLOCK_BYTES // (8 * n_features))
    for start in range(0, n_samples, height):
        with np.errstate(over="ignore"):  # the network was not trained on rows that overflow
            rows = sparse.csr_array(X[start : start + height], dtype=dtype, copy=True)
        rows.sum_duplicates()
        rows.eliminate_zeros()
        for row, (first, last) in enumerate(pairwise(rows.indptr), start):
            digest = hashlib.blake2b(rows.indices[first:last].astype("<i8"), digest_size=DIGEST_BYTES)
            digest.update(rows.data[first:last].astype(dtype.newbyteorder("<")))
            digests[row] = np.frombuffer(digest.digest(), np.uint8)
    return digests


def _digests_of_source(X: Source, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Digest the rows of a source, which is read by columns: first for the places of all values, then for the values."""
    n_samples, n_features = X.shape
    hashes = [hashlib.blake2b(digest_size=DIGEST_BYTES) for _ in range(n_samples)]
    width = max(1, BLOCK_BYTES // (8 * max(1, n_samples)))
    for part in ("indices", "data"):
        for start in range(0, n_features, width):
            with np.errstate(over="ignore"):  # the network was not trained on rows that overflow
                rows = sparse.csr_array(X.read(slice(start, min(start + width, n_features))), dtype=dtype, copy=True)
            rows.sum_duplicates()
            rows.eliminate_zeros()
            content = (rows.indices.astype("<i8") + start) if part == "indices" else rows.data.astype(dtype.newbyteorder("<"))
            for row, (first, last) in enumerate(pairwise(rows.indptr)):
                hashes[row].update(content[first:last])
    return np.array([np.frombuffer(one.digest(), np.uint8) for one in hashes])


def trained_rows(X: Any, tensors: Tensors, dtype: np.dtype[Any]) -> Any:
    """Find the rows of X that a network was trained on, in the order of training."""
    digests, given = tensors["front.row_digests"], row_digests(X, dtype)
    if np.array_equal(given, digests):
        return X
    places = {digest.tobytes(): row for row, digest in enumerate(given)}
    rows = [places.get(digest.tobytes(), -1) for digest in digests]
    require(-1 not in rows, f"X lacks {rows.count(-1)} of the {len(rows)} samples that it was trained on")
    return X[rows]
