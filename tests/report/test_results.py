"""What users hold: arrays with names, errors and methods."""

import json

import numpy as np
import pytest

from tests.report.samples import kernel, make_check, make_run, make_verification
from tpl.report.results import Result, Verification, value_names


def test_a_result_is_its_value():
    result = Result("K", kernel(3), 1e-3, "particles")
    assert np.array_equal(np.asarray(result), kernel(3))
    assert np.allclose(np.linalg.eigvalsh(result), np.linalg.eigvalsh(kernel(3)))
    assert np.asarray(result, dtype=np.float32).dtype == np.float32
    assert result.error.shape == (3, 3)
    assert np.array(result, copy=True).flags.writeable


def test_a_number_is_a_float():
    assert float(Result("a", 0.5, 0.1, "m")) == 0.5
    with pytest.raises(TypeError, match="shape"):
        float(Result("a", [0.5], 0.1, "m"))


def test_reprs():
    assert repr(Result("avg(x)", 0.6057, 0.0012, "particles")) == "avg(x) = 0.6057(12) (particles)"
    text = repr(Result("nngp(f, X)", np.eye(4), 1e-3, "particles"))
    assert text == "nngp(f, X) = [4x4] 1 0 0 0 ... ± 0.001 (particles)"
    assert repr(make_run()).splitlines()[0] == "mlp.tp (NETSORT)"
    assert "agrees" in repr(make_verification())


@pytest.mark.parametrize(("value", "error"), [(np.nan, 0.0), (np.inf, 0.0), (1.0, np.nan), (1.0, np.inf), (1.0, -1.0)])
def test_dishonest_numbers_are_refused(value, error):
    with pytest.raises(ValueError, match=r"avg\(x\)"):
        Result("avg(x)", value, error, "m")


def test_results_keep_their_own_numbers():
    value = np.ones(2)
    result = Result("a", value, 0.0, "m")
    value[0] = 5
    assert result.value[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        result.value[0] = 5


def test_value_names():
    assert value_names("loss", ()) == ("loss",)
    assert value_names("loss", (2,)) == ("loss[1]", "loss[2]")
    assert value_names("nngp(f, X)", (2, 2))[1] == "nngp(f, X)[1, 2]"
    assert value_names("empty", (0, 2)) == ()


def test_a_run_by_position_and_name():
    run = make_run()
    assert run[0] is run["nngp(f, X)"] is run["nngp(f,X)"]
    assert run[-1].name == "gram(x)"
    assert [r.name for r in run] == list(run.names)
    assert len(run) == 3
    with pytest.raises(KeyError, match="did you mean 'nngp"):
        run["ngp(f, X)"]
    with pytest.raises(IndexError):
        run[3]


def test_saved_arrays(tmp_path):
    run = make_run()
    path = run.save(tmp_path / "out")
    assert path == tmp_path / "out.npz"
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays) == {
            "nngp_f_X", "nngp_f_X__errors", "avg_x_z", "avg_x_z__errors", "gram_x", "gram_x__errors", "metadata",
        }  # fmt: skip
        assert np.array_equal(arrays["nngp_f_X"], run[0].value)
        assert np.array_equal(arrays["nngp_f_X__errors"], run[0].error)
        metadata = json.loads(str(arrays["metadata"]))
    assert [entry["key"] for entry in metadata["results"]] == ["nngp_f_X", "avg_x_z", "gram_x"]
    assert metadata["seed"] == 7
    assert "value" not in metadata["results"][0]


def test_saved_names_are_safe_and_distinct(tmp_path):
    names = ["a(b)", "a[b]", "file", "metadata", "allow_pickle", "θ", "...", "1/2", "../../x", "a b__errors", "self"]
    run = make_run(*(Result(name, k, 0.0, "m") for k, name in enumerate(names)))
    with np.load(run.save(tmp_path / "out.npz")) as arrays:
        keys = [entry["key"] for entry in json.loads(str(arrays["metadata"]))["results"]]
        assert [float(arrays[key]) for key in keys] == list(range(len(names)))
        assert len(arrays) == 2 * len(names) + 1
    assert all(key.isidentifier() for key in keys)


def test_errors_cannot_shadow_a_show(tmp_path):
    run = make_run(Result("a__errors", 1.0, 0.5, "m"), Result("a", 2.0, 0.25, "m"))
    with np.load(run.save(tmp_path / "out.npz")) as arrays:
        keys = [entry["key"] for entry in json.loads(str(arrays["metadata"]))["results"]]
        assert [float(arrays[key]) for key in keys] == [1.0, 2.0]
        assert [float(arrays[f"{key}__errors"]) for key in keys] == [0.5, 0.25]


def test_a_verification_checks_its_names():
    good = make_verification()
    assert good.ok
    assert good.widths == (64, 128, 256, 512, 1024)
    assert good.seeds == (12,) * 5
    with pytest.raises(ValueError, match="18 values, but 1 names"):
        Verification("", "f", "NETSOR", 0, (), good.agreement, ("a",), good.methods)


@pytest.mark.parametrize("make", [make_run, make_verification, make_check])
def test_notebooks_get_escaped_tables(make):
    page = make()._repr_html_()
    assert page.count("<table>") == page.count("</table>") > 0
    assert page.count("<div") == page.count("</div>")
    assert "mlp.tp" in page


def test_a_program_cannot_smuggle_html():
    evil = "<script>alert('x')</script>"
    run = make_run(Result(evil, 1.0, 0.0, evil), Result(evil, np.eye(2), 0.0, evil), notes=(evil,))
    verification = make_verification(show=evil)
    check = make_check(title=evil, inputs=(evil,), notes=(evil,))
    for page in (run._repr_html_(), run[0]._repr_html_(), verification._repr_html_(), check._repr_html_()):
        assert "<script" not in page
        assert "&lt;script" in page
