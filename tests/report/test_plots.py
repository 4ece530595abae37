"""Pictures: drawn without a display or global state, of the right values."""

import numpy as np
import pytest

from tests.report.samples import kernel, make_verification
from tpl.report.plots import chosen_values, plot_matrix, plot_verification
from tpl.report.results import Result

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_formats(tmp_path, suffix):
    path = make_verification().plot(tmp_path / f"v.{suffix}")
    assert path.stat().st_size > 5000


@pytest.mark.parametrize(
    "options", [{"wrong": 0.5}, {"widths": (64, 128)}, {"constant": False}, {"show": "$x_1$ $$ _"}, {"size": 1}]
)
def test_unusual_verifications(tmp_path, options):
    assert plot_verification(make_verification(**options), tmp_path / "v.png").exists()


def test_all_values_constant(tmp_path):
    from tpl.report.results import Verification
    from tpl.sampling.agreement import compare

    found = compare(np.ones((2, 1)), {n: np.ones((2, 1)) for n in (8, 16)})
    still = Verification("", "a.tp", "NETSOR", 0, (), found, ("a",), ("m",))
    assert plot_verification(still, tmp_path / "v.png").exists()


def test_the_values_that_disagree_are_drawn():
    found = make_verification(size=10, wrong=0.5).agreement
    chosen = chosen_values(found)
    assert chosen[0] == 1
    assert len(chosen) == len(set(chosen)) == 6
    assert found.distinct[chosen].all()
    assert not found.constant[chosen].any()


@pytest.mark.parametrize("value", [kernel(4), kernel(40), np.ones((3, 50)), np.ones((1, 1)), -(kernel(5) ** 2)])
def test_matrices(tmp_path, value):
    result = Result("gram($x_1)", value, 1e-3, "m")
    assert plot_matrix(result, tmp_path / "m.png").exists()
    assert result.plot(tmp_path / "n.png").exists()


@pytest.mark.parametrize("value", [1.0, np.ones(3), np.ones((2, 2, 2)), np.ones((0, 2))])
def test_only_matrices(tmp_path, value):
    with pytest.raises(ValueError, match="only a matrix"):
        plot_matrix(Result("a", value, 0.0, "m"), tmp_path / "m.png")


def test_an_unknown_format_is_a_value_error(tmp_path):
    with pytest.raises(ValueError, match="not supported"):
        plot_verification(make_verification(), tmp_path / "v.xyz")
