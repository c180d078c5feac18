"""The display of progress for `verbose`: a progress bar on a terminal, and lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from fcfast.progress import progress_bar
from fcfast.training import Callback, Epoch


@contextmanager
def progress(verbose: int, max_epochs: int) -> Iterator[list[Callback]]:
    """Yield the callbacks that show progress: none, a bar (with 1, on a terminal, if rich is installed), or lines."""
    if not verbose:
        yield []
        return
    try:
        from rich.console import Console
    except ImportError:  # the extra "cli" installs rich; lines do not need it
        yield [_print]
        return
    console = Console(stderr=True)
    if verbose > 1 or not console.is_terminal:
        yield [_print]
        return
    with progress_bar(max_epochs, console, "training", is_kept=True) as tell:
        yield [lambda epoch: tell(_summary(epoch), epoch.epoch)]


def _print(epoch: Epoch) -> None:
    print(f"epoch {epoch.epoch}: {_summary(epoch)}")


def _summary(epoch: Epoch) -> str:
    loss = "" if epoch.validation_loss is None else f", validation loss {epoch.validation_loss:.6g}"
    score = "" if epoch.validation_score is None else f", validation {epoch.validation_score:.4f}"
    return f"loss {epoch.loss:.6g}{loss}{score}"
