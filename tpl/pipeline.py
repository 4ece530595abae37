"""The way through the house: each stage in one short function.

text ─parse→ syntax ─check→ syntax ─elaborate→ core program ─┬─ sample_limit ─→ the limit, with error bars
                                                             └─ sample_finite → the same program at width n
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from numbers import Rational, Real
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from tpl.core.elaborate import Limits, elaborate
from tpl.core.functions import CALLABLE
from tpl.core.meanings import Meanings
from tpl.core.program import Program, verify
from tpl.data import DataError, Dataset, from_array, load_source
from tpl.language import syntax as s
from tpl.language.check import check, merge
from tpl.language.foreign import SETTINGS_OTHERWISE
from tpl.language.parse import parse
from tpl.language.source import Diagnostic, Source, TplError, nearest
from tpl.language.spell_out import Introduced, spell_out
from tpl.language.training_words import SETTINGS
from tpl.resources import programs_dir

Progress = Callable[[int, int], None]
Settings = Sequence[str] | Mapping[str, Any]

_FUNCTIONS = {name: record.arity for name, record in CALLABLE.items()}


# ---------------------------------------------------------------------------------------------- text


def bundled_programs() -> dict[str, Path]:
    """Name -> file of every program that comes with the project, but for those in folders."""
    return {path.stem: path for path in sorted(programs_dir().glob("*.tp"))}


def bundled_experiments() -> dict[str, Path]:
    """Name -> file of the programs in folders, `paper/features`: each trains, which takes a while."""
    return {f"{path.parent.name}/{path.stem}": path for path in sorted(programs_dir().glob("*/*.tp"))}


def read_source(name: str) -> Source:
    """The text of a file, or of a bundled program by name. Raises TplError if there is none, or it is not text."""
    path = Path(name)
    if not path.is_file():
        bundled = bundled_programs() | bundled_experiments()
        if name not in bundled:
            if path.is_dir():
                hint = "give a `.tp` file in it, or the name of a bundled program"
                raise TplError(Source("", name), [Diagnostic(None, "this is a folder, not a program", hint)])
            close = nearest(name, bundled)
            hint = f"did you mean `{close}`?" if close else "`tpl programs` lists the bundled programs"
            raise TplError(Source("", name), [Diagnostic(None, "there is no such file or bundled program", hint)])
        path = bundled[name]
    try:
        return Source(path.read_text(encoding="utf-8-sig"), path.name)
    except (OSError, UnicodeDecodeError) as problem:
        reason = (
            "it is not UTF-8 text" if isinstance(problem, UnicodeDecodeError) else (problem.strerror or "unreadable")
        )
        raise TplError(Source("", name), [Diagnostic(None, f"this file cannot be read: {reason}")]) from None


# ---------------------------------------------------------------------------------------------- core program


@dataclass(frozen=True)
class Compiled:
    """A core program, the syntax it comes from, and the data it uses. `introduced`: names given by `spell_out`."""

    program: Program
    file: s.File
    inputs: dict[str, Dataset]
    introduced: tuple[Introduced, ...] = ()


def compile_program(
    source: Source,
    data: Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
    limits: Limits = Limits(),
    generic_rows: dict[tuple[float, ...], int] | None = None,
    name_all: bool = False,
    meanings: Meanings | None = None,
    generic_entries: frozenset[str] = frozenset(),
    entries: bool = True,
) -> Compiled:
    """From text to a verified core program. Raises TplError with every mistake found.

    data: name -> array, Dataset, or a source as `--data` takes it. settings: `L=10`, `phi(z)=tanh(z)`.
    generic_rows, generic_entries, entries, meanings: see `elaborate`. name_all: what networks leave nameless gets a name (`spell_out`).
    """
    source = _with_settings(source, settings)
    file, diagnostics, lost = parse(source)
    file, misplaced = _override(file, source)
    diagnostics = merge(diagnostics, misplaced, check(file, lost, functions=_FUNCTIONS))
    datasets = _load_data(data or {}, file, source, limits)
    if lost:
        raise TplError(source, diagnostics)
    introduced: tuple[Introduced, ...] = ()
    if name_all:
        file, introduced = spell_out(file, source, frozenset(CALLABLE))
    program, inputs = elaborate(
        file, source, datasets, limits, diagnostics, generic_rows, meanings=meanings, generic_entries=generic_entries,
        entries=entries,
    )  # fmt: skip
    return Compiled(verify(program), file, inputs, introduced)


def settings_texts(source: Source, settings: Settings) -> tuple[str, ...]:
    """Settings as `--set` takes them. A mapping names consts, defs and settings of training: {"L": 5, "phi": "tanh(z)"}.

    A def is written in the parameters that the program gives it. Raises TplError for values that no program could hold.
    """
    if not isinstance(settings, Mapping):
        return (settings,) if isinstance(settings, str) else tuple(settings)
    defs = {x.name: x for x in parse(source)[0].statements if isinstance(x, s.Def)} if settings else {}
    texts = []
    for name, value in settings.items():
        known = defs.get(name)
        left = name if known is None else f"{name}({', '.join(known.parameters)})"
        texts.append(f"{left}={_value_text(source, name, value)}")
    return tuple(texts)


def _value_text(source: Source, name: str, value: Any) -> str:
    """A value as the language writes it; a number is kept to its last bit."""
    if isinstance(value, str):
        return value
    if isinstance(value, Rational) and not isinstance(value, bool):
        return str(value.numerator) if value.denominator == 1 else f"({value.numerator}) / {value.denominator}"
    if isinstance(value, Real) and not isinstance(value, bool) and isfinite(value):
        return repr(float(value))
    message = f"{name}={value!r}: a setting is a finite number, or text"
    raise TplError(source, [Diagnostic(None, message, '`{"L": 5, "phi": "tanh(z)"}`')])


def _with_settings(source: Source, settings: Sequence[str]) -> Source:
    """Append what `--set` gives as statements of their own, past the end of the file."""
    if not settings:
        return source
    statements = [_setting(text, source) for text in settings]
    length = len(source.lines)
    return Source("\n".join([source.text, *statements]), source.name, settings_from=length + 1)


def _setting(text: str, source: Source) -> str:
    if not re.match(r"\s*[^\W\d]\w*\s*(\([^)]*\)\s*)?=", text) or "\n" in text:
        hint = "`--set L=10` sets a const or a setting of training, `--set 'phi(z)=tanh(z)'` a def"
        raise TplError(source, [Diagnostic(None, f"--set {text}: this is no setting", hint)])
    if _several(text.partition("=")[2]):
        name = text.split("=")[0].strip()
        hint = f"`--set` takes one value; `tpl sweep FILE {text.strip()}` runs over several"
        raise TplError(source, [Diagnostic(None, f"--set {text}: these are several values of `{name}`", hint)])
    keyword = "def" if "(" in text.split("=")[0] else "const"
    return f"{keyword} {text.strip()}"


def _several(text: str) -> bool:
    """Is there a comma outside of brackets and quotes?"""
    bare = re.sub(r"\"[^\"]*\"|'[^']*'", "", text)
    while bare != (shorter := re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", bare)):
        bare = shorter
    return "," in bare


def _override(file: s.File, source: Source) -> tuple[s.File, list[Diagnostic]]:
    """Put the settings in the place of the statements that they override; consts come before settings of training."""
    start = source.settings_from or 10**9
    own = [x for x in file.statements if x.span.line < start]
    diagnostics = []
    for setting in (x for x in file.statements if x.span.line >= start):
        assert isinstance(setting, (s.Const, s.Def))
        place = next((i for i, x in enumerate(own) if type(x) is type(setting) and x.name == setting.name), None)  # type: ignore[union-attr]
        if place is not None:
            own[place] = setting
            continue
        training = next((x for x in own if isinstance(x, s.Train)), None)
        if training is not None and isinstance(setting, s.Const) and setting.name in SETTINGS:
            own[own.index(training)] = _with_setting(training, setting)
            continue
        diagnostics.append(Diagnostic(None, *_no_setting(setting, own, source)))
    return replace(file, statements=tuple(own)), diagnostics


def _no_setting(setting: s.Const | s.Def, own: Sequence[s.Statement], source: Source) -> tuple[str, str | None]:
    """What is said of a setting that a program does not have, and what to do."""
    other = next((x for x in own if isinstance(x, s.Const | s.Def) and x.name == setting.name), None)
    if isinstance(other, s.Def) and isinstance(setting, s.Const):
        left, value = f"{other.name}({', '.join(other.parameters)})", source.slice(setting.value.span)
        right = f"{value}({', '.join(other.parameters)})" if isinstance(setting.value, s.Name) else value
        return f"`{other.name}` is a function: it is set with its parameters", f"`--set '{left}={right}'`"
    if isinstance(other, s.Const):
        return f"`{other.name}` is a number, and has no parameters", f"`--set {other.name}=…`"
    if any(isinstance(x, s.Data) and x.name == setting.name for x in own):
        return f"`{setting.name}` is data, and no setting", f"`--data {setting.name}=…`"
    kind = "const" if isinstance(setting, s.Const) else "def"
    trains = kind == "const" and any(isinstance(x, s.Train) for x in own)
    words = SETTINGS if trains else ()
    close = nearest(setting.name, [*(x.name for x in own if isinstance(x, type(setting))), *words])
    if trains:
        close = SETTINGS_OTHERWISE.get(setting.name.lower(), (None, None))[0] or close
    there = ", ".join(f"`{x.name}`" for x in own if isinstance(x, type(setting)))
    hint = f"did you mean `{close}`?" if close else f"it has {there}" if there else None
    return f"the program has no {kind} `{setting.name}`", hint


def _with_setting(train: s.Train, given: s.Const) -> s.Train:
    """A train block with one setting replaced, or added."""
    setting = s.Setting(given.name, given.value, given.span, given.name_span)
    return replace(train, settings=(*(x for x in train.settings if x.name != given.name), setting))


def _load_data(data: Mapping[str, Any], file: s.File, source: Source, limits: Limits) -> dict[str, Dataset]:
    declared = [x.name for x in file.statements if isinstance(x, s.Data)]
    datasets, problems = {}, []
    for name, given in data.items():
        try:
            if name not in declared:
                close = nearest(name, declared)
                names = f"its data: {', '.join(f'`{d}`' for d in declared)}" if declared else "it declares no data"
                raise DataError(f"the program has no data `{name}`", f"did you mean `{close}`?" if close else names)
            datasets[name] = _dataset(name, given, limits.max_memory // 4)
        except DataError as problem:
            shown = f"={given}" if isinstance(given, str) else ""
            problems.append(Diagnostic(None, f"--data {name}{shown}: {problem.message}", problem.hint))
    if problems:
        raise TplError(source, problems)
    return datasets


def _dataset(name: str, given: Any, max_bytes: int) -> Dataset:
    if isinstance(given, Dataset):
        return given
    if isinstance(given, str | PathLike):
        return load_source(fspath(given), max_bytes)
    return from_array(name, given, max_bytes)
