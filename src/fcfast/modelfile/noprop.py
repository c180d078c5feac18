"""Model files of stacks of NoProp blocks. Tensors, for block t = 0, 1 ...:

=======================  ===================  ==========================================================================
blocks.t.front           (h, d)               weights of its front layer; (h, k) for the features alone that occurred in
                                              sparse training inputs
blocks.t.params          (n_params,)          all its other parameters, packed (`fcfast.noprop.blocks.Layers`)
blocks.t.running.x ...   (2, n)               running means and variances of batch normalisation, if there is one
front.features           (k,), int64          only then: these features, in rising order
front.shares             (T,), float64        only then: factor of the other features' initial weights in each block
labels.params            (n,)                 embeddings, and the classifier if there is one
variant.alpha_bar        (T + 1,), float64    of variant "dt"
variant.own              (n,), float64        gates of variant "backprop", ends of a learned schedule
inputs.mean ...                               how samples are scaled (`fcfast.modelfile.scaling`)
text.words ...                                how texts become features (`fcfast.modelfile.text`)
=======================  ===================  ==========================================================================
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.activations import ACTIVATIONS
from fcfast.front import ContributionsForm, SparseWeightsForm, WeightsForm
from fcfast.front.base import FrontStack
from fcfast.front.sparse import SparseStack
from fcfast.gram.scattered import ScatteredWeights
from fcfast.gram.start import InitialWeights, NoWeights, RandomWeights
from fcfast.gram.units import UnitsOf, by_layer
from fcfast.modelfile.checks import chosen_settings, numbers, require
from fcfast.modelfile.headers import Expected, Header, Tensors
from fcfast.modelfile.scaling import INPUTS, check_scaled, expected_tensors
from fcfast.modelfile.text import check_text, expected_text
from fcfast.modelfile.values import decoded, encoded
from fcfast.noprop.blocks import MAX_BLOCKS, Block, Shape
from fcfast.noprop.labels import LabelSpace
from fcfast.noprop.network import NoPropNetwork
from fcfast.noprop.schedule import ContinuousSchedule, LinearNoise, Steps, check_continuous, is_continuous
from fcfast.noprop.variants import VARIANTS, ContinuousTime, DiscreteTime, EndToEnd, FlowMatching
from fcfast.optimizers.none import NoOptimizer

Array = NDArray[Any]


@dataclass(frozen=True)
class NoPropHeader(Header):
    """The header of a file of a stack of blocks, which holds everything except its tensors.

    `widths` are the numbers of features, of units of a branch and behind the branches, and of dimensions of the embeddings.
    `schedule` is the schedule of variant "ct", or None if its ends were learned. `scaled`, `settings` and `n_scaled` are the
    same as in `FrontHeader`. `n_occurring` is the number of features whose weights are stored, if they are not all. The others'
    initial weights follow from `initial_seed` and `initial_scale`, or are 0 if this is 0.
    """

    variant: str
    n_blocks: int
    widths: list[int]
    activation: str
    batch_norm: bool
    schedule: Any
    is_learned: bool
    has_head: bool
    seed: int
    scaled: list[str] = field(default_factory=list)

    settings: dict[str, list[Any]] = field(default_factory=dict)
    n_scaled: int = field(default_factory=int)
    n_occurring: int = field(default_factory=int)
    initial_seed: int = field(default_factory=int)
    initial_scale: float = field(default_factory=float)

    later: ClassVar[dict[str, str]] = {
        "scaled": "3", "settings": "4", "n_scaled": "5", "n_occurring": "5", "initial_seed": "5", "initial_scale": "5",
        "text": "5", "card": "6",
    }  # fmt: skip

    @property
    def n_features(self) -> int:
        """Number of input features."""
        return self.widths[0]

    @property
    def n_outputs(self) -> int:
        """Number of classes."""
        return len(self.labels or [])

    @property
    def shape(self) -> Shape:
        """Sizes that all blocks have in common."""
        _, h, fused, d = self.widths
        return Shape(h, fused, d, self.n_outputs, ACTIVATIONS[self.activation], self.variant in ("ct", "fm"), self.batch_norm)

    def check(self) -> None:
        """Raise a ValueError or a TypeError if an entry is invalid."""
        super().check()
        validation.choice(self.variant, "variant", VARIANTS)
        validation.choice(self.activation, "activation", ACTIVATIONS)
        require(self.form != ContributionsForm.name, "blocks are stored as weights, but form is 'contributions'")
        require(isinstance(self.widths, list) and len(self.widths) == 4, "widths is not a list of 4")
        for width in self.widths:
            validation.integer(width, "widths", 1)
        validation.size(self.n_blocks, "n_blocks", maximum=MAX_BLOCKS)
        require(self.variant not in ("ct", "fm") or self.n_blocks == 1, f"variant {self.variant!r} has one block")
        for name in ("batch_norm", "is_learned", "has_head"):
            validation.boolean(getattr(self, name), name)
        validation.integer(self.seed, "seed", 0)
        require(isinstance(self.labels, list) and len(self.labels) > 0, "labels is not a list of at least 1")
        self.classes()
        self.check_feature_names()
        check_text(self.text, self.n_features)
        require(self.scaled in INPUTS, f"scaled is {self.scaled!r}; it must be one of {INPUTS}")
        check_scaled(self.n_scaled, self.scaled, self.n_features)
        chosen_settings(self.settings, self.params)
        self._check_occurring()
        self._check_variant()

    def _check_occurring(self) -> None:
        """Check what describes the features that do not occur."""
        validation.integer(self.n_occurring, "n_occurring", 0)
        require(self.n_occurring <= self.n_features, f"n_occurring is {self.n_occurring}, more than {self.n_features} features")
        require(validation.integer(self.initial_seed, "initial_seed", 0) < 2**128, "initial_seed is not below 2**128")
        numbers([self.initial_scale], "initial_scale")
        require(0 <= float(self.initial_scale) < np.inf, f"initial_scale is {self.initial_scale}")
        require(bool(self.n_occurring) or not self.initial_scale, "it has initial weights of features that do not occur")

    def _check_variant(self) -> None:
        schedule, learns_ends = self.continuous_schedule(), self.variant == "ct" and self.schedule is None
        if schedule is not None:
            check_continuous(schedule)
        given = self.params.get("variant", "dt")
        require(given == self.variant, f"params have variant {given!r}, but the network has {self.variant!r}")
        needs_head = self.is_learned or learns_ends or self.variant == "backprop"
        require(self.has_head == needs_head, f"has_head is {self.has_head}, but {needs_head} is needed")
        d, m = self.widths[3], self.n_outputs
        require(self.is_learned or d == m, f"embeddings that are not learned have {d} dimensions for {m} classes")

    def continuous_schedule(self) -> ContinuousSchedule | None:
        """Give the schedule of variant "ct"."""
        schedule = decoded(self.schedule)
        if self.variant != "ct":
            require(schedule is None, f"variant {self.variant!r} has no schedule over all times")
            return None
        require(schedule is None or is_continuous(schedule), "schedule is no noise schedule over all times")
        return schedule

    @property
    def n_own(self) -> int:
        """Number of the variant's own parameters."""
        if self.variant == "backprop":
            return self.n_blocks
        return 2 if self.variant == "ct" and self.schedule is None else 0

    def tensors(self) -> Expected:
        """Give dtype and shape of every tensor that the file must hold."""
        n_features, h, _, d = self.widths
        shape, m = self.shape, self.n_outputs
        expected: Expected = {"labels.params": (self.dtype, (m * d + (m * d + m if self.has_head else 0),))}
        norms = {"x": h, **{name: n for name, (n, _) in shape.layers.items() if name != "out"}} if self.batch_norm else {}
        for t in range(self.n_blocks):
            expected[f"blocks.{t}.front"] = self.dtype, (h, self.n_occurring or n_features)
            expected[f"blocks.{t}.params"] = self.dtype, (shape.n_params,)
            for name, n in norms.items():
                expected[f"blocks.{t}.running.{name}"] = self.dtype, (2, n)
        if self.n_occurring:
            expected["front.features"] = "int64", (self.n_occurring,)
            expected["front.shares"] = "float64", (self.n_blocks,)
        if self.variant == "dt":
            expected["variant.alpha_bar"] = "float64", (self.n_blocks + 1,)
        if self.n_own:
            expected["variant.own"] = "float64", (self.n_own,)
        scaling = expected_tensors(self.scaled, n_features, self.n_outputs, self.n_scaled)
        return expected | scaling | expected_text(self.text)


def network_entries(network: NoPropNetwork) -> dict[str, Any]:
    """Collect the entries of `NoPropHeader` that a network determines."""
    shape, variant = network.shape, network.variant
    fixed = variant.name == "ct" and not variant.learns_ends
    scattered = network.fronts.scattered
    initial = scattered[0].initial if scattered else None
    random = initial.initial if isinstance(initial, UnitsOf) else None
    return {
        "dtype": network.dtype.name,
        "variant": variant.name,
        "n_blocks": len(network.blocks),
        "widths": [int(network.fronts.forms[0].n_features), shape.n_hidden, shape.n_fused, shape.n_embedding],
        "activation": next(name for name, code in ACTIVATIONS.items() if code == shape.activation),
        "batch_norm": shape.batch_norm,
        "schedule": encoded(variant.schedule, "noise_schedule") if fixed else None,
        "is_learned": network.labels.learned,
        "has_head": network.labels.has_head,
        "seed": network.seed,
        "n_occurring": len(scattered[0].features) if scattered else 0,
        "initial_seed": getattr(random, "seed", 0),
        "initial_scale": getattr(random, "scale", 0.0),
    }


def network_tensors(network: NoPropNetwork, header: NoPropHeader) -> Tensors:
    """Collect the tensors of a network."""
    tensors = {"labels.params": network.labels.params}
    offsets, scattered = network.fronts.offset, network.fronts.scattered
    if scattered:
        tensors["front.features"] = scattered[0].features
        tensors["front.shares"] = np.array([weights.share for weights in scattered])
    fronts = [weights.rows.T for weights in scattered] if scattered else network.fronts.expand()
    for t, (block, front) in enumerate(zip(network.blocks, fronts, strict=True)):
        params = block.params if offsets is None else block.with_front_bias(block.layers.bias + offsets[t])
        tensors |= {f"blocks.{t}.front": front, f"blocks.{t}.params": params}
        tensors |= {f"blocks.{t}.running.{name}": seen for name, seen in block.running.items()}
    if header.variant == "dt":
        tensors["variant.alpha_bar"] = network.variant.steps.alpha_bar
    if header.n_own:
        tensors["variant.own"] = network.own.astype(np.float64)
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def network_of(header: NoPropHeader, tensors: Tensors, eta: float, weighting: str, n_threads: int) -> NoPropNetwork:
    """Restore the network for predictions, without optimiser, batches and windows.

    Parameters
    ----------
    header, tensors
        Header and tensors of the file.
    eta : float
        Factor of the squared errors.
    weighting : str
        Weighting of the loss.
    n_threads : int
        Number of threads.
    """
    dtype, shape = np.dtype(header.dtype), header.shape
    fronts = _fronts(header, tensors, n_threads)
    blocks = [Block(shape, tensors[f"blocks.{t}.params"].copy(), n_threads) for t in range(header.n_blocks)]
    for t, block in enumerate(blocks):
        for name, seen in block.running.items():
            seen[:] = tensors[f"blocks.{t}.running.{name}"]
            require(bool((seen[1] >= 0).all()), f"blocks.{t}.running.{name} has negative variances")
    m, d = header.n_outputs, header.widths[3]
    generator = np.random.default_rng(header.seed)
    embedding = tensors["labels.params"][: m * d].reshape(m, d)
    labels = LabelSpace(embedding, header.is_learned, header.has_head, header.variant == "fm", dtype, generator)
    labels.params[:] = tensors["labels.params"]  # the head too
    variant = _variant(header, tensors, eta, weighting)
    return NoPropNetwork(variant, shape, fronts, blocks, labels, NoOptimizer(), 1, 1, n_threads, "sequential", header.seed)


def _fronts(header: NoPropHeader, tensors: Tensors, n_threads: int) -> FrontStack:
    """Restore the front layers."""
    weights = [tensors[f"blocks.{t}.front"] for t in range(header.n_blocks)]
    if not header.n_occurring:
        return FrontStack([WeightsForm.of(part.copy(), n_threads) for part in weights])
    (n_features, h), features = header.widths[:2], tensors["front.features"]
    rises = bool((np.diff(features) > 0).all()) and features[0] >= 0 and features[-1] < n_features
    require(rises, "the features that occur are not distinct features in rising order")
    initial: InitialWeights = NoWeights(header.n_blocks * h, n_features)
    if header.initial_scale:
        initial = RandomWeights(header.n_blocks * h, n_features, header.initial_seed, "relu", header.initial_scale)
    parts = zip(weights, tensors["front.shares"].tolist(), by_layer(initial, header.n_blocks), strict=True)
    return SparseStack(
        [SparseWeightsForm.of(ScatteredWeights(features, part.T, share, start), n_threads) for part, share, start in parts]
    )


def _variant(header: NoPropHeader, tensors: Tensors, eta: float, weighting: str) -> Any:
    if header.variant == "dt":
        return DiscreteTime(Steps(tensors["variant.alpha_bar"]), eta, weighting)
    if header.variant == "fm":
        return FlowMatching(eta)
    if header.variant == "backprop":
        made = EndToEnd(header.n_blocks, np.dtype(header.dtype))
        made.gates[:] = tensors["variant.own"]
        return made
    ends = tensors["variant.own"] if header.schedule is None else np.zeros(2)
    schedule = header.continuous_schedule() or LinearNoise(*map(float, ends))
    return ContinuousTime(schedule, eta, weighting, header.schedule is None)
