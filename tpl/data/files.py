"""Files of numbers: .npy, .npz and .csv.

A file's claims about its size are checked before anything of that size is allocated or decompressed.
Nothing is ever unpickled here.
"""

import csv
import difflib
import os
import re
import stat
import zipfile
from array import array as buffer
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tpl.data.dataset import ITEM_BYTES, DataError, bytes_text, require_room, shape_text, shown

HEADER_BYTES = 16_384  # more than numpy itself accepts as a header
TEXT_BYTES_PER_NUMBER = 32  # a float64 and its comma need at most 25 characters
SMALL_TEXT = 2**16


def read_npy(path: Path, max_bytes: int) -> NDArray[Any]:
    """The array of a .npy file, real, not empty, at most `max_bytes` bytes as float64."""
    _require_file(path)
    with _corrupt_as_data_error(path, "is not a readable .npy file"), path.open("rb") as stream:
        _check_header(str(path), stream.read(HEADER_BYTES), max_bytes)
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)


def read_npz(path: Path, name: str | None, max_bytes: int) -> NDArray[Any]:
    """The array `name` of a .npz file, or its only array where `name` is None; limits as for read_npy."""
    _require_file(path)
    with _corrupt_as_data_error(path, "is not a readable .npz file"), zipfile.ZipFile(path) as archive:
        return _read_member(path, archive, _member(path, archive, name), max_bytes)


def read_npz_all(path: Path, max_bytes: int) -> list[NDArray[Any]]:
    """All arrays of a .npz file, in its order; together at most `max_bytes` bytes as float64."""
    _require_file(path)
    arrays: list[NDArray[Any]] = []
    with _corrupt_as_data_error(path, "is not a readable .npz file"), zipfile.ZipFile(path) as archive:
        for member in (info for info in archive.infolist() if info.filename.endswith(".npy")):
            arrays.append(_read_member(path, archive, member, max_bytes - sum(x.size for x in arrays) * ITEM_BYTES))
    if not arrays:
        raise DataError(f"{path} holds no arrays")
    return arrays


def _read_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int) -> NDArray[Any]:
    what = f"array {shown(member.filename.removesuffix('.npy'))} of {path}"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{what} uses a compression that numpy does not write")
    with archive.open(member) as stream:
        _check_header(what, stream.read(HEADER_BYTES), max_bytes)
    with archive.open(member) as stream:  # expands no more than the header claims
        return np.lib.format.read_array(stream, allow_pickle=False)


def read_csv(path: Path, max_bytes: int) -> NDArray[np.float64]:
    """The numbers of a .csv file, [rows, columns], or [rows] where there is one column.

    Numbers are separated by commas; one header line and blank lines are skipped. Raises DataError naming the
    line for ragged rows and for cells that are no numbers.
    """
    _require_file(path)
    limit = max(SMALL_TEXT, TEXT_BYTES_PER_NUMBER * (max_bytes // ITEM_BYTES))
    size = path.stat().st_size
    if size > limit:
        raise DataError(
            f"{path} has {bytes_text(size)} of text, too much for an array of {bytes_text(max_bytes)}",
            "take a smaller array or raise --max-memory",
        )
    safely = _corrupt_as_data_error(path, "is not a readable .csv file")
    with safely, path.open(encoding="utf-8-sig", newline="") as stream:
        return _numbers(path, stream, max_bytes)


def require_numeric(what: str, dtype: np.dtype[Any]) -> None:
    """Raise DataError unless the dtype is boolean, integer or real."""
    if dtype.kind not in "biuf":
        kind = "complex numbers" if dtype.kind == "c" else f"entries of type {shown(str(dtype))}"
        raise DataError(f"{what} holds {kind}", "only real numbers, integers and booleans are accepted")


# ---- finding and opening


def _require_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise DataError(f"there is no file {shown(str(path), 200)}", _nearest_file(path)) from error
    if not stat.S_ISREG(mode):  # a pipe or device could be read for ever
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise DataError(f"{path} is {kind}")


def _nearest_file(path: Path) -> str | None:
    try:
        names = os.listdir(path.parent)
    except (OSError, ValueError):
        return f"there is no folder {shown(str(path.parent), 200)} either"
    names = [name for name in names if Path(name).suffix.lower() in (".npy", ".npz", ".csv")]
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / close[0]}?" if close else None


@contextmanager
def _corrupt_as_data_error(path: Path, problem: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # parsers meeting damaged bytes raise nearly anything
        raise DataError(f"{path} {problem}", "it may be damaged or cut short") from error


# ---- .npy and .npz


def _member(path: Path, archive: zipfile.ZipFile, name: str | None) -> zipfile.ZipInfo:
    members = {info.filename[:-4]: info for info in archive.infolist() if info.filename.endswith(".npy")}
    if not members:
        raise DataError(f"{path} holds no arrays")
    few = [shown(known) for known in list(members)[:8]]
    listed = ", ".join(few) + (", ..." if len(members) > 8 else "")
    if name is None and len(members) > 1:
        example = f"{path}:{next(iter(members))}"
        raise DataError(f"{path} holds {len(members)} arrays: {listed}",
                        f"name one, as in {shown(example, 200)}, or take all, as sequences: {shown(f'{path}:*', 200)}")  # fmt: skip
    if name is None:
        return next(iter(members.values()))
    if name not in members:
        raise DataError(f"{path} holds no array {shown(name)}", f"it holds {listed}")
    return members[name]


def _check_header(what: str, start: bytes, max_bytes: int) -> None:
    """Raise DataError, or what numpy raises, unless the first bytes announce an array that we accept.

    Parsing a bounded prefix matters: numpy would read a header of any claimed length before refusing it.
    """
    stream = BytesIO(start)
    reader = _header_reader(np.lib.format.read_magic(stream))
    shape, _, dtype = reader(stream)
    if any(size < 0 for size in shape):
        raise ValueError("negative size in the header")
    require_numeric(what, dtype)
    if 0 in shape:
        raise DataError(f"{what} is empty: its shape is {shape_text(shape)}")
    require_room(what, shape, max_bytes, max(ITEM_BYTES, dtype.itemsize))


def _header_reader(version: tuple[int, int]) -> Callable[[IO[bytes]], Any]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:  # (3, 0) is for structured arrays with names beyond latin1
        raise ValueError(f"unknown .npy version {version}")
    return readers[version]


# ---- .csv


def _numbers(path: Path, stream: IO[str], max_bytes: int) -> NDArray[np.float64]:
    values = buffer("d")
    width = rows = 0
    reader = csv.reader(_bounded_lines(path, stream, max_bytes // ITEM_BYTES), strict=True)
    for cells in reader:
        if not cells or (len(cells) == 1 and not cells[0].strip()):
            continue
        if not width:
            width = len(cells)
            if not any(_is_number(cell) or _is_row(cell) for cell in cells):
                continue  # the header
        if len(cells) != width:
            columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
            found = f"line {reader.line_num} has {columns}, the lines before it have {width}"
            raise DataError(f"{path}: {found}", "every line needs the same number of columns")
        values.extend(_parsed_row(path, reader.line_num, cells))
        rows += 1
        require_room(f"{path} (up to line {reader.line_num})", (rows, width), max_bytes)
    if not rows:
        raise DataError(f"{path} is empty: it holds no numbers")
    table = np.frombuffer(values, dtype=np.float64)
    return table if width == 1 else table.reshape(rows, width)


def _bounded_lines(path: Path, stream: IO[str], most_cells: int) -> Iterator[str]:
    for number, line in enumerate(stream, start=1):
        if line.count(",") >= max(most_cells, 1):  # before a list of that many strings is built
            raise DataError(
                f"{path}: line {number} alone has more numbers than the limit on memory admits",
                "take a smaller array or raise --max-memory",
            )
        yield line


def _parsed_row(path: Path, line: int, cells: list[str]) -> list[float]:
    for column, cell in enumerate(cells, start=1):
        if not _is_number(cell):
            problem = f"line {line}, column {column}: {shown(cell)} is not a number"
            raise DataError(f"{path}: {problem}", "numbers are separated by commas, with a point for decimals")
    return [float(cell) for cell in cells]


def _is_row(cell: str) -> bool:
    """Numbers that something else than commas separates?"""
    parts = re.split(r"[;\s]+", cell.strip())
    return len(parts) > 1 and all(map(_is_number, parts))


def _is_number(cell: str) -> bool:
    if "_" in cell or not cell.isascii():  # float() reads 1_000 and digits of any script
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True
