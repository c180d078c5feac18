"""The choice between a kernel for whole epochs and single steps in Python, for training and for plans."""

from collections.abc import Sequence

from fcfast.losses import Loss
from fcfast.optimizers import Optimizer
from fcfast.rules import Rule


def is_compiled(rule: Rule, optimizer: Optimizer, groups: Sequence[int] = (1,), loss: Loss | None = None) -> bool:
    """Tell whether a kernel trains whole epochs (``_core/front.pyx``): its rule, its update, its losses, no groups of units.

    Parameters
    ----------
    rule : Rule
    optimizer : Optimizer
    groups : sequence of int
        Groups of units of each hidden layer.
    loss : Loss or None
        Loss; None stands for a loss that the kernels know.
    """
    has_loss = loss is None or loss.kernel is not None
    return rule.compiled and optimizer.compiled and has_loss and max(groups) == 1
