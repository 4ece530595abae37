"""Every document matches its published schema, and so do the examples of docs/json.md."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.report.samples import make_check, make_run, make_verification
from tpl.language.source import Diagnostic, Source, Span, TplError
from tpl.report.results import Result, Run
from tpl.report.schema import SCHEMAS, dumps, error_json

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is in the test extra")

DOCS = Path(__file__).resolve().parents[2] / "docs" / "json.md"


def _error():
    text = Source("x = y\nconst L = q", "a.tp", settings_from=2)
    found = [Diagnostic(Span(1, 5, 1, 6), "y?", "z"), Diagnostic(None, "no"), Diagnostic(Span(2, 11, 2, 12), "q?")]
    return TplError(text, found)


def _closed(schema):
    """The schema with no other fields than it names."""
    if isinstance(schema, list):
        return [_closed(x) for x in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(x) for key, x in schema.items()}
    return {**closed, "additionalProperties": False} if isinstance(schema.get("required"), list) else closed


def _check(document):
    """It matches its schema, and has no field that is not in it."""
    schema = _closed(SCHEMAS[document["schema"]])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize(
    "report",
    [
        make_run(),
        make_run(Result("empty", np.zeros((0, 2)), 0.0, "m"), Result("deep", np.zeros((2, 3, 4)), 0.0, "m")),
        make_verification(),
        make_verification(wrong=0.5),
        make_verification(widths=(64, 128)),
        make_check(),
        make_check(shows=(), seconds=0, title=""),
    ],
    ids=lambda report: type(report).__name__,
)
def test_reports_match_their_schemas(report):
    _check(json.loads(report.to_json(), parse_constant=pytest.fail))


def test_errors_match_their_schema():
    document = error_json(_error())
    _check(json.loads(dumps(document)))
    places = {(e["message"], e["file"], e["span"] and e["span"]["line"]) for e in document["errors"]}
    assert places == {("y?", "a.tp", 1), ("no", "a.tp", None), ("q?", "--set", 1)}


def test_the_examples_of_the_documentation():
    blocks = re.findall(r"```json\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    documents = [json.loads(block) for block in blocks]
    assert {document["schema"] for document in documents} == set(SCHEMAS)
    for document in documents:
        _check(document)


def test_every_field_of_a_verification_is_documented():
    text = DOCS.read_text(encoding="utf-8")
    for schema in SCHEMAS.values():
        assert all(f'"{name}"' in text for name in schema["properties"])


def test_numbers_survive():
    value = np.random.default_rng(0).standard_normal((3, 3)) * 1e-7
    document = json.loads(make_run(Result("a", value, 1e-9, "m"), Result("b", 0.1, 0.0, "m")).to_json())
    assert np.array_equal(document["results"][0]["value"], value)
    assert document["results"][1]["value"] == 0.1


# What readers of a version rely on: fields may be added to it, none of these may go.
FIELDS = {
    "tpl.run/1": "schema program title class inputs notes seed results plan seconds",
    "tpl.verify/1": "schema program title class inputs notes seed agrees level comparisons samples replicates widths seeds values chi_square_dof deviations rate seconds",
    "tpl.check/1": "schema program title class inputs notes counts estimate shows training activations input_assumptions",
    "tpl.phase/1": "schema program title class inputs notes kernel activation constants phase fixed_points growth reach method edge seconds",
    "tpl.error/1": "schema errors",
    "tpl.labelled/1": "schema name dims coords value error methods reasons at",
    "tpl.sweep/1": "schema title program seed swept results failures notes seconds",
}
OF_A_RESULT = ["name", "value", "error", "method", "span", "steps"]


def test_no_field_of_a_version_goes():
    for name, fields in FIELDS.items():
        assert set(fields.split()) <= set(SCHEMAS[name]["required"])
    assert set(OF_A_RESULT) <= set(SCHEMAS["tpl.run/1"]["properties"]["results"]["items"]["required"])


def test_readers_pass_over_fields_that_they_do_not_know():
    document = json.loads(make_run().to_json())
    document["results"][0]["later"] = document["later"] = 1
    jsonschema.Draft202012Validator(SCHEMAS["tpl.run/1"]).validate(document)
    assert Run.from_dict(document).to_json() == make_run().to_json()


def test_axes_of_training_are_optional():
    """They were added within version 1."""
    axes = (("l", (1, 2)),)
    trained = make_run(Result("rms(h[l])", np.ones((3, 2)), 0.0, "m", None, (0, 1, 2), axes))
    document = json.loads(trained.to_json())
    assert document["results"][0]["axes"] == [{"name": "l", "labels": [1, 2]}]
    _check(document)
    del document["results"][0]["axes"]
    _check(document)


def test_what_is_printed_is_in_the_schema():
    document = json.loads(make_run().to_json())
    for broken in ({**document, "extra": 1}, {k: v for k, v in document.items() if k != "seed"}):
        with pytest.raises(jsonschema.ValidationError):
            _check(broken)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_is_strict(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        dumps({"value": value})
