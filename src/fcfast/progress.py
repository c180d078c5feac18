"""The progress bar of long work. Needs rich (the extra ``fcfast[cli]``)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral
from typing import TYPE_CHECKING, Any, Protocol

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


_verbose: ContextVar[int] = ContextVar("verbose", default=0)
TOLD = 10  # lines about a pass


@contextmanager
def passes_told(verbose: Any) -> Iterator[None]:
    """Let passes over samples that lie elsewhere show how far they are: 1 in a bar on a terminal or lines, 2 in lines."""
    token = _verbose.set(int(verbose) if isinstance(verbose, Integral) else 0)
    try:
        yield
    finally:
        _verbose.reset(token)


@contextmanager
def pass_progress(what: str, n_steps: int) -> Iterator[Callable[[], None]]:
    """Give a function to call after each step of a pass, which shows how far it is if that is wanted."""
    verbose = _verbose.get()
    if not verbose:
        yield lambda: None
        return
    n_done = 0

    def tell() -> None:
        nonlocal n_done
        n_done += 1
        if n_done * TOLD // n_steps > (n_done - 1) * TOLD // n_steps:
            print(f"{what}: {n_done} of {n_steps} groups of features", flush=True)

    try:
        from rich.console import Console
    except ImportError:  # the extra "cli" installs rich; lines do not need it
        yield tell
        return
    console = Console(stderr=True)
    if verbose > 1 or not console.is_terminal:
        yield tell
        return
    with progress_bar(n_steps, console, what) as show:
        yield lambda: show(what)
