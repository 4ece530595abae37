"""Expressions that are linear or bilinear in their vectors, so that matrix products can evaluate them."""

from collections.abc import Sequence
from dataclasses import dataclass

from tpl.core.expr import ONE, ZERO, Expr, add, div, mul, neg, ref

# A sum of fewer vectors than this is evaluated term by term.
LEAST_TERMS = 6


@dataclass(frozen=True, slots=True)
class LinearForm:
    """offset + Σ coefficients[i] * (argument positions[i]); coefficients and offset are free of vectors."""

    positions: tuple[int, ...]
    coefficients: tuple[Expr, ...]
    offset: Expr


def bilinear_form(expr: Expr, is_vector: Sequence[bool]) -> tuple[Expr, int, int] | None:
    """(c, i, j) if the expression is c * x_i * x_j with c free of vectors, else None."""
    vectors: list[int] = []
    factors: list[Expr] = []
    depends: dict[int, bool] = {}
    stack = [expr]
    while stack:
        node = stack.pop()
        if node.op == "ref" and is_vector[int(node.value)]:  # type: ignore[arg-type]
            vectors.append(int(node.value))  # type: ignore[arg-type]
        elif not _depends(node, is_vector, depends):
            factors.append(node)
        elif node.op == "mul":
            stack.extend(node.args)
        elif node.op == "neg":
            factors.append(neg(ONE))
            stack.append(node.args[0])
        elif node.op == "div" and not _depends(node.args[1], is_vector, depends):
            factors.append(div(ONE, node.args[1]))
            stack.append(node.args[0])
        elif node.op == "pow" and node.args[1].is_value(2):
            stack.extend((node.args[0], node.args[0]))
        else:
            return None
        if len(vectors) > 2:
            return None
    return (mul(*factors), vectors[0], vectors[1]) if len(vectors) == 2 else None


def extract_sums(expr: Expr, is_vector: Sequence[bool]) -> tuple[Expr, list[LinearForm]]:
    """Replace every long sum of vectors by a new argument, numbered from len(is_vector)."""
    forms: list[LinearForm] = []
    depends: dict[int, bool] = {}
    memo: dict[int, Expr] = {}

    def walk(node: Expr) -> Expr:
        if not node.args:
            return node
        done = memo.get(id(node))
        if done is None:
            form = linear_form(node, is_vector, depends) if node.op in ("add", "sub") else None
            if form is not None and len(form.positions) >= LEAST_TERMS:
                forms.append(form)
                done = ref(len(is_vector) + len(forms) - 1)
            else:
                done = rebuild(node, [walk(a) for a in node.args])
            memo[id(node)] = done
        return done

    return walk(expr), forms


def rebuild(node: Expr, args: list[Expr]) -> Expr:
    """The node with these arguments: itself where nothing changes."""
    return node if all(a is b for a, b in zip(args, node.args, strict=True)) else Expr(node.op, tuple(args))


def linear_form(expr: Expr, is_vector: Sequence[bool], depends: dict[int, bool]) -> LinearForm | None:
    """The expression as a linear form in its vectors, or None. `depends` remembers what contains a vector."""
    terms: dict[int, list[Expr]] = {}
    offset: list[Expr] = []
    stack = [(expr, ONE)]
    while stack:
        node, factor = stack.pop()
        if not _depends(node, is_vector, depends):
            offset.append(mul(factor, node))
            continue
        inside = _distribute(node, factor, is_vector, depends)
        if inside is None:
            return None
        if node.op == "ref":
            terms.setdefault(int(node.value), []).append(factor)  # type: ignore[arg-type]
        stack.extend(inside)
    positions = tuple(sorted(terms))
    return LinearForm(positions, tuple(add(*terms[p]) for p in positions), add(*offset) if offset else ZERO)


def _distribute(
    node: Expr, factor: Expr, is_vector: Sequence[bool], depends: dict[int, bool]
) -> list[tuple[Expr, Expr]] | None:
    """factor * node as a sum of (part, its factor); None if the node is not linear in its vectors."""
    args = node.args
    if node.op == "ref":
        return []
    if node.op == "add":
        return [(a, factor) for a in reversed(args)]
    if node.op == "sub":
        return [(args[1], neg(factor)), (args[0], factor)]
    if node.op == "neg":
        return [(args[0], neg(factor))]
    if node.op == "mul":
        inside = [a for a in args if _depends(a, is_vector, depends)]
        if len(inside) != 1:
            return None
        return [(inside[0], mul(factor, *(a for a in args if a is not inside[0])))]
    if node.op == "div" and not _depends(args[1], is_vector, depends):
        return [(args[0], div(factor, args[1]))]
    return None


def _depends(expr: Expr, is_vector: Sequence[bool], known: dict[int, bool]) -> bool:
    """Does the expression contain a vector?"""
    if not expr.args:
        return expr.op == "ref" and is_vector[int(expr.value)]  # type: ignore[arg-type]
    done = known.get(id(expr))
    if done is None:
        done = known[id(expr)] = any(_depends(a, is_vector, known) for a in expr.args)
    return done
