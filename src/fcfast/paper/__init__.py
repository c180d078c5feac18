"""The Front Contribution paper (arXiv 2106.05569) as code: its techniques, experiments and claims."""

from typing import TYPE_CHECKING, Any

from fcfast.paper.claims import Claim, claims
from fcfast.paper.deep import Balance, Collapse, balance, collapse
from fcfast.paper.experiments import StudyResult, study
from fcfast.paper.two_layer import Trace, train_backprop, train_front

if TYPE_CHECKING:
    from fcfast.plots import figure3

__all__ = [
    "Balance",
    "Claim",
    "Collapse",
    "StudyResult",
    "Trace",
    "balance",
    "claims",
    "collapse",
    "figure3",
    "study",
    "train_backprop",
    "train_front",
]


def __getattr__(name: str) -> Any:
    if name == "figure3":  # not imported before: pictures show results of this package
        from fcfast.plots import figure3

        return figure3
    raise AttributeError(f"module 'fcfast.paper' has no attribute {name!r}")
