"""Compiled code on disk: keyed by content, private, whole under concurrency, rebuilt when damaged, bounded."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tpl.core.expr import number, power, ref
from tpl.numeric import cache
from tpl.numeric.codegen import generate

ROOT = Path(__file__).resolve().parents[2]
TEXT = generate([power(ref(0), number(2))], 1).text

SQUARE = """
import sys
from tests.numeric.test_code_cache import TEXT, is_square
from tpl.numeric import cache
module = cache.load(TEXT)
assert is_square(module)
print(module.kernel0._cache_hits)
"""


def is_square(module):
    import ctypes

    import numpy as np

    z, out = np.linspace(-2, 2, 256), np.zeros(256)
    kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(module.KERNELS[0])
    kernel(z.ctypes.data, out.ctypes.data, out.ctypes.data, out.ctypes.data)
    return bool(np.all(out == z * z))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("TPL_CACHE_DIR", str(folder))
    monkeypatch.setattr(cache, "_LOADED", {})
    return folder


def forget(monkeypatch):
    monkeypatch.setattr(cache, "_LOADED", {})


def start(folder, **environment):
    environment = {**os.environ, "TPL_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen([sys.executable, "-c", SQUARE], env=environment, text=True, cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def finish(process):
    out, problems = process.communicate(timeout=120)
    assert process.returncode == 0, problems
    assert not problems
    return int(out)


def test_a_second_load_compiles_nothing(folder, monkeypatch):
    first = cache.load(TEXT)
    assert first.kernel0._cache_hits == 0
    assert is_square(first)
    assert cache.load(TEXT) is first
    forget(monkeypatch)
    second = cache.load(TEXT)
    assert second.kernel0._cache_hits == 1
    assert is_square(second)
    assert [p.name for p in folder.iterdir()] == [cache.key_of(TEXT)]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_folders_are_private(folder):
    cache.load(TEXT)
    assert [oct(p.stat().st_mode & 0o777) for p in (folder, *folder.iterdir())] == ["0o700", "0o700"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702, 0o1777])
def test_code_is_not_run_from_where_others_may_write(folder, mode):
    folder.mkdir()
    folder.chmod(mode)
    assert cache.directory() is None
    assert is_square(cache.load(TEXT))
    assert not list(folder.iterdir())


def test_code_is_not_run_from_another_users_folder(folder, monkeypatch):
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert cache.directory() is None


def test_an_entry_that_others_may_write_to_is_made_anew(folder, monkeypatch):
    cache.load(TEXT)
    entry = folder / cache.key_of(TEXT)
    entry.chmod(0o777)
    forget(monkeypatch)
    assert cache.load(TEXT).kernel0._cache_hits == 0
    assert cache.is_private(entry)


def test_folders_that_cannot_be_made_do_no_harm(folder, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        monkeypatch.setenv("TPL_CACHE_DIR", str(path))
        forget(monkeypatch)
        assert cache.directory() is None
        assert is_square(cache.load(TEXT))


@pytest.mark.parametrize("failing", ["write_text", "mkdtemp", "numba"])
def test_a_full_disk_does_no_harm(folder, monkeypatch, failing):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    if failing == "write_text":
        monkeypatch.setattr(Path, "write_text", full)
    elif failing == "mkdtemp":
        monkeypatch.setattr(cache.tempfile, "mkdtemp", full)
    else:
        monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    assert is_square(cache.load(TEXT))
    assert not list(folder.iterdir())


@pytest.mark.parametrize("suffix", [".nbc", ".nbi", ".py", ".json"])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-9] + b"x" * 9])
def test_damaged_entries_are_made_anew(folder, monkeypatch, capfd, suffix, damage):
    cache.load(TEXT)
    (path,) = (p for p in folder.rglob("*") if p.suffix == suffix)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    forget(monkeypatch)
    assert is_square(cache.load(TEXT))
    forget(monkeypatch)
    assert cache.load(TEXT).kernel0._cache_hits == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("place", range(9))
def test_upgrades_and_other_processors_have_other_keys(monkeypatch, place):
    before = cache.key_of(TEXT)
    changed = [*cache.shape()]
    changed[place] += "x"
    monkeypatch.setattr(cache, "shape", lambda: tuple(changed))
    assert cache.key_of(TEXT) != before
    assert len(changed) == 9


@pytest.mark.parametrize("name", ["numba.__version__", "llvmlite.__version__", "numpy.__version__"])
def test_versions_are_part_of_the_key(monkeypatch, name):
    cache.shape.cache_clear()
    before = cache.key_of(TEXT)
    monkeypatch.setattr(name, "99.0")
    cache.shape.cache_clear()
    assert cache.key_of(TEXT) != before
    cache.shape.cache_clear()


def test_an_upgrade_compiles_anew_beside_the_old(folder, monkeypatch):
    cache.load(TEXT)
    forget(monkeypatch)
    monkeypatch.setattr(cache, "shape", lambda: ("another version",))
    assert cache.load(TEXT).kernel0._cache_hits == 0
    assert len(list(folder.iterdir())) == 2


def test_processes_that_compile_at_once_agree(folder):
    processes = [start(folder) for _ in range(4)]
    for process in processes:
        finish(process)
    assert [p.name for p in folder.iterdir()] == [cache.key_of(TEXT)]
    assert finish(start(folder)) == 1


def test_numbas_own_folder_is_not_used(folder, tmp_path):
    own = str(tmp_path / "numba")
    assert finish(start(folder, NUMBA_CACHE_DIR=own)) == 0
    assert finish(start(folder, NUMBA_CACHE_DIR=own)) == 1
    assert not Path(own).exists()


def test_what_was_used_longest_ago_goes_first(folder):
    folder.mkdir()
    for age, name in enumerate(["new", "middle", "old"]):
        entry = folder / name
        entry.mkdir()
        (entry / "data").write_bytes(b"x" * 1000)
        (entry / cache.CHECKSUMS).write_text("{}")
        os.utime(entry / cache.CHECKSUMS, (time.time() - 100 * age,) * 2)
    (folder / "new-abandoned").mkdir()
    os.utime(folder / "new-abandoned", (0, 0))
    (folder / "new-growing").mkdir()
    cache.prune(folder, max_bytes=2100)
    assert sorted(p.name for p in folder.iterdir()) == ["middle", "new", "new-growing"]


def test_use_counts_as_use(folder, monkeypatch):
    cache.load(TEXT)
    mark = folder / cache.key_of(TEXT) / cache.CHECKSUMS
    os.utime(mark, (1, 1))
    forget(monkeypatch)
    cache.load(TEXT)
    assert mark.stat().st_mtime > 1e9
