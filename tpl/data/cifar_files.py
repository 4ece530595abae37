"""CIFAR-10 (Krizhevsky, 2009) from files: the bundled slice, or the official `cifar-10-batches-py` folder.

The official batches are pickles. They are read with stand-ins for numpy's array constructors, so that reading
calls neither numpy nor anything else that the file names; what comes out is checked before it becomes an array.
"""

import io
import pickle
import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tpl import resources
from tpl.data.dataset import DataError, bytes_text, shown

IMAGE_SHAPE = (3, 32, 32)
IMAGE_BYTES = 3 * 32 * 32
CLASSES = 10
LARGEST_BATCH = 10_000
LARGEST_FILE = 200 * 10**6
OFFICIAL_HINT = "FOLDER must be the official cifar-10-batches-py, which holds data_batch_1 to data_batch_5"


@dataclass(frozen=True, eq=False)
class Batch:
    """Images, uint8 [n, 3, 32, 32] (channel, row, column), and their class indices, uint8 [n]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def bundled_batches() -> Iterator[Batch]:
    """The slice shipped with the programs: the first 164 images of data_batch_1, as one batch."""
    path = resources.programs_dir() / "data" / "cifar10_first164.npz"
    try:
        with np.load(path, allow_pickle=False) as archive:
            batch = Batch(archive["images"], archive["labels"])
    except Exception as error:  # any failure of the reader on these bytes means a damaged installation
        raise DataError(f"the bundled CIFAR-10 slice {path} cannot be read", "install tpl again") from error
    yield batch


def official_batches(folder: Path) -> Iterator[Batch]:
    """The five training batches in order, each read only when it is asked for.

    Raises DataError for a missing, oversized, malicious or malformed file.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", OFFICIAL_HINT)
    for number in range(1, 6):
        yield read_batch(folder / f"data_batch_{number}")


def read_batch(path: Path) -> Batch:
    """One official batch: a pickled dict with b'data', uint8 [n, 3072], and b'labels', n integers from 0 to 9."""
    content = _unpickle(path, _read_bounded(path))
    if not isinstance(content, dict):
        raise _not_a_batch(path, "its pickle holds no dict")
    for key in (b"data", b"labels"):
        if key not in content:
            raise _not_a_batch(path, f"it has no {key!r}")
    images = _checked_images(path, content[b"data"])
    return Batch(images, _checked_labels(path, content[b"labels"], len(images)))


def _read_bounded(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"there is no file {path}", OFFICIAL_HINT)
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if len(raw) > LARGEST_FILE:
        raise DataError(f"{path} is larger than {bytes_text(LARGEST_FILE)}", OFFICIAL_HINT)
    return raw


# ---- the restricted unpickler


class _PickledArray:
    """What the pickle says of an array, uninterpreted: (version, shape, dtype, fortran order, bytes)."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _PickledDtype:
    """What the pickle says of a dtype: its code. Byte order and fields mean nothing for the uint8 we admit."""

    __slots__ = ("code",)

    def __init__(self, code: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        pass


def _stand_ins() -> dict[tuple[str, str], Any]:
    """Every name that a batch may use, with what it gets instead.

    Made afresh for each file: a pickle can set attributes on the objects it names, and these are thrown away.
    """

    def reconstruct(kind: object, shape: object, code: object) -> _PickledArray:
        return _PickledArray()

    def dtype(code: object, align: object = False, copy: object = True) -> _PickledDtype:
        return _PickledDtype(code)

    def encode(text: object, codec: object) -> bytes:  # how Python 3 writes bytes in protocol 2
        if not isinstance(text, str) or codec not in ("latin1", b"latin1"):
            raise pickle.UnpicklingError("_codecs.encode of something other than latin1 text")
        return text.encode("latin1")

    return {
        ("numpy.core.multiarray", "_reconstruct"): reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): reconstruct,
        ("numpy", "ndarray"): "ndarray",
        ("numpy", "dtype"): dtype,
        ("_codecs", "encode"): encode,
    }


class _ArrayUnpickler(pickle.Unpickler):
    def __init__(self, path: Path, raw: bytes) -> None:
        super().__init__(io.BytesIO(raw), fix_imports=False, encoding="bytes")  # Python 2 strings are bytes
        self._path = path
        self._admitted = _stand_ins()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._admitted:
            asked = shown(f"{module}.{name}")
            raise DataError(
                f"{self._path} is refused: its pickle asks for {asked}, which is no array constructor",
                "the file may be malicious; use the official CIFAR-10 batches (python version)",
            )
        return self._admitted[module, name]


def _unpickle(path: Path, raw: bytes) -> object:
    try:
        _refuse_bombs(raw)
        return _ArrayUnpickler(path, raw).load()
    except DataError:
        raise
    except Exception as error:  # hostile bytes make the unpickler raise nearly anything
        raise _not_a_batch(path, "its pickle cannot be read") from error


def _refuse_bombs(raw: bytes) -> None:
    # The unpickler allocates memory for whatever length or memo index the file claims. Walking the opcodes
    # first checks claimed lengths against the file; honest picklers number their memo entries in order.
    for position, (opcode, argument, _) in enumerate(pickletools.genops(raw), start=1):
        is_memo = opcode.name in ("PUT", "BINPUT", "LONG_BINPUT")
        if is_memo and isinstance(argument, int) and argument > position:
            raise pickle.UnpicklingError("memo index out of order")


# ---- checks of what came out


def _checked_images(path: Path, data: object) -> NDArray[np.uint8]:
    shape, fortran, raw = _array_state(path, data)
    if len(shape) != 2 or shape[1] != IMAGE_BYTES or not 1 <= shape[0] <= LARGEST_BATCH:
        raise _not_a_batch(path, f"b'data' has shape {shown(list(shape))}, not [n, {IMAGE_BYTES}]")
    if len(raw) != shape[0] * shape[1]:
        raise _not_a_batch(path, f"b'data' of shape {list(shape)} comes with {len(raw)} bytes")
    flat = np.frombuffer(raw, dtype=np.uint8).reshape(shape, order="F" if fortran else "C")
    return flat.reshape(-1, *IMAGE_SHAPE)


def _array_state(path: Path, data: object) -> tuple[tuple[int, ...], bool, bytes]:
    state = data.state if isinstance(data, _PickledArray) else None
    if not isinstance(state, tuple) or len(state) != 5:
        raise _not_a_batch(path, "b'data' is no array")
    _, shape, dtype, fortran, raw = state
    if not isinstance(dtype, _PickledDtype) or dtype.code not in ("u1", b"u1"):
        raise _not_a_batch(path, "b'data' is no array of uint8")
    shape_is_sound = isinstance(shape, tuple) and all(type(size) is int for size in shape)
    if not shape_is_sound or not isinstance(raw, bytes):
        raise _not_a_batch(path, "b'data' is no array")
    return shape, bool(fortran), raw


def _checked_labels(path: Path, labels: object, count: int) -> NDArray[np.uint8]:
    if not isinstance(labels, list) or len(labels) != count:
        raise _not_a_batch(path, f"b'labels' is no list of {count} integers, one an image")
    for number, label in enumerate(labels, start=1):
        if type(label) is not int or not 0 <= label < CLASSES:
            raise _not_a_batch(path, f"label {number} is {shown(label)}, not an integer from 0 to 9")
    return np.array(labels, dtype=np.uint8)


def _not_a_batch(path: Path, reason: str) -> DataError:
    return DataError(f"{path} is no CIFAR-10 batch: {reason}", OFFICIAL_HINT)
