"""Inputs by their Gram matrix."""

import numpy as np
import pytest

import tpl
from tpl.data import DataError, load_source

LIMIT = 2**24


def saved(folder, array):
    np.save(folder / "K.npy", array)
    return f"gram:{folder / 'K.npy'}"


@pytest.mark.parametrize("shape", [(5, 8), (3, 2, 4), (2, 2, 3, 5)])
def test_vectors_have_the_inner_products_asked_for(tmp_path, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    gram = np.tensordot(x, x, (-1, -1)) / shape[-1]
    found = load_source(saved(tmp_path, gram), LIMIT).array
    assert found.shape[:-1] == shape[:-1]
    np.testing.assert_allclose(np.tensordot(found, found, (-1, -1)) / found.shape[-1], gram, atol=1e-13)


def test_a_singular_matrix_gives_as_many_dimensions_as_its_rank(tmp_path):
    assert load_source(saved(tmp_path, np.ones((3, 3))), LIMIT).shape == (3, 1)
    np.testing.assert_array_equal(load_source(saved(tmp_path, np.zeros((2, 2))), LIMIT).array, np.zeros((2, 1)))


def test_a_kernel_is_a_function_of_the_gram_matrix(tmp_path):
    """Chained: the NNGP kernel of a network of 3 layers is that of one layer on that of two."""
    program = tpl.load("mlp_erf", settings=["L=2", "sigma_w=1"])
    below = tpl.load("mlp_erf", settings=["L=1", "sigma_w=1"]).run()[0].value
    source = saved(tmp_path, below)
    chained = tpl.load("mlp_erf", data={"X": source}, settings=["L=1", "sigma_w=1"]).run()[0].value
    np.testing.assert_allclose(chained, program.run()[0].value, atol=1e-12)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 3)), r"shape \[2, 3\] is no Gram matrix"),
        (np.ones(4), "is no Gram matrix"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "not symmetric"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "an eigenvalue of this matrix is -1, below 0"),
    ],
)
def test_what_is_no_gram_matrix(tmp_path, array, message):
    with pytest.raises(DataError, match=message):
        load_source(saved(tmp_path, array), LIMIT)
