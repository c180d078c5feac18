"""NoProp on MNIST, Fashion-MNIST and wide data: its variants, methods of prediction, and the end-to-end baseline.

Reproduce: python -m bench.noprop {mnist,fashion,wide,picture} [--seeds 3] [--epochs N] [--out docs/noprop]
The command writes <out>/<run>.json, and tables in <out>/<run>.md. Finished results stay in the JSON and are not computed again
unless their settings have changed. --epochs sets the number of epochs of all variants, for trials. Nothing is tuned on the
scored samples.

mnist, fashion  Pixels / 255, T = 10, h = (256, 128), one-hot, AdamW as in the paper, batches of 128. An epoch of "dt" is ten
                passes over the data, one of "ct" and "fm" one pass. Fashion-MNIST with a cosine schedule, and 16
                epochs of "dt": after 10 it is at 88.4 %.
wide            5-fold stratified cross-validation, features standardised on each training part, balanced accuracy; two scales
                of the front layers' initial weights, both shown, beside FrontClassifier, untuned.
picture         docs/images/noprop.png, of scikit-learn's digits.
"""

import argparse
import json
import shlex
import sys
import time
import warnings
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from bench import data as real_data
from bench.measure import markdown
from bench.settings import CLASSIC, CLASSIC_BLOCKS
from fcfast import FrontClassifier, NoPropClassifier
from fcfast.commands.shared import json_text, progress_on_terminal
from fcfast.config import config
from fcfast.estimators.noprop_settings import STEPS
from fcfast.files import write_text
from fcfast.noprop.variants import Inference
from fcfast.plots import trajectory_figure

BLOCKS = {"n_blocks": 10, "hidden": (256, 128)}

IMAGE_DATA = {"mnist": "mnist", "fashion": "fashion_mnist"}
IMAGES = BLOCKS | {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-3, "batch_size": 128}
IMAGE_VARIANTS = {
    "dt": {"max_epochs": 10},
    "ct": {"max_epochs": 40},
    "fm": {"max_epochs": 40},
    "backprop": {"max_epochs": 10},
}
FASHION_EPOCHS = {"dt": 16, "ct": 40, "fm": 40}
N_TRAIN = 60_000
N_STEPS = 5, 10, 20, 50, 100  # of inference, where it takes any number
N_RUNS = 5  # of inference with noise, as in the paper

WIDE_DATA = "nakayama_sarcoma", "singh_prostate"
WIDE = BLOCKS | {"optimizer": "neuron-adam", "learning_rate": 1e-4, "weight_decay": 0.0, "form": "contributions"}
WIDE_VARIANTS = {"dt": {"max_epochs": 100}, "ct": {"max_epochs": 1000}, "fm": {"max_epochs": 1000}}
WIDE_SCALES = 0.1, 1.0
WIDE_BASELINE = CLASSIC | {"hidden_layer_sizes": (256,), "init_scale": 0.1, "learning_rate": 0.003, "random_state": 0}
N_FOLDS = 5


# ----------------------------------------------------------------------------------------------------------------------
# images


@cache
def images(data):
    """Training images and labels, test images and labels."""
    arrays = real_data.load(data)
    X, y = arrays["X"].astype(np.float32) / 255, arrays["y"]
    return (X[:N_TRAIN], y[:N_TRAIN]), (X[N_TRAIN:], y[N_TRAIN:])


def image_runs(run, n_seeds):
    """Name and settings of each."""
    for variant, own in IMAGE_VARIANTS.items():
        if run == "fashion":
            if variant == "backprop":  # takes as long as all others together
                continue
            own = own | {"schedule": "cosine", "max_epochs": FASHION_EPOCHS[variant]}
        for seed in range(n_seeds):
            yield f"{variant}, seed {seed}", IMAGES | own | {"data": IMAGE_DATA[run], "variant": variant, "random_state": seed}


def image_run(data, settings, tell):
    """Train, and find labels in all ways; shares of wrong answers."""
    train, test = images(data)
    classifier, seconds = fitted(NoPropClassifier(**CLASSIC_BLOCKS | settings), *train, tell)
    tell("scoring")
    by_block = [1 - score for score in classifier.accuracy_by_block(*test)]
    result = {
        "train": 1 - classifier.score(*train), "test": by_block[-1], "block 1": by_block[0], "by block": by_block,
        "seconds per epoch": seconds, "losses": classifier.loss_curve_,
    }  # fmt: skip
    if classifier.variant in ("dt", "ct"):
        result |= noisy_errors(classifier, *test)
    if classifier.variant in ("ct", "fm"):
        result["by steps"] = errors_by_steps(classifier, *test)
    if classifier.variant == "ct":
        result["deterministic by steps"] = errors_by_steps(classifier.set_params(update="deterministic"), *test)
    return result


def fitted(classifier, X, y, tell):
    """The trained classifier, and the median time of an epoch."""
    clock = [time.perf_counter()]

    def note(epoch):
        clock.append(time.perf_counter())
        tell(f"epoch {epoch.epoch} of {epoch.max_epochs}")

    return classifier.fit(X, y, callbacks=[note]), float(np.median(np.diff(clock)))


def noisy_errors(classifier, X, y):
    """Errors with noise: of single runs, as in the paper, and of their mean probabilities."""
    network, how = classifier.network_, Inference(noise=True, n_steps=STEPS.get(classifier.variant))
    preactivations = network.fronts.preactivations(X)
    runs = []
    for run in range(N_RUNS):
        *_, (_, probabilities) = network.trajectory(preactivations, len(X), run, how)
        runs.append(probabilities)
    errors = [float(np.mean(classifier.classes_[p.argmax(axis=1)] != y)) for p in (*runs, np.mean(runs, axis=0))]
    return {"noisy, single runs": errors[:-1], "noisy, averaged": errors[-1]}


def errors_by_steps(classifier, X, y):
    """Errors with other numbers of steps."""
    return {str(n): 1 - classifier.set_params(n_steps=n).score(X, y) for n in N_STEPS}


def image_tables(results):
    """Errors of the variants, and of other numbers of steps."""
    keys = "train", "test", "noisy, single runs", "noisy, averaged", "block 1"
    rows = [["variant", "epochs", "train", "test, mean path", "noisy, single run", "noisy, averaged", "block 1", "s / epoch"]]
    by_steps = [["steps of inference", *map(str, N_STEPS)]]
    for variant, found in grouped(results, ", seed").items():
        errors = (spread([np.mean(result[key]) for result in found]) if key in found[0] else "-" for key in keys)
        seconds = np.mean([result["seconds per epoch"] for result in found])
        rows.append([variant, str(found[0]["settings"]["max_epochs"]), *errors, f"{seconds:.1f}"])
        for key, name in (("by steps", variant), ("deterministic by steps", f"{variant}, deterministic")):
            if key in found[0]:
                by_steps.append([name, *(spread([result[key][str(n)] for result in found]) for n in N_STEPS)])
    note = "Errors in percent, mean ± standard error over seeds. Block 1: answers after the first block, or the first step."
    return f"{note}\n\n{markdown(rows)}\n\n{markdown(by_steps)}"


# ----------------------------------------------------------------------------------------------------------------------
# wide data


def wide_runs(_, n_seeds):
    """Name and settings of each."""
    for data in WIDE_DATA:
        yield f"{data}, FrontClassifier", {"data": data}
        for variant, own in WIDE_VARIANTS.items():
            for scale in WIDE_SCALES:
                for seed in range(n_seeds):
                    chosen = {"data": data, "variant": variant, "init_scale": scale, "random_state": seed}
                    yield f"{data}, {variant} {scale}, seed {seed}", WIDE | own | chosen


def wide_run(data, settings, tell):
    """Balanced accuracies of the folds, after the first block too, and seconds of a fit."""
    arrays = real_data.load(data)
    X, y = arrays["X"].astype(np.float32), arrays["y"]
    stages, seconds = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer members than folds, and of losses that end too high
        for k, (train, test) in enumerate(StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(X, y)):
            tell(f"fold {k + 1}")
            scaler = StandardScaler().fit(X[train])
            started = time.perf_counter()
            model = wide_model(settings).fit(scaler.transform(X[train]), y[train])
            seconds.append(time.perf_counter() - started)
            stages.append(scores_by_stage(model, scaler.transform(X[test]), y[test]))
    result = {"test": [scores[-1] for scores in stages], "seconds": float(np.mean(seconds))}
    return result | ({"block 1": [scores[0] for scores in stages]} if settings else {})


def wide_model(settings):
    return NoPropClassifier(**CLASSIC_BLOCKS | settings) if settings else FrontClassifier(**WIDE_BASELINE)


def scores_by_stage(model, X, y):
    """Balanced accuracy after each block, or step."""
    stages = model.staged_predict_proba(X) if isinstance(model, NoPropClassifier) else [model.predict_proba(X)]
    return [float(balanced_accuracy_score(y, model.classes_[p.argmax(axis=1)])) for p in stages]


def wide_tables(results):
    """Balanced accuracies."""
    rows = [["data", "model, init_scale", "balanced accuracy", "block 1", "s / fit"]]
    for name, found in grouped(results, ", seed").items():
        folds = [np.mean([result[key] for result in found], axis=0) for key in ("test", "block 1") if key in found[0]]
        scores = [*map(spread, folds), "-"][:2]
        rows.append([*name.split(", "), *scores, f"{np.mean([result['seconds'] for result in found]):.2f}"])
    note = (
        f"Percent: mean over seeds and {N_FOLDS} folds ± standard error over folds. Block 1: answers after the first block, or "
        "the first step."
    )
    return f"{note}\n\n{markdown(rows)}"


# ----------------------------------------------------------------------------------------------------------------------
# both


def grouped(results, end):
    """Results by the part of their names before some text."""
    groups = {}
    for name, result in results.items():
        groups.setdefault(name.split(end)[0], []).append(result)
    return groups


def spread(values):
    """Mean and standard error in percent."""
    error = f" ± {100 * np.std(values, ddof=1) / len(values) ** 0.5:.2f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.2f}{error}"


def report(run, tables, results):
    """Write it all, with the commands that made it and what they ran on."""
    commands = "\n".join(dict.fromkeys(result["command"] for result in results.values()))
    machines = dict.fromkeys("\n".join(f"- {k}: {v}" for k, v in result["machine"].items()) for result in results.values())
    dates = sorted({result["date"][:10] for result in results.values()})
    made = "\n\n".join([*machines, f"Trained from {dates[0]} to {dates[-1]}."])
    return f"# NoProp: {run}\n\n```\n{commands}\n```\n\n{tables}\n\n## Made with\n\n{made}\n"


def finish(runs, earlier, train, keep):
    """Train what is not there yet with the same settings; all results by name."""
    results, facts = {}, {"command": shlex.join(["python", "-m", "bench.noprop", *sys.argv[1:]]), "machine": config()}
    with progress_on_terminal(len(runs)) as tell:
        for k, (name, settings) in enumerate(runs.items()):
            known = earlier.get(name)
            if known is None or known["settings"] != settings:
                own = dict(settings)
                found = train(own.pop("data"), own, lambda what, name=name, k=k: tell(f"{name}, {what}", k))
                date = datetime.now(timezone.utc).isoformat(timespec="seconds")
                known = {"settings": settings, **found, **facts, "date": date}
                keep(earlier | results | {name: known})
            results[name] = known
    return results


KINDS = dict.fromkeys(IMAGE_DATA, (image_runs, image_run, image_tables)) | {"wide": (wide_runs, wide_run, wide_tables)}


def draw(file):
    """How labels emerge from noise, of two digits that the first block is unsure of and two ordinary ones."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    train, test = slice(1500), slice(1500, None)
    picture = CLASSIC_BLOCKS | {"hidden": (64, 32), "max_epochs": 20, "random_state": 0}
    classifier = NoPropClassifier(**picture).fit(X[train], y[train])
    certainty = next(classifier.staged_predict_proba(X[test])).max(axis=1)
    trajectory_figure(file, classifier, X[test][np.argsort(certainty)[[0, 5, 150, 250]]])


def main():
    """Do what is not done yet, and write all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", choices=(*KINDS, "picture"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of all variants, instead of their own")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "noprop")
    options = parser.parse_args()
    if options.run == "picture":
        draw(options.out.parent / "images" / "noprop.png")
        return
    planned, train, tables = KINDS[options.run]
    given = {"max_epochs": options.epochs} if options.epochs else {}
    runs = {
        name: json.loads(json.dumps(settings | (given if "variant" in settings else {})))  # as they will be read again
        for name, settings in planned(options.run, options.seeds)
    }
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"{options.run}.json"
    earlier = json.loads(file.read_text(encoding="utf-8"))["runs"] if file.exists() else {}
    results = finish(runs, earlier, train, lambda found: write_text(file, json_text({"runs": found})))
    text = report(options.run, tables(results), results)
    write_text(file.with_suffix(".md"), text)
    print(text)


if __name__ == "__main__":
    main()
