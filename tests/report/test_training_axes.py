"""Indices of the network and examples of the data keep their own labels in everything that is shown of a training."""

import io

import numpy as np
import pytest

import tpl
from tpl.report import curve_picture
from tpl.report.axes import band_of
from tpl.report.course_plot import draw_course
from tpl.report.curve_picture import draw_courses
from tpl.report.heat_picture import draw_matrix
from tpl.report.labelled import Labelled
from tpl.report.labelled_plot import _curves
from tpl.report.results import Result
from tpl.report.schema import run_document
from tpl.report.sweep import Sweep
from tpl.report.tables import make_console, print_run, print_sweep

PROGRAM = """
const L = 2
width n
data X[N, d] = [[1, 0.5, 0, 0.5], [1, -1, 1, 2.2], [0.5, 1, 2, -1]]
data y[N] = [1, -1, 1]
data Xt[M, d] = [[1, 0, 0, 0.5], [1, -1, 0, 0]]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    x[0] = tanh(U @ xi)
    for l in 1..L:
        param W[l] : [n, n] ~ N(0, 1 / n)
        x[l] = tanh(W[l] @ x[l-1])
    return v @ x[L]
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = 0.5
    steps = 2
    test = [Xt]
show rms(x[l]), rms(x[0]), rms(x[1]), rms(x[2])
show gram(x[l]), eigenvalues(gram(x[l])), f, test_f
"""
SMALL = {"samples": 64, "replicates": 2}


@pytest.fixture(scope="module")
def program():
    return tpl.loads(PROGRAM)


@pytest.fixture(scope="module")
def run(program):
    return program.run(**SMALL)


def test_each_label_selects_what_is_shown_under_that_index(run):
    for place in (0, 1, 2):
        part = run["rms(x[l])"].sel(l=place)
        np.testing.assert_allclose(part.value, run[f"rms(x[{place}])"].value, rtol=1e-12)


def test_axes_have_the_names_of_the_program(run):
    found = {x.name: (x.labelled.dims, x.labelled.coords) for x in run}
    dims, coords = found["gram(x[l])"]
    assert dims == ("step", "l", "X", "X′")
    assert (coords["l"], coords["X"]) == ((0, 1, 2), (1, 2, 3))
    assert found["eigenvalues(gram(x[l]))"][0] == ("step", "l", "axis_1")
    assert (found["f"][0], found["test_f"][0]) == (("step", "X"), ("step", "Xt"))


def test_axes_survive_json(run):
    again = tpl.Run.from_dict(run_document(run))
    assert [x.labelled.coords for x in again] == [x.labelled.coords for x in run]


def test_tables_and_pictures_show_the_indices(run):
    file = io.StringIO()
    print_run(run, make_console(file))
    assert ["0", "1", "2"] in [line.split() for line in file.getvalue().splitlines()]
    assert "[l = 2, :, :]" in file.getvalue()
    assert "l = 3" not in file.getvalue()
    (picture,) = draw_courses([run["rms(x[l])"]])
    assert all(f">l = {k}<" in picture.body for k in (0, 1, 2))
    assert "l = 0, ·, ·" in draw_matrix(run["gram(x[l])"])[0].body
    assert draw_matrix(run["eigenvalues(gram(x[l]))"]) == []  # three layers by three numbers: no matrix


def test_verification_names_the_member(program):
    names = program.verify(widths=[16, 32], seeds=2, **SMALL).names
    assert {"rms(x[0]) at step 2", "gram(x[2])[1, 3] at step 0", "f[3] at step 1"} <= set(names)


def test_labels_must_fit_the_numbers():
    with pytest.raises(ValueError, match="do not fit"):
        Result("rms(x[l])", np.zeros((2, 3)), 0.0, "", steps=(0, 1), axes=(("l", (0, 1)),))


def test_a_sweep_shows_the_first_and_the_last_step():
    shape = (2, 6)
    sweep = Labelled(
        "loss", ("rate", "step"), {"rate": (0.1, 0.2), "step": tuple(range(6))}, np.arange(12.0).reshape(shape),
        np.zeros(shape), np.full(2, "sampled"),
    )  # fmt: skip
    file = io.StringIO()
    print_sweep(Sweep("", "p.tp", 0, {"rate": (0.1, 0.2)}, (sweep,)), make_console(file))
    lines = [" ".join(line.split()) for line in file.getvalue().splitlines()]
    assert "rate step 0 step 2 step 3 step 5" in lines
    assert "0.2 6 8 9 11" in lines


@pytest.mark.parametrize(
    ("name", "bounds"),
    [("accuracy", (0, 1)), ("test_accuracy", (0, 1)), ("min_eig(gram(x))", (0, np.inf)), ("loss", (-np.inf, np.inf)),
     ("f", (-np.inf, np.inf)), ("feature_change(x)", (0, np.inf))],
)  # fmt: skip
def test_bands_end_where_measures_do(name, bounds):
    value, error = np.array([-0.001, 0.02, 0.5, 0.99]), np.array([0.1, 0.1, 0.1, 0.1])
    low, high = band_of(name, value, error)
    assert low == pytest.approx(np.minimum(value, np.maximum(value - 0.2, bounds[0])))
    assert high == pytest.approx(np.maximum(value, np.minimum(value + 0.2, bounds[1])))


def test_pictures_of_accuracy_stay_between_0_and_1(monkeypatch):
    """The band reaches neither below 0 nor beyond 1, on the page and in matplotlib's pictures."""
    Figure = pytest.importorskip("matplotlib.figure").Figure
    value, error = np.array([0.05, 0.5, 0.97]), np.array([0.1, 0.1, 0.1])
    result = Result("accuracy", value, error, "m", None, (0, 1, 2))
    drawn = []
    figure = Figure()
    draw_course(figure.subplots(), result)
    drawn += [c.get_paths()[0].vertices[:, 1] for c in figure.axes[0].collections]
    figure = Figure()
    labelled = Labelled("accuracy", ("step",), {"step": (0, 1, 2)}, value, error, np.array("m"), np.array(""))
    _curves(figure.subplots(), labelled)
    drawn += [c.get_paths()[0].vertices[:, 1] for c in figure.axes[0].collections]
    assert [(heights.min(), heights.max()) for heights in drawn] == [(0, 1), (0, 1)]
    heights = []
    monkeypatch.setattr(curve_picture, "band", lambda on, xs, low, high, css: heights.extend([*low, *high]) or "")
    curve_picture._course(result)
    assert (min(heights), max(heights)) == (0, 1)


def test_check_counts_the_outputs_of_training():
    assert tpl.loads(PROGRAM).check().outputs == 3
