"""Learning rules: how a batch's deltas are made, whatever optimiser applies them.

Any rule works with any form of the front layer in which its updates stay in the span of the inputs.
"""

from fcfast import validation
from fcfast.rules.base import RULES, Rule, register
from fcfast.rules.exact import Backprop, LocalLoss
from fcfast.rules.feedback import DirectFeedbackAlignment, FeedbackAlignment
from fcfast.rules.forward_gradient import PRESETS, ForwardGradient
from fcfast.rules.frozen import FrozenHidden

__all__ = [
    "PRESETS", "RULES", "Backprop", "DirectFeedbackAlignment", "FeedbackAlignment", "ForwardGradient", "FrozenHidden",
    "LocalLoss", "Rule", "make_rule", "register",
]  # fmt: skip

RULES.update(PRESETS)


def make_rule(rule: str | Rule) -> Rule:
    """Give the rule of that name, or the rule itself.

    Parameters
    ----------
    rule : str or Rule
        One of `RULES`, or an object.

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
        named: Rule = RULES[validation.choice(rule, "rule", RULES)]
        return named
    if not isinstance(rule, Rule):
        raise TypeError(f"rule must be one of {list(RULES)} or a fcfast.rules.Rule, got {rule!r}")
    return rule
