"""`tpl derive`: the limit as equations, and `--explain`: what every line becomes and why."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tpl.core.elaborate import Limits
from tpl.language.source import Source
from tpl.pipeline import Compiled, compile_program

if TYPE_CHECKING:
    from tpl.core.training import Training
    from tpl.limit.account import Account
    from tpl.limit.derive import Derivation, Plan
    from tpl.report.derivation import DerivationReport
    from tpl.report.explanation import ExplanationReport


def derive_limit(
    source: Source, settings: Sequence[str], limits: Limits, compiled: Compiled
) -> "DerivationReport | ExplanationReport":
    """The limit as equations: of networks for any two inputs and any depth, of bare programs as they stand.

    Between kernels where that is short, between random variables where it is not. Raises TplError where there is none.
    """
    from tpl.limit.derive import TooLong
    from tpl.report.derivation import DerivationReport

    if compiled.program.training is not None:
        return derive_training(limits, compiled)
    try:
        return DerivationReport(kernel_form(source, settings, limits, compiled))
    except TooLong:
        return replace(explain_limit(source, settings, limits, compiled), equations_only=True)


def kernel_form(source: Source, settings: Sequence[str], limits: Limits, compiled: Compiled) -> "Derivation":
    """Equations between kernels. Raises TooLong, also where one recursion does not say it all; TplError without a limit."""
    from tpl.limit.derive import TooLong, derive
    from tpl.limit.generic import MOST_PLACES, why_not_general
    from tpl.limit.refusal import no_limit_reported
    from tpl.numeric.existence import refuse_undefined

    plan = _plan(compiled)
    if plan is not None:
        reason = why_not_general(compiled.file)
        if reason is not None or plan.places > MOST_PLACES:
            raise TooLong(reason or "")
    generic, plan = _generic(source, settings, limits, compiled, name_all=True)
    with no_limit_reported(generic.program.source):
        refuse_undefined(generic.program)
        return derive(generic.program, generic.file, plan, generic.introduced)


def explain_limit(source: Source, settings: Sequence[str], limits: Limits, compiled: Compiled) -> "ExplanationReport":
    """What every line becomes and why, of networks for any two inputs. Raises TplError where there is no limit."""
    from tpl.limit.explain import explain
    from tpl.limit.refusal import no_limit_reported
    from tpl.numeric.existence import refuse_undefined
    from tpl.report.explanation import ExplanationReport

    if compiled.program.training is not None:
        return explain_training(limits, compiled)
    generic, plan = _generic(source, settings, limits, compiled, name_all=False)
    numbers = law_numbers if plan is None else None
    with no_limit_reported(generic.program.source):
        refuse_undefined(generic.program)
        return ExplanationReport(explain(generic.program, generic.file, source, plan, numbers))


def derive_training(limits: Limits, compiled: Compiled) -> "DerivationReport | ExplanationReport":
    """The limit of a training, for any step, layer and input: of the network, or of its kernels and outputs.

    Raises TplError where there is none.
    """
    from tpl.limit.derive import TooLong, derive
    from tpl.limit.generic import why_not_general
    from tpl.limit.refusal import no_limit_reported
    from tpl.limit.train_generic import generic_kernels
    from tpl.report.derivation import DerivationReport
    from tpl.report.explanation import ExplanationReport

    training, account = account_of_training(limits, compiled)
    if training.regime.kind == "features":
        return ExplanationReport(account, equations_only=True)
    source = compiled.program.source
    generic = generic_kernels(training, compiled.file, source, _shapes(compiled), limits, name_all=True)
    try:
        if why_not_general(compiled.file) is not None:
            raise TooLong
        with no_limit_reported(source):
            found = derive(generic.program, generic.file, generic.plan, generic.introduced)
    except TooLong:
        return replace(explain_training(limits, compiled), equations_only=True)
    return DerivationReport(replace(found, title=account.title), ExplanationReport(account))


def explain_training(limits: Limits, compiled: Compiled) -> "ExplanationReport":
    """What every line becomes along training; in the kernel regime at the start, with the kernels. Raises TplError."""
    from tpl.language.source import Diagnostic, TplError
    from tpl.limit.account import KERNELS, SHOWN
    from tpl.limit.explain import explain
    from tpl.limit.refusal import no_limit_reported
    from tpl.limit.train_generic import generic_kernels
    from tpl.report.explanation import ExplanationReport

    training, account = account_of_training(limits, compiled)
    if training.regime.kind == "features":
        return ExplanationReport(account)
    source = compiled.program.source
    if any(role.parameter.own_rate for role in training.regime.roles):
        message = "kernels of params with rates of their own are not explained line by line"
        raise TplError(source, [Diagnostic(training.span, message, "`tpl derive` without `--explain` gives them")])
    generic = generic_kernels(training, compiled.file, source, _shapes(compiled), limits, name_all=False)
    with no_limit_reported(source):
        found = explain(generic.program, generic.file, source, generic.plan, weights=generic.weights)
    entries = [
        replace(e, section=KERNELS, text=e.text.removeprefix("show ")) if e.section == SHOWN else e
        for e in found.entries
    ]
    return ExplanationReport(replace(found, title=account.title, entries=(*entries, *account.entries)))


def account_of_training(limits: Limits, compiled: Compiled) -> "tuple[Training, Account]":
    """A training and the account of it, without the kernels of the kernel regime. Raises TplError where there is none."""
    from tpl.limit.train_account import explain_training as explain
    from tpl.limit.train_generic import generic_training
    from tpl.stages.train import training_of

    program, file = compiled.program, compiled.file
    training = training_of(program)
    generic = generic_training(file, program.source, _shapes(compiled), limits)
    return training, explain(training, program, generic, file, program.source)


def _shapes(compiled: Compiled) -> dict[str, tuple[int, ...]]:
    return {name: x.shape for name, x in compiled.inputs.items()}


def _generic(
    source: Source, settings: Sequence[str], limits: Limits, compiled: Compiled, name_all: bool
) -> "tuple[Compiled, Plan | None]":
    """The program for two generic inputs, and the plan for that; as it stands, and None, if it shows no network's kernel.

    name_all: see `compile_program`.
    """
    plan = _plan(compiled)
    if plan is None:
        return compiled, None
    planned = {x.split("=")[0] for x in plan.settings}
    kept = [x for x in settings if x.split("=")[0].strip() not in planned]
    found = compile_program(
        source, plan.data, [*kept, *plan.settings], limits, plan.rows, name_all, generic_entries=plan.entries,
        entries=name_all,
    )  # fmt: skip
    return found, plan


def _plan(compiled: Compiled) -> "Plan | None":
    from tpl.limit.generic import plan_generic

    return plan_generic(compiled.file, _shapes(compiled))


def law_numbers(law: Any, values: Sequence[Any]) -> list[tuple[float, float] | None]:
    """Values of a law and their errors; None where there is no number."""
    from copy import copy

    from tpl.limit.algebra import NoLaw
    from tpl.numeric.evaluate import evaluate_law

    asked = copy(law)
    asked.scalars = dict(enumerate(values))
    try:
        found = evaluate_law(asked, list(asked.scalars))
    except NoLaw:
        return [None] * len(values)
    return list(zip(map(float, found.value), map(float, found.error), strict=True))
