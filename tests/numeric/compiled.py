"""Running generated code directly, for tests."""

import ctypes

import numpy as np

from tpl.numeric import cache
from tpl.numeric.codegen import CHUNK, generate


def evaluate(integrands, points, env=None, known=None):
    """Generated code at points [variables, samples]: [integrands, samples]."""
    code = generate(integrands, len(points))
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
    kernels = [kind(address) for address in cache.load(code.text).KERNELS]
    parameters = np.append(code.parameter_values(env or {}, known or {}), 0.0)
    scratch = np.empty((code.slots + 1, CHUNK))
    columns = []
    for start in range(0, points.shape[1], CHUNK):
        part = points[:, start : start + CHUNK]
        u = np.zeros((len(points), CHUNK))
        u[:, : part.shape[1]] = part
        out = np.empty((len(integrands), CHUNK))
        for kernel in kernels:
            kernel(u.ctypes.data, out.ctypes.data, parameters.ctypes.data, scratch.ctypes.data)
        columns.append(out[:, : part.shape[1]])
    return np.concatenate(columns, axis=1)
