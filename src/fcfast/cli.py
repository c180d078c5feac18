"""The entry point of the command line. It needs the extra ``fcfast[cli]`` (typer, rich)."""

import codecs
import signal
import sys
import unicodedata
from importlib.abc import MetaPathFinder
from types import FrameType
from typing import Any

from fcfast.errors import INTERRUPTED

# Signals other than Ctrl-C that end a process: kill, a closed terminal, Ctrl-Break or a closed window. No system has all.
ENDINGS = ("SIGTERM", "SIGHUP", "SIGBREAK")


class Ended(SystemExit):
    """A signal asked the process to end. Unlike Ctrl-C, no code catches this to keep a partly fitted network."""


def end(number: int, frame: FrameType | None) -> None:
    """Handle a signal: run all cleanup code, then exit with the code that shells use for the signal."""
    raise Ended(128 + number)


class WithoutPandas(MetaPathFinder):
    """Hide pandas from imports: scikit-learn imports it only to recognise its tables, which takes as long as reading a file.

    AnnData cannot do without it, so that it is hidden until that library is imported.
    """

    is_needed = False

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Refuse pandas, and leave all other modules to the other finders."""
        if fullname == "anndata":
            self.is_needed = True
        if fullname == "pandas" and not self.is_needed:
            raise ModuleNotFoundError("the command imports no pandas", name=fullname)


def write_anything() -> None:
    """Replace characters that the encoding of a terminal or pipe lacks instead of failing: R² becomes R2, α becomes \\u03b1."""
    codecs.register_error("fcfast.plainer", _plainer)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a notebook or a test may have replaced the stream
        if reconfigure is not None:
            reconfigure(errors="fcfast.plainer")


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = [unicodedata.normalize("NFKD", character) for character in error.object[error.start : error.end]]
    return "".join(c if c.isascii() else c.encode("ascii", "backslashreplace").decode() for c in plain), error.end


def main() -> None:
    """Run the command, or name the package that it lacks."""
    try:
        from fcfast.commands import app
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(f"fcfast: the command line needs {error.name}; install it with: pip install 'fcfast[cli]'")
    app()


def run() -> None:
    """Run the command ``fcfast``; on Ctrl-C or a signal of `ENDINGS`, also during imports, print one line and exit."""
    for name in ENDINGS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # leave ignored signals ignored (nohup)
            signal.signal(number, end)
    sys.meta_path.insert(0, WithoutPandas())
    write_anything()
    try:
        main()
    except (KeyboardInterrupt, SystemExit, Exception) as error:  # Typer exits without a word before a command has begun
        code = _exit_code(error)
        if code is None:
            raise
        sys.stderr.write(f"{INTERRUPTED}\n")
        sys.exit(code)


def _exit_code(error: BaseException | None) -> int | None:
    """Give the exit code of the signal that led to an error, or None; imports make an ImportError or RuntimeError of it.

    What hides its context (`from None`) has told the user already.
    """
    while error is not None:
        if isinstance(error, Ended):
            return int(str(error.code))
        if isinstance(error, KeyboardInterrupt):
            return 130
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


if __name__ == "__main__":
    run()
