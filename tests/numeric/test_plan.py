"""The plan: every expectation says which way it took and why, and all ways to a number agree."""

import json

import jsonschema
import numpy as np
import pytest
from typer.testing import CliRunner

import tpl
from tpl.cli import app
from tpl.language.source import TplError
from tpl.numeric.plan import Choice, grouped
from tpl.report.schema import SCHEMAS

GATES = """
const rho = 0.5
width n
random u : [n] ~ N(0, 1)
random e : [n] ~ N(0, 1)
random w : [n] ~ N(0, 2)
v = rho * u + sqrt(1 - rho^2) * e
show avg(relu(u) * relu(v)), avg(tanh(u) * tanh(v)), avg(relu(u - 1) * tanh(v))
show avg(tanh(u) * sigmoid(v) * exp(-w^2)), avg(max(max(u, v), max(w, tanh(u + e) + w * v)))
"""


@pytest.fixture(scope="module")
def law():
    return tpl.loads(GATES).run(method="law")


def test_each_expectation_says_how(law):
    found = {c.expectation: c for c in law.plan}
    assert found["E[relu(u) * relu(u')]"].method == "closed form"
    assert "relu × relu" in found["E[relu(u) * relu(u')]"].reason
    smooth = found["E[tanh(u) * tanh(u')]"]
    assert smooth.method == "Hermite series"
    assert smooth.declined == (("closed form", "no formula is known"),)
    kinked = next(c for c in law.plan if "relu(-1 + u)" in c.expectation or "relu(u - 1)" in c.expectation)
    assert kinked.method == "quadrature"
    assert [name for name, _ in kinked.declined] == ["closed form", "Hermite series"]
    assert "kink of relu" in dict(kinked.declined)["Hermite series"]
    assert {c.method for c in law.plan} >= {"closed form", "Hermite series", "quadrature"}


@pytest.mark.parametrize("options", [
    {"method": "sample"}, {"method": "mc", "rtol": 2e-3}, {"method": "mc", "samples": 400_000, "reduction": "antithetic"},
    {"method": "mc", "rtol": 1e-4, "reduction": "quasi"},
], ids=str)  # fmt: skip
def test_all_ways_agree(law, options):
    other = tpl.loads(GATES).run(seed=3, **options)
    for a, b in zip(law, other, strict=True):
        assert abs(float(a) - float(b)) <= 4 * np.hypot(a.error, b.error) + 1e-12
        assert b.error > 0 or b.method == "law, exact"
    if options["method"] == "mc":
        assert all(c.method == "Monte Carlo" for c in other.plan)
    else:
        assert other.plan == ()


def test_a_precision_is_kept():
    run = tpl.loads(GATES).run(method="mc", rtol=1e-3, seed=1)
    for result in run:
        assert result.error <= 3e-3 * max(abs(float(result)), 0.3)


def test_seeds_and_threads():
    program = tpl.loads(GATES)
    one, two = (program.run(method="mc", rtol=5e-3, seed=4, threads=t) for t in (1, 2))
    assert [float(x) for x in one] == [float(x) for x in two]
    assert float(program.run(method="mc", rtol=5e-3, seed=5)[1]) != float(one[1])


@pytest.mark.parametrize(("option", "value", "known"), [("method", "exact", "auto"), ("reduction", "half", "quasi")])
def test_unknown_words_are_refused(option, value, known):
    with pytest.raises(TplError) as refusal:
        tpl.load("transpose_correction").run(**{option: value})
    assert f"`{value}`" in str(refusal.value)
    assert known in str(refusal.value)


def test_the_command():
    result = CliRunner().invoke(app, ["run", "transpose_correction", "--plan"])
    assert result.exit_code == 0
    assert "E[tanh(u)^2]" in result.output
    assert "not by closed form: no formula is known" in result.output
    document = json.loads(CliRunner().invoke(app, ["run", "mlp", "--plan", "--json"]).output)
    jsonschema.validate(document, SCHEMAS[document["schema"]])
    assert {c["method"] for c in document["plan"]} == {"closed form"}


def test_short_laws_are_taken_without_being_told_and_long_ones_are_sampled():
    assert "law" in tpl.load("amp", settings=["steps=2"]).run()[0].method
    assert "sampled limit" in tpl.load("batchnorm_mlp").run(replicates=2, samples=256)[0].method
    assert "sampled limit" in tpl.load("amp", settings=["steps=2"]).run(samples=256, replicates=2)[0].method


def test_equal_choices_are_counted():
    a = Choice("E[u^2]", 1, 1, "closed form", "linear", (), 1e-3)
    b = Choice("E[u^2]", 2, 1, "closed form", "linear", (), 1e-2)
    other = Choice("E[u^4]", 1, 1, "closed form", "linear", (), None)
    assert grouped([a, other, b]) == (Choice("E[u^2]", 3, 1, "closed form", "linear", (), 1e-2), other)
