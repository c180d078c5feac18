"""Model files of networks with a front layer in any form. Tensors, where layer 0 is the front layer:

=========================  ===============  =============================================================================
layers.0.weights           (h, d)           unless the front layer is stored as contributions; (h, k) for the features alone
                                            that occurred in sparse training inputs
front.features             (k,), int64      only then: these features, in rising order
front.contributions        (N, h)           only then
front.initial              (d, h), float64  W1(0)', only then, if it was given: random ones are made again from a seed, and
                                            a start in the span of the samples is part of the contributions
front.row_digests          (N, 16), uint8   only then: which rows the training inputs are, unless these are in the file or
                                            the samples are known by their products alone
front.inputs               (N, d)           only then, if they were asked for, as the network takes them; sparse ones are in
                                            front.inputs.data, .indices and .indptr
layers.1.weights ...       (n_out, n_in)
layers.0.biases ...        (n_out,)
inputs.mean ...                             how samples and targets are scaled (`fcfast.modelfile.scaling`)
inputs.moments ...                          how scales follow a stream (`fcfast.modelfile.stream`)
text.words ...                              how texts become features (`fcfast.modelfile.text`)
=========================  ===============  =============================================================================
"""

import hashlib
from collections.abc import Iterator
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
from fcfast.front.sparse import SparseWeightsForm
from fcfast.front.weights import WeightsForm
from fcfast.gram.object import Gram
from fcfast.gram.occurring import is_stored_sparse
from fcfast.gram.scattered import ScatteredWeights
from fcfast.gram.start import GivenWeights, InitialWeights, NoWeights, RandomWeights
from fcfast.kernels import Kernel, Linear
from fcfast.kernels.given import PRECOMPUTED
from fcfast.kernels.stored import kernel_entry, kernel_of_entry
from fcfast.losses import Logistic, Loss, SquaredError, make_loss
from fcfast.modelfile.checks import chosen_settings, list_of, numbers, require
from fcfast.modelfile.headers import Expected, Header, Tensors
from fcfast.modelfile.scaling import INPUTS, SCALED, check_scaled, expected_tensors
from fcfast.modelfile.stream import FOLLOWED, check_lengths, expected_stream
from fcfast.modelfile.text import check_text, expected_text
from fcfast.modelfile.values import decoded
from fcfast.sources.protocol import Source
from fcfast.sources.standardized import Standardized
from fcfast.tiles import slices
from fcfast.training.network import FrontNetwork

DIGEST_BYTES = 16
KNOWN_BY_PRODUCTS: dict[str, Any] = {"name": PRECOMPUTED, "settings": {}}  # the entry of samples without a kernel
BLOCK_BYTES = 64 << 20  # size in double precision of the inputs that are digested at a time

Array = NDArray[Any]


@dataclass(frozen=True)
class FrontHeader(Header):
    """The header of a file of a network with a front layer, which holds everything except its tensors.

    `form` is the stored form of the front layer. `n_samples`, `scale` (the factor c of W1(0)), `initial_seed` and
    `initial_scale` (both None if W1(0) is a tensor) belong to contributions and are None in other forms. `y_ndim` belongs to a
    regressor. `scaled` lists the data that the network was trained on in scaled form, "inputs" and "targets", and "missing" if
    missing values were filled in, in this order. `in_span` says that the front layer is in the span of the samples: W1(0) is
    part of the contributions. `kernel` has the name and the settings of a kernel other than the linear one. `inputs` says how
    the file holds the training inputs: "dense", "sparse" (with `n_entries` entries), or not at all. `settings` has the
    value and the reason of every parameter that is "auto". `n_occurring` is the number of features whose weights are stored, if
    they are not all: the others have `scale` times their initial weights, which `initial_seed` and `initial_scale` describe, or
    0. `followed` lists what of `scaled` follows a stream. `n_scaled` is the number of features with scales of their own, if
    these are not all. `lengths` has what a stream has shown of the lengths of its samples (`fcfast.modelfile.stream`).
    `validation_losses` has the mean loss of the validation samples after each epoch, if there were any.
    `loss` is the name of the loss if files before version 6 do not have it, otherwise empty. `target_names` are the names of
    the targets in several columns, if they have any. `curvature` is that of the loss where it is above 1, otherwise 0.
    """

    later: ClassVar[dict[str, str]] = {
        "scaled": "2", "in_span": "3", "kernel": "3", "inputs": "3", "n_entries": "3", "settings": "4",
        "n_occurring": "5", "followed": "5", "n_scaled": "5", "lengths": "5", "text": "5", "card": "6",
        "validation_losses": "6", "loss": "6", "target_names": "6", "curvature": "6",
    }  # fmt: skip
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
    kernel: dict[str, Any] = field(default_factory=dict)
    inputs: str = field(default_factory=str)
    n_entries: int = field(default_factory=int)
    settings: dict[str, list[Any]] = field(default_factory=dict)
    n_occurring: int = field(default_factory=int)
    followed: list[str] = field(default_factory=list)
    n_scaled: int = field(default_factory=int)
    lengths: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    loss: str = field(default_factory=str)
    target_names: list[str] = field(default_factory=list)
    curvature: float = field(default_factory=float)

    @property
    def n_features(self) -> int:
        """Number of input features."""
        return self.widths[0]

    @property
    def n_outputs(self) -> int:
        """Number of outputs, which for a classifier is the number of classes."""
        return self.widths[-1]

    @property
    def n_targets(self) -> int:
        """Number of targets, each of which has as many outputs."""
        return self.n_outputs

    def check(self) -> None:
        """Raise a ValueError or a TypeError if an entry is invalid."""
        super().check()
        validation.choice(self.activation, "activation", ACTIVATIONS)
        require(isinstance(self.widths, list) and len(self.widths) >= 3, "widths is not a list of at least 3")
        for width in self.widths:
            validation.integer(width, "widths", 1)
        self.check_feature_names()
        check_text(self.text, self.n_features)
        self._check_contributions()
        self._check_targets()
        numbers(self.validation_losses, "validation_losses")
        validation.in_range(self.curvature, "curvature", 0, np.inf)
        if self.target_names:
            list_of(self.target_names, (str,), "target_names", self.n_targets)
        chosen_settings(self.settings, self.params)
        known = self.may_be_scaled
        require(self.scaled in known, f"scaled is {self.scaled!r}; it must be one of {known}")
        check_scaled(self.n_scaled, self.scaled, self.n_features)
        check_lengths(self.lengths)
        known = tuple([what for what in FOLLOWED if what in parts] for parts in ((), ("inputs",), ("targets",), FOLLOWED))
        fits = self.followed in known and set(self.followed) <= set(self.scaled)
        require(fits, f"followed is {self.followed!r}, and scaled is {self.scaled!r}")

    def _check_contributions(self) -> None:
        validation.integer(self.n_occurring, "n_occurring", 0)
        if self.form != ContributionsForm.name:
            extra = {self.n_samples, *(() if self.n_occurring else (self.scale, self.initial_seed, self.initial_scale))}
            parts = self.in_span or self.kernel or self.inputs or self.n_entries
            require(extra == {None} and not parts, f"it has parts of contributions, in form {self.form!r}")
            require(self.n_occurring <= self.n_features, "it has more features that occur than features")
            if self.n_occurring:
                self._check_start()
            return
        require(not self.n_occurring, "it has contributions, but weights of features")
        validation.boolean(self.in_span, "in_span")
        self._check_samples()
        validation.integer(self.n_samples, "n_samples", 1)
        if self.in_span:
            require(self.initial_seed is None, "it starts in the span of the samples, but has a seed of random weights")
        self._check_start()

    def _check_start(self) -> None:
        """Check what describes the initial weights and their factor."""
        numbers([self.scale], "scale")
        require(bool(np.isfinite(float(self.scale or 0))), f"scale is {self.scale}")
        if self.initial_seed is not None:
            seed = validation.integer(self.initial_seed, "initial_seed", 0)
            require(seed < 2**128, f"initial_seed is {seed}; it must be below 2**128")
            validation.positive(self.initial_scale, "initial_scale")
        else:
            require(self.initial_scale is None, "it has a scale of random weights, but a tensor of initial weights")

    def _check_samples(self) -> None:
        """Check how the training samples are known."""
        kernel = kernel_in(self.kernel)
        require(self.in_span or not self.kernel, "it has a kernel, but does not start in the span of the samples")
        require(self.inputs in ("", "dense", "sparse"), f"inputs is {self.inputs!r}")
        require(not self.inputs or kernel is not None, "it has inputs, but its samples are known by their products alone")
        validation.integer(self.n_entries, "n_entries", 0)
        require(self.inputs == "sparse" or not self.n_entries, "it has a number of entries, but no sparse inputs")
        if kernel is None:
            require(self.n_samples == self.n_features, "its samples are known by their products, but not one for each of them")

    def _check_targets(self) -> None:
        raise NotImplementedError

    def _input_tensors(self) -> Expected:
        """Give dtype and shape of the tensors that say what the training inputs are."""
        n_samples = int(self.n_samples or 0)
        if self.inputs == "dense":
            return {"front.inputs": (self.dtype, (n_samples, self.n_features))}
        if self.inputs == "sparse":
            places = {"data": self.n_entries, "indices": self.n_entries, "indptr": n_samples + 1}
            return {
                f"front.inputs.{name}": (self.dtype if name == "data" else "int64", (size,)) for name, size in places.items()
            }
        if kernel_in(self.kernel) is None:
            return {}
        return {"front.row_digests": ("uint8", (n_samples, DIGEST_BYTES))}

    def tensors(self) -> Expected:
        """Give dtype and shape of every tensor that the file must hold."""
        n_features, n_hidden = self.widths[:2]
        expected: Expected = {}
        if self.form != ContributionsForm.name:
            expected["layers.0.weights"] = self.dtype, (n_hidden, self.n_occurring or n_features)
            if self.n_occurring:
                expected["front.features"] = "int64", (self.n_occurring,)
        elif self.n_samples is not None:
            expected["front.contributions"] = self.dtype, (self.n_samples, n_hidden)
            expected |= self._input_tensors()
            if self.initial_seed is None and not self.in_span:
                expected["front.initial"] = "float64", (n_features, n_hidden)
        for l, (n_in, n_out) in enumerate(pairwise(self.widths)):
            if l > 0:
                expected[f"layers.{l}.weights"] = self.dtype, (n_out, n_in)
            expected[f"layers.{l}.biases"] = self.dtype, (n_out,)
        scaling = expected_tensors(self.scaled, n_features, self.n_outputs, self.n_scaled)
        stream = expected_stream(self.followed, n_features, self.n_outputs)
        return expected | scaling | stream | expected_text(self.text)


@dataclass(frozen=True)
class ClassifierHeader(FrontHeader):
    """The header of a file of a classifier, whose outputs belong to classes."""

    may_be_scaled: ClassVar[tuple[list[str], ...]] = tuple(INPUTS)

    def _check_targets(self) -> None:
        require(self.y_ndim is None, "a classifier has no y_ndim")
        require(self.loss in ("", Logistic.name), f"loss is {self.loss!r}; a classifier has none of that name")
        classes = self.classes()
        require(not self.loss or classes.tolist() == list(range(self.n_outputs)), "its labels are not numbered from 0")


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
        loss = self._loss
        require(self.loss in ("", loss.name), f"loss is {self.loss!r}, but params has {loss.name!r}")
        require(self.n_outputs % loss.per_target == 0, f"{loss.name} needs {loss.per_target} outputs for each target")
        require(self.y_ndim == 2 or self.n_targets == 1, f"y_ndim is 1, but there are {self.n_targets} targets")
        require(loss.may_scale_targets or "targets" not in self.scaled, f"targets are scaled, which {loss.name} does not allow")

    @property
    def _loss(self) -> Loss:
        return make_loss(decoded(self.params.get("loss", SquaredError.name)))

    @property
    def n_targets(self) -> int:
        """Number of targets, each of which has as many outputs."""
        return self.n_outputs // self._loss.per_target


def kernel_in(entry: Any) -> Kernel | None:
    """Give the kernel that an entry of a header describes; None for samples known by their products alone.

    Raises
    ------
    ValueError, TypeError
        If it describes none.
    """
    if entry == {}:
        return Linear()
    if entry == KNOWN_BY_PRODUCTS:
        return None
    return kernel_of_entry(entry).resolved(1, 1.0)


def _kernel_entry(gram: Gram) -> dict[str, Any]:
    """Describe the kernel of samples; an empty description is the linear one."""
    if not gram.has_features:
        return KNOWN_BY_PRODUCTS
    entry = kernel_entry(gram.kernel)
    return {} if isinstance(gram.kernel, Linear) else entry


def _inputs_entries(X: Any) -> dict[str, Any]:
    """Say how a file holds training inputs."""
    kept = is_stored_sparse(X)
    return {"inputs": "sparse" if kept else "dense", "n_entries": int(sparse_rows(X).nnz) if kept else 0}


def sparse_rows(X: Any) -> Any:
    """Give stored sparse inputs in CSR."""
    if isinstance(X, Source):
        X = X.read(slice(0, X.shape[1]))
    return sparse.csr_array(X)


def network_entries(network: FrontNetwork, as_contributions: bool, inputs: bool = False) -> dict[str, Any]:
    """Collect the entries of `FrontHeader` that a network determines.

    Parameters
    ----------
    network : FrontNetwork
    as_contributions : bool
        Whether the front layer is stored as contributions, and not as weights.
    inputs : bool
        Whether the training inputs are stored, too.
    """
    front: Any = network.front
    samples = {"kernel": _kernel_entry(front.gram)} if as_contributions else {}
    samples |= _inputs_entries(front.X) if inputs else {}
    held: ScatteredWeights | None = None if as_contributions else front.scattered
    scattered = None if held is None else held.without_arrays()
    initial = scattered.initial if scattered else front.initial if as_contributions else None
    return samples | {
        "dtype": network.params.dtype.name,
        "activation": network.activation,
        "widths": [int(front.n_features), *map(int, network.widths)],
        "n_samples": len(front.base) if as_contributions else None,
        "scale": scattered.share if scattered else front.initial_share if as_contributions else None,
        "initial_seed": getattr(initial, "seed", None),
        "initial_scale": getattr(initial, "scale", None),
        "n_occurring": len(scattered.features) if scattered else 0,
        "in_span": as_contributions and front.in_span,
        "loss": network.loss.name if network.loss.named_in_files else "",
    }


def network_tensors(network: FrontNetwork, header: FrontHeader) -> Tensors:
    """Collect the tensors of a network."""
    tensors = {f"layers.{l}.biases": bias for l, bias in enumerate(network.all_biases())}
    tensors |= {f"layers.{l}.weights": weights for l, weights in enumerate(network.weights, start=1)}
    if header.form == ContributionsForm.name:
        front: Any = network.front
        tensors["front.contributions"] = front.contributions
        tensors |= _samples_tensors(header, front)
        if header.initial_seed is None and not header.in_span:
            # in the memory order of coefs_init, so that products are rounded in the same way
            tensors["front.initial"] = front.initial.dense(np.float64).T
    elif (held := network.front.scattered) is not None:
        scattered = held.without_arrays()
        tensors |= {"front.features": scattered.features, "layers.0.weights": scattered.rows.T}
    else:
        tensors["layers.0.weights"] = network.front.expand()
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def _samples_tensors(header: FrontHeader, front: Any) -> Tensors:
    """Collect the tensors that say what the training samples are."""
    dtype = np.dtype(header.dtype)
    if header.inputs == "dense":
        X = front.X
        return {"front.inputs": X.dense(dtype) if isinstance(X, Source) else np.asarray(X, dtype)}
    if header.inputs == "sparse":
        rows = sparse_rows(front.X)
        parts = {"data": rows.data.astype(dtype), "indices": rows.indices.astype("i8"), "indptr": rows.indptr.astype("i8")}
        return {f"front.inputs.{name}": part for name, part in parts.items()}
    if not front.gram.has_features:
        return {}
    return {"front.row_digests": row_digests(front.X, dtype)}


def stored_inputs(header: FrontHeader, tensors: Tensors) -> Any:
    """Give the training inputs that a file holds; None if it holds none."""
    if not header.inputs:
        return None
    if header.inputs == "dense":
        return tensors["front.inputs"]
    parts = tuple(tensors[f"front.inputs.{name}"] for name in ("data", "indices", "indptr"))
    matrix = sparse.csr_array(parts, shape=(header.n_samples, header.n_features))
    matrix.check_format(full_check=True)
    return matrix


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
    elif header.n_occurring:
        front = SparseWeightsForm.of(_scattered(header, tensors), n_threads)
    else:
        front = WeightsForm.of(tensors["layers.0.weights"], n_threads)
    biases = [tensors[f"layers.{l}.biases"] for l in range(n_layers)]
    weights = [tensors[f"layers.{l}.weights"] for l in range(1, n_layers)]
    return FrontNetwork.for_prediction(front, biases, weights, header.activation, loss, n_threads)


def _scattered(header: FrontHeader, tensors: Tensors) -> ScatteredWeights:
    """Restore the weights of the features that occurred."""
    (n_features, n_hidden), features, seed = header.widths[:2], tensors["front.features"], header.initial_seed
    rises = bool((np.diff(features) > 0).all()) and features[0] >= 0 and features[-1] < n_features
    require(rises, "the features that occur are not distinct features in rising order")
    initial: InitialWeights = NoWeights(n_hidden, n_features)
    if seed is not None:
        initial = RandomWeights(n_hidden, n_features, seed, header.activation, header.initial_scale or 1.0)
    return ScatteredWeights(features, tensors["layers.0.weights"].T, float(header.scale or 0), initial)


def _contributions(header: FrontHeader, tensors: Tensors, X: Any) -> ContributionsForm:
    """Restore the front layer as contributions of the training samples X."""
    (n_features, n_hidden), dtype = header.widths[:2], np.dtype(header.dtype)
    held = tensors["front.contributions"]
    if header.in_span:
        kernel = kernel_in(header.kernel)
        gram = Gram.unknown(len(held), dtype) if kernel is None else Gram.of_kernel(X, kernel, dtype)
        return ContributionsForm.in_span_of(gram, held, n_features)
    given, seed = tensors.get("front.initial"), header.initial_seed
    random = RandomWeights(n_hidden, n_features, int(seed or 0), header.activation, header.initial_scale or 1.0)
    front = ContributionsForm(X, random if given is None else GivenWeights(given.T), dtype, with_velocity=False)
    front.base[:] = held
    front.scale = np.array([header.scale, 0.0])
    return front


def row_digests(X: Any, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Digest the non-zero values of each row in the precision of training, so that dense and sparse inputs agree.

    Inputs that are centred or filled in are digested before, in double precision, so that the digits of large means count.
    """
    if isinstance(X, Source):
        if isinstance(X, Standardized) and not _divides_alone(X):
            return _digests_of_source(X.base, np.dtype(np.float64))
        return _digests_of_source(X, dtype)
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


def _divides_alone(X: Standardized) -> bool:
    """Whether samples are divided by scales, and nothing is subtracted."""
    return bool(X.standardize) and not (X.standardize is True and X.statistics.complete().mean.any())


def _digests_of_source(X: Source, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Digest the rows of a source, which is read by columns: first for the places of all values, then for the values."""
    n_samples = X.shape[0]
    hashes = [hashlib.blake2b(digest_size=DIGEST_BYTES) for _ in range(n_samples)]
    width = max(1, BLOCK_BYTES // (8 * max(1, n_samples)))
    for part in ("indices", "data"):
        for start, block in _blocks(X, width):
            with np.errstate(over="ignore"):  # the network was not trained on rows that overflow
                rows = sparse.csr_array(block, dtype=dtype, copy=True)
            rows.sum_duplicates()
            rows.eliminate_zeros()
            content = (rows.indices.astype("<i8") + start) if part == "indices" else rows.data.astype(dtype.newbyteorder("<"))
            for row, (first, last) in enumerate(pairwise(rows.indptr)):
                hashes[row].update(content[first:last])
    return np.array([np.frombuffer(one.digest(), np.uint8) for one in hashes])


def _blocks(X: Source, width: int) -> Iterator[tuple[int, Any]]:
    """Give blocks of at most `width` features with the number of the first one; what is read at once may be wider."""
    for features in X.read_ranges(width):
        held = X.read(features)
        if held.shape[1] <= width:
            yield features.start, held
            continue
        for part in slices(held.shape[1], width):
            yield features.start + part.start, held[:, part]


def trained_rows(X: Any, tensors: Tensors, dtype: np.dtype[Any]) -> Any:
    """Find the rows of X that a network was trained on, in the order of training."""
    digests, given = tensors["front.row_digests"], row_digests(X, dtype)
    if np.array_equal(given, digests):
        return X
    places = {digest.tobytes(): row for row, digest in enumerate(given)}
    rows = [places.get(digest.tobytes(), -1) for digest in digests]
    require(-1 not in rows, f"X lacks {rows.count(-1)} of the {len(rows)} samples that it was trained on")
    return X[rows]
