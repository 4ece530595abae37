"""Where a command's results go: every place is checked before the work begins, and what cannot be written when it is done
is printed all the same.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from tpl.language.source import Diagnostic, Source, TplError


@dataclass(frozen=True)
class Kind:
    """What a file holds: words before its possible endings, and these; without endings, any name will do."""

    words: str
    endings: tuple[str, ...] = ()


TEXT = Kind("text")
ARRAYS = Kind("arrays are saved as", (".npz",))
PAGE = Kind("an explanation is a page or a notebook:", (".html", ".htm", ".ipynb"))
PICTURE = Kind("pictures are saved as", (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".eps"))
MOST_NAMED = 3  # endings in a message


def refusal(name: str, message: str, hint: str | None = None) -> TplError:
    """A message about something else than a program's text."""
    return TplError(Source("", name), [Diagnostic(None, message, hint)])


def check_file(path: Path | None, kind: Kind) -> None:
    """Raise TplError where a file could not be written: a wrong ending, a folder that is missing, no permission."""
    if path is None:
        return
    if os.path.isdir(path):
        raise refusal(str(path), "this is a folder, not a file to write to", f"for instance `{_within(path, kind)}`")
    if kind.endings and path.suffix.lower() not in kind.endings:
        endings = [f"`{x}`" for x in kind.endings[:MOST_NAMED]]
        listed = " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))
        hint = f"for instance `{path.with_suffix(kind.endings[0])}`" if path.name else None
        raise refusal(str(path), f"{kind.words} {listed}", hint)
    if kind is PICTURE:
        _check_pictures(path)
    _check_writable(path)


def _within(folder: Path, kind: Kind) -> Path:
    return folder / f"result{kind.endings[0] if kind.endings else '.txt'}"


def _check_pictures(path: Path) -> None:
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise refusal(str(path), "pictures need matplotlib", "pip install 'tpl[plot]'")


def _check_writable(path: Path) -> None:
    try:
        exists = path.exists()
        folder = path.resolve().parent
        missing = not exists and not folder.is_dir()
        refused = not missing and not os.access(path if exists else folder, os.W_OK)
    except OSError as problem:  # a name that is too long, a link to itself
        raise _unwritten(path, problem) from None
    if missing:
        hint = "make it first" if not folder.exists() else None
        raise refusal(str(path), f"this cannot be written: there is no folder `{path.parent}`", hint)
    if refused:
        raise refusal(str(path), f"this cannot be written: {'the file' if exists else 'its folder'} is read-only")


def check_folder(path: Path, pictures: bool = False) -> None:
    """Make a folder for several files. Raises TplError where it cannot be made or written to."""
    if pictures:
        _check_pictures(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise refusal(str(path), f"this folder cannot be made: {problem.strerror or problem}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise refusal(str(path), "nothing can be written to this folder")


def _unwritten(path: Path, problem: Exception) -> TplError:
    if isinstance(problem, ImportError):
        return refusal(str(path), "pictures need matplotlib", "pip install 'tpl[plot]'")
    reason = (problem.strerror if isinstance(problem, OSError) else None) or problem
    return refusal(str(path), f"this cannot be written: {reason}")


Deliver = Callable[[Path | None, Callable[[Path], Any]], bool]


@contextmanager
def delivery() -> Iterator[Deliver]:
    """Gives `deliver(path, write)`, which says whether a file was written; none asked for counts as written.

    What fails is told at the end, after everything else has been printed, with exit code 2.
    """
    failed: list[TplError] = []

    def deliver(path: Path | None, write: Callable[[Path], Any]) -> bool:
        try:
            if path is not None:
                write(path)
            return True
        except TplError as problem:
            failed.append(problem)
        except (OSError, ValueError, ImportError) as problem:
            failed.append(_unwritten(path or Path(), problem))
        return False

    yield deliver
    for problem in failed:
        print(problem.render(), file=sys.stderr)
    if failed:
        raise typer.Exit(2)


def deliver_text(text: str, path: Path | None) -> None:
    """A text to a file, or printed without one, or where the file cannot be written."""
    with delivery() as deliver:
        written = deliver(path, lambda target: target.write_text(text, encoding="utf-8"))
        if path is None or not written:
            sys.stdout.write(text)
            sys.stdout.flush()


def rescued(write: Callable[[Path], Any], name: str) -> Path:
    """Write a file that found no place to a new folder for temporary ones, and give its path. Raises TplError."""
    try:
        target = Path(tempfile.mkdtemp(prefix="tpl-")) / name
        write(target)
    except OSError as problem:
        raise _unwritten(Path(name), problem) from None
    return target
