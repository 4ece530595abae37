"""The random numbers under Monte Carlo: known answers of the generator, the law of the normals, nets."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

import tpl.numeric
from tpl.numeric import cache
from tpl.numeric.nets import BITS, WORD, first_points, generators, scrambled


@pytest.fixture(scope="module")
def compiled():
    return cache.load((Path(tpl.numeric.__path__[0]) / "sweep.py").read_text())


def words(text):
    return [int(x, 16) for x in text.split()]


# The known answers that Salmon, Moraes, Dror and Shaw publish with Random123: counter and key, output.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000 00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def philox(counter, key, word, multipliers, weyl):
    """Philox in Python's own whole numbers, for words of any size."""
    mask, counter, key = (1 << word) - 1, list(counter), list(key)
    for _ in range(10):
        first, second = multipliers[0] * counter[0], multipliers[1] * counter[2]
        counter = [
            second >> word ^ counter[1] ^ key[0],
            second & mask,
            first >> word ^ counter[3] ^ key[1],
            first & mask,
        ]
        key = [(k + w) & mask for k, w in zip(key, weyl, strict=True)]
    return counter


def philox32(counter, key):
    return philox(counter, key, 32, (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85))


@pytest.mark.parametrize(("given", "answer"), KNOWN_ANSWERS)
def test_known_answers(compiled, given, answer):
    assert list(compiled.philox(*map(np.uint64, words(given)))) == words(answer)
    assert philox32(words(given)[:4], words(given)[4:]) == words(answer)


def test_the_generator_is_philox_as_numpy_has_it_but_in_words_of_32_bits(compiled):
    counter, key = [5, 6, 7, 8], [9, 10]
    long = philox(
        [6, 6, 7, 8], key, 64, (0xD2E7470EE14C6C93, 0xCA5A826395121157), (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
    )
    assert np.random.Philox(counter=counter, key=key).random_raw(4).tolist() == long  # numpy counts before it draws
    rng = np.random.default_rng(0)
    for row in rng.integers(0, 1 << 32, (200, 6), dtype=np.uint64):
        assert list(compiled.philox(*row)) == philox32(map(int, row[:4]), map(int, row[4:]))


def chunk(compiled, index, row, key=(1, 2)):
    z = np.empty(256)
    compiled.normals(index, row, np.array(key, dtype=np.uint64), z)
    return z


def test_normals_follow_from_the_generator(compiled):
    """Box and Muller's formula on the documented bits: 40 for the radius, 24 for the angle."""
    z = chunk(compiled, (7 << 32) + 5, 3)
    for i in range(64):
        words = philox32([i, 3, 5, 7], [1, 2])
        for half in (0, 1):
            bits = words[2 * half] | words[2 * half + 1] << 32
            radius = np.sqrt(-2 * np.log(((bits >> 24) + 0.5) * 2.0**-40))
            quadrant, rest = divmod(bits & (1 << 24) - 1, 1 << 22)
            angle = (quadrant + (rest + 0.5) * 2.0**-22 - 0.5) * np.pi / 2
            expected = radius * np.array([np.cos(angle), np.sin(angle)])
            assert z[[i + 128 * half, i + 128 * half + 64]] == pytest.approx(expected, rel=2e-11, abs=2e-11)


def test_normals_are_normal(compiled):
    z = np.concatenate([chunk(compiled, i, 0) for i in range(8000)])
    assert stats.kstest(z, "norm").pvalue > 1e-3
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs(np.mean(z**power) - moment) < 4 * np.sqrt(spread / len(z))
    beyond = np.sum(np.abs(z) > 4)
    assert stats.binomtest(int(beyond), len(z), 2 * stats.norm.sf(4)).pvalue > 1e-3


def test_rows_chunks_and_keys_are_independent(compiled):
    count = 3000
    base = np.concatenate([chunk(compiled, i, 0) for i in range(count)])
    others = {
        "row": np.concatenate([chunk(compiled, i, 1) for i in range(count)]),
        "next chunk": np.concatenate([chunk(compiled, i + 1, 0) for i in range(count)]),
        "key": np.concatenate([chunk(compiled, i, 0, (2, 2)) for i in range(count)]),
        "far": np.concatenate([chunk(compiled, i + (1 << 40), 0) for i in range(count)]),
        "quarter": np.roll(base.reshape(-1, 256), 64, axis=1).ravel(),
        "half": np.roll(base.reshape(-1, 256), 128, axis=1).ravel(),
        "neighbour": np.roll(base, 1),
    }
    for name, other in others.items():
        for f in (lambda x: x, np.abs, lambda x: x**3):
            # The half of a chunk pairs every number twice.
            assert abs(np.corrcoef(f(base), f(other))[0, 1]) < 4.5 / np.sqrt(len(base) / 2), name


@pytest.mark.parametrize("dimension", [1, 2, 7, 40, 128])
def test_nets_are_sobols(dimension):
    points = first_points(generators(dimension), np.zeros(dimension, dtype=np.uint64), 1024).T / 2.0**WORD
    theirs = qmc.Sobol(dimension, scramble=False, bits=WORD).random_base2(10)
    assert {tuple(p) for p in points} == {tuple(p) for p in theirs}


def test_scrambled_points_are_uniform_nets():
    net, shift = scrambled(generators(3), 50, np.random.default_rng(0))
    assert net.shape == (50, 3, BITS)
    points = first_points(net, shift, 256) / 2.0**64
    assert np.all(np.sort(np.floor(points * 256), axis=-1) == np.arange(256)), "one point in every interval"
    plane = np.sort(np.floor(points[:, 0] * 16) * 16 + np.floor(points[:, 1] * 16), axis=-1)
    assert np.all(plane == np.arange(256)), "the first two dimensions have quality 0: one point in every square"
    assert stats.kstest(points[:, :, 0].ravel(), "uniform").pvalue > 1e-3
    correlations = np.corrcoef(points[:, 0], rowvar=True)[np.triu_indices(50, 1)]
    assert abs(correlations.mean()) < 0.01


def test_nets_are_mapped_by_the_normal_quantile(compiled):
    net, shift = scrambled(generators(1), 1, np.random.default_rng(3))
    low, high = first_points(net, shift, 256)[0, 0], net[0, 0, 8:].copy()
    everything = first_points(net, shift, 2048)[0, 0]
    z = np.empty(256)
    for index in (0, 1, 5):
        compiled.net(index, low, high, z)
        part = everything[256 * index : 256 * (index + 1)]
        np.testing.assert_allclose(
            z, stats.norm.ppf((part >> np.uint64(12)) * 2.0**-52 + 2.0**-53), rtol=1e-11, atol=1e-13
        )
