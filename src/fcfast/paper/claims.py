"""The paper's claims, each with a verdict and the numbers behind it, computed on demand."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from fcfast import validation
from fcfast.paper.evidence import conclusions, equations, experiment
from fcfast.paper.evidence.judgement import Entry, Numbers
from fcfast.paper.evidence.laboratory import Laboratory
from fcfast.threads import resolve_n_jobs


def _equation_number(entry: Entry) -> float:
    """Sort key: equations by number, r5n and r6n after equation 30, everything else after them in the given order."""
    if entry.id.startswith("eq. "):
        return float(entry.id.removeprefix("eq. "))
    return 30.5 if entry.id in ("r5n", "r6n") else math.inf


ENTRIES: tuple[Entry, ...] = tuple(
    sorted((*equations.ENTRIES, *experiment.ENTRIES, *conclusions.ENTRIES), key=_equation_number)
)


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, judged.

    Attributes
    ----------
    id : str
        Short name: "eq. 13", "r5n", "figure 3 top", "conclusion i".
    where : str
        Place in the paper.
    statement : str
        The claim.
    verdict : {"holds", "holds with a correction", "fails", "not measured"}
        The verdict. "not measured" occurs only for the O(1) claim in pure-Python mode, whose kernels are not O(1).
    correction : str
        The correction, or the reason for no measurement; empty if the claim holds as it is.
    evidence : dict of str to float
        Numbers from which the verdict was computed.
    """

    id: str
    where: str
    statement: str
    verdict: str
    correction: str
    evidence: Numbers


def claims(
    n_seeds: int = 1000, seed: int = 0, n_jobs: int | None = None, progress: Callable[[str], object] | None = None
) -> list[Claim]:
    """Judge every claim of the paper: its equations 4, 5, 13-32, r5n and r6n, Figure 3 and its conclusions.

    Parameters
    ----------
    n_seeds : int
        Number of networks in each study behind a verdict, >= 10.
    seed : int
        Seed of all random networks, >= 0.
    n_jobs : int or None
        Number of threads; None for all available.
    progress : callable or None
        Called with the id of each claim before it is judged.

    Returns
    -------
    list of Claim
        All claims in the order of the paper.

    Raises
    ------
    ValueError, TypeError
        If `n_seeds` is below 10, `seed` is negative, or `n_jobs` is 0.

    Examples
    --------
    >>> from fcfast import paper
    >>> [claim.verdict for claim in paper.claims(n_seeds=10) if claim.id in ("eq. 13", "eq. 27", "r5n")]
    ['holds', 'holds with a correction', 'fails']
    """
    laboratory = Laboratory(
        validation.integer(n_seeds, "n_seeds", 10), validation.integer(seed, "seed", 0), resolve_n_jobs(n_jobs)
    )
    return judge_all(laboratory, progress)


def judge_all(laboratory: Laboratory, progress: Callable[[str], object] | None = None) -> list[Claim]:
    """Judge every claim from the evidence of one laboratory."""
    judged = []
    for entry in ENTRIES:
        if progress is not None:
            progress(entry.id)
        result = entry.judge(laboratory)
        judged.append(Claim(entry.id, entry.where, entry.statement, result.verdict, result.correction, result.evidence))
    return judged
