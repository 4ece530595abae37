"""The command line's `--data X=SOURCE`: a generator as `sphere:4,10,seed=1`, or a file of numbers."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tpl.data.arguments import Value
from tpl.data.dataset import (
    DataError,
    Dataset,
    freeze,
    require_room,
    sequences,
    sequences_text,
    shape_text,
    shown,
)
from tpl.data.files import read_csv, read_npy, read_npz, read_npz_all, require_numeric
from tpl.data.generators import GENERATORS, nearest_generator
from tpl.data.gram import vectors_of_gram

LIST_OPTIONS = ("classes", "lengths")  # options whose value may itself hold commas
FORMS = (
    "a source is FILE.npy, FILE.npz:ARRAY, FILE.npz:*, FILE.csv, gram:FILE, or a generator such as sphere:4,10,seed=0"
)


def load_source(text: str, max_bytes: int) -> Dataset:
    """Dataset of a source as the command line writes it.

    Sources are FILE.npy, FILE.npz (if it holds one array), FILE.npz:ARRAY, FILE.npz:* (its arrays are sequences of any
    lengths, in its order), FILE.csv, and NAME:SIZES,OPTIONS for any generator, where cifar10 and cifar10_labels may end in @FOLDER, the official cifar-10-batches-py. Arrays
    from files are taken as they are and cast to float64; one column of a .csv gives shape [rows]. gram:FILE gives
    vectors whose Gram matrix is in the file.

    Raises DataError if the source is malformed, missing, unreadable, empty, not real, not finite, or larger than
    `max_bytes` bytes as float64 (found before the array is expanded).
    """
    name, _, rest = text.partition(":")
    if name in GENERATORS:
        return _generated(name, rest, max_bytes)
    if name == "gram":
        return vectors_of_gram(text, load_source(rest, max_bytes))
    archive = re.fullmatch(r"(.*?\.npz)(?::(.*))?", text, re.IGNORECASE | re.DOTALL)
    if archive and archive[2] == "*":
        return _sequences(text, read_npz_all(_path(archive[1]), max_bytes), f"from {shown(text, 200)}")
    if archive:
        return _checked(text, read_npz(_path(archive[1]), archive[2], max_bytes), f"from {shown(text, 200)}")
    readers = {".npy": read_npy, ".csv": read_csv}
    reader = readers.get(Path(text).suffix.lower())
    if reader is None:
        raise _unknown(text)
    return _checked(text, reader(_path(text), max_bytes), f"from {shown(text, 200)}")


def from_array(name: str, array: NDArray[Any] | Sequence[NDArray[Any]], max_bytes: int) -> Dataset:
    """Dataset of a copy of `array`, given for the data `name`, with the checks of `load_source`.

    A list or tuple of arrays is a data set of sequences, which may have unequal lengths.

    Raises DataError if it is no plain numpy array, is empty, not real, not finite, or larger than `max_bytes`
    bytes as float64.
    """
    if isinstance(array, list | tuple) and array and all(isinstance(x, np.ndarray) for x in array):
        require_room(name, (sum(x.size for x in array),), max_bytes)
        members = [from_array(f"{name}[{i}]", x, max_bytes).array for i, x in enumerate(array, start=1)]
        return _sequences(name, members, f"given as {shown(name)} by the caller")
    if not isinstance(array, np.ndarray):
        raise DataError(f"{name} is a {type(array).__name__}, not a numpy array", "use numpy.asarray")
    if isinstance(array, np.ma.MaskedArray):
        raise DataError(f"{name} is a masked array", "fill or drop the masked entries first")
    require_numeric(name, array.dtype)
    require_room(name, array.shape, max_bytes)
    copy = np.array(array, order="C", copy=True, subok=False)
    return _checked(name, copy, f"given as {shown(name)} by the caller")


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~somebody who has no home folder
        return Path(text)


def _unknown(text: str) -> DataError:
    name = text.partition(":")[0]
    hint = nearest_generator(name)
    problem = f"{shown(text)} is neither a generator nor a .npy, .npz or .csv file"
    return DataError(problem, hint if hint.startswith("did you mean") else FORMS)


# ---- generators


def _generated(name: str, rest: str, max_bytes: int) -> Dataset:
    generator = GENERATORS[name]
    call, at, folder = rest.partition("@")
    args, options = _parsed_call(name, call)
    if not at:
        return generator.make(args, options, max_bytes)
    if not generator.takes_folder:
        folders = ", ".join(record.name for record in GENERATORS.values() if record.takes_folder)
        raise DataError(f"{name} takes no @FOLDER", f"only these do: {folders}")
    if not folder:
        raise DataError(f"{name}: no folder after @", f"as in {name}:16@cifar-10-batches-py")
    return generator.make(args, options, max_bytes, folder=_path(folder))


def _parsed_call(name: str, call: str) -> tuple[Sequence[Value], Mapping[str, Value]]:
    """Positional and keyword arguments of `4,10,seed=1`; classes=cat,dog and classes="cat,dog" are one option."""
    args: list[str] = []
    options: dict[str, str] = {}
    last = ""
    for word in call.split(",") if call else []:
        key, equals, value = (part.strip() for part in word.partition("="))
        if not key:
            raise DataError(f"{name}: empty argument in {shown(call)}", FORMS)
        if equals and key in options:
            raise DataError(f"{name}: option {shown(key)} is given twice")
        if equals:
            last, options[key] = key, value
        elif last in LIST_OPTIONS:
            options[last] += f",{key}"
        elif last:
            raise DataError(f"{name}: {shown(key)} comes after the option {last}", "sizes come before options")
        else:
            args.append(key)
    return [_value(word) for word in args], {key: _value(word) for key, word in options.items()}


def _value(word: str) -> Value:
    quoted = re.fullmatch(r"""(["'])(.*)\1""", word)
    if quoted:  # as in a program's text
        return quoted[2]
    if "_" in word or not word.isascii():  # Python's own number syntax is wider than ours
        return word
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


# ---- the checks that every array passes


def _checked(what: str, array: NDArray[Any], origin: str) -> Dataset:
    if array.size == 0:
        raise DataError(f"{what} is empty: its shape is {shape_text(array.shape)}")
    cast = "" if array.dtype.name == "float64" else f", cast from {array.dtype.name} to float64"
    with np.errstate(over="ignore"):  # a long double beyond float64 becomes infinite, which is reported
        dataset = freeze(array, f"array of shape {shape_text(array.shape)} {origin}, taken as it is{cast}")
    _require_finite(what, dataset.array)
    return dataset


def _sequences(what: str, arrays: Sequence[NDArray[Any]], origin: str) -> Dataset:
    members = [_checked(f"{what} {i}", x, origin).array for i, x in enumerate(arrays, start=1)]
    lengths = [len(x) for x in members if x.ndim]
    if len(lengths) < len(members):
        raise DataError(f"{what} holds single numbers, which are no sequences", FORMS)
    return sequences(members, f"{sequences_text(lengths)} {origin}, taken as they are")


def _require_finite(what: str, array: NDArray[np.float64]) -> None:
    wrong = ~np.isfinite(array)
    count = int(np.count_nonzero(wrong))
    if not count:
        return
    first = np.unravel_index(int(np.argmax(wrong)), array.shape)
    place = shape_text([int(i) + 1 for i in first])
    total = math.prod(array.shape)
    raise DataError(
        f"{what} has {count} of {total} entries that are not finite, the first at {place}: {array[first]}",
        "indices count from 1; replace or drop these entries",
    )
