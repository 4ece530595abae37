"""Labelled arrays: parts by label, other forms, pictures."""

import json
import sys
import zlib

import numpy as np
import pytest

from tpl.report.axes import axes_of
from tpl.report.labelled import Labelled
from tpl.report.results import Result


def make(dims, sizes, swept=0, seed=0):
    rng = np.random.default_rng(seed)
    coords = {dim: tuple(range(1, size + 1)) for dim, size in zip(dims, sizes, strict=True)}
    methods = np.array([f"way {i % 2}" for i in range(int(np.prod(sizes[:swept])))], dtype=str).reshape(sizes[:swept])
    return Labelled("show", tuple(dims), coords, rng.standard_normal(sizes), rng.random(sizes), methods)


@pytest.mark.parametrize("swept", [0, 1, 2, 3])
def test_parts_are_those_of_numpy(swept):
    whole = make(["a", "b", "c"], [3, 4, 5], swept)
    one = whole.sel(b=2)
    assert one.dims == ("a", "c")
    assert np.array_equal(one.value, whole.value[:, 1])
    assert np.array_equal(one.error, whole.error[:, 1])
    assert np.array_equal(one.methods, whole.methods[:, 1] if swept > 1 else whole.methods)
    some = whole.sel(c=[5, 1], a=3)
    assert some.dims == ("b", "c")
    assert some.coords["c"] == (5, 1)
    assert np.array_equal(some.value, whole.value[2][:, [4, 0]])
    assert one.at == {"b": 2}
    assert some.at == {"a": 3}
    assert some.title == "show at a = 3"
    assert float(whole.sel(a=1, b=1, c=1)) == whole.value[0, 0, 0]
    assert np.array_equal(np.asarray(whole) + 1, whole.value + 1)


def test_wrong_labels_are_refused():
    whole = make(["sigma_w", "b"], [3, 4])
    with pytest.raises(KeyError, match="did you mean 'sigma_w'"):
        whole.sel(sigma=1)
    with pytest.raises(KeyError, match="no place 7"):
        whole.sel(b=7)
    with pytest.raises(TypeError):
        float(whole)
    with pytest.raises(ValueError, match="labels for shape"):
        Labelled("x", ("a",), {"a": (1, 2)}, np.zeros(3), np.zeros(3), np.array(""))


def test_labels_are_found_up_to_rounding():
    x = Labelled("x", ("s",), {"s": (0.1 + 0.2, "tanh(z)")}, np.array([1.0, 2.0]), np.zeros(2), np.array(""))
    assert float(x.sel(s=0.3)) == 1.0
    assert float(x.sel(s="tanh(z)")) == 2.0


def test_dictionaries_read_back():
    whole = make(["a", "b"], [2, 3], 1)
    value = whole.value.copy()
    value[1, 2] = np.nan
    holed = Labelled("show", whole.dims, whole.coords, value, whole.error, whole.methods, np.array(["", "why"]))
    again = Labelled.from_dict(json.loads(json.dumps(holed.to_dict(), allow_nan=False)))
    assert np.array_equal(again.value, value, equal_nan=True)
    assert again.to_dict() == holed.to_dict()
    assert again.dims == holed.dims
    assert dict(again.coords) == dict(holed.coords)
    with pytest.raises(ValueError, match="no tpl"):
        Labelled.from_dict({"schema": "tpl.run/1"})


@pytest.mark.parametrize(
    ("name", "shape", "steps", "dims", "labels"),
    [
        ("avg(x)", (), (), (), ()),
        ("nngp(f, X)", (2, 2), (), ("X", "X′"), ((1, 2), (1, 2))),
        ("loss", (3,), (0, 5, 10), ("step",), ((0, 5, 10),)),
        ("s[i, j] for i in 1..2 for j in 3..5", (2, 3), (), ("i", "j"), ((1, 2), (3, 4, 5))),
        ("f", (2, 3), (0, 1), ("step", "axis_1"), ((0, 1), (1, 2, 3))),
        ("not a show (", (2,), (), ("axis_1",), ((1, 2),)),
    ],
)
def test_axes_are_named_after_what_is_shown(name, shape, steps, dims, labels):
    found, coords = axes_of(name, shape, steps)
    assert found == dims
    assert tuple(coords.values()) == labels


def test_names_that_are_taken_get_a_prime():
    assert axes_of("nngp(f, X)", (1, 1), taken=("X",))[0] == ("X′", "X′′")


def test_xarray_and_pandas():
    whole = make(["a", "b", "c"], [2, 3, 4], 2)
    dataset = whole.to_xarray()
    part = dataset.sel(a=2, c=3)
    assert np.array_equal(part["value"], whole.sel(a=2, c=3).value)
    assert part["method"].values.tolist() == whole.methods[1].tolist()
    table = whole.to_pandas()
    assert len(table) == 24
    row = table[(table.a == 2) & (table.b == 1) & (table.c == 4)].iloc[0]
    assert (row.value, row.error, row.method) == (whole.value[1, 0, 3], whole.error[1, 0, 3], whole.methods[1, 0])
    assert make([], []).to_pandas().value.tolist() == [float(make([], []))]


@pytest.mark.parametrize(
    ("package", "ask", "extra"),
    [("xarray", "to_xarray", "labels"), ("pandas", "to_pandas", "labels"), ("matplotlib", "plot", "plot")],
)
def test_what_is_missing_is_named(monkeypatch, package, ask, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}: pip install 'tpl\[{extra}\]'"):
        getattr(make(["a"], [3]), ask)()


@pytest.mark.parametrize(
    ("dims", "sizes", "swept", "curves", "images"),
    [
        (["sigma_w"], [4], 1, 1, 0),
        (["sigma_w", "step"], [3, 5], 1, 3, 0),
        (["sigma_w", "L"], [3, 5], 2, 0, 1),
        (["X", "X′"], [4, 4], 0, 0, 1),
        (["sigma_w", "X", "X′"], [3, 1, 1], 1, 1, 0),
    ],
)
def test_pictures_show_the_numbers(tmp_path, dims, sizes, swept, curves, images):
    whole = make(dims, sizes, swept)
    figure = whole.plot()
    axes = figure.axes[0]
    assert (len(axes.lines), len(axes.images)) == (curves, images)
    if images:
        assert np.array_equal(axes.images[0].get_array(), whole.value)
    else:
        drawn = np.array([line.get_ydata() for line in axes.lines])
        assert np.array_equal(drawn.ravel(), whole.value.ravel())
        band = axes.collections[0].get_paths()[0].vertices[:, 1]
        first = whole.value.reshape(curves, -1)[0], whole.error.reshape(curves, -1)[0]
        assert band.max() == pytest.approx((first[0] + 2 * first[1]).max())
    path = whole.plot(tmp_path / "picture.png")
    assert zlib.crc32(path.read_bytes()[:8]) == zlib.crc32(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(("largest", "error", "scale"), [(1e4, 0.1, "log"), (2.0, 0.1, "linear"), (1e4, 1.0, "linear")])
def test_numbers_of_many_sizes_have_a_logarithmic_scale(largest, error, scale):
    coords = {"a": (1, 2), "b": (1, 2)}
    value = np.array([[1.0, largest], [1.5, np.nan]])
    whole = Labelled("x", ("a", "b"), coords, value, np.full((2, 2), error), np.full((2, 2), "m"))
    assert whole.sel(a=1).plot().axes[0].get_yscale() == scale
    norm = whole.plot().axes[0].images[0].norm
    assert (type(norm).__name__ == "LogNorm") == (scale == "log")


def test_single_results_have_the_same_pictures_and_dictionaries(tmp_path):
    course = Result("loss", np.array([3.0, 2.0, 1.5]), 0.1, "m", steps=(0, 5, 10))
    assert course.plot().axes[0].lines[0].get_xdata().tolist() == [0, 5, 10]
    assert course.plot(tmp_path / "course.png").exists()
    matrix = Result("nngp(f, X)", np.eye(2), 0.0, "m")
    assert np.array_equal(matrix.plot().axes[0].images[0].get_array(), np.eye(2))
    again = Labelled.from_dict(json.loads(json.dumps(matrix.to_dict())))
    assert again.dims == ("X", "X′")
    assert np.array_equal(again.value, np.eye(2))


def test_shapes_that_no_picture_shows_are_refused():
    for whole in (make([], []), make(["a", "b", "c"], [2, 2, 2])):
        with pytest.raises(ValueError, match="a picture shows one or two"):
            whole.plot()


def test_words_are_shown():
    whole = make(["a", "b"], [2, 20], 1)
    assert "way 0; way 1" in repr(whole)
    html = whole._repr_html_()
    assert "part of 2 × 20" in html or "part of" in html
    evil = Labelled("<script>", ("<b>",), {"<b>": ("<i>",)}, np.ones(1), np.ones(1), np.array("<u>"))
    assert "<script>" not in evil._repr_html_()
    assert "<i>" not in evil._repr_html_()
