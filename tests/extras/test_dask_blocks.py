"""Kernel blocks over a local cluster; a worker is killed on the way."""

import os
import signal

import numpy as np
import pytest

import tpl

pytest.importorskip("distributed")
from distributed import Client, LocalCluster

from tpl.extras.dask import kernel_over_cluster

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_a_cluster_agrees_with_this_process(client, tmp_path):
    X = np.random.default_rng(0).standard_normal((200, 6))
    program = tpl.load("mlp", settings=["phi(z)=tanh(z)"])
    here = program.kernel(X)
    there = kernel_over_cluster(program, X, client=client, block=50, out=tmp_path / "k.npy")
    for name in here.names:
        np.testing.assert_allclose(there[name], here[name], atol=1e-13)
    np.testing.assert_array_equal(np.load(tmp_path / "k.npy")[0], there.nngp)


def test_a_killed_worker_loses_nothing(client):
    X = np.random.default_rng(1).standard_normal((400, 6))
    program = tpl.load("mlp")
    before = set(client.run(os.getpid).values())
    killed = []

    def kill_one(done, total):
        if done == 4:
            killed.append(sorted(before)[0])
            os.kill(killed[0], signal.SIGKILL)

    there = kernel_over_cluster(program, X, client=client, block=50, progress=kill_one)
    assert killed
    assert not set(killed) & set(client.run(os.getpid).values())
    here = program.kernel(X)
    for name in here.names:
        np.testing.assert_allclose(there[name], here[name], rtol=1e-12)
