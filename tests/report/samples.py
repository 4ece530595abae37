"""Reports made from invented numbers, for the tests of this folder."""

import numpy as np

from tpl.language.source import Span
from tpl.report.results import CheckReport, Result, Run, ShowShape, Verification, value_names
from tpl.sampling.agreement import compare

TITLE = "Multilayer perceptron"
WIDTHS = (64, 128, 256, 512, 1024)


def kernel(size, seed=0):
    x = np.random.default_rng(seed).standard_normal((size, 10))
    x /= np.linalg.norm(x, axis=1)[:, None]
    return x @ x.T


def make_run(*results, notes=("a note",), **other):
    standard = (
        Result("nngp(f, X)", kernel(4), 1.2e-3, "particles", Span(3, 1, 3, 11)),
        Result("avg(x * z)", 0.6057, 0.0012, "particles"),
        Result("gram(x)", kernel(16), 0.0, "closed form"),
    )
    fields = {"title": TITLE, "program_name": "mlp.tp", "program_class": "NETSORT", "seed": 7, "inputs": ("X: data",)}
    return Run(**fields, results=results or standard, notes=notes, seconds=1.5, **other)


def make_verification(size=4, wrong=0.0, widths=WIDTHS, show="nngp(f, X)", constant=True):
    """A symmetric kernel, one number, and a constant; entry [1, 2] of the limit is off by `wrong`."""
    rng = np.random.default_rng(1)
    truth = np.append(kernel(size).ravel(), [2.0, 1.0])
    flip = np.append(np.arange(size * size).reshape(size, size).T.ravel(), [size * size, size * size + 1])

    def noise(count):
        out = rng.standard_normal((count, len(truth)))
        out = (out + out[:, flip]) / np.sqrt(2)
        out[:, -1] *= not constant
        return out

    limit = truth + 1e-3 * noise(8)
    limit[:, [1, size]] += wrong
    finite = {n: truth + 0.3 * noise(12) / np.sqrt(n) for n in widths}
    names = (*value_names(show, (size, size)), "loss", "avg(ln(x)^2)")
    methods = ("particles",) * (size * size) + ("recursion", "closed form")
    head = (TITLE, "mlp.tp", "NETSOR", 7, ("X: data",))
    return Verification(*head, compare(limit, finite, 65536), names, methods, ("a note",), 12.3)


def make_check(**changes):
    fields = {
        "title": TITLE,
        "program_name": "mlp.tp",
        "program_class": "NETSORT+",
        "lines": 1200,
        "matrices": 7,
        "products": 24,
        "nonlinearities": 40,
        "moments": 16,
        "outputs": 4,
        "memory_bytes": 123_456_789,
        "seconds": 3.4,
        "shows": (ShowShape("nngp(f, X)", (4, 4)), ShowShape("avg(x)", ())),
        "inputs": ("X: data",),
        "notes": ("a note",),
    }
    return CheckReport(**{**fields, **changes})
