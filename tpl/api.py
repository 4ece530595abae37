"""The Python interface: `tpl.load`, `tpl.loads`, and what can be asked of a program. Mirrors the command line."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tpl.core.elaborate import Limits
from tpl.core.program import Program
from tpl.language.source import Diagnostic, Source, TplError
from tpl.options import check_options, checked_widths
from tpl.pipeline import Compiled, Settings, compile_program, read_source, settings_texts

if TYPE_CHECKING:
    from pathlib import Path

    from tpl.kernels import Kernel
    from tpl.report.derivation import DerivationReport
    from tpl.report.explanation import ExplanationReport
    from tpl.report.page import ExplainPage
    from tpl.report.phase import Phase
    from tpl.report.results import CheckReport, Run, Verification
    from tpl.report.sweep import Sweep

Progress = Callable[[int, int], None]
METHODS = ("auto", "law", "mc", "sample")
REDUCTIONS = ("none", "antithetic", "quasi")
DTYPES = ("float64", "float32")


def load(
    name: str, data: Mapping[str, Any] | None = None, settings: Settings = (), limits: Limits = Limits()
) -> "TensorProgram":
    """Load a `.tp` file, or a bundled program by name.

    data: name -> array, or a source as `--data` takes it ("cifar10:16", "inputs.npy"). settings: as `--set` takes
    them, ["L=10", "phi(z)=tanh(z)"], or by name, {"L": 10, "phi": "tanh(z)"}. Raises TplError, which lists every mistake
    found.
    """
    return TensorProgram(read_source(str(name)), data, settings, limits)


def loads(
    text: str, data: Mapping[str, Any] | None = None, settings: Settings = (), limits: Limits = Limits()
) -> "TensorProgram":
    """Like `load`, from the text of a program."""
    if not isinstance(text, str):
        raise TypeError(f"a program is a text, and this is {type(text).__name__}")
    return TensorProgram(Source(text), data, settings, limits)


class TensorProgram:
    """A compiled program: ask it for its core lines, its limit, its agreement with finite networks."""

    def __init__(self, source: Source, data: Mapping[str, Any] | None, settings: Settings, limits: Limits):
        self.source = source
        self.limits = limits
        if data is not None and not isinstance(data, Mapping):
            hint = 'by name: data={"X": array}'
            raise TplError(source, [Diagnostic(None, f"data is {type(data).__name__}, which names no inputs", hint)])
        self._data, self._settings = data, settings_texts(source, settings)
        self._kernels: dict = {}
        self._few: tuple[Compiled, dict] | None = None
        if data:
            from tpl.kernels import compiled_for_few

            self._few = compiled_for_few(source, data, self._settings, limits)
        if self._few is None:
            _ = self._compiled  # says what is wrong

    @cached_property
    def _compiled(self) -> Compiled:
        """Written out for all inputs."""
        return compile_program(self.source, self._data, self._settings, self.limits)

    @property
    def program(self) -> Program:
        """The core program."""
        return self._compiled.program

    def core(self) -> str:
        """The core program as text, which `tpl.core.text.parse_program` reads back; and a step of training, if it trains."""
        from tpl.core.text import print_program
        from tpl.core.training_text import print_training

        text, training = print_program(self.program), self.program.training
        return text if training is None else f"{text}\n{print_training(training)}"

    def check(
        self,
        samples: int | None = None,
        replicates: int | None = None,
        threads: int | None = None,
        tolerance: float | None = None,
        dtype: str = "float64",
    ) -> "CheckReport":
        """Class, counts, and what a run with these options would cost."""
        from tpl.stages.check import check_report
        from tpl.stages.run import RunOptions

        self._one_of(dtype, DTYPES, "dtype")
        check_options(
            self.source, {"samples": samples, "replicates": replicates, "threads": threads, "tolerance": tolerance}
        )
        options = RunOptions(samples=samples, replicates=replicates, threads=threads, tolerance=tolerance, dtype=dtype)
        return check_report(self._compiled, options)

    def _one_of(self, given: str, known: tuple[str, ...], what: str) -> None:
        if given not in known:
            message = f"there is no {what} `{given}`"
            raise TplError(self.source, [Diagnostic(None, message, f"one of: {', '.join(known)}")])

    def derive(self) -> "DerivationReport | ExplanationReport":
        """The limit as equations, for any two inputs and any depth: `str`, `.latex()`, `.markdown()`, `.html()`."""
        from tpl.stages.derive import derive_limit

        return derive_limit(self.source, self._settings, self.limits, self._compiled)

    def explain(self) -> "ExplanationReport":
        """What every line becomes in the limit, and by which rule: `str`, `.latex()`, `.markdown()`, `.html()`."""
        from tpl.stages.derive import explain_limit

        return explain_limit(self.source, self._settings, self.limits, self._compiled)

    def explain_page(
        self,
        seed: int = 0,
        verify: bool = True,
        quick: bool = False,
        widths: Sequence[int] | None = None,
        seeds: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
        guard: Any = None,
    ) -> "ExplainPage":
        """All there is to say of the program as one page: `.save("page.html")`, `.save("page.ipynb")`, and its parts.

        Line by line, the dependency picture, equations, numbers as pictures, finite networks against the limit. verify:
        run the networks. quick: fewer of them, and fewer samples of training. widths, seeds: of the networks. guard: makes
        a context manager that ends a derivation which takes too long. Parts that there are not state why.
        """
        from contextlib import nullcontext

        from tpl.stages.explain import ExplainOptions, explain_page

        check_options(self.source, {"seed": seed, "seeds": seeds, "threads": threads})
        widths = checked_widths(self.source, widths)
        compiled = self._few[0] if self._few is not None else self._compiled
        options = ExplainOptions(seed, verify, quick, widths, seeds, threads)
        return explain_page(self.source, self._data, self._settings, self.limits, compiled, self._few, options,
                            progress, guard or nullcontext)  # fmt: skip

    def phase(self, x: str | None = None, y: str | None = None, grid: int = 40, drawn: bool = False) -> "Phase":
        """Dynamics of depth: fixed points of the kernel from layer to layer, and the edge of chaos.

        x, y: two constants with ranges, "sigma_w=0.5..4"; sigma_w and sigma_b if left out. grid: intervals an axis of
        the picture. drawn: refuse before the work if there is nothing to draw it over. Raises TplError if no recursion
        leads from layer to layer.
        """
        from tpl.stages.phase import phase_diagram

        return phase_diagram(self.source, self._settings, self.limits, self._compiled, x, y, grid, drawn)

    def run(
        self,
        samples: int | None = None,
        replicates: int | None = None,
        seed: int = 0,
        threads: int | None = None,
        gradient_independence: bool = False,
        progress: Progress | None = None,
        method: str = "auto",
        rtol: float | None = None,
        reduction: str = "none",
        tolerance: float | None = None,
        dtype: str = "float64",
        checkpoint: "str | Path | None" = None,
    ) -> "Run":
        """The limit of everything that the program shows: values, errors, methods, and the plan behind them.

        method: "auto", "law", "mc" or "sample", see `RunOptions`, which says what the others mean; given `samples`,
        `replicates` or `gradient_independence`, "auto" samples. Results depend on neither `threads` nor the machine's
        load. gradient_independence: make the classical mistake of treating W.T as independent of W. Raises TplError
        where the limit does not exist or a limit on memory is exceeded.
        """
        from tpl.stages.run import RunOptions, run_limit, run_pairs

        choices = (
            (method, METHODS, "method"), (reduction, REDUCTIONS, "variance reduction"), (dtype, DTYPES, "dtype")
        )  # fmt: skip
        for choice in choices:
            self._one_of(*choice)
        numbers = {"samples": samples, "replicates": replicates, "seed": seed, "threads": threads, "rtol": rtol}
        check_options(self.source, {**numbers, "tolerance": tolerance})
        options = RunOptions(method, samples, replicates, seed, threads, gradient_independence, rtol, reduction,
                             tolerance, dtype, checkpoint)  # fmt: skip
        if self._few is not None and options.exact:
            found = run_pairs(*self._few, self.limits, options, progress)
            if found is not None:
                return found
        return run_limit(self._compiled, self.limits, options, progress)

    def sweep(
        self,
        values: Mapping[str, Sequence[Any]] | None = None,
        /,
        *,
        run: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
        **more: Sequence[Any],
    ) -> "Sweep":
        """`run` for every combination of settings: `sweep(sigma_w=[1.0, 1.5, 2.0], L=range(1, 6))`.

        Consts, defs (`phi=["tanh(z)", "relu(z)"]`) and settings of training are swept; values: the same as a mapping, for
        names that are no keywords in Python. run: options of every `run`, {"seed": 1, "method": "law"}; each point gives
        the bits that a `run` with its settings gives. progress: told of points done, and of all points. A point that has no
        limit is NaN in the arrays, and its reason stands in `.failures`. Raises TplError where no point has one.
        """
        from tpl.stages.sweep import sweep_settings

        swept = {**(values or {}), **more}
        for name, several in swept.items():
            if isinstance(several, str) or not hasattr(several, "__iter__"):
                hint = f"several values as a list: sweep({name}=[{several!r}])"
                raise TplError(self.source, [Diagnostic(None, f"{name}={several!r} is one value", hint)])
        known = (self._few[1] if self._few is not None else self._compiled.inputs) if self._data else {}
        data = {name: known[name] for name in self._data or {}}  # read once

        def point(settings: Mapping[str, Any]) -> "Run":
            texts = (*self._settings, *settings_texts(self.source, settings))
            return TensorProgram(self.source, data, texts, self.limits).run(**(run or {}))

        return sweep_settings(self.source, swept, point, progress)

    def check_plot(self, swept: Mapping[str, Sequence[Any]] | None = None) -> None:
        """Raise TplError where the `plot` of a run, or of a sweep over settings, would have nothing to draw."""
        from tpl.stages.picture import check_plot

        check_plot(self._for_pairs.program, swept)

    def kernel(
        self,
        X1: Any,
        X2: Any = None,
        get: Sequence[str] = ("nngp", "ntk"),
        dtype: Any = "float64",
        out: Any = None,
        threads: int | None = None,
        progress: Progress | None = None,
        elsewhere: Any = None,
    ) -> "Kernel":
        """Kernels of the first network shown, between inputs X1 [N1, …] and X2 [N2, …]; X2 None: of X1 with itself.

        X1, X2: arrays, lists of sequences, or texts as `--data` takes them ("sphere:4,10", "inputs.npy").

        The law of a pair is compiled once and evaluated for every pair; `.nngp` and `.ntk` are matrices [N1, N2], of
        networks with several outputs [N1, …, N2, …]; `.error` bounds their errors. out: a .npy file, filled block by
        block for matrices beyond memory, [N1, …, N2, …] or [kernels, N1, …, N2, …]; the same call resumes it after an interruption. The bits depend on neither that nor `threads`.
        elsewhere: workers for the blocks (`tpl.extras.dask` has them on a cluster). Raises TplError for programs whose
        inputs interact (`run` samples those), and for inputs of a wrong shape.
        """
        from tpl.kernels import kernel_over_data

        options = {"dtype": dtype, "out": out, "threads": threads, "progress": progress, "elsewhere": elsewhere}
        return kernel_over_data(self._for_pairs, self.limits, X1, X2, tuple(get), self._kernels, **options)

    def kernel_diagonal(self, X: Any, kernel: str = "ntk") -> Any:
        """K(ξ, ξ) for inputs X [N, …]: "nngp" or "ntk" of the first network shown. Raises TplError."""
        from tpl.kernels import diagonal_over_data

        return diagonal_over_data(self._for_pairs, self.limits, X, kernel, self._kernels)

    @property
    def _for_pairs(self) -> Compiled:
        return self._few[0] if self._few is not None else self._compiled

    def with_few_inputs(self) -> "TensorProgram":
        """An equal program for `kernel`, without most of the inputs given: small enough to be sent around."""
        if self._few is None:
            return self
        data = {name: self._few[0].inputs[name] for name in self._data or {}}
        return TensorProgram(self.source, data, self._settings, self.limits)

    def __reduce__(self) -> tuple:
        return TensorProgram, (self.source, self._data, self._settings, self.limits)

    def verify(
        self,
        widths: Sequence[int] | None = None,
        seeds: int | None = None,
        samples: int | None = None,
        replicates: int | None = None,
        seed: int = 0,
        threads: int | None = None,
        level: float = 1e-3,
        gradient_independence: bool = False,
        progress: Progress | None = None,
    ) -> "Verification":
        """Compare the limit with finite networks of growing width over seeds; `.ok` says whether they agree.

        level: the chance of a false alarm, over all the comparisons together. gradient_independence: assume it in
        the limit (not in the finite networks), to see whether it holds.
        """
        from tpl.stages.verify import verify_limit

        numbers = {"seeds": seeds, "samples": samples, "replicates": replicates, "seed": seed, "threads": threads}
        check_options(self.source, {**numbers, "level": level})
        widths = checked_widths(self.source, widths)
        sampling = (samples, replicates, seed, threads, gradient_independence)
        return verify_limit(self._compiled, self.limits, widths, seeds, level, *sampling, progress=progress)

    def __repr__(self) -> str:
        program = self.program
        shows = ", ".join(x.name for x in program.shows)
        return f"<{program.title.splitlines()[0] if program.title else self.source.name}: {len(program.lines):,} lines, shows {shows}>"
