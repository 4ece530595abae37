"""Arguments of generators, checked one by one so that a wrong one is named."""

import difflib
import math
import numbers
from collections.abc import Mapping, Sequence

from tpl.data.dataset import DataError, shown

Value = int | float | str
Options = Mapping[str, Value]

LARGEST_SIZE = 10**12  # keeps products of sizes printable and inside a float
MOST_SIZES = 16
SEED_LIMIT = 2**64


def check_options(generator: str, options: Options, known: Sequence[str]) -> None:
    """Raise DataError for an option which is not among the `known` ones."""
    for name in options:
        if name not in known:
            raise DataError(f"{generator} has no option {shown(name)}", _options_hint(generator, name, known))


def _options_hint(generator: str, name: str, known: Sequence[str]) -> str:
    if not known:
        return f"{generator} takes no options"
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"options of {generator}: {', '.join(known)}"


def read_sizes(generator: str, args: Sequence[Value], least: int, usage: str) -> tuple[int, ...]:
    """The positional arguments as a shape of at least `least` axes."""
    if len(args) < least:
        noun = "size" if least == 1 else "sizes"
        raise DataError(f"{generator} needs at least {least} {noun}, got {len(args)}", f"usage: {usage}")
    if len(args) > MOST_SIZES:
        raise DataError(f"{generator} takes at most {MOST_SIZES} sizes, got {len(args)}", f"usage: {usage}")
    return tuple(read_count(generator, f"size {i}", value, usage) for i, value in enumerate(args, start=1))


def read_single(generator: str, name: str, args: Sequence[Value], usage: str) -> int:
    """The one positional argument, a count of at least 1."""
    if len(args) != 1:
        raise DataError(f"{generator} takes one argument, {name}, got {len(args)}", f"usage: {usage}")
    return read_count(generator, name, args[0], usage)


def read_count(generator: str, name: str, value: Value, usage: str) -> int:
    """An integer of at least 1; 4.0 counts as 4, since constants may be computed in floats."""
    whole = _whole(value)
    if whole is None or whole < 1:
        problem = f"{name} must be an integer of at least 1, not {shown(value)}"
        raise DataError(f"{generator}: {problem}", f"usage: {usage}")
    if whole > LARGEST_SIZE:
        raise DataError(f"{generator}: {name} = {shown(value)} is too large", f"at most {LARGEST_SIZE}")
    return whole


def read_seed(generator: str, options: Options) -> int:
    """The option `seed`, 0 where it is not given."""
    value = options.get("seed", 0)
    whole = _whole(value)
    if whole is None or not 0 <= whole < SEED_LIMIT:
        raise DataError(f"{generator}: seed must be an integer from 0 to 2^64 - 1, not {shown(value)}")
    return whole


def read_real(generator: str, name: str, value: Value) -> float:
    """A finite real number."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise DataError(f"{generator}: {name} must be a number, not {shown(value)}")
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    if not math.isfinite(real):
        raise DataError(f"{generator}: {name} must be finite, not {shown(value)}")
    return real


def read_choice(generator: str, options: Options, name: str, choices: Sequence[str]) -> str:
    """The option `name`, one of `choices`, the first of which is the default."""
    value = options.get(name, choices[0])
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(choices[:-1]) + f" or {choices[-1]}"
        raise DataError(f"{generator}: {name} must be {listed}, not {shown(value)}")
    return value


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None
