"""The command line. Needs the extra ``fcfast[cli]`` (typer, rich)."""

import sys


def main() -> None:
    """Run the command ``fcfast``."""
    try:
        from fcfast.commands import app
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(f"fcfast: the command line needs {error.name}; install it with: pip install 'fcfast[cli]'")
    app()


if __name__ == "__main__":
    main()
