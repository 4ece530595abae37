"""One layer as a map of kernels: (K(ξ, ξ), K(ξ, ξ'), K(ξ', ξ')) -> K(ξ, ξ') of the next layer.

A derivation states recursions for general depth. Those that lead from the kernels of one layer to those of the next,
and from nothing else, are put together into one straight-line program over numbers. This module is the only one that
reads a derivation's rules for that purpose.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tpl.core.expr import Expr, leaves, show, substitute
from tpl.core.functions import FUNCTIONS
from tpl.limit.algebra import LeastNorm, Ratio, from_sympy, quantity, quantity_symbol
from tpl.limit.derive import Derivation
from tpl.limit.naming import Bound, Named, Variable
from tpl.limit.recursion import Rule

FIRST, BOTH, SECOND = 0, 1, 2  # the slots of K(ξ, ξ), K(ξ, ξ'), K(ξ', ξ')
_EXPECTATION = re.compile(r"E\d+$")
_WHICH = {(1, 1): FIRST, (1, 2): BOTH, (2, 2): SECOND}


class NoStep(Exception):
    """The program has no map from one layer's kernel to the next one's; says why."""


@dataclass(frozen=True)
class Moment:
    """E integrand(u_0, …), u centred Gaussian; covariance[i][j] for j <= i.

    Both are over constants and slots ("quantity" leaves): 0, 1, 2 for the kernels, 3 + i for the i-th moment.
    """

    integrand: Expr
    covariance: tuple[tuple[Expr, ...], ...]


@dataclass(frozen=True)
class Step:
    """The recursion of one kernel: `moments` in order, and the next K(ξ, ξ') over constants and slots.

    base: the user's name of the vector whose kernel it is.
    """

    base: str
    moments: tuple[Moment, ...]
    next: Expr

    @property
    def constants(self) -> tuple[str, ...]:
        """The constants that the step depends on, in order of first occurrence."""
        found: dict[Any, None] = {}
        for moment in self.moments:
            for expr in (moment.integrand, *(c for row in moment.covariance for c in row)):
                found |= leaves(expr, "symbol")
        found |= leaves(self.next, "symbol")
        return tuple(str(name) for name in found if name != "pi")

    @property
    def activation(self) -> str:
        """The expectations that a layer takes, in words: `E[tanh(u) tanh(u')]`."""
        names = ("u", "u'", "v", "v'")
        found = dict.fromkeys(show(m.integrand, names.__getitem__) for m in self.moments if len(m.covariance) < 5)
        return ", ".join(f"E[{text.replace('quantity()', 'K')}]" for text in found)

    @property
    def is_preactivation(self) -> bool:
        """Are its kernels themselves the covariance of what the nonlinearities see?"""
        direct = ((quantity(FIRST),), (quantity(BOTH), quantity(SECOND)))
        return any(moment.covariance == direct for moment in self.moments)


def find_step(derivation: Derivation) -> Step:
    """The recursion over layers of a derivation. Raises NoStep, with the reason, if there is none.

    Of several kernels that follow the same recursion, shifted (preactivations and activations), that of the
    preactivations is chosen.
    """
    if not derivation.generic:
        raise NoStep("it shows no network's kernel, and only networks have layers")
    general = _general_rules(derivation)
    bases = [key[1] for key in general if key[0] == "K" and key[1] == key[2]]
    found, reasons = [], []
    for base in dict.fromkeys(bases):
        try:
            found.append(_Reader(derivation, general, base).step())
        except NoStep as problem:
            reasons.append(str(problem))
    if not found:
        raise NoStep(reasons[0] if reasons else _why(derivation))
    return next((step for step in found if step.is_preactivation), found[0])


def _why(derivation: Derivation) -> str:
    several = [r.left.base for r in derivation.rules if len(r.region) > 1]
    if several:
        return f"`{several[0]}` is counted by more than a layer (steps in time, or positions), so that one kernel does not give the next"
    return "no kernel of it follows a recursion over layers"


Key = tuple[str, str, str | None]


def _key(named: Named) -> Key:
    return named.kind, named.left.base, named.right.base if named.right is not None else None


def _general_rules(derivation: Derivation) -> dict[Key, Rule]:
    """The rules for general index over one loop, by what they define; none in which an index runs against the loop."""
    rules = {}
    for rule in derivation.rules:
        if len(rule.region) == 1 and not rule.frame.seen:
            rules[_key(rule.left)] = rule
    return rules


class _Reader:
    """Follows rules from the kernel of one layer back to the same kernel of the layer before."""

    def __init__(self, derivation: Derivation, general: Mapping[Key, Rule], base: str):
        self.names = derivation.names
        self.integrands = derivation.integrands
        self.general = general
        self.base = base
        self.moments: list[Moment] = []
        self._numbers: dict[Moment, int] = {}
        self._known: dict[tuple, Expr] = {}

    def step(self) -> Step:
        kernel = self._follow(("K", self.base, self.base), 0, (1, 2))
        if not any(leaves(x, "quantity") for x in (kernel, *(m.integrand for m in self.moments))):
            raise NoStep(f"the kernel of `{self.base}` does not depend on the layer before")
        return Step(self.base, tuple(self.moments), kernel)

    def _follow(self, key: Key, layer: int, inputs: tuple[int, ...]) -> Expr:
        """What a rule says at a layer (0 is the next one, -1 the last one known) for some inputs."""
        if layer == -1 and key == ("K", self.base, self.base):
            return quantity(_WHICH[(min(inputs), max(inputs))])
        rule = self.general.get(key)
        if rule is None:
            raise NoStep(f"`{key[1]}` is not given by a recursion over one loop")
        if not -1 <= layer <= 0:
            raise NoStep(f"`{self.base}` at one layer needs more than `{self.base}` at the layer before")
        known = (key, layer, inputs)
        if known not in self._known:
            self._known[known] = self._read(rule.right, rule.left, layer, inputs)
        return self._known[known]

    def _read(self, value: Any, anchor: Named, layer: int, inputs: tuple[int, ...]) -> Expr:
        """A rule's formula over slots."""
        if value.has(LeastNorm):
            raise NoStep("its recursion solves a system of equations at every layer")
        value = value.replace(Ratio, lambda c, v: c / v)
        places: dict[Any, Expr] = {}
        for call in _expectations(value):
            places[call] = self._moment(call, anchor, layer, inputs)
        bare = value.xreplace({call: quantity_symbol(i) for i, call in enumerate(places)})
        for symbol in sorted(bare.free_symbols & self.names.named.keys(), key=str):
            places[symbol] = self._named(self.names.named[symbol], anchor, layer, inputs)
        numbered = list(places)
        opened = value.xreplace({part: quantity_symbol(i) for i, part in enumerate(numbered)})
        return _checked(
            substitute(from_sympy(opened), lambda x: places[numbered[int(x.value)]] if x.op == "quantity" else x)  # type: ignore[arg-type]
        )

    def _named(self, named: Named, anchor: Named, layer: int, inputs: tuple[int, ...]) -> Expr:
        sides = [side for side in (named.left, named.right) if side is not None]
        if named.kind == "gram":
            raise NoStep("every layer sees the inputs again, so that the kernel has no map of its own")
        shifts = {_shift(side, anchor.left) for side in sides}
        if len(shifts) > 1:
            raise NoStep(f"its recursion mixes `{sides[0].base}` of different layers")
        chosen = tuple(inputs[max(side.input, 1) - 1] if side.input <= len(inputs) else inputs[0] for side in sides)
        return self._follow(_key(named), layer + shifts.pop(), chosen)

    def _moment(self, call: Any, anchor: Named, layer: int, inputs: tuple[int, ...]) -> Expr:
        integrand = self.integrands[int(call.func.__name__[1:])]
        size = len(leaves(integrand, "ref"))
        entries = [self._read(a, anchor, layer, inputs) for a in call.args]
        rows = tuple(tuple(entries[i * (i + 1) // 2 : (i + 1) * (i + 2) // 2]) for i in range(size))
        parameters = entries[size * (size + 1) // 2 :]
        opened = substitute(integrand, lambda x: parameters[int(x.value)] if x.op == "quantity" else x)  # type: ignore[arg-type]
        moment = Moment(opened, rows)
        if moment not in self._numbers:
            self._numbers[moment] = len(self.moments)
            self.moments.append(moment)
        return quantity(3 + self._numbers[moment])


def _expectations(value: Any) -> list[Any]:
    """The outermost calls in a formula that stand for expectations: E0(…), E1(…), …"""
    found: dict[Any, None] = {}
    stack = [value]
    while stack:
        node = stack.pop()
        if node.args and _EXPECTATION.match(type(node).__name__):
            found[node] = None
        else:
            stack.extend(reversed(node.args))
    return list(found)


def _shift(side: Variable, anchor: Variable) -> int:
    """How many layers after the rule's left side a variable stands."""
    if len(side.index) != 1 or len(anchor.index) != 1:
        raise NoStep(f"`{side.base}` has {'no layer' if not side.index else 'more than one index'}")
    index, own = side.index[0], anchor.index[0]
    if isinstance(index, Bound) or isinstance(own, Bound):
        raise NoStep(f"`{side.base}` is summed over")
    return index - own


def _checked(expr: Expr) -> Expr:
    """Functions that sympy may have made which the language does not have."""
    unknown = {op for op in _operations(expr) if op not in FUNCTIONS}
    if unknown:
        raise NoStep(f"its recursion needs {', '.join(sorted(unknown))}, which has no numbers")
    return expr


def _operations(expr: Expr) -> set[str]:
    found, stack, seen = set(), [expr], set()
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            stack.extend(node.args)
            if node.args:
                found.add(node.op)
    return found


__all__ = ["BOTH", "FIRST", "SECOND", "Moment", "NoStep", "Step", "find_step"]
