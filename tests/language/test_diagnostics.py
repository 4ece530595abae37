"""Wrong programs and what is said about them, word for word; and that no text makes the reader stumble.

The table at the end of this file holds, for each wrong program, every message in full. After a change of wording,
`pytest tests/language/test_diagnostics.py --update-golden` writes it anew: read the difference before you commit.
"""

import random
import re
import time
from pathlib import Path

import numpy as np
import pytest

import tpl
from tpl.core.elaborate import Limits, elaborate
from tpl.core.functions import CALLABLE
from tpl.data import from_array
from tpl.language.check import check, merge
from tpl.language.parse import MAX_SYNTAX_ERRORS, parse
from tpl.language.source import Diagnostic, Source, Span, TplError, nearest
from tpl.resources import programs_dir

FUNCTIONS = {name: f.arity for name, f in CALLABLE.items()}
LARGE, SMALL = Limits(), Limits(max_lines=20_000)


def complain(text, data=None, limits=LARGE):
    """Everything that is said about a program, rendered; "" if nothing is wrong."""
    source = Source(text, "f.tp")
    file, diagnostics, lost = parse(source)
    diagnostics = merge(diagnostics, check(file, lost, functions=FUNCTIONS))
    datasets = {name: from_array(name, array, 10**9) for name, array in (data or {}).items()}
    try:
        if lost:
            raise TplError(source, diagnostics)
        elaborate(file, source, datasets, limits, diagnostics)
    except TplError as problem:
        return problem.render()
    return ""


def count(complaint):
    return complaint.count(": error: ")


# ---------------------------------------------------------------------------------------------- the table


def rows():
    """(name, program, data, complaint) of each section of TABLE. `| X=[4, 7]` after a name gives data X of that shape."""
    for part in re.split(r"^=== ", TABLE, flags=re.MULTILINE)[1:]:
        heading, rest = part.split("\n", 1)
        program, complaint = rest.split("\n---\n")
        shapes = re.findall(r"(\w+)=\[([\d, ]+)\]", heading)
        data = {name: np.ones([int(size) for size in shape.split(",")]) for name, shape in shapes}
        yield heading, program, data, complaint.rstrip("\n")


def pytest_generate_tests(metafunc):
    if "row" in metafunc.fixturenames:
        metafunc.parametrize("row", [pytest.param(row, id=row[0].split()[0]) for row in rows()])


def test_the_table_is_large(request):
    assert len(list(rows())) >= 60
    if request.config.getoption("--update-golden"):
        parts = [f"=== {name}\n{text}\n---\n{complain(text, data)}\n" for name, text, data, _ in rows()]
        path = Path(__file__)
        begin = "\nTABLE = r" + "'''\n"
        code = path.read_text(encoding="utf-8").split(begin)[0]
        path.write_text(code + begin + "\n".join(parts) + "'''\n", encoding="utf-8")


def test_complaint(row, request):
    _, program, data, complaint = row
    if request.config.getoption("--update-golden"):
        pytest.skip("the table is being written")
    assert complain(program, data) == complaint


def test_complaints_are_in_file_order(row):
    lines = [int(line) for line in re.findall(r"^f\.tp:(\d+):", row[3], re.MULTILINE)]
    assert lines == sorted(lines)


def test_carets_stand_under_the_text(row):
    """No caret left of the margin or beyond the line it points at."""
    for shown, carets in re.findall(r"^ *\d+ \| (.*)\n {6}\| ( *\^+)$", row[3], re.MULTILINE):
        assert len(carets) <= len(shown) + 2


# ---------------------------------------------------------------------------------------------- one mistake, one message

BUNDLED = {path.stem: path.read_text(encoding="utf-8") for path in sorted(programs_dir().glob("*.tp"))}


def less(found):
    return re.sub(r"\d+", lambda size: str(min(int(size[0]), 2)), found[0])


# Thousands of lines, over less data: sizes do not matter to what is missing or misspelt.
LONG_ONES = ("batchnorm_batches", "batchnorm_mlp", "conv2d")
BRIEF = {**BUNDLED, **{name: re.sub(r"(?<=sphere\()[\d, ]+", less, BUNDLED[name]) for name in LONG_ONES}}


def code_of(program):
    """Where the program's code begins: after its docstring."""
    return program.index('"""', 3) + 3


def spots(program, pattern):
    """Matches in the code, outside comments."""
    for found in re.finditer(pattern, program):
        line = program[program.rfind("\n", 0, found.start()) + 1 : found.start()]
        if found.start() >= code_of(program) and "#" not in line:
            yield found


BUNDLED_NAMES = list(BUNDLED)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_programs_are_right(name):
    assert complain(BUNDLED[name]) == ""


@pytest.mark.parametrize("name", BUNDLED)
def test_a_forgotten_sign_or_keyword_is_one_mistake(name):
    program = BRIEF[name]
    places = list(spots(program, r"[()\[\]=~:,]|\b(?:for|in|param|const|def|network)\b"))
    for found in places[BUNDLED_NAMES.index(name) % 3 :: 3]:  # others in the next program
        broken = program[: found.start()] + program[found.end() :]
        complaint = complain(broken, limits=SMALL)
        assert count(complaint) == 1, complaint


@pytest.mark.parametrize("name", BUNDLED)
def test_a_misspelt_name_is_one_mistake(name):
    program = BRIEF[name]
    keywords = r"(?:const|def|width|data|network|param|random|for|in|return|show|mod)\b"
    uses: dict[str, list[re.Match]] = {}
    for found in spots(program, rf"\b(?!{keywords})[^\W\d]\w*"):
        uses.setdefault(found[0], []).append(found)
    for found in (x for same in uses.values() for x in {*same[:2], same[-1]}):
        complaint = complain(program[: found.end()] + "zz" + program[found.end() :], limits=SMALL)
        assert count(complaint) <= 1, complaint


@pytest.mark.parametrize("name", BUNDLED)
def test_a_wrong_line_does_not_hide_another(name):
    program = BUNDLED[name] + "show = \nfor i in range(3):\n    a[i] = i +\nfoo == 3\n"
    assert count(complain(program)) == 4


# ---------------------------------------------------------------------------------------------- any text at all

HEAD = "width n\nrandom x : [n] ~ N(0, 1)\nrandom W : [n, n] ~ N(0, 1 / n)\n"
LONG = 100_000


def doubling(levels):
    steps = "".join(f"def f{i}(z) = f{i - 1}(z) + f{i - 1}(z)\n" for i in range(1, levels + 1))
    return f"def f0(z) = z + z\n{steps}{HEAD}show avg(f{levels}(x))"


# Texts, and what must be said of them (None: nothing).
HOSTILE = {
    "deep parentheses": ("y = " + "(" * LONG + "1" + ")" * LONG + "\nshow y", "nested more than 100 deep"),
    "open parentheses": ("y = " + "(" * LONG, "nested more than 100 deep"),
    "open brackets by row": ("(\n" * (LONG // 2), "never closed"),
    "closing parentheses": ("y = " + ")" * LONG, "closes nothing"),
    "wrong partners": ("y = " + "(" * 90 + "]" * LONG, "cannot close"),
    "minus signs": ("y = " + "-" * LONG + "1\nshow y", "nested more than 100 deep"),
    "indices": ("y = x" + "[1]" * (LONG // 3), "nested more than 100 deep"),
    "transposes": (HEAD + "y = W" + ".T" * (LONG // 2) + " @ x\nshow avg(y)", "nested more than 100 deep"),
    "powers": ("y = " + "^".join(["2"] * 20_000) + "\nshow y", "nested more than 100 deep"),
    "sum of 20,000 vectors": (HEAD + "y = " + "+".join(["x"] * 20_000) + "\nshow avg(y)", None),
    "product of 20,000 vectors": (HEAD + "y = " + "*".join(["x"] * 20_000) + "\nshow avg(y)", None),
    "difference of 20,000 vectors": (HEAD + "y = " + "-".join(["x"] * 20_000), "more than 200 operations deep"),
    "difference of 20,000 consts": ("const a = 2\nshow " + "-".join(["a"] * 20_000), "more than 200 operations deep"),
    "sum of 200,000 vectors": (HEAD + "y = " + "+".join(["x"] * 200_000), "more than 100,000 operations"),
    "sum of 20,000 numbers": ("show " + "+".join(["1"] * 20_000), None),
    "product of 10,000 numbers": ("show " + "*".join(["123456789"] * 10_000), "too large"),
    "sum of fractions": ("show " + "+".join(f"1/{k}" for k in range(1, 5000)), None),
    "20,000 matrices": (HEAD + "y = " + "@".join(["W"] * 20_000), "a product of matrices"),
    "5,000 digits": ("show " + "9" * 5000, "too large"),
    "100,000 digits": ("show " + "9" * LONG, "too large"),
    "100,000 decimals": ("show 0." + "9" * LONG, None),
    "a small number": ("show 0." + "0" * LONG + "1", None),
    "huge exponent": ("show 1e999999999", "too large"),
    "hugely negative exponent": ("show 1e-999999999", None),
    "long exponent": ("show 1e" + "9" * LONG, "too large"),
    "exponent of zeros": ("show 1e" + "0" * LONG + "1", None),
    "power of two": ("show 2^(10^9)", "no finite real value"),
    "power tower": ("show 10^10^10", "no finite real value"),
    "power of a third": ("show (1/3)^1000000", None),
    "inverse power of a third": ("show (1/3)^(-1000000)", "no finite real value"),
    "long name": ("show " + "a" * LONG, "is not defined here"),
    "long string": ("show '" + "a" * LONG + "'", "a string cannot stand here"),
    "long comment": ("#" * LONG, "the program is empty"),
    "blank lines": ("\n" * LONG, "the program is empty"),
    "tabs": ("\t" * LONG + "show 1", "begins no block"),
    "zeros": ("\0" * LONG, "invisible character (U+0000)"),
    "quotes": ('"' * LONG, "a docstring stands alone"),
    "docstrings": ('"""\n' * (LONG // 4), "a docstring stands only at the top"),
    "backslashes in a docstring": ('"""' + "\\" * LONG, "never closed"),
    "commas": ("show " + "," * LONG, "cannot stand here"),
    "clauses": ("show sum(1 " + "for i in 1..3 " * 5000 + ")", "already defined"),
    "arguments": ("show max(" + ",".join(["1"] * 40_000) + ")", "takes 2 arguments, not 40000"),
    "sizes": ("data X[" + ",".join(["d"] * 20_000) + "] = sphere(2, 2)\nshow 1", "has 20000 axes here"),
    "list": ("show [" + ",".join(["1"] * 10_000) + "]", None),
    "loops in loops": ("".join(" " * i + f"for i{i} in 1..1:\n" for i in range(300)) + " " * 300 + "x = 3", "100 deep"),
    "growing indentation": ("".join(" " * i + f"x{i} = 3\n" for i in range(1000)), "begins no block"),
    "unclosed on every line": ("".join(f"y{i} = (3\n" for i in range(10_000)), "never closed"),
    "unknown on every line": ("".join(f"y{i} = z{i}\n" for i in range(10_000)), "is not defined here"),
    "wrong on every line": ("y = = 3\n" * 10_000, "a line gives one name its value"),
    "defs that double, 60 levels": (doubling(60), "definitions call one another more than 40 deep"),
    "defs that double, 35 levels": (doubling(35), "operations"),
    "def of defs": ("def f(g, z) = g(g, z)\nshow f(f, 1)", "definitions call one another more than 40 deep"),
    "nested calls of a def": ("def f(z) = z + z\nshow " + "f(" * 40 + "pi" + ")" * 40, "operations"),
    "nested sums in defs": (
        "def f0(z) = z\n" + "".join(f"def f{i}(z) = sum(f{i - 1}(z) for i in 1..100)\n" for i in range(1, 9)) + "show f8(1)",
        "this runs 100,000,000 times",
    ),
    "long recursion over numbers": (
        "const s = 1.001\nc[1] = 1\nfor i in 2..5000:\n    c[i] = c[i-1] * s + 1 / s\nshow c[5000]", None,
    ),
    "widths": ("width n\n" + "".join(f"width n{i} = n\n" for i in range(3000)) + "show 1", None),
    "lone surrogate": ("show \ud800", "invisible character (U+D800)"),
    "escape sequence": ("show \x1b[2J", "invisible character (U+001B)"),
    "direction override": ("show 1 \u202e+ 2", "invisible character (U+202E)"),
    "carriage returns": ("show 1\r\nshow 2\r\n", None),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_any_text_is_answered_in_time(name):
    text, expected = HOSTILE[name]
    start = time.process_time()
    complaint = complain(text)
    seconds = time.process_time() - start
    assert (complaint == "") if expected is None else (expected in complaint)
    assert seconds < 20
    assert all(c.isprintable() or c == "\n" for c in complaint)
    complaint.encode("utf-8")


@pytest.mark.parametrize("seed", range(8))
def test_mangled_programs_are_answered(seed):
    """Words of right and wrong programs, shuffled: whatever happens, it is a diagnostic."""
    rng = random.Random(seed)
    texts = [*BUNDLED.values(), *(program for _, program, _, _ in rows())]
    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]|\n *", text)})
    for _ in range(60):
        parts = re.findall(r"\w+|[^\w\s]|\s+", rng.choice(texts))
        for _ in range(rng.choice([1, 2, 4])):
            i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
            change = rng.choice(["remove", "insert", "replace", "swap", "repeat"])
            if change == "remove" and len(parts) > 1:
                del parts[i]
            elif change == "insert":
                parts.insert(i, rng.choice(words))
            elif change == "replace":
                parts[i] = rng.choice(words)
            elif change == "swap":
                parts[i], parts[j] = parts[j], parts[i]
            else:
                parts[i:i] = parts[i : i + rng.randrange(8)]
        complain("".join(parts), limits=SMALL)


def test_a_long_file_with_a_mistake_is_read_in_time():
    line = "    h[{}] = W @ tanh(h[{}]) + b\n"
    body = "".join(line.format(i, i - 1) for i in range(2, 10_000))
    text = f"width n\nnetwork f(xi[d]):\n{body}    return v @ h\n".replace("h[5000] =", "h[5000] = =")
    start = time.process_time()
    _, diagnostics, _ = parse(Source(text))
    assert time.process_time() - start < 10  # about 2 s; a slow machine may take longer
    assert [d.span.line for d in diagnostics] == [5001]


def test_only_so_many_syntax_errors():
    _, diagnostics, lost = parse(Source("".join(f"y{i} = = 3\n" for i in range(100))))
    assert len(diagnostics) == MAX_SYNTAX_ERRORS
    assert {f"y{i}" for i in range(100)} <= lost


# ---------------------------------------------------------------------------------------------- the parts


def test_lost_names_are_never_unknown():
    file, _, lost = parse(Source("const L = =\ndata X[N, d] == 3\nrandom (g, h) : [n] N(0, 1)\nshow L, X, N, d, g, h"))
    assert {"L", "X", "N", "d", "g", "h"} <= lost
    assert check(file, lost, functions=FUNCTIONS) == []


def test_only_so_many_mistakes():
    text = "".join(f"y{i} = z{i}\n" for i in range(1000)) + "show y1"
    assert count(complain(text)) == 200  # of each stage 100
    assert "nothing is shown" not in complain(text)


def test_without_functions_calls_are_not_judged():
    file, _, lost = parse(Source("show foo(1)"))
    assert check(file, lost) == []
    assert len(check(file, lost, functions=FUNCTIONS)) == 1


def test_merge_keeps_the_earlier_of_two_at_one_place():
    at = Span(1, 1, 1, 2)
    early, late = Diagnostic(at, "early"), Diagnostic(Span(1, 1, 1, 9), "late")
    other, nowhere = Diagnostic(Span(1, 2, 1, 3), "other"), Diagnostic(None, "nowhere")
    assert merge([early], [late, other], [nowhere]) == [nowhere, early, other]
    assert merge([late], [early]) == [late]
    assert merge([early, early], [Diagnostic(Span(3, 1, 3, 2), "early")]) == [early]


def test_mistakes_in_one_stage_are_all_kept():
    both = [Diagnostic(Span(1, 1, 1, 2), "one"), Diagnostic(Span(1, 1, 1, 2), "two")]
    assert merge(both) == both


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [("Relu", ["relu", "erf"], "relu"), ("sigmaw", ["sigma_w", "sigma_b"], "sigma_w"), ("x", ["y", "pi"], None),
     ("X", ["x"], "x"), ("a" * 50_000, ["b" * 50_000], None), ("phi", [], None)],
)  # fmt: skip
def test_nearest(name, known, found):
    assert nearest(name, known) == found


def test_settings_are_named_in_messages():
    source = Source("const L = 3\nshow L\nconst L = oops", "f.tp", settings_from=3)
    assert Diagnostic(Span(3, 11, 3, 15), "what?").render(source).startswith("--set:1:11: error: what?")


TABLE = r'''
=== unclosed_parenthesis
width n
random x : [n] ~ N(0, 1)
h = tanh(2 * (x + 1)
show avg(h)
---
f.tp:3:9: error: this `(` is never closed
    3 | h = tanh(2 * (x + 1)
      |         ^
  help: add the `)`

=== unclosed_bracket
width n
random W : [n, n ~ N(0, 1 / n)
random x : [n] ~ N(0, 1)
show avg(x)
---
f.tp:2:12: error: this `[` is never closed
    2 | random W : [n, n ~ N(0, 1 / n)
      |            ^
  help: add the `]`

=== unclosed_over_rows
width n
random x : [n] ~ N(0, 1)
y = avg(x *
    (x + 1)
z = avg(x)
show z
---
f.tp:3:8: error: this `(` is never closed
    3 | y = avg(x *
      |        ^
  help: add the `)`

=== bracket_that_closes_nothing
const a = (1 + 2))
show a
---
f.tp:1:18: error: this `)` closes nothing
    1 | const a = (1 + 2))
      |                  ^
  help: remove it, or add the `(` it belongs to

=== mismatched_bracket
const a = (1 + 2]
show a
---
f.tp:1:17: error: this `]` cannot close the `(` before it
    1 | const a = (1 + 2]
      |                 ^
  help: write `)`, or close both

=== missing_colon_of_loop
width n
random x : [n] ~ N(0, 1)
for i in 1..3
    h[i] = i * x
show avg(h[1]^2)
---
f.tp:3:14: error: a `:` is missing at the end of this line
    3 | for i in 1..3
      |              ^

=== missing_colon_of_network
width n
data X[N, d] = sphere(2, 3)
network f(xi[d])
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ (U @ xi)
show nngp(f, X)
---
f.tp:3:17: error: a `:` is missing at the end of this line
    3 | network f(xi[d])
      |                 ^

=== missing_equals
const L 3
def phi(z) tanh(z)
data X[N, d] sphere(2, 3)
y 3
show L
---
f.tp:1:9: error: a `=` is missing after `L`
    1 | const L 3
      |         ^
  help: write `const L = …`

f.tp:2:12: error: a `=` is missing after the parameters
    2 | def phi(z) tanh(z)
      |            ^^^^
  help: write `def phi(z) = …`

f.tp:3:14: error: a `=` is missing before the data
    3 | data X[N, d] sphere(2, 3)
      |              ^^^^^^
  help: write `data X[N, d] = …`

f.tp:4:3: error: is a `=` missing after `y`?
    4 | y 3
      |   ^
  help: `y = …` gives it a value

=== missing_tilde_or_shape
width n
random x : [n] N(0, 1)
random y ~ N(0, 1)
random z [n] ~ N(0, 1)
random w : n ~ N(0, 1)
random u : [n] = N(0, 1)
v : [n] ~ N(0, 1)
random a, b : [n] ~ N(0, 1)
show 1
---
f.tp:2:16: error: a `~` and a law are missing here
    2 | random x : [n] N(0, 1)
      |                ^
  help: write `random x : [n] ~ N(0, …)`

f.tp:3:10: error: a `:` and the shape of `y` are missing here
    3 | random y ~ N(0, 1)
      |          ^
  help: for instance `random y : [n, n] ~ N(0, 1 / n)`

f.tp:4:14: error: a `:` and the shape of `z` are missing here
    4 | random z [n] ~ N(0, 1)
      |              ^
  help: for instance `random z : [n, n] ~ N(0, 1 / n)`

f.tp:5:12: error: a shape stands in brackets
    5 | random w : n ~ N(0, 1)
      |            ^
  help: vectors are `random x : [n] ~ …`, matrices `random W : [n, n] ~ …`

f.tp:6:16: error: a law follows `~`, not `=`
    6 | random u : [n] = N(0, 1)
      |                ^
  help: write `random u : [n] ~ …`

f.tp:7:1: error: what is drawn from a law begins with `random` or `param`
    7 | v : [n] ~ N(0, 1)
      | ^
  help: write `random v : …`, or `param v : …` for a parameter of a network

f.tp:8:9: error: draw one array a line
    8 | random a, b : [n] ~ N(0, 1)
      |         ^
  help: vectors with a joint law: `random (x, y) : [n] ~ …`

=== signs_of_other_languages
x == 3
a = 2 ** 3
b = 7 % 3
c = {1, 2}
d += 1
e := 3
f = 1 != 2
g = 6 // 2
h = |x|
i = 2; j = 3
show 1
---
f.tp:1:3: error: `==` is not part of the language
    1 | x == 3
      |   ^^
  help: a name gets its value by a single `=`

f.tp:2:7: error: `**` is not part of the language
    2 | a = 2 ** 3
      |       ^^
  help: powers are written `x^2`

f.tp:3:7: error: `%` is not part of the language
    3 | b = 7 % 3
      |       ^
  help: remainders are written `a mod b`

f.tp:4:5: error: `{` is not part of the language
    4 | c = {1, 2}
      |     ^
  help: indices go in `[ ]`, groups in `( )`

f.tp:5:3: error: `+=` is not part of the language
    5 | d += 1
      |   ^^
  help: a name keeps its value: give the new one another name, or an index as in `x[t+1] = x[t] + y`

f.tp:6:3: error: `:=` is not part of the language
    6 | e := 3
      |   ^^
  help: write `name = …`

f.tp:7:7: error: `!=` is not part of the language
    7 | f = 1 != 2
      |       ^^
  help: there are no comparisons: `step(x - y)` is 1 where x > y and 0 where x < y

f.tp:8:7: error: `//` is not part of the language
    8 | g = 6 // 2
      |       ^^
  help: numbers are divided by `/`

f.tp:9:5: error: `|` is not part of the language
    9 | h = |x|
      |     ^
  help: the absolute value is written `abs(x)`

f.tp:10:6: error: `;` is not part of the language
   10 | i = 2; j = 3
      |      ^
  help: write one statement a line

=== signs_of_papers
a = 2 − 1
b = 2 × 3
c = x²
d = √2
e = ½
show a
---
f.tp:1:7: error: `−` is not part of the language
    1 | a = 2 − 1
      |       ^
  help: the minus sign is `-`

f.tp:2:7: error: `×` is not part of the language
    2 | b = 2 × 3
      |       ^
  help: products are written `*`

f.tp:3:5: error: `x²` is not defined here
    3 | c = x²
      |     ^^
  help: powers are written `x^2`

f.tp:4:5: error: `√` is not part of the language
    4 | d = √2
      |     ^
  help: square roots are written `sqrt(x)`

f.tp:5:5: error: `½` is not defined here
    5 | e = ½
      |     ^

=== words_of_other_languages
import numpy as np
from math import pi
phi = lambda z: max(z, 0)
print(3)
if x > 3:
    y = 2 +
    z = 3
while y:
    y = 4
let q = 3
show 1 if y else 2
---
f.tp:1:1: error: `import` is not part of the language
    1 | import numpy as np
      | ^^^^^^
  help: a program stands alone; numbers come in with `data`

f.tp:2:1: error: `from` is not part of the language
    2 | from math import pi
      | ^^^^
  help: a program stands alone; numbers come in with `data`

f.tp:3:7: error: `lambda` is not part of the language
    3 | phi = lambda z: max(z, 0)
      |       ^^^^^^
  help: write `def f(z) = …`

f.tp:4:1: error: `print` is not part of the language
    4 | print(3)
      | ^^^^^
  help: write `show …`

f.tp:5:1: error: `if` is not part of the language
    5 | if x > 3:
      | ^^
  help: there are no conditions: `step(x)` is 1 where x > 0 and 0 where x < 0

f.tp:8:1: error: `while` is not part of the language
    8 | while y:
      | ^^^^^
  help: loops go over ranges: `for i in 1..10:`

f.tp:10:1: error: `let` is not part of the language
   10 | let q = 3
      | ^^^
  help: write `name = …`

f.tp:11:8: error: `if` is not part of the language
   11 | show 1 if y else 2
      |        ^^
  help: there are no conditions: `step(x)` is 1 where x > 0 and 0 where x < 0

=== python_functions
def phi(z):
    return relu(z)
def psi = relu
def chi(z, a=1) = a * z
f(z) = z^2
show 1
---
f.tp:1:11: error: a def is one line, with `=`
    1 | def phi(z):
      |           ^
  help: write `def phi(z) = …`

f.tp:3:9: error: `psi` needs its parameters in parentheses
    3 | def psi = relu
      |         ^
  help: write `def psi(z) = …`; a number is a `const`

f.tp:4:13: error: the parameters of a def are names
    4 | def chi(z, a=1) = a * z
      |             ^
  help: for instance `def phi(z) = relu(z)`

f.tp:5:1: error: a function begins with `def`
    5 | f(z) = z^2
      | ^
  help: `def f(…) = …`

=== python_loops
for i in range(3):
    a[i] = i
for i in [1, 2]:
    b[i] = i
for i in 1:3:
    c[i] = i
for i = 1..3:
    d[i] = i
for i in 3:
    e[i] = i
for (i in 1..3):
    f[i] = i
show 1
---
f.tp:1:10: error: `range` is not part of the language
    1 | for i in range(3):
      |          ^^^^^^^^
  help: ranges are written `1..3`, and hold both ends

f.tp:3:10: error: loops go over ranges, not lists
    3 | for i in [1, 2]:
      |          ^
  help: ranges are written `1..3`, and hold both ends

f.tp:5:11: error: a range is missing its `..`
    5 | for i in 1:3:
      |           ^
  help: ranges are written `1..3`, and hold both ends

f.tp:7:7: error: a loop's range follows `in`, not `=`
    7 | for i = 1..3:
      |       ^
  help: for instance `for i in 1..3:`

f.tp:9:11: error: a range is missing its `..`
    9 | for i in 3:
      |           ^
  help: ranges are written `1..3`, and hold both ends

f.tp:11:5: error: a loop is written without parentheses
   11 | for (i in 1..3):
      |     ^
  help: for instance `for i in 1..3:`

=== python_attributes
width n
random W : [n, n] ~ N(0, 1 / n)
random x : [n] ~ N(0, 1)
y = W.t @ x
z = W.transpose() @ x
a = x.mean()
b = np.tanh(x)
show avg(x)
---
f.tp:4:6: error: `.t` is not part of the language
    4 | y = W.t @ x
      |      ^^
  help: the transpose is written `W.T`

f.tp:5:6: error: `.transpose` is not part of the language
    5 | z = W.transpose() @ x
      |      ^^^^^^^^^^
  help: the transpose is written `W.T`

f.tp:6:6: error: `.mean` is not part of the language
    6 | a = x.mean()
      |      ^^^^^
  help: averages are written `avg(x)`

f.tp:7:5: error: `np.` is not part of the language
    7 | b = np.tanh(x)
      |     ^^^^^^^
  help: functions are called by their names alone: `tanh(x)`

=== numbers
a = 1. + 2
b = 3x
c = 1_000
d = 0x10
e = 1e
f = 1.2.3
g = 2 a
show 1
---
f.tp:1:5: error: `1.` is not a number
    1 | a = 1. + 2
      |     ^^
  help: write `1.0`, or `1`

f.tp:2:5: error: `3x` is not a number
    2 | b = 3x
      |     ^^
  help: a product needs its `*`: `3 * x`

f.tp:3:5: error: `1_000` is not a number
    3 | c = 1_000
      |     ^^^^^
  help: write `1000`

f.tp:4:5: error: `0x10` is not a number
    4 | d = 0x10
      |     ^^^^
  help: numbers are written `3`, `0.5` or `1e-3`

f.tp:5:5: error: `1e` is not a number
    5 | e = 1e
      |     ^^
  help: numbers are written `3`, `0.5` or `1e-3`

f.tp:6:5: error: `1.2.3` is not a number
    6 | f = 1.2.3
      |     ^^^^^
  help: numbers are written `3`, `0.5` or `1e-3`

f.tp:7:7: error: an operator is missing between `2` and `a`
    7 | g = 2 a
      |       ^
  help: a product is written `a * b`

=== train
data X[N, d] = sphere(2, 3)
train f on X:
    rate = 0.5
    loss = (f - y)^2
show X[1, 1]
---
f.tp:2:12: error: the targets are missing
    2 | train f on X:
      |            ^
  help: the last name is that of the targets: `train f on X, y:`

=== strings
a = "abc
b = f'(3)
show 1
---
f.tp:1:5: error: this string is never closed
    1 | a = "abc
      |     ^
  help: end it with another `"`

f.tp:2:6: error: `'` cannot be part of a name
    2 | b = f'(3)
      |      ^
  help: names hold letters, digits and `_`

=== unclosed_docstring
"""Moments of a vector.
width n
show 1
---
f.tp:1:1: error: this docstring is never closed
    1 | """Moments of a vector.
      | ^^^
  help: end it with another `"""`; nothing after it was read

=== docstring_below
const a = 1
"""What a is:
a number"""
show a
---
f.tp:2:1: error: a docstring stands only at the top of the file
    2 | """What a is:
      | ^^^
  help: write comments with `#`

=== indentation
const a = 1
    b = 2
for i in 1..2:
    c[i] = i
  d = 3
show a
---
f.tp:2:1: error: this line is indented, but begins no block
    2 |     b = 2
      | ^^^^
  help: only `network …:`, `for …:` and `train …:` begin a block

f.tp:5:1: error: this line's indentation fits no block
    5 |   d = 3
      | ^^
  help: line 4 is indented by 4 spaces: indent all statements of a block alike

=== line_goes_on
y = 1
    + 2
    + 3
show y
---
f.tp:2:1: error: this line is indented, but begins no block
    2 |     + 2
      | ^^^^
  help: a line goes on below only while a bracket is open: put the expression in `( )`

=== empty_block
for i in 1..3:
a[i] = i
network f(xi[d]):
show 1
---
f.tp:1:1: error: this loop holds no statement
    1 | for i in 1..3:
      | ^^^^^^^^^^^^^^
  help: indent the lines of the loop

f.tp:3:1: error: this network holds no statement
    3 | network f(xi[d]):
      | ^^^^^^^^^^^^^^^^^
  help: indent the lines of the network

=== tabs_and_spaces
for i in 1..2:
        a[i] = i
	b[i] = i
show a[1]
---
f.tp:3:1: error: this indentation mixes tabs and spaces
    3 |  b[i] = i
      | ^
  help: indent every line by spaces

=== keyword_as_name
const data = 3
in = 4
def f(for) = 2
random show : [n] ~ N(0, 1)
y = width + 1
show 1
---
f.tp:1:7: error: `data` is a keyword, and cannot be a name
    1 | const data = 3
      |       ^^^^
  help: choose another name

f.tp:2:1: error: `in` is a keyword, and cannot be a name
    2 | in = 4
      | ^^
  help: choose another name

f.tp:3:7: error: `for` is a keyword, and cannot be a name
    3 | def f(for) = 2
      |       ^^^
  help: choose another name

f.tp:4:8: error: `show` is a keyword, and cannot be a name
    4 | random show : [n] ~ N(0, 1)
      |        ^^^^
  help: choose another name

f.tp:5:5: error: `width` is a keyword, and cannot be a name
    5 | y = width + 1
      |     ^^^^^
  help: choose another name

=== ranges_out_of_place
a = 1..3
b = sum(1..3)
c = i for i in 1..3
d = [i for i in 1..3]
e = x[1:3]
f = x[]
g = max(1,, 2)
show 1
---
f.tp:1:6: error: a range cannot stand here
    1 | a = 1..3
      |      ^^
  help: it stands in an index, `x[1..3]`, or after `in`

f.tp:2:10: error: a range cannot stand here
    2 | b = sum(1..3)
      |          ^^
  help: it stands in an index, `x[1..3]`, or after `in`

f.tp:3:7: error: `for` cannot stand here
    3 | c = i for i in 1..3
      |       ^^^
  help: `x[i] for i in 1..3` stands in `sum(…)`, `avg(…)` or `softmax(…)`, after `show`, or after `return`

f.tp:4:8: error: `for` cannot stand here
    4 | d = [i for i in 1..3]
      |        ^^^
  help: `x[i] for i in 1..3` stands in `sum(…)`, `avg(…)` or `softmax(…)`, after `show`, or after `return`

f.tp:5:8: error: `:` cannot stand in an index
    5 | e = x[1:3]
      |        ^
  help: ranges are written `1..3`

f.tp:6:7: error: something is missing before this `]`
    6 | f = x[]
      |       ^

f.tp:7:11: error: something is missing before this `,`
    7 | g = max(1,, 2)
      |           ^

=== line_that_does_nothing
width n
random x : [n] ~ N(0, 1)
avg(x)
show avg(x)
---
f.tp:3:1: error: this line does nothing
    3 | avg(x)
      | ^^^^^^
  help: give the value a name, `y = …`, or `show` it

=== operators
a = 1 +
b = 2 * / 3
c = 2 @
d = (1, 2)
e = ()
f = x y
show a
---
f.tp:1:8: error: the line stops too early, after `+`
    1 | a = 1 +
      |        ^
  help: an operand is missing; a line goes on below only inside brackets

f.tp:2:9: error: something is missing between `*` and `/`
    2 | b = 2 * / 3
      |         ^

f.tp:3:8: error: the line stops too early, after `@`
    3 | c = 2 @
      |        ^
  help: an operand is missing; a line goes on below only inside brackets

f.tp:4:7: error: `,` cannot stand here
    4 | d = (1, 2)
      |       ^
  help: a list is written `[x, y]`

f.tp:5:6: error: something is missing before this `)`
    5 | e = ()
      |      ^

f.tp:6:7: error: an operator is missing between `x` and `y`
    6 | f = x y
      |       ^
  help: a product with a matrix is written `W @ x`, any other `a * b`

=== invisible_character
a = 1 + ​2
show a
---
f.tp:1:9: error: this is an invisible character (U+200B)
    1 | a = 1 + �2
      |         ^
  help: delete it, and type the line again

=== headings
network f(xi):
    return xi
network g():
    return 1
network h:
    return 1
network k(xi[d]) = 3
width n, m
data X = sphere(2, 3)
const L
const c(z) = 3
show 1
---
f.tp:1:11: error: the size of the input `xi` is missing
    1 | network f(xi):
      |           ^^
  help: write `xi[d]`

f.tp:3:11: error: a network needs an input
    3 | network g():
      |           ^
  help: write `network g(xi[d]):`

f.tp:5:10: error: the inputs of `h` are missing
    5 | network h:
      |          ^
  help: write `network h(xi[d]):`

f.tp:7:18: error: a `:` is missing here
    7 | network k(xi[d]) = 3
      |                  ^
  help: it ends the heading; the block below is indented

f.tp:8:8: error: declare one width a line
    8 | width n, m
      |        ^
  help: further ones are multiples of the first: `width m = 2 * n`

f.tp:9:8: error: the sizes of `X` are missing
    9 | data X = sphere(2, 3)
      |        ^
  help: for instance `data X[N, d] = sphere(4, 10)`

f.tp:10:8: error: a `=` is missing after `L`
   10 | const L
      |        ^
  help: write `const L = …`

f.tp:11:8: error: a const is a number, and has no parameters
   11 | const c(z) = 3
      |        ^
  help: a function is a def: `def c(z) = …`

=== empty_file
# nothing here yet
---
f.tp: error: the program is empty
  help: a program ends with `show …`

=== nothing_shown
const a = 1
---
f.tp: error: nothing is shown
  help: end the program with `show …`

=== unknown_name
const sigma_w = 2
show sigmaw + sigma_w
---
f.tp:2:6: error: `sigmaw` is not defined here
    2 | show sigmaw + sigma_w
      |      ^^^^^^
  help: did you mean `sigma_w`?

=== defined_below
show a
const a = 1
---
f.tp:1:6: error: `a` is not defined here
    1 | show a
      |      ^
  help: it is defined only on line 2: move that line up

=== unknown_function
width n
random x : [n] ~ N(0, 1)
show avg(Relu(x)), avg(tanhh(x)), mean(x), sphere(3), avg(psi(x))
def psi(z) = z
---
f.tp:3:10: error: there is no function `Relu`
    3 | show avg(Relu(x)), avg(tanhh(x)), mean(x), sphere(3), avg(psi(x))
      |          ^^^^
  help: did you mean `relu`?

f.tp:3:24: error: there is no function `tanhh`
    3 | show avg(Relu(x)), avg(tanhh(x)), mean(x), sphere(3), avg(psi(x))
      |                        ^^^^^
  help: did you mean `tanh`?

f.tp:3:35: error: there is no function `mean`
    3 | show avg(Relu(x)), avg(tanhh(x)), mean(x), sphere(3), avg(psi(x))
      |                                   ^^^^
  help: averages are written `avg(x)`

f.tp:3:44: error: there is no function `sphere`
    3 | show avg(Relu(x)), avg(tanhh(x)), mean(x), sphere(3), avg(psi(x))
      |                                            ^^^^^^
  help: `sphere` makes data: `data X[N, d] = sphere(…)`

f.tp:3:59: error: there is no function `psi`
    3 | show avg(Relu(x)), avg(tanhh(x)), mean(x), sphere(3), avg(psi(x))
      |                                                           ^^^
  help: it is defined only on line 4: move that line up

=== unknown_in_unused_network
width n
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    for l in 2..1:
        g = U @ xii + phi(3)
    return v @ (U @ xi)
show 1
---
f.tp:5:17: error: `xii` is not defined here
    5 |         g = U @ xii + phi(3)
      |                 ^^^
  help: did you mean `xi`?

f.tp:5:23: error: there is no function `phi`
    5 |         g = U @ xii + phi(3)
      |                       ^^^

f.tp:6:12: error: `v` is not defined here
    6 |     return v @ (U @ xi)
      |            ^

=== network_names_outside
width n
data X[N, d] = sphere(2, 3)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    h = U @ xi
    return v @ h
show nngp(f, X), avg(h^2)
---
f.tp:8:22: error: `h` is not defined here
    8 | show nngp(f, X), avg(h^2)
      |                      ^
  help: it is defined inside network `f`, on line 6; such names are not seen outside

=== loop_variable_outside
for i in 1..3:
    a[i] = i
show a[i]
---
f.tp:3:8: error: `i` is not defined here
    3 | show a[i]
      |        ^
  help: it is the variable of the loop on line 1, and has a value only inside

=== redefinitions
const L = 3
const L = 4
def phi(z) = z
phi = 3
width n
width n
h[1] = 1
h[2] = 2
h = 3
x = 1
x = 2
x[1] = 3
h[1, 2] = 4
pi = 3
def tanh(z) = z
sum = 3
for L in 1..2:
    y[L] = 1
data X[N, d] = sphere(2, 3)
const N = 3
show L
---
f.tp:2:7: error: `L` is already defined on line 1
    2 | const L = 4
      |       ^
  help: choose another name

f.tp:4:1: error: `phi` is already defined on line 3
    4 | phi = 3
      | ^^^
  help: choose another name

f.tp:6:7: error: `n` is already defined on line 5
    6 | width n
      |       ^
  help: choose another name

f.tp:9:1: error: `h` is already defined on line 7
    9 | h = 3
      | ^
  help: it is a family: give this one an index too, as in `h[…]`, or another name

f.tp:11:1: error: `x` is already defined on line 10
   11 | x = 2
      | ^
  help: a name is given a value once: choose another name, or give all of them an index

f.tp:12:1: error: `x` is already defined on line 10
   12 | x[1] = 3
      | ^^^^
  help: choose another name

f.tp:13:1: error: `h` has 1 index on line 7, but 2 here
   13 | h[1, 2] = 4
      | ^^^^^^^
  help: all members of a family have the same number of indices

f.tp:14:1: error: `pi` is a built-in number
   14 | pi = 3
      | ^^
  help: choose another name

f.tp:15:5: error: `tanh` is a built-in function
   15 | def tanh(z) = z
      |     ^^^^
  help: choose another name

f.tp:16:1: error: `sum` is a built-in function
   16 | sum = 3
      | ^^^
  help: choose another name

f.tp:17:5: error: `L` is already defined on line 1
   17 | for L in 1..2:
      |     ^
  help: choose another name

f.tp:20:7: error: `N` is already defined on line 19
   20 | const N = 3
      |       ^
  help: it is the size that data have there: choose another name

=== redefined_in_loop
width n
random x : [n] ~ N(0, 1)
for i in 1..3:
    m = avg(i * x)
show m
---
f.tp:4:5: error: `m` is already defined
    4 |     m = avg(i * x)
      |     ^
  help: in a loop it needs an index, as in `m[i] = …`

=== redefined_in_network
width n
const h = 3
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    h = U @ xi
    param v : [1, n] ~ N(0, 1 / n)
    return v @ h
show h
---
f.tp:5:5: error: `h` is already defined on line 2
    5 |     h = U @ xi
      |     ^
  help: names outside the network are seen inside it: choose another name

=== same_parameter_twice
def f(a, a) = a
network g(x[d], x[d]):
    return x
show f(1, 2)
---
f.tp:1:10: error: two parameters are called `a`
    1 | def f(a, a) = a
      |          ^

f.tp:2:17: error: two inputs are called `x`
    2 | network g(x[d], x[d]):
      |                 ^^^^

=== arguments
width n
random x : [n] ~ N(0, 1)
def f(a, b) = a + b
const L = 2
show f(1), max(1), sqrt(1, 2), avg(x, x), sum(), L(2), f(1, b=2), softmax(), relu
---
f.tp:5:6: error: `f` takes 2 arguments, not 1
    5 | show f(1), max(1), sqrt(1, 2), avg(x, x), sum(), L(2), f(1, b=2), softmax(), relu
      |      ^^^^

f.tp:5:12: error: `max` takes 2 arguments, not 1
    5 | show f(1), max(1), sqrt(1, 2), avg(x, x), sum(), L(2), f(1, b=2), softmax(), relu
      |            ^^^^^^

f.tp:5:20: error: `sqrt` takes 1 argument, not 2
    5 | show f(1), max(1), sqrt(1, 2), avg(x, x), sum(), L(2), f(1, b=2), softmax(), relu
      |                    ^^^^^^^^^^

f.tp:5:32: error: `avg` takes 1 argument, not 2
    5 | show f(1), max(1), sqrt(1, 2), avg(x, x), sum(), L(2), f(1, b=2), softmax(), relu
      |                                ^^^^^^^^^
  help: `avg(x[i] for i in 1..3)` goes over a range

f.tp:5:43: error: `sum` takes 1 argument, not 0
    5 | show f(1), max(1), sqrt(1, 2), avg(x, x), sum(), L(2), f(1, b=2), softmax(), relu
      |                                           ^^^^^
  help: `sum(x[i] for i in 1..3)` goes over a range

f.tp:5:50: error: `L` is a const, not a function
    5 | show f(1), max(1), sqrt(1, 2), avg(x, x), sum(), L(2), f(1, b=2), softmax(), relu
      |                                                  ^
  help: a product is written `L * (…)`, an index `L[…]`

f.tp:5:56: error: `f` takes no named arguments
    5 | show f(1), max(1), sqrt(1, 2), avg(x, x), sum(), L(2), f(1, b=2), softmax(), relu
      |                                                        ^^^^^^^^^
  help: name its arguments by their places

f.tp:5:67: error: `softmax` takes 1 argument, not 0
    5 | show f(1), max(1), sqrt(1, 2), avg(x, x), sum(), L(2), f(1, b=2), softmax(), relu
      |                                                                   ^^^^^^^^^
  help: `softmax(x[i] for i in 1..3)` goes over a range

f.tp:5:78: error: `relu` is a function
    5 | show f(1), max(1), sqrt(1, 2), avg(x, x), sum(), L(2), f(1, b=2), softmax(), relu
      |                                                                              ^^^^
  help: apply it: `relu(x)`

=== recursion
def f(z) = 1 + f(z)
def g(z) = h(z)
def h(z) = g(z)
show f(1), g(1)
---
f.tp:1:16: error: `f` calls itself
    1 | def f(z) = 1 + f(z)
      |                ^
  help: a def cannot use itself; a family can use its earlier members: `h[l] = phi(h[l-1])` in a loop

f.tp:2:12: error: `g` and `h` call one another
    2 | def g(z) = h(z)
      |            ^
  help: definitions may use only those above them

=== out_of_place
return 3
param W : [3] ~ N(0, 1)
for i in 1..3:
    network f(xi[d]):
        return 3
    const L = 2
    show L
network g(xi[d]):
    x = 3
network h(xi[d]):
    return xi
    y = 3
network k(xi[d]):
    for i in 1..2:
        return xi
    width m
---
f.tp:1:1: error: `return` stands only inside a network
    1 | return 3
      | ^^^^^^
  help: `show …` prints a value

f.tp:2:1: error: `param` stands only inside a network
    2 | param W : [3] ~ N(0, 1)
      | ^^^^^
  help: write `random` here

f.tp:4:5: error: a network cannot stand inside a loop
    4 |     network f(xi[d]):
      |     ^^^^^^^
  help: put it at the left margin

f.tp:6:5: error: `const` cannot stand inside a loop
    6 |     const L = 2
      |     ^^^^^
  help: write `name = …` here, or put the const above

f.tp:7:5: error: `show` cannot stand inside a loop
    7 |     show L
      |     ^^^^
  help: put it at the left margin; `show x[i] for i in 1..3` shows a list

f.tp:8:9: error: the network `g` returns nothing
    8 | network g(xi[d]):
      |         ^
  help: end it with a readout of its features, as in `return v @ x`

f.tp:12:5: error: nothing runs after `return`
   12 |     y = 3
      |     ^
  help: put it before, or remove it

f.tp:15:9: error: `return` cannot stand inside a loop
   15 |         return xi
      |         ^^^^^^
  help: put it after the loop

f.tp:16:5: error: `width` cannot stand inside a network
   16 |     width m
      |     ^^^^^
  help: put it above

=== lists_and_strings_out_of_place
y = "abc"
z = [1, 2] + 1
w = tanh([1, 2])
k = nngp(f, X)
l = N(0, 1)
u = max(i for i in 1..3)
show 1
---
f.tp:1:5: error: a string cannot stand here
    1 | y = "abc"
      |     ^^^^^
  help: strings are options of generators of data

f.tp:2:5: error: a list cannot stand here
    2 | z = [1, 2] + 1
      |     ^^^^^^
  help: arithmetic is on numbers, scalars and vectors, one at a time

f.tp:3:10: error: a list cannot stand here
    3 | w = tanh([1, 2])
      |          ^^^^^^
  help: arithmetic is on numbers, scalars and vectors, one at a time

f.tp:4:5: error: `nngp` stands only after `show`
    4 | k = nngp(f, X)
      |     ^^^^^^^^^^
  help: `show nngp(f, X)`

f.tp:5:5: error: a law stands only after `~`
    5 | l = N(0, 1)
      |     ^^^^^^^
  help: `random x : [n] ~ N(0, 1)` draws from it

f.tp:6:11: error: `for` cannot stand here
    6 | u = max(i for i in 1..3)
      |           ^^^^^^^^^^^^^
  help: `x[i] for i in 1..3` stands in `sum(…)`, `avg(…)` or `softmax(…)`, after `show`, or after `return`

=== width_as_number
width n
random x : [n] ~ N(0, 1)
y = n * x
for i in 1..n:
    w[i] = x
show avg(x) * n, avg(relu(n))
---
f.tp:3:5: error: `n` is a width, which goes to infinity
    3 | y = n * x
      |     ^
  help: a width may stand in shapes and in variances; `avg(x)` divides by it

f.tp:4:13: error: `n` is a width, which goes to infinity
    4 | for i in 1..n:
      |             ^
  help: a width may stand in shapes and in variances; `avg(x)` divides by it

f.tp:6:15: error: `n` is a width, which goes to infinity
    6 | show avg(x) * n, avg(relu(n))
      |               ^
  help: a width may stand in shapes and in variances; `avg(x)` divides by it

f.tp:6:27: error: `n` is a width, which goes to infinity
    6 | show avg(x) * n, avg(relu(n))
      |                           ^
  help: a width may stand in shapes and in variances; `avg(x)` divides by it

=== second_width
width n
width m
width k = n + 1
width l = 3
width j = 5000 * n
show 1
---
f.tp:2:1: error: `m` needs a ratio to `n`
    2 | width m
      | ^^^^^^^
  help: widths go to infinity together, as in `width m = 2 * n`

f.tp:3:11: error: a width is a multiple of another width
    3 | width k = n + 1
      |           ^^^^^
  help: for instance `width m = 2 * n`

f.tp:4:11: error: a width is a multiple of another width
    4 | width l = 3
      |           ^
  help: for instance `width m = 2 * n`

f.tp:5:11: error: this ratio of two widths is 5000
    5 | width j = 5000 * n
      |           ^^^^^^^^
  help: it must lie between 1/1000 and 1000

=== matrix_of_other_shape
width n
width m = 2 * n
random W : [m, n] ~ N(0, 1 / n)
random x : [n] ~ N(0, 1)
random y : [m] ~ N(0, 1)
a = W @ y
b = W.T @ x
c = x + y
show avg(x)
---
f.tp:6:5: error: `W` is [m, n], but `y` has width m
    6 | a = W @ y
      |     ^^^^^
  help: did you mean `W.T @ y`?

f.tp:7:5: error: `W.T` is [n, m], but `x` has width n
    7 | b = W.T @ x
      |     ^^^^^^^
  help: did you mean `W @ x`?

f.tp:8:9: error: `y` has width m, but `x` has width n
    8 | c = x + y
      |         ^
  help: vectors meet coordinate by coordinate only at equal width

=== matrix_on_data
width n
data X[N, d] = sphere(2, 10)
network f(xi[d]):
    param W : [n, n] ~ N(0, 1 / n)
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(W @ xi)
show nngp(f, X)
---
f.tp:7:21: error: `W` is [n, n], but `xi` has length 10
    7 |     return v @ tanh(W @ xi)
      |                     ^^^^^^
  help: did you mean `U @ xi`?

=== matrix_on_data_of_other_length
width n
data X[N, d] = sphere(2, 10)
network f(xi[d]):
    param U : [n, 5] ~ N(0, 1 / 5)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
show nngp(f, X)
---
f.tp:6:21: error: `U` is [n, 5], but `xi` has length 10
    6 |     return v @ tanh(U @ xi)
      |                     ^^^^^^
  help: data enter through a matrix of as many columns, here [n, 10]

=== matrix_on_sequence
width n
data X[N, T, d] = sphere(2, 3, 10)
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
show nngp(f, X)
---
f.tp:6:21: error: `@` needs a vector on its right, but `xi` is data of shape [3, 10]
    6 |     return v @ tanh(U @ xi)
      |                     ^^^^^^
  help: index it: `xi[i]` is a vector

=== products
width n
random W : [n, n] ~ N(0, 1 / n)
random V : [n, n] ~ N(0, 1 / n)
random x : [n] ~ N(0, 1)
random y : [n] ~ N(0, 1)
random v : [1, n] ~ N(0, 1 / n)
a = x @ y
b = W @ V
c = W * x
d = x @ W
e = W @ 2
f = 2 @ x
g = W + x
h = W + v
i = W @ V @ x
j = W / 0
k = v * x
l = v @ v
show avg(x)
---
f.tp:7:5: error: `@` needs a matrix on its left, but `x` is a vector of width n
    7 | a = x @ y
      |     ^^^^^
  help: the inner product of two vectors, over n, is `avg(x * y)`

f.tp:8:5: error: a product of matrices is not a line of a tensor program
    8 | b = W @ V
      |     ^^^^^
  help: apply one matrix at a time: `W @ (V @ x)`

f.tp:9:5: error: `W` is a matrix [n, n], and `x` is a vector of width n: `*` does not join them
    9 | c = W * x
      |     ^^^^^
  help: a product with a matrix is written `W @ x`

f.tp:10:5: error: `@` needs a matrix on its left, but `x` is a vector of width n
   10 | d = x @ W
      |     ^^^^^
  help: the matrix stands on the left: `W @ x`

f.tp:11:9: error: `@` needs a vector on its right, but `2` is a number
   11 | e = W @ 2
      |         ^
  help: a product with a number is written `*`

f.tp:12:5: error: `@` needs a matrix on its left, but `2` is a number
   12 | f = 2 @ x
      |     ^^^^^
  help: a product with a number is written `*`

f.tp:13:5: error: `W` is a matrix [n, n], and `x` is a vector of width n: `+` does not join them
   13 | g = W + x
      |     ^^^^^
  help: a matrix stands only in products, as in `W @ x`

f.tp:14:5: error: `W` is a matrix [n, n], and `v` is a matrix [1, n]: `+` does not join them
   14 | h = W + v
      |     ^^^^^
  help: matrices are added only at equal shape

f.tp:15:5: error: a product of matrices is not a line of a tensor program
   15 | i = W @ V @ x
      |     ^^^^^
  help: apply one matrix at a time: `W @ (V @ x)`

f.tp:16:5: error: this divides by zero
   16 | j = W / 0
      |     ^^^^^

f.tp:17:5: error: `v` is a matrix [1, n], and `x` is a vector of width n: `*` does not join them
   17 | k = v * x
      |     ^^^^^
  help: a product with a matrix is written `v @ x`

f.tp:18:9: error: `@` needs a vector on its right, but `v` is a matrix [1, n]
   18 | l = v @ v
      |         ^

=== transposes
width n
data X[N, d] = sphere(2, 3)
random W : [n, n] ~ N(0, 1 / n)
random U : [n, d] ~ N(0, 1 / d)
random v : [1, n] ~ N(0, 1 / n)
random x : [n] ~ N(0, 1)
const T = 2
a = U.T
b = v.T
c = x.T
e = W^T
f = X[1].T
show avg(x)
---
f.tp:8:5: error: `.T` does not apply to a matrix [n, 3]
    8 | a = U.T
      |     ^^^
  help: only a matrix of two widths, as [n, n], has a transpose in a tensor program

f.tp:9:5: error: `.T` does not apply to a matrix [1, n]
    9 | b = v.T
      |     ^^^
  help: only a matrix of two widths, as [n, n], has a transpose in a tensor program

f.tp:10:5: error: `.T` does not apply to a vector of width n
   10 | c = x.T
      |     ^^^
  help: a vector needs none: the inner product of two vectors, over n, is `avg(x * y)`

f.tp:11:5: error: `^` takes numbers, scalars and vectors, but `W` is a matrix [n, n]
   11 | e = W^T
      |     ^^^
  help: the transpose is written `W.T`

f.tp:12:5: error: `.T` does not apply to data of shape [3]
   12 | f = X[1].T
      |     ^^^^^^
  help: only data of two axes have a transpose

=== data_in_arithmetic
width n
data X[d] = gaussian(3)
data Y[e] = gaussian(4)
random U : [n, d] ~ N(0, 1 / d)
a = X + U @ X
b = X + Y
c = X @ U
d_ = tanh(X) @ Y
show X[1]
---
f.tp:5:5: error: `X` is data of shape [3], and `U @ X` is a vector of width n: `+` does not join them
    5 | a = X + U @ X
      |     ^^^^^^^^^
  help: data enter through a matrix: `U @ xi`

f.tp:6:5: error: `X` is data of shape [3], and `Y` is data of shape [4]: `+` does not join them
    6 | b = X + Y
      |     ^^^^^

f.tp:7:5: error: `@` needs a matrix on its left, but `X` is data of shape [3]
    7 | c = X @ U
      |     ^^^^^
  help: the matrix stands on the left: `U @ X`

f.tp:8:6: error: `tanh(X)` is data of shape [3], and `Y` is data of shape [4]: `@` does not join them
    8 | d_ = tanh(X) @ Y
      |      ^^^^^^^^^^^

=== variances
width n
random K0 : [n] ~ N(0, 1)
const s = 2
random A : [n, n] ~ N(0, 1)
random B : [n, n] ~ N(0, s^2 + 1)
random C : [n, n] ~ N(0, 1 / n^2)
random D : [n, n] ~ N(0, 1 + 1 / n)
random E : [n, n] ~ N(0, -1 / n)
random F : [n] ~ N(0, 1 / n)
random G : [n] ~ N(0, n)
random H : [1, n] ~ N(0, 1)
random I : [n] ~ N(0, log(s - 2))
random J : [n] ~ N(0, exp(n))
random K : [n] ~ N(0, avg(K0))
random L : [n] ~ N(0, 1 / 0)
show 1
---
f.tp:4:26: error: with this variance the products `A @ x` grow without bound as the width grows
    4 | random A : [n, n] ~ N(0, 1)
      |                          ^
  help: it must fall as 1/n, as in `N(0, 1 / n)`

f.tp:5:26: error: with this variance the products `B @ x` grow without bound as the width grows
    5 | random B : [n, n] ~ N(0, s^2 + 1)
      |                          ^^^^^^^
  help: it must fall as 1/n, as in `N(0, (s^2 + 1) / n)`

f.tp:6:26: error: with this variance the products `C @ x` vanish as the width grows
    6 | random C : [n, n] ~ N(0, 1 / n^2)
      |                          ^^^^^^^
  help: it must fall as 1/n, as in `N(0, 1 / n)`

f.tp:7:26: error: this variance is no multiple of one power of the width
    7 | random D : [n, n] ~ N(0, 1 + 1 / n)
      |                          ^^^^^^^^^
  help: write one, as in `N(0, 2 / n)`

f.tp:8:26: error: a variance cannot be negative, but `-1 / n` is
    8 | random E : [n, n] ~ N(0, -1 / n)
      |                          ^^^^^^

f.tp:9:23: error: with this variance the entries of `F` vanish as the width grows
    9 | random F : [n] ~ N(0, 1 / n)
      |                       ^^^^^
  help: it must not depend on the width, as in `N(0, 1)`; a readout has the shape `[1, n]`

f.tp:10:23: error: with this variance the entries of `G` grow without bound as the width grows
   10 | random G : [n] ~ N(0, n)
      |                       ^
  help: it must not depend on the width, as in `N(0, 1)`

f.tp:11:26: error: with this variance the products `H @ x` grow without bound as the width grows
   11 | random H : [1, n] ~ N(0, 1)
      |                          ^
  help: it must fall as 1/n, as in `N(0, 1 / n)`

f.tp:12:23: error: this variance has no finite value
   12 | random I : [n] ~ N(0, log(s - 2))
      |                       ^^^^^^^^^^

f.tp:13:23: error: this variance is no multiple of one power of the width
   13 | random J : [n] ~ N(0, exp(n))
      |                       ^^^^^^
  help: write one, as in `N(0, 2 / n)`

f.tp:14:23: error: the variance must be a number, but `avg(K0)` is a scalar
   14 | random K : [n] ~ N(0, avg(K0))
      |                       ^^^^^^^

f.tp:15:23: error: this divides by zero
   15 | random L : [n] ~ N(0, 1 / 0)
      |                       ^^^^^

=== laws
width n
random a : [n] ~ uniform(0, 1)
random b : [n] ~ normal(0, 1)
random c : [n] ~ N(0)
random d : [n] ~ 3
random e : [n, n] ~ N(1, 1 / n)
random f : [1, n] ~ N(1, 1 / n)
random g : [n] ~ N(n, 1)
random h : [n] ~ N(0, 1, s=2)
show 1
---
f.tp:2:18: error: after `~` stands a normal law
    2 | random a : [n] ~ uniform(0, 1)
      |                  ^^^^^^^^^^^^^
  help: a limit needs Gaussian laws; other ones are functions of them: `abs(g)` where `random g : [n] ~ N(0, 1)`

f.tp:3:18: error: after `~` stands a normal law
    3 | random b : [n] ~ normal(0, 1)
      |                  ^^^^^^^^^^^^
  help: write `N(mean, variance)`

f.tp:4:18: error: a normal law has a mean and a variance
    4 | random c : [n] ~ N(0)
      |                  ^^^^
  help: `N(0, 1)`

f.tp:5:18: error: after `~` stands a normal law
    5 | random d : [n] ~ 3
      |                  ^
  help: write `N(mean, variance)`

f.tp:6:23: error: a matrix must have mean 0
    6 | random e : [n, n] ~ N(1, 1 / n)
      |                       ^
  help: add a mean to the product: `W @ x + mu`

f.tp:7:23: error: a readout must have mean 0
    7 | random f : [1, n] ~ N(1, 1 / n)
      |                       ^

f.tp:8:20: error: `n` is a width, which goes to infinity
    8 | random g : [n] ~ N(n, 1)
      |                    ^
  help: a width may stand in shapes and in variances; `avg(x)` divides by it

f.tp:9:18: error: a normal law has a mean and a variance
    9 | random h : [n] ~ N(0, 1, s=2)
      |                  ^^^^^^^^^^^^
  help: `N(0, 1)`

=== joint_laws
width n
random (a, b) : [n] ~ N(0, [[1, 2], [2, 1]])
random (c, d) : [n] ~ N(0, 1)
random (e, f) : [n, n] ~ N(0, [[1, 0], [0, 1]])
show 1
---
f.tp:2:28: error: this covariance is not symmetric and positive semidefinite
    2 | random (a, b) : [n] ~ N(0, [[1, 2], [2, 1]])
      |                            ^^^^^^^^^^^^^^^^

f.tp:3:28: error: a joint law of 2 vectors needs 2×2 numbers here
    3 | random (c, d) : [n] ~ N(0, 1)
      |                            ^
  help: for instance `N(0, [[1, 0.5], [0.5, 1]])`

f.tp:4:1: error: only vectors [n] are drawn jointly
    4 | random (e, f) : [n, n] ~ N(0, [[1, 0], [0, 1]])
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

=== shapes
width n
random a : [n, n, n] ~ N(0, 1)
random b : [3, 4] ~ N(0, 1)
random c : [2 * n] ~ N(0, 1)
random d : [0] ~ N(0, 1)
random e : [1.5] ~ N(0, 1)
show 1
---
f.tp:2:13: error: an array of shape [n, n, n] has no place in a tensor program
    2 | random a : [n, n, n] ~ N(0, 1)
      |             ^^^^^^^
  help: vectors are [n], matrices [n, n], [n, d] or [k, n], output biases [k], with n a width

f.tp:3:13: error: an array of shape [3, 4] has no place in a tensor program
    3 | random b : [3, 4] ~ N(0, 1)
      |             ^^^^
  help: vectors are [n], matrices [n, n], [n, d] or [k, n], output biases [k], with n a width

f.tp:4:13: error: a multiple of a width needs a name here
    4 | random c : [2 * n] ~ N(0, 1)
      |             ^^^^^
  help: declare it: `width m = 2 * n`

f.tp:5:13: error: a size must be at least 1, but this is 0
    5 | random d : [0] ~ N(0, 1)
      |             ^

f.tp:6:13: error: a size must be a whole number, but this is 1.5
    6 | random e : [1.5] ~ N(0, 1)
      |             ^^^

=== divided by zero
const a = 0
width n
random x : [n] ~ N(0, 1)
y = x / 0
z = tanh(x / a)
network f(xi[2]):
    param U : [n, 2] ~ N(0, 1)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi / 0)
data X[N, 2] = [[1, 2]]
show avg(x^2) / a, avg(x^(1/0)), avg(x) / (a * 2), nngp(f, X)
---
f.tp:4:5: error: this divides by zero
    4 | y = x / 0
      |     ^^^^^

f.tp:5:10: error: this divides by zero: `a` is 0
    5 | z = tanh(x / a)
      |          ^^^^^

f.tp:9:21: error: this divides by zero
    9 |     return v @ tanh(U @ xi / 0)
      |                     ^^^^^^^^^^

f.tp:11:6: error: this divides by zero: `a` is 0
   11 | show avg(x^2) / a, avg(x^(1/0)), avg(x) / (a * 2), nngp(f, X)
      |      ^^^^^^^^^^^^

f.tp:11:27: error: this divides by zero
   11 | show avg(x^2) / a, avg(x^(1/0)), avg(x) / (a * 2), nngp(f, X)
      |                           ^^^

f.tp:11:34: error: this divides by zero
   11 | show avg(x^2) / a, avg(x^(1/0)), avg(x) / (a * 2), nngp(f, X)
      |                                  ^^^^^^^^^^^^^^^^

=== not_finite
const a = 1 / 0
const b = sqrt(-1)
const c = 10^10^10
const d = log(0)
const e = 1e999999999
const f = exp(1000)
const g = (-1)^0.5
const h = 1e300
const i = h * h
j = h * h
k = 0 * (1 / (h - h))
show h^2
---
f.tp:1:11: error: this divides by zero
    1 | const a = 1 / 0
      |           ^^^^^

f.tp:2:11: error: this has no finite real value
    2 | const b = sqrt(-1)
      |           ^^^^^^^^

f.tp:3:11: error: this has no finite real value
    3 | const c = 10^10^10
      |           ^^^^^^^^

f.tp:4:11: error: this has no finite real value
    4 | const d = log(0)
      |           ^^^^^^

f.tp:5:11: error: this number is too large
    5 | const e = 1e999999999
      |           ^^^^^^^^^^^

f.tp:6:11: error: this has no finite real value
    6 | const f = exp(1000)
      |           ^^^^^^^^^

f.tp:7:11: error: this has no finite real value
    7 | const g = (-1)^0.5
      |           ^^^^^^^^

f.tp:9:11: error: this has no finite real value
    9 | const i = h * h
      |           ^^^^^

f.tp:10:5: error: this has no finite real value
   10 | j = h * h
      |     ^^^^^

f.tp:11:10: error: this divides by zero
   11 | k = 0 * (1 / (h - h))
      |          ^^^^^^^^^^^

f.tp:12:6: error: this has no finite real value
   12 | show h^2
      |      ^^^

=== remainders
show 5 mod 0, 5 mod (-2), 1.5 mod 2, 3 mod 0.5
---
f.tp:1:12: error: `a mod b` needs a positive b, but this is 0
    1 | show 5 mod 0, 5 mod (-2), 1.5 mod 2, 3 mod 0.5
      |            ^

f.tp:1:21: error: `a mod b` needs a positive b, but this is -2
    1 | show 5 mod 0, 5 mod (-2), 1.5 mod 2, 3 mod 0.5
      |                     ^^^^

f.tp:1:27: error: `mod` takes whole numbers, but this is 1.5
    1 | show 5 mod 0, 5 mod (-2), 1.5 mod 2, 3 mod 0.5
      |                           ^^^

f.tp:1:44: error: `mod` takes whole numbers, but this is 0.5
    1 | show 5 mod 0, 5 mod (-2), 1.5 mod 2, 3 mod 0.5
      |                                            ^^^

=== indices
width n
random x : [n] ~ N(0, 1)
data X[N, d] = sphere(2, 3)
const a = [1, 2]
h[1] = x
h[2] = h[1] + h[4]
g[1, 1] = x
b = X[3, 1]
c = X[0, 1]
e = X[1, 1, 1]
f = a[3]
i = x[1]
j = g[1]
k = h[1, 2]
l = a[3 / 2]
m = N[1]
show avg(x)
---
f.tp:6:15: error: `h[4]` is not defined here
    6 | h[2] = h[1] + h[4]
      |               ^^^^
  help: only `h[1]` is

f.tp:8:5: error: index 3 is outside `X`, which has 1..2
    8 | b = X[3, 1]
      |     ^^^^^^^

f.tp:9:5: error: index 0 is outside `X`, which has 1..2
    9 | c = X[0, 1]
      |     ^^^^^^^
  help: indices begin at 1

f.tp:10:5: error: `X` has 2 indices, but 3 are given
   10 | e = X[1, 1, 1]
      |     ^^^^^^^^^^

f.tp:11:5: error: index 3 is outside `a`, which has 1..2
   11 | f = a[3]
      |     ^^^^

f.tp:12:5: error: `x` has no index: it is a vector of width n
   12 | i = x[1]
      |     ^^^^

f.tp:13:5: error: `g` has 2 indices, but 1 is given
   13 | j = g[1]
      |     ^^^^

f.tp:14:5: error: `h` has 1 index, but 2 are given
   14 | k = h[1, 2]
      |     ^^^^^^^

f.tp:15:7: error: an index must be a whole number, but this is 1.5
   15 | l = a[3 / 2]
      |       ^^^^^
  help: the division leaves a remainder

f.tp:16:5: error: `N` has no index: it is a size
   16 | m = N[1]
      |     ^^^^

=== transpose_as_power
width n
random W : [n, n] ~ N(0, 1 / n)
random x : [n] ~ N(0, 1)
show avg((W^T @ x)^2)
---
f.tp:4:13: error: `T` is not defined here
    4 | show avg((W^T @ x)^2)
      |             ^
  help: the transpose is written `W.T`

=== missing_member_once
width n
random x : [n] ~ N(0, 1)
h[1] = x
for l in 2..4:
    g[l] = tanh(h[l-1])
show avg(h[3]^2)
---
f.tp:5:17: error: `h[2]` is not defined here
    5 |     g[l] = tanh(h[l-1])
      |                 ^^^^^^
  help: only `h[1]` is

=== empty_ranges
width n
random x : [n] ~ N(0, 1)
y = sum(i * x for i in 3..2)
show sum([]), i for i in 2..1
---
f.tp:3:9: error: `sum` of nothing: this range is empty
    3 | y = sum(i * x for i in 3..2)
      |         ^^^^^^^^^^^^^^^^^^^
  help: a range `a..b` holds a, a + 1, …, b

f.tp:4:10: error: `sum` of nothing: this list is empty
    4 | show sum([]), i for i in 2..1
      |          ^^

f.tp:4:15: error: this list cannot be shown: it is empty
    4 | show sum([]), i for i in 2..1
      |               ^^^^^^^^^^^^^^^

=== huge_loop
width n
random x : [n] ~ N(0, 1)
for i in 1..10^9:
    y[i] = x
show avg(x)
---
f.tp:3:1: error: this runs 1,000,000,000 times; the limit is 1,000,000 lines
    3 | for i in 1..10^9:
      | ^^^^^^^^^^^^^^^^
  help: shorten the range, or raise --max-lines

=== nested_loops
width n
random x : [n] ~ N(0, 1)
for i in 1..2000:
    for j in 1..2000:
        y[i, j] = x
show avg(x)
---
f.tp:4:5: error: this runs 4,000,000 times; the limit is 1,000,000 lines
    4 |     for j in 1..2000:
      |     ^^^^^^^^^^^^^^^^
  help: shorten the range, or raise --max-lines

=== sum_over_too_much
show sum(i * j for i in 1..2000 for j in 1..2000)
---
f.tp:1:33: error: this runs 4,000,000 times; the limit is 1,000,000 lines
    1 | show sum(i * j for i in 1..2000 for j in 1..2000)
      |                                 ^^^^^^^^^^^^^^^^
  help: shorten the range, or raise --max-lines

=== averages_and_sums
width n
random W : [n, n] ~ N(0, 1 / n)
random x : [n] ~ N(0, 1)
a = avg(3)
b = avg(W)
c = sum(x)
d = softmax(x)
e = softmax(W for i in 1..2)
f = softmax([1, 2])[3]
g = tanh(W)
show avg(x)
---
f.tp:4:5: error: `avg` averages the coordinates of a vector, but `3` is a number
    4 | a = avg(3)
      |     ^^^^^^

f.tp:5:5: error: `avg` averages the coordinates of a vector, but `W` is a matrix [n, n]
    5 | b = avg(W)
      |     ^^^^^^
  help: a matrix stands only in products, as in `W @ x`

f.tp:6:5: error: `sum` goes over a list of values, but `x` is a vector of width n
    6 | c = sum(x)
      |     ^^^^^^
  help: `sum(x[i] for i in 1..3)` sums over a range; `avg(x)` averages the coordinates of a vector

f.tp:7:5: error: `softmax` takes a list of scalars or vectors, but `x` is a vector of width n
    7 | d = softmax(x)
      |     ^^^^^^^^^^
  help: `softmax(s[1..T])[j]` is the j-th weight of the list s[1], …, s[T]

f.tp:8:5: error: `softmax` takes a list of scalars or vectors, but one is a matrix [n, n]
    8 | e = softmax(W for i in 1..2)
      |     ^^^^^^^^^^^^^^^^^^^^^^^^
  help: `softmax(s[1..T])[j]` is the j-th weight of the list s[1], …, s[T]

f.tp:9:5: error: index 3 is outside `softmax([1, 2])`, which has 1..2
    9 | f = softmax([1, 2])[3]
      |     ^^^^^^^^^^^^^^^^^^

f.tp:10:10: error: `tanh` applies to numbers, scalars and vectors, but `W` is a matrix [n, n]
   10 | g = tanh(W)
      |          ^
  help: a matrix stands only in products, as in `W @ x`

=== no_deterministic_limit
width n
random W : [n, n] ~ N(0, 1 / n)
random x : [n] ~ N(0, 1)
random v : [1, n] ~ N(0, 1 / n)
h[1] = x
s[1, 1] = 2
f = v @ x
show x, W, f, v, h, s, [x, 1]
---
f.tp:8:6: error: `show` takes scalars, but `x` is a vector of width n
    8 | show x, W, f, v, h, s, [x, 1]
      |      ^
  help: its limit is a random variable; show an average of it: `avg(x^2)`

f.tp:8:9: error: `show` takes scalars, but `W` is a matrix [n, n]
    8 | show x, W, f, v, h, s, [x, 1]
      |         ^

f.tp:8:12: error: `show` takes scalars, but `f` is a random output
    8 | show x, W, f, v, h, s, [x, 1]
      |            ^
  help: an output has no deterministic limit; its covariance has: `nngp(f, X)`

f.tp:8:15: error: `show` takes scalars, but `v` is a matrix [1, n]
    8 | show x, W, f, v, h, s, [x, 1]
      |               ^

f.tp:8:18: error: `show` takes scalars, but `h` is a vector of width n
    8 | show x, W, f, v, h, s, [x, 1]
      |                  ^
  help: its limit is a random variable; show an average of it: `avg(h^2)`

f.tp:8:21: error: `show` takes scalars, but this is a family of values
    8 | show x, W, f, v, h, s, [x, 1]
      |                     ^
  help: say which: `s[1..3]`, or `s[i, j] for i in 1..3 for j in 1..3`

f.tp:8:24: error: `show` takes scalars, but `[x, 1]` is a vector of width n
    8 | show x, W, f, v, h, s, [x, 1]
      |                        ^^^^^^
  help: its limit is a random variable; show an average: `avg(x^2)`

=== output_in_function
width n
random x : [n] ~ N(0, 1)
random v : [1, n] ~ N(0, 1 / n)
f = v @ x
g = tanh(f)
h = f * f
k = f + 1
show avg(x)
---
f.tp:5:10: error: `tanh` applies to numbers, scalars and vectors, but `f` is a random output
    5 | g = tanh(f)
      |          ^
  help: a readout's value stays random in the limit; its law is `nngp(f, X)`

f.tp:6:5: error: `f` is a random output, and `f` is a random output: `*` does not join them
    6 | h = f * f
      |     ^^^^^
  help: a readout's value stays random in the limit; its law is `nngp(f, X)`

f.tp:7:5: error: `f` is a random output, and `1` is a number: `+` does not join them
    7 | k = f + 1
      |     ^^^^^
  help: a readout's value stays random in the limit; its law is `nngp(f, X)`

=== list_shown
show [1, [2, 3]], [], [1, 2]
---
f.tp:1:6: error: this list cannot be shown: its items have different shapes
    1 | show [1, [2, 3]], [], [1, 2]
      |      ^^^^^^^^^^^

f.tp:1:19: error: this list cannot be shown: it is empty
    1 | show [1, [2, 3]], [], [1, 2]
      |                   ^^

=== constants
width n
random x : [n] ~ N(0, 1)
const a = avg(x)
const b = x
const c = [1, [2, 3]]
show a
---
f.tp:3:11: error: a const must be a number, but `avg(x)` is a scalar
    3 | const a = avg(x)
      |           ^^^^^^
  help: leave out `const`: `a = …`

f.tp:4:11: error: a const must be a number, but `x` is a vector of width n
    4 | const b = x
      |           ^
  help: leave out `const`: `b = …`

f.tp:5:11: error: this list is not a rectangular array of numbers
    5 | const c = [1, [2, 3]]
      |           ^^^^^^^^^^^
  help: all its rows need the same length: `[[1, 2], [3, 4]]`

=== unbound_data
data X[N, d]
show X[1, 1]
---
f.tp:1:1: error: `X` has no data
    1 | data X[N, d]
      | ^^^^^^^^^^^^
  help: give it some, `--data X=FILE.npy`, or a default, `= sphere(4, 10)`

=== data_rank | X=[4]
width n
data X[N, d] = sphere(2, 3)
show X[1, 1]
---
f.tp:2:1: error: `X` has 2 axes here, but its data have shape [4]
    2 | data X[N, d] = sphere(2, 3)
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  help: declare one size an axis, as in `X[N]`

=== data_size | X=[4, 7]
const d = 10
data X[N, d] = sphere(2, d)
data Y[N, k] = gaussian(3, 2)
show X[1, 1]
---
f.tp:2:11: error: `d` is 10, but the data of `X` have 7 there
    2 | data X[N, d] = sphere(2, d)
      |           ^

f.tp:3:8: error: `N` is 4, but the data of `Y` have 3 there
    3 | data Y[N, k] = gaussian(3, 2)
      |        ^
  help: `N` is the size of `X`: `Y` must have as much there

=== generators
data A[N, d] = spheer(2, 3)
data B[N, d] = sphere(0, 3)
data C[N, d] = sphere(2, 3, sed=1)
data D[N] = 3
data E[N, d] = [[1, 2], [3]]
data F[N] = [1, 2]
show F[1]
---
f.tp:1:16: error: there is no generator `spheer`
    1 | data A[N, d] = spheer(2, 3)
      |                ^^^^^^
  help: did you mean `sphere`?

f.tp:2:16: error: sphere: size 1 must be an integer of at least 1, not 0
    2 | data B[N, d] = sphere(0, 3)
      |                ^^^^^^^^^^^^
  help: usage: sphere(N, ..., d, seed=0)

f.tp:3:16: error: sphere has no option 'sed'
    3 | data C[N, d] = sphere(2, 3, sed=1)
      |                ^^^^^^^^^^^^^^^^^^^
  help: did you mean seed?

f.tp:4:13: error: data are made by a generator or a list, but `3` is a number
    4 | data D[N] = 3
      |             ^
  help: for instance `sphere(4, 10, seed=0)`

f.tp:5:16: error: this list is not a rectangular array of numbers
    5 | data E[N, d] = [[1, 2], [3]]
      |                ^^^^^^^^^^^^^
  help: all its rows need the same length: `[[1, 2], [3, 4]]`

=== networks
width n
data X[N, d] = sphere(2, 3)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    return U @ xi
network g(a[d], b[d]):
    param v : [1, n] ~ N(0, 1 / n)
    param U : [n, d] ~ N(0, 1 / d)
    return v @ (U @ a)
show nngp(f, X), nngp(X, X), nngp(g, X), nngp(g), ntk(f, 3), f(X), f, nngp()
---
f.tp:5:12: error: a network returns a readout of its features, but `U @ xi` is a vector of width n
    5 |     return U @ xi
      |            ^^^^^^
  help: for instance `param v : [1, n] ~ N(0, 1/n)` and `return v @ x`

f.tp:10:23: error: `nngp` takes a network, but `X` is data of shape [2, 3]
   10 | show nngp(f, X), nngp(X, X), nngp(g, X), nngp(g), ntk(f, 3), f(X), f, nngp()
      |                       ^
  help: `nngp(f, X)`

f.tp:10:30: error: `g` has 2 inputs, but 1 is given
   10 | show nngp(f, X), nngp(X, X), nngp(g, X), nngp(g), ntk(f, 3), f(X), f, nngp()
      |                              ^^^^^^^^^^
  help: `nngp(g, X, Y)`

f.tp:10:42: error: `g` has 2 inputs, but none is given
   10 | show nngp(f, X), nngp(X, X), nngp(g, X), nngp(g), ntk(f, 3), f(X), f, nngp()
      |                                          ^^^^^^^
  help: `nngp(g, X, Y)`

f.tp:10:58: error: a network is evaluated on data, but `3` is a number
   10 | show nngp(f, X), nngp(X, X), nngp(g, X), nngp(g), ntk(f, 3), f(X), f, nngp()
      |                                                          ^
  help: for instance `data X[N, d] = …`

f.tp:10:62: error: `f` is a network
   10 | show nngp(f, X), nngp(X, X), nngp(g, X), nngp(g), ntk(f, 3), f(X), f, nngp()
      |                                                              ^
  help: `show nngp(f, X)` and `show ntk(f, X)` evaluate it on data

f.tp:10:68: error: `f` is a network
   10 | show nngp(f, X), nngp(X, X), nngp(g, X), nngp(g), ntk(f, 3), f(X), f, nngp()
      |                                                                    ^
  help: `show nngp(f, X)` and `show ntk(f, X)` evaluate it on data

f.tp:10:71: error: `nngp` takes a network and its data
   10 | show nngp(f, X), nngp(X, X), nngp(g, X), nngp(g), ntk(f, 3), f(X), f, nngp()
      |                                                                       ^^^^^^
  help: `nngp(f, X)`

=== network_input_of_other_rank
width n
data X[N, T, d] = sphere(2, 3, 4)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ (U @ xi)
show nngp(f, X)
---
f.tp:7:6: error: `f` takes `xi` with 1 axis, but the data have shape [2, 3, 4]
    7 | show nngp(f, X)
      |      ^^^^^^^^^^
  help: give one input, or several along one more axis in front

=== network_input_of_other_size
width n
data X[N, d] = sphere(2, 3)
data Y[N, k] = sphere(2, 4)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ (U @ xi)
show nngp(f, Y)
---
f.tp:4:14: error: `d` is 3, but the data of `xi` have 4 there
    4 | network f(xi[d]):
      |              ^
  help: `d` is the size of `X`: `xi` must have as much there

=== mistake_inside_a_def
width n
data X[d] = gaussian(10)
random W : [n, n] ~ N(0, 1 / n)
random U : [n, d] ~ N(0, 1 / d)
def layer(A, z) = tanh(A @ z)
h = layer(W, X)
show avg(h^2)
---
f.tp:5:24: error: `A` is [n, n], but `z` has length 10, in the call on line 6
    5 | def layer(A, z) = tanh(A @ z)
      |                        ^^^^^
  help: did you mean `U @ z`?

=== defs_too_deep
def a(f, z) = f(f, z)
show a(a, 1)
---
f.tp:2:6: error: from here, definitions call one another more than 40 deep
    2 | show a(a, 1)
      |      ^^^^^^^
  help: give a value on the way a name

=== several_stages_at_once
const L = 1 / 0
width n
random x : [n] ~ N(0, 1)
for i in 1..2
    h[i] = i * x
y = x + unknown
z = avg(h[3])
show y, x
---
f.tp:1:11: error: this divides by zero
    1 | const L = 1 / 0
      |           ^^^^^

f.tp:4:14: error: a `:` is missing at the end of this line
    4 | for i in 1..2
      |              ^

f.tp:6:9: error: `unknown` is not defined here
    6 | y = x + unknown
      |         ^^^^^^^

f.tp:7:9: error: `h[3]` is not defined here
    7 | z = avg(h[3])
      |         ^^^^
  help: `h` has 1..2 so far

f.tp:8:9: error: `show` takes scalars, but `x` is a vector of width n
    8 | show y, x
      |         ^
  help: its limit is a random variable; show an average of it: `avg(x^2)`

=== one_mistake_hides_its_consequences
width n
random x : [n] ~ N(0, 1)
h[1] = x + oops
for l in 2..3:
    h[l] = tanh(h[l-1])
y = avg(h[3]) * oops
show y, avg(h[2])
---
f.tp:3:12: error: `oops` is not defined here
    3 | h[1] = x + oops
      |            ^^^^

=== long_line_and_long_names
show 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + oops_a_very_long_name_that_nobody_would_ever_want_to_read_in_full_at_once
---
f.tp:1:106: error: `oops_a_very_long_name_that_nobody_would_ever_want_to_read_in…` is not defined here
    1 | …1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + oops_a_very_long_name_that_nobody_would_ever_want_to_r…
      |                                                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

=== wide_characters
名 = 1
show 名 + 字 + α + é
---
f.tp:2:10: error: `字` is not defined here
    2 | show 名 + 字 + α + é
      |           ^^

f.tp:2:14: error: `α` is not defined here
    2 | show 名 + 字 + α + é
      |                ^

f.tp:2:18: error: `é` is not defined here
    2 | show 名 + 字 + α + é
      |                    ^

=== words_without_quotes
const N = 8
const c = 3
data X[N, d] = cifar10(N, normalize=none, classes=c)
data y[N] = cifar10_labels(N, classes="cat,dog", encoding=sign)
data z[N] = cifar10_labels(N, encoding=index)
data Z[3, T, d] = sphere(3, 5, 10, lengths=short, seed=one)
show 1
---
f.tp:3:37: error: the option `normalize` takes a word in quotes
    3 | data X[N, d] = cifar10(N, normalize=none, classes=c)
      |                                     ^^^^
  help: write `normalize="none"`

f.tp:4:59: error: the option `encoding` takes a word in quotes
    4 | data y[N] = cifar10_labels(N, classes="cat,dog", encoding=sign)
      |                                                           ^^^^
  help: write `encoding="sign"`

f.tp:5:40: error: the option `encoding` takes a word in quotes
    5 | data z[N] = cifar10_labels(N, encoding=index)
      |                                        ^^^^^
  help: write `encoding="index"`

f.tp:6:44: error: the option `lengths` takes a word in quotes
    6 | data Z[3, T, d] = sphere(3, 5, 10, lengths=short, seed=one)
      |                                            ^^^^^
  help: write `lengths="short"`

f.tp:6:56: error: `one` is not defined here
    6 | data Z[3, T, d] = sphere(3, 5, 10, lengths=short, seed=one)
      |                                                        ^^^

=== first_line_of_a_block_indented_too_far
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
      param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
show nngp(f, X)
---
f.tp:4:1: error: this line is indented by 6 spaces
    4 |       param U : [n, d] ~ N(0, 1 / d)
      | ^^^^^^
  help: the lines below it are indented by 4 spaces: indent all statements of a block alike

=== first_line_of_a_loop_indented_too_little
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    for l in 1..2:
      g[l] = tanh(U @ xi)
        h[l] = g[l]
        k[l] = h[l]
    return v @ k[2]
show nngp(f, X)
---
f.tp:7:1: error: this line is indented by 6 spaces
    7 |       g[l] = tanh(U @ xi)
      | ^^^^^^
  help: the lines below it are indented by 8 spaces: indent all statements of a block alike

=== two_lines_of_a_block_differ
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    for l in 1..2:
          g[l] = tanh(U @ xi)
        h[l] = g[l]
    return v @ h[2]
show nngp(f, X)
---
f.tp:8:1: error: this line's indentation fits no block
    8 |         h[l] = g[l]
      | ^^^^^^^^
  help: line 7 is indented by 10 spaces: indent all statements of a block alike

=== a_line_lost_its_indentation
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
g = tanh(U @ xi)
    h = tanh(g)
    return v @ h
show nngp(f, X)
---
f.tp:6:1: error: this line has lost its indentation: the next one goes on with the block
    6 | g = tanh(U @ xi)
      | ^^^^^^^^^^^^^^^^
  help: indent it like the lines above and below

=== a_line_after_a_block_is_none_of_it
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
show nngp(f, X)
    show ntk(f, X)
---
f.tp:8:1: error: this line is indented, but begins no block
    8 |     show ntk(f, X)
      | ^^^^
  help: only `network …:`, `for …:` and `train …:` begin a block

=== width_not_declared
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [m, d] ~ N(0, 1 / d)
    param v : [1, m] ~ N(0, 1 / m)
    return v @ tanh(U @ xi)
show nngp(f, X)
---
f.tp:4:16: error: `m` is not defined here
    4 |     param U : [m, d] ~ N(0, 1 / d)
      |                ^
  help: declare it above: `width m` goes to infinity, `const m = 3` does not

=== a_whole_family_read_out
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    param W : [n, n] ~ N(0, 1 / n)
    h[1] = U @ xi
    h[2] = W @ tanh(h[1])
    k = tanh(h)
    p = W @ h
    q = h + 1
    return v @ h
show nngp(f, X)
---
f.tp:9:14: error: `tanh` applies to numbers, scalars and vectors, but `h` is a family of values
    9 |     k = tanh(h)
      |              ^
  help: name one of its members: `h[2]` is the last

f.tp:10:13: error: `@` needs a vector on its right, but `h` is a family of values
   10 |     p = W @ h
      |             ^
  help: name one of its members: `h[2]` is the last

f.tp:11:9: error: `h` is a family of values, and `1` is a number: `+` does not join them
   11 |     q = h + 1
      |         ^^^^^
  help: name one of its members: `h[2]` is the last

f.tp:12:16: error: `@` needs a vector on its right, but `h` is a family of values
   12 |     return v @ h
      |                ^
  help: name one of its members: `h[2]` is the last

=== kernel_of_no_network
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
show nngp(net, X)
show ntk(F, X)
---
f.tp:7:11: error: `net` is not defined here
    7 | show nngp(net, X)
      |           ^^^
  help: the network here is `f`

f.tp:8:10: error: `F` is not defined here
    8 | show ntk(F, X)
      |          ^
  help: did you mean `f`?

=== keyword_network
width n
data X[N, d] = sphere(4, 10, seed=0)
netwrok f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
show nngp(f, X)
---
f.tp:3:1: error: there is no statement `netwrok`
    3 | netwrok f(xi[d]):
      | ^^^^^^^
  help: did you mean `network`?

=== keyword_param
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    parm U : [n, d] ~ N(0, 1 / d)
    parameter v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
show nngp(f, X)
---
f.tp:4:5: error: there is no statement `parm`
    4 |     parm U : [n, d] ~ N(0, 1 / d)
      |     ^^^^
  help: did you mean `param`?

f.tp:5:5: error: there is no statement `parameter`
    5 |     parameter v : [1, n] ~ N(0, 1 / n)
      |     ^^^^^^^^^
  help: did you mean `param`?

=== keyword_others
widht n
cosnt c = 2
radnom x : [n] ~ N(0, c)
shwo avg(x^2)
---
f.tp:1:1: error: there is no statement `widht`
    1 | widht n
      | ^^^^^
  help: did you mean `width`?

f.tp:2:1: error: there is no statement `cosnt`
    2 | cosnt c = 2
      | ^^^^^
  help: did you mean `const`?

f.tp:3:1: error: there is no statement `radnom`
    3 | radnom x : [n] ~ N(0, c)
      | ^^^^^^
  help: did you mean `random`?

f.tp:4:1: error: there is no statement `shwo`
    4 | shwo avg(x^2)
      | ^^^^
  help: did you mean `show`?

=== keyword_return
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    retrun v @ tanh(U @ xi)
show nngp(f, X)
---
f.tp:6:5: error: there is no statement `retrun`
    6 |     retrun v @ tanh(U @ xi)
      |     ^^^^^^
  help: did you mean `return`?

=== no_width
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
show nngp(f, X)
---
f.tp:3:16: error: `n` is not defined here
    3 |     param U : [n, d] ~ N(0, 1 / d)
      |                ^
  help: declare it above: `width n` goes to infinity, `const n = 3` does not

=== kernel_of_no_data
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
show nngp(f, Y)
---
f.tp:7:14: error: `Y` is not defined here
    7 | show nngp(f, Y)
      |              ^
  help: did you mean `X`?

=== kernel_of_no_data_of_two
width n
data X[N, d] = sphere(4, 10, seed=0)
data Z[M, e] = sphere(2, 3)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
show nngp(f, Q)
---
f.tp:8:14: error: `Q` is not defined here
    8 | show nngp(f, Q)
      |              ^
  help: the data here are `X`, `Z`

=== generator_by_another_name
width n
data X[N, d] = normal(4, 10)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
show nngp(f, X)
---
f.tp:2:16: error: there is no generator `normal`
    2 | data X[N, d] = normal(4, 10)
      |                ^^^^^^
  help: did you mean `gaussian`?

=== print_for_show
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
print nngp(f, X)
---
f.tp:7:1: error: `print` is not part of the language
    7 | print nngp(f, X)
      | ^^^^^
  help: write `show …`

=== tab_once
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
	y = U @ xi
    return v @ tanh(y)
show nngp(f, X)
---
f.tp:6:1: error: this indentation mixes tabs and spaces
    6 |  y = U @ xi
      | ^
  help: indent every line by spaces

=== illegal_name
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    η̂ = U @ xi
    return v @ tanh(η̂)
show nngp(f, X)
---
f.tp:6:6: error: `̂` cannot be part of a name
    6 |     η̂ = U @ xi
      |      ^
  help: names hold letters, digits and `_`

=== illegal_name_elsewhere
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    2h = U @ xi
    return v @ tanh(h)
show nngp(f, X)
---
f.tp:6:5: error: `2h` is not a name
    6 |     2h = U @ xi
      |     ^^
  help: names begin with a letter or `_`

=== keyword_as_a_name
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    for = U @ xi
    return v @ tanh(for)
show nngp(f, X)
---
f.tp:6:5: error: `for` is a keyword, and cannot be a name
    6 |     for = U @ xi
      |     ^^^
  help: choose another name
'''


SLIPS = """
width n
data X[N, d] = angles(0, 1)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    h[0] = U @ xi
    h[1] = W @ h[0]
    return v @ h[1]
show nngp(f, X)
"""


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("h[0] = U @ xi", "h[0] = 0", "a vector of zeros is written `0 * x`, with any vector `x` of that width"),
        ("h[0] = U @ xi", "h[0] = 3", "a product with a number is written `*`"),
        ("h[1] = W @ h[0]", "x = W @ x", "it stands in its own definition; a recursion has an index"),
        ("param v : [1, n]", "param v : [n]", "as in `N(0, 1)`; a readout has the shape `[1, n]`"),
    ],
)
def test_slips_of_beginners(old, new, hint):
    with pytest.raises(TplError) as found:
        tpl.loads(SLIPS.replace(old, new))
    assert hint in str(found.value)
