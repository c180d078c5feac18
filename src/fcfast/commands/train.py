"""``fcfast train``: train on a data file, report scores on held-out samples, and write a model file."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from fcfast.commands.cards import with_report
from fcfast.commands.fitting import fit, training_report
from fcfast.commands.losses import NAMES, Delta, Levels, LossName, asked_loss
from fcfast.commands.options import (
    AUTO,
    DATA,
    FORMS,
    NETWORK,
    SEED,
    TRAINING,
    Activation,
    Bits,
    BlockRows,
    Comment,
    DataFile,
    Dataset,
    Decimal,
    Delimiter,
    FileWidth,
    Header,
    Ids,
    Impute,
    Jobs,
    Layer,
    MaxGradNorm,
    MemoryLimit,
    MinCount,
    Missing,
    Momentum,
    Ngrams,
    Target,
    TargetType,
    Task,
    TestFile,
    TestShare,
    TestTarget,
    Text,
    TextVectorizer,
    Thousands,
    Transpose,
    in_network,
    in_output,
    in_training,
    target_of,
    widths,
)
from fcfast.commands.scaling import scaling_of, standardize_option
from fcfast.commands.shared import (
    check_file,
    choice,
    clear_errors,
    json_text,
    limit_in_bytes,
    listed,
    number,
    screen,
    tell_user,
)
from fcfast.commands.survival import TASK as SURVIVAL
from fcfast.commands.survival import Event, Time, asked_columns, refuse_other_options, strata_of
from fcfast.commands.texts import Texts, asked_texts, columns_of, texts_of, vectorized
from fcfast.commands.validation import (
    HELD_OUT,
    TEST,
    Asked,
    Scoring,
    ValidationSet,
    asked_validation,
    for_fit,
    marked_parts,
    refuse_in_blocks,
    shared_off,
    split_by_marks,
    validation_line,
    validation_report,
)
from fcfast.optimizers import OPTIMIZERS, SCHEDULES
from fcfast.sources.standardized import SCALE

SCALED = {SCALE: "divided by their deviations"}  # what is done to features, unless they are standardised

if TYPE_CHECKING:
    from fcfast.commands.data import Samples
    from fcfast.text import TextFeatures


def train(
    data: DataFile,
    save: Annotated[Path, in_output(help="Model file to write, .safetensors.")],
    target: Target = None,
    time: Time = None,
    event: Event = None,
    task: Task = "auto",
    target_type: TargetType = "auto",
    ids: Ids = None,
    test: TestShare = None,
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
    block_rows: BlockRows = None,
    text: Text = None,
    vectorizer: TextVectorizer = None,
    ngrams: Ngrams = None,
    min_count: MinCount = None,
    bits: Bits = None,
    impute: Impute = "none",
    standardize: Annotated[
        str | None,
        standardize_option(
            "Scale features (and targets of a regression) to mean 0 and variance 1. The model file takes raw features anyway.",
            rich_help_panel=DATA,
            show_default="dense data yes (large outliers count less), sparse data no",
        ),
    ] = None,
    hidden: Annotated[
        str,
        in_network(
            help="Widths of the hidden layers, such as 256,128.",
            show_default="64 for up to 1000 samples and for much sparse text, else 256",
        ),
    ] = AUTO,
    activation: Activation = "relu",
    init_scale: Annotated[float, in_network(help="Factor of the random initial weights.")] = 1.0,
    form: Annotated[
        str, choice(FORMS, "Form of the first layer; all forms train the same network.", rich_help_panel=NETWORK)
    ] = "auto",
    memory_limit: MemoryLimit = 4.0,
    optimizer: Annotated[
        str,
        choice(
            (AUTO, *OPTIMIZERS),
            "Optimiser; auto: Adagrad for classes of over 2000 sparse samples with more features, else SGD.",
            rich_help_panel=TRAINING,
        ),
    ] = AUTO,
    learning_rate: Annotated[
        float | None,
        in_training(help="Learning rate of all layers.", show_default="one for each layer, by its shape"),
    ] = None,
    schedule: Annotated[
        str,
        choice(
            (AUTO, *SCHEDULES),
            "Schedule of the learning rate; auto: constant for one batch, else cosine.",
            rich_help_panel=TRAINING,
        ),
    ] = AUTO,
    batch_size: Annotated[
        int | None, in_training(min=1, help="Samples per step.", show_default="all up to 1000, else 100")
    ] = None,
    epochs: Annotated[
        int | None,
        in_training(
            min=1,
            help="Passes over the data.",
            show_default="5 or more for sparse text, 20 to 200 for other classes, up to 1000 for numbers",
        ),
    ] = None,
    momentum: Momentum = 0.9,
    weight_decay: Annotated[
        float | None,
        in_training(min=0, help="L2 penalty on all weights and biases.", show_default="for each layer, less with more samples"),
    ] = None,
    max_grad_norm: MaxGradNorm = None,
    loss: LossName = None,
    levels: Levels = None,
    delta: Delta = None,
    label_smoothing: Annotated[
        float, in_training(help="Share of the target probability that is spread evenly over all classes, below 1.")
    ] = 0.0,
    early_stopping: Annotated[
        bool,
        in_training(
            "--early-stopping",
            help="Keep the network that scores best on the samples of --validation, or on a tenth of the training samples.",
        ),
    ] = False,
    validation: ValidationSet = None,
    scoring: Scoring = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Random seed for the split, the initial weights and the order of samples.")
    ] = SEED,
    jobs: Jobs = None,
    plot: Annotated[Path | None, in_output(help="Picture of the loss curve to write, .png.")] = None,
    as_json: Annotated[bool, in_output("--json", help="Print the report as JSON, with nothing else on stdout.")] = False,
) -> None:
    """Train a network on a data file, test it on held-out samples, and save it.

    For numbers: fcfast train data.csv --target kind --save model.safetensors

    For texts: fcfast train reviews.csv --target label --text review --ngrams 1-2 --save model.safetensors

    For survival times: fcfast train patients.csv --time days --event died --save model.safetensors

    Ctrl-C ends the command with exit code 130, kill with 143; in both cases nothing is written.
    """
    sizes = AUTO if hidden == AUTO else widths(hidden)
    with clear_errors():
        from fcfast.commands.blocks import refuse_whole, rows_of_block, train_in_blocks

        validated = asked_validation(validation, scoring, early_stopping)
        inputs = data, test_file, None if validated is None else validated.file
        check_file(save, "--save", ".safetensors", inputs)
        check_file(plot, "--plot", ".png", inputs)
        if plot is not None:
            from fcfast.plots import new_figure

            new_figure(1, 1)  # raises an error if matplotlib is missing
        written = {
            "header": header, "delimiter": delimiter, "comment": comment, "missing": missing, "decimal": decimal,
            "thousands": thousands, "transpose": transpose, "layer": layer, "dataset": dataset,
            "allow_missing": impute != "none",
        }  # fmt: skip
        texts = asked_texts(text, vectorizer, ngrams, min_count, bits, early_stopping and validated is None)
        rows = rows_of_block(data, block_rows)
        times_and_events = asked_columns(time, event, target)
        if times_and_events is not None:
            refuse_other_options(task, label_smoothing, loss, text, rows is not None, data)
            task = SURVIVAL
        given_loss = asked_loss(loss, levels, delta, task)
        task = task if given_loss is None else "regression"
        named, test_named = times_and_events or target_of(target), target_of(test_target)
        settings: dict[str, Any] = {
            "hidden_layer_sizes": sizes, "activation": activation, "init_scale": init_scale,
            "optimizer": optimizer, "learning_rate": given(learning_rate),
            "schedule": schedule, "batch_size": given(batch_size), "max_epochs": given(epochs), "momentum": momentum,
            "weight_decay": given(weight_decay), "standardize": given(scaling_of(standardize)), "max_grad_norm": max_grad_norm,
            "early_stopping": early_stopping, "scoring": scoring, "form": form,
            "memory_limit": limit_in_bytes(memory_limit), "n_jobs": jobs, "random_state": seed,
            "missing": "error" if impute == "none" else impute,
        }  # fmt: skip

        def settings_for(task: str) -> dict[str, Any]:
            if task == SURVIVAL:
                return settings
            if task == "classification":
                return settings | {"label_smoothing": label_smoothing}
            if label_smoothing != 0:
                raise ValueError(f"--label-smoothing {label_smoothing:g} is for classes, but the task is regression")
            scales = settings["standardize"]
            if given_loss is None:
                return settings | {"standardize_targets": True if scales == SCALE else scales}
            scaled = AUTO if not given_loss.may_scale_targets else True if scales == SCALE else scales
            return settings | {
                "standardize_targets": scaled,
                "loss": given_loss.name if levels is None and delta is None else given_loss,
            }

        if rows is None:
            source = read_source(
                data, named, task, target_type, n_features, ids, test, test_file, test_named, seed, written, texts, validated
            )
            estimator, report = run(source, settings_for(source.task))
        else:
            refuse_whole(data, named, ids, test_named, impute, text)
            refuse_in_blocks(data, validated)
            estimator, report = train_in_blocks(
                data, rows, n_features, target_type, task, test, test_file, settings_for, inputs[-1]
            )
        estimator.card_ = with_report(estimator.card_, report, data, named, test_file)
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
    text: "TextFeatures | None" = None  # how texts became features
    validation: "Samples | None" = None  # that --validation names
    target_names: list[str] | None = None  # of several columns


def read_source(
    data: Path,
    target: str | list[str] | None,
    asked_task: str,
    target_type: str,
    n_features: int | None,
    ids: str | None,
    share: float | None,
    test_file: Path | None,
    test_target: str | list[str] | None,
    seed: int,
    written: dict[str, Any],
    texts: Texts | None = None,
    validated: Asked | None = None,
) -> Source:
    """Read the data, and hold out samples to validate on and to test on; `written` holds further options of `read_table`.

    Texts become features whose words come from the training samples alone.
    """
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
    asked = None if texts is None else texts.columns
    marks = None if validated is None else validated.column
    table = read_table(
        data, target, n_features=n_features, ids=ids, target_type=target_type, text=asked, marks=marks, **written
    )
    tell_user(f"{data}: {table}")
    table = with_targets(table, data)
    if table.feature_names is not None:
        refuse_repeated(table.feature_names, data)  # or `fcfast predict` could not tell them apart
    y, task, reason = task_of(table, data, asked_task)
    has_classes = task == "classification" and y.ndim == 1
    strata, has_strata = strata_of(y), has_classes or task == SURVIVAL
    if has_classes and len(np.unique(y)) < 2:
        raise ValueError(f"{data}: the target is {str(y[0])!r} in every sample; at least two classes are needed")
    names_of_targets = table.target_names if y.ndim == 2 else None
    columns = None if texts is None else columns_of(table, texts.columns)
    about = {"data": str(data), "task": task, "task_reason": reason, "n_features": table.X.shape[1]}

    def samples_of(path: Path, target: str | list[str] | None) -> Samples:
        """Read samples like those of the data from another file."""
        # columns without names are identified by position, as in the training file
        names = None if columns else table.feature_names
        other = read_table(
            path, target, n_features=None if columns else table.X.shape[1],
            ids=ids if names is None else None, marks=marks if names is None else None, features=names,
            target_type=type_of_targets(y), text=columns, **written,
        )  # fmt: skip
        tell_user(f"{path}: {other}")
        other = with_targets(other, path)
        X = texts_of(other, columns) if columns else in_order(other, names, table.X.shape[1], path)[0]
        other_y = targets_like(y, other, path, task)
        return Samples(X, other_y, np.arange(len(other_y)))

    share = 0.0 if test_file is not None else share
    if marks is None:
        rows, test_rows, how = split(strata, table.n_train, share, has_strata, seed)
        held_out = rows[:0]
    else:
        parts = marked_parts(marks, table.marks, data)
        if test_file is not None and (parts == TEST).any():
            raise ValueError(f"--test-file was given, but the column {marks!r} marks test samples; leave one out")
        rows, held_out, test_rows, how = split_by_marks(parts, strata, table.n_train, share, has_strata, seed)
    test = Samples(table.X, y, test_rows) if len(test_rows) else None
    if test_file is not None:
        test, how = samples_of(test_file, test_target or target), str(test_file)
    if validated is not None and validated.share is not None:
        rows, held_out = shared_off(strata, rows, validated.share, has_strata, seed)
    validation = Samples(table.X, y, held_out) if len(held_out) else None
    if validated is not None and validated.file is not None:
        validation = samples_of(validated.file, target)
    about |= {"n_train": len(rows), "n_test": 0 if test is None else len(test.rows), "test_set": how}
    about |= {"validation_set": None if validated is None else validated.text}
    if has_classes:
        refuse_untrained(y, rows, data)
    about["untested_classes"] = []
    if has_classes and test is not None:
        about["untested_classes"] = np.setdiff1d(y[rows], test.targets()).tolist()
    train = Samples(table.X, y, rows)
    if texts is None or columns is None:
        return Source(task, train, test, table.feature_names, about, None, validation, names_of_targets)
    train, (test, validation), text = vectorized(texts, columns, train, (test, validation), task, seed, data)
    about |= {"n_features": text.n_features, "text": str(text)}
    return Source(task, train, test, None, about, text, validation, names_of_targets)


def run(source: Source, settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Train and test; return the estimator of raw data and the report."""
    import numpy as np

    from fcfast.commands.data import (
        already_looked_at,
        predictions,
        training_rows,
    )
    from fcfast.commands.scores import scores_of
    from fcfast.estimators import FrontClassifier, FrontRegressor, FrontSurvival
    from fcfast.scaling import of_raw_data

    started = perf_counter()
    kinds: dict[str, Any] = {"classification": FrontClassifier, "regression": FrontRegressor, SURVIVAL: FrontSurvival}
    estimator = kinds[source.task](**settings)
    read = [part.X for part in (source.train, source.validation) if part is not None]
    with already_looked_at(*read):
        sentences = fit(estimator, training_rows(source.train), source.train.targets(), **for_fit(source.validation))
    raw = of_raw_data(estimator, None)
    raw.target_names_ = None if source.target_names is None else np.array(source.target_names, dtype=object)
    seconds = perf_counter() - started
    test = source.test
    result = None
    if test is not None:
        predicted = predictions(raw, test.X, test.rows)
        result = scores_of(raw, test.targets(), predicted)
    if source.feature_names is not None:
        raw.feature_names_in_ = np.array(source.feature_names, dtype=object)
    elif hasattr(raw, "feature_names_in_"):
        del raw.feature_names_in_  # names that occur more than once
    raw.text_ = source.text
    n_validated = None if source.validation is None else len(source.validation.rows)
    report = training_report(estimator, seconds, sentences, result)
    report["validation"] = validation_report(estimator, n_validated, source.about["validation_set"] or HELD_OUT)
    return raw, source.about | report


def given(option: Any) -> Any:
    """Give the value of an option, or what the estimators call a value that was not given."""
    return AUTO if option is None else option


def summary(report: dict[str, Any]) -> list[RenderableType]:
    """Describe the training and its results."""
    from fcfast.commands.scores import lines
    from fcfast.estimators.automatic import Choice, Settings

    settings = Settings({name: Choice(**choice) for name, choice in report["settings"].items()})
    said: list[RenderableType] = [
        f"{report['task']} ({report['task_reason']}): {report['n_train']} samples x {report['n_features']} features"
        + ("" if not report["standardized"] else f", {SCALED.get(settings['standardize'], 'standardised')}"),
        *([f"loss {report['loss_function']}"] if report["loss_function"] in NAMES[1:] else []),
        *([f"features: {report['text']}"] if "text" in report else []),
        f"form {report['form']} ({report['form_reason']})",
        f"{report['n_epochs']} epochs in {report['seconds']:.1f} s, last training loss {number(report['loss'])}",
        *([] if report["validation"] is None else [validation_line(report["validation"], report["n_epochs"])]),
        *(f"  {line}" for line in str(settings).splitlines()),
    ]
    if report["test"] is not None:
        said += [f"\ntest on {report['n_test']} samples ({report['test_set']}):", *lines(report["test"])]
        if untested := report["untested_classes"]:
            said.append(f"without a test sample: {listed(list(map(str, untested)))}")
    written = [report["model"], *([report["plot"]] if report["plot"] else [])]
    return [*said, f"\nwritten: {', '.join(written)}"]
