"""Documents for other programs: strict, versioned JSON, and JSON Schemas of it. docs/json.md explains the fields.

A field is never removed and never changes its meaning within a version; new optional fields may appear in the next.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tpl.language.source import Diagnostic, Source, Span, TplError

if TYPE_CHECKING:
    from tpl.report.results import CheckReport, Result, Run, Verification

Document = dict[str, Any]

RUN, VERIFY, CHECK, ERROR = "tpl.run/1", "tpl.verify/1", "tpl.check/1", "tpl.error/1"


def dumps(document: Document, indent: int | None = 2) -> str:
    """Strict JSON: raises ValueError on NaN and infinity."""
    return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)


def run_document(run: "Run") -> Document:
    return {
        **_head(RUN, run),
        "seed": run.seed,
        "results": [_result(r) for r in run.results],
        "seconds": float(run.seconds),
    }


def _head(schema: str, report: "Run | Verification | CheckReport") -> Document:
    return {
        "schema": schema,
        "program": report.program_name,
        "title": report.title,
        "class": report.program_class,
        "inputs": list(report.inputs),
        "notes": list(report.notes),
    }


def _result(result: "Result") -> Document:
    return {
        "name": result.name,
        "value": result.value.tolist(),
        "error": result.error.tolist(),
        "method": result.method,
        "span": _span(result.span),
    }


def _span(span: Span | None) -> Document | None:
    return None if span is None else span._asdict()


def verify_document(verification: "Verification") -> Document:
    found = verification.agreement
    return {
        **_head(VERIFY, verification),
        "seed": verification.seed,
        "agrees": found.agrees,
        "level": found.level,
        "comparisons": found.comparisons,
        "samples": found.samples,
        "replicates": found.replicates,
        "widths": list(found.widths),
        "seeds": list(found.seeds),
        "values": [_value(verification, i) for i in range(len(verification.names))],
        "chi_square_dof": found.chi_square_dof,
        "deviations": _estimates(found.deviations, found.deviation_errors),
        "rate": None if found.rate is None else {"slope": found.rate.slope, "error": found.rate.error},
        "seconds": float(verification.seconds),
    }


def _value(verification: "Verification", i: int) -> Document:
    found = verification.agreement
    first = int(found.same_as[i])
    return {
        "name": verification.names[i],
        "method": verification.methods[i],
        "limit": _estimate(found.limit[i], found.limit_error[i]),
        "finite": _estimates(found.means[:, i], found.errors[:, i]),
        "extrapolated": _estimate(found.extrapolated[i], found.extrapolated_error[i]),
        "z": float(found.z[i]),
        "p": float(found.p[i]),
        "p_corrected": float(found.p_corrected[i]),
        "agrees": bool(found.ok[i]),
        "constant": bool(found.constant[i]),
        "same_as": None if first == i else verification.names[first],
        "misfit": bool(found.misfit[i]),
        "chi_square": float(found.chi_square[i]),
    }


def _estimate(value: float, error: float) -> Document:
    return {"value": float(value), "error": float(error)}


def _estimates(values: Iterable[float], errors: Iterable[float]) -> list[Document]:
    return [_estimate(v, e) for v, e in zip(values, errors, strict=True)]


def check_document(report: "CheckReport") -> Document:
    return {
        **_head(CHECK, report),
        "counts": report.counts,
        "estimate": {"memory_bytes": int(report.memory_bytes), "seconds": float(report.seconds)},
        "shows": [{"name": show.name, "shape": list(show.shape)} for show in report.shows],
    }


def error_json(error: TplError) -> Document:
    """What a user's text or request got wrong: every diagnostic, its place named as messages name it."""
    return {"schema": ERROR, "errors": [_error(d, error.source) for d in error.diagnostics]}


def _error(diagnostic: Diagnostic, source: Source) -> Document:
    span, file = diagnostic.span, source.name
    if span is not None:
        file, line = source.place(span.line)
        span = span._replace(line=line, end_line=line + span.end_line - span.line)
    return {"message": diagnostic.message, "hint": diagnostic.hint, "span": _span(span), "file": file}


def _object(**fields: Document) -> Document:
    """Every field is required, and no other allowed."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _array(items: Document) -> Document:
    return {"type": "array", "items": items}


def _or_null(schema: Document) -> Document:
    return {"anyOf": [schema, {"type": "null"}]}


_TEXT: Document = {"type": "string"}
_NUMBER: Document = {"type": "number"}
_NOT_NEGATIVE: Document = {"type": "number", "minimum": 0}
_PROBABILITY: Document = {"type": "number", "minimum": 0, "maximum": 1}
_COUNT: Document = {"type": "integer", "minimum": 0}
_POSITIVE: Document = {"type": "integer", "minimum": 1}
_FLAG: Document = {"type": "boolean"}
_NUMBERS: Document = {"anyOf": [_NUMBER, _array({"$ref": "#/$defs/numbers"})]}
_ERRORS: Document = {"anyOf": [_NOT_NEGATIVE, _array({"$ref": "#/$defs/errors"})]}
_SPAN = _object(line=_POSITIVE, column=_POSITIVE, end_line=_POSITIVE, end_column=_POSITIVE)
_ESTIMATE = _object(value=_NUMBER, error=_NOT_NEGATIVE)


def _document(schema: str, **fields: Document) -> Document:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": schema,
        "$defs": {"numbers": _NUMBERS, "errors": _ERRORS},
        **_object(schema={"const": schema}, **fields),
    }


_HEAD: Document = {
    "program": _TEXT,
    "title": _TEXT,
    "class": {"enum": ["NETSOR", "NETSOR+", "NETSORT", "NETSORT+"]},
    "inputs": _array(_TEXT),
    "notes": _array(_TEXT),
}

_RESULT = _object(
    name=_TEXT,
    value={"$ref": "#/$defs/numbers"},
    error={"$ref": "#/$defs/errors"},
    method=_TEXT,
    span=_or_null(_SPAN),
)

_VALUE = _object(
    name=_TEXT,
    method=_TEXT,
    limit=_ESTIMATE,
    finite=_array(_ESTIMATE),
    extrapolated=_ESTIMATE,
    z=_NUMBER,
    p=_PROBABILITY,
    p_corrected=_PROBABILITY,
    agrees=_FLAG,
    constant=_FLAG,
    same_as=_or_null(_TEXT),
    misfit=_FLAG,
    chi_square=_NOT_NEGATIVE,
)

_ERROR = _object(message=_TEXT, hint=_or_null(_TEXT), span=_or_null(_SPAN), file=_TEXT)

SCHEMAS: dict[str, Document] = {
    RUN: _document(RUN, **_HEAD, seed={"type": "integer"}, results=_array(_RESULT), seconds=_NOT_NEGATIVE),
    VERIFY: _document(
        VERIFY,
        **_HEAD,
        seed={"type": "integer"},
        agrees=_FLAG,
        level=_PROBABILITY,
        comparisons=_COUNT,
        samples=_or_null(_POSITIVE),
        replicates=_POSITIVE,
        widths=_array(_POSITIVE),
        seeds=_array(_POSITIVE),
        values=_array(_VALUE),
        chi_square_dof=_COUNT,
        deviations=_array(_object(value=_NOT_NEGATIVE, error=_NOT_NEGATIVE)),
        rate=_or_null(_object(slope=_NUMBER, error=_NOT_NEGATIVE)),
        seconds=_NOT_NEGATIVE,
    ),
    CHECK: _document(
        CHECK,
        **_HEAD,
        counts=_object(
            lines=_COUNT, matrices=_COUNT, products=_COUNT, nonlinearities=_COUNT, moments=_COUNT, outputs=_COUNT
        ),
        estimate=_object(memory_bytes=_COUNT, seconds=_NOT_NEGATIVE),
        shows=_array(_object(name=_TEXT, shape=_array(_COUNT))),
    ),
    ERROR: _document(ERROR, errors=_array(_ERROR)),
}
