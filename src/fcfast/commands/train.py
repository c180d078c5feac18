"""``fcfast train``: train on a data file, report scores on held-out samples, and write a model file."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from fcfast.commands.options import (
    FORMS,
    NETWORK,
    Activation,
    Comment,
    DataFile,
    Dataset,
    Decimal,
    Delimiter,
    FileWidth,
    Header,
    Hidden,
    Ids,
    Impute,
    InitScale,
    Jobs,
    Layer,
    MaxGradNorm,
    MemoryLimit,
    Missing,
    Momentum,
    OptimizerName,
    ScheduleName,
    Target,
    TargetType,
    Task,
    TestFile,
    TestTarget,
    Thousands,
    Transpose,
    WeightDecay,
    in_data,
    in_output,
    in_training,
    widths,
)
from fcfast.commands.shared import (
    check_file,
    choice,
    clear_errors,
    collected_warnings,
    ending_on_interrupt,
    json_text,
    limit_in_bytes,
    listed,
    number,
    progress_on_terminal,
    screen,
    tell_user,
)

if TYPE_CHECKING:
    from fcfast.commands.data import Array, Samples
    from fcfast.estimators import FrontClassifier, FrontRegressor

LARGEST_RATE = 0.01  # largest default learning rate of SGD


def train(
    data: DataFile,
    save: Annotated[Path, in_output(help="Model file to write, .safetensors.")],
    target: Target = None,
    task: Task = "auto",
    target_type: TargetType = "auto",
    ids: Ids = None,
    test: Annotated[
        float | None,
        in_data(
            min=0,
            max=0.99,
            help="Share of the samples to hold out for testing; 0: no test.",
            show_default="the file's own test part, else 0.2",
        ),
    ] = None,
    test_file: TestFile = None,
    test_target: TestTarget = None,
    header: Header = None,
    delimiter: Delimiter = None,
    comment: Comment = None,
    missing: Missing = None,
    decimal: Decimal = ".",
    thousands: Thousands = None,
    transpose: Transpose = None,
    layer: Layer = None,
    dataset: Dataset = None,
    n_features: FileWidth = None,
    impute: Impute = "none",
    standardize: Annotated[
        bool | None,
        in_data(
            help="Scale features (and targets of a regression) to variance 1 and, unless sparse, mean 0. "
            "The model file takes raw features in either case.",
            show_default="dense data yes, sparse data no",
        ),
    ] = None,
    hidden: Hidden = "256",
    activation: Activation = "relu",
    init_scale: InitScale = None,
    form: Annotated[
        str, choice(FORMS, "Form of the first layer; all forms train the same network.", rich_help_panel=NETWORK)
    ] = "auto",
    memory_limit: MemoryLimit = 4.0,
    optimizer: OptimizerName = "sgd",
    learning_rate: Annotated[
        float | None,
        in_training(
            help="Learning rate.",
            show_default="sgd: 0.01, or 10 / (squared norm of the median sample) if smaller; muon 0.01, adam 0.001",
        ),
    ] = None,
    schedule: ScheduleName = "constant",
    batch_size: Annotated[int | None, in_training(min=1, help="Samples per step.", show_default="200, or all if fewer")] = None,
    epochs: Annotated[
        int, in_training(min=1, help="Largest number of passes over the data; training stops earlier if nothing improves.")
    ] = 200,
    momentum: Momentum = 0.9,
    weight_decay: WeightDecay = 0.0,
    max_grad_norm: MaxGradNorm = None,
    early_stopping: Annotated[
        bool,
        in_training(
            "--early-stopping", help="Hold out a tenth of the training samples and keep the network that scores best on them."
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Random seed for the split, the initial weights and the order of samples.")
    ] = 0,
    jobs: Jobs = None,
    plot: Annotated[Path | None, in_output(help="Picture of the loss curve to write, .png.")] = None,
    as_json: Annotated[bool, in_output("--json", help="Print the report as JSON, with nothing else on stdout.")] = False,
) -> None:
    """Train a network on a data file, test it on held-out samples, and save it.

    Ctrl-C ends the command with exit code 130, kill with 143; in both cases nothing is written.
    """
    sizes = widths(hidden)
    with clear_errors():
        check_file(save, "--save", ".safetensors", (data, test_file))
        check_file(plot, "--plot", ".png", (data, test_file))
        if plot is not None:
            from fcfast.plots import new_figure

            new_figure(1, 1)  # raises an error if matplotlib is missing
        written = {
            "header": header, "delimiter": delimiter, "comment": comment, "missing": missing, "decimal": decimal,
            "thousands": thousands, "transpose": transpose, "layer": layer, "dataset": dataset,
            "allow_missing": impute != "none",
        }  # fmt: skip
        source = read_source(data, target, task, target_type, n_features, ids, test, test_file, test_target, seed, written)
        settings = {
            "hidden_layer_sizes": sizes, "activation": activation, "init_scale": init_scale,
            "optimizer": optimizer, "learning_rate": learning_rate,
            "schedule": schedule, "batch_size": batch_size or "auto", "max_epochs": epochs, "momentum": momentum,
            "weight_decay": weight_decay, "max_grad_norm": max_grad_norm, "early_stopping": early_stopping, "form": form,
            "memory_limit": limit_in_bytes(memory_limit), "n_jobs": jobs, "random_state": seed,
            "missing": "error" if impute == "none" else impute,
        }  # fmt: skip
        estimator, report = run(source, settings, standardize)
        estimator.save(save)
        if plot is not None:
            from fcfast.plots import loss_curve

            loss_curve(plot, estimator)
        report |= {"model": str(save), "plot": None if plot is None else str(plot)}
    if as_json:
        print(json_text(report))
        return
    for sentence in report["warnings"]:
        tell_user(f"warning: {sentence}")
    for line in summary(report):
        screen.print(line, highlight=False, markup=False)


@dataclass(frozen=True)
class Source:
    """The training and test samples, and how they were chosen."""

    task: str
    train: "Samples"
    test: "Samples | None"
    feature_names: list[str] | None
    about: dict[str, Any]  # for the report


def read_source(
    data: Path,
    target: str | None,
    asked_task: str,
    target_type: str,
    n_features: int | None,
    ids: str | None,
    share: float | None,
    test_file: Path | None,
    test_target: str | None,
    seed: int,
    written: dict[str, Any],
) -> Source:
    """Read the data and hold out a test set; `written` holds further options of `read_table`."""
    import numpy as np

    from fcfast.commands.data import (
        Samples,
        in_order,
        refuse_repeated,
        refuse_untrained,
        split,
        targets_like,
        task_of,
        type_of_targets,
        with_targets,
    )
    from fcfast.datafiles import read_table

    if test_file is not None and share is not None:
        raise ValueError("--test and --test-file were both given; use one of them")
    if test_target is not None and test_file is None:
        raise ValueError("--test-target was given without --test-file")
    table = read_table(data, target, n_features=n_features, ids=ids, target_type=target_type, **written)
    tell_user(f"{data}: {table}")
    table = with_targets(table, data)
    if table.feature_names is not None:
        refuse_repeated(table.feature_names, data)  # or `fcfast predict` could not tell them apart
    y, task, reason = task_of(table, data, asked_task)
    if task == "classification" and len(np.unique(y)) < 2:
        raise ValueError(f"{data}: the target is {str(y[0])!r} in every sample; at least two classes are needed")
    about = {"data": str(data), "task": task, "task_reason": reason, "n_features": table.X.shape[1]}
    if test_file is None:
        rows, test_rows, how = split(y, table.n_train, share, task == "classification", seed)
        test = Samples(table.X, y, test_rows) if len(test_rows) else None
    else:
        rows, how = np.arange(len(y)), str(test_file)
        names = table.feature_names  # columns without names are identified by position, as in the training file
        other = read_table(
            test_file, test_target or target, n_features=table.X.shape[1], ids=ids if names is None else None, features=names,
            target_type=type_of_targets(y), **written,
        )  # fmt: skip
        tell_user(f"{test_file}: {other}")
        other = with_targets(other, test_file)
        X, _ = in_order(other, table.feature_names, table.X.shape[1], test_file)
        test_y = targets_like(y, other, test_file, task)
        test = Samples(X, test_y, np.arange(len(test_y)))
    about |= {"n_train": len(rows), "n_test": 0 if test is None else len(test.rows), "test_set": how}
    if task == "classification":
        refuse_untrained(y, rows, data)
    about["untested_classes"] = []
    if task == "classification" and test is not None:
        about["untested_classes"] = np.setdiff1d(y[rows], test.targets()).tolist()
    return Source(task, Samples(table.X, y, rows), test, table.feature_names, about)


def run(source: Source, settings: dict[str, Any], standardize: bool | None) -> tuple[Any, dict[str, Any]]:
    """Train and test; return the estimator of raw data and the report."""
    import numpy as np

    from fcfast.commands.data import (
        already_looked_at,
        is_standardized,
        measured_targets,
        predictions,
        seen_in_training,
        training_rows,
    )
    from fcfast.commands.scores import scores
    from fcfast.estimators import FrontClassifier, FrontRegressor
    from fcfast.optimizers import OPTIMIZERS
    from fcfast.scaling import Scaling, of_raw_data

    started = time.perf_counter()
    standardized = is_standardized(source.train, standardize)
    features = training_rows(source.train)
    targets = measured_targets(source.train, source.task) if standardized else None
    y = Scaling(None, targets).scaled_targets(source.train.targets())
    if settings["init_scale"] is None:
        settings["init_scale"] = 0.1 if features.shape[1] > features.shape[0] else 1.0
    if settings["learning_rate"] is None:
        seen = seen_in_training(features, standardized, settings["missing"])
        settings["learning_rate"] = OPTIMIZERS[settings["optimizer"]].rate_to_try or default_rate(seen)
    kind: type[FrontClassifier | FrontRegressor] = FrontClassifier if source.task == "classification" else FrontRegressor
    estimator = kind(**settings, standardize=standardized)
    with already_looked_at(source.train.X):
        sentences = fit(estimator, features, y)
    raw = of_raw_data(estimator, None, targets)
    seconds = time.perf_counter() - started
    test = source.test
    result = None
    if test is not None:
        predicted = predictions(raw, test.X, test.rows)
        result = scores(test.targets(), predicted, source.task == "classification")
    if source.feature_names is not None:
        raw.feature_names_in_ = np.array(source.feature_names, dtype=object)
    elif hasattr(raw, "feature_names_in_"):
        del raw.feature_names_in_  # names that occur more than once
    return raw, source.about | {
        "standardized": standardized,
        "hidden": list(settings["hidden_layer_sizes"]),
        "learning_rate": settings["learning_rate"],
        "form": estimator.form_,
        "form_reason": estimator.plan_.reason,
        "n_epochs": estimator.n_epochs_,
        "loss": estimator.loss_curve_[-1],
        "seconds": seconds,
        "test": result,
        "warnings": sentences,
    }


def fit(estimator: "FrontClassifier | FrontRegressor", X: Any, y: "Array") -> list[str]:
    """Fit with progress on a terminal; return the warnings."""
    with ending_on_interrupt(), collected_warnings() as sentences, progress_on_terminal(estimator.max_epochs) as tell:
        tell("reading the data", 0)

        def after_epoch(state: Any) -> None:
            score = "" if state.validation_score is None else f"  validation {state.validation_score:.3f}"
            tell(f"loss {number(state.loss)}{score}", state.epoch)

        estimator.fit(X, y, callbacks=[after_epoch])
    if not estimator.loss_curve_:
        raise ValueError(f"training diverged in its first epoch; lower --learning-rate (it was {estimator.learning_rate:.3g})")
    return sentences


def default_rate(X: Any) -> float:
    """Choose a learning rate at which the front layer does not overshoot.

    A step on a sample changes its pre-activations in proportion to its squared norm. The median of these norms is used, because
    a few huge samples, as in word counts, would otherwise stop all the others from learning.
    """
    import numpy as np

    from fcfast.gram.measures import squared_norms

    with np.errstate(over="ignore"):  # reported below
        norms = squared_norms(X)
    typical = float(np.median(norms))
    if not np.isfinite(typical):
        raise ValueError("the features have values so large that their squares overflow; use another unit")
    return LARGEST_RATE if typical == 0 else min(LARGEST_RATE, 10 / typical)


def summary(report: dict[str, Any]) -> list[RenderableType]:
    """Describe the training and its results."""
    from fcfast.commands.scores import lines

    said: list[RenderableType] = [
        f"{report['task']} ({report['task_reason']}): {report['n_train']} samples x {report['n_features']} features"
        + (", standardised" if report["standardized"] else ""),
        f"form {report['form']} ({report['form_reason']})",
        f"{report['n_epochs']} epochs in {report['seconds']:.1f} s, learning rate {number(report['learning_rate'])}, "
        f"last training loss {number(report['loss'])}",
    ]
    if report["test"] is not None:
        said += [f"\ntest on {report['n_test']} samples ({report['test_set']}):", *lines(report["test"])]
        if untested := report["untested_classes"]:
            said.append(f"without a test sample: {listed(list(map(str, untested)))}")
    written = [report["model"], *([report["plot"]] if report["plot"] else [])]
    return [*said, f"\nwritten: {', '.join(written)}"]
