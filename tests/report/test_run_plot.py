"""Pictures of runs: which shows a panel holds, and that they are drawn."""

import numpy as np
import pytest

import tpl
from tpl.language.source import TplError
from tpl.report.run_plot import drawable

KERNEL = """width n
data X[N, d] = sphere(3, 4, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ relu(U @ xi)
show nngp(f, X), ntk(f, X)
"""
LIST = "width n\nrandom x : [n] ~ N(0, 1)\nshow avg(x^k) for k in 1..4\n"


@pytest.mark.parametrize(
    ("shape", "steps", "answer"),
    [((3, 3), 0, True), ((1, 1), 0, True), ((4,), 0, True), ((1,), 0, False), ((), 0, False), ((2, 3, 3), 0, False),
     ((1, 3, 3), 0, True), ((5,), 5, True), ((1,), 1, False), ((1, 3, 3), 1, True), ((2, 3, 3), 2, True)],
)  # fmt: skip
def test_what_a_panel_holds(shape, steps, answer):
    assert drawable(shape, steps) == answer


def test_kernels_are_heat_maps_side_by_side(tmp_path):
    path = tpl.loads(KERNEL).run().plot(tmp_path / "kernels.svg")
    text = path.read_text(encoding="utf-8")
    assert text.count("<image") >= 2  # a map and its scale each
    assert path.stat().st_size > 10_000


def test_a_list_of_numbers_is_drawn(tmp_path):
    result = tpl.loads(LIST).run()
    assert np.allclose(result[0].value, [0, 1, 0, 3])
    assert result.plot(tmp_path / "list.png").stat().st_size > 1000


def test_single_numbers_make_no_picture():
    program = tpl.loads("width n\nrandom x : [n] ~ N(0, 1)\nshow avg(x^2)\n")
    with pytest.raises(ValueError, match="nothing that is shown makes a picture: drawn are matrices"):
        program.run().plot("never.png")
    with pytest.raises(TplError, match="nothing that is shown makes a picture"):
        program.check_plot()
    tpl.loads(KERNEL).check_plot()


def test_kernels_of_many_inputs_are_known_to_be_drawable():
    program = tpl.load("mlp", data={"X": "sphere:200,10"})
    program.check_plot()
    assert "_compiled" not in vars(program)  # without writing all of them out
