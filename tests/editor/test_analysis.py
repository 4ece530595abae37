"""What is known of programs as they stand: the names in them, their meanings, suggestions carried out, places in units."""

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpl.editor.actions import applied, replacement
from tpl.editor.analysis import analyse, analyse_names, analysis_json, explain_rows, read_analysis, read_rows, rows_json
from tpl.editor.positions import from_units, to_units
from tpl.language import syntax as s
from tpl.language.parse import parse
from tpl.language.source import Source, TplError
from tpl.language.symbols import find_symbols
from tpl.pipeline import bundled_experiments, bundled_programs, compile_program

BUNDLED = bundled_programs() | bundled_experiments()
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in BUNDLED.items()}


def table(name):
    """The wrong programs of a test file, by their names."""
    path = Path(__file__).parents[1] / "language" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {heading: text for heading, text, data, _ in module.rows() if not data}


WRONG = table("test_diagnostics")


# ---------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", BUNDLED)
def test_every_name_of_a_program_is_found_where_it_stands(name):
    """All names in the syntax, and nothing else, are uses of symbols or calls of built-in functions."""
    source = Source(TEXTS[name])
    file, _, _ = parse(source)
    symbols = find_symbols(file)
    found = {span: x.name for x in symbols.symbols for span in x.uses} | {span: name for name, span in symbols.calls}
    for span, word in found.items():
        assert source.slice(span) == word
    unresolved = {x.span: x.name for x in s.walk(file) if isinstance(x, s.Name) and x.span not in found}
    words = {"mup", "ntp", "loss", "accuracy", "pi", "t", "zero", "given"}
    assert set(unresolved.values()) <= words
    for x in symbols.symbols:
        assert {place.name for place in x.places} <= set(x.uses)
        assert len(set(x.uses)) == len(x.uses)


def test_inner_names_hide_outer_ones():
    text = """\
def f(z) = z * z
width n
random x[1] : [n] ~ N(0, 1)
random x[2] : [n] ~ N(0, 1)
z = sum(avg(x[i] * x[i]) for i in 1..2)
for i in 1..2:
    y[i] = f(x[i]) * z
show z, avg(y[i]) for i in 1..2
"""
    symbols = find_symbols(parse(Source(text))[0])
    rows = {(x.name, x.kind): [(u.line, u.column) for u in sorted(x.uses)] for x in symbols.symbols if x.name == "z"}
    assert rows == {("z", "parameter"): [(1, 7), (1, 12), (1, 16)], ("z", "value"): [(5, 1), (7, 22), (8, 6)]}
    loops = [sorted(u.line for u in x.uses) for x in symbols.symbols if x.name == "i"]
    assert sorted(loops) == [[5, 5, 5], [6, 7, 7], [8, 8]]


@pytest.mark.parametrize("name", WRONG)
def test_names_of_wrong_programs_are_found_too(name):
    source = Source(WRONG[name])
    symbols = analyse_names(source.text).symbols
    for x in symbols.symbols:
        for span in x.uses:
            assert source.slice(span) == x.name


# ---------------------------------------------------------------------------------------------- analyses


def compiled(text):
    try:
        compile_program(Source(text))
    except TplError as problem:
        return problem.diagnostics
    return ()


@pytest.mark.parametrize("name", ["mlp", "attention", "semicircle", "paper/features"])
def test_an_analysis_reads_back(name):
    analysis = analyse(TEXTS[name])
    assert read_analysis(json.loads(json.dumps(analysis_json(analysis)))) == analysis
    assert analysis.diagnostics == ()
    assert analysis.whole


@pytest.mark.parametrize("name", [*WRONG][::5])
def test_diagnostics_are_those_of_the_command_line(name):
    analysis = analyse(WRONG[name])
    assert analysis.diagnostics == compiled(WRONG[name])
    assert read_analysis(json.loads(json.dumps(analysis_json(analysis)))) == analysis


def test_meanings_outlive_mistakes():
    text = (
        "const a = 2\nwidth n\nrandom W : [n, n] ~ N(0, a / n)\nrandom x : [n] ~ N(0, 1)\ny = W @ x\nshow avg(y * q)\n"
    )
    for broken in (text, text + "show (\n"):
        analysis = analyse(broken)
        assert analysis.diagnostics
        said = {x.name: analysis.meaning(x) for x in analysis.symbols.symbols}
        assert said == {"a": "the number 2", "n": "", "W": "a matrix [n, n]", "x": "a vector [n]", "y": "a vector [n]"}


def test_limits_by_row():
    text = TEXTS["transpose_correction"]
    found = explain_rows(text)
    assert read_rows(json.loads(json.dumps(rows_json(found)))) == found
    row = 1 + text[: text.index("z = W.T")].count("\n")
    assert any("Ż" in x for limit in found.rows[row] for x in limit.equations)
    unstable = TEXTS["paper/features"].replace("= mup", "= abc(a=0, b=0, c=0)")
    refused = explain_rows(unstable)
    assert refused.rows == {}
    assert "this training has no limit" in refused.refusal


# ---------------------------------------------------------------------------------------------- suggestions


def test_suggestions_do_away_with_what_they_are_made_for():
    """In every wrong program of the table: once carried out, the complaint is gone from its place."""
    tried = 0
    for text in WRONG.values():
        for found in compiled(text):
            change = replacement(found)
            if change is None:
                continue
            after = applied(text, change)
            assert after != text
            assert found.message not in [x.message for x in compiled(after) if x.span and x.span[:2] == found.span[:2]]
            tried += 1
    assert tried > 10


# ---------------------------------------------------------------------------------------------- places


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.integers(1, 22))
def test_columns_and_units(row, column):
    for encoding, codec, size in (("utf-8", "utf-8", 1), ("utf-16", "utf-16-le", 2), ("utf-32", "utf-32-le", 4)):
        units = to_units(row, column, encoding)
        if column <= len(row) + 1:
            assert units == len(row[: column - 1].encode(codec)) // size
            assert from_units(row, units, encoding) == column
        else:
            assert from_units(row, units, encoding) == len(row) + 1
