"""Compiled code, kept on disk by content.

An entry is a folder named by the hash of a module's text and of all else that shapes its machine code: the project's
and numba's versions, the processor. It holds the text, numba's machine code beside it, and a list of checksums written
last; a folder is built apart and renamed, so that processes never see half an entry. Code is run from here: the
folder must belong to the user, and nobody else may write to it. Without such a folder everything still works, compiled
anew by each process.
"""

import hashlib
import importlib.abc
import importlib.util
import json
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

MAX_BYTES = 256 << 20
STALE = 3600.0  # seconds after which a folder that was never finished is given up
TEXT, CHECKSUMS = "compiled.py", "checksums.json"
SHAPING = (  # their text is part of every key
    "vectors.py", "elementary.py", "sweep.py", "codegen.py", "cache.py",
    "pairwise_code.py", "pairwise_duals.py", "pairwise_fused.py", "pairwise_loops.py", "pairwise_series.py",
)  # fmt: skip
_LOADED: dict[str, ModuleType] = {}
_LOCK = threading.Lock()


def load(text: str) -> ModuleType:
    """The module with this text, whose functions are compiled as it is imported; from the cache where it is there.

    The text is the project's own or printed from checked expressions, nothing else.
    """
    key = key_of(text)
    with _LOCK:
        if key not in _LOADED:
            _LOADED[key] = _load(key, text)
        return _LOADED[key]


def _load(key: str, text: str) -> ModuleType:
    folder = directory()
    if folder is not None:
        found = _stored(folder / key, key) or _built(folder, key, text)
        if found is not None:
            return found
    loader = _FromMemory(text.replace("cache=True", "cache=False"))
    return _executed(importlib.util.spec_from_loader(f"tpl_compiled_{key}", loader))


class _FromMemory(importlib.abc.SourceLoader):
    """Imports a text that lies in no file."""

    def __init__(self, text: str):
        self.text = text

    def get_filename(self, fullname: str) -> str:
        return f"<{fullname}>"

    def get_data(self, path: str | bytes) -> bytes:
        return self.text.encode()


def key_of(text: str) -> str:
    return hashlib.sha256("\0".join([text, *shape()]).encode()).hexdigest()[:40]


@lru_cache(maxsize=1)
def shape() -> tuple[str, ...]:
    """All that shapes machine code but the text itself."""
    import llvmlite
    import numba
    import numpy as np

    from tpl.numeric.vectors import target

    here = Path(__file__).parent
    sources = hashlib.sha256(b"\0".join((here / name).read_bytes() for name in SHAPING)).hexdigest()
    versions = (numba.__version__, llvmlite.__version__, np.__version__, sys.version)
    return _project_version(), sources, *versions, *target()


def _project_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("tpl")
    except PackageNotFoundError:
        return "uninstalled"


# ---------------------------------------------------------------------------------------------- the folder


def directory() -> Path | None:
    """$TPL_CACHE_DIR, or tpl/ in the platform's folder for caches; None if it cannot be made, or is not private."""
    chosen = os.environ.get("TPL_CACHE_DIR")
    try:
        folder = Path(chosen) if chosen else _platform_folder() / "tpl"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder.resolve() if is_private(folder) else None
    except (OSError, RuntimeError):  # the latter where there is no home
        return None


def _platform_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def is_private(folder: Path) -> bool:
    """Does the folder belong to this user, and may no one else write to it?"""
    if os.name != "posix":
        return True  # a user's own folders are private there
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


# ---------------------------------------------------------------------------------------------- entries


def _stored(entry: Path, key: str) -> ModuleType | None:
    """A finished entry's module; a damaged entry is removed."""
    if not (entry / CHECKSUMS).is_file():
        return None
    try:
        if is_private(entry) and json.loads((entry / CHECKSUMS).read_text()) == _checksums(entry):
            os.utime(entry / CHECKSUMS)  # used last
            return _imported(entry, key)
    except Exception:  # whatever is wrong with what lies there, it can be made again
        pass
    shutil.rmtree(entry, ignore_errors=True)
    return None


def _built(folder: Path, key: str, text: str) -> ModuleType | None:
    """Build an entry apart and move it to its place, unless another process was faster; None if the disk refuses."""
    try:
        apart = Path(tempfile.mkdtemp(prefix="new-", dir=folder))
    except OSError:
        return None
    try:
        (apart / TEXT).write_text(text, encoding="utf-8")
        module = _imported(apart, key)
        (apart / CHECKSUMS).write_text(json.dumps(_checksums(apart)))
        with suppress(OSError):
            os.rename(apart, folder / key)
            prune(folder)
        return module
    except (OSError, RuntimeError):  # the latter from numba, where it cannot write
        return None
    finally:
        shutil.rmtree(apart, ignore_errors=True)


def _imported(folder: Path, key: str) -> ModuleType:
    with _numba_beside():
        return _executed(importlib.util.spec_from_file_location(f"tpl_compiled_{key}", folder / TEXT))


def _executed(spec: ModuleSpec | None) -> ModuleType:
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # numba's stored code names it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


@contextmanager
def _numba_beside() -> Iterator[None]:
    """Let numba keep its machine code beside the text, whatever folder it is told to use otherwise."""
    from numba import config

    names = ("CACHE_DIR", "CACHE_LOCATOR_CLASSES")
    before = {name: getattr(config, name) for name in names if hasattr(config, name)}
    for name in before:
        setattr(config, name, "")
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)


def _checksums(entry: Path) -> dict[str, str]:
    """The hashes of an entry's files; python's own byte code, which may come later, apart."""
    files = sorted(p for p in entry.rglob("*") if p.is_file() and p.name != CHECKSUMS and p.suffix != ".pyc")
    return {str(p.relative_to(entry)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def prune(folder: Path, max_bytes: int = MAX_BYTES) -> None:
    """Remove the entries used longest ago until `max_bytes` are left, and what was given up half-built."""
    entries = []
    for entry in folder.iterdir():
        if entry.name.startswith("new-"):
            if time.time() - entry.stat().st_mtime > STALE:
                shutil.rmtree(entry, ignore_errors=True)
        elif (entry / CHECKSUMS).is_file():
            size = sum(p.stat().st_size for p in entry.rglob("*") if p.is_file())
            entries.append(((entry / CHECKSUMS).stat().st_mtime, size, entry))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries):
        if total <= max_bytes:
            return
        shutil.rmtree(entry, ignore_errors=True)
        total -= size
