"""The display of progress for `verbose`: a progress bar on a terminal, and lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from fcfast.progress import progress_bar
from fcfast.training import Callback, Epoch

TOLD = 20  # lines about the epochs of a training


@contextmanager
def progress(verbose: int, max_epochs: int) -> Iterator[list[Callback]]:
    """Yield the callbacks that show progress: none, a bar (with 1, on a terminal, if rich is installed), or lines.

    There is a line for every epoch with 2, and for at most `TOLD` epochs with 1.
    """
    if not verbose:
        yield []
        return

    untold: list[Epoch] = []  # the last epoch, if it has no line

    def tell_some(epoch: Epoch) -> None:
        n_lines = TOLD if verbose == 1 else max_epochs
        untold[:] = [epoch]
        if epoch.epoch * n_lines // max_epochs > (epoch.epoch - 1) * n_lines // max_epochs:
            _print(untold.pop())

    try:
        from rich.console import Console
    except ImportError:  # the extra "cli" installs rich; lines do not need it
        yield [tell_some]
        _tell(untold)
        return
    console = Console(stderr=True)
    if verbose > 1 or not console.is_terminal:
        yield [tell_some]
        _tell(untold)
        return
    with progress_bar(max_epochs, console, "training", is_kept=True) as tell:
        yield [lambda epoch: tell(_summary(epoch), epoch.epoch)]


def _tell(epochs: list[Epoch]) -> None:
    for epoch in epochs:
        _print(epoch)


def _print(epoch: Epoch) -> None:
    print(f"epoch {epoch.epoch}: {_summary(epoch)}", flush=True)


def _summary(epoch: Epoch) -> str:
    loss = "" if epoch.validation_loss is None else f", validation loss {epoch.validation_loss:.6g}"
    score = "" if epoch.validation_score is None else f", validation {epoch.validation_score:.4f}"
    return f"loss {epoch.loss:.6g}{loss}{score}"
