"""Sweeps against loops of single runs: the same bits, in places with the right labels."""

import json
from itertools import product

import numpy as np
import pytest
from typer.testing import CliRunner

import tpl
from tpl.cli import app
from tpl.language.source import Source
from tpl.report.sweep import Sweep
from tpl.stages.sweep import _notes, read_sweep

BARE = """\
const s = 1
const k = 2
def phi(z) = tanh(z)
width n
random x : [n] ~ N(0, s^2)
random W : [n, n] ~ N(0, 1 / n)
y = W @ phi(x)
show avg(y^2), avg(phi(y)^2)
show avg(x^(2 * i)) for i in 2..k+1
"""
NETWORK = """\
const sigma_w = 1
data X[N, d] = sphere(3, 4, seed=0)
width n
network f(xi[d]):
    param U : [n, d] ~ N(0, sigma_w^2 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ erf(U @ xi)
show nngp(f, X), ntk(f, X)
"""
TRAINED = (
    NETWORK.replace("show nngp(f, X), ntk(f, X)", "data y[N] = [1, -1, 1]")
    + """\
train f on X, y:
    parametrization = mup
    loss = squared(f, y)
    rate = 0.1
    steps = 4
    record = 2
show loss, f
"""
)


def assert_same(sweep, singles):
    """singles: from labels of the swept settings to the run with them."""
    for labels, single in singles.items():
        settings = dict(zip(sweep.swept, labels, strict=True))
        for result in single:
            part = sweep[result.name].sel(**settings)
            assert np.array_equal(part.value, result.value)
            assert np.array_equal(part.error, result.error)
            assert part.method == result.method


def test_a_sweep_is_a_loop_of_runs_to_the_bit():
    program = tpl.loads(BARE, settings={"k": 1})
    s, phi = (0.1, 1, 1.5), ("tanh(z)", "erf(2*z)")
    sweep = program.sweep(s=s, phi=phi, run={"seed": 3})
    assert sweep.swept == {"s": s, "phi": phi}
    assert sweep["avg(y^2)"].dims == ("s", "phi")
    assert sweep[2].dims == ("s", "phi", "i")
    assert sweep[2].coords["i"] == (2,)
    singles = {
        (a, b): tpl.loads(BARE, settings=[f"s={a}", f"phi(z)={b}", "k=1"]).run(seed=3) for a, b in product(s, phi)
    }
    assert_same(sweep, singles)
    assert sweep.failures == ()
    assert np.allclose(sweep[2].sel(i=2), 3 * np.array(s)[:, None] ** 4, rtol=1e-12)


def test_kernels_over_given_data_are_labelled_by_input():
    X = np.random.default_rng(0).standard_normal((12, 5))  # more than are written out
    sweep = tpl.loads(NETWORK, data={"X": X}).sweep(sigma_w=np.linspace(1, 2, 3))
    ntk = sweep["ntk(f,X)"]
    assert ntk.dims == ("sigma_w", "X", "X′")
    assert ntk.coords["X"] == ntk.coords["X′"] == tuple(range(1, 13))
    assert ntk.coords["sigma_w"] == (1.0, 1.5, 2.0)
    assert all(type(x) is float for x in ntk.coords["sigma_w"])
    assert_same(
        sweep, {(a,): tpl.loads(NETWORK, data={"X": X}, settings={"sigma_w": a}).run() for a in (1.0, 1.5, 2.0)}
    )
    one = tpl.loads(NETWORK).run()["ntk(f, X)"]
    assert float(one.sel(X=2, **{"X′": 3})) == one.value[1, 2]


def test_training_has_an_axis_of_steps():
    small = {"samples": 64, "replicates": 2}
    program = tpl.loads(TRAINED)
    sweep = program.sweep(rate=[0.1, 0.2], parametrization=["mup", "ntp"], run=small)
    assert sweep["loss"].dims == ("rate", "parametrization", "step")
    assert sweep["loss"].coords["step"] == (0, 2, 4)
    assert sweep["f"].dims[:3] == ("rate", "parametrization", "step")
    settings = list(product((0.1, 0.2), ("mup", "ntp")))
    assert_same(
        sweep, {x: tpl.loads(TRAINED, settings={"rate": x[0], "parametrization": x[1]}).run(**small) for x in settings}
    )
    assert program.run(**small)["loss"].sel(step=4).shape == ()


def test_sizes_that_change_leave_gaps():
    sweep = tpl.loads(BARE).sweep(k=[1, 3, 2])
    moments = sweep[2]
    assert moments.coords["i"] == (2, 3, 4)
    gaps = np.isnan(moments.value)
    assert gaps.tolist() == [[False, True, True], [False, False, False], [False, False, True]]
    assert np.allclose(moments.value[1], [3, 15, 105], rtol=1e-12)


def test_points_without_a_limit_are_gaps_with_reasons():
    done = []
    sweep = tpl.loads(BARE).sweep(
        {"phi": ["tanh(z)", "exp(z^2)"], "s": [1, 2]}, progress=lambda at, total: done.append((at, total))
    )
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [x.settings for x in sweep.failures] == [{"phi": "exp(z^2)", "s": 1}, {"phi": "exp(z^2)", "s": 2}]
    for result in sweep:
        assert np.isnan(result.sel(phi="exp(z^2)").value).all()
        assert np.isfinite(result.sel(phi="tanh(z)").value).all()
        assert result.reasons.tolist() == [["", ""], [x.reason for x in sweep.failures]]
        assert result.methods[1].tolist() == ["", ""]
    with pytest.raises(tpl.TplError) as alone:
        tpl.loads(BARE, settings={"phi": "exp(z^2)"}).run()
    assert sweep.failures[0].reason == alone.value.diagnostics[0].message
    assert sweep.failures[0].reason in repr(sweep)
    assert sweep.failures[0].reason in sweep._repr_html_()


def test_sweeps_read_back():
    sweep = tpl.loads(BARE).sweep(s=[1, 0.5], phi=["tanh(z)", "exp(z^2)"])
    text = json.dumps(sweep.to_dict(), allow_nan=False)
    again = Sweep.from_dict(json.loads(text))
    assert json.dumps(again.to_dict(), allow_nan=False) == text
    assert_same(again, {(s, "tanh(z)"): tpl.loads(BARE, settings={"s": s}).run() for s in (1, 0.5)})
    assert again.failures == sweep.failures
    run = tpl.loads(NETWORK).run()
    assert type(run).from_dict(json.loads(json.dumps(run.to_dict()))).to_dict() == run.to_dict()
    with pytest.raises(ValueError, match="no tpl"):
        Sweep.from_dict(run.to_dict())


@pytest.mark.parametrize(
    ("swept", "said"),
    [
        ({}, "nothing is swept"),
        ({"s": []}, "`s` has no values"),
        ({"sigma": [1, 2]}, "no const `sigma`"),
        ({"s": [float("nan")]}, "a setting is a finite number"),
        ({"s": [[1, 2]]}, "a setting is a finite number"),
        ({"s": range(1000), "k": range(1000)}, "1,000,000 points"),
        ({"s": ["1)"]}, "`)`"),
        ({"s": ["1\nshow 2"]}, "this is no setting"),
    ],
)
def test_wrong_sweeps_are_refused(swept, said):
    with pytest.raises(tpl.TplError) as problem:
        tpl.loads(BARE).sweep(swept)
    assert said in str(problem.value)


def test_settings_by_name_are_those_of_the_command_line():
    by_name = tpl.loads(BARE, settings={"s": 0.1, "k": np.int64(3), "phi": "z^2"})
    by_text = tpl.loads(BARE, settings=["s=0.1", "k=3", "phi(z)=z^2"])
    assert by_name.core() == by_text.core()


# ---------------------------------------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("L=1..3", "L", (1, 2, 3)),
        ("L=-1..1", "L", (-1, 0, 1)),
        ("s = 1, 1.5 ,2e-3", "s", (1, 1.5, 0.002)),
        ("s=0.5..2:4", "s", (0.5, 1.0, 1.5, 2.0)),
        ("s=1..2:3", "s", (1.0, 1.5, 2.0)),
        ("phi(z)=tanh(z),max(z, 0),[1, 2][1]*z", "phi(z)", ("tanh(z)", "max(z, 0)", "[1, 2][1]*z")),
        ("s=sqrt(2),-.5", "s", ("sqrt(2)", -0.5)),
        ("parametrization=mup,ntp", "parametrization", ("mup", "ntp")),
    ],
)
def test_values_on_a_command_line(text, name, values):
    assert read_sweep(Source(""), [text]) == {name: values}
    assert [type(x) for x in read_sweep(Source(""), [text])[name]] == [type(x) for x in values]


@pytest.mark.parametrize(
    "texts", [["L"], ["L="], ["=1"], ["L=3..1"], ["s=1,,2"], ["s=a..b:3"], ["s=1", "s=2"], ["L=0..10000000"]]
)
def test_what_says_no_values_is_refused(texts):
    with pytest.raises(tpl.TplError):
        read_sweep(Source(""), texts)


def test_the_command_prints_what_python_gives(tmp_path):
    (tmp_path / "bare.tp").write_text(BARE)
    words = ["sweep", str(tmp_path / "bare.tp"), "s=1,2", "phi(z)=tanh(z),exp(z^2)", "--set", "k=1"]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0
    sweep = tpl.loads(BARE, settings={"k": 1}).sweep({"s": [1, 2], "phi(z)": ["tanh(z)", "exp(z^2)"]})
    rows = [row.split() for row in printed.output.splitlines()]
    start = next(i for i, row in enumerate(rows) if "[2]" in row)
    assert [row[:3] for row in rows[start + 1 : start + 5]] == [
        [s, phi, f"{sweep[2].sel(s=int(s), **{'phi(z)': phi}, i=2).value:g}".replace("nan", "–")]
        for s in ("1", "2")
        for phi in ("tanh(z)", "exp(z^2)")
    ]
    assert printed.output.count(sweep.failures[0].reason[:30]) == 1
    assert "and 1 more" in printed.output
    as_json = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert {**as_json, "seconds": 0} == {**sweep.to_dict(), "seconds": 0, "program": "bare.tp"}
    refused = CliRunner().invoke(app, ["sweep", str(tmp_path / "bare.tp"), "q=1,2"])
    assert refused.exit_code == 2


def test_notes_name_the_points_they_are_on():
    run = {0: ("all", "one"), 1: ("all",), 2: ("all", "one", "two")}
    labels = {"s": (1, 2.5, "a b")}
    found = list(_notes({(i,): notes for i, notes in run.items()}, labels))
    assert found == ["all", "s = 1; s = a b: one", "s = a b: two"]
    many = {(i, 0): ("x",) if i else () for i in range(8)}
    (found,) = _notes(many, {"L": tuple(range(8)), "s": (1,)})
    assert found == "L = 1, s = 1; L = 2, s = 1; L = 3, s = 1; L = 4, s = 1 and 3 more: x"


def test_a_sweep_tells_apart_what_only_some_points_say():
    swept = tpl.load("mlp").sweep(phi=["tanh(z)", "1 / z"], run={"samples": 64, "replicates": 2, "method": "sample"})
    (singular,) = [note for note in swept.notes if "at a pole" in note]
    assert singular.startswith("phi = 1 / z: line")
