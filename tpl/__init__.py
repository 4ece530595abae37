"""tpl: an interpreter for tensor programs, from a text file to its checked infinite-width limit.

>>> import tpl
>>> tpl.loads('''
... width n
... random W : [n, n] ~ N(0, 1/n)
... random x : [n] ~ N(0, 1)
... y = W @ x
... show avg(y^2)
... ''').run()["avg(y^2)"]
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tpl.api import TensorProgram, load, loads
    from tpl.core.elaborate import Limits
    from tpl.language.source import TplError
    from tpl.report.labelled import Labelled
    from tpl.report.results import Run
    from tpl.report.sweep import Sweep

_LAZY = {
    "Labelled": "tpl.report.labelled",
    "Run": "tpl.report.results",
    "Sweep": "tpl.report.sweep",
    "TensorProgram": "tpl.api",
    "load": "tpl.api",
    "loads": "tpl.api",
    "Limits": "tpl.core.elaborate",
    "TplError": "tpl.language.source",
}

__all__ = ["Labelled", "Limits", "Run", "Sweep", "TensorProgram", "TplError", "load", "loads"]


def __getattr__(name: str) -> object:
    """Import on first use: `import tpl.core` must not pull in everything."""
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tpl' has no attribute {name!r}")
