"""Reproduction of the whole paper: the seed study of every technique, the verdicts on the claims, the cost against width."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from fcfast import backend, validation
from fcfast.config import config
from fcfast.paper.claims import ENTRIES, Claim, judge_all
from fcfast.paper.evidence.laboratory import Laboratory
from fcfast.paper.experiments import StudyResult
from fcfast.paper.techniques import TECHNIQUES
from fcfast.paper.timing import WidthCost, width_cost
from fcfast.paper.two_layer import ORDERS
from fcfast.threads import resolve_n_jobs

QUANTILES = (0.5, 0.99, 1.0)

# Each technique is studied in both orders of updates; the closed form exists only in one.
STUDIES = tuple(
    (technique, order) for technique in TECHNIQUES for order in ORDERS if (technique, order) != ("closed_form", "sequential")
)

STEPS = len(STUDIES) + len(ENTRIES) + 1


@dataclass(frozen=True)
class Report:
    """Result of `reproduce`."""

    n_seeds: int
    seed: int
    studies: list[StudyResult]
    claims: list[Claim]
    width: WidthCost | None  # None in pure-Python mode, whose closed form is not O(1)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; undefined numbers are None."""
        return {
            "config": config(),
            "n_seeds": self.n_seeds,
            "seed": self.seed,
            "seed_study": [study_row(result) for result in self.studies],
            "claims": [_without_nan(asdict(claim)) for claim in self.claims],
            "seconds_per_iteration_by_width": asdict(self.width) if self.width else None,
        }


def study_row(result: StudyResult) -> dict[str, Any]:
    """Summarise one study: the share of seeds below 1e-15 and quantiles, without the diverged seeds, and their share."""
    return _without_nan(
        {
            "technique": result.technique,
            "order": result.order,
            "share_below_1e-15": result.share_below(),
            **{f"quantile_{q:g}": result.quantile(q) for q in QUANTILES},
            "diverged_share": result.diverged_share,
            "equal_to_backpropagation": bool(result.quantile(1) < 1e-9),
        }
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def reproduce(
    n_seeds: int = 10_000, seed: int = 0, n_jobs: int | None = None, progress: Callable[[str], object] | None = None
) -> Report:
    """Run the seed study of every technique in both orders, judge all claims and time the closed form.

    Parameters
    ----------
    n_seeds : int
        Number of networks in each study, >= 10.
    seed : int
        Seed of all random networks.
    n_jobs : int or None
        Number of threads; None for all available.
    progress : callable or None
        Called `STEPS` times, with the name of the next step.

    Returns
    -------
    Report
        Studies, verdicts and times.
    """
    tell = progress or (lambda _: None)
    laboratory = Laboratory(
        validation.integer(n_seeds, "n_seeds", 10), validation.integer(seed, "seed", 0), resolve_n_jobs(n_jobs)
    )
    studies = []
    for technique, order in STUDIES:
        tell(f"seed study: {technique}, {order}")
        studies.append(laboratory.study(technique, order))
    claims = judge_all(laboratory, lambda name: tell(f"claim: {name}"))
    tell("cost against width")
    return Report(n_seeds, seed, studies, claims, width_cost(seed=seed) if backend.NAME == "compiled" else None)
