"""NoProp beside the learning rules of `fcfast.rules` in a comparison: what it needs and costs, and its estimator."""

from dataclasses import asdict, dataclass
from typing import Any

from fcfast.estimators.noprop import NoPropClassifier

# Parameters of `FrontClassifier` that both have, but for those that a comparison sets itself.
SHARED = (
    "activation", "optimizer", "learning_rate", "schedule", "momentum", "dampening", "nesterov", "weight_decay",
    "max_grad_norm", "batch_size", "max_epochs", "tol", "n_iter_no_change", "shuffle", "form", "window", "init_scale",
    "memory_limit", "dtype", "n_jobs", "random_state", "class_weight",
)  # fmt: skip


@dataclass(frozen=True)
class NoProp:
    """A stack of NoProp blocks, or the same blocks trained end to end, as large as the network they are compared with.

    Parameters
    ----------
    variant, n_blocks, embedding, embedding_dim, batch_norm, loss_weighting
        As in `NoPropClassifier`.

    Raises
    ------
    ValueError, TypeError
        For settings that make no sense.

    Examples
    --------
    >>> from fcfast.comparison.noprop import NoProp
    >>> NoProp(variant="ct").backward_passes
    'one through the block'
    """

    variant: str = "dt"
    n_blocks: int = 10
    embedding: str = "one-hot"
    embedding_dim: int = 20
    batch_norm: bool = False
    loss_weighting: str = "uniform"

    def __post_init__(self) -> None:
        NoPropClassifier(**asdict(self))._check_parameters()
        if self.variant in ("ct", "fm") and self.n_blocks != NoProp.n_blocks:
            raise ValueError(f"n_blocks={self.n_blocks} with variant={self.variant!r}: it has one block; leave it out")

    @property
    def transposes(self) -> str:
        """Which layers' transposed weights carry errors backwards."""
        return "of all layers of all blocks" if self.variant == "backprop" else "inside each block"

    @property
    def backward_passes(self) -> str:
        """What gets an exact gradient by a backward pass."""
        return {"backprop": "one through all blocks", "dt": "one through each block"}.get(self.variant, "one through the block")

    def matrix_products(self, n_hidden: int) -> int:
        """Products of a batch with a square layer that a step of a block takes; of "backprop", one of all blocks.

        Forward 5.5, as many for the weights' gradients, 4.5 for deltas; with time 4.75, 4.75 and 3.5.
        """
        return 16 * self.n_blocks if self.variant == "backprop" else 13 if self.variant in ("ct", "fm") else 16

    def kept_activations(self, n_hidden: int) -> int:
        """How many layers' arrays (batch x width) a step holds at once."""
        return 9 * self.n_blocks if self.variant == "backprop" else 9

    def estimator(self, template: Any) -> NoPropClassifier:
        """Make the estimator with what can be shared with another's parameters.

        The first two hidden layers are the units of a block; of one, the second has half as many.

        Raises
        ------
        ValueError
            For a network with groups, which blocks have not.
        """
        hidden, groups = template._hidden(), template._groups()
        if max(groups) > 1:
            raise ValueError(f"NoProp's blocks have no groups of units, got groups={template.groups!r}; use 1, or leave it out")
        sizes = (hidden[0], hidden[1] if len(hidden) > 1 else max(1, hidden[0] // 2))
        shared = {name: getattr(template, name) for name in SHARED}
        return NoPropClassifier(**asdict(self), hidden=sizes, **shared)
