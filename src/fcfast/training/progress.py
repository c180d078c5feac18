"""What `verbose` shows: a progress bar on a terminal, lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from fcfast.training import Callback, Epoch


@contextmanager
def progress(verbose: int, max_epochs: int) -> Iterator[list[Callback]]:
    """Give the callbacks that show an estimator's progress: none, a bar (1, on a terminal, with rich) or a line per epoch."""
    if not verbose:
        yield []
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:  # the extra "cli" brings it; lines need nothing
        yield [_print]
        return
    console = Console(stderr=True)
    if verbose > 1 or not console.is_terminal:
        yield [_print]
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=max_epochs)

        def show(epoch: Epoch) -> None:
            bar.update(task, completed=epoch.epoch, description=_summary(epoch))

        yield [show]


def _print(epoch: Epoch) -> None:
    print(f"epoch {epoch.epoch}: {_summary(epoch)}")


def _summary(epoch: Epoch) -> str:
    score = "" if epoch.validation_score is None else f", validation {epoch.validation_score:.4f}"
    return f"loss {epoch.loss:.6g}{score}"
