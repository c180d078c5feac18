"""The arguments of `read_table`, checked."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import cast

from fcfast.datafiles.cells import MISSING, Cells
from fcfast.datafiles.columns import Target
from fcfast.datafiles.dialect import WORDS
from fcfast.datafiles.labels import TARGET_TYPES


@dataclass(frozen=True)
class Asked:
    """The arguments of `read_table`."""

    target: Target = None
    header: bool | None = None
    n_features: int | None = None
    ids: str | int | None = None
    features: Collection[str] | None = None
    delimiter: str | None = None
    comment: str | None = None
    transpose: bool | None = None
    target_type: str = "auto"
    cells: Cells = field(default_factory=Cells)
    layer: str | None = None
    dataset: str | None = None
    allow_missing: bool = False
    text: tuple[str | int, ...] = ()
    more: tuple[str | int, ...] = ()  # further targets, beside the first
    marks: str | int | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets that are asked for."""
        return () if self.target is None else (self.target, *self.more)

    def refuse_several(self, source: object, remedy: str) -> None:
        """Raise a ValueError if several targets are asked for."""
        if self.more:
            raise ValueError(f"{source} cannot hold {len(self.targets)} targets by name; {remedy}")


def several_targets(target: Target | Sequence[str | int]) -> tuple[Target, tuple[str | int, ...]]:
    """Give the first target, and the others if there are several."""
    if not isinstance(target, (list, tuple)):
        return cast(Target, target), ()
    if not target:
        raise ValueError("target is an empty list; name one or several targets, or leave it out")
    first, *others = target
    return first, tuple(others)


def text_of(text: str | int | Sequence[str | int] | None) -> tuple[str | int, ...]:
    """Convert the columns of texts to a tuple."""
    if text is None:
        return ()
    columns = (text,) if isinstance(text, (str, int)) else tuple(text)
    if not columns:
        raise ValueError("text is empty; give the name or the index of a column of texts, or None")
    return columns


def delimiter_of(asked: str | None) -> str | None:
    """Convert the cell separator: one character, or a word for it."""
    if asked is None:
        return None
    delimiter = WORDS.get(asked.lower(), asked)
    if len(delimiter) != 1 or delimiter in '"\r\n' or delimiter.isalnum():
        raise ValueError(
            f"delimiter {asked!r} is unknown; use one character, or one of {', '.join(WORDS)} (space: any white space)"
        )
    return delimiter


def cells_of(decimal: str, thousands: str | None, missing: str | Collection[str] | None) -> Cells:
    """Check the arguments about the notation of cells."""
    if decimal not in (".", ","):
        raise ValueError(f"decimal must be '.' or ',', got {decimal!r}")
    if thousands is not None and (thousands == decimal or len(thousands) != 1 or thousands.isalnum() or thousands in "+-"):
        raise ValueError(f"thousands must be one character other than the decimal mark {decimal!r}, got {thousands!r}")
    if missing is None:
        words: Collection[str] = MISSING
    else:
        words = missing.split(",") if isinstance(missing, str) else missing
        words = {"", *(word.strip().lower() for word in words)}
    return Cells(decimal, thousands, words)


def check_target_type(target_type: str) -> None:
    """Raise a ValueError if the target type is unknown."""
    if target_type not in TARGET_TYPES:
        raise ValueError(f"target_type {target_type!r} is unknown; use one of {', '.join(TARGET_TYPES)}")
