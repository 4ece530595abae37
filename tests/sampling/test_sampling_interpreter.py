"""Schedules compute what the lines say: against a slow interpreter with the same random numbers, line by line."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
import oracle
import sampling_programs as sp

from tpl.core.expr import ONE, ZERO, add, apply, div, mul, neg, number, power, ref, sub, symbol
from tpl.core.functions import FUNCTIONS
from tpl.core.program import Kind
from tpl.sampling import interpreter
from tpl.sampling.errors import Cancelled, NumericalError
from tpl.sampling.interpreter import simulate
from tpl.sampling.plan import Combination, Gram, Input, Map, Product, ScalarMap
from tpl.sampling.schedule import make_schedule
from tpl.sampling.streams import LIMIT_RUN, stream


def same_draws(program, schedule, width, seed):
    """The arrays that a dense simulation draws, in the form that the slow interpreter takes."""
    sizes = program.sizes(width)
    factors = {s.matrix: s for s in schedule.steps if isinstance(s, Input)}
    arrays = {}
    for i, line in enumerate(program.lines):
        if line.op not in ("matrix", "gaussian"):
            continue
        rng = stream(seed, LIMIT_RUN, width, 0, i)
        if i in factors:
            step = factors[i]
            normals = rng.standard_normal((step.factor.shape[1], sizes[line.dims[0]]))
            rows = np.array([program.lines[k].row for k in step.lines])
            # U with U @ row = factor @ normals for all rows that occur
            arrays[i] = (np.linalg.pinv(rows) @ step.factor @ normals).T
        else:
            arrays[i] = rng.standard_normal([sizes.get(d, d) for d in line.dims])
    return arrays


def assert_agrees(program, width=24, seed=3):
    targets = [i for i, line in enumerate(program.lines) if line.kind is Kind.SCALAR or line.op == "output"]
    schedule = make_schedule(program, targets)
    fast = simulate(program, schedule, width, seed, operator="dense")
    slow = oracle.run(program, width, same_draws(program, schedule, width, seed))
    expected = np.array([slow[i] for i in targets], dtype=float)
    assert np.allclose(fast, expected, rtol=1e-9, atol=1e-9)
    return schedule


def random_program(seed):
    """Everything in random order: two widths, all operations, shared arguments, long sums."""
    rng = np.random.default_rng(seed)
    draft = sp.Draft(m="3/2")
    inputs = draft.matrix("n", int(rng.integers(1, 6)))
    square, wide = draft.matrix(), draft.matrix("m", "n", number(2))
    vectors = {
        "n": [draft.gaussian(variance=number(2)), draft.gaussian(mean=number(0.3)), draft.gaussian(variance=ZERO)],
        "m": [draft.gaussian("m")],
    }
    columns = draft.builder.lines[inputs].dims[1]
    vectors["n"] += [draft.input(inputs, row) for row in rng.standard_normal((3, columns))]
    scalars = [draft.scalar(number(0.25))]
    biases = [draft.gaussian(None, number(3))]

    def pick(items):
        return ref(items[int(rng.integers(len(items)))])

    def expression(width, depth=0):
        v = vectors[width]
        kind = int(rng.integers(9)) if depth < 3 else 0
        if kind < 2:
            return pick(v)
        if kind == 2:
            name = rng.choice(["tanh", "relu", "sigmoid", "gelu", "sin", "abs", "step"])
            return apply(str(name), expression(width, depth + 1))
        if kind == 3:
            return mul(pick(scalars), expression(width, depth + 1))
        if kind == 4:
            return sub(expression(width, depth + 1), mul(number(float(rng.normal())), pick(v)))
        if kind == 5:
            return add(tanh(pick(v)), *(mul(pick(scalars), neg(pick(v))) for _ in range(int(rng.integers(3, 12)))))
        if kind == 6:
            return div(power(tanh(expression(width, depth + 1)), number(int(rng.integers(2, 6)))), symbol("pi"))
        if kind == 7:
            return mul(tanh(pick(v)), tanh(pick(v)), number(0.5))
        return apply("max", expression(width, depth + 1), pick(scalars))

    for _ in range(45):
        width = str(rng.choice(["n", "m"]))
        kind = int(rng.integers(10))
        if kind < 3:
            matrix, transposed, source, target = [
                (square, False, "n", "n"), (square, True, "n", "n"), (wide, False, "n", "m"), (wide, True, "m", "n"),
            ][int(rng.integers(4))]  # fmt: skip
            x = int(pick(vectors[source]).value)
            vectors[target].append(draft.builder.matmul(matrix, transposed, x))
        elif kind < 6:
            vectors[width].append(draft.map(tanh(mul(number(0.5), expression(width))), width))
        elif kind == 6:
            scalars.append(draft.moment(expression(width), width))
        elif kind == 7:
            scalars.append(draft.moment(mul(pick(vectors[width]), pick(vectors[width])), width))
        elif kind == 8:
            scalars.append(draft.scalar(tanh(sub(mul(pick(scalars), number(float(rng.normal()))), pick(scalars)))))
        else:
            draft.output(expression(width), (biases[0], number(2)), (biases[0], ONE))
    draft.show(*scalars)
    return draft.program()


tanh = sp.tanh


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed):
    assert_agrees(random_program(seed))


@pytest.mark.parametrize("seed", range(40, 52))
def test_tiles_and_portions(seed, monkeypatch):
    """With tiles of a few numbers, every cut is met."""
    monkeypatch.setattr(interpreter, "TILE", 7 if seed % 2 else 60)
    monkeypatch.setattr(interpreter, "GATHERED", 3)
    monkeypatch.setattr(interpreter, "GATHERED_COLUMNS", 5)
    assert_agrees(random_program(seed))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function(name):
    draft = sp.Draft()
    x, y = draft.gaussian(), draft.gaussian()
    positive = add(ONE, power(ref(x), number(2)))
    count = FUNCTIONS[name].arity or 3
    args = (
        [positive, ref(y), tanh(ref(x))][:count]
        if name in ("pow", "log", "sqrt")
        else [ref(x), positive, ref(y)][:count]
    )
    z = draft.map(add(apply(name, *args), ref(x)))
    draft.show(draft.moment(mul(ref(z), tanh(ref(z)))))
    assert_agrees(draft.program())


@pytest.mark.parametrize("exponent", [-2, -1, 0.5, 1.5, 2, 3, 4, 5])
def test_powers(exponent):
    draft = sp.Draft()
    x = draft.map(apply("exp", ref(draft.gaussian())))
    y = draft.map(power(ref(x), number(exponent)))
    both = draft.map(mul(power(ref(x), number(exponent)), power(tanh(ref(x)), number(exponent))))
    draft.show(draft.moment(ref(y)), draft.moment(ref(both)))
    assert_agrees(draft.program())


def test_whole_networks():
    assert_agrees(sp.mlp_tangent_kernel(5))
    assert_agrees(sp.training(4))
    assert_agrees(sp.alternating(6, m="2/3"), width=30)


def test_more_inputs_than_rows():
    """d = 50 columns and 3 constants: three normals a coordinate, and the right Gram matrix."""
    draft = sp.Draft()
    u = draft.matrix("n", 50)
    rows = np.random.default_rng(0).standard_normal((3, 50))
    h = [draft.input(u, row) for row in rows]
    draft.show(*(draft.moment(mul(ref(a), ref(b))) for a in h for b in h), shape=(3, 3))
    program = draft.program()
    schedule = make_schedule(program)
    (step,) = (s for s in schedule.steps if isinstance(s, Input))
    assert step.factor.shape == (3, 3)
    gram = simulate(program, schedule, 200_000, 0).reshape(3, 3)
    assert np.abs(gram - rows @ rows.T / 50).max() < 0.03
    assert_agrees(program)


def test_constants_and_widths_in_variances():
    draft = sp.Draft(m=3)
    draft.builder.define_constant("sigma", number(2))
    w = draft.builder.matrix(
        "W", ("m", "n"), div(mul(symbol("sigma"), symbol("m")), mul(symbol("n"), symbol("n"))), False
    )
    x = draft.gaussian(variance=symbol("sigma"), mean=neg(symbol("sigma")))
    draft.show(draft.moment(power(ref(draft.times(w, x)), number(2)), "m"))
    assert_agrees(draft.program())


# ---------------------------------------------------------------------------------------------- what a schedule does


def kinds(schedule, kind):
    return [step for step in schedule.steps if isinstance(step, kind)]


def test_unneeded_lines_are_dropped():
    draft = sp.Draft()
    w, x = draft.matrix(), draft.gaussian()
    y = draft.times(w, x)
    for _ in range(3):
        x = draft.map(tanh(ref(draft.times(w, x))))
    draft.output(ref(x))
    draft.show(draft.moment(power(ref(y), number(2))))
    schedule = make_schedule(draft.program())
    assert [len(step.lines) for step in kinds(schedule, Product)] == [1]
    assert not kinds(schedule, Map)


def test_independent_lines_share_steps():
    schedule = make_schedule(sp.mlp_tangent_kernel(6))
    assert [len(s.lines) for s in kinds(schedule, Product)] == [6] * 4
    assert all(len(s.argument.pieces) == 1 for s in kinds(schedule, Product))
    assert all(panel.dense for s in kinds(schedule, Gram) for panel in s.panels)
    assert len(kinds(schedule, Map)) == 6
    assert [len(s.lines) for s in kinds(schedule, ScalarMap)] == [36 - 15]  # numbers that differ do not separate lines


def test_long_sums_become_matrix_products():
    program = sp.training(6)
    schedule = make_schedule(program)
    # Four sums a step from the third on; nothing needs the last backward pass.
    assert len(kinds(schedule, Combination)) == 4 * 4 - 1
    assert max(len(s.argument.rows) for s in kinds(schedule, Combination)) == 3 + 3 * 5
    assert_agrees(program)


def test_sparse_sums_do_not():
    """Sums over different vectors for each line: a matrix product would be mostly zeros."""
    draft = sp.Draft()
    groups = [[draft.gaussian() for _ in range(7)] for _ in range(20)]
    sums = [draft.map(tanh(add(*map(ref, group)))) for group in groups]
    draft.show(*(draft.moment(ref(x)) for x in sums))
    assert not kinds(assert_agrees(draft.program()), Combination)


def test_blocks_are_freed():
    schedule = make_schedule(sp.alternating(20))
    live, most = set(), 0
    for step, frees in zip(schedule.steps, schedule.frees, strict=True):
        live |= {step.block} if hasattr(step, "block") else set()
        most = max(most, len(live))
        live -= set(frees)
    assert not live
    assert most < 9
    assert sum(map(len, schedule.closes)) == 1


def test_random_vectors_wait_until_needed():
    draft = sp.Draft()
    w, x = draft.matrix(), draft.gaussian()
    noise = [draft.gaussian() for _ in range(30)]
    for g in noise:
        x = draft.map(tanh(add(ref(draft.times(w, x)), ref(g))))
    draft.show(draft.moment(power(ref(x), number(2))))
    schedule = make_schedule(draft.program())
    live, most = set(), 0
    for step, frees in zip(schedule.steps, schedule.frees, strict=True):
        live |= {step.block} if hasattr(step, "block") else set()
        most = max(most, len(live))
        live -= set(frees)
    assert most <= 4


def test_a_sum_of_30000_vectors():
    draft = sp.Draft()
    x = [draft.gaussian() for _ in range(30)]
    scalars = [draft.moment(power(ref(a), number(2))) for a in x]
    terms = [mul(ref(scalars[i % 30]), ref(x[(7 * i) % 30])) for i in range(30_000)]
    y = draft.map(add(*terms))
    z = draft.map(add(*(mul(apply("relu", ref(scalars[i % 30])), tanh(ref(x[(11 * i) % 30]))) for i in range(30_000))))
    draft.show(draft.moment(mul(ref(y), ref(z))))
    program = draft.program()
    schedule = make_schedule(program)
    assert np.isfinite(simulate(program, schedule, 100, 0)).all()


def count_instructions(work):
    """Bytecode instructions: linear time without a clock."""
    total = 0

    def trace(frame, event, arg):
        nonlocal total
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        total += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return total


def test_scheduling_is_linear():
    def cost(products):
        program = sp.alternating(products)
        return count_instructions(lambda: make_schedule(program)) / len(program.lines)

    cost(10)
    assert cost(1600) < 1.2 * cost(200)


def test_scheduling_long_sums_is_linear_in_their_length():
    def cost(steps):
        program = sp.training(steps)
        size = sum(line.expr.size for line in program.lines if line.expr is not None)
        return count_instructions(lambda: make_schedule(program)) / size

    cost(2)
    assert cost(12) < 1.2 * cost(6)


# ---------------------------------------------------------------------------------------------- errors


def failing(expr_of, width=64, **options):
    draft = sp.Draft()
    w, x = draft.matrix(), draft.gaussian()
    y = draft.times(w, x)
    bad = draft.map(expr_of(draft, y))
    z = draft.map(tanh(ref(draft.times(w, bad))))
    draft.show(draft.moment(power(ref(z), number(2))), draft.moment(tanh(ref(bad))))
    program = draft.program()
    with pytest.raises(NumericalError) as caught:
        simulate(program, make_schedule(program), width, 0, **options)
    return bad, caught.value


@pytest.mark.parametrize("operator", ["lazy", "dense"])
def test_the_first_bad_line_is_named(operator):
    bad, error = failing(lambda d, y: apply("log", ref(y)), operator=operator)
    assert error.line == bad
    assert "not a number" in error.message
    bad, error = failing(lambda d, y: apply("exp", mul(number(1e6), ref(y))), operator=operator)
    assert error.line == bad
    assert "infinite" in error.message


def test_infinity_inside_an_expression_is_no_error():
    draft = sp.Draft()
    x = draft.gaussian()
    y = draft.map(div(ONE, add(ONE, apply("exp", mul(number(1e6), ref(x))))))
    draft.show(draft.moment(ref(y)))
    program = draft.program()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (value,) = simulate(program, make_schedule(program), 10_000, 0)
    assert abs(value - 0.5) < 0.02


def test_bad_scalars_are_named():
    draft = sp.Draft()
    x = draft.gaussian()
    m = draft.moment(ref(x))
    bad = draft.scalar(apply("sqrt", sub(ref(m), number(10))))
    good = draft.scalar(add(ref(m), ONE))
    draft.show(draft.moment(mul(ref(bad), ref(x))), good)
    program = draft.program()
    with pytest.raises(NumericalError) as caught:
        simulate(program, make_schedule(program), 100, 0)
    assert caught.value.line == bad


@pytest.mark.parametrize(("variance", "message"), [(number(-1), "negative"), (apply("log", number(0)), "math domain")])
def test_bad_variances_are_named(variance, message):
    draft = sp.Draft()
    x = draft.gaussian(variance=variance)
    draft.show(draft.moment(ref(x)))
    program = draft.program()
    with pytest.raises(NumericalError) as caught:
        simulate(program, make_schedule(program), 100, 0)
    assert caught.value.line == x
    assert message in caught.value.message


def test_division_by_a_constant_zero():
    draft = sp.Draft()
    draft.builder.define_constant("zero", ZERO)
    x = draft.gaussian()
    bad = draft.map(mul(ref(x), div(ONE, symbol("zero"))))
    draft.show(draft.moment(ref(bad)))
    with pytest.raises(NumericalError) as caught:
        make_schedule(draft.program())
    assert caught.value.line == bad


def test_cancelled():
    program = sp.semicircle(4)
    calls = []
    with pytest.raises(Cancelled):
        simulate(program, make_schedule(program), 100, 0, cancelled=lambda: calls.append(1) or len(calls) > 5)
    assert len(calls) == 6
