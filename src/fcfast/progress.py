"""The progress bar of long work. Needs rich (the extra ``fcfast[cli]``)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console


class Tell(Protocol):
    """What shows how far the work is."""

    def __call__(self, description: str, completed: int | None = None, n_steps: int | None = None) -> None:
        """Show what is being done. Call it before each step, or with the number of steps that are completed.

        `n_steps` is given when it becomes known.
        """


@contextmanager
def progress_bar(
    n_steps: int | None, console: "Console", description: str = "starting", is_kept: bool = False
) -> Iterator[Tell]:
    """Show progress on a terminal, nothing in a pipe.

    Parameters
    ----------
    n_steps : int or None
        Number of steps, if it is known.
    console : rich.console.Console
    description : str
        Shown before anything else is told.
    is_kept : bool
        Whether the bar stays on the screen when the work is done.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=not is_kept, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=n_steps)

        def tell(description: str, completed: int | None = None, n_steps: int | None = None) -> None:
            advance = 1 if completed is None else None
            bar.update(task, total=n_steps, description=description, completed=completed, advance=advance)

        yield tell
