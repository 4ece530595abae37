"""Core programs as text, and back. What is printed reads back to an equal program (its source text aside).

    width n
    const sigma_w = sqrt(2)
    W : [n, n] ~ N(0, sigma_w^2 / n)             # 3:1-3:41
    h{X[1]} = U @ [0.5, -1.25]                   # 4:5-4:15
    dh = W.T @ g                                 # 4:5-4:15 reverse mode of h
    k = avg(h{X[1]} * dh)
    f = out(v * x) + 1 * c
    show "ntk(f, X)" [1, 1] = k                  # 9:6-9:15

A line's name may carry an index `[1]`, the input it belongs to `{X[1]}`, and a count `'2` that keeps it unique.
"""

import json
import re
from collections.abc import Callable, Iterator

from tpl.core import expr as e
from tpl.core.expr import ONE, Expr, close, leaves, number, ref, show, symbol
from tpl.core.program import Kind, Line, Origin, Program, Show, constant_values, ratio_value, verify
from tpl.language import syntax as s
from tpl.language.parse import parse_expression
from tpl.language.source import Span


class CoreSyntaxError(ValueError):
    """Text that is no core program. Says which line."""


# ---------------------------------------------------------------------------------------------- printing


def print_program(program: Program) -> str:
    """The whole program, one line a line."""
    return "\n".join(_print(program)) + "\n"


def _print(program: Program) -> Iterator[str]:
    if program.title:
        yield json.dumps(program.title)
    for name in program.widths:
        ratio = e.mul(program.ratio(name), symbol(program.base_width))
        yield f"width {name}" if name == program.base_width else f"width {name} = {show(ratio)}"
    for name, expr in program.constants.items():
        yield f"const {name} = {show(expr)}"
    for line in program.lines:
        yield _with_origin(print_line(program, line), line.origin)
    for shown in program.shows:
        names = ", ".join(program.lines[i].name for i in shown.lines)
        text = f"show {json.dumps(shown.name, ensure_ascii=False)} {list(shown.shape)} = {names}"
        yield _with_origin(text, Origin(shown.span))


def _with_origin(text: str, origin: Origin) -> str:
    if origin.span is None and not origin.derived:
        return text
    note = f"{origin.span or '-'} {origin.derived}".rstrip()
    return f"{text}  # {note}"


def print_line(program: Program, line: Line) -> str:
    """One line, without its origin."""
    name_of = lambda i: program.lines[line.args[i]].name  # noqa: E731
    if line.op in ("matrix", "gaussian"):
        dims = ", ".join(map(str, line.dims)) or "1"
        return f"{line.name} : [{dims}] ~ N({show(line.mean)}, {show(_expr(line))})"
    if line.op == "state":
        return f"{line.name} : [] ~ N({show(line.mean)}, {show(_expr(line))})"
    if line.op == "input":
        return f"{line.name} = {name_of(0)} @ {list(line.row)}"
    if line.op == "matmul":
        return f"{line.name} = {name_of(0)}{'.T' if line.transposed else ''} @ {name_of(1)}"
    text = show(_expr(line), name_of)
    if line.op == "map":
        return f"{line.name} = {text}"
    if line.op == "moment":
        return f"{line.name} = avg({text})"
    biases = "".join(f" + ({show(k)}) * {program.lines[b].name}" for b, k in line.biases)
    return f"{line.name} = out({text}){biases}"


def _expr(line: Line) -> Expr:
    assert line.expr is not None
    return line.expr


# ---------------------------------------------------------------------------------------------- reading

_NAME = r"[^\W\d]\w*(?:\[[^\]\n]*\])?(?:\{[^}\n]*\})?(?:'\d+)*"
_ORIGIN = re.compile(r"  # (?:(\d+):(\d+)-(\d+):(\d+)|-)(?: (.*))?$")
_DRAW = re.compile(rf"({_NAME}) : \[([^\]]*)\] ~ N\((.*), (.*)\)$")
_INPUT = re.compile(rf"({_NAME}) = ({_NAME}) @ \[([^\]]*)\]$")
_MATMUL = re.compile(rf"({_NAME}) = ({_NAME})(\.T)? @ ({_NAME})$")
_MOMENT = re.compile(rf"({_NAME}) = avg\((.*)\)$")
_OUTPUT = re.compile(rf"({_NAME}) = out\((.*?)\)((?: \+ \(.*?\) \* {_NAME})*)$")
_BIAS = re.compile(rf" \+ \((.*?)\) \* ({_NAME})")
_MAP = re.compile(rf"({_NAME}) = (.*)$")
_SHOW = re.compile(r'show ("(?:[^"\\]|\\.)*") \[([^\]]*)\] = (.*)$')
_ANY_NAME = re.compile(rf"({_NAME})(\()?|(\d[\d.]*(?:e[+-]?\d+)?)f(?!\w)")


def parse_program(text: str) -> Program:
    """Read what `print_program` wrote. Raises CoreSyntaxError, or InvalidProgram if the lines do not fit."""
    reader = _Reader()
    for count, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                reader.read(line)
            except (ValueError, KeyError, ArithmeticError) as problem:
                raise CoreSyntaxError(f"line {count}: {problem}: {line[:80]}") from None
    try:
        program = reader.program()
    except (ValueError, KeyError, ArithmeticError) as problem:
        raise CoreSyntaxError(f"the ratio of a width: {problem}") from None
    return verify(program)


class _Reader:
    def __init__(self) -> None:
        self.title = ""
        self.ratios: dict[str, Expr] = {}
        self.constants: dict[str, Expr] = {}
        self.lines: list[Line] = []
        self.shows: list[Show] = []
        self.numbers: dict[str, int] = {}
        self._parsed: dict[str, Expr] = {}

    def program(self) -> Program:
        """What has been read: constants are known only now, and with them the values of ratios."""
        symbolic = {name: ratio for name, ratio in self.ratios.items() if leaves(ratio, "symbol")}
        values = constant_values(self.constants) if symbolic else {}
        return Program(
            {name: ratio_value(ratio, values) for name, ratio in self.ratios.items()}, self.constants,
            tuple(self.lines), tuple(self.shows), title=self.title, symbolic_ratios=symbolic,
        )  # fmt: skip

    def read(self, text: str) -> None:
        if text.startswith('"'):
            self.title = json.loads(text)
        elif text.startswith("width "):
            name, _, multiple = text[6:].partition(" = ")
            self.ratios[name] = self._read_ratio(multiple) if multiple else ONE
        elif text.startswith("const "):
            name, _, value = text[6:].partition(" = ")
            self.constants[name] = self.expression(value)
        else:
            text, origin = _split_origin(text)
            if text.startswith("show "):
                self._read_show(text, origin)
            else:
                self._append(self._read_line(text, origin))

    def _read_ratio(self, multiple: str) -> Expr:
        base = next(iter(self.ratios), "n")
        return e.substitute(self.expression(multiple), lambda x: ONE if x.value == base else x)

    def _append(self, line: Line) -> None:
        self.numbers[line.name] = len(self.lines)
        self.lines.append(line)

    def _read_show(self, text: str, origin: Origin) -> None:
        match = _matched(_SHOW, text)
        names = re.findall(_NAME, match[3])
        shape = tuple(int(x) for x in match[2].split(",") if x.strip())
        self.shows.append(Show(json.loads(match[1]), shape, tuple(self.numbers[n] for n in names), origin.span))

    def _read_line(self, text: str, origin: Origin) -> Line:
        if match := _DRAW.match(text):
            return self._read_draw(match, origin)
        if match := _INPUT.match(text):
            matrix = self.numbers[match[2]]
            row = tuple(float(x) for x in match[3].split(","))
            return Line(
                "input", Kind.VECTOR, match[1], (matrix,), None, self.lines[matrix].dims[:1], row=row, origin=origin
            )
        if match := _MATMUL.match(text):
            matrix, vector = self.numbers[match[2]], self.numbers[match[4]]
            dims = self.lines[matrix].dims
            dims = dims[1:] if match[3] else dims[:1]
            return Line(
                "matmul", Kind.VECTOR, match[1], (matrix, vector), None, dims, transposed=bool(match[3]), origin=origin
            )
        if match := _OUTPUT.match(text):
            expr, args = close(self.expression(match[2]))
            biases = tuple((self.numbers[b], self.expression(k)) for k, b in _BIAS.findall(match[3]))
            return Line("output", Kind.OUTPUT, match[1], args, expr, (), biases=biases, origin=origin)
        if match := _MOMENT.match(text):
            expr, args = close(self.expression(match[2]))
            return Line("moment", Kind.SCALAR, match[1], args, expr, (), origin=origin)
        match = _matched(_MAP, text)
        expr, args = close(self.expression(match[2]))
        widths = [self.lines[a].dims for a in args if self.lines[a].kind is Kind.VECTOR]
        kind, dims = (Kind.VECTOR, widths[0]) if widths else (Kind.SCALAR, ())
        return Line("map", kind, match[1], args, expr, dims, origin=origin)

    def _read_draw(self, match: re.Match, origin: Origin) -> Line:
        dims = tuple(int(d) if d.isdigit() else d for d in match[2].split(", "))
        mean, variance = self.expression(match[3]), self.expression(match[4])
        if dims == ("",):
            return Line("state", Kind.SCALAR, match[1], (), variance, mean=mean, origin=origin)
        if len(dims) == 2:
            return Line("matrix", Kind.MATRIX, match[1], (), variance, dims, origin=origin)
        if dims == (1,):
            return Line("gaussian", Kind.OUTPUT, match[1], (), variance, (), mean=mean, origin=origin)
        return Line("gaussian", Kind.VECTOR, match[1], (), variance, dims, mean=mean, origin=origin)

    def expression(self, text: str) -> Expr:
        """Lines become placeholders, so that equal shapes of expression are parsed once."""
        found: list[int] = []

        def placeholder(match: re.Match) -> str:
            if match[3] is not None:
                return f'float("{match[3]}")'
            line = None if match[2] else self.numbers.get(match[1])
            if line is None:
                return match[0]
            found.append(line)
            return f"r__{len(found) - 1}"

        shape = _ANY_NAME.sub(placeholder, text)
        if shape not in self._parsed:
            self._parsed[shape] = _from_syntax(parse_expression(shape))
        return e.substitute(self._parsed[shape], lambda x: ref(found[int(x.value)]) if x.op == "ref" else x)  # type: ignore[arg-type]


def _matched(pattern: re.Pattern, text: str) -> re.Match:
    match = pattern.match(text)
    if match is None:
        raise ValueError("not a line of a core program")
    return match


def _split_origin(text: str) -> tuple[str, Origin]:
    match = _ORIGIN.search(text)
    if match is None:
        return text, Origin(None)
    span = Span(*map(int, match.group(1, 2, 3, 4))) if match[1] else None
    return text[: match.start()], Origin(span, match[5] or "")


_BINARY: dict[str, Callable[..., Expr]] = {"+": e.add, "-": e.sub, "*": e.mul, "/": e.div}


def _from_syntax(node: s.Expr) -> Expr:
    if isinstance(node, s.Number):
        return number(node.value)
    if isinstance(node, s.Name):
        return ref(int(node.name[3:])) if node.name.startswith("r__") else symbol(node.name)
    if isinstance(node, s.Signed):
        operand = _from_syntax(node.operand)
        return e.neg(operand) if node.sign == "-" else operand
    if isinstance(node, s.Power):
        return e.power(_from_syntax(node.base), _from_syntax(node.exponent))
    if isinstance(node, s.Call) and node.function == "float":
        return number(float(node.arguments[0].value))  # type: ignore[union-attr, arg-type]
    if isinstance(node, s.Call):
        return e.apply(node.function, *map(_from_syntax, node.arguments))
    if isinstance(node, s.Chain):
        return _fold(_from_syntax(node.first), [(sign, _from_syntax(x)) for sign, x in node.rest])
    raise ValueError("not an expression of a core program")


def _fold(total: Expr, rest: list[tuple[str, Expr]]) -> Expr:
    """From the left, a run of one sign at a time: `a + b + c` is one sum."""
    while rest:
        sign, run = rest[0][0], 1
        if sign in "+*":
            while run < len(rest) and rest[run][0] == sign:
                run += 1
        total = _BINARY[sign](total, *(x for _, x in rest[:run]))
        rest = rest[run:]
    return total
