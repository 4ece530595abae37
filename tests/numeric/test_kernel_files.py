"""Kernels in files: interrupted, resumed, refused, beyond memory."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import tpl
from tpl.numeric import kernel as kernel_module

ROOT = Path(__file__).resolve().parents[2]


class Stop(Exception):
    """An interruption."""


@pytest.fixture
def inputs(monkeypatch):
    monkeypatch.setattr(kernel_module, "BLOCK", 7)
    return np.random.default_rng(0).standard_normal((40, 5))


def stop_after(blocks):
    def progress(done, total):
        if done >= blocks:
            raise Stop

    return progress


def interrupted(program, inputs, path, blocks, **options):
    with pytest.raises(Stop):
        program.kernel(inputs, out=path, threads=2, progress=stop_after(blocks), **options)


def test_a_file_holds_the_same_bits_as_memory(inputs, tmp_path):
    program = tpl.load("mlp")
    in_memory, path = program.kernel(inputs), tmp_path / "k.npy"
    found = program.kernel(inputs, out=path)
    np.testing.assert_array_equal(np.load(path)[1], in_memory.ntk)
    np.testing.assert_array_equal(found.nngp, in_memory.nngp)
    assert found.error == in_memory.error
    assert not path.with_name("k.npy.journal").exists()
    program.kernel(inputs, out=tmp_path / "one.npy", get=("ntk",), dtype="float32")
    np.testing.assert_array_equal(np.load(tmp_path / "one.npy"), in_memory.ntk.astype(np.float32))


def test_an_interrupted_file_is_resumed_to_the_same_bits(inputs, tmp_path):
    program, path = tpl.load("mlp"), tmp_path / "k.npy"
    interrupted(program, inputs, path, 5)
    steps = []
    program.kernel(inputs, out=path, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1]
    assert len(steps) <= steps[-1][1] - 5  # nothing that was there is computed again
    np.testing.assert_array_equal(np.load(path), np.array([*program.kernel(inputs).matrices.values()]))


def test_blocks_that_are_there_are_kept(inputs, tmp_path):
    program, path = tpl.load("mlp"), tmp_path / "k.npy"
    interrupted(program, inputs, path, 3)
    done = bytes(path.with_name("k.npy.journal").read_bytes()[64:])
    assert done[0] == 1
    np.lib.format.open_memmap(path, mode="r+")[0, 0, 1] = 123.0  # in the first block
    assert program.kernel(inputs, out=path).nngp[0, 1] == 123.0


@pytest.mark.parametrize("change", ["inputs", "program", "kernels", "dtype"])
def test_nothing_is_resumed_with_other_inputs(change, inputs, tmp_path):
    path = tmp_path / "k.npy"
    interrupted(tpl.load("mlp"), inputs, path, 3)
    before = path.read_bytes()
    program = tpl.load("mlp", settings=["L=4"] if change == "program" else [])
    options = {"kernels": {"get": ("ntk", "nngp")}, "dtype": {"dtype": "float32"}}.get(change, {})
    other = inputs + 1 if change == "inputs" else inputs
    with pytest.raises(tpl.TplError, match="other inputs"):
        program.kernel(other, out=path, **options)
    assert path.read_bytes() == before


def test_a_damaged_journal_starts_anew(inputs, tmp_path):
    program, path = tpl.load("mlp"), tmp_path / "k.npy"
    interrupted(program, inputs, path, 3)
    journal = path.with_name("k.npy.journal")
    journal.write_bytes(journal.read_bytes()[:-3])
    found = program.kernel(inputs, out=path)
    np.testing.assert_array_equal(found.ntk, program.kernel(inputs).ntk)


def test_a_file_that_cannot_be_written(inputs, tmp_path):
    with pytest.raises(tpl.TplError, match="cannot be written"):
        tpl.load("mlp").kernel(inputs, out=tmp_path / "no folder" / "k.npy")


KILLED = """
import os, sys
import numpy as np
import tpl
from tpl.numeric import kernel

kernel.BLOCK = 50
X = np.random.default_rng(0).standard_normal((600, 5))
def progress(done, total):
    if done == 20:
        os.kill(os.getpid(), 9)
tpl.load("mlp").kernel(X, out=sys.argv[1], progress=progress)
"""


def test_a_killed_process_loses_nothing_it_has_marked(tmp_path, monkeypatch):
    path = tmp_path / "k.npy"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(path)], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert sum(path.with_name("k.npy.journal").read_bytes()[64:]) >= 19
    monkeypatch.setattr(kernel_module, "BLOCK", 50)
    X = np.random.default_rng(0).standard_normal((600, 5))
    program = tpl.load("mlp")
    np.testing.assert_array_equal(program.kernel(X, out=path).ntk, program.kernel(X).ntk)


LARGE = """
import resource, sys
import numpy as np
import tpl

class Stop(Exception):
    pass

def stop(done, total):
    if done > total // 2:
        raise Stop

X = np.random.default_rng(0).standard_normal((20_000, 100))
program = tpl.load("mlp")
try:
    program.kernel(X, get=("ntk",), out=sys.argv[1], progress=stop)
except Stop:
    pass
found = program.kernel(X, get=("ntk",), out=sys.argv[1])
rows = slice(11_000, 11_300)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, np.max(np.abs(found.ntk[rows, rows] - program.kernel(X[rows]).ntk)))
"""


@pytest.mark.slow
def test_a_matrix_beyond_memory_interrupted_and_resumed(tmp_path):
    code = [sys.executable, "-c", textwrap.dedent(LARGE), str(tmp_path / "k.npy")]
    done = subprocess.run(code, cwd=ROOT, capture_output=True, text=True, check=True)
    memory, gap = map(float, done.stdout.split())
    assert memory < 2 * 2**30
    assert gap < 1e-12
    assert np.load(tmp_path / "k.npy", mmap_mode="r").shape == (20_000, 20_000)
