"""Public import path of `fcfast.planning.machine`."""

from fcfast.planning.machine import Machine, machine

__all__ = ["Machine", "machine"]
