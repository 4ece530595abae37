"""What has no limit since something in it does not exist: asked before symmetries are used, and before any number is.

By oddness E 1/z would be 0, and samples of it look like numbers: neither says that the expectation does not exist.
"""

from tpl.core.expr import divisors, half_defined
from tpl.core.program import Program
from tpl.limit.algebra import NotReal


def refuse_undefined(program: Program) -> None:
    """Raises NotReal at a value, NoExpectation at an expectation, that is needed and certain not to exist."""
    refuse_unreal(program)
    if any(any(divisors(x)) for x in program.expressions()):
        from tpl.numeric.poles import refuse_poles

        refuse_poles(program)


def refuse_unreal(program: Program) -> None:
    """Raises NotReal at a value that is needed and certain not to be real everywhere. Quick where there is no such function."""
    if not any(any(half_defined(x)) for x in program.expressions()):
        return
    from tpl.numeric.domains import undefined_value

    found = undefined_value(program)
    if found is not None:
        raise NotReal(str(found), found.line)
