"""The command line. Needs the extra ``fcfast[cli]`` (typer, rich)."""

import codecs
import signal
import sys
import unicodedata
from importlib.abc import MetaPathFinder
from types import FrameType
from typing import Any

from fcfast.errors import INTERRUPTED

# What else ends a process, where the system has it: kill, a closed terminal, Ctrl-Break or a closed window.
ENDINGS = ("SIGTERM", "SIGHUP", "SIGBREAK")


class Ended(SystemExit):
    """The process was told to end. Unlike Ctrl-C, nobody catches this to go on with what was fitted."""


def end(number: int, frame: FrameType | None) -> None:
    """Answer a signal: leave through whatever cleans up on the way, with the exit code that shells give it."""
    raise Ended(128 + number)


class WithoutPandas(MetaPathFinder):
    """Have imports find no pandas: scikit-learn imports it only to know its tables, which takes as long as reading a file."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Refuse pandas, and leave all else to the other finders."""
        if fullname == "pandas":
            raise ModuleNotFoundError("the command imports no pandas", name=fullname)


def write_anything() -> None:
    """Let no terminal or pipe end the command for a character that its encoding lacks: R² becomes R2, α becomes \\u03b1."""
    codecs.register_error("fcfast.plainer", _plainer)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a notebook or a test has put something else there
        if reconfigure is not None:
            reconfigure(errors="fcfast.plainer")


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = [unicodedata.normalize("NFKD", character) for character in error.object[error.start : error.end]]
    return "".join(c if c.isascii() else c.encode("ascii", "backslashreplace").decode() for c in plain), error.end


def main() -> None:
    """Run the command, or say what it needs."""
    try:
        from fcfast.commands import app
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(f"fcfast: the command line needs {error.name}; install it with: pip install 'fcfast[cli]'")
    app()


def run() -> None:
    """Run the command ``fcfast``, and answer Ctrl-C, or `ENDINGS`, wherever they come, imports included, with one line."""
    for name in ENDINGS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # not one that is ignored, as by nohup
            signal.signal(number, end)
    sys.meta_path.insert(0, WithoutPandas())
    write_anything()
    try:
        main()
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        sys.exit(130)
    except Ended:
        sys.stderr.write(f"{INTERRUPTED}\n")
        raise


if __name__ == "__main__":
    run()
