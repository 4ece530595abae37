"""The notebook of `tpl explain`: valid, the same content as the page, and its cells run to the outputs stored in it."""

import ast
import json
import warnings

import nbformat
import numpy as np
import pytest

import tpl
from tests.report.test_page import BARE, HOSTILE, SMALL, TRAINED


def notebook_of(program, **options):
    found = program.explain_page(**options).notebook()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        nbformat.validate(nbformat.reads(json.dumps(found), as_version=4))
    return found


def sources(notebook, kind):
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def run_cells(notebook):
    """Run the code cells as Jupyter would, and yield each cell's value beside its stored output."""
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last is not None else None
        yield value, {k: "".join(v) for output in cell["outputs"] for k, v in output["data"].items()}


@pytest.mark.parametrize(
    ("text", "settings"), [(SMALL, ["L=3"]), (TRAINED, []), (BARE, [])], ids=["network", "training", "bare"]
)
def test_cells_run_and_give_the_outputs_stored(text, settings):
    options = {"seed": 2, "quick": True, "widths": [32, 64], "seeds": 8}
    notebook = notebook_of(tpl.loads(text, settings=settings), **options)
    shown = 0
    for value, stored in run_cells(notebook):
        if value is None:
            assert stored == {}
            continue
        shown += 1
        assert stored["text/plain"] == repr(value)
        if "image/svg+xml" in stored:
            assert stored["image/svg+xml"] == value._repr_svg_()
        if "text/html" in stored:
            assert stored["text/html"] == value._repr_html_()
    assert shown >= 4


def test_the_content_is_that_of_the_page():
    program = tpl.loads(SMALL)
    notebook = notebook_of(program, verify=False)
    text = "\n".join(sources(notebook, "markdown"))
    for entry in program.explain().account.entries:
        assert entry.text in text
    assert "### The backward pass" in text
    assert "## The limit as equations" in text
    assert "Left out, as asked for." in text
    codes = "\n".join(sources(notebook, "code"))
    for show in ("nngp(f, X)", "ntk(f, X)"):
        assert f"page[{show!r}]" in codes


def test_text_of_the_program_is_a_literal_and_is_escaped():
    settings, quotes = ["c=2"], BARE.replace("show", "# ''' \"\"\" \\ \nshow")
    for text, given in ((HOSTILE, settings), (quotes, []), (SMALL, [])):
        notebook = notebook_of(tpl.loads(text, settings=given), verify=False)
        tree = ast.parse(sources(notebook, "code")[0])
        assigned = next(x for x in tree.body if isinstance(x, ast.Assign))
        assert ast.literal_eval(assigned.value) == text
        assert [type(x) for x in tree.body] == [ast.Import, ast.Assign, ast.Assign]
        assert not any("<script>" in x.replace(r"\<script\>", "") for x in sources(notebook, "markdown"))


def test_arrays_given_in_python_are_written_out():
    inputs = np.random.default_rng(0).normal(size=(3, 5))
    notebook = notebook_of(tpl.loads(SMALL, data={"X": inputs}), verify=False)
    values = [value for value, _ in run_cells(notebook)]
    ntk = next(x for x in values if getattr(x, "name", "") == "ntk(f, X)")
    assert np.array_equal(ntk.value, tpl.loads(SMALL, data={"X": inputs}).run()["ntk(f, X)"].value)
