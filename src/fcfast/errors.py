"""The exceptions that are fcfast's own."""


class DivergenceError(ArithmeticError):
    """Training diverged: an output or a weight is no longer finite. The message names the step."""
