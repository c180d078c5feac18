"""``python -m fcfast``."""

from fcfast.cli import run

run()
