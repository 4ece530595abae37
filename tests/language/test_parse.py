"""The syntax of every construct, and the place in the text that every node knows."""

from dataclasses import fields, is_dataclass
from fractions import Fraction

import pytest

from tpl.language import syntax as s
from tpl.language.layout import lay_out
from tpl.language.parse import UNREAD, parse, parse_expression
from tpl.language.source import Source, Span
from tpl.resources import programs_dir

BUNDLED = {path.stem: path.read_text(encoding="utf-8") for path in sorted(programs_dir().glob("*.tp"))}


def statements(text):
    file, diagnostics, lost = parse(Source(text))
    assert diagnostics == []
    assert lost == set()
    return file.statements


def statement(text):
    (only,) = statements(text)
    return only


def bare(node):
    """Syntax without its places: nested tuples (or the name, number or string itself)."""
    if isinstance(node, (s.Name, s.Number, s.String)):
        return node.name if isinstance(node, s.Name) else node.value
    if is_dataclass(node):
        parts = [bare(getattr(node, f.name)) for f in fields(node) if not f.name.endswith(("span", "spans"))]
        return (type(node).__name__, *parts)
    return tuple(map(bare, node)) if isinstance(node, tuple) else node


def nodes(node):
    """A node and all nodes inside it."""
    if is_dataclass(node):
        yield node
        for field in fields(node):
            yield from nodes(getattr(node, field.name))
    elif isinstance(node, tuple) and not isinstance(node, Span):
        for part in node:
            yield from nodes(part)


# ---------------------------------------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", "x"),
        ("α_1", "α_1"),
        ("format", "format"),  # begins as the keyword `for` does
        ("model", "model"),
        ("12", 12),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("1e-3", Fraction(1, 1000)),
        ("2.5E+2", 250),
        ("a + b - c", ("Chain", "a", (("+", "b"), ("-", "c")))),
        ("a + b * c", ("Chain", "a", (("+", ("Chain", "b", (("*", "c"),))),))),
        ("(a + b) * c", ("Chain", ("Chain", "a", (("+", "b"),)), (("*", "c"),))),
        ("W @ x / 2", ("Chain", "W", (("@", "x"), ("/", 2)))),
        ("(p + k) mod P", ("Chain", ("Chain", "p", (("+", "k"),)), (("mod", "P"),))),
        ("-x", ("Signed", "-", "x")),
        ("--x", ("Signed", "-", ("Signed", "-", "x"))),
        ("-x^2", ("Signed", "-", ("Power", "x", 2))),
        ("2 * -x", ("Chain", 2, (("*", ("Signed", "-", "x")),))),
        ("x^2", ("Power", "x", 2)),
        ("x^-1", ("Power", "x", ("Signed", "-", 1))),
        ("2^3^4", ("Power", 2, ("Power", 3, 4))),
        ("x[1]", ("Indexed", "x", (1,))),
        ("s[i, j+1]", ("Indexed", "s", ("i", ("Chain", "j", (("+", 1),))))),
        ("h[1..T]", ("Indexed", "h", (("Slice", 1, "T"),))),
        ("s[i, 1..T]", ("Indexed", "s", ("i", ("Slice", 1, "T")))),
        ("softmax(s)[j]", ("Indexed", ("Call", "softmax", ("s",), ()), ("j",))),
        ("x[1][2]", ("Indexed", ("Indexed", "x", (1,)), (2,))),
        ("W.T", ("Transposed", "W")),
        ("W[l].T @ x", ("Chain", ("Transposed", ("Indexed", "W", ("l",))), (("@", "x"),))),
        ("(A + A.T) @ x", ("Chain", ("Chain", "A", (("+", ("Transposed", "A")),)), (("@", "x"),))),
        ("W.T^2", ("Power", ("Transposed", "W"), 2)),
        ("f()", ("Call", "f", (), ())),
        ("max(a, b)", ("Call", "max", ("a", "b"), ())),
        ("sphere(4, 10, seed=0)", ("Call", "sphere", (4, 10), (("seed", 0),))),
        ("f('a', b=\"c\")", ("Call", "f", ("a",), (("b", "c"),))),
        ("[]", ("ListOf", ())),
        ("[[1, 2], [3, 4]]", ("ListOf", (("ListOf", (1, 2)), ("ListOf", (3, 4))))),
        ("((x))", "x"),
        (
            "sum(x[i] for i in 1..T)",
            ("Call", "sum", (("Comprehension", ("Indexed", "x", ("i",)), (("Clause", "i", 1, "T"),)),), ()),
        ),
        (
            "sum(i for i in 1..2 for j in i..3)",
            ("Call", "sum", (("Comprehension", "i", (("Clause", "i", 1, 2), ("Clause", "j", "i", 3))),), ()),
        ),
    ],
)
def test_expression(text, expected):
    assert bare(parse_expression(text)) == expected
    (shown,) = statement(f"show {text}").items
    assert bare(shown) == expected


@pytest.mark.parametrize(
    "text",
    ["", "1 +", "x y", "(x", "x = 1", "for", "data", "train", "1.", "2x", "a, b", "x for x in 1..2", "é" * 3 + "!"],
)
def test_no_expression(text):
    with pytest.raises(ValueError):
        parse_expression(text)


def test_nesting_is_bounded():
    assert bare(parse_expression("(" * 90 + "x" + ")" * 90)) == "x"
    with pytest.raises(ValueError):
        parse_expression("(" * 200 + "x" + ")" * 200)


@pytest.mark.parametrize(
    ("text", "value"),
    [("007", 7), ("1.50", Fraction(3, 2)), ("0.1", Fraction(1, 10)), ("1e400", Fraction(10) ** 400), ("0e9999", 0),
     ("1e-9999", 0), ("1e9999", Fraction(10) ** 400), ("123456789" * 20, int("123456789" * 20))],
)  # fmt: skip
def test_numbers_are_exact(text, value):
    assert parse_expression(text).value == value


# ---------------------------------------------------------------------------------------------- statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("const L = 3", ("Const", "L", 3)),
        ("def phi(z) = relu(z)", ("Def", "phi", ("z",), ("Call", "relu", ("z",), ()))),
        ("def one() = 1", ("Def", "one", (), 1)),
        ("def f(a, b) = a", ("Def", "f", ("a", "b"), "a")),
        ("width n", ("Width", "n", None)),
        ("width m = 2 * n", ("Width", "m", ("Chain", 2, (("*", "n"),)))),
        ("data X[N, d]", ("Data", "X", ("N", "d"), None)),
        ("data y[N] = [1, 2]", ("Data", "y", ("N",), ("ListOf", (1, 2)))),
        ("data X[N, d] = basis(3)", ("Data", "X", ("N", "d"), ("Call", "basis", (3,), ()))),
        (
            "param W : [n, d] ~ N(0, 1)",
            ("Draw", "param", (("Target", "W", ()),), ("n", "d"), ("Call", "N", (0, 1), ()), None),
        ),
        (
            "param b[l] : [n] ~ N(0, s)",
            ("Draw", "param", (("Target", "b", ("l",)),), ("n",), ("Call", "N", (0, "s"), ()), None),
        ),
        (
            "random x : [n] ~ N(0, 1)",
            ("Draw", "random", (("Target", "x", ()),), ("n",), ("Call", "N", (0, 1), ()), None),
        ),
        (
            "random (g, h[2]) : [n] ~ N(0, C)",
            ("Draw", "random", (("Target", "g", ()), ("Target", "h", (2,))), ("n",), ("Call", "N", (0, "C"), ()), None),
        ),
        (
            "param W : [n] ~ N(0, 1) rate -rate / 2",
            (
                "Draw",
                "param",
                (("Target", "W", ()),),
                ("n",),
                ("Call", "N", (0, 1), ()),
                ("Chain", ("Signed", "-", "rate"), (("/", 2),)),
            ),
        ),
        ("rate = on", ("Assign", ("Target", "rate", ()), "on")),
        ("train f on X, y: steps = 3", ("Train", "f", ("X",), "y", (("Setting", "steps", 3),))),
        (
            "train f on X, Z, y:\n    test = [X, Z]\n    steps = 3",
            ("Train", "f", ("X", "Z"), "y", (("Setting", "test", ("ListOf", ("X", "Z"))), ("Setting", "steps", 3))),
        ),
        ("y = x", ("Assign", ("Target", "y", ()), "x")),
        ("s[i, j] = 1", ("Assign", ("Target", "s", ("i", "j")), 1)),
        ("return v", ("Return", "v")),
        (
            "return v[i] for i in 1..B",
            ("Return", ("Comprehension", ("Indexed", "v", ("i",)), (("Clause", "i", 1, "B"),))),
        ),
        ("show a, b", ("Show", ("a", "b"))),
        ("show i for i in 1..3", ("Show", (("Comprehension", "i", (("Clause", "i", 1, 3),)),))),
        ("for i in 1..3: x[i] = i", ("Loop", ("Clause", "i", 1, 3), (("Assign", ("Target", "x", ("i",)), "i"),))),
        ("for i in 1..3:\n    show i", ("Loop", ("Clause", "i", 1, 3), (("Show", ("i",)),))),
        ("for k in -r..r:\n show k", ("Loop", ("Clause", "k", ("Signed", "-", "r"), "r"), (("Show", ("k",)),))),
        ("network f(xi[d]): return xi", ("Network", "f", (("Input", "xi", ("d",)),), (("Return", "xi"),))),
        (
            "network f(x[T, d], y[d]):\n\treturn y",
            ("Network", "f", (("Input", "x", ("T", "d")), ("Input", "y", ("d",))), (("Return", "y"),)),
        ),
    ],
)
def test_statement(text, expected):
    assert bare(statement(text)) == expected


def test_blocks():
    text = """
network f(xi[d]):
    a = 1     # a comment

    for l in 1..2:
        b[l] = 1

        for m in 1..l:
            c[l, m] = 1
        d[l] = 1
  # a comment at any indentation
    return a
show 1
"""
    network, show = statements(text)
    assert [type(x).__name__ for x in network.body] == ["Assign", "Loop", "Return"]
    assert [type(x).__name__ for x in network.body[1].body] == ["Assign", "Loop", "Assign"]
    assert [type(x).__name__ for x in network.body[1].body[1].body] == ["Assign"]
    assert isinstance(show, s.Show)


@pytest.mark.parametrize(
    "text",
    ["y = sum(x[i]\n    for i in 1..3)\n", "y = sum(  # why\n  x[i] for i in 1..3\n\n)", "y = sum(x[i] for\ni in 1..3)",
     "y = sum(\nx[\ni\n]\nfor i in 1..3)"],
)  # fmt: skip
def test_open_brackets_continue_a_line(text):
    assert bare(statement(text)) == bare(statement("y = sum(x[i] for i in 1..3)"))


def test_keyword_arguments_may_begin_a_row():
    text = "data X[N, d] = sphere(4,\n10,\nseed=3)\nshow X[1, 1]"
    assert bare(statements(text)[0].default) == ("Call", "sphere", (4, 10), (("seed", 3),))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_line_ends(line_end):
    text = '"""Title"""\nfor i in 1..2:\n    x[i] = i\nshow x'
    file, diagnostics, _ = parse(Source(text.replace("\n", line_end)))
    assert diagnostics == []
    assert file.title == "Title"
    assert len(file.statements) == 2


@pytest.mark.parametrize(
    ("text", "title"),
    [('"""One line."""\nshow 1', "One line."), ('# first\n\n"""Two\n  lines. """\nshow 1', "Two\n  lines."),
     ('"""A "quoted" word, and \\""" too."""\nshow 1', 'A "quoted" word, and \\""" too.'), ("show 1", ""),
     ('""""""\nshow 1', ""), ('"""x = 3 # (["""  # comment\nshow 1', "x = 3 # ([")],
)  # fmt: skip
def test_docstring(text, title):
    file, diagnostics, _ = parse(Source(text))
    assert diagnostics == []
    assert file.title == title
    assert len(file.statements) == 1


def test_comments_and_strings():
    assert bare(statement("x = f('#')  # a ( comment")) == ("Assign", ("Target", "x", ()), ("Call", "f", ("#",), ()))
    assert bare(statement('x = f("(")')) == ("Assign", ("Target", "x", ()), ("Call", "f", ("(",), ()))


# ---------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize("name", BUNDLED)
def test_every_expression_knows_its_text(name):
    """What the span of an expression covers reads as that expression."""
    source = Source(BUNDLED[name])
    file, _, _ = parse(source)
    found = [x for statement in file.statements for x in nodes(statement)]
    expressions = [x for x in found if isinstance(x, s.Expr) and not isinstance(x, s.Comprehension)]
    assert len(expressions) > 20
    for node in expressions:
        assert bare(parse_expression(source.slice(node.span))) == bare(node)


@pytest.mark.parametrize("name", BUNDLED)
def test_places_of_names(name):
    source = Source(BUNDLED[name])
    file, _, _ = parse(source)
    for node in (x for statement in file.statements for x in nodes(statement)):
        if hasattr(node, "name_span"):
            assert source.slice(node.name_span) == (node.function if isinstance(node, s.Call) else node.name)
        if isinstance(node, s.Clause):
            assert source.slice(node.variable_span) == node.variable
        if isinstance(node, s.Def):
            assert tuple(map(source.slice, node.parameter_spans)) == node.parameters


@pytest.mark.parametrize(
    ("text", "kind", "covered"),
    [
        ("y = (a + b) * c", s.Chain, "(a + b) * c"),
        ("y = 1 + (a)", s.Name, "(a)"),
        ("y = f(a,\n      b) + 1", s.Call, "f(a, b)"),
        ("for i in 1..3:\n    y = i", s.Loop, "for i in 1..3"),
        ("network f(xi[d]): return xi", s.Network, "network f(xi[d])"),
        ("network f(xi[d]): return xi", s.Input, "xi[d]"),
        ("  \n\nshow  a , b  # c", s.Show, "show  a , b"),
        ("param W[l, 1] : [n, d] ~ N(0, 1)", s.Target, "W[l, 1]"),
        ("y = x[1..3]", s.Slice, "1..3"),
        ("show i for i in 1..3", s.Comprehension, "i for i in 1..3"),
        ("y = -x.T", s.Signed, "-x.T"),
        ("data X[N] = f(1, b=2)", s.Data, "data X[N] = f(1, b=2)"),
        ("const a = 1", s.Const, "const a = 1"),
    ],
)
def test_span(text, kind, covered):
    source = Source(text)
    node = next(x for x in nodes(statement(text)) if isinstance(x, kind))
    assert source.slice(node.span) == covered


def test_spans_count_from_one():
    (_, assign) = statements("width n\n  \ny = x")[0:2]
    assert assign.span == Span(3, 1, 3, 6)
    assert assign.value.span == Span(3, 5, 3, 6)


# ---------------------------------------------------------------------------------------------- recovery


def recovered(text):
    file, diagnostics, lost = parse(Source(text))
    return [bare(x) for x in file.statements], [d.span.line for d in diagnostics], lost


def test_a_missing_colon_is_put_in():
    kept, lines, lost = recovered("for i in 1..3\n    x[i] = i\nshow x")
    assert kept[0] == bare(statement("for i in 1..3: x[i] = i"))
    assert (lines, lost) == ([1], set())


def test_an_unread_loop_keeps_its_block():
    kept, lines, lost = recovered("for i in range(3):\n    x[i] = i\nshow x")
    assert kept[0] == ("Loop", ("Clause", "i", UNREAD, UNREAD), (("Assign", ("Target", "x", ("i",)), "i"),))
    assert lines == [1]
    assert {UNREAD, "i"} <= lost


def test_an_unread_network_keeps_its_block():
    kept, lines, lost = recovered("network f(xi):\n    h = xi\n    return h\nshow 1")
    assert kept[0][:3] == ("Network", "f", ())
    assert len(kept[0][3]) == 2
    assert lines == [1]
    assert {"f", "xi"} <= lost


def test_the_block_of_a_foreign_statement_is_passed_over():
    kept, lines, lost = recovered("if x:\n    y = = 1\n    z = 2\nelse:\n    w = 3\nshow 1")
    assert kept == [("Show", (1,))]
    assert lines == [1, 4]
    assert {"y", "z", "w"} <= lost


def test_a_forgotten_bracket_ends_where_a_statement_begins():
    kept, lines, lost = recovered("y = f(1,\n    g(2)\nz = 3\nnetwork h(x[d]):\n    a = (1\n    return a\nshow 1")
    assert [x[0] for x in kept] == ["Assign", "Network", "Show"]
    assert lines == [1, 5]
    assert {"y", "a"} <= lost


def test_wrong_indentation_is_read_all_the_same():
    kept, lines, _ = recovered("for i in 1..2:\n    a[i] = i\n      b[i] = i\n    c[i] = i\nshow 1")
    assert [x[0] for x in kept] == ["Loop", "Show"]
    assert [x[1][1] for x in kept[0][2]] == ["a", "b", "c"]
    assert lines == [3]


def test_lines_without_comments():
    _, lines, problems = lay_out(Source("x = 1 # one\n\n  y = (1, # two\n 2)\n# three"))
    assert problems == []
    assert [(line.row, line.text, line.indent) for line in lines] == [
        (1, "x = 1", (0, 0)),
        (3, "  y = (1,\n 2)", (2, 2)),
    ]


def test_too_long_a_program():
    _, diagnostics, _ = parse(Source("#" * 4_000_001))
    assert "at most 4,000,000 are read" in diagnostics[0].message
