"""Rules that turn measured numbers into a verdict."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fcfast.paper.evidence.laboratory import Laboratory

HOLDS, CORRECTED, FAILS = "holds", "holds with a correction", "fails"
# For evidence that cannot be measured here; the correction then gives the reason.
NOT_MEASURED = "not measured"

# Identities are evaluated once, in float64, on numbers of order 1; the error of a wrong formula is 1e-3 or more.
ROUNDING = 1e-12

Numbers = dict[str, float]


@dataclass(frozen=True)
class Judgement:
    """A verdict, the necessary correction (if any), and the numbers behind it."""

    verdict: str
    evidence: Numbers
    correction: str = ""


@dataclass(frozen=True)
class Entry:
    """A claim before it is judged: its name, its place in the paper, its statement, and the function that judges it."""

    id: str
    where: str
    statement: str
    judge: "Callable[[Laboratory], Judgement]"


@dataclass
class Register:
    """A collection of the entries of a module in the order of their definition."""

    entries: list[Entry] = field(default_factory=list)

    def __call__(
        self, id: str, where: str, statement: str
    ) -> "Callable[[Callable[[Laboratory], Judgement]], Callable[[Laboratory], Judgement]]":
        def add(judge: "Callable[[Laboratory], Judgement]") -> "Callable[[Laboratory], Judgement]":
            self.entries.append(Entry(id, where, statement, judge))
            return judge

        return add


def judge(as_printed: float, evidence: Numbers, limit: float = ROUNDING) -> Judgement:
    """Judge a statement that needs no correction: it holds if its error stays below the limit."""
    return Judgement(HOLDS if as_printed < limit else FAILS, evidence)


def judge_corrected(
    as_printed: float, corrected: float, correction: str, evidence: Numbers, limit: float = ROUNDING
) -> Judgement:
    """Judge a statement with a proposed correction, by which of the two errors stays below the limit."""
    if as_printed < limit:
        return Judgement(HOLDS, evidence)
    if corrected < limit:
        return Judgement(CORRECTED, evidence, correction)
    return Judgement(FAILS, evidence)
