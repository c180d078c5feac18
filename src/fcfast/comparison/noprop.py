"""NoProp as a method in a comparison, beside the learning rules of `fcfast.rules`: its costs and its estimator."""

from dataclasses import asdict, dataclass
from typing import Any

from fcfast.estimators.noprop import NoPropClassifier

# Parameters that `FrontClassifier` and `NoPropClassifier` share, except those that a comparison sets itself.
SHARED = (
    "activation", "optimizer", "learning_rate", "schedule", "momentum", "dampening", "nesterov", "weight_decay",
    "max_grad_norm", "batch_size", "max_epochs", "tol", "n_iter_no_change", "shuffle", "form", "window", "init_scale",
    "standardize", "memory_limit", "dtype", "n_jobs", "random_state", "class_weight",
)  # fmt: skip


@dataclass(frozen=True)
class NoProp:
    """A stack of NoProp blocks, or the same blocks trained end to end, of the same size as the compared network.

    Parameters
    ----------
    variant, n_blocks, embedding, embedding_dim, batch_norm, loss_weighting
        As in `NoPropClassifier`.

    Raises
    ------
    ValueError, TypeError
        If a setting is invalid.

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
        """Layers whose transposed weights carry errors backwards."""
        return "of all layers of all blocks" if self.variant == "backprop" else "inside each block"

    @property
    def backward_passes(self) -> str:
        """Parts that get an exact gradient by a backward pass."""
        return {"backprop": "one through all blocks", "dt": "one through each block"}.get(self.variant, "one through the block")

    def matrix_products(self, n_hidden: int) -> int:
        """Return the products of a batch with a square layer in a step of a block (of all blocks for "backprop").

        A step takes 5.5 products forward, 5.5 for the gradients of the weights and 4.5 for the deltas; with time it takes 4.75,
        4.75 and 3.5.
        """
        return 16 * self.n_blocks if self.variant == "backprop" else 13 if self.variant in ("ct", "fm") else 16

    def kept_activations(self, n_hidden: int) -> int:
        """Return the number of arrays (batch x width) that a step holds at once."""
        return 9 * self.n_blocks if self.variant == "backprop" else 9

    def estimator(self, template: Any) -> NoPropClassifier:
        """Make the estimator with the parameters that it shares with another one.

        The widths of the first two hidden layers become those of a block. If there is only one, the second layer of the block
        has half its width.

        Raises
        ------
        ValueError
            If the network has groups, which blocks do not support.
        """
        hidden, groups = template._hidden(), template._groups()
        if max(groups) > 1:
            raise ValueError(
                f"NoProp's blocks do not support groups of units, got groups={template.groups!r}; use 1, or leave it out"
            )
        sizes = (hidden[0], hidden[1] if len(hidden) > 1 else max(1, hidden[0] // 2))
        shared = {name: getattr(template, name) for name in SHARED}
        init = template.init if template.init in NoPropClassifier._inits else "glorot"
        return NoPropClassifier(**asdict(self), hidden=sizes, init=init, **shared)
