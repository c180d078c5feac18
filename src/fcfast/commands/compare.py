"""``fcfast compare``: learning rules side by side on a data file."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fcfast.commands.compared import CURVES, REPORT, RESULTS, earlier_commands, facts, read_earlier, report, table
from fcfast.commands.options import (
    DATA,
    FORMS,
    NETWORK,
    Activation,
    Bits,
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
    MinCount,
    Missing,
    Momentum,
    Ngrams,
    OptimizerName,
    ScheduleName,
    Target,
    TargetType,
    Task,
    TestFile,
    TestTarget,
    Text,
    TextVectorizer,
    Thousands,
    Transpose,
    WeightDecay,
    in_network,
    in_output,
    in_tests,
    in_training,
    target_of,
    widths,
)
from fcfast.commands.scaling import scaling_of, standardize_option
from fcfast.commands.shared import (
    check_folder,
    choice,
    clear_errors,
    collected_warnings,
    json_text,
    limit_in_bytes,
    progress_on_terminal,
    screen,
    tell_user,
)
from fcfast.commands.texts import asked_texts
from fcfast.commands.trainingdata import Source, Wanted, read_source
from fcfast.files import write_text

if TYPE_CHECKING:
    from fcfast.comparison import Comparison
    from fcfast.sources import Standardized

LARGEST_BATCH = 100  # by default, so that an epoch of few samples still has several steps


def compare(
    data: DataFile,
    rules: Annotated[
        str,
        typer.Option(
            help="Rules, separated by commas, with settings after colons: lg-fg-a:groups=16,forward-gradient:guess=ntk. "
            "A rule with its own learning rate, fg-w:rate=0.003, is not tuned. An unknown name prints the list of rules.",
        ),
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data in every training.")] = 30,
    seeds: Annotated[int, typer.Option(min=1, help="Number of trainings of each rule with its learning rate.")] = 3,
    tune: Annotated[
        int,
        typer.Option(
            min=1,
            help="Learning rates tried for each rule, scored on held-out training samples; 1: use the rule's default.",
        ),
    ] = 5,
    tune_epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data when tuning; the same as --epochs by default.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Learning rate for all rules, instead of tuning.")] = None,
    only: Annotated[bool, typer.Option("--only", help="Do not add backprop and frozen, the two baselines.")] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="First random seed, also used for the splits.")] = 0,
    jobs: Jobs = None,
    target: Target = None,
    task: Task = "auto",
    target_type: TargetType = "auto",
    ids: Ids = None,
    test: Annotated[
        float | None,
        in_tests(
            min=0,
            max=0.99,
            help="Share of the samples to hold out for testing.",
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
    text: Text = None,
    vectorizer: TextVectorizer = None,
    ngrams: Ngrams = None,
    min_count: MinCount = None,
    bits: Bits = None,
    impute: Impute = "none",
    standardize: Annotated[
        str | None,
        standardize_option(
            "Train on features (and targets of a regression) of variance 1 and, unless sparse, mean 0.",
            rich_help_panel=DATA,
            show_default="dense data yes, sparse data no",
        ),
    ] = None,
    hidden: Hidden = "256,256",
    groups: Annotated[
        int,
        in_network(min=1, help="Groups of units in the hidden layers above the first; a group is connected only to itself."),
    ] = 1,
    activation: Activation = "relu",
    init_scale: InitScale = None,
    form: Annotated[
        str, choice(FORMS, "Form of the first layer; noise on weights needs weights.", rich_help_panel=NETWORK)
    ] = "auto",
    memory_limit: MemoryLimit = 4.0,
    optimizer: OptimizerName = "sgd",
    schedule: ScheduleName = "constant",
    batch_size: Annotated[
        int | None,
        in_training(min=1, help="Samples per step.", show_default="100, or a tenth of the training samples if fewer"),
    ] = None,
    momentum: Momentum = 0.9,
    weight_decay: WeightDecay = 0.0,
    max_grad_norm: MaxGradNorm = None,
    memory: Annotated[
        bool, in_output("--memory", help="Measure the peak memory of a training in a separate process (Linux).")
    ] = False,
    out: Annotated[
        Path | None,
        in_output(
            help=f"Folder for {RESULTS}, {REPORT} and {CURVES}, created if missing. Results in it are not computed again, so "
            "that an interrupted comparison continues, and rules can be added."
        ),
    ] = None,
    as_json: Annotated[bool, in_output("--json", help="Print JSON, with nothing else on stdout.")] = False,
) -> None:
    """Compare learning rules with the same initial weights, batches and number of tried learning rates.

    Learning rates are never chosen on the test set. Ctrl-C ends the command with exit code 130, kill with 143; results of
    finished rules are in --out.
    """
    scaled = scaling_of(standardize)
    with clear_errors():
        limit = limit_in_bytes(memory_limit)
    network = {
        "hidden_layer_sizes": widths(hidden), "groups": groups, "activation": activation, "init_scale": init_scale,
        "form": form, "memory_limit": limit, "optimizer": optimizer, "schedule": schedule,
        "batch_size": batch_size, "momentum": momentum, "weight_decay": weight_decay,
        "max_grad_norm": max_grad_norm, "n_jobs": jobs,
    }  # fmt: skip
    budget = {"epochs": epochs, "n_seeds": seeds, "n_rates": tune, "tune_epochs": tune_epochs, "learning_rate": learning_rate}
    with clear_errors():
        from fcfast.comparison import chosen_rules

        chosen = list(chosen_rules(split_names(rules), only))
        if out is not None:
            check_out(out)
        written = {
            "header": header, "delimiter": delimiter, "comment": comment, "missing": missing, "decimal": decimal,
            "thousands": thousands, "transpose": transpose, "layer": layer, "dataset": dataset,
            "allow_missing": impute != "none",
        }  # fmt: skip
        texts = asked_texts(text, vectorizer, ngrams, min_count, bits)
        wanted = Wanted(
            data, target_of(target), task, target_type, n_features, ids, test, test_file, target_of(test_target), seed, written,
            texts,
        )  # fmt: skip
        source = read_source(wanted)
        refuse_labels(source)
        about = source.about | {"commands": []}
        comparison, sentences = run(
            source, scaled, impute, network, out, about, rules=chosen, only=True, seed=seed, memory=memory, **budget
        )
        if out is not None:
            from fcfast.plots import comparison_figure

            write_text(out / REPORT, report(comparison, about))
            comparison_figure(out / CURVES, comparison)
    if as_json:
        print(json_text(comparison.to_dict() | {"about": about}))
        return
    for sentence in sentences:
        tell_user(f"warning: {sentence}")
    for line in (facts(comparison, about), *map(table, *zip(*comparison.sheets(), strict=True))):
        screen.print(line, highlight=False, markup=False)
    if out is not None:
        screen.print(f"written to {out}: {RESULTS}, {REPORT}, {CURVES}", highlight=False, markup=False)


def refuse_labels(source: Source) -> None:
    """Refuse several labels and missing targets, which the comparison does not score."""
    y = source.train.y
    if y.ndim == 2 and (source.task == "classification" or (y != y).any()):
        raise ValueError(
            f"the target has {y.shape[1]} columns of labels, or lacks some values; fcfast compare needs one column of classes, "
            "or numbers without gaps (--task regression for 0 and 1)"
        )


def split_names(rules: str) -> list[str]:
    """Split the value of --rules."""
    names = rules.split(",") if rules.strip() else []
    if not all(name.strip() for name in names):
        raise ValueError(f"--rules {rules!r} has a stray comma: there is no rule before or after it; remove it")
    return names


def check_out(out: Path) -> None:
    """Check before the computation that the folder can be written and that matplotlib is installed."""
    from fcfast.plots import new_figure

    check_folder(out, "--out")
    new_figure(1, 1)


def run(
    source: Source,
    standardize: bool | str | None,
    impute: str,
    network: dict[str, Any],
    out: Path | None,
    about: dict[str, Any],
    **settings: Any,
) -> tuple["Comparison", list[str]]:
    """Compare with progress on a terminal and store finished results in a folder; return the warnings too.

    `about` records the commands that trained a rule: earlier ones, and this one if it trains any.
    """
    from fcfast import comparison

    if source.test is None:
        raise ValueError("--test 0 leaves no samples to compare the rules on; hold out some samples")
    X, y, X_test, y_test = scaled_samples(source, standardize, impute)
    if network["init_scale"] is None:
        network["init_scale"] = 0.1 if X.shape[1] > X.shape[0] else 1.0
    if network["batch_size"] is None:
        network["batch_size"] = max(1, min(LARGEST_BATCH, X.shape[0] // 10))
    budget = {name: settings[name] for name in ("epochs", "n_seeds", "n_rates", "tune_epochs", "learning_rate")}

    command = shlex.join(["fcfast", *sys.argv[1:]])

    def keep(finished: "Comparison") -> None:
        if command not in about["commands"]:
            about["commands"].append(command)
        if out is not None:
            out.mkdir(exist_ok=True)
            write_text(out / RESULTS, json_text(finished.to_dict() | {"about": about}))

    earlier = None
    if out is not None:
        earlier = read_earlier(out / RESULTS)
        about["commands"] += earlier_commands(out / RESULTS)
    n_epochs = comparison.n_epochs(len(settings["rules"]), **budget)
    with collected_warnings() as sentences, progress_on_terminal(n_epochs) as tell:
        result = comparison.compare(
            X, y, test=(X_test, y_test), task=source.task, earlier=earlier, after_rule=keep, tell=tell, **settings, **network
        )
    return result, sentences


def scaled_samples(source: Source, standardize: bool | str | None, impute: str) -> tuple[Any, Any, Any, Any]:
    """Return training and test samples, by default of mean 0 and variance 1 over the training part, loaded into memory."""
    from fcfast import sources
    from fcfast.commands.data import is_standardized, measured, measured_targets
    from fcfast.scaling import Scaling, scaled

    train, test = source.train, source.test
    assert test is not None
    if impute != "none" or any(isinstance(part.X, sources.Source) for part in (train, test)):
        is_scaled = is_standardized(train, standardize)
        targets = Scaling(None, measured_targets(train, source.task) if is_scaled else None)
        samples = sources.as_source(train.X)[train.rows]
        seen = sources.Standardized(samples, is_scaled, "error" if impute == "none" else impute, "float32")
        others = seen.like(sources.as_source(test.X)[test.rows])
        y, y_test = (targets.scaled_targets(part.targets()) for part in (train, test))
        return loaded(seen), y, loaded(others), y_test
    scaling = measured(train, source.task, standardize)
    X, X_test = (scaled(part.X, part.rows, scaling.inputs, "float32") for part in (train, test))
    y, y_test = (scaling.scaled_targets(part.targets()) for part in (train, test))
    return X, y, X_test, y_test


def loaded(samples: "Standardized") -> Any:
    """Read samples into memory, sparse ones by rows."""
    if samples.is_sparse:
        return samples.read(slice(0, samples.shape[1])).tocsr()
    return samples.dense("float32")
