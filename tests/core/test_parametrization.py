"""Regimes of parametrizations against TP4's theorem, the published table, and invariance."""

import random
from fractions import Fraction

import pytest

from tpl.core.parametrization import NAMED, Growth, Parameter, Scale, abc, classify, power_of_n

HALF = Fraction(1, 2)
QUARTERS = [Fraction(k, 4) for k in range(-6, 9)]


def mlp(parametrization, hidden=2, biases=False):
    """The parameters of an MLP: U, W[2], ..., V and, if asked, b and c."""
    scale = {group: exponents.scale for group, exponents in parametrization.items()}
    layers = [Parameter(f"W[{i + 2}]", "hidden", scale["hidden"]) for i in range(hidden)]
    parameters = [Parameter("U", "input", scale["input"]), *layers, Parameter("V", "readout", scale["readout"])]
    if biases:
        parameters += [Parameter("b", "input", scale["input"]), Parameter("c", "bias", scale["bias"])]
    return parameters


def theorem(a, b, c):
    """TP4 def. 3.2, thm 3.3 and 3.4, as printed, but with a+b at least, not equal to, its value below the readout.

    Returns (stable, standard initial values, nontrivial, r).
    """
    r = min(a[-1] + b[-1], 2 * a[-1] + c) + c - 1 + min(2 * a[i] + (i == 0) for i in range(len(a) - 1))
    sizes = [a[0] + b[0]] + [a[i] + b[i] - HALF for i in range(1, len(a) - 1)]
    last = 2 * a[-1] + c, a[-1] + b[-1] + r
    stable = min(sizes) >= 0 and a[-1] + b[-1] >= HALF and r >= 0 and min(last) >= 1
    return stable, not any(sizes), min(last) == 1, r


def triples(count, seed):
    """(a, b, c) for input, hidden, readout: half of them with standard initial sizes, so that many are stable."""
    rng = random.Random(seed)
    for i in range(count):
        a = [rng.choice(QUARTERS) for _ in range(3)]
        b = [rng.choice(QUARTERS) for _ in range(3)]
        if i % 2:
            b[0], b[1] = -a[0], HALF - a[1]
        yield a, b, rng.choice(QUARTERS)


@pytest.mark.parametrize("hidden", [0, 1, 3])
def test_the_theorem_of_tp4(hidden):
    kinds = {"unstable": 0, "trivial": 0, "kernel": 0, "features": 0}
    for a, b, c in triples(20000, seed=hidden):
        regime = classify(mlp(abc(a, b, c), hidden))
        layers = [0, *[1] * hidden, 2]
        stable, standard, nontrivial, r = theorem([a[i] for i in layers], [b[i] for i in layers], c)
        assert regime.r == r
        assert (regime.kind != "unstable") == stable
        if stable:
            assert all(role.init == 0 for role in regime.roles if role.parameter.group != "readout") == standard
            expected = "trivial" if not nontrivial else "features" if r == 0 else "kernel"
            assert regime.kind == expected
        kinds[regime.kind] += 1
    assert min(kinds.values()) >= 20, kinds


@pytest.mark.parametrize("name", NAMED)
def test_what_the_table_of_tp4_says(name):
    expected = {"mup": ("features", 1, 0), "ip": ("features", 1, 0), "ntp": ("kernel", HALF, HALF)}
    expected["sp"] = expected["ntp"]
    regime = classify(mlp(NAMED[name], biases=True))
    assert (regime.kind, regime.u, regime.r) == expected[name]


def roles(name):
    return {r.parameter.name: (r.init, r.update, r.kernel) for r in classify(mlp(NAMED[name], 1, True)).roles}


def test_roles_of_parameters():
    """By hand: dW x' = n^{1 - u - (c+2a)}, and V dW x' another n^{1 - u}."""
    assert roles("mup") == {"U": (0, 0, 0), "W[2]": (0, 0, 0), "V": (0, 0, 0), "b": (0, 0, 0), "c": (HALF, 0, 0)}
    assert roles("ip") == {"U": (0, 0, 0), "W[2]": (HALF, 0, 0), "V": (0, 0, 0), "b": (0, 0, 0), "c": (HALF, 0, 0)}
    lower = (0, HALF, 0)
    assert roles("ntp") == {"U": lower, "W[2]": lower, "V": lower, "b": lower, "c": (0, 0, 0)}
    late = (0, 3 * HALF, 1)
    assert roles("sp") == {"U": late, "W[2]": lower, "V": lower, "b": late, "c": (0, 1, 1)}


def test_moves_and_kernels():
    sp = classify(mlp(NAMED["sp"], 1, True))
    assert [role.parameter.name for role in sp.roles if role.in_kernel] == ["W[2]", "V"]
    assert not any(role.moves for role in sp.roles)
    assert all(role.moves for role in classify(mlp(NAMED["mup"], 1, True)).roles)


def test_invariance_under_the_change_of_gauge():
    """(a, b, c) → (a+t, b-t, c-2t) changes nothing (TP4 §3.1), output biases included."""
    for a, b, c in triples(200, seed=5):
        for t in (Fraction(1, 3), Fraction(-2)):
            moved = abc([x + t for x in a], [x - t for x in b], c - 2 * t)
            assert classify(mlp(moved, biases=True)) == classify(mlp(abc(a, b, c), biases=True))


def test_rates_of_each_layer_are_gauge_too():
    a, b = [Fraction(1), Fraction(2), Fraction(-1)], [Fraction(-1), Fraction(-3, 2), Fraction(2)]
    c = [-Fraction(3), -Fraction(4), Fraction(3)]
    assert {g: e.scale for g, e in abc(a, b, c).items()} == {g: e.scale for g, e in NAMED["mup"].items()}


@pytest.mark.parametrize(
    ("group", "scale", "growth"),
    [
        ("input", Scale(-HALF, Fraction(-1)), Growth("U", "products", "start", HALF)),
        ("input", Scale(Fraction(0), Fraction(-3, 2)), Growth("U", "products", "update", HALF)),
        ("hidden", Scale(Fraction(0), Fraction(0)), Growth("W[2]", "products", "start", HALF)),
        ("hidden", Scale(HALF, -HALF), Growth("W[2]", "products", "update", HALF)),
        ("readout", Scale(Fraction(1), Fraction(0)), Growth("V", "output", "update", Fraction(1))),
        ("bias", Scale(-Fraction(1, 3), Fraction(0)), Growth("c", "output", "start", Fraction(1, 3))),
        ("bias", Scale(Fraction(0), Fraction(-1)), Growth("c", "output", "update", Fraction(1))),
    ],
)
def test_what_blows_up_is_named(group, scale, growth):
    """One parameter of a μP network scaled differently: the growth it causes is reported, with its power."""
    parameters = [
        Parameter(p.name, p.group, scale) if p.group == group and p.name != "b" else p
        for p in mlp(NAMED["mup"], 1, True)
    ]
    regime = classify(parameters)
    assert regime.kind == "unstable"
    assert growth in regime.growths
    assert str(growth) in regime.reasons


def test_sentences():
    assert (
        str(Growth("W[2]", "products", "update", HALF)) == "the update of `W[2]` makes its products grow like n^(1/2)"
    )
    assert str(Growth("V", "output", "update", Fraction(1))) == "the update of `V` makes the output grow like n"
    assert power_of_n(Fraction(-3, 2)) == "n^(-3/2)"
    assert power_of_n(Fraction(2)) == "n^2"


def test_a_random_readout_of_order_one_carries_the_motion_of_features_too_far():
    """NTP's initial readout with μP's rates below: V_0 (h_t - h_0) grows, although features do not."""
    scale = {g: e.scale for g, e in NAMED["ntp"].items()}
    parameters = [Parameter("U", "input", Scale(Fraction(0), -HALF)), Parameter("V", "readout", scale["readout"])]
    regime = classify(parameters)
    assert regime.r == 0
    assert regime.growths == (Growth("U", "output", "update", HALF),)


def test_the_largest_of_several_readouts_decides():
    mup = mlp(NAMED["mup"])
    regime = classify([*mup, Parameter("V2", "readout", Scale(Fraction(2), Fraction(3, 2)))])
    assert (regime.kind, regime.u) == ("features", 1)
    assert regime.role("V2").init == 1
    assert regime.role("V2").update == HALF
    assert not regime.role("V2").moves
    ntp = NAMED["ntp"]["readout"].scale
    assert classify([*mup, Parameter("V2", "readout", ntp)]).u == HALF
    assert classify([*mup, Parameter("V2", "readout", ntp)]).kind == "unstable"


def test_parameters_that_are_fixed():
    mup = mlp(NAMED["mup"], 1)
    fixed = [Parameter(p.name, p.group, p.scale, trained=p.group == "readout") for p in mup]
    regime = classify(fixed)
    assert (regime.kind, regime.r) == ("kernel", None)
    assert regime.role("U").update is None
    assert regime.role("V").in_kernel
    nothing = classify([Parameter(p.name, p.group, p.scale, trained=False) for p in mup])
    assert nothing.kind == "trivial"
    assert "nothing learns" in nothing.reasons


def test_rates_of_a_fixed_readout_do_not_matter():
    readout = Parameter("V", "readout", Scale(Fraction(1), Fraction(-3)), trained=False)
    regime = classify([*mlp(NAMED["mup"])[:-1], readout])
    assert (regime.kind, regime.u) == ("features", 1)


def test_outputs_start_as_gaussian_processes_where_initial_readouts_are_large_enough():
    said = {name: any("Gaussian process" in r for r in classify(mlp(NAMED[name])).reasons) for name in NAMED}
    assert said == {"mup": False, "ip": False, "ntp": True, "sp": True}


def test_parameters_that_start_at_zero():
    scale = {g: e.scale for g, e in NAMED["mup"].items()}
    mup = mlp(NAMED["mup"], 1)
    stuck = classify([*mup, Parameter("b", "input", scale["input"], random=False)])
    assert stuck.role("b").init is None
    assert not stuck.role("b").moves
    assert any("`b` has variance 0" in reason for reason in stuck.reasons)
    free = classify([*mup, Parameter("b", "input", scale["input"], random=False, own_rate=True)])
    assert free.role("b").moves
    assert not any("variance 0" in reason for reason in free.reasons)


def test_a_readout_that_starts_at_zero_has_the_size_of_its_updates():
    """NTP with V_0 = 0 and rates larger by n^{1/2} below is a μP network."""
    readout = Parameter("V", "readout", NAMED["ntp"]["readout"].scale, random=False, own_rate=True)
    below = mlp(NAMED["mup"], 1)[:-1]
    regime = classify([*below, readout])
    assert (regime.kind, regime.u, regime.r) == ("features", 1, 0)
    assert classify(below).u == 1


def test_powers_in_a_text():
    """W : [n, n] ~ N(0, 1/n) rate 1 and V : [1, n] ~ N(0, 1/n^2) rate 1/n are μP's."""
    assert Scale.of_powers(Fraction(-1), Fraction(0)) == NAMED["mup"]["hidden"].scale
    assert Scale.of_powers(Fraction(-2), Fraction(-1)) == NAMED["mup"]["readout"].scale
    assert Scale.of_powers(Fraction(0), Fraction(1)) == NAMED["mup"]["input"].scale


def test_lists_of_other_lengths_are_refused():
    zero = Fraction(0)
    with pytest.raises(ValueError, match="three"):
        abc([zero] * 2, [zero] * 3, zero)
    with pytest.raises(ValueError, match="three"):
        abc([zero] * 3, [zero] * 3, [zero] * 4)


def test_no_such_parameter():
    with pytest.raises(KeyError):
        classify(mlp(NAMED["mup"])).role("Z")
