"""Shows types such as {"sgd", "neuron-adam"} as they are written: Griffe would read a hyphen as a minus."""

import re

import griffe

TYPED = re.compile(r"^( *\w+(?:, \w+)* : )(.+)$", re.MULTILINE)


class WrittenTypes(griffe.Extension):
    """Rewrites types in docstrings into what is no expression."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Change the docstring before it is parsed."""
        if obj.docstring:
            obj.docstring.value = TYPED.sub(lambda line: line[1] + written(line[2]), obj.docstring.value)


def written(kind: str) -> str:
    """Write a type in words, without the quotes of code that would be shown."""
    return re.sub(r"^\{(.+?)\}", r"one of \1", kind).replace("`", "")
