"""The progress bar: on a terminal only, with what is told last."""

import io

import pytest

from fcfast.progress import progress_bar

console = pytest.importorskip("rich.console")


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_terminal_shows_what_is_told(is_kept):
    """Each step counts one, or says how many are done; what stays is on the last line."""
    screen = io.StringIO()
    with progress_bar(7, console.Console(file=screen, force_terminal=True, width=100), is_kept=is_kept) as tell:
        tell("first")
        tell("second")
        tell("fifth of all", 5)
    shown = screen.getvalue()
    assert "fifth of all" in shown
    assert "5/7" in shown
    assert ("\x1b[1A\x1b[2K" in shown.rsplit("5/7", 1)[1]) != is_kept  # the line is taken back


def test_a_pipe_shows_nothing():
    """What programs read has no bars in it."""
    screen = io.StringIO()
    with progress_bar(7, console.Console(file=screen)) as tell:
        tell("first")
    assert screen.getvalue().strip() == ""
