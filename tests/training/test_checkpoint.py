"""Training that is killed and resumed records the same bits as training that is left alone."""

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tpl.api import loads
from tpl.sampling.checkpoint import Checkpoint, CheckpointError, fingerprint
from tpl.sampling.companion import truncation_effect
from tpl.sampling.train import TrainOptions
from tpl.sampling.train_many import train_many

PROGRAM = """
width n
data X[N, d] = sphere(5, 4, seed=0)
data y[N] = [1, -1, 1, -1, 1]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    param b : [n] ~ N(0, 0.1)
    param v : [1, n] ~ N(0, 1 / n)
    h = W @ tanh(U @ xi) + b
    return v @ tanh(h)
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = 0.5
    batch = 3
    order = shuffled(seed=1)
    momentum = 0.5
    weight_decay = 0.01
    steps = 24
    record = 3
show loss, f
show min_eig(joint_gram(h))
"""

# Run with what to do, a folder, a precision, and where to be killed: at the tick-th step, or while the save-th state is
# written.
CHILD = """
import os, signal, sys
import test_checkpoint as t
from tpl.sampling import checkpoint

def die():
    os.kill(os.getpid(), signal.SIGKILL)

what, folder, dtype, place, count = sys.argv[1:]
left = [int(count)]

def counted(happens):
    def call(*args):
        left[0] -= happens == place
        if happens == place and left[0] == 0:
            die()
    return call

replace, at_step, at_save = checkpoint._replace, counted("step"), counted("save")
def replacing(path, content):
    if path.suffix == ".npz":
        at_save()
    replace(path, content)
checkpoint._replace = replacing
getattr(t, what)(folder, dtype, threads=2, progress=at_step)
"""


TRAINING = loads(PROGRAM)._compiled.program.training
SAMPLES = 700


@contextmanager
def kept(folder, options):
    checkpoint = None if folder is None else Checkpoint(folder, fingerprint(TRAINING, options), every=0.0)
    try:
        yield checkpoint
    finally:
        if checkpoint is not None:
            checkpoint.close()


def trained(folder, dtype, threads=1, progress=None):
    options = TrainOptions(SAMPLES, False, "lazy", 1e-3, 3, dtype)
    with kept(folder, options) as checkpoint:
        return train_many(TRAINING, options, 2, threads, progress, checkpoint=checkpoint)


def compared(folder, dtype, threads=1, progress=None):
    options = TrainOptions(SAMPLES, False, "lazy", 1e-2, 3, dtype)
    with kept(folder, options) as checkpoint:
        return truncation_effect(TRAINING, options, 30, threads, progress, checkpoint)


@pytest.fixture(scope="module", params=["float64", "float32"])
def undisturbed(request):
    return request.param, trained(None, request.param)


def killed(folder, dtype, place, count, what="trained"):
    here = Path(__file__).parent
    arguments = [sys.executable, "-c", CHILD, what, str(folder), dtype, place, str(count)]
    return subprocess.run(arguments, cwd=here, timeout=120).returncode


@pytest.mark.parametrize("places", [[("step", 20)], [("save", 9), ("step", 30), ("save", 1)]])
def test_killed_and_resumed_gives_the_same_bits(undisturbed, tmp_path, places):
    dtype, whole = undisturbed
    for place, count in places:
        assert killed(tmp_path, dtype, place, count) == -signal.SIGKILL
        assert list(tmp_path.glob("*.rows"))
    resumed = trained(tmp_path, dtype)
    assert resumed.keys() == whole.keys()
    for name, values in whole.items():
        assert np.array_equal(resumed[name], values), name
    assert not list(tmp_path.glob("*.rows"))
    again = trained(tmp_path, dtype)
    assert all(np.array_equal(again[name], values) for name, values in whole.items())


@pytest.mark.parametrize("places", [[("step", 40)], [("save", 12), ("step", 70)]])
def test_companions_killed_and_resumed_find_the_same_effect(tmp_path, places):
    """Each pair is a training whose matrices are drawn whole and revealed, and one that multiplies by them."""
    whole = compared(None, "float32")
    for place, count in places:
        assert killed(tmp_path, "float32", place, count, "compared") == -signal.SIGKILL
        assert list(tmp_path.glob("companion-*.npz"))
    resumed, again = compared(tmp_path, "float32"), compared(tmp_path, "float32")
    assert not list(tmp_path.glob("*.rows"))
    for change, same, read in zip(whole.changes, resumed.changes, again.changes, strict=True):
        assert change.max() > 0
        assert np.array_equal(same, change)
        assert np.array_equal(read, change)


def test_damage_is_found(tmp_path):
    assert killed(tmp_path, "float64", "step", 20) == -signal.SIGKILL
    rows = next(tmp_path.glob("*.rows"))
    content = bytearray(rows.read_bytes())
    content[len(content) // 3] ^= 1
    rows.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        trained(tmp_path, "float64")


def test_other_options_and_second_users_are_refused(tmp_path):
    first = Checkpoint(tmp_path, "one")
    with pytest.raises(CheckpointError, match="in use"):
        Checkpoint(tmp_path, "one")
    first.close()
    with pytest.raises(CheckpointError, match="another program"):
        Checkpoint(tmp_path, "two")
