"""Sequences of unequal length in one data set: each input of a network has its own."""

import numpy as np
import pytest

import tpl
from tpl.data import DataError, from_array, generate, load_source

LIMIT = 2**24
RECURRENT = """
width n
data X[N, T, d] = sphere(4, 5, 10, lengths="5,3,4,5", seed=0)
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    x[1] = erf(U @ xi[1])
    for t in 2..T:
        x[t] = erf(W @ x[t-1] + U @ xi[t])
    param v : [1, n] ~ N(0, 1 / n)
    return v @ sum(x[t] for t in 1..T) / T
show nngp(f, X)
"""


def recurrent_kernel(x, y):
    """The output covariance for two sequences, by the two-time recursion (TP1), with erf's formula (Williams 1997)."""

    def covariances(a, b):
        h = np.empty((len(a), len(b)))
        for s in range(len(a)):
            for t in range(len(b)):
                h[s, t] = a[s] @ b[t] / a.shape[1]
                if s and t:
                    h[s, t] += features(a, b, h)[s - 1, t - 1]
        return h

    def features(a, b, h):
        one = np.array([norms[id(a)][s] for s in range(len(a))])
        two = np.array([norms[id(b)][t] for t in range(len(b))])
        scale = np.sqrt(np.outer(1 + 2 * one, 1 + 2 * two))
        return 2 / np.pi * np.arcsin(np.clip(2 * h / scale, -1, 1))

    norms = {}
    for a in (x, y):
        variance = [a[0] @ a[0] / a.shape[1]]
        for t in range(1, len(a)):
            variance.append(a[t] @ a[t] / a.shape[1] + 2 / np.pi * np.arcsin(2 * variance[-1] / (1 + 2 * variance[-1])))
        norms[id(a)] = variance
    with np.errstate(invalid="ignore"):
        return features(x, y, covariances(x, y)).mean()


def test_each_sequence_is_averaged_over_its_own_length():
    rows = generate("sphere", [4, 5, 10], {"seed": 0, "lengths": "5,3,4,5"}, LIMIT).rows()
    expected = [[recurrent_kernel(x, y) for y in rows] for x in rows]
    np.testing.assert_allclose(tpl.loads(RECURRENT).run()[0].value, expected, atol=1e-12)


def test_finite_networks_agree():
    text = RECURRENT + "show ntk(f, X)\n"
    assert tpl.loads(text).verify(widths=(64, 128, 256, 512), seeds=24, samples=4096, level=1e-4).ok


def test_equal_lengths_are_ordinary_data():
    same = RECURRENT.replace(', lengths="5,3,4,5"', ', lengths="5,5,5,5"')
    plain = RECURRENT.replace(', lengths="5,3,4,5"', "")
    np.testing.assert_array_equal(tpl.loads(same).run()[0].value, tpl.loads(plain).run()[0].value)


def test_sources(tmp_path):
    made = generate("sphere", [3, 5, 10], {"lengths": "5,2,4"}, LIMIT)
    arrays = [np.array(x) for x in made.rows()]
    assert made.shape == (3, 5, 10)
    assert [len(x) for x in arrays] == [5, 2, 4]
    np.testing.assert_array_equal(
        np.stack([x[:2] for x in arrays]), generate("sphere", [3, 5, 10], {}, LIMIT).array[:, :2]
    )
    np.savez(tmp_path / "tokens.npz", *arrays)
    for dataset in (
        from_array("X", arrays, LIMIT),
        load_source(f"{tmp_path}/tokens.npz:*", LIMIT),
        load_source("sphere:3,5,10,lengths=5,2,4", LIMIT),
    ):
        assert dataset.lengths == (5, 2, 4)
        np.testing.assert_array_equal(dataset.array, made.array)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: from_array("X", [np.ones((2, 3)), np.ones((2, 4))], LIMIT), "first size only"),
        (lambda: from_array("X", [np.ones((2, 3)), np.array(1.0)], LIMIT), "single numbers"),
        (lambda: from_array("X", [np.ones((2, 3)), np.full((1, 3), np.nan)], LIMIT), "nan"),
        (lambda: from_array("X", [np.ones((200, 3))] * 9, 2**12), "more than the limit"),
        (lambda: generate("sphere", [2, 5, 3], {"lengths": "5,6"}, LIMIT), "a length is 6"),
        (lambda: generate("sphere", [2, 5, 3], {"lengths": "5"}, LIMIT), "1 length for"),
        (lambda: generate("sphere", [2, 5], {"lengths": "5,2"}, LIMIT), "2 lengths for"),
        (lambda: generate("gaussian", [2, 5, 3], {"lengths": "5,x"}, LIMIT), "not 'x'"),
        (lambda: generate("gaussian", [2, 5, 3], {"lengths": "5,0"}, LIMIT), "not 0"),
    ],
)
def test_bad_sequences(make, message):
    with pytest.raises(DataError, match=message):
        make()


WRONG = """
width n
data X[N, T, d] = [[[1, 0], [0, 1]], [[1, 1]]]
data Z[M, T] = [[1, 0]]
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ (U @ xi[t]) for t in 1..T
show T
show nngp(f, X)
"""


def test_a_length_of_its_own_is_no_number_outside():
    with pytest.raises(tpl.TplError) as found:
        tpl.loads(WRONG)
    messages = [(d.span.line, d.message) for d in found.value.diagnostics]
    assert messages == [
        (4, "`T` is the length of each sequence of `X`"),
        (8, "sequences of unequal length have unequal numbers of outputs here"),
        (9, "`T` differs from one sequence of `X` to the next"),
    ]


def test_training_on_sequences():
    """Two steps of a linear network, mu-parametrized, by hand: x = mean over time of U xi[t], f = v x."""
    text = """
    width n
    data X[N, T, d] = [[[1, 0], [0, 1], [1, 2]], [[1, 1]]]
    data y[N] = [1, -1]
    network f(xi[T, d]):
        param U : [n, d] ~ N(0, 1 / d)
        param v : [1, n] ~ N(0, 1 / n)
        x = sum(U @ xi[t] for t in 1..T) / T
        return v @ x
    train f on X, y:
        parametrization = mup
        loss = squared(f, y)
        rate = 0.5
        steps = 2
    show f
    """
    import textwrap

    found = tpl.loads(textwrap.dedent(text)).run(samples=65536)["f"]
    inputs, y = np.array([[2 / 3, 1], [1, 1]]), np.array([1.0, -1.0])
    k = inputs @ inputs.T / 2
    # Moments over coordinates: <x, x>, <v, x>, <v, v> with x [2], v; dx = -r mean_b chi_b k_b v, dv = -r mean_b chi_b x_b.
    xx, vx, vv = k.copy(), np.zeros(2), 1.0
    for step in range(3):
        error = np.asarray(found.error)[step]
        assert (np.abs(np.asarray(found.value)[step] - vx) <= 4 * error).all()
        c = 0.5 * (vx - y) / 2
        a = c @ k  # x_a gains -a_a v; v gains -c . x
        xx, vx, vv = (
            xx - np.outer(a, vx) - np.outer(vx, a) + np.outer(a, a) * vv,
            vx - a * vv - xx @ c + a * (c @ vx),
            vv - 2 * c @ vx + c @ xx @ c,
        )


def test_kernel_of_sequences_by_pairs():
    """`kernel` and `run` of many sequences, by pairs of lengths, against the recursion written out above."""
    lengths = ",".join(str(1 + i % 3) for i in range(12))
    rows = generate("sphere", [12, 3, 10], {"seed": 1, "lengths": lengths}, LIMIT).rows()
    expected = np.array([[recurrent_kernel(x, y) for y in rows] for x in rows])
    program = tpl.loads(RECURRENT)
    found = program.kernel(list(rows), get=("nngp",))
    np.testing.assert_allclose(found.nngp, expected, atol=1e-13)
    assert (np.abs(found.nngp - expected) <= found.errors("nngp") + 1e-15).all()
    np.testing.assert_array_equal(
        program.kernel(list(rows[:5]), list(rows[3:]), get=("nngp",)).nngp[3:, 0], found.nngp[3:5, 3]
    )
    np.testing.assert_allclose(program.kernel_diagonal(list(rows), "nngp"), np.diag(expected), atol=1e-13)
    run = tpl.loads(RECURRENT, data={"X": list(rows)}).run()[0]
    assert "every pair" in run.method
    np.testing.assert_array_equal(run.value, found.nngp)


def test_tangent_kernels_of_sequences_by_pairs():
    """Pair by pair, what the whole program's law gives; constant sequences are no longer ones cut short."""
    rng = np.random.default_rng(2)
    rows = [rng.standard_normal((n, 4)) for n in (3, 1, 2, 3)] + [np.ones((n, 4)) for n in (1, 3)]
    whole = tpl.loads(RECURRENT + "show ntk(f, X)\n", data={"X": rows}).run(method="law")
    found = tpl.loads(RECURRENT + "show ntk(f, X)\n").kernel(rows)
    np.testing.assert_allclose(found.nngp, whole["nngp(f, X)"].value, atol=1e-12)
    np.testing.assert_allclose(found.ntk, whole["ntk(f, X)"].value, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([np.ones((2, 3)), np.ones((1, 4))], "they may differ in their first size only"),
        ([np.ones((2, 3)), np.ones((1, 3, 1))], "numbers with 2 axes"),
        ([np.ones((2, 3)), np.full((1, 3), np.nan)], "not finite"),
        ([np.ones((2, 3)), [["a"]]], "numbers with 2 axes"),
    ],
)
def test_bad_sequences_for_a_kernel(given, message):
    with pytest.raises(tpl.TplError, match=message):
        tpl.loads(RECURRENT).kernel(given)


def test_kernels_between_outputs_of_sequences():
    """An output at each of the first steps: [N, steps, N, steps], by pairs as by the law of all sequences at once."""
    text = RECURRENT.replace("v @ sum(x[t] for t in 1..T) / T", "v @ x[t] for t in 1..2") + "show ntk(f, X)\n"
    rows = generate("sphere", [4, 5, 10], {"seed": 0, "lengths": "5,3,4,5"}, LIMIT).rows()
    program = tpl.loads(text)
    found, law = program.kernel(list(rows)), program.run(method="law")
    assert found.ntk.shape == (4, 2, 4, 2)
    np.testing.assert_allclose(found.nngp, law["nngp(f, X)"].value, atol=1e-14)
    np.testing.assert_allclose(found.ntk, law["ntk(f, X)"].value, atol=1e-14)
    # A pair of lengths is computed in the order given here, above as the mirror image of the other order: rounding differs.
    np.testing.assert_allclose(program.kernel(list(rows[:2]), list(rows)).ntk, found.ntk[:2], rtol=0, atol=1e-15)
