"""The command line: one command a question."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tpl import __version__
from tpl.language.source import TplError
from tpl.options import within
from tpl.outputs import ARRAYS, PAGE, PICTURE, TEXT, check_file, check_folder, deliver_text, delivery, rescued
from tpl.outputs import refusal as _refuse

app = typer.Typer(
    add_completion=True, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Tensor programs: from a text file to its checked infinite-width limit.",
)  # fmt: skip


def _proposing(what: str) -> Callable[..., list[tuple[str, str]]]:
    """The shell's completion by a function of `tpl.editor.completion`; or by words, with `|` between them."""

    def propose(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        from tpl.editor import completion

        by = completion.choices(*what.split("|")) if "|" in what else getattr(completion, what)
        # While an option lacks its value, arguments are not given to parameters.
        return by(context.params.get("file") or next(iter(context.args), None), incomplete)

    return propose


File = Annotated[str, typer.Argument(metavar="FILE", help="A .tp file, or the name of a bundled program.", autocompletion=_proposing("programs"))]  # fmt: skip
DataOption = Annotated[list[str], typer.Option("--data", "-d", metavar="X=SOURCE", help="Data: X=cifar10:16, X=inputs.npy, X=file.npz:array, X=file.csv, X=sphere:4,10.", autocompletion=_proposing("data"))]  # fmt: skip
SetOption = Annotated[list[str], typer.Option("--set", "-s", metavar="NAME=VALUE", help="Set a const or a def: L=10, 'phi(z)=tanh(z)'.", autocompletion=_proposing("settings"))]  # fmt: skip
Seed = Annotated[int, typer.Option(**within("seed"), help="Seed of every random number.")]
Samples = Annotated[int | None, typer.Option(**within("samples"), help="M, the size of the sampled limit.")]
Replicates = Annotated[
    int | None, typer.Option(**within("replicates"), help="Independent repetitions, from which the errors come.")
]
Threads = Annotated[int | None, typer.Option(**within("threads"), help="Threads; results do not depend on it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object (docs/json.md).")]
MaxLines = Annotated[int, typer.Option(min=1, help="Refuse core programs with more lines.")]
MaxMemory = Annotated[str, typer.Option(metavar="SIZE", help="Refuse runs that need more memory: 500M, 8G.")]
Independence = Annotated[bool, typer.Option("--gradient-independence", help="Treat W.T as independent of W in the limit: the classical shortcut, wrong in general.")]  # fmt: skip
Tolerance = Annotated[float | None, typer.Option(**within("tolerance"), help="Training: relative size below which new directions are dropped.")]  # fmt: skip
Dtype = Annotated[str, typer.Option(metavar="float64|float32", autocompletion=_proposing("float64|float32"), help="Training: how vectors are stored.")]  # fmt: skip


@app.command()
def run(
    file: File, data: DataOption = [], settings: SetOption = [], seed: Seed = 0, samples: Samples = None,  # noqa: B006
    replicates: Replicates = None, threads: Threads = None, as_json: Json = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="OUT.npz", help="Save the arrays.")] = None,
    max_lines: MaxLines = 1_000_000, max_memory: MaxMemory = "8G", gradient_independence: Independence = False,
    method: Annotated[str, typer.Option(metavar="auto|law|mc|sample", autocompletion=_proposing("auto|law|mc|sample"), help="The law by formulas, series and quadrature; by Monte Carlo; or the limit sampled. auto: the law if it is short.")] = "auto",
    rtol: Annotated[float | None, typer.Option(**within("rtol"), help="Relative error at which Monte Carlo stops.")] = None,
    reduction: Annotated[str, typer.Option(metavar="none|antithetic|quasi", autocompletion=_proposing("none|antithetic|quasi"), help="Variance reduction of Monte Carlo.")] = "none",
    plan: Annotated[bool, typer.Option("--plan", help="Say of each expectation which method it took, and why.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Draw what is shown: curves along training, heat maps of kernels.")] = None,
    tolerance: Tolerance = None, dtype: Dtype = "float64",
    checkpoint: Annotated[Path | None, typer.Option("--checkpoint", metavar="FOLDER", help="Training: keep the state there, and resume from it after an interruption.")] = None,
) -> None:  # fmt: skip
    """The numbers that a program shows, each with error and method."""
    with reporting(as_json):
        check_file(output, ARRAYS)
        check_file(plot, PICTURE)
        if checkpoint is not None:
            check_folder(checkpoint)
        program = _load(file, data, settings, max_lines, max_memory)
        if plot is not None:
            program.check_plot()
        with progress_bar("computing the limit") as advance:
            options = (samples, replicates, seed, threads, gradient_independence)
            result = program.run(*options, progress=advance, method=method, rtol=rtol, reduction=reduction,
                                 tolerance=tolerance, dtype=dtype, checkpoint=checkpoint)  # fmt: skip
        with delivery() as deliver:
            deliver(output, result.save)
            deliver(plot, result.plot)
            _present(result, as_json, "print_run")
            if plan and not as_json:
                _present(result, False, "print_plan")


@app.command()
def sweep(
    file: File,
    swept: Annotated[list[str], typer.Argument(metavar="NAME=VALUES...", autocompletion=_proposing("settings"), help="sigma_w=1,1.5,2, L=1..5, or sigma_w=0.5..2:4 for four values evenly apart.")],
    data: DataOption = [], settings: SetOption = [], seed: Seed = 0, samples: Samples = None,  # noqa: B006
    replicates: Replicates = None, threads: Threads = None, as_json: Json = False,
    plot: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Draw the only show: curves, or a heat map.")] = None,
    max_lines: MaxLines = 1_000_000, max_memory: MaxMemory = "8G",
    method: Annotated[str, typer.Option(metavar="auto|law|mc|sample", autocompletion=_proposing("auto|law|mc|sample"), help="As for `tpl run`.")] = "auto",
) -> None:  # fmt: skip
    """The numbers of a program over settings: every combination of their values."""
    with reporting(as_json):
        from tpl.stages.sweep import read_sweep

        check_file(plot, PICTURE)
        program = _load(file, data, settings, max_lines, max_memory)
        values = read_sweep(program.source, swept)
        if plot is not None:
            program.check_plot(values)
        options = {"samples": samples, "replicates": replicates, "seed": seed, "threads": threads, "method": method}
        with progress_bar("running the points") as advance:
            result = program.sweep(values, run=options, progress=advance)
        with delivery() as deliver:
            deliver(plot, result.plot)
            _present(result, as_json, "print_sweep")


@app.command()
def verify(
    file: File, data: DataOption = [], settings: SetOption = [], seed: Seed = 0,  # noqa: B006
    widths: Annotated[str | None, typer.Option(metavar="N,N,…", help="Widths of the finite networks.")] = None,
    seeds: Annotated[int | None, typer.Option(**within("seeds"), help="Finite networks a width.")] = None,
    samples: Samples = None, replicates: Replicates = None, threads: Threads = None,
    level: Annotated[float, typer.Option(**within("level"), help="Chance of a false alarm over all comparisons.")] = 1e-3,
    plot: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Draw the comparison.")] = None,
    as_json: Json = False, max_lines: MaxLines = 1_000_000, max_memory: MaxMemory = "8G",
    gradient_independence: Independence = False,
) -> None:  # fmt: skip
    """Finite networks of growing width against the limit. Exit code 1 if they disagree."""
    with reporting(as_json):
        check_file(plot, PICTURE)
        program = _load(file, data, settings, max_lines, max_memory)
        with progress_bar("simulating") as advance:
            result = program.verify(
                _widths(widths), seeds, samples, replicates, seed, threads, level, gradient_independence, advance
            )
        with delivery() as deliver:
            deliver(plot, result.plot)
            _present(result, as_json, "print_verification")
    if not result.ok:
        raise typer.Exit(1)


@app.command()
def check(
    file: File, data: DataOption = [], settings: SetOption = [], samples: Samples = None,  # noqa: B006
    replicates: Replicates = None, threads: Threads = None, as_json: Json = False,
    max_lines: MaxLines = 1_000_000, max_memory: MaxMemory = "8G", tolerance: Tolerance = None, dtype: Dtype = "float64",
) -> None:  # fmt: skip
    """Mistakes with carets; else the program's class, its counts, and what a run would cost."""
    with reporting(as_json):
        program = _load(file, data, settings, max_lines, max_memory)
        report = program.check(samples, replicates, threads, tolerance, dtype)
        _present(report, as_json, "print_check")


@app.command()
def core(
    file: File, data: DataOption = [], settings: SetOption = [],  # noqa: B006
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to a file.")] = None,
    max_lines: MaxLines = 1_000_000,
) -> None:  # fmt: skip
    """The straight-line core program, every line with its source and derivation."""
    with reporting(False):
        check_file(output, TEXT)
        deliver_text(_load(file, data, settings, max_lines, "8G").core(), output)


@app.command()
def derive(
    file: File, data: DataOption = [], settings: SetOption = [],  # noqa: B006
    explain: Annotated[bool, typer.Option("--explain", help="Line by line: what each becomes, by which rule, and why.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="A LaTeX document.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown with $$ formulas.")] = False,
    as_html: Annotated[bool, typer.Option("--html", help="A page with MathML; no network, no script.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to a file.")] = None,
    timeout: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="Give up after so long.")] = 300,
    max_lines: MaxLines = 1_000_000,
) -> None:  # fmt: skip
    """The limit as equations: kernels for any two inputs, recursions for any depth."""
    with reporting(False):
        if latex + markdown + as_html > 1:
            raise _refuse(file, "one form at a time", "--latex, --markdown or --html")
        check_file(output, TEXT)
        program = _load(file, data, settings, max_lines, "8G")
        with _deadline(file, timeout):
            report = program.explain() if explain else program.derive()
            text = (
                report.latex()
                if latex
                else report.markdown()
                if markdown
                else report.html()
                if as_html
                else str(report)
            )
        deliver_text(text, output)


@app.command()
def explain(
    file: File, data: DataOption = [], settings: SetOption = [], seed: Seed = 0,  # noqa: B006
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="OUT.html|OUT.ipynb", help="Where it goes: a page, or a notebook. FILE.html if left out.")] = None,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Compare with finite networks.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer networks, fewer samples of training.")] = False,
    widths: Annotated[str | None, typer.Option(metavar="N,N,…", help="Widths of the finite networks.")] = None,
    seeds: Annotated[int | None, typer.Option(**within("seeds"), help="Finite networks a width.")] = None,
    threads: Threads = None,
    timeout: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="Leave out equations that take longer.")] = 300,
    max_lines: MaxLines = 1_000_000, max_memory: MaxMemory = "8G",
) -> None:  # fmt: skip
    """One page that explains a program: lines, rules, pictures, numbers, networks. No network, no script."""
    with reporting(False):
        path = output or Path(f"{Path(file).stem}.html")
        check_file(path, PAGE)
        program = _load(file, data, settings, max_lines, max_memory)
        with progress_bar("explaining") as advance:
            page = program.explain_page(
                seed, verify, quick, _widths(widths), seeds, threads, advance, lambda: _deadline(file, timeout)
            )
        with delivery() as deliver:
            if not deliver(path, page.save):
                path = rescued(page.save, path.name)
            print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")


@app.command()
def phase(
    file: File, data: DataOption = [], settings: SetOption = [],  # noqa: B006
    x: Annotated[str | None, typer.Option("--x", metavar="NAME=A..B", autocompletion=_proposing("constants"), help="First axis of the phase diagram: sigma_w=0.5..4.")] = None,
    y: Annotated[str | None, typer.Option("--y", metavar="NAME=A..B", autocompletion=_proposing("constants"), help="Second axis: sigma_b=0..2.")] = None,
    grid: Annotated[int, typer.Option(help="Intervals an axis of the picture.")] = 40,
    plot: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Draw the phase diagram.")] = None,
    timeout: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="Give up after so long.")] = 300,
    as_json: Json = False, max_lines: MaxLines = 1_000_000,
) -> None:  # fmt: skip
    """Dynamics of depth: fixed points, order and chaos, and the edge between them."""
    with reporting(as_json):
        check_file(plot, PICTURE)
        program = _load(file, data, settings, max_lines, "8G")
        with delivery() as deliver:
            with _deadline(file, timeout):
                result = program.phase(x, y, grid, drawn=plot is not None)
                deliver(plot, result.plot)
            _present(result, as_json, "print_phase")


@app.command()
def paper(
    data: DataOption = [], settings: SetOption = [], seed: Seed = 0,  # noqa: B006
    widths: Annotated[str | None, typer.Option(metavar="N,N,…", help="Widths of the networks: 64,128,…,4096.")] = None,
    seeds: Annotated[int | None, typer.Option(**within("seeds"), help="Networks a width.")] = None,
    samples: Samples = None, replicates: Replicates = None, threads: Threads = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer widths, seeds and samples: a minute.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where figures and numbers go.")] = Path("paper"),
) -> None:  # fmt: skip
    """The experiments of Chen, Yang, Zhao & Gu (2025) at finite widths and in the limit: figures and numbers."""
    from dataclasses import replace

    with reporting(False):
        from tpl.report.paper_plot import plot_paper
        from tpl.report.paper_summary import summary
        from tpl.stages.paper import QUICK, PaperOptions, reproduce

        given: dict[str, Any] = {"widths": tuple(_widths(widths) or ()), "seeds": seeds, "samples": samples,
                                 "replicates": replicates}  # fmt: skip
        options = replace(QUICK if quick else PaperOptions(), **{k: v for k, v in given.items() if v},
                          seed=seed, threads=threads, settings=tuple(settings))  # fmt: skip
        check_folder(out, pictures=True)
        with progress_bar("training") as advance:
            result = reproduce(options, _data("paper", data), advance)
        written: list[Path] = []
        with delivery() as deliver:
            deliver(out / "numbers.json", lambda path: written.append(result.save(path)))
            deliver(out, lambda folder: written.extend(plot_paper(result, folder)))
            print(f"{summary(result)}\n\n{result.seconds:.0f} s: {', '.join(str(path) for path in written)}")


@app.command()
def programs() -> None:
    """The bundled programs."""
    from tpl.pipeline import bundled_experiments, bundled_programs

    with reporting(False):
        names = bundled_programs() | bundled_experiments()
        for name, path in names.items():
            title = path.read_text(encoding="utf-8").lstrip().strip('"').lstrip().split("\n")[0].rstrip('"')
            print(f"{name:<{max(map(len, names))}}  {title}")


@app.command()
def fmt(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", autocompletion=_proposing("programs"), help="Files to format; `-` is standard input."
        ),
    ],
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 if a file would change.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; print what would change.")] = False,
) -> None:
    """Programs in their usual look: spaces, indentation, blank rows. What they say stays the same."""
    from tpl.language.rewrite import format_file

    code = 0
    for name in files:
        with reporting(False):
            try:
                formatted = format_file(name)
                if diff:
                    sys.stdout.write(formatted.diff())
                if not check and not diff:
                    formatted.write()
            except TplError as error:
                _fail(error, False)
                code = 2
                continue
        if formatted.changed and not diff and (check or formatted.path is not None):
            print(f"{'would reformat' if check else 'reformatted'} {formatted.name}", file=sys.stderr)
        if formatted.changed and check:
            code = max(code, 1)
    raise typer.Exit(code)


@app.command()
def lsp() -> None:
    """The language server, over standard input and output: docs/editing.md says how editors start it."""
    with reporting(False):
        try:
            from tpl.editor.server import serve
        except ImportError:
            raise _refuse("tpl lsp", "the language server needs pygls", "pip install 'tpl[lsp]'") from None
        serve()


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tpl {__version__}")
        raise typer.Exit


@app.callback()
def _options(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False) -> None:
    pass


# ---------------------------------------------------------------------------------------------- plumbing


def _load(file: str, data: list[str], settings: list[str], max_lines: int, max_memory: str) -> Any:
    from tpl.api import load
    from tpl.core.elaborate import Limits

    return load(file, _data(file, data), settings, Limits(max_lines, _bytes(file, max_memory)))


def _data(file: str, given: list[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, source = text.partition("=")
        if not equals or not name or not source:
            raise _refuse(file, f"--data {text}: a name and a source are needed", "`--data X=cifar10:16`")
        pairs[name.strip()] = source
    return pairs


def _bytes(file: str, text: str) -> int:
    units = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
    number, unit = text.strip().lower().removesuffix("b").removesuffix("i"), ""
    if number and number[-1] in units:
        number, unit = number[:-1], number[-1]
    try:
        value = float(number) * units[unit]
        if not 0 < value < 2**60:
            raise ValueError
    except ValueError:
        raise _refuse(file, f"--max-memory {text}: this is no size", "`500M` or `8G`") from None
    return int(value)


def _widths(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(w) for w in text.split(",")]
    except ValueError:
        raise _refuse("--widths", f"`{text}` is no list of widths", "`--widths 64,128,256`") from None


def _present(result: Any, as_json: bool, printer: str) -> None:
    if as_json:
        print(result.to_json())
        return
    from rich.console import Console

    from tpl.report import tables

    if sys.stdout.isatty():
        getattr(tables, printer)(result, Console(highlight=False))
    else:  # a file or a pipe has no width of its own
        print(tables.text_of(lambda console: getattr(tables, printer)(result, console)))


@contextmanager
def _deadline(name: str, seconds: int) -> Iterator[None]:
    """Refuse what takes longer, where the system has timers."""
    import signal

    def give_up(*_: Any) -> None:
        hint = "a smaller program, fewer steps, or a longer --timeout; `tpl run` samples its limit all the same"
        raise _refuse(name, f"the derivation did not end within {seconds} seconds", hint)

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def progress_bar(title: str) -> Iterator[Any]:
    """A bar on standard error, once the work has taken a second, if someone is there to see it."""
    if not sys.stderr.isatty():
        yield None
        return
    import time

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn())  # fmt: skip
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    start = time.monotonic()
    state: dict[str, Any] = {"task": None}

    def advance(done: int, total: int) -> None:
        if state["task"] is None and time.monotonic() - start > 1.0:
            bar.start()
            state["task"] = bar.add_task(title, total=total)
        if state["task"] is not None:
            bar.update(state["task"], completed=done, total=total)

    try:
        yield advance
    finally:
        bar.stop()


@contextmanager
def reporting(as_json: bool) -> Iterator[None]:
    """Every failure as a message: a mistake of the user's exits with 2, a fault of ours with 70. No traceback."""
    try:
        yield
    except TplError as error:
        _fail(error, as_json)
        raise typer.Exit(2) from None
    except MemoryError:
        print("tpl: error: out of memory\n  help: use fewer --samples or --threads", file=sys.stderr)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        print("tpl: interrupted", file=sys.stderr)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if os.environ.get("TPL_DEBUG"):
            raise
        text = " ".join(str(error).split())[:300]
        print(f"tpl: internal error: {type(error).__name__}: {text}", file=sys.stderr)
        print("  help: this is a fault of tpl, not of the program; TPL_DEBUG=1 shows where", file=sys.stderr)
        raise typer.Exit(70) from None


def _fail(error: TplError, as_json: bool) -> None:
    if as_json:
        from tpl.report.schema import error_json

        print(json.dumps(error_json(error), allow_nan=False))
    count = len(error.diagnostics)
    print(error.render(), file=sys.stderr)
    if count > 1:
        print(f"\n{count} errors", file=sys.stderr)


def main() -> None:
    """Entry point of `tpl`."""
    app()


if __name__ == "__main__":
    main()
