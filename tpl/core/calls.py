"""Calls: built-in functions, definitions, and sums, averages and softmax over lists of values."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tpl.core.expr import Expr, add, apply, div, leaves, mul, number, ref, sub
from tpl.core.functions import CALLABLE, FUNCTIONS
from tpl.core.values import (
    Array,
    Coordinatewise,
    Function,
    Listing,
    Mistake,
    NetworkValue,
    Scope,
    Silent,
    Unknown,
    finite_array,
)
from tpl.core.wording import count, describe, is_constant, random_hint
from tpl.language import syntax as s
from tpl.language.source import nearest

if TYPE_CHECKING:
    from tpl.core.expressions import Evaluator

MAX_CALLS = 100_000  # of defs by one call of a def


def call(ev: "Evaluator", node: s.Call, scope: Scope) -> Any:
    name = node.function
    target = scope.get(name)
    if isinstance(target, Unknown):
        raise Silent
    if isinstance(target, Function):
        return _apply_def(ev, target, node, scope)
    if name in ev.special:
        return ev.special[name](node, scope)
    if node.keywords:
        raise Mistake(node.span, f"`{name}` takes no named arguments")
    if name in _OVER_LISTS:
        return _OVER_LISTS[name](ev, node, scope)
    if name in CALLABLE:
        return _apply_function(ev, name, node, scope)
    if isinstance(target, NetworkValue):
        hint = f"`show nngp({name}, X)` and `show ntk({name}, X)` evaluate it on data"
        raise Mistake(node.name_span, f"`{name}` is a network", hint)
    if target is not None:
        raise Mistake(node.name_span, f"`{name}` is {describe(target)}, not a function")
    known = [
        *CALLABLE,
        "sum",
        "avg",
        "softmax",
        *ev.special,
        *(k for k in scope if isinstance(scope[k], Function)),
    ]
    close = nearest(name, known)
    raise Mistake(node.name_span, f"there is no function `{name}`", close and f"did you mean `{close}`?")


def _apply_def(ev: "Evaluator", function: Function, node: s.Call, scope: Scope) -> Any:
    definition = function.syntax
    if node.keywords or len(node.arguments) != len(definition.parameters):
        wants = len(definition.parameters)
        raise Mistake(node.span, f"`{definition.name}` takes {count(wants, 'argument')}, not {len(node.arguments)}")
    inner = scope.get("__global__", scope)
    bound = dict(zip(definition.parameters, (_shared(ev, ev.value(a, scope), a) for a in node.arguments), strict=True))
    depth_guard(ev, node)
    try:
        return ev.value(definition.body, {**inner, **bound})
    except Mistake as mistake:
        body = definition.body.span
        where = ", in the call on line "
        if mistake.span is None or where in mistake.message or not body[:2] <= mistake.span[:2] < body[2:]:
            raise
        line = ev.builder.source.place(node.span.line)[1]
        raise Mistake(mistake.span, f"{mistake.message}{where}{line}", mistake.hint) from None
    finally:
        ev.depth -= 1


def depth_guard(ev: "Evaluator", node: s.Call) -> None:
    ev.depth += 1
    if ev.depth == 1:
        ev.def_calls, ev.outermost = 0, node.span
    ev.def_calls += 1
    if ev.depth > 40 or ev.def_calls > MAX_CALLS:
        ev.depth -= 1
        if ev.depth == 40:
            raise Mistake(ev.outermost, "from here, definitions call one another more than 40 deep",
                          "give a value on the way a name")  # fmt: skip
        raise Mistake(ev.outermost, f"this call leads to more than {MAX_CALLS:,} others",
                      "a def that uses another twice doubles the work: give the value a name")  # fmt: skip


def _shared(ev: "Evaluator", value: Any, node: s.Expr) -> Any:
    """An argument with work in it gets a line of its own, so that a definition that names it twice does it once."""
    if isinstance(value, Coordinatewise) and value.expr.size > 8 and leaves(value.expr, "ref"):
        ev.builder.at(node.span, ev.derived)
        return Coordinatewise(ref(ev.builder.map(value.expr, value.width)), value.width)
    return value


def _apply_function(ev: "Evaluator", name: str, node: s.Call, scope: Scope) -> Any:
    values = [ev.value(a, scope) for a in node.arguments]
    record = FUNCTIONS[name]
    if len(values) != record.arity:
        raise Mistake(node.span, f"`{name}` takes {count(record.arity or 0, 'argument')}, not {len(values)}")
    if isinstance(values[0], Array) and len(values) == 1:
        with np.errstate(all="ignore"):
            return finite_array(record.array(values[0].array), values[0].name, node.span)
    if isinstance(values[0], Listing):
        hint = f"apply it to each: `{name}(x[i])` in a comprehension"
        raise Mistake(node.span, f"`{name}` applies to one value, but {ev.quote(node.arguments[0].span)} is "
                      f"{describe(values[0])}", hint)  # fmt: skip
    for value, argument in zip(values, node.arguments, strict=True):
        if not isinstance(value, Coordinatewise):
            what = f"{ev.quote(argument.span)} is {describe(value)}"
            raise Mistake(argument.span, f"`{name}` applies to numbers, scalars and vectors, but {what}",
                          random_hint(value))  # fmt: skip
    width = ev.common_width([(v, a.span) for v, a in zip(values, node.arguments, strict=True)])
    result = Coordinatewise(apply(name, *(v.expr for v in values)), width)
    ev.bounded(result.expr, node.span)
    if is_constant(result):
        ev.finite(result.expr, node.span)
    return result


def comprehension(ev: "Evaluator", node: s.Comprehension, scope: Scope) -> Any:
    return Listing(tuple(_iterate(ev, node.clauses, scope, lambda inner: ev.value(node.item, inner))))


def _iterate(
    ev: "Evaluator", clauses: tuple[s.Clause, ...], scope: Scope, run: Callable[[Scope], Any]
) -> Iterator[Any]:
    if not clauses:
        yield run(scope)
        return
    first = clauses[0]
    outer = ev.multiplicity
    values = indices(ev, first, scope)
    for i in values:
        try:
            ev.multiplicity = outer * max(1, len(values))
            yield from _iterate(ev, clauses[1:], {**scope, first.variable: Coordinatewise(number(i))}, run)
        finally:
            ev.multiplicity = outer


def indices(ev: "Evaluator", clause: s.Clause, scope: Scope) -> range:
    start = ev.integer(clause.start, scope, "an end of a range")
    stop = ev.integer(clause.stop, scope, "an end of a range")
    ev.enter_range(stop - start + 1, clause.span)
    return range(start, stop + 1)


def _items(ev: "Evaluator", node: s.Call, scope: Scope) -> tuple[list[Any] | None, Any]:
    """The members of the one argument, None if it is no list; and the argument."""
    name = node.function
    if len(node.arguments) != 1:
        raise Mistake(node.span, f"`{name}` takes 1 argument, not {len(node.arguments)}",
                      f"`{name}(x[i] for i in 1..3)` goes over a range")  # fmt: skip
    value = ev.value(node.arguments[0], scope)
    if isinstance(value, Listing):
        items = list(_flatten(value))
        if not items:
            what = "list" if isinstance(node.arguments[0], s.ListOf) else "range"
            raise Mistake(node.arguments[0].span, f"`{name}` of nothing: this {what} is empty",
                          "a range `a..b` holds a, a + 1, …, b" if what == "range" else None)  # fmt: skip
        return items, value
    return None, value


def call_sum(ev: "Evaluator", node: s.Call, scope: Scope) -> Any:
    items, argument = _items(ev, node, scope)
    if items is None:
        hint = "`sum(x[i] for i in 1..3)` sums over a range; `avg(x)` averages the coordinates of a vector"
        what = f"{ev.quote(node.arguments[0].span)} is {describe(argument)}"
        raise Mistake(node.span, f"`sum` goes over a list of values, but {what}", hint)
    return _total(ev, items, node)


def _total(ev: "Evaluator", items: list[Any], node: s.Call) -> Any:
    if all(isinstance(v, Coordinatewise) for v in items):
        width = ev.common_width([(v, node.span) for v in items])
        return ev.coordinatewise(lambda: add(*(v.expr for v in items)), width, node.span)
    total = items[0]
    for item in items[1:]:
        total = ev.binary("+", total, item, node.span, node.span, node.span)
    return total


def call_avg(ev: "Evaluator", node: s.Call, scope: Scope) -> Any:
    items, argument = _items(ev, node, scope)
    if items is not None:
        length = Coordinatewise(_length(ev, node.arguments[0], scope, len(items)))
        return ev.binary("/", _total(ev, items, node), length, node.span, node.span, node.span)
    value = argument
    if not isinstance(value, Coordinatewise) or value.width is None:
        what = f"{ev.quote(node.arguments[0].span)} is {describe(value)}"
        raise Mistake(node.span, f"`avg` averages the coordinates of a vector, but {what}", random_hint(value))
    ev.builder.at(node.span, ev.derived)
    if not leaves(value.expr, "ref"):
        return Coordinatewise(value.expr)
    return Coordinatewise(ref(ev.builder.moment(value.expr, value.width)))


def _length(ev: "Evaluator", node: s.Expr, scope: Scope, count: int) -> Expr:
    """How many items a list has, by the names of constants: a derivation says 1/L, however long its own loops are."""
    if not isinstance(node, s.Comprehension):
        return number(count)
    variables = {c.variable for c in node.clauses}
    ends = [x for c in node.clauses for x in (c.start, c.stop)]
    if any(isinstance(y, s.Name) and y.name in variables for x in ends for y in s.walk(x)):
        return number(count)
    return mul(*(_span(ev.value(c.start, scope).expr, ev.value(c.stop, scope).expr) for c in node.clauses))


def _span(start: Expr, stop: Expr) -> Expr:
    """How many whole numbers there are from start to stop."""
    return stop if start == number(1) else sub(stop, sub(start, number(1)))


def call_softmax(ev: "Evaluator", node: s.Call, scope: Scope) -> Any:
    items, argument = _items(ev, node, scope)
    if items is None or not all(isinstance(v, Coordinatewise) for v in items):
        wrong = argument if items is None else next(v for v in items if not isinstance(v, Coordinatewise))
        hint = "`softmax(s[1..T])[j]` is the j-th weight of the list s[1], …, s[T]"
        what = f"{ev.quote(node.arguments[0].span) if items is None else 'one'} is {describe(wrong)}"
        raise Mistake(node.span, f"`softmax` takes a list of scalars or vectors, but {what}", hint)
    width = ev.common_width([(v, node.span) for v in items])
    ev.builder.at(node.span, ev.derived)
    powers = [apply("exp", v.expr) for v in items]
    total = add(*powers)
    if leaves(total, "ref"):
        total = ref(ev.builder.map(total, width))
    return Listing(tuple(Coordinatewise(div(p, total), width) for p in powers))


def _flatten(value: Any) -> Iterator[Any]:
    for item in value.items:
        if isinstance(item, Listing):
            yield from _flatten(item)
        else:
            yield item


_OVER_LISTS = {"sum": call_sum, "avg": call_avg, "softmax": call_softmax}
