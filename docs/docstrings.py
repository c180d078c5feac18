"""Shows types such as {"sgd", "neuron-adam"} as they are written: Griffe would read a hyphen as a minus."""

import re

import griffe

CHOICES = re.compile(r"^( *\w+(?:, \w+)* : )\{(.+?)\}", re.MULTILINE)


class WrittenChoices(griffe.Extension):
    """Rewrites lines of docstrings into what is no expression."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Change the docstring before it is parsed."""
        if obj.docstring:
            obj.docstring.value = CHOICES.sub(r"\1one of \2", obj.docstring.value)
