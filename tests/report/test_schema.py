"""Every document matches its published schema, and so do the examples of docs/json.md."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.report.samples import make_check, make_run, make_verification
from tpl.language.source import Diagnostic, Source, Span, TplError
from tpl.report.results import Result
from tpl.report.schema import SCHEMAS, dumps, error_json

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is in the test extra")

DOCS = Path(__file__).resolve().parents[2] / "docs" / "json.md"


def _error():
    text = Source("x = y\nconst L = q", "a.tp", settings_from=2)
    found = [Diagnostic(Span(1, 5, 1, 6), "y?", "z"), Diagnostic(None, "no"), Diagnostic(Span(2, 11, 2, 12), "q?")]
    return TplError(text, found)


def _check(document):
    schema = SCHEMAS[document["schema"]]
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


def test_a_schema_is_strict():
    document = json.loads(make_run().to_json())
    for broken in ({**document, "extra": 1}, {k: v for k, v in document.items() if k != "seed"}):
        with pytest.raises(jsonschema.ValidationError):
            _check(broken)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_is_strict(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        dumps({"value": value})
