"""`tpl phase` as users meet it: tables, JSON, pictures, HTML, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import tpl
from tpl.language.source import TplError
from tpl.report.phase_plot import greek
from tpl.report.schema import SCHEMAS

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is in the test extra")

TANH = ["phi(z)=tanh(z)", "sigma_w=1.5"]


@pytest.fixture(scope="module")
def tanh():
    return tpl.load("mlp", settings=TANH).phase(y="sigma_b=0..1", grid=12)


@pytest.fixture(scope="module")
def residual():
    return tpl.load("resnet").phase(grid=6)


def run(*arguments):
    command = [sys.executable, "-c", "from tpl.cli import main; main()", "phase", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_table(tanh):
    text = str(tanh)
    assert "mlp.tp" in text
    assert "K_h" in text
    point = tanh.fixed_points[0]
    assert f"{point.q.value:.6f}"[:7] in text
    assert "critical sigma_w" in text
    assert tanh.phase == "chaotic"
    assert max(map(len, text.splitlines())) <= 100


def test_the_table_says_what_has_no_number(residual):
    text = str(residual)
    assert "by a factor of 1.25 a layer" in text
    assert "1 - correlation changes by a factor of 1 a layer" in text
    assert "none for sigma_w = 0.5..4" in text
    assert residual.phase == "unbounded"


def test_documents_match_their_schema(tanh, residual):
    for phase in (tanh, residual, tpl.load("mlp", settings=["sigma_b=0"]).phase(grid=4)):
        document = json.loads(phase.to_json(), parse_constant=pytest.fail)
        jsonschema.Draft202012Validator(SCHEMAS["tpl.phase/1"]).validate(document)
    assert document["phase"] == "critical"
    assert document["fixed_points"][0]["high"] == "infinity"
    assert document["edge"]["points"][0]["x"]["value"] == pytest.approx(np.sqrt(2), rel=1e-12)


def test_notebooks(tanh, residual):
    for phase in (tanh, residual):
        ElementTree.fromstring(phase._repr_html_())


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_pictures(tmp_path, tanh, suffix):
    pytest.importorskip("matplotlib")
    assert tanh.savefig(tmp_path / f"p.{suffix}").stat().st_size > 5000


@pytest.mark.slow
def test_pictures_of_one_constant_and_of_unbounded_places(tmp_path, residual):
    pytest.importorskip("matplotlib")
    assert residual.plot(tmp_path / "line.png").exists()
    gelu = tpl.load("mlp", settings=["phi(z)=gelu(z)"]).phase(x="sigma_w=1..2", y="sigma_b=0..1", grid=6)
    assert np.isposinf(gelu.plane.q).any()
    assert gelu.plot(tmp_path / "map.png").exists()


def test_the_plane_holds_what_the_fixed_points_do(tanh):
    plane = tpl.load("mlp", settings=TANH).phase(x="sigma_w=1..2", y="sigma_b=0.1..1.1", grid=2).plane
    assert plane.x.values[1] == 1.5
    assert plane.q[0, 1] == pytest.approx(tanh.fixed_points[0].q.value, rel=1e-11)
    assert plane.chi[0, 1] == pytest.approx(tanh.fixed_points[0].chi.value, rel=1e-11)


@pytest.mark.parametrize(
    ("program", "options", "message"),
    [
        ("rnn", {}, "no map from one layer's kernel to the next: `h` is counted by more than a layer"),
        ("transpose_correction", {}, "only networks have layers"),
        (
            "batchnorm_mlp",
            {},
            "no map from one layer's kernel to the next: the equations between its kernels would fill pages",
        ),
        ("mlp", {"x": "sigma_q=0..1"}, "depends on no constant `sigma_q`"),
        ("mlp", {"x": "L=1..4"}, "depends on no constant `L`"),
        ("mlp", {"x": "sigma_w=3..1"}, "is no range"),
        ("mlp", {"x": "sigma_w=a..b"}, "is no range"),
        ("mlp", {"x": "sigma_w=0..inf"}, "is no range"),
        ("mlp", {"x": "sigma_w", "y": "sigma_w"}, "two different constants"),
        ("mlp", {"grid": 1}, "must lie between"),
    ],
)
def test_refusals(program, options, message):
    with pytest.raises(TplError) as problem:
        tpl.load(program).phase(**options)
    assert message in str(problem.value)


def test_the_command(tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "phase.png"
    done = run("mlp_erf", "--grid", "5", "--plot", str(picture))
    assert done.returncode == 0, done.stderr
    assert "edge of chaos" in done.stdout
    assert Path(picture).exists()
    refused = run("rnn", "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["schema"] == "tpl.error/1"
    assert "Traceback" not in refused.stderr


def test_labels():
    assert greek("sigma_w") == r"$\sigma_{w}$"
    assert greek("a") == "$a$"
    assert greek("eps") == r"$\mathrm{eps}$"


def test_a_picture_with_nothing_to_draw_over_is_refused_before_the_work(monkeypatch):
    text = (
        "const L = 3\nwidth n\ndata X[N, d] = angles(0, 1)\nnetwork f(xi[d]):\n    param U : [n, d] ~ N(0, 1 / d)\n"
        "    h[1] = U @ xi\n    for l in 2..L:\n        param W[l] : [n, n] ~ N(0, 2 / n)\n"
        "        h[l] = W[l] @ tanh(h[l-1])\n    param v : [1, n] ~ N(0, 1 / n)\n    return v @ h[L]\nshow nngp(f, X)\n"
    )
    monkeypatch.setattr("tpl.numeric.fixed_points.find_dynamics", None)  # the work
    with pytest.raises(TplError, match="there is no constant to draw it over"):
        tpl.loads(text).phase(drawn=True)
