"""``fcfast train``: train on a data file, report scores on held-out samples, and write a model file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fcfast.commands import options
from fcfast.commands.cards import with_report
from fcfast.commands.fitting import trained
from fcfast.commands.losses import Delta, Levels, LossName, asked_loss, settings_for
from fcfast.commands.options import AUTO, SEED, in_network, in_output, in_training, target_of, widths
from fcfast.commands.scaling import scaling_of, standardize_option
from fcfast.commands.shared import check_file, choice, clear_errors, json_text, limit_in_bytes, screen, tell_user
from fcfast.commands.summary import summary
from fcfast.commands.survival import TASK as SURVIVAL
from fcfast.commands.survival import Event, Time, asked_columns, refuse_other_options
from fcfast.commands.texts import asked_texts
from fcfast.commands.trainingdata import Wanted, read_source
from fcfast.commands.validation import Scoring, ValidationSet, asked_validation, refuse_in_blocks
from fcfast.optimizers import OPTIMIZERS, SCHEDULES


def train(
    data: options.DataFile,
    save: Annotated[Path, in_output(help="Model file to write, .safetensors.")],
    plot: Annotated[Path | None, in_output(help="Picture of the loss curve to write, .png.")] = None,
    as_json: Annotated[bool, in_output("--json", help="Print the report as JSON, with nothing else on stdout.")] = False,
    target: options.Target = None,
    time: Time = None,
    event: Event = None,
    task: options.Task = "auto",
    target_type: options.TargetType = "auto",
    loss: LossName = None,
    levels: Levels = None,
    delta: Delta = None,
    test: options.TestShare = None,
    test_file: options.TestFile = None,
    test_target: options.TestTarget = None,
    validation: ValidationSet = None,
    early_stopping: Annotated[
        bool,
        options.in_tests(
            "--early-stopping",
            help="Keep the network that scores best on the samples of --validation, or on a tenth of the training samples.",
        ),
    ] = False,
    scoring: Scoring = None,
    ids: options.Ids = None,
    header: options.Header = None,
    delimiter: options.Delimiter = None,
    comment: options.Comment = None,
    missing: options.Missing = None,
    decimal: options.Decimal = ".",
    thousands: options.Thousands = None,
    transpose: options.Transpose = None,
    layer: options.Layer = None,
    dataset: options.Dataset = None,
    n_features: options.FileWidth = None,
    block_rows: options.BlockRows = None,
    text: options.Text = None,
    vectorizer: options.TextVectorizer = None,
    ngrams: options.Ngrams = None,
    min_count: options.MinCount = None,
    bits: options.Bits = None,
    impute: options.Impute = "none",
    standardize: Annotated[
        str | None,
        standardize_option(
            "Scale features (and targets of a regression) to mean 0 and variance 1. The model file takes raw features anyway.",
            rich_help_panel=options.DATA,
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
    activation: options.Activation = "relu",
    init_scale: Annotated[float, in_network(help="Factor of the random initial weights.")] = 1.0,
    form: Annotated[
        str,
        choice(options.FORMS, "Form of the first layer; all forms train the same network.", rich_help_panel=options.NETWORK),
    ] = "auto",
    memory_limit: options.MemoryLimit = 4.0,
    optimizer: Annotated[
        str,
        choice(
            (AUTO, *OPTIMIZERS),
            "Optimiser; auto: Adagrad for classes of over 2000 sparse samples with more features, else SGD.",
            rich_help_panel=options.TRAINING,
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
            rich_help_panel=options.TRAINING,
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
    momentum: options.Momentum = 0.9,
    weight_decay: Annotated[
        float | None,
        in_training(min=0, help="L2 penalty on all weights and biases.", show_default="for each layer, less with more samples"),
    ] = None,
    max_grad_norm: options.MaxGradNorm = None,
    label_smoothing: Annotated[
        float, in_training(help="Share of the target probability that is spread evenly over all classes, below 1.")
    ] = 0.0,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Random seed for the split, the initial weights and the order of samples.")
    ] = SEED,
    jobs: options.Jobs = None,
) -> None:
    """Train a network on a data file, test it on held-out samples, and save it.

    For numbers: fcfast train data.csv --target kind --save model.safetensors

    For texts: fcfast train reviews.csv --target label --text review --ngrams 1-2 --save model.safetensors

    For survival times: fcfast train patients.csv --time days --event died --save model.safetensors

    For counts, quantiles and numbers with outliers add --loss; repeat --target for several.

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

        def settings_of(task: str) -> dict[str, Any]:
            return settings_for(task, settings, given_loss, label_smoothing)

        if rows is None:
            wanted = Wanted(
                data, named, task, target_type, n_features, ids, test, test_file, test_named, seed, written, texts, validated
            )
            source = read_source(wanted)
            estimator, report = trained(source, settings_of(source.task))
        else:
            refuse_whole(data, named, ids, test_named, impute, text)
            refuse_in_blocks(data, validated)
            estimator, report = train_in_blocks(
                data, rows, n_features, target_type, task, test, test_file, settings_of, inputs[-1]
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


def given(option: Any) -> Any:
    """Give the value of an option, or what the estimators call a value that was not given."""
    return AUTO if option is None else option
