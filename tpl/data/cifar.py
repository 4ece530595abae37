"""CIFAR-10 images and labels as input arrays: which images, and what is done to their pixels.

Normalisation runs on integers until its last step (sums of bytes are exact), so that a constant image is
recognised exactly and the bits do not depend on the order of summation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tpl.data.arguments import Options, Value, check_options, read_choice, read_count, read_single
from tpl.data.cifar_files import CLASSES, Batch, bundled_batches, official_batches
from tpl.data.dataset import Array, DataError, Dataset, freeze, plural, require_room, shown

IMAGES = 'cifar10(N, normalize="sphere", size=32, channels="rgb", start=1, classes="all", layout="flat", patch=1)'
IMAGES_DOC = """The first N training images of CIFAR-10, from the bundled slice of 164 images; on the command
line, `--data X=cifar10:N@FOLDER` reads the official folder cifar-10-batches-py (50000 images) instead.

normalize  "sphere"  each image centred to mean 0, then scaled to |xi|^2 = d, its number of entries (default);
                     a constant image is an error
           "centre"  pixels / 255, each image centred to mean 0
           "none"    pixels / 255
size       side in pixels after averaging over blocks: 1, 2, 4, 8, 16 or 32 (default)
channels   "rgb" (default) or "grey", the mean of the three
start      number of the first image considered, from 1 (default)
classes    comma-separated names or indices of the classes to keep, e.g. "cat,dog" or "3,5", or "all" (default)
layout     "flat"    [N, d] in the order channel, row, column (default)
           "rows"    [N, side, channels * side]: an image is the sequence of its rows, each in the order
                     channel, column
           "pixels"  [N, side * side, channels]: an image is the sequence of its pixels, row by row
           "grid"    [N, side, side, channels]: an image is the grid of its pixels
patch      side of the squares that take the place of pixels in the layouts pixels and grid, 1 by default: with
           patch=4, 8 x 8 patches of 48 numbers, in the order channel, row, column

Images are averaged first and normalised afterwards, always as a whole, whatever the layout."""

LABELS = 'cifar10_labels(N, encoding="index", start=1, classes="all")'
LABELS_DOC = """The labels of the images that cifar10 gives for the same N, start and classes.

encoding  "index"   [N], the class index: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog,
                    7 horse, 8 ship, 9 truck (default)
          "sign"    [N], needs two classes: +1 for the first one named in `classes` and -1 for the second
          "onehot"  [N, 10], one-hot rows minus 1/10, so that each row sums to 0
start, classes      as for cifar10"""

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGE_OPTIONS = ("normalize", "size", "channels", "start", "classes", "layout", "patch")
LABEL_OPTIONS = ("encoding", "start", "classes")
IMAGE_WORDS = ("normalize", "channels", "classes", "layout")
LABEL_WORDS = ("encoding", "classes")
FULL_SIDE = 32
SIDES = (1, 2, 4, 8, 16, 32)
CHUNK = 256  # images converted at a time, which bounds the memory beyond the result


@dataclass(frozen=True)
class _Choice:
    """Which images: the first `count` of the given classes (all where empty) from number `start` on."""

    count: int
    start: int
    classes: tuple[int, ...]


@dataclass(frozen=True)
class _Format:
    """What to do with the pixels; the fields are the options of `cifar10`."""

    normalize: str
    side: int
    channels: str
    layout: str
    patch: int

    @property
    def depth(self) -> int:
        return 3 if self.channels == "rgb" else 1

    @property
    def shape(self) -> tuple[int, ...]:
        rows, depth, patch = self.side, self.depth, self.patch
        across, inside = rows // patch, depth * patch**2
        shapes = {
            "flat": (depth * rows * rows,),
            "rows": (rows, depth * rows),
            "pixels": (across**2, inside),
            "grid": (across, across, inside),
        }
        return shapes[self.layout]

    @property
    def entries(self) -> int:
        return self.depth * self.side**2


@dataclass(frozen=True, eq=False)
class _Picked:
    """The chosen images with their 1-based numbers in the data set, and where they were found."""

    batch: Batch
    numbers: NDArray[np.int64]
    where: str


def make_images(args: Sequence[Value], options: Options, max_bytes: int, folder: Path | None = None) -> Dataset:
    """Images as an array; see IMAGES_DOC for arguments, options and shapes.

    Raises DataError for wrong arguments, too few images, constant images, unreadable files, or a result of
    more than `max_bytes` bytes (found before any file is read).
    """
    check_options("cifar10", options, IMAGE_OPTIONS)
    choice = _read_choice_of_images("cifar10", args, options, IMAGES)
    form = _read_format(options)
    shape = (choice.count, *form.shape)
    require_room("cifar10", shape, max_bytes)
    picked = _pick("cifar10", choice, folder)
    array = np.empty(shape)
    for low in range(0, choice.count, CHUNK):
        part = slice(low, low + CHUNK)
        array[part] = _formatted(picked.batch.images[part], picked.numbers[part], form)
    return freeze(array, f"{_picked_text('image', choice, picked)}, {_format_text(form)}")


def make_labels(args: Sequence[Value], options: Options, max_bytes: int, folder: Path | None = None) -> Dataset:
    """Labels as an array; see LABELS_DOC for arguments, options and shapes. Raises DataError as make_images."""
    check_options("cifar10_labels", options, LABEL_OPTIONS)
    choice = _read_choice_of_images("cifar10_labels", args, options, LABELS)
    encoding = read_choice("cifar10_labels", options, "encoding", ("index", "sign", "onehot"))
    if encoding == "sign" and len(choice.classes) != 2:
        problem = f'encoding="sign" needs two classes, got {len(choice.classes) or "none"}'
        raise DataError(f"cifar10_labels: {problem}", 'name them, as in classes="cat,dog"')
    shape = (choice.count, CLASSES) if encoding == "onehot" else (choice.count,)
    require_room("cifar10_labels", shape, max_bytes)
    picked = _pick("cifar10_labels", choice, folder)
    array, meaning = _encoded(picked.batch.labels, encoding, choice.classes)
    return freeze(array, f"{_picked_text('label', choice, picked)}, {meaning}")


# ---- options


def _read_choice_of_images(generator: str, args: Sequence[Value], options: Options, usage: str) -> _Choice:
    count = read_single(generator, "N", args, usage)
    start = read_count(generator, "start", options.get("start", 1), usage)
    return _Choice(count, start, _read_classes(generator, options))


def _read_classes(generator: str, options: Options) -> tuple[int, ...]:
    if options.get("classes", "all") == "all":
        return ()
    classes: list[int] = []
    for word in str(options["classes"]).split(","):
        index = _class_index(word.strip())
        if index is None:
            listed = ", ".join(f"{i} {name}" for i, name in enumerate(CLASS_NAMES))
            problem = f"{shown(word.strip())} is no class of CIFAR-10"
            raise DataError(f"{generator}: {problem}", f"classes: {listed}")
        if index in classes:
            raise DataError(f"{generator}: class {CLASS_NAMES[index]} is named twice")
        classes.append(index)
    return tuple(classes)


def _class_index(word: str) -> int | None:
    words = {str(i): i for i in range(CLASSES)} | {name: i for i, name in enumerate(CLASS_NAMES)}
    return words.get(word)


def _read_format(options: Options) -> _Format:
    side = options.get("size", FULL_SIDE)
    if isinstance(side, bool | str) or side not in SIDES:
        raise DataError(f"cifar10: size must be 1, 2, 4, 8, 16 or 32, not {shown(side)}")
    layout = read_choice("cifar10", options, "layout", ("flat", "rows", "pixels", "grid"))
    return _Format(
        normalize=read_choice("cifar10", options, "normalize", ("sphere", "centre", "none")),
        side=int(side),
        channels=read_choice("cifar10", options, "channels", ("rgb", "grey")),
        layout=layout,
        patch=_read_patch(options, int(side), layout),
    )


def _read_patch(options: Options, side: int, layout: str) -> int:
    patch = read_count("cifar10", "patch", options.get("patch", 1), IMAGES)
    if patch > 1 and layout not in ("pixels", "grid"):
        raise DataError(f'cifar10: layout="{layout}" has no patches', 'layout="pixels" and layout="grid" have')
    if side % patch:
        raise DataError(f"cifar10: patches of side {patch} do not tile an image of side {side}")
    return patch


# ---- choosing images


def _pick(generator: str, choice: _Choice, folder: Path | None) -> _Picked:
    batches = bundled_batches() if folder is None else official_batches(folder)
    where = "bundled slice" if folder is None else str(folder)
    images, labels, numbers = [], [], []
    seen = found = 0
    for batch in batches:
        wanted = _wanted(batch.labels, seen, choice)[: choice.count - found]
        images.append(batch.images[wanted])
        labels.append(batch.labels[wanted])
        numbers.append(wanted + seen + 1)
        seen, found = seen + len(batch.labels), found + len(wanted)
        if found == choice.count:
            picked = Batch(np.concatenate(images), np.concatenate(labels))
            return _Picked(picked, np.concatenate(numbers), where)
    raise _too_few(generator, choice, seen, found, folder)


def _wanted(labels: NDArray[np.uint8], seen: int, choice: _Choice) -> NDArray[np.int64]:
    """Positions in the batch of the images to keep, `seen` images having come before it."""
    keep = np.arange(seen + 1, seen + 1 + len(labels)) >= choice.start
    if choice.classes:
        keep &= np.isin(labels, choice.classes)
    return np.flatnonzero(keep)


def _too_few(generator: str, choice: _Choice, total: int, found: int, folder: Path | None) -> DataError:
    place = "the bundled slice" if folder is None else str(folder)
    of_classes = f" of class {_class_list(choice.classes)}" if choice.classes else ""
    from_start = f" from number {choice.start} on" if choice.start > 1 else ""
    narrowed = f", {found} of them{of_classes}{from_start}" if of_classes or from_start else ""
    message = f"{generator}: {place} holds {total} images{narrowed}; {choice.count} were asked for"
    if folder is not None:
        return DataError(message)
    source = f"--data X={generator}:{choice.count}@FOLDER"
    return DataError(message, f"for more, use {source}, where FOLDER is the official cifar-10-batches-py")


# ---- pixels


def _formatted(images: NDArray[np.uint8], numbers: NDArray[np.int64], form: _Format) -> Array:
    """Images, uint8 [n, 3, 32, 32], averaged, normalised and laid out: float64 [n, *form.shape]."""
    block = FULL_SIDE // form.side
    blocks = images.astype(np.int64).reshape(-1, 3, form.side, block, form.side, block)
    sums = blocks.sum(axis=(3, 5))
    divisor = 255 * block**2
    if form.channels == "grey":
        sums = sums.sum(axis=1, keepdims=True)
        divisor *= 3
    return _laid_out(_normalised(sums, divisor, numbers, form), form)


def _normalised(sums: NDArray[np.int64], divisor: int, numbers: NDArray[np.int64], form: _Format) -> Array:
    if form.normalize == "none":
        return sums / divisor
    d = form.entries
    centred = sums * d - sums.sum(axis=(1, 2, 3), keepdims=True)  # d times (sums - their mean)
    if form.normalize == "centre":
        return centred / (d * divisor)
    squared_norm = np.square(centred).sum(axis=(1, 2, 3), keepdims=True)  # below 2^53, hence exact in floats
    constant = np.flatnonzero(squared_norm == 0)
    if len(constant):
        reduced = "" if form.side == FULL_SIDE and form.channels == "rgb" else " after averaging"
        raise DataError(
            f"cifar10: image {numbers[constant[0]]} is constant{reduced} and cannot be scaled to the sphere",
            'use normalize="centre" or normalize="none"',
        )
    return centred * np.sqrt(d / squared_norm)


def _laid_out(images: Array, form: _Format) -> Array:
    """Images [n, channel, row, column] in the order that form.layout names."""
    if form.layout in ("flat", "rows"):
        order = (0, 1, 2, 3) if form.layout == "flat" else (0, 2, 1, 3)
        return images.transpose(order).reshape(-1, *form.shape)
    across = form.side // form.patch
    cut = images.reshape(-1, form.depth, across, form.patch, across, form.patch)
    return cut.transpose(0, 2, 4, 1, 3, 5).reshape(-1, *form.shape)


def _encoded(labels: NDArray[np.uint8], encoding: str, classes: Sequence[int]) -> tuple[NDArray[Any], str]:
    if encoding == "sign":
        plus, minus = (CLASS_NAMES[index] for index in classes)
        return np.where(labels == classes[0], 1.0, -1.0), f"+1 for {plus} and -1 for {minus}"
    if encoding == "onehot":
        return np.eye(CLASSES)[labels] - 1 / CLASSES, "each a one-hot row in R^10 minus 1/10"
    return labels.astype(np.float64), "as class indices from 0 to 9"


# ---- descriptions


def _picked_text(noun: str, choice: _Choice, picked: _Picked) -> str:
    first, last = int(picked.numbers[0]), int(picked.numbers[-1])
    span = f"image {first}" if first == last else f"images {first}-{last}"
    if last - first + 1 > choice.count:
        span = f"{choice.count} of {span}"
    of_classes = f" of class {_class_list(choice.classes)}" if choice.classes else ""
    return f"{plural(choice.count, f'CIFAR-10 {noun}')}{of_classes} ({picked.where}, {span})"


def _class_list(classes: Sequence[int]) -> str:
    return " or ".join(CLASS_NAMES[index] for index in classes)


def _format_text(form: _Format) -> str:
    parts = []
    if form.channels == "grey":
        parts.append("averaged over the channels")
    if form.side != FULL_SIDE:
        parts.append(f"averaged over blocks to {form.side}x{form.side}")
    if form.layout != "flat":
        count = "x".join(map(str, form.shape[:-1]))
        what = "patches" if form.patch > 1 else "pixels" if form.layout == "grid" else form.layout
        parts.append(f"each as {count} {what} of {form.shape[-1]}")
    if form.normalize != "sphere":
        parts.append("pixels divided by 255")
    parts.append(_normalisation_text(form))
    return ", ".join(parts)


def _normalisation_text(form: _Format) -> str:
    flat = form.layout == "flat"
    if form.normalize == "sphere":
        norm = f"|xi|^2 = d = {form.entries}" if flat else f"total squared norm {form.entries}"
        return f"each centred to mean 0 and scaled to {norm}"
    centring = "each centred to mean 0" if form.normalize == "centre" else "not centred"
    return f"{centring}, d = {form.entries}" if flat else centring
