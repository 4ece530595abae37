"""What can go wrong while a program is sampled."""

from typing import Any


class NumericalError(ArithmeticError):
    """A line's value is not a finite number.

    line: its number in the program. message: what happened, without the line's name. step: of training; 0 elsewhere.
    """

    def __init__(self, line: int, message: str, step: int = 0):
        self.line = line
        self.message = message
        self.step = step
        super().__init__(f"line {line}: {message}")


class NoValue(ValueError):
    """A measure along training has no finite value. name: as it is shown; span: where; message: a sentence."""

    def __init__(self, name: str, span: Any, message: str):
        self.name, self.span, self.message = name, span, message
        super().__init__(message)


class MemoryRefused(Exception):
    """A run would need more memory than is allowed; raised before any work. Both numbers are bytes."""

    def __init__(self, needed: int, allowed: int):
        self.needed = needed
        self.allowed = allowed
        super().__init__(f"needs about {needed / 2**30:.2f} GiB of memory, {allowed / 2**30:.2f} GiB are allowed")


class Cancelled(Exception):
    """The run was asked to stop."""
