"""Training loss against the learning rate for networks and data of many shapes: automatic rates beside one rate for all layers.

Reproduce: python -m bench.rates [--data NAME ...] [--jobs 2] [--out docs/performance/rates.json]
"Automatic" multiplies the rates that a fit without arguments chooses, `settings_["learning_rate"]`, by 2^-6 to 2^4, and gives
them to a fit as `learning_rate`, with the weight decay of `settings_`. "One rate" gives all layers the same rate, from 2^-20 to
1 (2^-14 for MNIST), and begins with Glorot's weights and no weight decay. Everything else is the default in both: scaled
features, 64 or 256 units, momentum 0.9. One thing is varied at a time: units, random subsets of the features, hidden layers,
momentum. The loss is that of the last epoch, a mean over seeds. The command writes FILE.json, a report FILE.md, and
../images/rates.png. It takes about three minutes of CPU.
"""

import argparse
import json
import os
import shlex
import sys
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from sklearn.exceptions import ConvergenceWarning

from bench import data as real_data
from bench.accuracy import machine, positive
from bench.measure import markdown
from fcfast import FrontClassifier, FrontRegressor
from fcfast.commands.shared import json_text, progress_on_terminal
from fcfast.files import write_text
from fcfast.plots import INK, PALE, new_figure, save_figure
from fcfast.training import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUT = Path(__file__).parents[1] / "docs" / "performance" / "rates.json"
FACTORS = tuple(2.0**k for k in range(-6, 5))
WAYS = "automatic", "one rate"
VARIED: dict[str, dict[str, dict[str, Any]]] = {
    "units": {f"{h:,}": {"hidden_layer_sizes": (h,)} for h in (8, 32, 128, 512, 2048)},
    "features": {},  # each problem has its own
    "hidden layers": {str(k): {"hidden_layer_sizes": (64,) * k} for k in (1, 2, 3, 4)},
    "momentum": {f"{momentum:g}": {"momentum": momentum} for momentum in (0.0, 0.9)},
}
LOWEST = 1e-6  # loss that is drawn
HALF = 0.5  # share of the loss of chance; the rate that reaches it says where a curve lies

Curve = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Data, and for how long a network is trained on them."""

    title: str
    n_samples: int | None
    features: tuple[int, ...]
    epochs: int
    n_seeds: int
    is_regression: bool = False
    lowest_rate: int = -20  # power of 2
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> type[FrontClassifier | FrontRegressor]:
        """Class of the estimator."""
        return FrontRegressor if self.is_regression else FrontClassifier

    def estimator(self, **settings: Any) -> FrontClassifier | FrontRegressor:
        """Make an estimator; what is not given is the library's choice."""
        return self.kind(**({"n_jobs": 1, "max_epochs": self.epochs} | self.settings | settings))


PROBLEMS = {
    "nakayama_sarcoma": Problem("sarcoma, 10 classes, all samples in a batch, 50 epochs", None, (100, 1000, 10_000), 50, 2),
    "riboflavin": Problem("riboflavin, numbers, all samples in a batch, 100 epochs", None, (40, 400, 4000), 100, 2, True),
    "mnist": Problem(
        "MNIST, 5,000 samples, batches of 100, 3 epochs",
        5000,
        (50, 200, 784),
        3,
        1,
        lowest_rate=-14,
        settings={"batch_size": 100},
    ),
}


# ----------------------------------------------------------------------------------------------------------------------
# training


def arrays(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples of a problem, and their targets."""
    loaded, n = real_data.load(name), PROBLEMS[name].n_samples
    return loaded["X"][:n].astype(np.float32), loaded["y"][:n]


def curves_of(name: str, problem: Problem) -> list[Curve]:
    """Say what is trained for each curve."""
    varied = VARIED | {"features": {f"{d:,}": {"n_features": d} for d in problem.features}}
    return [
        {"data": name, "varied": what, "value": value, "way": way, "settings": settings}
        for way in WAYS
        for what, values in varied.items()
        for value, settings in values.items()
    ]


def trained(curve: Curve, problem: Problem, X: np.ndarray, y: np.ndarray) -> Curve:
    """Add to a curve its rates or factors, and the loss at each of them: None where training diverged."""
    settings = dict(curve["settings"])
    chosen = np.random.default_rng(0).permutation(X.shape[1])[: settings.pop("n_features", None)]
    X = np.ascontiguousarray(X[:, chosen])
    if curve["way"] == WAYS[0]:
        found = quiet_fit(problem.estimator(**settings | {"max_epochs": 1, "random_state": 0}), X, y).settings_
        at = FACTORS
        each = [{"learning_rate": scaled(found["learning_rate"], factor)} for factor in at]
        settings["weight_decay"] = found["weight_decay"]
    else:
        at = tuple(2.0**k for k in range(problem.lowest_rate, 1))
        each = [{"learning_rate": rate} for rate in at]
        settings |= {"init": "glorot", "weight_decay": 0.0}
    losses = [mean_loss(problem, settings | rate, X, y) for rate in each]
    return curve | {"at": at, "losses": losses, "chance": chance(problem, y)}


def scaled(rates: Sequence[Sequence[float]], factor: float) -> list[tuple[float, ...]]:
    """Multiply the rates of the weights and the biases of each layer."""
    return [tuple(factor * rate for rate in of_layer) for of_layer in rates]


def mean_loss(problem: Problem, settings: Mapping[str, Any], X: np.ndarray, y: np.ndarray) -> float | None:
    """Train with each seed; give the mean loss of the last epoch, or None if a training diverged."""
    losses = []
    for seed in range(problem.n_seeds):
        model = quiet_fit(problem.estimator(**settings, random_state=seed), X, y)
        if model.outcome_ is Outcome.DIVERGED or not model.loss_curve_:
            return None
        losses.append(model.loss_curve_[-1])
    return float(np.mean(losses))


def quiet_fit(model: Any, X: np.ndarray, y: np.ndarray) -> Any:
    """Fit without warnings: rates that are too large or too small are what is looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


def chance(problem: Problem, y: np.ndarray) -> float:
    """Give the loss of the best constant outputs: the entropy of the classes, or half the variance of scaled numbers."""
    if problem.is_regression:
        return 0.5
    shares = np.unique(y, return_counts=True)[1] / len(y)
    return float(-(shares * np.log(shares)).sum())


def run(names: Iterable[str], n_jobs: int) -> list[Curve]:
    """Train all curves of some problems."""
    tasks = [curve for name in names for curve in curves_of(name, PROBLEMS[name])]
    order = {json.dumps(curve, sort_keys=True): number for number, curve in enumerate(tasks)}
    done: list[Curve | None] = [None] * len(tasks)
    with parallel_config("loky", n_jobs=n_jobs, inner_max_num_threads=1), progress_on_terminal(len(tasks)) as tell:
        work = (delayed(_timed)(curve) for curve in tasks)
        for count, (curve, result) in enumerate(Parallel(return_as="generator_unordered")(work), 1):
            done[order[json.dumps(curve, sort_keys=True)]] = result
            tell(", ".join(curve[key] for key in ("data", "varied", "value", "way")), count)
    return [curve for curve in done if curve is not None]


def _timed(curve: Curve) -> tuple[Curve, Curve]:
    started = time.process_time()
    result = trained(curve, PROBLEMS[curve["data"]], *arrays(curve["data"]))
    return curve, result | {"seconds": time.process_time() - started}


# ----------------------------------------------------------------------------------------------------------------------
# what the curves say


def best(curve: Curve) -> float:
    """Give the rate, or factor, with the smallest loss."""
    return float(min(zip(curve["at"], curve["losses"], strict=True), key=lambda pair: _or_infinite(pair[1]))[0])


def halfway(curve: Curve) -> float | None:
    """Give the smallest rate, or factor, that brings the loss to half of that of chance; None if it lies outside the curve."""
    level = np.log(HALF * curve["chance"])
    tiny = np.finfo(np.float64).tiny  # a loss can be exactly 0
    both = zip(curve["at"], curve["losses"], strict=True)
    points = [(np.log2(at), np.log(max(loss, tiny))) for at, loss in both if loss is not None]
    for (x0, y0), (x1, y1) in pairwise(points):
        if y0 > level >= y1:
            return float(2 ** (x0 + (x1 - x0) * (y0 - level) / (y0 - y1)))
    return None


def at_one(curve: Curve) -> float:
    """Give the loss with the automatic rates themselves, relative to the smallest loss."""
    losses = dict(zip(curve["at"], map(_or_infinite, curve["losses"]), strict=True))
    return losses[1.0] / min(losses.values())


def fails_from(curve: Curve) -> float | None:
    """Give the smallest rate, or factor, after which the loss is above that of chance, or None."""
    reached = False
    for at, loss in zip(curve["at"], map(_or_infinite, curve["losses"]), strict=True):
        if reached and loss > curve["chance"]:
            return float(at)
        reached = reached or loss <= curve["chance"]
    return None


def spread(values: Sequence[float | None]) -> str:
    """Write the largest value over the smallest one."""
    known = [value for value in values if value is not None]
    return f"{max(known) / min(known):.2g}" if len(known) == len(values) else "-"


def power(value: float | None) -> str:
    """Write a power of 2."""
    return "-" if value is None else f"2^{np.log2(value):.0f}"


def _or_infinite(loss: float | None) -> float:
    return np.inf if loss is None else loss


def panels(curves: Iterable[Curve]) -> dict[tuple[str, str, str], list[Curve]]:
    """Give the curves that are drawn together, by data, what is varied, and the way of choosing rates."""
    found: dict[tuple[str, str, str], list[Curve]] = {}
    for curve in curves:
        found.setdefault((curve["data"], curve["varied"], curve["way"]), []).append(curve)
    return found


# ----------------------------------------------------------------------------------------------------------------------
# the report


def summary(curves: Sequence[Curve]) -> str:
    """Make a table of how far apart curves lie."""
    rows = [[
        "data", "varied", "halfway: automatic", "halfway: one rate", "best: automatic", "best: one rate",
        "loss at 1 / smallest", "fails from",
    ]]  # fmt: skip
    found = panels(curves)
    for data, varied in dict.fromkeys(key[:2] for key in found):
        automatic, plain = (found[data, varied, way] for way in WAYS)
        failures = [at for at in map(fails_from, automatic) if at is not None]
        rows.append([
            data, varied, spread([*map(halfway, automatic)]), spread([*map(halfway, plain)]),
            spread([*map(best, automatic)]), spread([*map(best, plain)]),
            f"{max(map(at_one, automatic)):.2g}", power(min(failures, default=None)),
        ])  # fmt: skip
    return markdown(rows)


def details(curves: Sequence[Curve]) -> str:
    """Make a table of all curves."""
    rows = [["data", "varied", "value", "rates", "halfway", "best", "smallest loss", "loss at 1 / smallest", "fails from"]]
    for curve in curves:
        half = halfway(curve)
        rows.append([
            curve["data"], curve["varied"], curve["value"], curve["way"], "-" if half is None else f"{half:.2g}",
            power(best(curve)), f"{min(map(_or_infinite, curve['losses'])):.2g}",
            f"{at_one(curve):.2g}" if curve["way"] == WAYS[0] else "-", power(fails_from(curve)),
        ])  # fmt: skip
    return markdown(rows)


def report(content: Mapping[str, Any]) -> str:
    """Make the page."""
    curves = content["curves"]
    titles = "\n".join(f"- {name}: {PROBLEMS[name].title}" for name in dict.fromkeys(curve["data"] for curve in curves))
    about = "\n".join(f"- {key}: {value}" for key, value in content["machine"].items())
    return f"""# Loss against the rate

The training loss of the last epoch against a factor of the automatic rates, and against one rate for all layers.
[Settings](../settings.md#one-curve-for-all-shapes) has the conclusions.

![loss against rate](../images/rates.png)

{titles}

"Automatic" multiplies the rates of `settings_["learning_rate"]` by 2^-6 to 2^4, with the weight decay of `settings_`. "One
rate" begins with Glorot's weights, and has no weight decay, so that its loss falls until training fails. Everything else is the
default in both.

## How far apart the curves lie

"Halfway" is the smallest factor, or rate, that brings the loss to half of that of chance, and "best" the one with the smallest
loss. The columns give the largest over the smallest of all curves of a panel; "-" means that a curve does not cross the level.
"Loss at 1" is the loss with the automatic rates themselves over the smallest loss, the largest of the curves. "Fails from" is
the smallest factor with which any curve ends above chance.

{summary(curves)}

## Every curve

{details(curves)}

## Made with

```
{content["command"]}
```

{about}

Trained on {content["date"][:10]}, in {sum(curve["seconds"] for curve in curves):.0f} seconds of CPU.
"""


def figure(curves: Sequence[Curve]) -> "Figure":
    """Draw a row for each problem and way, a column for each thing that is varied."""
    found = panels(curves)
    rows = list(dict.fromkeys((data, way) for data, _, way in found))
    columns = list(dict.fromkeys(varied for _, varied, _ in found))
    drawn = new_figure(2.4 * len(columns), 1.75 * len(rows))
    axes = drawn.subplots(len(rows), len(columns), squeeze=False)
    for (data, way), line in zip(rows, axes, strict=True):
        for varied, panel in zip(columns, line, strict=True):
            draw(panel, found[data, varied, way], varied, way)
        line[0].set_ylabel(f"{data}\n{way}\ntraining loss", fontsize=7)
    return drawn


def draw(panel: "Axes", curves: Sequence[Curve], varied: str, way: str) -> None:
    """Draw the curves of a panel, between LOWEST and twice the loss of chance."""
    from matplotlib import colormaps

    colors = colormaps["viridis"](np.linspace(0, 0.85, len(curves)))
    for curve, color in zip(curves, colors, strict=True):
        losses = np.clip([*map(_or_infinite, curve["losses"])], LOWEST, 2 * curve["chance"])
        panel.loglog(curve["at"], losses, ".-", base=2, color=color, label=curve["value"], linewidth=1.1, markersize=4)
    panel.set_yscale("log", base=10)
    panel.axhline(curves[0]["chance"], color=PALE, linewidth=0.8, linestyle="--")
    if way == WAYS[0]:
        panel.axvline(1, color=INK, linewidth=0.8, linestyle=":")
    panel.set_xlabel("factor of the rates" if way == WAYS[0] else "rate", fontsize=7)
    panel.legend(title=varied, fontsize=5.5, title_fontsize=6, loc="lower left")
    panel.tick_params(labelsize=6)
    panel.grid(alpha=0.2)


def write(content: Mapping[str, Any], out: Path) -> None:
    """Write the results, the page and the figure."""
    images = out.parent.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, json_text(dict(content)))
    write_text(out.with_suffix(".md"), report(content))
    save_figure(figure(content["curves"]), images / "rates.png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--jobs", type=positive, default=os.cpu_count(), help="processes, of one thread each")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    if options.out.suffix != ".json":
        parser.error(f"--out {options.out}: the name must end in .json; the report beside it ends in .md")
    if absent := [str(real_data.path_of(name)) for name in options.data if not real_data.path_of(name).exists()]:
        parser.error(f"absent: {', '.join(absent)}; set FCFAST_DATA to the folder that has them, or name other --data")
    given = sys.argv[1:] if arguments is None else arguments
    content = {
        "command": shlex.join(["python", "-m", "bench.rates", *given]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(options.jobs),
        "curves": run(options.data, options.jobs),
    }
    write(content, options.out)
    print(f"{summary(content['curves'])}\n\n{options.out.with_suffix('.md')} has all of it")


if __name__ == "__main__":
    main()
