"""The page of `tpl explain`: well-formed, whole, self-contained; what it says is what the program gives."""

import re
from functools import cache

import numpy as np
import pytest

import tpl
from tests.report.pages import Reader, checked
from tpl.report.layout import compact

SMALL = """\"\"\"Two layers, and an average.

Expect `nothing` special:
    E[x] <= 1 & more.
\"\"\"
const L = 2              # depth
def phi(z) = tanh(z)
width n
data X[N, d] = sphere(3, 5, seed=0)

network f(xi[d]):
    param W[1] : [n, d] ~ N(0, 1 / d)
    h[1] = W[1] @ xi
    for l in 2..L:
        param W[l] : [n, n] ~ N(0, 1 / n)
        h[l] = W[l] @ phi(h[l-1])
    param v : [1, n] ~ N(0, 1 / n)
    return v @ phi(h[L])

show nngp(f, X)
show ntk(f, X)
"""

TRAINED = """width n
data X[N, d] = [[1, 0.5], [0.3, -1]]
data y[N] = [1, -1]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    h = U @ xi
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(h)
train f on X, y:
    parametrization = mup
    loss = squared(f, y)
    rate = 0.1
    steps = 3
show loss
show feature_change(h)
"""

BARE = """width n
random W : [n, n] ~ N(0, 1 / n)
random x : [n] ~ N(0, 1)
y = W @ x
z = W.T @ tanh(y)
show avg(x * z)
"""


@cache
def page_of(text, verify=False):
    return tpl.loads(text).explain_page(seed=3, verify=verify, quick=True, widths=(32, 64), seeds=8)


@pytest.mark.parametrize("text", [SMALL, TRAINED, BARE], ids=["network", "training", "bare"])
def test_a_page_is_well_formed_and_stands_alone(text):
    page = checked(page_of(text, verify=True).html())
    assert "default-src 'none'" in next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert sum(tag == "h1" for tag, _ in page.tags) == 1
    pictures = [a for tag, a in page.tags if tag == "svg"]
    assert pictures
    assert all(a["aria-label"] and a["role"] in ("img", "group") for a in pictures)


@pytest.mark.parametrize("text", [SMALL, TRAINED, BARE], ids=["network", "training", "bare"])
def test_every_line_leads_to_its_card_and_back(text):
    page = Reader(page_of(text).html())
    lines = text.splitlines()
    inside, statements = False, []
    for number, line in enumerate(lines, 1):
        prose = inside or '"""' in line
        inside ^= line.count('"""') % 2 == 1
        if line.strip() and not prose:
            statements.append(number)
    rows = dict(re.findall(r"<li id='L(\d+)'><a class='n' href='#(\w+)'", page_of(text).html()))
    assert [int(x) for x in rows] == statements
    back = re.findall(r"<article class='card' id='(\w+)'><h4><a class='where' href='#L(\d+)'", page_of(text).html())
    assert set(rows.items()) <= {(line, card) for card, line in back}
    assert {f"L{i}" for i in range(1, len(lines) + 1)} <= set(page.ids)


def test_the_entries_are_those_of_the_explanation():
    page = page_of(SMALL)
    entries = page.explanation.account.entries
    assert entries == tpl.loads(SMALL).explain().account.entries
    text = Reader(page.html()).text()
    for entry in entries:
        assert entry.text in text
        assert entry.rule in text
    assert "nothing was multiplied by" in text
    assert "Tensor Programs III" in text  # cited by its rules


def test_numbers_and_their_pictures_are_those_of_the_run():
    page, run = page_of(SMALL), tpl.loads(SMALL).run(seed=3)
    titles = [data for tag, data in Reader(page.html()).texts if tag == "title"]
    for result in run:
        assert np.array_equal(page[result.name].value, result.value)
        for i, j in np.ndindex(result.shape):
            assert f"{i + 1}, {j + 1}: {compact(result.value[i, j], result.error[i, j])}" in titles
    assert len(page.kernels) == len(run)
    assert not len(page.courses)


def test_networks_are_those_of_the_verification():
    page = page_of(BARE, verify=True)
    found = tpl.loads(BARE).verify(widths=(32, 64), seeds=8, samples=2048, replicates=8, seed=3).agreement
    assert page.verification.widths == (32, 64)
    assert np.array_equal(page.verification.agreement.means, found.means)
    text = page.html()
    for mean, error in zip(found.means[:, 0], found.errors[:, 0], strict=True):
        assert compact(mean, error) in text
    assert "Finite networks against the limit" in text


def test_training_is_drawn_step_by_step():
    page = page_of(TRAINED)
    assert [p.label.split(" from step ")[0] for p in page.courses.items] == ["loss", "feature_change(h)"]
    loss = page["loss"]
    assert compact(loss.value[-1], loss.error[-1]) in page.courses[0].label


def test_the_same_seed_gives_the_same_page():
    again = tpl.loads(BARE).explain_page(seed=3, verify=True, quick=True, widths=(32, 64), seeds=8, threads=1)
    assert again.html() == page_of(BARE, verify=True).html()
    assert tpl.loads(BARE).explain_page(seed=4, quick=True, widths=(32, 64), seeds=8).html() != again.html()


HOSTILE = """\"\"\"<script>alert(1)</script> & </title><img src=x onerror=alert(2)>

</pre><script src='https://example.org/x.js'></script> `</code><b>`
    [a](javascript:alert(3)) </style><script>alert(4)</script>
\"\"\"
const c = 1  # </li></ol><script>alert(5)</script> \" ' &
width n
random x : [n] ~ N(0, 1)  # <svg onload=alert(6)>
show avg(x^2 * c)
"""


def test_text_of_the_program_stays_text():
    program = tpl.loads(HOSTILE, settings=["c=2"])
    page = checked(program.explain_page(verify=False).html())
    text = page.text()
    for part in ("<script>alert(1)</script>", "<script>alert(4)</script>", "<svg onload=alert(6)>", "onerror=alert(2)"):
        assert part in text
    assert not any(a.get("src") for _, a in page.tags)


def test_what_a_part_lacks_is_said():
    page = page_of(BARE)
    assert set(page.missing) == {"verification"}
    assert page.missing["verification"] in Reader(page.html()).text()
    no_limit = tpl.loads("width n\nrandom x : [n] ~ N(0, 1)\nm = avg(x)\nshow avg(step(x * m))\n")
    page = no_limit.explain_page(verify=False)
    checked(page.html())
    assert page.run is None
    assert page.missing["run"].startswith("line 4: ")
    assert page.missing["run"] in " ".join(Reader(page.html()).text().split())


@pytest.mark.slow
def test_no_short_recursion_is_said():
    page = tpl.load("batchnorm_mlp", data={"X": "sphere:6,10"}, settings=["L=1"]).explain_page(verify=False)
    assert "no short recursion" in page.missing["derivation"]
    assert page.missing["derivation"] in checked(page.html()).text()


def test_long_lines_of_the_program_wrap():
    html = page_of(SMALL).html()
    assert "<a class='line code' style='--in:8'" in html  # goes on where it is set in
    assert not re.search(r"\.program li\{[^}]*(max-content|white-space:pre;)", html)


def test_settings_and_data_are_named():
    page = tpl.loads(SMALL, data={"X": np.eye(5)[:4]}, settings=["L=3", "phi(z)=erf(z)"]).explain_page(verify=False)
    html = page.html()
    checked(html)
    text = Reader(html).text()
    assert "--set L=3" in text
    assert "constant: 3, by --set" in text
    assert "const L = 2" in text  # the file as it is
    assert page["nngp(f, X)"].shape == (4, 4)


def test_a_large_program_is_cut_and_says_so():
    steps = "\n".join(f"const c{i} = {i}" for i in range(700))
    page = tpl.loads(f"{steps}\nwidth n\nrandom x : [n] ~ N(0, 1)\nshow avg(x^2)\n").explain_page(verify=False)
    html = page.html()
    assert "The first 600 of 703 lines" in Reader(html).text()
    large = tpl.loads(SMALL, data={"X": np.random.default_rng(0).normal(size=(90, 5))}).explain_page(verify=False)
    html = large.html()
    assert "the first 40 of 90 rows" in Reader(html).text()
    assert len(html) < 3_000_000


@pytest.mark.parametrize("name", ["mlp", "rnn"])
def test_bundled_programs(name):
    page = tpl.load(name).explain_page(verify=False)
    checked(page.html())
    assert not page.missing.keys() - {"verification"}
    assert len(page.html()) < 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transformer", "autoencoder", "semicircle"])
def test_more_bundled_programs(name):
    checked(tpl.load(name).explain_page(verify=False).html())
