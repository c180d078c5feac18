"""The option --standardize, whose word may be left out, --no-standardize, and options that are given once."""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from fcfast.commands.shared import choice, listed
from fcfast.sources.standardized import SCALE

YES, NO = "yes", "no"
WORDS: dict[str, bool | str] = {YES: True, NO: False, SCALE: SCALE}
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # click's, which typer brings with it
WORD = re.compile(r"[A-Za-z0-9]+")  # what is no option and no file of data, which has an ending
NAME, OPPOSITE = "--standardize", "--no-standardize"
# Options with one value that could be taken to have several. Of numbers and words the last counts, as is usual.
ONCE = ("--id", "--time", "--event", "--validation", "--test-file", "--output", "--groups", "--layer", "--dataset")


class ScalingCommand(TyperCommand):
    """A command that takes ``--standardize`` alone for ``--standardize yes``, and ``--no-standardize`` for ``no``.

    It refuses two values of an option of `ONCE`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Complete the option wherever it comes without a word."""
        if all(NAME not in param.opts for param in self.params):  # of this command
            self._refuse_repeated(ctx, args)
            return super().parse_args(ctx, args)
        end = args.index("--") if "--" in args else len(args)
        completed = [
            f"{NAME}={NO}" if word == OPPOSITE else f"{NAME}={YES}" if word == NAME and following not in WORDS else word
            for word, following in pairwise([*args[:end], ""])
        ]
        try:
            self._refuse_repeated(ctx, completed + args[end:])
            return super().parse_args(ctx, completed + args[end:])
        except USAGE_ERROR as error:
            wrong = [word for option, word in pairwise(args[:end]) if option == NAME and WORD.fullmatch(word)]
            if wrong and wrong[0] not in WORDS and not Path(wrong[0]).exists():
                *others, last = WORDS
                message = f"{wrong[0]!r} is unknown; use {', '.join(others)} or {last}"
                raise typer.BadParameter(message, ctx, param_hint=NAME) from error
            raise

    def _refuse_repeated(self, ctx: Any, args: list[str]) -> None:
        """Refuse a second column or file where a command takes one; the parser would forget the first."""
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option, count in Counter(name for param in given for name in param.opts if name in ONCE).items():
            if count > 1:
                values = [word.removeprefix(f"{option}=") for word in args if word.startswith(f"{option}=")]
                values += [value for word, value in pairwise(args) if word == option]
                message = f"it was given {count} times ({listed(values)}), but takes one value; leave out all but one"
                raise typer.BadParameter(message, ctx, param_hint=option)


def standardize_option(help: str, **settings: Any) -> Any:
    """Make the option; "scale" is explained in the same words everywhere."""
    explained = f"{help} With {SCALE} they are divided by their deviations alone. {OPPOSITE} is {NO}, no word is {YES}."
    return choice(WORDS, explained, **settings)


def scaling_of(word: str | None) -> bool | str | None:
    """Give the value of `standardize` that a word means; None without the option."""
    return None if word is None else WORDS[word]
