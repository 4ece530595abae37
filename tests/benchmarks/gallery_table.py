"""The gallery against finite networks: python tests/benchmarks/gallery_table.py [NAME …]

Runs `tpl verify` on the named programs (all of the gallery if none is named), at its default widths and seeds, and puts
their rows into the table of docs/gallery.md. Of everything that a program shows there is one row: its value that is
furthest from agreement, the largest |z|, and the processor time. Slow programs take minutes.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tpl
from tpl.report.layout import compact
from tpl.report.results import Verification
from tpl.stages.verify import DEFAULT_WIDTHS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "gallery.md"
BEGIN, END = "<!-- verified -->", "<!-- end of verified -->"
EXTRA = ("training/word2vec",)
PICTURES = ("amp_spiked", "transformer")  # of which the comparison is drawn, into docs/images


@dataclass(frozen=True)
class Row:
    """One show of one program: how many distinct values it has, and the one with the largest |z|."""

    program: str
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return "| " + " | ".join((self.program, *self.cells)) + " |"


def gallery() -> list[str]:
    """The gallery's programs, by name."""
    return sorted(p.stem for p in (ROOT / "programs").glob("*.tp")) + list(EXTRA)


def rows(name: str) -> list[Row]:
    """Verify a program and say of each of its shows how it agrees."""
    program = tpl.load(name)
    start = time.process_time()
    found = program.verify()
    seconds = time.process_time() - start
    if name in PICTURES:
        found.plot(ROOT / "docs" / "images" / f"verify_{name}.png")
    training = program.program.training
    if training is not None:
        shown = {member: x.name for x in training.shows for member in x.names}
    else:
        shown = {x.name: x.name for x in program.program.shows}
    owner = [shown[max((x for x in shown if value.startswith(x)), key=len)] for value in found.names]
    print(f"{name}: {'agrees' if found.ok else 'DISAGREES'}, {seconds:.0f} s", flush=True)
    return [_row(name, x, np.array([i for i, y in enumerate(owner) if y == x]), found, seconds)
            for x in dict.fromkeys(shown.values())]  # fmt: skip


def _row(name: str, show: str, members: np.ndarray, found: Verification, seconds: float) -> Row:
    agreement = found.agreement
    distinct = members[agreement.distinct[members]]
    members = distinct if len(distinct) else members
    worst = members[np.argmax(np.abs(agreement.z[members]))]
    place = found.names[worst].removeprefix(show).strip()
    means = (compact(m, e) for m, e in zip(agreement.means[:, worst], agreement.errors[:, worst], strict=True))
    return Row(
        name,
        (
            f"`{show}`" + (f" {place}" if place else ""),
            str(len(members)),
            compact(agreement.limit[worst], agreement.limit_error[worst]),
            *means,
            compact(agreement.extrapolated[worst], agreement.extrapolated_error[worst]),
            f"{agreement.z[worst]:.1f}",
            "agrees" if agreement.ok[members].all() else "**disagrees**",
            f"{seconds:.0f} s",
        ),
    )


def written(page: str) -> dict[str, list[str]]:
    """The rows that the page has, by program."""
    found: dict[str, list[str]] = {}
    inside = page.split(BEGIN)[1].split(END)[0].strip().splitlines()[2:]
    for row in inside:
        found.setdefault(row.split("|")[1].strip(), []).append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names or gallery()
    for name in names:
        made = [str(row) for row in rows(name)]
        page = PAGE.read_text(encoding="utf-8")  # once more: several of these may run at a time
        known = written(page) | {name: made}
        widths = DEFAULT_WIDTHS
        head = ["program", "value", "of", "limit", *(f"n = {n}" for n in widths), "n = ∞", "z", "", "time"]
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        lines += [row for program in gallery() for row in known.get(program, [])]
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
