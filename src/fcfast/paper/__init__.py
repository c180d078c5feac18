"""The Front Contribution paper (arXiv 2106.05569) as code: its techniques, experiments and claims."""

from fcfast.paper.claims import Claim, claims
from fcfast.paper.deep import Balance, Collapse, balance, collapse
from fcfast.paper.experiments import StudyResult, study
from fcfast.paper.two_layer import Trace, train_backprop, train_front
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
