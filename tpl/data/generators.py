"""Generators of input arrays, called from the language as `sphere(4, 10, seed=0)`.

A new generator is one function and one record in GENERATORS.
"""

import difflib
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tpl.data import cifar
from tpl.data.arguments import (
    Options,
    Value,
    check_options,
    read_count,
    read_real,
    read_seed,
    read_single,
    read_sizes,
)
from tpl.data.dataset import (
    Array,
    DataError,
    Dataset,
    freeze,
    plural,
    require_room,
    sequences,
    sequences_text,
    shape_text,
    shown,
)

SPHERE = "sphere(N, ..., d, seed=0)"
GAUSSIAN = "gaussian(N, ..., d, seed=0)"
ANGLES = "angles(theta1, theta2, ...)"
BASIS = "basis(d)"


@dataclass(frozen=True)
class Generator:
    """One generator: how to call it, what it makes, and the function that makes it.

    `make(args, options, max_bytes)` takes positional arguments as a sequence, keyword options as a mapping,
    and the largest size of the result in bytes; it raises DataError for anything wrong with them. Where
    `takes_folder` is set it also takes `folder=`, a Path from the command line, never from a program's text.
    `words` are the options that take a string.
    """

    name: str
    signature: str
    doc: str
    make: Callable[..., Dataset]
    takes_folder: bool = False
    words: tuple[str, ...] = ()


def generate(name: str, args: Sequence[Value], options: Options, max_bytes: int) -> Dataset:
    """Dataset of the generator `name`.

    Raises DataError for an unknown name, wrong arguments, or an array of more than `max_bytes` bytes.
    """
    if name not in GENERATORS:
        raise DataError(f"there is no generator {shown(name)}", nearest_generator(name))
    return GENERATORS[name].make(args, options, max_bytes)


# Generators by other names.
OTHERWISE = {
    **dict.fromkeys(("normal", "randn", "gauss", "random", "iid", "n"), "gaussian"),
    **dict.fromkeys(("unit_sphere", "uniform_sphere", "ball"), "sphere"),
    **dict.fromkeys(("circle", "angle", "ring"), "angles"),
    **dict.fromkeys(("eye", "identity", "onehot", "one_hot"), "basis"),
    **dict.fromkeys(("cifar", "cifar_10", "images"), "cifar10"),
}  # fmt: skip


def nearest_generator(name: str) -> str:
    """A hint for a name which is no generator."""
    if name.lower() in OTHERWISE:
        return f"did you mean {OTHERWISE[name.lower()]}?"
    close = difflib.get_close_matches(name, GENERATORS, n=1)
    return f"did you mean {close[0]}?" if close else f"generators: {', '.join(GENERATORS)}"


def _stream(generator: str, seed: int) -> np.random.Generator:
    # Keyed by the generator's name too: with the bare seed, a Gaussian input, a point on the sphere and a
    # weight matrix drawn with seed 0 would be the same numbers, hence correlated.
    key = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(generator.encode()),))
    return np.random.Generator(np.random.Philox(key))


def _sphere(args: Sequence[Value], options: Options, max_bytes: int) -> Dataset:
    check_options("sphere", options, ("seed", "lengths"))
    shape = read_sizes("sphere", args, 2, SPHERE)
    seed = read_seed("sphere", options)
    require_room("sphere", shape, max_bytes)
    array = _stream("sphere", seed).standard_normal(shape)
    array *= math.sqrt(shape[-1]) / np.sqrt(np.square(array).sum(axis=-1, keepdims=True))
    return _cut("sphere", array, options, f"uniform on the sphere |xi|^2 = d = {shape[-1]} (sphere, seed {seed})")


def _gaussian(args: Sequence[Value], options: Options, max_bytes: int) -> Dataset:
    check_options("gaussian", options, ("seed", "lengths"))
    shape = read_sizes("gaussian", args, 1, GAUSSIAN)
    seed = read_seed("gaussian", options)
    require_room("gaussian", shape, max_bytes)
    array = _stream("gaussian", seed).standard_normal(shape)
    return _cut("gaussian", array, options, f"entries iid N(0, 1) (gaussian, seed {seed})")


def _cut(generator: str, array: Array, options: Options, law: str) -> Dataset:
    """The array, or sequences of the lengths asked for, from their beginnings."""
    if "lengths" not in options:
        what = plural(len(array), "number") if array.ndim == 1 else _vectors_text(array.shape)
        return freeze(array, f"{what}, {law}")
    words = str(options["lengths"]).split(",")
    if array.ndim < 3 or len(words) != len(array):
        problem = f"{plural(len(words), 'length')} for an array of shape {shape_text(array.shape)}"
        raise DataError(f"{generator}: {problem}", f'as in {generator}(3, 5, 10, lengths="5,2,4")')
    counts = [read_count(generator, "a length", int(w) if w.strip().isdecimal() else w, "whole numbers") for w in words]
    if max(counts) > array.shape[1]:
        raise DataError(f"{generator}: a length is {max(counts)}, but sequences are cut from {array.shape[1]} vectors")
    what = f"{sequences_text(counts)}, vectors in R^{array.shape[-1]}"
    return sequences([x[:c] for x, c in zip(array, counts, strict=True)], f"{what}, {law}")


def _angles(args: Sequence[Value], options: Options, max_bytes: int) -> Dataset:
    check_options("angles", options, ())
    if not args:
        raise DataError("angles needs at least 1 angle, got 0", f"usage: {ANGLES}, in radians")
    thetas = [read_real("angles", f"angle {i}", value) for i, value in enumerate(args, start=1)]
    require_room("angles", (len(thetas), 2), max_bytes)
    array = math.sqrt(2) * np.stack([np.cos(thetas), np.sin(thetas)], axis=1)
    few = ", ".join(f"{theta:.6g}" for theta in thetas[:4]) + (", ..." if len(thetas) > 4 else "")
    what = plural(len(thetas), "unit-circle point")
    return freeze(array, f"{what} at angles {few} radians, scaled to |xi|^2 = d = 2 (angles)")


def _basis(args: Sequence[Value], options: Options, max_bytes: int) -> Dataset:
    check_options("basis", options, ())
    d = read_single("basis", "d", args, BASIS)
    require_room("basis", (d, d), max_bytes)
    array = np.zeros((d, d))
    np.fill_diagonal(array, math.sqrt(d))
    return freeze(array, f"the {d} standard basis vectors of R^{d}, scaled to |xi|^2 = d = {d} (basis)")


def _vectors_text(shape: Sequence[int]) -> str:
    vectors = plural(math.prod(shape[:-1]), "vector")
    arranged = "" if len(shape) == 2 else f" arranged as {shape_text(shape)}"
    return f"{vectors} in R^{shape[-1]}{arranged}"


_RECORDS = (
    Generator(
        "sphere",
        SPHERE,
        "Independent vectors along the last axis, uniform on the sphere |xi|^2 = d. Shape [N, ..., d], at least "
        'two sizes. The first vectors stay the same when N grows. With three sizes, lengths="5,2,4" cuts sequences short.',
        _sphere,
        words=("lengths",),
    ),
    Generator(
        "gaussian",
        GAUSSIAN,
        "Independent N(0, 1) entries of shape [N, ..., d]; lengths as for sphere.",
        _gaussian,
        words=("lengths",),
    ),
    Generator(
        "angles",
        ANGLES,
        "Points of the plane at the given angles (radians), scaled to |xi|^2 = 2. Shape [number of angles, 2].",
        _angles,
    ),
    Generator("basis", BASIS, "sqrt(d) times the identity: d orthogonal inputs with |xi|^2 = d.", _basis),
    Generator("cifar10", cifar.IMAGES, cifar.IMAGES_DOC, cifar.make_images, True, cifar.IMAGE_WORDS),
    Generator("cifar10_labels", cifar.LABELS, cifar.LABELS_DOC, cifar.make_labels, True, cifar.LABEL_WORDS),
)

GENERATORS: dict[str, Generator] = {record.name: record for record in _RECORDS}
