"""Core lines without a statement of their own (the backward pass) as families over the user's indices.

A line becomes a formula in which indices are numbers; sums whose terms agree up to a shift are folded; then indices are written
relative to the line's own. Lines of one name that then agree are one family (`families`).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

from tpl.core.gradient import open_
from tpl.core.program import Kind, Line, Program
from tpl.limit import formula as f
from tpl.limit.folding import Axis, fold, shifted, simplified, unwrapped
from tpl.limit.formula import Formula
from tpl.limit.matching import straight
from tpl.limit.naming import Variable, entry, variable
from tpl.limit.transcribe import Transcriber

_LABEL = re.compile(r"\{\w+(?:\[(\d+)\])?(?:; (\d+))?\}")
_REVERSE = re.compile(r"reverse mode of (.*)$")


def first_input(name: str) -> bool:
    """Does a line belong to the first input and output, or to none?"""
    label = _LABEL.search(name)
    return label is None or (label[1] in (None, "1") and label[2] in (None, "1"))


class Lines:
    """Core lines as formulas over the user's names. vanishes: is a line's limit zero?"""

    def __init__(
        self, program: Program, vanishes: Callable[[int], bool], transcriber: Transcriber,
        rows: Mapping[tuple[float, ...], Variable],
    ):  # fmt: skip
        self.program, self.lines = program, program.lines
        self.vanishes = vanishes
        self.transcriber = transcriber
        self.rows = rows
        self.owner = self._owners()
        self.number = {line.name: i for i, line in enumerate(self.lines)}
        self._formulas: dict[int, Formula] = {}
        self._axes: dict[str, list[Axis]] = {}
        self._instead: dict[str, str] = {}  # loops' letters -> those that count the places which the loops run against
        self.words: dict[int, Formula] = {}  # products in the user's words, with indices as numbers

    def _owners(self) -> dict[int, Variable]:
        """The named line that a helper line is made for: the next one."""
        owner: dict[int, Variable] = {}
        pending: list[int] = []
        for index, line in enumerate(self.lines):
            if line.origin.derived:
                continue
            named = variable(line.name)
            if named is None:
                pending.append(index)
                continue
            owner |= dict.fromkeys(pending, named)
            owner[index] = named
            pending = []
        return owner

    @cached_property
    def constants(self) -> dict[str, float]:
        return self.program.constant_values()

    @cached_property
    def uses(self) -> Counter[int]:
        """How many lines mention a line."""
        return Counter(a for line in self.lines for a in set(line.args))

    # ------------------------------------------------------------------------------------------ axes
    def axes(self, base: str) -> list[Axis]:
        """The indices of a family of the user's."""
        if base not in self._axes:
            self._axes[base] = self._find_axes(base)
        return self._axes[base]

    def _find_axes(self, base: str) -> list[Axis]:
        clauses = self.transcriber.axes.get(base, [])
        seen = [v.numbers for v in map(variable, self.number) if v is not None and v.base == base]
        found = []
        for place, clause in enumerate(clauses):
            values = [i[place] for i in seen if len(i) > place] or [0]
            if clause == f.ZERO:
                clause = Formula("clause", (f.letter("ijkl"[place % 4]), f.ZERO, f.ZERO))
            letter, start, stop = clause.args
            origin, slope = straight(self.transcriber.targets.get((base, place), letter), letter.text, self.whole) or (
                0,
                0,
            )
            low, high = min(values), max(values)
            if slope == 1:
                found.append(Axis(letter.text, start, stop, low, high, origin))
            else:  # as in y[L - l]: places are counted by a letter of their own
                self._instead[letter.text] = self._unused(letter.text)
                stop = self._top(base, place, letter, high)
                found.append(Axis(self._instead[letter.text], f.number(low), stop, low, high))
        return found

    def _top(self, base: str, place: int, letter: Formula, high: int) -> Formula:
        """The highest place of an index L - l: L, where that is in reach."""
        index = self.transcriber.targets[base, place]
        for start in range(3):
            top = simplified(f.relettered_as(index, letter.text, f.number(start)))
            if self.whole(top) == high:
                return top
        return f.number(high)

    def counted(self, base: str) -> list[tuple[Formula, Formula]]:
        """(j, L - l) for the indices of a family whose places have a letter of their own."""
        axes = enumerate(self.axes(base))
        return [(f.letter(a.letter), self.transcriber.targets[base, place]) for place, a in axes
                if a.letter in self._instead.values()]  # fmt: skip

    @property
    def run_against(self) -> set[str]:
        """Letters of loops that run against the places they assign."""
        return set(self._instead)

    def _unused(self, letter: str) -> str:
        """A letter for the places that the loop's letter runs against."""
        taken = {c.args[0].text for axes in self.transcriber.axes.values() for c in axes if c.op == "clause"}
        taken |= set(self.transcriber.names)
        return next(x for x in (*"jikmpqrs", letter + "′") if x not in taken)

    def whole(self, formula: Formula) -> int | None:
        """The value of an index expression without letters."""
        if formula.op == "number":
            return int(formula.text) if formula.text.isdigit() else None
        if formula.op == "name":
            value = self.constants.get(formula.text)
            return int(value) if value is not None and value == int(value) else None
        parts = [self.whole(a) for a in formula.args]
        if None in parts or formula.op not in ("add", "sub", "neg"):
            return None
        values = [p for p in parts if p is not None]
        return sum(values) if formula.op == "add" else -values[0] if formula.op == "neg" else values[0] - values[1]

    def end(self, axis: Axis, value: int) -> Formula:
        """A fixed index, relative to the end of its range if it lies there."""
        if axis.start.op != "number" and value == self.whole(axis.start):
            return axis.start
        around = self.axis_table.get(axis.stop.text) if f.letters_of(axis.stop) == {axis.stop.text} else None
        if around is not None and around.letter != axis.letter:  # j in 1..i, with i in 1..T
            return self.end(around, value)
        stop = self.whole(axis.stop)
        if axis.stop.op != "number" and stop is not None and (value == stop != 1 or 2 < value < stop):
            return axis.stop if value == stop else simplified(Formula("sub", (axis.stop, f.number(stop - value))))
        if axis.stop.op != "number" and value == stop and axis.start.op != "number":
            return axis.stop
        return f.number(value)

    # ------------------------------------------------------------------------------------------ formulas
    def formula(self, index: int) -> Formula:
        """A line as others speak of it: by its name, or written out where it has none."""
        if index not in self._formulas:
            nameless = variable(self.lines[index].name) is None
            told = self.words.get(index) if nameless else None
            self._formulas[index] = told if told is not None else self._formula(index, self.lines[index])
        return self._formulas[index]

    def _formula(self, index: int, line: Line) -> Formula:
        named = variable(line.name)
        if line.origin.derived and self.vanishes(index) and (named is None or line.kind is Kind.SCALAR):
            return f.ZERO
        if named is not None and not (line.origin.derived and not self._is_adjoint(line)):
            return self.adjoint_at(index) if line.origin.derived else self.named(named)
        if line.origin.derived and (self.is_family(index) or index in self.product_adjoints):
            return self.adjoint_at(index)
        return self.right(index)

    def stands_alone(self, index: int) -> bool:
        """Does a line of the backward pass get an entry: is it named, or a family of its own?"""
        return index in self.product_adjoints or (
            self._is_adjoint(self.lines[index])
            and (variable(self.lines[index].name) is not None or self.is_family(index))
        )

    @staticmethod
    def _is_adjoint(line: Line) -> bool:
        return line.op == "map" and _REVERSE.match(line.origin.derived) is not None

    def is_family(self, index: int) -> bool:
        """Has an unnamed adjoint a line of its own: is it used more than once, and more than a sum of products?"""
        line = self.lines[index]
        if not self._is_adjoint(line) or (line.kind is Kind.SCALAR and self.uses[index] < 2):
            return False
        assert line.expr is not None
        plain = line.expr.op == "add" and all(a.op == "ref" for a in line.expr.args)
        return not plain and (self.uses[index] != 1 or index in self.multiplied)

    @cached_property
    def multiplied(self) -> set[int]:
        """The vectors that products take."""
        return {line.args[1] for line in self.lines if line.op == "matmul"}

    def adjoint_at(self, index: int) -> Formula:
        if index in self.product_adjoints:
            return Formula("adjoint", (self.formula(self.product_adjoints[index]),), kind="vector", local=True)
        match = _REVERSE.match(self.lines[index].origin.derived)
        source = self.number.get(match[1]) if match is not None else None
        kind = "vector" if self.lines[index].kind is Kind.VECTOR else "scalar"
        inside = self.formula(source) if source is not None else Formula("code", (), self.lines[index].name)
        return Formula("adjoint", (inside,), kind=kind, local=True)

    def named(self, named: Variable) -> Formula:
        """A name of the user's with its indices as numbers."""
        letters = [a.letter for a in self.axes(named.base)]
        letters += ["i", "j", "k", "l"][len(letters) :]
        indices = tuple(Formula("index", (), str(i), x) for i, x in zip(named.index, letters, strict=False))
        kind = self.transcriber.names.get(named.base, "vector")
        return Formula(
            "name", indices, named.base, "vector" if kind == "readout" else kind, named.base in self.transcriber.local
        )

    def right(self, index: int) -> Formula:
        """The right side of a line."""
        line = self.lines[index]
        if line.op == "matmul":
            matrix = self.formula(line.args[0])
            return Formula(
                "matmul", (Formula("transposed", (matrix,)) if line.transposed else matrix, self.formula(line.args[1]))
            )
        if line.op == "input":
            return Formula("matmul", (self.formula(line.args[0]), self._row(line)))
        if line.op == "gaussian":
            return f.from_expr(line.mean, self.formula)
        assert line.expr is not None
        inside = f.rewrite(f.from_expr(open_(line.expr, line.args), self.formula), self._entry)
        return Formula("avg", (inside,)) if line.op == "moment" else inside

    def _entry(self, node: Formula) -> Formula | None:
        """`G[1, 2]` for the constant that stands for it, its indices counted by the letters of loops over its axes."""
        found = entry(node.text) if node.op == "name" and node.kind == "const" else None
        if found is None:
            return None
        letters = self.transcriber.letters_over(found.base)
        indices = tuple(Formula("index", (), str(i), x) for i, x in zip(found.numbers, letters, strict=True))
        return Formula("name", indices, found.base, "data")

    def _row(self, line: Line) -> Formula:
        owner = self.rows.get(line.row)
        if owner is None:
            return Formula("name", (), "ξ", "data", True)
        base = next((n for n in sorted(self.transcriber.local) if self.transcriber.names.get(n) == "data"), "ξ")
        letters = (
            [a.letter for a in self.axes(self.owner[self.number[line.name]].base)] if line.name in self.number else []
        )
        indices = tuple(Formula("index", (), str(i), letters[-1] if letters else "i") for i in owner.index)
        return Formula("name", indices, base, "data", True)

    # ------------------------------------------------------------------------------------------ places
    def anchor(self, index: int) -> dict[str, int]:
        """The letters of a line and their values."""
        found: dict[str, int] = {}

        def collect(node: Formula) -> Formula | None:
            if node.op == "index":
                found.setdefault(node.kind, int(node.text))
            return None

        named = self.forward(index)
        if named is not None:
            return self.place(named)
        f.rewrite(self.formula(index), collect)
        return found

    def forward(self, index: int) -> Variable | None:
        """The user's vector that a line is, or is the adjoint of; None without one."""
        if index in self.product_adjoints:
            return variable(self.lines[self.product_adjoints[index]].name)
        named, derived = variable(self.lines[index].name), self.lines[index].origin.derived
        if named is not None:
            return Variable(named.base.removeprefix("d") if derived else named.base, named.index, 0)
        match = _REVERSE.match(derived)
        owner = self.owner.get(self.number.get(match[1], -1)) if match is not None else None
        return Variable(owner.base, owner.index, 0) if owner is not None else None

    def base_of(self, index: int) -> str:
        """The user's name that a line belongs to; "" without one."""
        named = self.forward(index)
        return named.base if named is not None else ""

    @cached_property
    def adjoint_of(self) -> dict[int, int]:
        """Forward line -> the line of its adjoint, where it has one of its own or shares one."""
        found: dict[int, int] = {}
        for i, line in enumerate(self.lines):
            match = _REVERSE.match(line.origin.derived)
            source = self.number.get(match[1]) if match is not None else None
            if source is not None and line.op in ("map", "matmul"):
                found.setdefault(source, i if line.op == "map" else line.args[1])
        return found

    @cached_property
    def product_adjoints(self) -> dict[int, int]:
        """Products of the backward pass -> the vector whose adjoint each is, as in x = U @ xi, h = W @ x: dx is W.T @ dh."""
        users: dict[int, list[int]] = {}
        made: dict[tuple[int, int, bool], int] = {}
        for i, line in enumerate(self.lines):
            if line.origin.derived:
                if line.op == "matmul":
                    made.setdefault((*line.args, line.transposed), i)  # type: ignore[arg-type]
                continue
            for a in set(line.args):
                users.setdefault(a, []).append(i)
        found: dict[int, int] = {}
        for i, line in enumerate(self.lines):
            using = users.get(i, [])
            plain = line.op in ("input", "matmul") and not line.origin.derived and variable(line.name) is not None
            if plain and len(using) == 1 and self.lines[using[0]].op == "matmul" and i not in self.adjoint_of:
                matrix, transposed = self.lines[using[0]].args[0], self.lines[using[0]].transposed
                product = made.get((matrix, self.adjoint_of.get(using[0], -1), not transposed))
                if product is not None:
                    found[product] = i
        return found

    def place(self, named: Variable) -> dict[str, int]:
        """The values of the loops' letters where a name is assigned."""
        return {a.letter: i - a.shift for a, i in zip(self.axes(named.base), named.numbers, strict=False)}

    def loops(self, named: Variable) -> dict[str, tuple[int, Formula]]:
        """The values of the loops' letters where a name is assigned, and the index that each of them is part of."""
        found = {}
        for place, clause in enumerate(self.transcriber.axes.get(named.base, [])):
            index = self.transcriber.targets.get((named.base, place))
            if index is None or place >= len(named.numbers):
                continue
            letter = clause.args[0].text
            origin, slope = straight(index, letter, self.whole) or (0, 0)
            if slope in (1, -1):
                found[letter] = (slope * (named.numbers[place] - origin), index)
        return found

    @cached_property
    def axis_table(self) -> dict[str, Axis]:
        """Axes by letter."""
        table: dict[str, Axis] = {}
        for base in self.transcriber.axes:
            for axis in self.axes(base):
                known = table.get(axis.letter)
                if known is None:
                    table[axis.letter] = axis
                else:
                    table[axis.letter] = replace(known, low=min(known.low, axis.low), high=max(known.high, axis.high))
        return table

    def written(
        self, formula: Formula, anchor: Mapping[str, int], modulo: tuple[str, ...] = (), tie: tuple[str, ...] = ()
    ) -> Formula:
        """Sums folded, and indices as letters."""
        return self.anchored(self.folded(formula, anchor, modulo, tie), anchor)

    def folded(
        self, formula: Formula, anchor: Mapping[str, int], modulo: tuple[str, ...], tie: tuple[str, ...]
    ) -> Formula:
        """tie: (x, y) counts the index x from the anchor's y."""
        folded = fold(unwrapped(formula, anchor, self.axis_table, modulo), anchor)
        if tie:
            x, y = tie
            folded = f.rewrite(folded, lambda n: replace(n, kind=y) if n.op == "index" and n.kind == x else None)
        return folded

    def numbered(self, formula: Formula) -> Formula:
        """Index numbers as they are."""
        return simplified(f.rewrite(formula, lambda n: f.number(int(n.text)) if n.op == "index" else None))

    def anchored(self, formula: Formula, anchor: Mapping[str, int], starting: bool = False) -> Formula:
        """Index numbers as letters: relative to the anchor's, or to the ends of their range.

        starting: are the starts of sums relative to the anchor's, too, as in Σ_{i′ = i..T}?
        """
        table = self.axis_table

        def change(node: Formula) -> Formula | None:
            if node.op != "index":
                return None
            name, value = node.kind, int(node.text)
            if name.startswith("="):  # an end of a folded sum
                if starting and node.input and name[1:] in anchor:
                    return shifted(f.letter(name[1:]), value - anchor[name[1:]])
                return self.end(table[name[1:]], value) if name[1:] in table else f.number(value)
            if name not in anchor and self._instead.get(name) in anchor:
                name = self._instead[name]
            if name in anchor:
                return shifted(f.letter(name), value - anchor[name])
            return self.end(table[name], value) if name in table else f.number(value)

        return simplified(f.rewrite(formula, change))
