"""What a caller in Python chooses is checked as the command line checks it, before any work."""

import numpy as np
import pytest

import tpl
from tpl.language.source import TplError
from tpl.options import BOUNDS, within

WRONG = [
    ("run", {"seed": "a"}), ("run", {"seed": -1}), ("run", {"seed": 1.5}), ("run", {"samples": 0}),
    ("run", {"samples": -5}), ("run", {"samples": 2.5}), ("run", {"samples": True}), ("run", {"threads": 0}),
    ("run", {"rtol": -1.0}), ("run", {"rtol": float("nan")}), ("run", {"replicates": 1}), ("run", {"tolerance": -1}),
    ("verify", {"level": 2}), ("verify", {"seeds": 1}), ("verify", {"seed": -1}), ("check", {"samples": 0}),
    ("explain_page", {"seed": -1}),
]  # fmt: skip


@pytest.mark.parametrize(("question", "given"), WRONG, ids=str)
def test_numbers_out_of_range_are_refused(question, given):
    (name,) = given
    with pytest.raises(TplError, match=f"{name}=.* is out of range") as found:
        getattr(tpl.load("mlp"), question)(**given)
    assert f"{name} is {BOUNDS[name]}" in str(found.value)


def test_all_of_them_at_once():
    with pytest.raises(TplError) as found:
        tpl.load("mlp").run(seed=-1, threads=0)
    assert len(found.value.diagnostics) == 2


@pytest.mark.parametrize("widths", ["64,128", 64, [64.5, 128], [0, 64], [[64]]])
def test_widths_are_a_list_of_whole_numbers(widths):
    with pytest.raises(TplError, match="are no widths"):
        tpl.load("mlp").verify(widths=widths)


def test_numpy_numbers_are_numbers():
    program = tpl.load("mlp")
    run = program.run(seed=np.int64(3), samples=np.int32(2048), replicates=np.int64(4))
    same = program.run(seed=3, samples=2048, replicates=4)
    np.testing.assert_array_equal(run[0].value, same[0].value)
    assert program.verify(widths=np.array([16, 32]), seeds=np.int64(4), samples=1024).widths == (16, 32)


def test_what_names_nothing_is_refused():
    with pytest.raises(TplError, match="data is ndarray, which names no inputs"):
        tpl.load("mlp", data=np.ones((2, 3)))
    with pytest.raises(TplError, match="L=2 is one value"):
        tpl.load("mlp").sweep(L=2)
    with pytest.raises(TplError, match="phi='tanh' is one value"):
        tpl.load("mlp").sweep(phi="tanh")
    with pytest.raises(TypeError, match="a program is a text"):
        tpl.loads(None)
    assert tpl.load("mlp", settings="L=2").program.constant_values()["L"] == 2


def test_the_command_line_has_the_same_bounds():
    assert within("tolerance") == {"min": 1e-12, "max": 0.5}
    assert within("seed") == {"min": 0, "max": None}
