"""The command line. Needs the extra ``fcfast[cli]`` (typer, rich)."""

import sys

INTERRUPTED = "fcfast: interrupted; files that were not finished were not written"


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
    """Run the command ``fcfast``, and answer Ctrl-C wherever it comes, imports included, with one line."""
    try:
        main()
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        sys.exit(130)


if __name__ == "__main__":
    run()
