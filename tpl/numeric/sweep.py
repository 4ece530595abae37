"""The loop over samples: Gaussian points, the generated integrands at them, means and spreads.

This text is compiled through `tpl.numeric.cache`, never imported where it lies; `SWEEP_SIGNATURE` makes numba compile it
there and then. Points come in chunks that stay in the first-level cache, chunks in blocks; a block's random numbers
depend on the key and the block's number alone, so that neither threads nor the order of work change a bit.

Source of the generator: Salmon, Moraes, Dror and Shaw 2011, Philox4x32-10.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from tpl.numeric.elementary import (
    ROUGH_COSINE,
    ROUGH_LOG_REST,
    ROUGH_SINE,
    bits_of,
    exponent_and_mantissa,
    float_of,
    inline,
    normal_quantile,
    polynomial,
)

CHUNK = 256  # also in tpl.numeric.codegen
U = np.uint64
LOW = U(0xFFFFFFFF)
WORD = U(32)
MULTIPLY_0, MULTIPLY_1 = U(0xD2511F53), U(0xCD9E8D57)
WEYL_0, WEYL_1 = U(0x9E3779B9), U(0xBB67AE85)
ONE_BITS = U(0x3FF0000000000000)
BELOW_ONE = 1.0 - 2.0**-53
BELOW_ONE_40 = 1.0 - 2.0**-41
MIDDLE_22 = 1.5 - 2.0**-23
LN2 = math.log(2.0)

SWEEP_SIGNATURE = types.void(
    types.int64[::1],  # kernels: addresses of the integrands' functions, called in turn
    types.uint64[::1],  # key: two words of 32 bits
    types.uint64[:, ::1],  # low [rank, CHUNK]: the first points of a digital net; no rows: pseudo-random points
    types.uint64[:, ::1],  # high [rank, bits]: the net's generator for each bit of the chunk's number
    types.float64[:, ::1],  # factor [variables, rank] of the covariance
    types.float64[::1],  # parameters of the integrands
    types.int64,  # slots: rows of scratch memory that the kernels share
    types.boolean,  # pairs: average over z and -z
    types.int64,  # chunks in a block
    types.int64,  # first block
    types.float64[:, :, ::1],  # result [blocks, 3, integrands]: mean, and sums of 2nd and 4th powers of deviations
)

sine = polynomial(ROUGH_SINE)  # of t π/2 over t, for t²
cosine = polynomial(ROUGH_COSINE)
log_rest = polynomial(ROUGH_LOG_REST)


@inline
def philox(c0, c1, c2, c3, k0, k1):
    """Four words of 32 bits, in words of 64."""
    for _ in range(10):
        p0 = MULTIPLY_0 * (c0 & LOW)
        p1 = MULTIPLY_1 * (c2 & LOW)
        c0, c1, c2, c3 = (p1 >> WORD) ^ c1 ^ k0, p1, (p0 >> WORD) ^ c3 ^ k1, p0
        k0 += WEYL_0
        k1 += WEYL_1
    return c0 & LOW, c1 & LOW, c2 & LOW, c3 & LOW


@inline
def uniform(bits):
    """An odd multiple of 2^-53 from the upper 52 bits."""
    return float_of((bits >> U(12)) | ONE_BITS) - BELOW_ONE


@inline
def radius(bits):
    """sqrt(-2 log u) for u uniform, from the upper 40 bits: up to 7.5."""
    k, m = exponent_and_mantissa(float_of((bits >> U(24) << U(12)) | ONE_BITS) - BELOW_ONE_40)
    s = (m - 1.0) / (m + 1.0)
    w = s * s
    return math.sqrt(-2.0 * (k * LN2 + (2.0 * s + s * w * log_rest(w))))


@inline
def turn(bits):
    """The cosine and sine of a uniform angle, from the lower 24 bits: two for the quadrant, 22 for the angle in it."""
    t = float_of(((bits & U(0x3FFFFF)) << U(30)) | ONE_BITS) - MIDDLE_22
    s, c = t * sine(t * t), cosine(t * t)
    odd = (bits & U(1 << 22)) != 0
    x, y = (s, c) if odd else (c, s)
    lower = (bits & U(1 << 23)) << U(40)
    across = lower ^ ((bits & U(1 << 22)) << U(41))
    return float_of(bits_of(x) ^ across), float_of(bits_of(y) ^ lower)


@inline
def normals(index, row, key, z):
    """A chunk of standard normal numbers (Box and Muller 1958), four from 128 random bits."""
    quarter = CHUNK // 4
    for i in range(quarter):
        c0, c1, c2, c3 = philox(U(i), U(row), U(index) & LOW, U(index) >> WORD, key[0], key[1])
        first, second = c0 | (c1 << WORD), c2 | (c3 << WORD)
        r, (x, y) = radius(first), turn(first)
        z[i] = r * x
        z[i + quarter] = r * y
        r, (x, y) = radius(second), turn(second)
        z[i + 2 * quarter] = r * x
        z[i + 3 * quarter] = r * y


@inline
def net(index, low, high, z):
    """A chunk of a digital net's coordinate, mapped to the normal law."""
    start = U(0)
    for bit in range(high.size):
        if (index >> bit) & 1:
            start ^= high[bit]
    for i in range(CHUNK):
        z[i] = normal_quantile(uniform(low[i] ^ start))


@inline
def combine(factor, z, u):
    """u = factor @ z."""
    for i in range(factor.shape[0]):
        for k in range(CHUNK):
            u[i, k] = factor[i, 0] * z[0, k]
        for j in range(1, factor.shape[1]):
            f = factor[i, j]
            if f != 0.0:
                for k in range(CHUNK):
                    u[i, k] += f * z[j, k]


@intrinsic
def call(typing: Any, address: Any, u: Any, out: Any, parameters: Any, scratch: Any) -> Any:
    """Call a generated function with four pointers, all given as whole numbers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 4)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [builder.inttoptr(a, pointer) for a in args[1:]])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


summing = njit(forceinline=True, error_model="numpy", fastmath={"contract", "reassoc"})


@summing
def powers(x, centre):
    """Sums of 1st, 2nd and 4th powers of a chunk's differences from a centre."""
    first, second, fourth = 0.0, 0.0, 0.0
    for k in range(CHUNK):
        d = x[k] - centre
        first += d
        second += d * d
        fourth += (d * d) * (d * d)
    return first, second, fourth


@inline
def gather(out, centres, sums):
    """Add a chunk's powers to a block's, [3, integrands]."""
    for i in range(out.shape[0]):
        first, second, fourth = powers(out[i], centres[i])
        sums[0, i] += first
        sums[1, i] += second
        sums[2, i] += fourth


@inline
def finish(centres, sums, count):
    """Sums over `count` values near the centres become a mean and, the fourth nearly, sums of powers of deviations."""
    for i in range(centres.size):
        sums[1, i] -= sums[0, i] * sums[0, i] / count
        sums[0, i] = centres[i] + sums[0, i] / count


@njit(SWEEP_SIGNATURE, nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def sweep(kernels, key, low, high, factor, parameters, slots, pairs, chunks, first, result):
    count = result.shape[2]
    variables, rank = factor.shape
    z = np.empty((rank, CHUNK))
    standard = variables == rank and np.all(factor == np.eye(rank))
    u = z if standard else np.empty((variables, CHUNK))
    out = np.empty((count, CHUNK))
    mirrored = np.empty((count if pairs else 0, CHUNK))
    scratch = np.empty((slots, CHUNK))
    centres = np.empty(count)
    at_u, at_out, at_mirrored = u.ctypes.data, out.ctypes.data, mirrored.ctypes.data
    at_parameters, at_scratch = parameters.ctypes.data, scratch.ctypes.data
    for b in range(result.shape[0]):
        result[b] = 0.0
        for c in range(chunks):
            index = (first + b) * chunks + c
            for j in range(rank):
                if low.shape[0]:
                    net(index, low[j], high[j], z[j])
                else:
                    normals(index, j, key, z[j])
            if not standard:
                combine(factor, z, u)
            for kernel in kernels:
                call(kernel, at_u, at_out, at_parameters, at_scratch)
            if pairs:
                u *= -1.0
                for kernel in kernels:
                    call(kernel, at_u, at_mirrored, at_parameters, at_scratch)
                for i in range(count):
                    for k in range(CHUNK):
                        out[i, k] = 0.5 * (out[i, k] + mirrored[i, k])
            if c == 0:
                for i in range(count):
                    centres[i] = out[i, 0] + powers(out[i], out[i, 0])[0] / CHUNK
            gather(out, centres, result[b])
        finish(centres, result[b], CHUNK * chunks)
