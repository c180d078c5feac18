"""Classes by the names that users give them, and the capabilities that a class does not inherit.

This is the one place where a form, rule, optimiser or loss is named outside its file.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

Named = TypeVar("Named", bound=type[Any])


class Registry(dict[str, Any]):
    """Classes, or objects, by name.

    Parameters
    ----------
    kind : str
        Kind of the entries, for error messages.
    make : callable
        Function that makes the entry of a class: by default the class itself, otherwise an object of it.

    Examples
    --------
    >>> from fcfast.registry import Registry
    >>> shapes = Registry("shape")
    >>> @shapes.register
    ... class Square:
    ...     name = "square"
    >>> shapes["square"]
    <class 'fcfast.registry.Square'>
    """

    def __init__(self, kind: str, make: Callable[[Any], Any] = lambda named: named) -> None:
        super().__init__()
        self.kind, self._make = kind, make

    def register(self, named: Named) -> Named:
        """Enter a class under its attribute `name`; a decorator.

        A class of the same module and name replaces the earlier one, so that a notebook's cell can be run again.

        Raises
        ------
        ValueError
            If another class has that name already.
        TypeError
            If the class has no name of its own.
        """
        name = vars(named).get("name")
        if not isinstance(name, str) or not name:
            raise TypeError(f"{named.__qualname__} needs a name of its own, a string, to be registered as {self.kind}")
        held = self.get(name)
        kind = held if held is None or isinstance(held, type) else type(held)
        if kind is not None and (kind.__module__, kind.__qualname__) != (named.__module__, named.__qualname__):
            raise ValueError(f"{kind.__module__}.{kind.__qualname__} is the {self.kind} {name!r} already; use another name")
        self[name] = self._make(named)
        return named


class Capable:
    """A base of classes that tell what they can do by attributes.

    A subclass may replace the methods that a capability is about. Therefore it does not inherit the
    capabilities listed here: it has their plain values unless it claims more itself.

    Attributes
    ----------
    not_inherited : dict
        Names of these capabilities, with their plain values.

    Examples
    --------
    >>> from fcfast.registry import Capable
    >>> class Kernel(Capable):
    ...     not_inherited = {"compiled": False}
    ...     compiled = True
    >>> class Changed(Kernel):
    ...     pass
    >>> Changed.compiled
    False
    """

    not_inherited: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for capability, plain in cls.not_inherited.items():
            if capability not in vars(cls):
                setattr(cls, capability, plain)
