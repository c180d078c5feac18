"""``fcfast plan``: predict the time and memory of each form of the first layer, for numbers or for a data file."""

from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from fcfast.commands import options
from fcfast.commands.options import widths
from fcfast.commands.scaling import scaling_of, standardize_option
from fcfast.commands.shared import choice, clear_errors, json_text, limit_in_bytes, screen, tell_user
from fcfast.commands.texts import asked_texts
from fcfast.optimizers import OPTIMIZERS
from fcfast.rules import RULES

if TYPE_CHECKING:
    from fcfast.commands.texts import Texts
    from fcfast.planning.plan import Plan


OUTPUTS = 10  # classes, unless something is known about the target
LARGEST = 10**100  # 1e999999999 would fill the memory


def count(text: str | int) -> int:
    """Read a count, such as 100000 or 1e5."""
    try:
        value = Decimal(text)
        if 1 <= value < LARGEST and value == value.to_integral_value():
            return int(value)
    except ArithmeticError:
        pass
    raise typer.BadParameter(f"{text!r} is not a whole number above 0; write 100000, or 1e5")


def plan(
    samples: Annotated[
        str, typer.Argument(metavar="SAMPLES|DATA", help="Number of training samples (1e5 is 100000), or a data file.")
    ],
    features: Annotated[
        int | None,
        typer.Argument(parser=count, help="Number of input features, after a number of samples.", show_default=False),
    ] = None,
    hidden: Annotated[
        str,
        typer.Option(help="Widths of the hidden layers, such as 256,128.", show_default="as in training, by the samples"),
    ] = options.AUTO,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Samples per step, or all if there are fewer.", show_default="as in training"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data.", show_default="as in training")] = None,
    outputs: Annotated[
        int | None, typer.Option(min=1, help="Classes or targets.", show_default="10, or those of the file's target")
    ] = None,
    dtype: Annotated[str, choice(("float32", "float64"), "Precision of the computation.")] = "float32",
    density: Annotated[
        float | None,
        typer.Option(
            help="Share of nonzero entries in sparse data, assumed to be spread evenly over the features. In text they are "
            "not, and the work before the first step can take forty times as long.",
            show_default="dense, or that of the file",
        ),
    ] = None,
    optimizer: Annotated[str, choice((options.AUTO, *OPTIMIZERS), "Optimiser.")] = options.AUTO,
    momentum: Annotated[float, typer.Option(min=0, help="Momentum of SGD and Muon, below 1.")] = 0.9,
    rule: Annotated[str, choice(tuple(RULES), "Learning rule.")] = "backprop",
    memory_limit: Annotated[float, typer.Option(min=0, help="Memory in GiB that training may use beside the data.")] = 4.0,
    target: options.Target = None,
    target_type: options.TargetType = "auto",
    ids: options.Ids = None,
    test: options.TestShare = None,
    text: options.Text = None,
    vectorizer: options.TextVectorizer = None,
    ngrams: options.Ngrams = None,
    min_count: options.MinCount = None,
    bits: options.Bits = None,
    header: options.Header = None,
    delimiter: options.Delimiter = None,
    comment: options.Comment = None,
    missing: options.Missing = None,
    decimal: options.Decimal = ".",
    thousands: options.Thousands = None,
    transpose: options.Transpose = None,
    layer: options.Layer = None,
    dataset: options.Dataset = None,
    standardize: Annotated[
        str | None,
        standardize_option(
            "How features of a file are scaled, as in training.",
            rich_help_panel=options.DATA,
            show_default="dense data yes, sparse data no",
        ),
    ] = None,
    remeasure: Annotated[bool, typer.Option("--remeasure", help="Measure this machine again (a third of a second).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Predict the time and memory of training in each form of the first layer, and choose one.

    Give the numbers of samples and features, or a data file: what is planned then is fcfast train, which holds out samples for
    testing; --test 0 plans for all of them.
    """
    written = {
        "target": options.target_of(target), "target_type": target_type, "ids": ids, "header": header, "delimiter": delimiter,
        "comment": comment,
        "missing": missing, "decimal": decimal, "thousands": thousands, "transpose": transpose, "layer": layer,
        "dataset": dataset,
    }  # fmt: skip
    with clear_errors():
        from fcfast.optimizers import make_optimizer
        from fcfast.planning.plan import plan_for
        from fcfast.planning.problem import Problem
        from fcfast.rules import make_rule
        from fcfast.training.compiled import is_compiled

        texts = asked_texts(text, vectorizer, ngrams, min_count, bits)
        problem = numbers_given(samples, features, density) if is_number(samples) else None
        if problem is None:
            if features is not None or density is not None:
                raise ValueError(f"{samples} is a data file, which has its own numbers; leave out FEATURES and --density")
            problem = of_file(Path(samples), dtype, scaling_of(standardize), written, texts, test)
        elif given := [
            name for name, value in (written | {"text": text, "test": test}).items() if value not in (None, "auto", ".")
        ]:
            raise ValueError(f"--{given[0].replace('_', '-')} is for a data file, but numbers were given; leave it out")
        n_outputs, task = problem.pop("n_outputs"), problem.pop("task")
        planned = training(problem, task, hidden, batch_size, epochs, optimizer)
        how, learning_rule = make_optimizer(planned.pop("optimizer"), momentum, 0.0, False, 0.0, None), make_rule(rule)
        whole = Problem(
            **problem, **planned, n_outputs=outputs or n_outputs, dtype=dtype, optimizer=how, rule=learning_rule,
            compiled=is_compiled(learning_rule, how),
        )  # fmt: skip
        result = plan_for(whole, memory_limit=limit_in_bytes(memory_limit), remeasure=remeasure)
    if as_json:
        costs = {name: asdict(cost) for name, cost in result.costs.items()}
        print(json_text({"form": result.form, "reason": result.reason, "window": result.window, "costs": costs}))
        return
    screen.print(table(result))
    screen.print(str(result), highlight=False, markup=False)


def is_number(text: str) -> bool:
    """Tell a number from the path of a data file, which may not exist."""
    try:
        Decimal(text)
    except ArithmeticError:
        return False
    return True


def training(
    problem: dict[str, Any], task: str | None, hidden: str, batch_size: int | None, epochs: int | None, optimizer: str
) -> dict[str, Any]:
    """Give the training that is planned: what was asked for, and the estimator's own choices.

    If the task is not known, they are those of a classification, and the user is told so where it matters.
    """
    from fcfast.estimators import automatic
    from fcfast.losses import make_loss

    n_samples, n_features = problem["n_samples"], problem["n_features"]
    text = automatic.is_text(problem["density"] is not None, n_samples, n_features)
    if optimizer == options.AUTO:
        loss = make_loss("squared_error" if task == "regression" else "cross_entropy")
        optimizer = automatic.optimizer(text, loss, True).value
    rests = bool(OPTIMIZERS[optimizer]().rests) and problem["density"] is not None
    sizes = automatic.hidden_layer_sizes(n_samples, False, None, text).value if hidden == options.AUTO else widths(hidden)
    batch = min(batch_size or automatic.batch_size(n_samples, n_samples, False).value, n_samples)
    of_classes, of_numbers = (
        automatic.max_epochs(n_samples, batch, constants, rests).value for constants in (automatic.CLASSES, automatic.NUMBERS)
    )
    if epochs is None and task is None and of_classes != of_numbers:
        tell_user(f"planned for the {of_classes} epochs of a classification; a regression has {of_numbers} (--epochs)")
    epochs = epochs or (of_numbers if task == "regression" else of_classes)
    in_span = automatic.suits_span(n_samples, n_features)
    return {"hidden": sizes, "batch_size": batch, "n_epochs": epochs, "in_span": in_span, "optimizer": optimizer}


def numbers_given(samples: str, features: int | None, density: float | None) -> dict[str, Any]:
    """Give what a plan has to know of training inputs that the user describes."""
    if features is None:
        raise typer.BadParameter(f"the number of features is missing after {samples} samples", param_hint="FEATURES")
    return {"n_samples": count(samples), "n_features": features, "density": density, "n_outputs": OUTPUTS, "task": None}


def of_file(
    data: Path,
    dtype: str,
    standardize: bool | str | None,
    written: dict[str, Any],
    texts: "Texts | None",
    share: float | None,
) -> dict[str, Any]:
    """Give what a plan has to know of the inputs in a file that `fcfast train` would train on."""
    import numpy as np

    from fcfast.commands.data import Samples, is_standardized, seen_in_training, split, task_of, training_rows, with_targets
    from fcfast.commands.texts import columns_of, learned
    from fcfast.datafiles import read_table
    from fcfast.planning.problem import of_inputs

    table = read_table(data, allow_missing=texts is None, text=None if texts is None else texts.columns, **written)
    tell_user(f"{data}: {table}")
    table = with_targets(table, data)
    n_outputs, task, y = OUTPUTS, None, np.zeros(table.X.shape[0])
    if table.y is not None:
        y, task, _ = task_of(table, data, "auto")
        has_classes = task == "classification" and y.ndim == 1
        n_outputs = len(np.unique(y)) if has_classes else y.reshape(len(y), -1).shape[1]
    rows, held_out, _ = split(y, table.n_train, share, task == "classification" and y.ndim == 1, options.SEED)
    tell_user(f"planned for {len(rows):,} training samples; {len(held_out):,} are held out for testing (--test)")
    if texts is None:
        X = training_rows(Samples(table.X, y, rows))
    else:
        made = learned(texts, columns_of(table, texts.columns), table.X[rows], data)
        tell_user(f"features: {made}")
        X = made.transform(table.X[rows])
    X = seen_in_training(X, is_standardized(Samples(X, y, rows), standardize), "error")
    return of_inputs(X, dtype) | {"n_outputs": n_outputs, "task": task}


def table(result: "Plan") -> Table:
    """Make a table with one row per form."""
    from fcfast.units import bytes_text, duration

    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("form", "once", "an epoch", "in all", "memory", ""):
        rows.add_column(heading, justify="left" if heading in ("form", "") else "right")
    for name, cost in result.costs.items():
        figures = [duration(s) for s in (cost.seconds_once, cost.seconds_per_epoch, cost.seconds)]
        rows.add_row(name, *figures, bytes_text(cost.n_bytes), "chosen" if name == result.form else cost.reason)
    return rows
