"""Rules by name, with settings and a learning rate in the same text, and the learning rates to try for them."""

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import numpy as np
from sklearn.utils.extmath import row_norms

from fcfast import validation
from fcfast.comparison.noprop import NoProp
from fcfast.noprop.variants import VARIANTS
from fcfast.optimizers import OPTIMIZERS, Optimizer
from fcfast.rules import RULES, Rule, make_rule

BASELINES = ("backprop", "frozen")
RATE = "rate"  # a setting in the text of a rule that does not belong to the rule
Method = Rule | NoProp
METHODS: dict[str, Method] = {**RULES, **{f"noprop-{variant}": NoProp(variant) for variant in VARIANTS}}
DECADES = 1.0  # of a grid of learning rates on either side of its centre


def parse_rule(text: str) -> Method:
    """Parse the name of a rule and, after colons, settings that differ from its defaults.

    Parameters
    ----------
    text : str
        One of `fcfast.rules.RULES`, or of "noprop-dt", "noprop-ct", "noprop-fm" and "noprop-backprop" (`NoProp`), optionally
        with settings, as in "lg-fg-a:groups=16:block_size=2". Join the sizes of several layers by x:
        "local-loss:head_layer_sizes=64x32". Any rule also takes a learning rate, as in "fg-w:rate=0.003". The rate is checked
        here but is not a part of the rule; `compare` trains with it instead of tuning.

    Raises
    ------
    ValueError
        If a name, a setting or a value is invalid, or a rate is not finite and above 0.

    Examples
    --------
    >>> from fcfast.comparison import parse_rule
    >>> parse_rule("lg-fg-a:groups=16").groups
    16
    """
    return _rule_and_rate(text)[0]


def given_rate(text: str) -> float | None:
    """Return the learning rate in the text of a rule, or None.

    Examples
    --------
    >>> from fcfast.comparison import given_rate
    >>> given_rate("fg-w:rate=0.003")
    0.003
    """
    return _rule_and_rate(text)[1]


def _rule_and_rate(text: str) -> tuple[Method, float | None]:
    name, *settings = text.strip().split(":")
    rule = METHODS[validation.choice(name, "rule", METHODS)]
    defaults = {field.name: field.default for field in fields(rule)}  # type: ignore[arg-type]  # every rule is a dataclass
    changed: dict[str, Any] = {}
    rate = None
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in (*defaults, RATE):
            has = f"write {name}:NAME=VALUE with one of {', '.join((*defaults, RATE))}"
            raise ValueError(f"rule {text!r}: {setting!r} is not a setting; {has}")
        if key == RATE:
            rate = _rate(text, value)
        else:
            changed[key] = _setting(text, key, value, defaults[key])
    try:
        return replace(rule, **changed), rate  # type: ignore[type-var]  # a dataclass, as above
    except (ValueError, TypeError) as error:
        raise ValueError(f"rule {text!r}: {error}") from error


def _rate(text: str, value: str) -> float:
    try:
        rate = float(value)
    except ValueError:
        raise ValueError(f"rule {text!r}: {RATE}={value!r} is not a number") from None
    try:
        return validation.positive(rate, RATE)
    except ValueError as error:
        raise ValueError(f"rule {text!r}: {error}") from error


def _setting(text: str, key: str, value: str, default: Any) -> Any:
    """Parse a value of the same type as the default."""
    if isinstance(default, bool):
        return validation.choice(value.lower(), f"rule {text!r}: {key}", ("true", "false")) == "true"
    try:
        if isinstance(default, int):
            return int(value)
        if isinstance(default, tuple):
            return tuple(int(size) for size in value.split("x"))
    except ValueError:
        wanted = "a whole number" if isinstance(default, int) else "sizes such as 64 or 64x32"
        raise ValueError(f"rule {text!r}: {key}={value!r} is not {wanted}") from None
    return {"true": True, "false": False}.get(value.lower(), value)


def rule_name(rule: Method) -> str:
    """Return the name with the fewest settings that `parse_rule` reads as this rule.

    Examples
    --------
    >>> from fcfast.comparison import rule_name
    >>> from fcfast.rules import ForwardGradient
    >>> rule_name(ForwardGradient(target="local", guess="gaussian", n_tangents=4))
    'lg-fg-a:n_tangents=4'
    """
    names: list[list[str]] = []
    for name, base in METHODS.items():
        if type(base) is type(rule):
            pairs = [(f.name, getattr(rule, f.name), getattr(base, f.name)) for f in fields(rule)]  # type: ignore[arg-type]
            names.append([name, *(f"{key}={_written(value)}" for key, value, own in pairs if value != own)])
    shortest = min(names, key=len)
    return ":".join(shortest)


def _written(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def chosen_rules(rules: Iterable[str | Method], only: bool = False) -> dict[str, Method]:
    """Return each rule once by name (with its rate, if any), with the missing baselines added, sorted by `in_order`."""
    given = [
        _rule_and_rate(rule) if isinstance(rule, str) else (rule if isinstance(rule, NoProp) else make_rule(rule), None)
        for rule in validation.sequence(rules, "rules")
    ]
    named = {rule_name(rule) + ("" if rate is None else f":{RATE}={rate:.15g}"): rule for rule, rate in given}
    if not named:
        raise ValueError(f"rules is empty; give at least one of {', '.join(METHODS)}")
    if not only:
        present = {_base(name) for name in named}
        named |= {name: METHODS[name] for name in BASELINES if name not in present}
    return {name: named[name] for name in in_order(named)}


def in_order(names: Iterable[str]) -> list[str]:
    """Put backpropagation first and frozen hidden layers last; keep the order of the others."""
    first, last = BASELINES
    return sorted(names, key=lambda name: (_base(name) == last) - (_base(name) == first))


def _base(name: str) -> str:
    return name.partition(":")[0]


# ----------------------------------------------------------------------------------------------------------------------
# learning rates


def default_rate(rule: Method, X: Any, optimizer: str | Optimizer = "sgd", momentum: float = 0.9) -> float:
    """Return the learning rate at the centre of the grid for a rule.

    With SGD and momentum 0.9 it is 0.1 for backpropagation, and smaller if the median squared norm of the inputs is above 100,
    because a step changes the pre-activations of the front layer in proportion to this norm. Noise needs smaller rates, on
    weights even more than on activations. Directions that are not normalised, and training of the output layer alone, allow
    larger rates. The steps of other optimisers do not depend on the length of the gradient.

    Parameters
    ----------
    rule : Rule
    X : ndarray or sparse matrix of shape (N, d)
    optimizer : str or Optimizer
    momentum : float

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.comparison import default_rate, parse_rule
    >>> [round(default_rate(parse_rule(name), np.ones((5, 4))), 4) for name in ("backprop", "fg-a", "fg-w")]
    [0.1, 0.01, 0.001]
    """
    kind = OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer
    if kind.rate_to_try is not None:
        return float(kind.rate_to_try)
    return getattr(rule, "rate_factor", 1.0) * (1 - momentum) * 100 / max(100.0, float(np.median(row_norms(X, squared=True))))


def rate_grid(centre: float, n_rates: int) -> list[float]:
    """Return `n_rates` rates, evenly spaced on a logarithmic scale, from a tenth of the centre to ten times it."""
    centre, n_rates = validation.positive(centre, "centre"), validation.size(n_rates, "n_rates")
    exponents = np.linspace(-DECADES, DECADES, n_rates) if n_rates > 1 else np.zeros(1)
    with np.errstate(over="ignore", under="ignore"):  # reported
        rates = [float(f"{rate:.3g}") for rate in centre * 10**exponents]
    if not 0 < rates[0] <= rates[-1] < np.inf:
        raise ValueError(f"centre={centre:g} is not a usable learning rate: its grid goes from {rates[0]:g} to {rates[-1]:g}")
    return rates
