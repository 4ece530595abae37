"""Which statement uses which, of programs whose answer is read off their text."""

import pytest

from tpl.language.parse import parse
from tpl.language.source import Source
from tpl.limit.uses import uses
from tpl.pipeline import bundled_programs, read_source


def graph(text):
    source = Source(text) if "\n" in text else read_source(text)
    file, mistakes, _ = parse(source)
    assert mistakes == []
    return uses(file, source)


def edges(found):
    labels = {x.key: x.label for x in found.nodes}
    return {(labels[e.start], labels[e.end]): e.kind for e in found.edges}


def test_an_mlp():
    found = graph("mlp")
    assert {x.label: (x.kind, x.lines) for x in found.nodes} == {
        "X": ("data", (17,)), "xi": ("data", (19,)), "W[l]": ("matrix", (20, 24)), "b[l]": ("gaussian", (21, 25)),
        "h[l]": ("vector", (22, 26)), "v": ("gaussian", (27,)), "c": ("gaussian", (28,)), "f": ("output", (29,)),
        "nngp(f, X)": ("show", (31,)), "ntk(f, X)": ("show", (32,)),
    }  # fmt: skip
    assert edges(found) == {
        ("X", "xi"): "sum", ("xi", "h[l]"): "product", ("W[l]", "h[l]"): "product", ("b[l]", "h[l]"): "gaussian",
        ("h[l]", "h[l]"): "product", ("h[l]", "f"): "product", ("v", "f"): "product", ("c", "f"): "gaussian",
        ("f", "nngp(f, X)"): "moment", ("f", "ntk(f, X)"): "moment",
    }  # fmt: skip
    assert [e.start for e in found.edges if e.loop] == ["f.h"]


def test_kinds_of_uses():
    found = edges(graph(
        "width n\nrandom W : [n, n] ~ N(0, 1 / n)\nrandom x : [n] ~ N(0, 1)\nrandom b : [n] ~ N(0, 1)\n"
        "m = avg(x^2)\ny = W @ tanh(x) + b\nz = y / sqrt(m + avg(y^2)) + relu(x) + x\nu = x * y\nshow avg(z * u)\n"
    ))  # fmt: skip
    show = "avg(z * u)"
    assert found == {
        ("x", "m"): "moment", ("W", "y"): "product", ("x", "y"): "product", ("b", "y"): "gaussian",
        ("y", "z"): "moment", ("m", "z"): "nonlinearity", ("x", "z"): "nonlinearity", ("x", "u"): "nonlinearity",
        ("y", "u"): "nonlinearity", ("z", show): "moment", ("u", show): "moment",
    }  # fmt: skip


def test_training_closes_the_loop():
    found = graph("paper/features")
    assert {(e.start, e.end) for e in found.edges if e.kind == "update"} == {(".train f", "f.W"), (".train f", "f.v")}
    assert all(e.loop for e in found.edges if e.kind == "update")
    assert edges(found)["y", "train f"] == "nonlinearity"
    found = edges(graph("training/word2vec"))
    assert {pair: kind for pair, kind in found.items() if pair[1] == "loss, f"} == {
        ("train f", "loss, f"): "sum",
        ("f", "loss, f"): "moment",
    }
    assert found["h", "gram(h), feature_change(h)"] == "moment"


def test_two_networks_keep_their_names_apart():
    body = "    param U : [n, d] ~ N(0, 1 / d)\n    h = U @ xi\n    param v : [1, n] ~ N(0, 1 / n)\n    return v @ h\n"
    found = graph(f"width n\ndata X[N, d] = sphere(2, 3, seed=0)\nnetwork f(xi[d]):\n{body}network g(xi[d]):\n{body}"
                  "show nngp(f, X)\nshow nngp(g, X)\n")  # fmt: skip
    assert {("f.h", ".f"), ("g.h", ".g")} <= {(e.start, e.end) for e in found.edges}
    assert not {("f.h", ".g"), ("g.h", ".f")} & {(e.start, e.end) for e in found.edges}


@pytest.mark.parametrize("name", sorted(bundled_programs()))
def test_every_bundled_program_hangs_together(name):
    found = graph(name)
    keys = [x.key for x in found.nodes]
    assert len(keys) == len(set(keys))
    used = {e.start for e in found.edges} | {e.end for e in found.edges}
    assert used == set(keys)
    order = {key: i for i, key in enumerate(keys)}
    assert all(e.loop == (order[e.start] >= order[e.end]) for e in found.edges)
