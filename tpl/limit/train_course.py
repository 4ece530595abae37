"""How a parameter depends on all gradients so far: W_t = α_t W_0 − Σ_{s<t} β_{t,s} G_s (heavy ball with weight decay).

V_{t+1} = μ V_t + G_t + λ W_t and W_{t+1} = W_t − η V_{t+1} give recursions for the numbers α and β; where rates are constant and
there is momentum or decay alone, closed forms.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tpl.core.expr import Expr, evaluate, leaves
from tpl.core.training import Schedule
from tpl.language.training_words import STEP
from tpl.limit import formula as f
from tpl.limit.formula import Formula
from tpl.limit.train_symbols import Symbols


@dataclass(frozen=True)
class Course:
    """outside, inside: factors of a gradient before the sum over steps and in it. kept: of the initial value.

    equations: what the letters in them are.
    """

    outside: Formula
    inside: Formula
    kept: Formula
    equations: tuple[Formula, ...]


def course(schedule: Schedule, constants: Mapping[str, float], letters: Symbols) -> Course:
    """The numbers of a schedule. constants: the program's, by name."""
    rate, momentum, decay = settings(schedule, letters)
    has_momentum, has_decay = not momentum.is_value(0, constants), not decay.is_value(0, constants)
    told = [x.equation for x, there in ((rate, True), (momentum, has_momentum), (decay, has_decay)) if there]
    if not has_momentum and not has_decay:
        outside, inside = (rate.at(letters.then), f.ONE) if not rate.moves else (f.ONE, rate.at(letters.then))
        return Course(outside, inside, f.ONE, tuple(told))
    kept = letters.indexed(letters.kept, letters.now) if has_decay else f.ONE
    learned = letters.indexed(letters.learned, letters.now, letters.then)
    moves = rate.moves or momentum.moves or decay.moves
    if moves or (has_momentum and has_decay) or momentum.is_value(1, constants):
        told += _recursions(rate, momentum, decay, letters, has_momentum, has_decay)
    elif has_decay:
        told += _decayed(rate, decay, letters, learned, kept)
    else:
        told.append(_heavy_ball(rate, momentum, letters, learned))
    return Course(f.ONE, learned, kept, tuple(told))


def settings(schedule: Schedule, letters: Symbols) -> "tuple[Setting, Setting, Setting]":
    """Rate, momentum, decay."""
    return (
        Setting(schedule.rate, letters.rate, letters),
        Setting(schedule.momentum, letters.momentum, letters),
        Setting(schedule.decay, letters.decay, letters),
    )


class Setting:
    """A rate, a momentum or a decay: its letter, and whether it depends on the step."""

    def __init__(self, expr: Expr, name: str, letters: Symbols):
        self.expr, self.letters = expr, letters
        self.moves = STEP in set(leaves(expr, "symbol"))
        own = expr.op == "symbol" and not self.moves
        self.name = str(expr.value) if own else name
        value = f.rewrite(
            f.from_expr(expr, lambda i: f.ZERO),
            lambda x: letters.now if x.op == "name" and x.text == STEP else None,
        )
        self.equation = f.equal(self.at(letters.now), value)

    def at(self, step: Formula) -> Formula:
        return self.letters.indexed(self.name, *([step] if self.moves else []))

    def is_value(self, value: float, constants: Mapping[str, float]) -> bool:
        return not self.moves and evaluate(self.expr, dict(constants)) == value


def _next(step: Formula) -> Formula:
    return f.add(step, f.ONE)


def _minus(a: Formula, b: Formula) -> Formula:
    return Formula("sub", (a, b))


def _decayed(rate: Setting, decay: Setting, letters: Symbols, learned: Formula, kept: Formula) -> list[Formula]:
    """α_t = (1 − η λ)^t and β_{t,s} = η (1 − η λ)^{t−1−s}."""
    t, s = letters.now, letters.then
    base = _minus(f.ONE, f.mul(rate.at(t), decay.at(t)))
    since = _minus(_minus(t, f.ONE), s)
    return [
        f.equal(kept, Formula("pow", (base, t))),
        f.equal(learned, f.mul(rate.at(t), Formula("pow", (base, since)))),
    ]


def _heavy_ball(rate: Setting, momentum: Setting, letters: Symbols, learned: Formula) -> Formula:
    """β_{t,s} = η (1 − μ^{t−s})/(1 − μ)."""
    m = momentum.at(letters.now)
    grown = _minus(f.ONE, Formula("pow", (m, _minus(letters.now, letters.then))))
    return f.equal(learned, f.mul(rate.at(letters.now), Formula("div", (grown, _minus(f.ONE, m)))))


def _recursions(
    rate: Setting, momentum: Setting, decay: Setting, letters: Symbols, has_momentum: bool, has_decay: bool
) -> list[Formula]:
    """Velocities ν beside α and β: one equation each for the first step, and for the next."""
    t, s = letters.now, letters.then
    found = []
    if has_decay:
        a = [letters.indexed(letters.kept, x) for x in (f.ZERO, t, _next(t))]
        v = [letters.indexed(letters.velocity, x) for x in (f.ZERO, t, _next(t))]
        carried = f.mul(momentum.at(t), v[1]) if has_momentum else f.ZERO
        found += [f.equal(a[0], f.ONE), f.equal(a[2], _minus(a[1], f.mul(rate.at(t), v[2])))]
        found += [f.equal(v[0], f.ZERO), f.equal(v[2], f.add(carried, f.mul(decay.at(t), a[1])))]
    b = [letters.indexed(letters.learned, x, y) for x, y in ((t, t), (t, s), (_next(t), s))]
    v = [letters.indexed(letters.velocity, x, y) for x, y in ((_next(t), t), (t, s), (_next(t), s))]
    carried = f.mul(momentum.at(t), v[1]) if has_momentum else f.ZERO
    pulled = f.mul(decay.at(t), b[1]) if has_decay else f.ZERO
    found += [f.equal(b[0], f.ZERO), f.equal(b[2], f.add(b[1], f.mul(rate.at(t), v[2])))]
    found += [f.equal(v[0], f.ONE)]
    later = (
        _minus(carried, pulled)
        if has_momentum and has_decay
        else f.add(carried, f.mul(Formula("neg", (f.ONE,)), pulled))
    )
    return [*found, f.equal(v[2], later)]
