"""Model cards: what a network was trained on, how, and with which outcome. Model files hold them in their header.

A card is plain values, sections by name: `data`, `network`, `settings`, `parameters`, `training`, `scores`. It has the names of
files, but no paths, and no sample. `fcfast.modelfile.card` reads it from a file without reading the weights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from fcfast.modelfile.checks import require

SHOWN = 20  # labels or other items of a list in a card
DEEPEST = 8  # levels of a card

Entries = Mapping[str, Any]


class ModelCard(Mapping[str, Any]):
    """What a network was trained on, how, and with which outcome: a mapping of plain values; ``str(card)`` is a text.

    Estimators have it as `card_`, and `fcfast.modelfile.card` reads it from a file. Entries are estimator, fcfast (its
    version), trained (when training ended, in UTC; the environment variable ``SOURCE_DATE_EPOCH`` gives another time), and
    sections:

    - data: kind, type and number of samples and features, classes or outputs, and on the command line the names of files
    - network: layers, activation, precision, and the form in which it was trained
    - settings: value and reason of what "auto" stands for; parameters: all others that differ from their default
    - training: epochs, which of them was kept, its loss, and how it ended (`fcfast.training.Outcome`)
    - scores: of held-out samples

    Parameters
    ----------
    entries : mapping of str
        Plain values: None, bool, int, float, str, and lists and mappings of them.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast import FrontClassifier
    >>> X, y = np.random.default_rng(0).normal(size=(20, 300)), np.arange(20) % 2
    >>> card = FrontClassifier((8,), max_epochs=5, random_state=0).fit(X, y).card_
    >>> card["data"]
    {'kind': 'array', 'dtype': 'float64', 'samples': 20, 'features': 300, 'classes': [0, 1]}
    >>> print(str(card).splitlines()[0])
    FrontClassifier
    """

    def __init__(self, entries: Entries) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Any:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def including(self, **sections: Entries) -> "ModelCard":
        """Give the same card with more entries in some sections; paths become names of files."""
        added = {name: {**self._entries.get(name, {}), **plain(entries)} for name, entries in sections.items()}
        return ModelCard({**self._entries, **added})

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """Give section, entry and value of each line of the text; an entry outside of sections has no section."""
        for name, value in self._entries.items():
            if not isinstance(value, dict):
                yield "", printable(name), written(value)
                continue
            for entry, content in value.items():
                yield printable(name), printable(entry), written(content)

    def __str__(self) -> str:
        rows = [(section, entry, value) for section, entry, value in self.lines() if section or entry != "estimator"]
        width = max((len(entry) for _, entry, _ in rows), default=0)
        text, before = [printable(self._entries.get("estimator", ""))], ""
        for section, entry, value in rows:
            if section != before:
                text += ["", section]
            text.append(f"  {entry:<{width}}  {value}".rstrip())
            before = section
        return "\n".join(text)

    def __repr__(self) -> str:
        return f"ModelCard({self._entries!r})"


def written(value: Any) -> str:
    """Write a value of a card in a line: numbers with three digits, lists in brackets, what was chosen with the reason."""
    if isinstance(value, dict) and set(value) == {"value", "reason"}:
        return f"{written(value['value'])} ({printable(value['reason'])})"
    if isinstance(value, dict):
        return ", ".join(f"{printable(name)} {written(item)}" for name, item in value.items())
    if isinstance(value, list):
        items = [f"({written(item)})" if isinstance(item, list) else written(item) for item in value[:SHOWN]]
        return ", ".join(items) + (" ..." if len(value) > SHOWN else "")
    if isinstance(value, float):
        return f"{value:.4g}"
    if type(value) is int:
        return f"{value:,}"
    return {None: "none", True: "yes", False: "no"}.get(value, "") or printable(value)


def printable(text: Any) -> str:
    """Replace what a terminal would obey: names of features and files may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def plain(value: Any) -> Any:
    """Give a value as a card holds it: paths by the name of the file, objects by their class and settings."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)  # JSON has no NaN
    if isinstance(value, PurePath):
        return value.name
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    own = fields(value) if is_dataclass(value) and not isinstance(value, type) else ()
    return {"class": type(value).__name__, **{field.name: plain(getattr(value, field.name)) for field in own}}


def check_card(entry: Any, depth: int = 0) -> None:
    """Raise a ValueError for what no card can be; the values in it are only ever shown."""
    require(depth > 0 or isinstance(entry, dict), "its card is not an object")
    require(depth < DEEPEST, "its card is nested too deeply")
    for item in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        check_card(item, depth + 1)


def card_of(content: Entries) -> ModelCard:
    """Give the card in the header of a file; for files from before there were cards, what other entries tell.

    Raises
    ------
    ValueError
        If it is no card.
    """
    held = content.get("card")
    if held:
        check_card(held)
        return ModelCard(held)
    losses, settings = content.get("loss_curve"), content.get("settings", {})
    labels = content.get("labels")
    entries = {
        "estimator": content.get("estimator"),
        "data": {"features": (content.get("widths") or [None])[0]} | ({} if labels is None else {"classes": labels[:SHOWN]}),
        "network": {name: content[name] for name in ("widths", "activation", "dtype", "form") if name in content},
        "settings": {name: {"value": value, "reason": reason} for name, (value, reason) in settings.items()},
        "training": {"epochs": content.get("n_epochs"), "loss": losses[-1] if losses else None},
    }
    check_card(entries)
    return ModelCard({name: value for name, value in entries.items() if value})
