"""Documents for other programs: strict, versioned JSON, and JSON Schemas of it. docs/json.md explains the fields.

A field is never removed and never changes its meaning within a version; new optional fields may appear in the next.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tpl.language.source import Diagnostic, Source, Span, TplError

if TYPE_CHECKING:
    from tpl.core.parametrization import Regime
    from tpl.data.assumption import InputAssumption
    from tpl.numeric.depth import Estimate
    from tpl.numeric.edge import Axis, Crossing
    from tpl.numeric.fixed_points import Correlation, FixedPoint
    from tpl.numeric.good import Goodness
    from tpl.numeric.plan import Choice
    from tpl.report.phase import Phase
    from tpl.report.results import CheckReport, Result, Run, Verification

Document = dict[str, Any]

RUN, VERIFY, CHECK, PHASE, ERROR = "tpl.run/1", "tpl.verify/1", "tpl.check/1", "tpl.phase/1", "tpl.error/1"
LABELLED, SWEEP = "tpl.labelled/1", "tpl.sweep/1"


def dumps(document: Document, indent: int | None = 2) -> str:
    """Strict JSON: raises ValueError on NaN and infinity."""
    return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)


def run_document(run: "Run") -> Document:
    return {
        **_head(RUN, run),
        "seed": run.seed,
        "results": [_result(r) for r in run.results],
        "plan": [_choice(c) for c in run.plan],
        "seconds": float(run.seconds),
    }


def read_run(document: Mapping[str, Any]) -> "Run":
    """The run that a `tpl.run/1` document tells of. Raises ValueError on anything else."""
    from tpl.numeric.plan import Choice
    from tpl.report.results import Result, Run

    if document.get("schema") != RUN:
        raise ValueError(f"this is no {RUN} object")
    results = [
        Result(
            x["name"],
            x["value"],
            x["error"],
            x["method"],
            None if x["span"] is None else Span(**x["span"]),
            tuple(x["steps"]),
            tuple((axis["name"], tuple(axis["labels"])) for axis in x.get("axes", ())),
        )
        for x in document["results"]
    ]
    declined = [tuple((d["method"], d["reason"]) for d in x["declined"]) for x in document["plan"]]
    plan = [Choice(**{**x, "declined": d}) for x, d in zip(document["plan"], declined, strict=True)]
    return Run(document["title"], document["program"], document["class"], document["seed"], tuple(document["inputs"]),
               tuple(results), tuple(document["notes"]), document["seconds"], tuple(plan))  # fmt: skip


def _choice(choice: "Choice") -> Document:
    return {
        "expectation": choice.expectation,
        "count": choice.count,
        "dimensions": choice.dimensions,
        "method": choice.method,
        "reason": choice.reason,
        "declined": [{"method": name, "reason": reason} for name, reason in choice.declined],
        "error": choice.error,
    }


def _head(schema: str, report: "Run | Verification | CheckReport | Phase") -> Document:
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
        "steps": list(result.steps),
        **({"axes": [{"name": name, "labels": list(x)} for name, x in result.axes]} if result.axes else {}),
    }


def _span(span: Span | None) -> Document | None:
    return None if span is None else span._asdict()


def verify_document(verification: "Verification") -> Document:
    found = verification.agreement
    return {
        **_head(VERIFY, verification),
        "seed": verification.seed,
        "agrees": verification.ok,
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
        "training": None if report.regime is None else _regime(report.regime),
        "activations": [_activation(x) for x in report.assumptions.activations] if report.assumptions else [],
        "input_assumptions": [_inputs(x) for x in report.assumptions.inputs] if report.assumptions else [],
    }


def _regime(regime: "Regime") -> Document:
    return {
        "regime": regime.kind,
        "r": None if regime.r is None else str(regime.r),
        "u": str(regime.u),
        "reasons": list(regime.reasons),
        "parameters": [
            {"name": x.parameter.name, "group": x.parameter.group, "moves": x.moves, "in_kernel": x.in_kernel}
            for x in regime.roles
        ],
    }


def _activation(found: "Goodness") -> Document:
    return {
        "function": found.function,
        "good": found.good,
        "how": found.how,
        "findings": [
            {"condition": x.condition, "holds": x.holds, "how": x.how, "tolerance": x.tolerance, "sentence": x.sentence}
            for x in found.findings
        ],
    }


def _inputs(found: "InputAssumption") -> Document:
    return {
        "name": found.name,
        "holds": found.holds,
        "offenders": [{"inputs": list(x.inputs), "sentence": x.sentence} for x in found.offenders],
        "count": found.count,
        "tolerance": found.tolerance,
        "sentence": found.sentence,
        "notes": list(found.notes),
    }


def phase_document(phase: "Phase") -> Document:
    growth, edge = phase.dynamics.growth, phase.edge
    return {
        **_head(PHASE, phase),
        "kernel": phase.kernel,
        "activation": phase.activation,
        "constants": {name: float(value) for name, value in phase.constants.items()},
        "phase": phase.phase,
        "fixed_points": [_fixed_point(p) for p in phase.fixed_points],
        "growth": None if growth is None else {"kind": growth.kind, "rate": _bounded(growth.rate)},
        "reach": float(phase.dynamics.reach),
        "method": phase.dynamics.method,
        "edge": None
        if edge is None
        else {
            "x": _axis(edge.x),
            "y": None if edge.y is None else _axis(edge.y),
            "points": [_crossing(c) for c in edge.crossings],
            "method": edge.method,
        },
        "seconds": float(phase.seconds),
    }


def _fixed_point(point: "FixedPoint") -> Document:
    return {
        "kind": point.kind,
        "q": _bounded(point.q),
        "low": _finite(point.low),
        "high": _finite(point.high),
        "slope": _bounded(point.slope),
        "stability": point.stability,
        "depth_scale": _bounded(point.depth),
        "chi_1": _bounded(point.chi),
        "phase": point.phase,
        "correlations": [_correlation(c) for c in point.correlations],
    }


def _correlation(found: "Correlation") -> Document:
    return {
        "c": _bounded(found.c),
        "low": found.low,
        "high": found.high,
        "slope": _bounded(found.slope),
        "stability": found.stability,
        "depth_scale": _bounded(found.depth),
    }


def _crossing(found: "Crossing") -> Document:
    return {
        "y": found.y,
        "x": _estimate(found.x, found.error),
        "q_low": _finite(found.low),
        "q_high": _finite(found.high),
        "leaps": found.leaps,
    }


def _axis(axis: "Axis") -> Document:
    return {"name": axis.name, "from": float(axis.values[0]), "to": float(axis.values[-1])}


def _finite(value: float) -> float | str | None:
    """JSON has no infinity: the text "infinity" stands for it, null for what does not exist."""
    if math.isnan(value):
        return None
    return "infinity" if math.isinf(value) else float(value)


def _bounded(found: "Estimate") -> Document:
    return {"value": _finite(found.value), "error": float(found.error)}


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
    """Every field is required; others may be added within a version."""
    return {"type": "object", "properties": fields, "required": list(fields)}


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
    steps=_array(_COUNT),
)
_RESULT["properties"]["axes"] = _array(_object(name=_TEXT, labels=_array({"type": "integer"})))  # of training, if any

_REGIME = _object(
    regime={"enum": ["features", "kernel", "trivial", "unstable"]}, r=_or_null(_TEXT), u=_TEXT, reasons=_array(_TEXT),
    parameters=_array(_object(name=_TEXT, group=_TEXT, moves=_FLAG, in_kernel=_FLAG)),
)  # fmt: skip
_ACTIVATION = _object(
    function=_TEXT, good=_or_null(_FLAG), how={"enum": ["symbolic", "numeric"]},
    findings=_array(_object(condition=_TEXT, holds=_or_null(_FLAG), how=_TEXT, tolerance=_or_null(_NUMBER), sentence=_TEXT)),
)  # fmt: skip
_INPUTS = _object(
    name=_TEXT, holds=_FLAG, offenders=_array(_object(inputs=_array(_COUNT), sentence=_TEXT)), count=_COUNT,
    tolerance=_NOT_NEGATIVE, sentence=_TEXT, notes=_array(_TEXT),
)  # fmt: skip

_CHOICE = _object(
    expectation=_TEXT, count=_COUNT, dimensions=_COUNT, method=_TEXT, reason=_TEXT,
    declined=_array(_object(method=_TEXT, reason=_TEXT)), error=_or_null(_NOT_NEGATIVE),
)  # fmt: skip
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

_EXTENDED: Document = {"anyOf": [_NUMBER, {"const": "infinity"}, {"type": "null"}]}
_BOUNDED = _object(value=_EXTENDED, error=_NOT_NEGATIVE)
_STABILITY: Document = {"enum": ["stable", "unstable", "half-stable", "neutral"]}

_FIXED_POINT = _object(
    kind={"enum": ["point", "zero", "infinity", "line"]},
    q=_BOUNDED,
    low=_EXTENDED,
    high=_EXTENDED,
    slope=_BOUNDED,
    stability=_STABILITY,
    depth_scale=_BOUNDED,
    chi_1=_BOUNDED,
    phase={"enum": ["ordered", "chaotic", "critical"]},
    correlations=_array(
        _object(c=_BOUNDED, low=_NUMBER, high=_NUMBER, slope=_BOUNDED, stability=_STABILITY, depth_scale=_BOUNDED)
    ),
)

_AXIS = _object(**{"name": _TEXT, "from": _NUMBER, "to": _NUMBER})
_EDGE = _object(
    x=_AXIS,
    y=_or_null(_AXIS),
    points=_array(_object(y=_or_null(_NUMBER), x=_ESTIMATE, q_low=_EXTENDED, q_high=_EXTENDED, leaps=_FLAG)),
    method=_TEXT,
)

_LABEL: Document = {"type": ["number", "string"]}
_LABELS: Document = {"type": "object", "additionalProperties": _array(_LABEL)}
_NESTED: Document = {"type": ["array", "number", "null"]}
_WORDS: Document = {"type": ["array", "string"]}
_LABELLED: Document = _document(
    LABELLED, name=_TEXT, dims=_array(_TEXT), coords=_LABELS, value=_NESTED, error=_NESTED, methods=_WORDS, reasons=_WORDS,
    at={"type": "object", "additionalProperties": _LABEL},
)  # fmt: skip
SCHEMAS: dict[str, Document] = {
    RUN: _document(
        RUN,
        **_HEAD,
        seed={"type": "integer"},
        results=_array(_RESULT),
        plan=_array(_CHOICE),
        seconds=_NOT_NEGATIVE,
    ),
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
        training=_or_null(_REGIME),
        activations=_array(_ACTIVATION),
        input_assumptions=_array(_INPUTS),
    ),
    PHASE: _document(
        PHASE,
        **_HEAD,
        kernel=_TEXT,
        activation=_TEXT,
        constants={"type": "object", "additionalProperties": _NUMBER},
        phase={"enum": ["ordered", "chaotic", "critical", "mixed", "unbounded", "unknown"]},
        fixed_points=_array(_FIXED_POINT),
        growth=_or_null(_object(kind={"enum": ["geometric", "linear", "power", "superlinear"]}, rate=_BOUNDED)),
        reach=_NOT_NEGATIVE,
        method=_TEXT,
        edge=_or_null(_EDGE),
        seconds=_NOT_NEGATIVE,
    ),
    ERROR: _document(ERROR, errors=_array(_ERROR)),
    LABELLED: _LABELLED,
    SWEEP: _document(
        SWEEP, title=_TEXT, program=_TEXT, seed=_COUNT, swept=_LABELS, results=_array(_LABELLED),
        failures=_array(_object(settings={"type": "object", "additionalProperties": _LABEL}, reason=_TEXT)),
        notes=_array(_TEXT), seconds=_NOT_NEGATIVE,
    ),
}  # fmt: skip
