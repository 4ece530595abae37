"""Powers of the width measured on trained finite networks against those that `classify` tells from exponents."""

import random
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tpl.core.parametrization import NAMED, Parameter, abc, classify

sys.path.insert(0, str(Path(__file__).parent))
import reference
from reference import Network, Training

WIDTHS = [64, 128, 256, 512, 1024]
HALF = Fraction(1, 2)
DEPTH = 3
INPUTS = np.random.default_rng(0).standard_normal((3, 4))
TARGETS = np.ones((3, 1))  # of one sign, so that steps add up
GROUPS = {"W1": "input", "W2": "hidden", "W3": "hidden", "V": "readout"}
GROUPS |= {"b1": "input", "b2": "input", "b3": "input", "c": "bias"}


def network(parametrization, activation="sigmoid", biases=True):
    """φ(0) is not 0 for the sigmoid: products have the size that exponents tell, even where W_0 x vanishes."""
    scales = {group: (e.scale.init, e.scale.rate) for group, e in parametrization.items()}
    bias = 1.0 if biases else None
    return Network(scales, DEPTH, activation, sigma=1.5, bias=bias, output_bias=bias)


def regime(parametrization, biases=True):
    names = [name for name in GROUPS if biases or name[0] in "WV"]
    return classify([Parameter(name, GROUPS[name], parametrization[GROUPS[name]].scale) for name in names])


def rms(array):
    return np.sqrt(np.mean(np.square(array)))


def powers(sizes):
    """The power of n of every size that sizes(width, seed) gives: a least-squares line through root mean squares."""
    rows = []
    for width in WIDTHS:
        found = [sizes(width, seed) for seed in range(3 * WIDTHS[-1] // width)]  # narrow networks fluctuate more
        rows.append({key: np.log2(rms([one[key] for one in found])) for key in found[0]})
    return {key: np.polyfit(np.log2(WIDTHS), [row[key] for row in rows], 1)[0] for key in rows[0]}


def one_step_each(net, width, seed, warm, steps):
    """Sizes at the start, and after one step of each parameter alone.

    Before that, parameters whose names begin with a letter of `warm` make some steps: readouts reach the size n^{-u},
    and what vanishes at the start has time to grow from the top to the bottom. The loss is -f y, whose gradients do not
    depend on how large f is.
    """
    weights = reference.draw(net, width, INPUTS.shape[1], seed)
    laws = reference.laws(net, width, INPUTS.shape[1])
    chi = -TARGETS / len(TARGETS)
    seen = reference.forward(net, weights, INPUTS)
    sizes = {(name, "init"): rms(products(weights[name], name, seen)) for name in weights}
    sizes["V", "init"] = laws["V"].spread * np.sqrt((seen.x[-1] ** 2).sum(axis=1).mean())  # in the mean over V
    sizes["c", "init"] = laws["c"].spread
    for _ in range(steps):
        gradients = reference.backward(net, weights, INPUTS, seen, chi)
        chosen = [name for name in weights if name[0] in warm]
        weights = weights | {name: weights[name] - laws[name].factor * gradients[name] for name in chosen}
        seen = reference.forward(net, weights, INPUTS)
    gradients = reference.backward(net, weights, INPUTS, seen, chi)
    for name in weights:
        moved = -laws[name].factor * gradients[name]
        sizes[name, "update"] = rms(moved if name == "V" else products(moved, name, seen))
        sizes[name, "kernel"] = rms(reference.forward(net, weights | {name: weights[name] + moved}, INPUTS).f - seen.f)
    return sizes


def products(matrix, name, seen):
    """A matrix times what it is applied to; a bias itself."""
    arguments = {"W1": INPUTS, "W2": seen.x[0], "W3": seen.x[1], "V": seen.x[2]}
    return arguments[name] @ matrix.T if name in arguments else matrix


def expected_powers(found):
    """What classify says about the sizes of one_step_each, where it says something."""
    sizes = {}
    for role in found.roles:
        name, u = role.parameter.name, found.u
        readout = GROUPS[name] == "readout"
        sizes[name, "init"] = HALF - role.init - u if readout else -role.init
        sizes[name, "update"] = -role.update - u if readout else -role.update
        if role.update >= 0:  # beyond, the sigmoid saturates
            sizes[name, "kernel"] = -role.kernel
    return sizes


def random_parametrizations(count, seed):
    """Exponents in halves, as many of each kind, with initial features of order one, as TP4 asks.

    No factor is beyond n^(3/2) or n^(-3/2): what vanishes faster is lost in rounding errors.
    """
    rng = random.Random(seed)
    halves = [Fraction(i, 2) for i in range(-3, 5)]
    found = {"unstable": [], "trivial": [], "kernel": [], "features": []}
    while min(map(len, found.values())) < count:
        a = [rng.choice(halves) for _ in range(3)]
        readout = rng.choice([HALF, 2 * HALF, 3 * HALF])
        chosen = abc(a, [-a[0], HALF - a[1], readout - a[2]], rng.choices(halves, k=3))
        seen = regime(chosen)
        fits = all(abs(p) <= Fraction(3, 2) for role in seen.roles for p in (role.init, role.update, role.kernel))
        if fits and not any(same(chosen, other) for other in [*NAMED.values(), *found[seen.kind]]):
            found[seen.kind].append(chosen)
    return {f"{kind} {i}": chosen for kind, some in found.items() for i, chosen in enumerate(some[:count])}


def same(one, other):
    return all(one[group].scale == other[group].scale for group in one)


def after_training(net, width, seed, steps):
    """How far features of each layer and outputs are from where they started."""
    weights = reference.draw(net, width, INPUTS.shape[1], seed)
    training = Training([None] * steps, rate=2.0, loss="logistic", centred=True)  # f_0 differs between draws
    first, last = reference.train(net, training, weights, (INPUTS, TARGETS), record=[0, steps])
    return {f"h{i + 1}": rms(last.h[i] - first.h[i]) for i in range(DEPTH)} | {"f": rms(last.f - first.f)}


CASES = {**NAMED, **random_parametrizations(3, seed=1)}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_parameter_acts_with_its_power(name):
    found = regime(CASES[name])
    warm = "V" if found.kind == "unstable" else "WVbc"
    steps = 4 * DEPTH if name == "ip" else DEPTH
    measured = powers(lambda width, seed: one_step_each(network(CASES[name]), width, seed, warm, steps))
    for key, power in expected_powers(found).items():
        assert measured[key] == pytest.approx(float(power), abs=0.07), key


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("unstable")])
def test_features_and_outputs_move_as_told(name):
    """In IP lower layers move after upper ones: many steps, and no biases, which would fit the targets before."""
    biases, steps = (False, 20) if name == "ip" else (True, 2 * DEPTH)
    found = regime(CASES[name], biases)
    measured = powers(lambda width, seed: after_training(network(CASES[name], biases=biases), width, seed, steps))
    for layer in range(1, DEPTH + 1):
        updates = [role.update for role in found.roles if role.parameter.name[1:] in set("123"[:layer])]
        assert measured[f"h{layer}"] == pytest.approx(-float(min(updates)), abs=0.07)
    assert measured["f"] == pytest.approx(-float(min(role.kernel for role in found.roles)), abs=0.07)


def test_standard_parametrization_with_rates_that_ignore_the_width():
    """TP4 §1: it blows up. In the first step outputs jump by n, and by n^(1/2) the products of hidden matrices."""
    a = [Fraction(0)] * 3
    case = abc(a, [Fraction(0), HALF, HALF], Fraction(0))
    found = regime(case, biases=False)
    assert found.kind == "unstable"
    assert max(growth.power for growth in found.growths if growth.of == "output") == 1
    assert "the update of `V` makes the output grow like n" in found.reasons
    measured = powers(lambda width, seed: after_training(network(case, biases=False), width, seed, steps=1))
    assert measured["f"] == pytest.approx(1, abs=0.07)
    assert measured["h3"] == pytest.approx(0.5, abs=0.07)


def test_deep_networks_in_ip_stay_where_they_are():
    """W_0 x vanishes: upper layers see nothing, unless φ(0) is not 0 (Hajjar, Chizat & Giraud 2021)."""
    assert any("`W2` vanishes" in reason for reason in regime(NAMED["ip"], biases=False).reasons)
    tanh, sigmoid = (network(NAMED["ip"], activation, biases=False) for activation in ("tanh", "sigmoid"))
    stuck = powers(lambda width, seed: after_training(tanh, width, seed, steps=2))
    assert stuck["f"] == pytest.approx(-1, abs=0.05)  # by W3: x² is as large as W2_0 x¹, n^{-1/2}, and meets itself
    free = powers(lambda width, seed: after_training(sigmoid, width, seed, steps=2))
    assert free["f"] == pytest.approx(0, abs=0.05)
