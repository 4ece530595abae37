"""Drawings: layered layouts without overlaps, ticks, colours that can be read, plots that show their numbers."""

import itertools
import math
import random
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tpl
from tests.report.samples import kernel, make_verification
from tpl.language.parse import parse
from tpl.limit.uses import uses
from tpl.pipeline import bundled_experiments, bundled_programs, read_source
from tpl.report.curve_picture import draw_convergence, draw_courses, telling
from tpl.report.graph_picture import MOST_NODES, draw_uses
from tpl.report.heat_picture import _colour, _luminance, draw_matrix, left_out
from tpl.report.layered import ROW_GAP, Size, layered
from tpl.report.layout import compact
from tpl.report.results import Result, Verification
from tpl.report.svg import _DARK, _LIGHT
from tpl.report.svg_axes import Scale, scale, tick_text, ticks
from tpl.sampling.agreement import compare

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def boxes_apart(layout, sizes):
    for a, b in itertools.combinations(layout.places, 2):
        (x1, y1), (x2, y2) = layout.places[a], layout.places[b]
        across = abs(x1 - x2) - (sizes[a].width + sizes[b].width) / 2
        down = abs(y1 - y2) - (sizes[a].height + sizes[b].height) / 2
        assert max(across, down) > 5, (a, b)


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_are_laid_out_in_rows(seed):
    draw = random.Random(seed)
    keys = [f"k{i}" for i in range(draw.randint(1, 18))]
    sizes = {k: Size(draw.uniform(20, 160), 30) for k in keys}
    edges = [(a, b) for a, b in itertools.combinations(keys, 2) if draw.random() < 0.15]
    layout = layered(sizes, edges)
    boxes_apart(layout, sizes)
    for key, (x, y) in layout.places.items():
        assert sizes[key].width / 2 - 0.01 <= x <= layout.width - sizes[key].width / 2 + 0.01
        assert 0 <= y <= layout.height
    for a, b in edges:
        way = layout.ways[a, b]
        assert way[0] == layout.places[a]
        assert way[-1] == layout.places[b]
        assert all(p[1] < q[1] for p, q in itertools.pairwise(way))  # always down, a row at a time
        assert all(q[1] - p[1] <= ROW_GAP + 31 for p, q in itertools.pairwise(way))
    assert layered(sizes, edges) == layout


def test_a_layout_untangles_what_can_be_untangled():
    sizes = {k: Size(40, 30) for k in "abcdef"}
    layout = layered(sizes, [("a", "f"), ("b", "e"), ("c", "d")])
    places = layout.places
    order = [sorted(row, key=lambda k: places[k][0]) for row in ("abc", "def")]
    assert order[1] == [{"a": "f", "b": "e", "c": "d"}[k] for k in order[0]]


def test_edges_must_lead_forward():
    with pytest.raises(ValueError, match="forward"):
        layered({"a": Size(10, 10), "b": Size(10, 10)}, [("b", "a")])
    assert layered({}, []).places == {}


@pytest.mark.parametrize("name", [*bundled_programs(), "paper/features"])
def test_dependency_pictures_are_xml_within_their_box(name):
    assert name in bundled_programs() | bundled_experiments()
    source = read_source(name)
    found = uses(parse(source)[0], source)
    picture = draw_uses(found, linked=False)
    root = ET.fromstring(picture.standalone())
    boxes = [x for x in root.iter() if x.tag.endswith("rect") and "node" in (x.get("class") or "")]
    assert len(boxes) == len(found.nodes)
    assert len([x for x in root.iter() if "edge" in (x.get("class") or "") and x.tag.endswith("path")]) >= len(
        found.edges
    )
    shift = float(NUMBER.search(next(x.get("transform") for x in root.iter() if x.get("transform")))[0])
    for box in boxes:
        assert shift + float(box.get("x")) >= 0
        assert shift + float(box.get("x")) + float(box.get("width")) <= picture.width


def test_too_many_names_for_a_picture():
    lines = "\n".join(f"x{i} = x{i - 1} + 1" for i in range(1, MOST_NODES + 2))
    program = tpl.loads(f"width n\nrandom x0 : [n] ~ N(0, 1)\n{lines}\nshow avg(x3)\n")
    page = program.explain_page(verify=False)
    assert page.dependencies is None
    assert "too many for a picture" in page.html()


# ---------------------------------------------------------------------------------------------- axes


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.9), (1e-7, 3e-7), (1234.5, 1234.9), (-1e9, 2e9), (5, 5)])
def test_linear_ticks_are_round_and_inside(low, high):
    along = scale([low, high], 0, 100)
    found = ticks(along)
    assert 2 <= len(found) <= 7
    assert all(along.low <= x <= along.high for x in found)
    steps = np.diff(found)
    assert np.allclose(steps, steps[0], rtol=1e-6)
    texts = [tick_text(x, found) for x in found]
    assert len(set(texts)) == len(texts)
    for x, shown in zip(found, texts, strict=True):
        assert math.isclose(float(shown.replace("−", "-")), x, rel_tol=0.06, abs_tol=1e-9 * abs(steps[0]))


@pytest.mark.parametrize(("low", "high"), [(1, 10), (0.02, 0.06), (1e-9, 1e4), (3, 3.1)])
def test_logarithmic_ticks(low, high):
    along = Scale(low, high, 100, 0, True)
    found = ticks(along)
    assert 1 <= len(found) <= 7
    assert all(low <= x <= high for x in found)
    texts = [tick_text(x, found, True) for x in found]
    assert len(set(texts)) == len(texts)
    assert all(
        len(x) <= 6 and math.isclose(float(x.replace("−", "-")), y, rel_tol=0.05)
        for x, y in zip(texts, found, strict=True)
    )
    assert along(low) == 100
    assert along(high) == pytest.approx(0)


# ---------------------------------------------------------------------------------------------- colours


def contrast(a, b):
    bright, dark = sorted((_luminance(tuple(int(c[k : k + 2], 16) for k in (1, 3, 5))) for c in (a, b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("look", [_LIGHT, _DARK], ids=["light", "dark"])
def test_text_and_series_stand_out_from_what_they_lie_on(look):
    for name in ("ink", "soft", "accent", "good", "bad", *(f"c{i}" for i in range(6))):
        for ground in ("paper", "card"):
            assert contrast(look[name], look[ground]) >= 4.5, (name, ground)
    assert contrast(look["ink"], look["mark"]) >= 4.5
    assert contrast(look["soft"], look["mark"]) >= 4.5


def test_heat_maps_go_from_light_to_dark():
    shades = [_luminance(_colour(x, (0.0, 1.0))) for x in np.linspace(0, 1, 30)]
    assert all(a > b for a, b in itertools.pairwise(shades))
    signed = [_luminance(_colour(x, (-1.0, 1.0))) for x in np.linspace(-1, 1, 31)]
    assert np.argmax(signed) == 15


# ---------------------------------------------------------------------------------------------- plots


def test_heat_maps_show_every_number():
    value = kernel(3)
    (picture,) = draw_matrix(Result("k", value, 0.0, "exact"))
    root = ET.fromstring(picture.standalone())
    titles = [x.text for x in root.iter() if x.tag.endswith("title")]
    assert titles == [f"{i + 1}, {j + 1}: {compact(value[i, j], 0.0)}" for i, j in np.ndindex(3, 3)]


def test_what_is_no_matrix_is_not_drawn():
    for value in (np.float64(1), np.ones(4), np.ones((1, 1)), np.ones((0, 3))):
        assert draw_matrix(Result("x", value, 0.0, "exact")) == []
    course = Result("x", np.ones((5, 3)), 0.0, "trained", None, tuple(range(5)))
    assert draw_matrix(course) == []
    assert left_out(course) == ""
    many = Result("x", np.arange(6 * 50 * 3.0).reshape(6, 50, 3), 0.0, "exact")
    assert len(draw_matrix(many)) == 4
    assert left_out(many) == "x: drawn are the first 4 of 6 matrices and the first 40 of 50 rows and 3 of 3 columns"


def test_matrices_along_training_are_drawn_at_both_ends():
    value = np.arange(3 * 2 * 4 * 4.0).reshape(3, 2, 4, 4)
    result = Result("gram(h[l])", value, 0.0, "trained", None, (0, 5, 10))
    pictures = draw_matrix(result)
    assert [p.label.split(",")[0] for p in pictures] == ["Heat map of gram(h[l])[1"] * 2 + [
        "Heat map of gram(h[l])[2"
    ] * 2
    for picture, (step, k) in zip(pictures, [(0, 0), (2, 0), (0, 1), (2, 1)], strict=True):
        assert f"step {result.steps[step]}" in picture.label
        titles = [x.text for x in ET.fromstring(picture.standalone()).iter() if x.tag.endswith("title")]
        assert titles[5] == f"2, 2: {compact(value[step, k, 1, 1], 0.0)}"
    assert draw_matrix(Result("f", np.ones((3, 5, 2)), 0.0, "trained", None, (0, 5, 10))) == []


def test_constant_and_signed_matrices_can_be_drawn():
    for value in (
        np.full((3, 3), 2.0),
        np.zeros((2, 2)),
        np.array([[1.0, -2], [-2, 1e-9]]),
        np.array([[1e9, 1], [1, 1e9]]),
    ):
        for picture in draw_matrix(Result("<k> & 'l'", value, 1e-3, "exact")):
            ET.fromstring(picture.standalone())


def test_marks_stand_where_the_numbers_are():
    verification = make_verification()
    found = verification.agreement
    pictures = draw_convergence(verification, most=2)
    for picture in pictures:
        ET.fromstring(picture.standalone())
    root = ET.fromstring(pictures[0].standalone())
    marks = [x for x in root.iter() if x.tag.endswith("circle")]
    assert len(marks) == len(found.widths) + 1
    i = verification.names.index(
        next(n for n in verification.names if pictures[0].label.startswith(f"{n} of networks"))
    )
    heights = [-float(x.get("cy")) for x in marks]
    values = [*found.means[:, i], found.extrapolated[i]]
    slope, offset = np.polyfit(values, heights, 1)
    assert slope > 0
    assert np.allclose(np.polyval([slope, offset], values), heights, atol=0.2)


def test_what_disagrees_is_drawn_first_then_something_of_every_show():
    verification = make_verification(wrong=1.0)
    names = [verification.names[i] for i in telling(verification, 6)]
    assert names[0] == "nngp(f, X)[1, 2]"
    assert "loss" in names
    assert len(set(names)) == len(names) == 6
    names = [verification.names[i] for i in telling(make_verification(), 2)]
    assert {x.partition("[")[0] for x in names} == {"nngp(f, X)", "loss"}


def test_values_that_are_rounding_alone_are_not_drawn():
    rng = np.random.default_rng(0)
    limit = np.stack([1 + 1e-3 * rng.standard_normal(8), 1e-12 * rng.standard_normal(8)], axis=1)
    finite = {n: np.stack([1 + rng.standard_normal(8) / n, 1e-12 * rng.standard_normal(8)], axis=1) for n in (64, 128)}
    verification = Verification("", "a.tp", "NETSOR", 0, (), compare(limit, finite), ("a", "b"), ("", ""))
    assert telling(verification, 6) == [0]


@pytest.mark.parametrize("value", [np.ones((4, 1)), np.zeros((4, 2)), np.geomspace(1, 1e-8, 4)[:, None] * np.ones(9),
                                   np.ones((4, 3, 3)), np.arange(4.0)])  # fmt: skip
def test_courses(value):
    (picture,) = draw_courses([Result("a[l] <b>", value, 1e-12, "trained", None, (0, 1, 5, 9))])
    root = ET.fromstring(picture.standalone())
    lines = [x for x in root.iter() if (x.get("class") or "").startswith("line ")]
    first = value.reshape(4, -1) if value.ndim < 3 else np.diagonal(value, axis1=1, axis2=2)
    assert len(lines) == min(first.shape[1], 6)
    assert draw_courses([Result("a", np.ones((1, 3)), 0.0, "trained", None, (0,))]) == []
