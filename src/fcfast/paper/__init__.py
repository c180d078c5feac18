"""The Front Contribution paper (arXiv 2106.05569) as code: its techniques, experiments and claims."""

from fcfast.paper.deep import Balance, Collapse, balance, collapse
from fcfast.paper.experiments import StudyResult, study
from fcfast.paper.two_layer import Trace, train_backprop, train_front

__all__ = [
    "Balance",
    "Collapse",
    "StudyResult",
    "Trace",
    "balance",
    "collapse",
    "study",
    "train_backprop",
    "train_front",
]
