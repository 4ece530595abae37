"""Files of programs, formatted in place."""

import difflib
import os
import re
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tpl.language.format import format_text
from tpl.language.source import Diagnostic, Source, TplError

STDIN = "-"


@dataclass(frozen=True)
class Formatted:
    """A file's text before and after. `path`: where it lies, None for standard input. Rows end in \\n."""

    name: str
    path: Path | None
    before: str
    after: str
    newline: str = "\n"

    @property
    def changed(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        before, after = (re.findall(r"[^\n]*\n|[^\n]+$", text) for text in (self.before, self.after))
        rows = difflib.unified_diff(before, after, self.name, f"{self.name} (formatted)")
        return "".join(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n" for row in rows)

    def write(self) -> None:
        """Put the new text in the place of the old one, or to standard output; all of it or nothing. Raises TplError."""
        if self.path is None:
            sys.stdout.write(self.after)
        elif self.changed:
            try:
                _replace(self.path.resolve(), self.after.replace("\n", self.newline).encode())
            except OSError as problem:
                raise _refused(self.name, f"this cannot be written: {problem.strerror or problem}") from None


def format_file(name: str) -> Formatted:
    """Read and format a file, `-` being standard input. Raises TplError if it cannot be read or parsed."""
    shown = "<stdin>" if name == STDIN else name
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        reason = "it is not UTF-8 text" if isinstance(problem, UnicodeDecodeError) else problem.strerror
        raise _refused(shown, f"this file cannot be read: {reason or 'unreadable'}") from None
    newline = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return Formatted(shown, None if name == STDIN else Path(name), text, format_text(Source(text, shown)), newline)


def _replace(path: Path, data: bytes) -> None:
    """Write a file beside the old one, then rename it."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _refused(name: str, message: str) -> TplError:
    return TplError(Source("", name), [Diagnostic(None, message)])
