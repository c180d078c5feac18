"""Learning rules: how a batch's deltas are made, whatever optimiser applies them.

Any rule works with any form of the front layer in which its updates stay in the span of the inputs.
"""

from fcfast import validation
from fcfast.rules.base import Rule
from fcfast.rules.exact import Backprop, DirectFeedbackAlignment, FeedbackAlignment, FrozenHidden, LocalLoss
from fcfast.rules.forward_gradient import PRESETS, ForwardGradient

__all__ = [
    "RULES", "Backprop", "DirectFeedbackAlignment", "FeedbackAlignment", "ForwardGradient", "FrozenHidden", "LocalLoss", "Rule",
    "make_rule",
]  # fmt: skip

RULES: dict[str, Rule] = {
    **{rule.name: rule for rule in (Backprop(), LocalLoss(), FeedbackAlignment(), DirectFeedbackAlignment(), FrozenHidden())},
    ForwardGradient.name: ForwardGradient(),
    **PRESETS,
}


def make_rule(rule: str | Rule) -> Rule:
    """Give the rule of that name, or the rule itself.

    Parameters
    ----------
    rule : str or Rule
        One of `RULES`, or an object of this module.

    Raises
    ------
    ValueError
        For an unknown name.
    TypeError
        For anything else.

    Examples
    --------
    >>> from fcfast.rules import make_rule
    >>> make_rule("fg-a").space
    'activation'
    """
    if isinstance(rule, str):
        return RULES[validation.choice(rule, "rule", RULES)]
    if not isinstance(rule, (Backprop, LocalLoss, DirectFeedbackAlignment, ForwardGradient)):
        raise TypeError(f"rule must be one of {list(RULES)} or an object of fcfast.rules, got {rule!r}")
    return rule
