"""Kernel matrices by blocks over a dask cluster. A block that is lost with its worker is computed again.

Needs dask and distributed: pip install 'tpl[dask]'.
"""

import os
import pickle
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from distributed import Client, default_client

from tpl.api import Progress, TensorProgram
from tpl.numeric.kernel import Elsewhere, Kernel

BLOCK = 1024  # inputs a side
AHEAD = 3  # blocks on their way for every thread of the cluster


def kernel_over_cluster(
    program: TensorProgram,
    X1: Any,
    X2: Any = None,
    get: Sequence[str] = ("nngp", "ntk"),
    client: Client | None = None,
    out: str | os.PathLike[str] | None = None,
    block: int = BLOCK,
    retries: int = 10,
    progress: Progress | None = None,
) -> Kernel:
    """`TensorProgram.kernel` with its blocks computed by the workers of a cluster, each in one thread.

    X1 [N1, …], X2 [N2, …] or None. out: a .npy file for the matrices, on this machine, resumed after an interruption.
    retries: how often a block may fail; those lost with a worker are computed by another one. Agrees with
    `TensorProgram.kernel` to rounding. Raises TplError as that does.
    """
    client = client or default_client()
    executor = client.get_executor(pure=False, retries=retries)
    threads = max(1, sum(client.nthreads().values()))
    compute = partial(_block, pickle.dumps(program.with_few_inputs()), tuple(get), np.shape(X1)[1:])
    elsewhere = Elsewhere(executor, compute, block, AHEAD * threads)
    return program.kernel(X1, X2, get, out=out, progress=progress, elsewhere=elsewhere)


def _block(
    program: bytes, get: tuple[str, ...], shape: tuple[int, ...], left: np.ndarray, right: np.ndarray
) -> dict[str, np.ndarray]:
    first, second = (x.reshape(len(x), *shape) for x in (left, right))
    return dict(_program(program).kernel(first, second, get=get, threads=1).matrices)


@lru_cache(maxsize=8)
def _program(pickled: bytes) -> TensorProgram:
    return pickle.loads(pickled)
