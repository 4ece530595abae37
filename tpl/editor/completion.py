"""What a shell proposes: programs, the names that a program lets one set, its data, the values of options.

Each function takes the program that the command line names so far, if any, and the word that is being typed; it returns
words with a line of help on each. Nothing is raised: a shell cannot show it.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path

from tpl.language import syntax as s
from tpl.language.source import Source, TplError

Proposals = list[tuple[str, str]]
LONGEST = 70  # line of help
DATA_FILES = (".npy", ".npz", ".csv")


def quiet(propose: Callable[[str | None, str], Iterator[tuple[str, str]]]) -> Callable[[str | None, str], Proposals]:
    """Those proposals that begin with what was typed; none if something fails."""

    @wraps(propose)
    def proposals(file: str | None, typed: str) -> Proposals:
        found: Proposals = []
        with suppress(Exception):
            found.extend((word, _short(about)) for word, about in propose(file, typed) if word.startswith(typed))
        return found

    return proposals


@quiet
def programs(file: str | None, typed: str) -> Iterator[tuple[str, str]]:
    """Bundled programs, `.tp` files and folders."""
    from tpl.pipeline import bundled_experiments, bundled_programs

    for name, path in (bundled_programs() | bundled_experiments()).items():
        yield name, _title(path)
    yield from files(typed, (".tp",))


@quiet
def settings(file: str | None, typed: str) -> Iterator[tuple[str, str]]:
    """`NAME=` of the program's consts and settings of training, `f(z)=` of its defs, each with its present value."""
    from tpl.language.training_words import SETTINGS

    source, statements = _statements(file)
    for x in statements:
        if isinstance(x, s.Const):
            yield f"{x.name}=", source.slice(x.value.span)
        elif isinstance(x, s.Def):
            yield f"{x.name}({', '.join(x.parameters)})=", source.slice(x.body.span)
        elif isinstance(x, s.Train):
            present = {y.name: source.slice(y.value.span) for y in x.settings}
            yield from ((f"{name}=", present.get(name, "")) for name in SETTINGS)


@quiet
def constants(file: str | None, typed: str) -> Iterator[tuple[str, str]]:
    """`NAME=` of the program's consts."""
    source, statements = _statements(file)
    yield from ((f"{x.name}=", source.slice(x.value.span)) for x in statements if isinstance(x, s.Const))


@quiet
def data(file: str | None, typed: str) -> Iterator[tuple[str, str]]:
    """`X=` of the program's data; after the sign, generators and files."""
    from tpl.data import GENERATORS

    name, equals, begun = typed.partition("=")
    if not equals:
        source, statements = _statements(file)
        for x in statements:
            if isinstance(x, s.Data):
                yield f"{x.name}=", "" if x.default is None else source.slice(x.default.span)
        return
    for generator in GENERATORS.values():
        yield f"{name}={generator.name}:", generator.signature
    for path, about in files(begun, DATA_FILES):
        yield f"{name}={path}", about


def choices(*values: str) -> Callable[[str | None, str], Proposals]:
    """An option that takes one of a few words."""
    return quiet(lambda file, typed: iter([(x, "") for x in values]))


def files(typed: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Files of some kinds below the folder that was typed, and its folders."""
    head = typed[: typed.rfind("/") + 1]
    with suppress(OSError):
        for path in sorted(Path(head or ".").iterdir()):
            if path.name.startswith(".") and not typed[len(head) :].startswith("."):
                continue
            if path.is_dir():
                yield f"{head}{path.name}/", "folder"
            elif path.suffix in suffixes:
                yield f"{head}{path.name}", _title(path) if path.suffix == ".tp" else "data"


def _short(text: str) -> str:
    """A line of help on one row of a terminal: some shells take the next row for another word."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _statements(file: str | None) -> tuple[Source, tuple[s.Statement, ...]]:
    """What can be read of a program; nothing of none."""
    from tpl.language.parse import parse
    from tpl.pipeline import read_source

    with suppress(TplError):
        source = read_source(file or "")
        return source, parse(source)[0].statements
    return Source(""), ()


def _title(path: Path) -> str:
    """The first line of a program's docstring, or of its text."""
    with path.open(encoding="utf-8", errors="replace") as text:
        return text.read(200).strip().strip('"').strip().split("\n")[0].rstrip('"')
