"""``fcfast plan``: predict the time and memory of each form of the first layer, without any data."""

from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from fcfast.commands.options import widths
from fcfast.commands.shared import choice, clear_errors, json_text, limit_in_bytes, screen
from fcfast.optimizers import OPTIMIZERS
from fcfast.rules import RULES

if TYPE_CHECKING:
    from fcfast.planning.plan import Plan


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
    samples: Annotated[int, typer.Argument(parser=count, help="Training samples; 1e5 is 100000.")],
    features: Annotated[int, typer.Argument(parser=count, help="Input features.")],
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers, such as 256,128.")] = "256",
    batch_size: Annotated[int, typer.Option(min=1, help="Samples per step, or all if there are fewer.")] = 200,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data.")] = 200,
    outputs: Annotated[int, typer.Option(min=1, help="Classes or targets.")] = 10,
    dtype: Annotated[str, choice(("float32", "float64"), "Precision of the computation.")] = "float32",
    density: Annotated[
        float | None,
        typer.Option(
            help="Share of nonzero entries in sparse data, assumed to be spread evenly over the features. In text they are "
            "not, and the work before the first step can take forty times as long.",
            show_default="dense",
        ),
    ] = None,
    optimizer: Annotated[str, choice(OPTIMIZERS, "Optimiser.")] = "sgd",
    momentum: Annotated[float, typer.Option(min=0, help="Momentum of SGD and Muon, below 1.")] = 0.9,
    rule: Annotated[str, choice(tuple(RULES), "Learning rule.")] = "backprop",
    memory_limit: Annotated[float, typer.Option(min=0, help="Memory in GiB that training may use beside the data.")] = 4.0,
    remeasure: Annotated[bool, typer.Option("--remeasure", help="Measure this machine again (a third of a second).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Predict the time and memory of training in each form of the first layer, and choose one."""
    with clear_errors():
        from fcfast.planning.plan import plan as predict

        result = predict(
            samples, features, widths(hidden), batch_size, epochs, dtype, density, limit_in_bytes(memory_limit),
            n_outputs=outputs, optimizer=optimizer, momentum=momentum, rule=rule, remeasure=remeasure,
        )  # fmt: skip
    if as_json:
        costs = {name: asdict(cost) for name, cost in result.costs.items()}
        print(json_text({"form": result.form, "reason": result.reason, "window": result.window, "costs": costs}))
        return
    screen.print(table(result))
    screen.print(str(result), highlight=False, markup=False)


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
