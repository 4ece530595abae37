"""The account of a program's limit: entries of equations and reasons."""

import re
from dataclasses import dataclass

from tpl.limit.formula import Formula

PROGRAM, BACKWARD, SHOWN = "The program", "The backward pass", "What is shown"
KERNELS = "The kernels at the start"
TRAINING, TRAINED, TRAINED_BACKWARD = "The training", "The network along training", "The backward pass along training"

Sentence = tuple[str | Formula, ...]


@dataclass(frozen=True)
class Entry:
    """One statement, or one family of lines of the backward pass.

    where: "line 26" or "--set"; text: as the user wrote it. clauses: the loops around it, or the indices for which it
    holds. becomes: equations. why: sentences of text and formulas.
    """

    section: str
    where: str
    text: str
    clauses: tuple[Formula, ...]
    rule: str
    becomes: tuple[Formula, ...]
    why: tuple[Sentence, ...] = ()

    @property
    def line(self) -> int | None:
        """The line of the file that it speaks of; None of what --set gave."""
        found = re.search(r"\bline (\d+)$", self.where)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Account:
    """A program's limit, line by line. definitions: the user's functions that stand in it by name.

    inputs: are there networks that take one input at a time? outputs: do they return more than one? said: what the symbols
    mean, where the usual words do not say it; leads: words under the headings of sections. afresh: does a network draw
    noise for each input?
    """

    title: str
    inputs: bool
    outputs: bool
    definitions: tuple[Formula, ...]
    entries: tuple[Entry, ...]
    said: tuple[Sentence, ...] = ()
    leads: tuple[tuple[str, tuple[Sentence, ...]], ...] = ()
    afresh: bool = False
