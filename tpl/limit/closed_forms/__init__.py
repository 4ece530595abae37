"""Closed forms of V(Σ) = E φ(u) ψ(v), (u, v) ~ N(0, Σ).

`dual(left, right)` recognises two functions and returns a `Dual`: values in float64, a sympy formula, the names of the
formulas used. `RECORDS` holds the formulas by name, each with its source.
"""

from tpl.limit.closed_forms.dual import Dual, dual
from tpl.limit.closed_forms.record import ClosedForm
from tpl.limit.closed_forms.records import RECORDS

__all__ = ["RECORDS", "ClosedForm", "Dual", "dual"]
