"""Names and structure, from the syntax alone: mistakes are found wherever they stand, also in what is never run."""

from collections.abc import Iterable

from tpl.language import syntax as s
from tpl.language.source import Diagnostic, Span


def check(file: s.File, lost: set[str], data_names: Iterable[str] = ()) -> list[Diagnostic]:
    """Every mistake in names and structure. (Being written.)"""
    return []


def merge(*stages: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics of several stages, earlier stages first in rank: what a later one says of the same place is dropped."""
    kept: list[Diagnostic] = []
    for stage in stages:
        starts = {d.span[:2] for d in kept if d.span is not None}
        kept += [d for d in stage if d.span is None or d.span[:2] not in starts]
    return sorted(dict.fromkeys(kept), key=lambda d: (d.span or Span(0, 0, 0, 0), d.message))
