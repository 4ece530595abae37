"""numba's compiler, told to use the whole width of this processor's vectors. Import it before anything is compiled.

LLVM takes half of the 512 bits on Intel's processors unless it is told otherwise; loops over samples take a fifth less
time with all of them (docs/benchmarks.md). Whoever sets NUMBA_CPU_FEATURES, or has used numba before, keeps what numba
has then.
"""

from numba import config, njit
from numba.core.codegen import get_host_cpu_features
from numba.core.registry import cpu_target

FEATURES, CHOSEN = get_host_cpu_features(), "CPU_FEATURES"
if getattr(config, CHOSEN) is None and "+avx512f" in FEATURES.split(","):
    setattr(config, CHOSEN, f"{FEATURES},-prefer-256-bit")


def target() -> tuple[str, ...]:
    """The triple, the processor and its features that numba's machine code is for."""
    return tuple(map(str, cpu_target.target_context.codegen().magic_tuple()))


__all__ = ["njit", "target"]
