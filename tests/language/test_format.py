"""`tpl fmt`: the usual look, the same parse, and once is enough."""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tpl.cli import app
from tpl.language.format import format_text, same_syntax
from tpl.language.parse import parse
from tpl.language.source import Source, TplError
from tpl.pipeline import bundled_programs

sys.path.insert(0, str(Path(__file__).parents[1]))
import fuzzing

BUNDLED = {name: path.read_text(encoding="utf-8") for name, path in bundled_programs().items()}
PAGES = sorted((Path(__file__).parents[2] / "docs").rglob("*.md"))
EXAMPLES = [
    pytest.param(text, id=f"{page.stem}-{i}")
    for page in PAGES
    for i, text in enumerate(re.findall(r"^```tp[^\n]*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S))
]
MANY = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def parsed(text):
    """The syntax of a text; None if it has mistakes."""
    file, problems, _ = parse(Source(text))
    return None if problems else file


def check_formatting(text):
    """What holds of every text that can be parsed. Returns it formatted."""
    once = format_text(Source(text))
    assert same_syntax(parsed(once), parsed(text))
    assert format_text(Source(once)) == once
    assert comments(once) == comments(text)
    return once


def comments(text):
    """All comments, in order, of a text without `#` in strings or in its docstring."""
    return re.findall(r"#[^\n]*?(?=[^\S\n]*$)", re.sub(r'""".*?"""', "", text, flags=re.S), re.M)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_programs_are_formatted(name):
    assert check_formatting(BUNDLED[name]) == BUNDLED[name]


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_of_the_documentation_are_formatted(text):
    if parsed(text) is None:
        with pytest.raises(TplError):
            format_text(Source(text))
    else:
        assert check_formatting(text) == text


@MANY
@given(fuzzing.texts())
def test_random_texts_keep_their_meaning(text):
    assume(parsed(text) is not None and "'" not in text and '"' not in text.replace('"""', ""))
    check_formatting(text)


SPACE = re.compile(
    r'("""(?:.|\n)*?"""|#[^\n]*|"[^"\n]*"|\n[ ]*|\.\.|\.T\b|[^\W\d]\w*|\d+(?:\.\d+)?(?:e-?\d+)?|[^\w\s])|[ ]+'
)
WORD = re.compile(r"\w")


@st.composite
def respaced(draw):
    """A bundled program with other spaces between its words and signs, and sometimes a new row inside a bracket."""
    words = [m[1] for m in SPACE.finditer(draw(st.sampled_from(list(BUNDLED.values())))) if m[1]]
    spaces = draw(st.lists(st.sampled_from(["", "", " ", "  ", "\t"]), min_size=50, max_size=200))
    text, depth = "", 0
    for i, word in enumerate(words):
        gap = spaces[i % len(spaces)]
        needed = WORD.match(text[-1:]) and WORD.match(word)
        if not text or text.endswith("\n") or word.startswith("\n") or text[-1].isspace():
            gap = ""
        elif depth and not gap and i % 17 == 0:
            gap = "\n"
        depth += (word in "([") - (word in ")]")
        text += (gap or (" " if needed else "")) + word
    return text


@MANY
@given(respaced())
def test_other_spaces_between_words_change_nothing_but_the_look(text):
    assert parsed(text) is not None
    check_formatting(text)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("y=W@x+b", "y = W @ x + b"),
        ("y = W@x*2", "y = W @ x * 2"),
        ("show - 2 ^ - z , + x", "show -2^-z, +x"),
        ("W[ 1 ]:[n,d]~N( 0,1/n )", None),
        ("random W[ 1 ]:[n,d]~N( 0,1 / n )", "random W[1] : [n, d] ~ N(0, 1 / n)"),
        ("const a = 2*L", "const a = 2 * L"),
        ("const a = 2*r+1", "const a = 2*r + 1"),
        ("const a = 2 *r+1", "const a = 2 * r + 1"),
        ("x[l-1, 2*k+1] = x[l - 1, 2 * k]", "x[l-1, 2*k+1] = x[l - 1, 2 * k]"),
        ("x[a*b mod c+1] = 1", "x[a * b mod c + 1] = 1"),
        ("x[l -1] = x[a@b+1]", "x[l - 1] = x[a @ b + 1]"),
        ("show x[1 .. 2 * L - 1], x[1..a mod b]", "show x[1..2*L-1], x[1..a mod b]"),
        ("show sum( x [i]for i in 1 ..T )", "show sum(x[i] for i in 1..T)"),
        ("data X [N,d]=sphere (4,10 , seed = 0)", "data X[N, d] = sphere(4, 10, seed=0)"),
        ("for k in 1 .. 2 :m[k]=W .T@x", "for k in 1..2: m[k] = W.T @ x"),
        ("random(g,h) : [n]~N(0,[[1,0],[0,1]])", "random (g, h) : [n] ~ N(0, [[1, 0], [0, 1]])"),
        ("def phi ( z,w )=(z)*(w)", "def phi(z, w) = (z) * (w)"),
        ("width n;", None),
    ],
)  # fmt: skip
def test_spaces(written, wanted):
    if wanted is None:
        with pytest.raises(TplError):
            format_text(Source(written))
    else:
        assert check_formatting(written) == wanted + "\n"


LAYOUT = '''

 """A title.   \n\n\n\nMore.  """   # said
const a=1# one
const bb = 22  # two
const c = 3       # three
const dddd=4444+1 # four
# outside



network f(xi[d]):
\tparam v : [1, n] ~ N(0, 1)
\t# in f
\tfor l in 1..2:
\t\t# in the loop
\t\tx[l] = f(a,   # first
\t\t         b,
\t    # between
\t\t  c)
\t\t# still in the loop
   # of the line below
\treturn v @ x[2]
      # at the end
#

'''


def test_rows_and_comments():
    assert (
        check_formatting(LAYOUT)
        == '''"""A title.   \n\n\n\nMore.  """   # said
const a = 1  # one
const bb = 22  # two
const c = 3            # three
const dddd = 4444 + 1  # four
# outside


network f(xi[d]):
    param v : [1, n] ~ N(0, 1)
    # in f
    for l in 1..2:
        # in the loop
        x[l] = f(a,           # first
                 b,
    # between
          c)
        # still in the loop
    # of the line below
    return v @ x[2]
# at the end
#
'''
    )


def test_comments_in_one_column_move_together():
    text = "const a=1          # one\nconst bbbbb=2+3+4  # two\n\nconst c = 3        # three\nconst abc=0  # four\n"
    assert check_formatting(text) == (
        "const a = 1              # one\nconst bbbbb = 2 + 3 + 4  # two\n\n"
        "const c = 3        # three\nconst abc = 0  # four\n"
    )


# ---------------------------------------------------------------------------------------------- the command


UGLY, NEAT, WRONG = "width  n\nshow 1\n", "width n\nshow 1\n", "width n\nshow (\n"


@pytest.fixture
def fmt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("ugly.tp", UGLY), ("neat.tp", NEAT), ("wrong.tp", WRONG)):
        (tmp_path / name).write_bytes(text.encode())
    return lambda *arguments, **options: CliRunner().invoke(app, ["fmt", *arguments], **options)


def texts():
    return {path.name: path.read_bytes().decode() for path in Path().iterdir()}


def test_files_are_rewritten_in_place(fmt):
    Path("ugly.tp").chmod(0o640)
    before = Path("neat.tp").stat()
    result = fmt("ugly.tp", "neat.tp")
    assert result.exit_code == 0
    assert "ugly.tp" in result.stderr
    assert "neat.tp" not in result.stderr
    assert texts() == {"ugly.tp": NEAT, "neat.tp": NEAT, "wrong.tp": WRONG}
    assert Path("ugly.tp").stat().st_mode & 0o777 == 0o640
    assert Path("neat.tp").stat().st_mtime_ns == before.st_mtime_ns


def test_check_and_diff_write_nothing(fmt):
    result = fmt("--check", "ugly.tp", "neat.tp")
    assert result.exit_code == 1
    assert fmt("--check", "neat.tp").exit_code == 0
    assert fmt("--diff", "neat.tp").stdout == ""
    result = fmt("--diff", "ugly.tp")
    assert result.exit_code == 0
    assert "-width  n\n+width n\n" in result.stdout
    assert texts()["ugly.tp"] == UGLY


def test_unreadable_text_is_diagnosed_and_left_alone(fmt):
    result = fmt("wrong.tp", "ugly.tp", "nowhere.tp")
    assert result.exit_code == 2
    assert "wrong.tp:2:6: error:" in result.stderr
    assert "nowhere.tp: error:" in result.stderr
    assert texts() == {"ugly.tp": NEAT, "neat.tp": NEAT, "wrong.tp": WRONG}


def test_standard_input(fmt):
    result = fmt("-", input=UGLY)
    assert (result.exit_code, result.stdout) == (0, NEAT)
    assert fmt("-", "--check", input=UGLY).exit_code == 1
    result = fmt("-", input=WRONG)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "<stdin>:2:6: error:" in result.stderr


def test_line_endings_links_and_encodings(fmt, tmp_path):
    Path("ugly.tp").write_bytes(b"\xef\xbb\xbfwidth  n\r\nshow 1")
    Path("link.tp").symlink_to("ugly.tp")
    assert fmt("link.tp").exit_code == 0
    assert Path("ugly.tp").read_bytes() == b"width n\r\nshow 1\r\n"
    assert Path("link.tp").is_symlink()
    Path("latin.tp").write_bytes(b"show 1 # \xe9\n")
    assert fmt("latin.tp").exit_code == 2
    assert Path("latin.tp").read_bytes() == b"show 1 # \xe9\n"


def test_a_file_that_cannot_be_replaced_is_left_as_it_was(fmt, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    result = fmt("ugly.tp")
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert texts() == {"ugly.tp": UGLY, "neat.tp": NEAT, "wrong.tp": WRONG}
