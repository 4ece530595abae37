"""Declarations: widths, sizes, and what is drawn from a law; and the binding of names."""

from fractions import Fraction
from typing import Any

import numpy as np

from tpl.core.expr import ONE, ZERO, Expr, add, evaluate, mul, number, ref, substitute, symbol
from tpl.core.expressions import Evaluator, Scope, describe, is_constant
from tpl.core.laws import MixedPowers, covariance_factor, exact_factor, scaling
from tpl.core.program import Dim
from tpl.core.values import (
    Coordinatewise,
    Family,
    Listing,
    MatrixSum,
    Mistake,
    NetworkValue,
    OwnLength,
    RandomOutput,
    Readout,
    Unknown,
)
from tpl.core.wording import shape_text
from tpl.language import syntax as s
from tpl.language.check import misfit_law
from tpl.language.source import Span

# How the variance must scale with n, and what happens otherwise, for each shape of array.
_WANTED = {
    "matrix": Fraction(-1),
    "readout": Fraction(-1),
    "input": Fraction(0),
    "vector": Fraction(0),
    "bias": Fraction(0),
}


class Draws:
    """Widths, dimensions and random arrays. `label` is appended to the names of lines made inside a network call."""

    def __init__(self, evaluator: Evaluator):
        self.evaluator = evaluator
        self.builder = evaluator.builder
        self.label = ""
        self.any_power = (
            False  # may variances have any power of the width? A `train` block with rates at params allows it
        )
        self._in_call: set[tuple[str, tuple[int, ...]]] = set()
        self._sized: dict[str, str] = {}  # whose size a name is

    def begin_call(self, label: str) -> None:
        self.label = self.builder.label = label
        self._in_call = set()

    # ------------------------------------------------------------------------------------------ widths, sizes
    def define_width(self, node: s.Width, scope: Scope) -> None:
        widths = self.builder.widths
        if node.value is None:
            if widths:
                base = next(iter(widths))
                raise Mistake(node.span, f"`{node.name}` needs a ratio to `{base}`",
                              f"widths go to infinity together, as in `width {node.name} = 2 * {base}`")  # fmt: skip
            widths[node.name] = Fraction(1)
            return
        expr, scale = self._scaling(node.value, scope)
        if scale is None or scale.power != 1:
            raise Mistake(node.value.span, "a width is a multiple of another width", "for instance `width m = 2 * n`")
        if not 1e-3 <= scale.coefficient <= 1e3:
            raise Mistake(node.value.span, f"this ratio of two widths is {scale.coefficient:g}",
                          "it must lie between 1/1000 and 1000")  # fmt: skip
        self.builder.define_width(node.name, expr)

    def dims(self, nodes: tuple[s.Expr, ...], scope: Scope) -> tuple[Dim, ...]:
        return tuple(self._dim(node, scope) for node in nodes)

    def _dim(self, node: s.Expr, scope: Scope) -> Dim:
        if isinstance(node, s.Name) and node.name in self.builder.widths and node.name not in scope:
            return node.name
        if self._mentions_width(node, scope):
            raise Mistake(node.span, "a multiple of a width needs a name here", "declare it: `width m = 2 * n`")
        size = self.evaluator.integer(node, scope, "a size")
        if size < 1:
            raise Mistake(node.span, f"a size must be at least 1, but this is {size}")
        return size

    def _mentions_width(self, node: s.Expr, scope: Scope) -> bool:
        try:
            return self._scaling(node, scope)[1].power != 0  # type: ignore[union-attr]
        except (Mistake, AttributeError):
            return False

    def bind_dim(self, dim: s.Expr, size: int, owner: str, scope: Scope, network: NetworkValue | None = None) -> None:
        """Match a declared size with the actual one; a new name takes the actual size."""
        if isinstance(dim, s.Name) and isinstance(scope.get(dim.name), OwnLength):
            raise Mistake(dim.span, f"`{dim.name}` is the length of each sequence of `{scope[dim.name].data}`",
                          f"`{owner}` has one size there: give it another name")  # fmt: skip
        new = isinstance(dim, s.Name) and dim.name not in scope and dim.name not in self.builder.widths
        if new and network is not None and dim.name in network.dims:  # type: ignore[union-attr]
            new, declared = False, network.dims[dim.name]  # type: ignore[union-attr]
        elif not new:
            declared = self.evaluator.integer(dim, scope, "a size")
        if not new:
            if declared != size:
                text = dim.name if isinstance(dim, s.Name) else str(declared)
                what = f"`{text}` is {declared}" if text != str(declared) else f"this size is {declared}"
                other = self._sized.get(text)
                hint = f"`{text}` is the size of `{other}`: `{owner}` must have as much there" if other else None
                raise Mistake(dim.span, f"{what}, but the data of `{owner}` have {size} there", hint)
            if isinstance(dim, s.Name):
                scope.setdefault(dim.name, Coordinatewise(number(size)))
            return
        assert isinstance(dim, s.Name)
        self._sized[dim.name] = owner
        if dim.name in self.builder.constants:
            scope[dim.name] = Coordinatewise(number(size))
        else:
            self.builder.define_constant(dim.name, number(size))
            scope[dim.name] = Coordinatewise(symbol(dim.name))
        if network is not None:
            network.dims[dim.name] = size

    def bind_own_length(self, dim: s.Expr, size: int, owner: str, scope: Scope) -> None:
        """Bind a declared size for one call of a network only: each sequence has a length of its own."""
        if isinstance(dim, s.Name) and (dim.name not in scope or isinstance(scope[dim.name], OwnLength)):
            scope[dim.name] = Coordinatewise(number(size))
        else:
            self.bind_dim(dim, size, owner, scope)

    # ------------------------------------------------------------------------------------------ names
    def target_key(self, target: s.Target, scope: Scope) -> tuple[int, ...]:
        return tuple(self.evaluator.integer(i, scope, "an index") for i in target.indices)

    def target_name(self, target: s.Target, scope: Scope) -> str:
        key = self.target_key(target, scope)
        return target.name + (f"[{', '.join(map(str, key))}]" if key else "")

    def bind(self, target: s.Target, scope: Scope, value: Any) -> None:
        """Give a name, or an index of a family, its value. Raises Mistake if it has one."""
        key = self.target_key(target, scope)
        existing = scope.get(target.name)
        if isinstance(existing, Unknown):
            return
        if not key:
            if existing is not None:
                hint = "a name is given a value once"
                if self.evaluator.multiplicity > 1:
                    hint = f"in a loop it needs an index, as in `{target.name}[i] = …`"
                raise Mistake(target.span, f"`{target.name}` is already defined", hint)
            scope[target.name] = value
            return
        if existing is None:
            existing = scope[target.name] = Family(target.name)
        if not isinstance(existing, Family):
            raise Mistake(target.span, f"`{target.name}` is already defined, and is no family",
                          "choose another name for the family")  # fmt: skip
        other = next(iter(existing.entries), key)
        if len(key) != len(other):
            raise Mistake(target.span, f"`{target.name}` has {len(other)} indices elsewhere, but {len(key)} here")
        if isinstance(existing.entries.get(key), Unknown):
            return
        if key in existing.entries:
            raise Mistake(
                target.span, f"`{self.target_name(target, scope)}` is already defined", "a name is given a value once"
            )
        existing.entries[key] = value

    # ------------------------------------------------------------------------------------------ laws
    def draw(self, node: s.Draw, scope: Scope, network: NetworkValue | None) -> None:
        dims = self.dims(node.shape, scope)
        if node.keyword == "param" and network is not None:
            self._parameter(node, dims, scope, network)
            return
        if len(node.targets) > 1:
            self._draw_group(node, dims, scope)
            return
        self.builder.at(node.span, self.evaluator.derived)
        name = self.target_name(node.targets[0], scope) + self.label
        self.bind(node.targets[0], scope, self._drawn(node, name, dims, scope, trained=False))

    def _parameter(self, node: s.Draw, dims: tuple[Dim, ...], scope: Scope, network: NetworkValue) -> None:
        """Parameters belong to the network: the first call makes them, later calls find them."""
        target = node.targets[0]
        key = (target.name, self.target_key(target, scope))
        if key in self._in_call:
            raise Mistake(
                node.span, f"`{self.target_name(target, scope)}` is already defined", "a name is given a value once"
            )
        self._in_call.add(key)
        if key not in network.parameters:
            self.builder.at(node.span, self.evaluator.derived)
            network.parameters[key] = self._drawn(node, self.target_name(target, scope), dims, scope, trained=True)
            network.shapes[key] = dims
            network.powers[key] = self._variance_power, self._rate(node, scope)
        elif network.shapes[key] != dims:
            raise Mistake(node.span, f"`{target.name}` has another shape for another input: "
                          f"{shape_text(network.shapes[key])} and {shape_text(dims)}",
                          "the inputs of one network must have one length")  # fmt: skip
        self.bind(target, scope, network.parameters[key])

    def _drawn(self, node: s.Draw, name: str, dims: tuple[Dim, ...], scope: Scope, trained: bool) -> Any:
        form = self._form(node, dims)
        mean, variance = self._law(node, scope)
        coefficient = self._check_scaling(variance, form, node, dims)
        build = self.builder
        if form in ("matrix", "input"):
            if not mean.is_value(0):
                raise Mistake(_mean_span(node), "a matrix must have mean 0", "add a mean to the product: `W @ x + mu`")
            line = build.matrix(name, dims, variance, trained)  # type: ignore[arg-type]
            return MatrixSum(((ONE, line, False),), *dims)
        if form == "readout":
            if not mean.is_value(0):
                raise Mistake(_mean_span(node), "a readout must have mean 0")
            return Readout(
                build.gaussian(name, str(dims[1]), ZERO, coefficient, trained), int(dims[0]), str(dims[1]), ONE
            )
        if form == "bias":
            line = build.gaussian(name, None, mean, variance, trained)
            return RandomOutput((), ((line, ONE),), ())
        return Coordinatewise(ref(build.gaussian(name, str(dims[0]), mean, variance, trained)), str(dims[0]))

    def _form(self, node: s.Draw, dims: tuple[Dim, ...]) -> str:
        kinds = tuple("w" if isinstance(d, str) else "k" for d in dims)
        forms = {("w", "w"): "matrix", ("w", "k"): "input", ("k", "w"): "readout", ("w",): "vector", ("k",): "bias"}
        if kinds not in forms:
            span = Span(node.shape[0].span.line, node.shape[0].span.column, node.shape[-1].span.end_line,
                        node.shape[-1].span.end_column)  # fmt: skip
            raise Mistake(span, f"an array of shape [{', '.join(map(str, dims))}] has no place in a tensor program",
                          "vectors are [n], matrices [n, n], [n, d] or [k, n], output biases [k], with n a width")  # fmt: skip
        return forms[kinds]

    def _law(self, node: s.Draw, scope: Scope) -> tuple[Expr, Expr]:
        law = self._gaussian_law(node)
        mean = self._constant(law.arguments[0], scope, "the mean")
        variance = self.evaluator
        variance.widths_allowed = True
        try:
            value = variance.value(law.arguments[1], scope)
        finally:
            variance.widths_allowed = False
        if not is_constant(value):
            what = f"{variance.quote(law.arguments[1].span)} is {describe(value)}"
            raise Mistake(law.arguments[1].span, f"the variance must be a number, but {what}")
        return mean, value.expr

    def _gaussian_law(self, node: s.Draw) -> s.Call:
        wrong = misfit_law(node.law)
        if wrong is not None:
            raise Mistake(node.law.span, *wrong)
        assert isinstance(node.law, s.Call)
        return node.law

    def _constant(self, node: s.Expr, scope: Scope, what: str) -> Expr:
        return self.evaluator.constant(node, scope, what)

    def _scaling(self, node: s.Expr, scope: Scope) -> tuple[Expr, Any]:
        self.evaluator.widths_allowed = True
        try:
            value = self.evaluator.value(node, scope)
        finally:
            self.evaluator.widths_allowed = False
        if not is_constant(value):
            return ZERO, None
        try:
            return value.expr, scaling(value.expr, self.builder.widths, self.builder.values)
        except (MixedPowers, ArithmeticError, ValueError):
            return value.expr, None

    def _check_scaling(self, variance: Expr, form: str, node: s.Draw, dims: tuple[Dim, ...]) -> Expr:
        """Refuse a variance under which the array has no limit. Returns the coefficient of its power of n."""
        law = node.law
        span = law.arguments[1].span if isinstance(law, s.Call) else law.span
        try:
            scale = scaling(variance, self.builder.widths, self.builder.values)
        except MixedPowers:
            raise Mistake(span, "this variance is no multiple of one power of the width",
                          "write one, as in `N(0, 2 / n)`") from None  # fmt: skip
        except (ArithmeticError, ValueError):
            raise Mistake(span, "this variance has no finite value") from None
        if not np.isfinite(scale.coefficient):
            raise Mistake(span, "this variance has no finite value")
        if scale.coefficient < 0:
            raise Mistake(span, f"a variance cannot be negative, but {self.evaluator.quote(span)} is")
        self._variance_power = scale.power if scale.coefficient else _WANTED[form]
        if scale.coefficient != 0 and scale.power != _WANTED[form] and not (self.any_power and node.keyword == "param"):
            text, name = self.evaluator.quote(span), node.targets[0].name
            raise Mistake(span, *_scaling_trouble(form, scale.power - _WANTED[form], dims, name, text))
        return self.builder.without_widths(variance)

    def _rate(self, node: s.Draw, scope: Scope) -> tuple[Fraction, float] | None:
        """What stands after `rate`: a power of the width and its coefficient."""
        if node.rate is None:
            return None
        _, scale = self._scaling(node.rate, scope)
        if scale is None or not np.isfinite(scale.coefficient) or scale.coefficient < 0:
            raise Mistake(node.rate.span, "a rate is a multiple of a power of the width", "for instance `rate 1 / n`")
        return scale.power, scale.coefficient

    def _draw_group(self, node: s.Draw, dims: tuple[Dim, ...], scope: Scope) -> None:
        """`(g, h) : [n] ~ N(0, C)`: initial vectors with a joint law, coordinatewise."""
        if len(dims) != 1 or not isinstance(dims[0], str):
            raise Mistake(node.span, "only vectors [n] are drawn jointly")
        law = self._gaussian_law(node)
        count = len(node.targets)
        covariance = self._numbers(law.arguments[1], scope, (count, count))
        factor = covariance_factor(covariance)
        if factor is None:
            raise Mistake(law.arguments[1].span, "this covariance is not symmetric and positive semidefinite")
        single = self.evaluator.value(law.arguments[0], scope)
        means = [single.expr] * count if is_constant(single) else [
            number(float(m)) for m in self._numbers(law.arguments[0], scope, (count,))
        ]  # fmt: skip
        self.builder.at(node.span, self.evaluator.derived)
        exact = _fractions(self.evaluator.value(law.arguments[1], scope), self.builder.constants)
        if exact is not None:
            self._draw_exactly(node, exact, means, dims[0], scope)
            return
        hidden = self.builder.matrix("".join(t.name for t in node.targets) + "_joint", (dims[0], count), ONE, False)
        for target, row, mean in zip(node.targets, factor, means, strict=True):
            name = self.target_name(target, scope) + self.label
            line = self.builder.input(hidden, tuple(row.tolist()))
            line = self.builder.map(add(ref(line), mean), dims[0], name)
            self.builder.rename(line, name)
            self.bind(target, scope, Coordinatewise(ref(line), dims[0]))

    def _draw_exactly(
        self, node: s.Draw, covariance: list[list[Fraction]], means: list[Expr], width: str, scope: Scope
    ) -> None:
        """A joint law in rational numbers: combinations of independent vectors, whose moments stay exact."""
        build = self.builder
        lower, own = exact_factor(covariance)
        fresh: list[Expr] = []
        for i, (target, variance, mean) in enumerate(zip(node.targets, own, means, strict=True)):
            name = self.target_name(target, scope) + self.label
            shared = [mul(number(lower[i][k]), fresh[k]) for k in range(i) if lower[i][k]]
            if variance and not shared and mean.is_value(0):
                line = build.gaussian(name, width, ZERO, number(variance), False)
                fresh.append(ref(line))
            else:
                part = build.gaussian(f"{name}_own", width, ZERO, number(variance), False) if variance else None
                fresh.append(ref(part) if part is not None else ZERO)
                line = build.map(add(*shared, fresh[-1], mean), width, name)
                build.rename(line, name)
            self.bind(target, scope, Coordinatewise(ref(line), width))

    def _numbers(self, node: s.Expr, scope: Scope, shape: tuple[int, ...]) -> np.ndarray:
        value = self.evaluator.value(node, scope)
        array = getattr(value, "array", None)
        if isinstance(value, Listing):
            try:
                array = np.array(_plain(value, self.builder.values), dtype=np.float64)
            except (TypeError, ValueError):
                array = None
        if array is None or array.shape != shape:
            want = "×".join(map(str, shape))
            raise Mistake(node.span, f"a joint law of {shape[0]} vectors needs {want} numbers here",
                          "for instance `N(0, [[1, 0.5], [0.5, 1]])`" if len(shape) == 2 else None)  # fmt: skip
        return array


def _fractions(value: Any, constants: dict[str, Expr]) -> list[list[Fraction]] | None:
    """The entries of a list of lists where all are rational numbers, constants put in."""
    if not isinstance(value, Listing) or not all(isinstance(row, Listing) for row in value.items):
        return None
    rows = [[_opened(x.expr, constants).value for x in row.items] for row in value.items]
    exact = [[x for x in row if isinstance(x, Fraction)] for row in rows]
    return exact if list(map(len, exact)) == list(map(len, rows)) else None


def _opened(expr: Expr, constants: dict[str, Expr]) -> Expr:
    known = lambda x: x.op == "symbol" and str(x.value) in constants  # noqa: E731
    return substitute(expr, lambda x: _opened(constants[str(x.value)], constants) if known(x) else x)


def _plain(value: Any, values: dict[str, float]) -> Any:
    if isinstance(value, Listing):
        return [_plain(v, values) for v in value.items]
    if not is_constant(value):
        raise TypeError
    return evaluate(value.expr, values)


def _mean_span(node: s.Draw) -> Span:
    return node.law.arguments[0].span if isinstance(node.law, s.Call) else node.law.span


def _scaling_trouble(form: str, excess: Fraction, dims: tuple[Dim, ...], name: str, text: str) -> tuple[str, str]:
    """What happens as the width grows, and what to write.

    text: the variance as written, quoted. excess: by how much its power of n is too large.
    """
    size = "grow without bound" if excess > 0 else "vanish"
    if form in ("vector", "input") and excess == -1:
        return (f"with this variance the entries of `{name}` {size} as the width grows",
                f"it must not depend on the width, as in `N(0, 1)`; a readout has the shape `[1, {dims[0]}]`")  # fmt: skip
    if form not in ("matrix", "readout"):
        return (f"with this variance the entries of `{name}` {size} as the width grows",
                "it must not depend on the width, as in `N(0, 1)`")  # fmt: skip
    variance = "1"
    if excess == 1 and text != "this":
        variance = f"({text[1:-1]})" if "+" in text or " - " in text else text[1:-1]
    return (f"with this variance the products `{name} @ x` {size} as the width grows",
            f"it must fall as 1/{dims[1]}, as in `N(0, {variance} / {dims[1]})`")  # fmt: skip
