"""Train blocks and measures of training: what they may hold, and what is said of wrong ones, word for word.

The table at the end of this file holds every message in full; `pytest tests/language/test_training_language.py
--update-golden` writes it anew. Programs are read and checked, not elaborated.
"""

import re
from pathlib import Path

import pytest

from tpl.core.functions import CALLABLE
from tpl.language import syntax as s
from tpl.language import training_words as words
from tpl.language.check import check, merge
from tpl.language.parse import parse
from tpl.language.source import Source, TplError
from tpl.pipeline import _override, _with_settings

FUNCTIONS = {name: f.arity for name, f in CALLABLE.items()}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "language.md"

NETWORK = """\
width n
const L = 2
data X[N, d] = sphere(4, 3)
data y[M] = [1, -1, 1, -1]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    x[1] = tanh(U @ xi)
    for l in 2..L:
        param W[l] : [n, n] ~ N(0, 1 / n)
        h[l] = W[l] @ x[l-1]
        x[l] = tanh(h[l])
    param v : [1, n] ~ N(0, 1 / n)
    return v @ x[L]
"""
HEADING = "train f on X, y:\n"
REQUIRED = "    loss = (f - y)^2\n    rate = 1\n    steps = 3\n"
BEFORE = {"network": NETWORK, "heading": NETWORK + HEADING, "block": NETWORK + HEADING + REQUIRED, "nothing": ""}
RIGHT = f"{BEFORE['block']}show loss\n"


def complain(text, settings=()):
    """Everything that is said about a program before it is elaborated; "" if nothing is wrong."""
    source = _with_settings(Source(text, "f.tp"), settings)
    file, diagnostics, lost = parse(source)
    file, misplaced = _override(file, source)
    found = merge(diagnostics, misplaced, check(file, lost, functions=FUNCTIONS))
    return TplError(source, found).render() if found else ""


def set_lines(*lines):
    """A right program, with settings that replace those of the same name."""
    names = [line.split(" = ")[0] for line in lines]
    kept = [line.strip() for line in REQUIRED.splitlines() if line.strip().split(" = ")[0] not in names]
    return NETWORK + HEADING + "".join(f"    {line}\n" for line in (*kept, *lines)) + "show loss\n"


# ---------------------------------------------------------------------------------------------- what is right


@pytest.mark.parametrize(
    "line",
    [
        *(f"parametrization = {word}" for word in words.PARAMETRIZATIONS),
        "parametrization = abc(a=[-1/2, 0, 1/2], b=1/2, c=0)",
        *(f"loss = {word}(f, y)" for word in words.LOSSES),
        "loss = log(1 + exp(-f * y))",
        "loss = sum((f[j] - y[j])^2 for j in 1..L)",
        "rate = 0.5 / (1 + t / 10)",
        "rate = 1 / L",
        "batch = N / 2",
        "order = given",
        "order = shuffled(seed=L)",
        "momentum = 1 - 1 / (t + 2)",
        "weight_decay = 0.001 * t",
        "test = [X, y]",
        "test = [X]",
        "record = 10",
        "start = zero",
        "start = gp",
    ],
)
def test_right_settings(line):
    assert complain(set_lines(line)) == ""


@pytest.mark.parametrize(
    "item",
    [
        "loss", "f", "test_loss", "test_f", "accuracy", "test_accuracy", "tangent_kernel", "gram(x[L])",
        "cross_gram(h[l])", "joint_gram(x[l])", "min_eig(gram(h[l]))", "feature_change(h[l])", "rms(U @ xi)",
        "alignment(x[l] - h[l])", "rank(gram(x[l]))", "effective_rank(cross_gram(x[l]))", "eigenvalues(joint_gram(x[1]))",
        "nngp(f, X)", "L, loss",
    ],
)  # fmt: skip
def test_right_measures(item):
    assert complain(set_lines("test = [X, y]").replace("show loss", f"show {item}")) == ""


def test_every_measure_is_known():
    names = words.measures("f")
    assert set(names) == {*words.OF_RUN, "f", "test_f", *words.OF_VECTORS, *words.OF_GRAMS}
    assert names["loss"] == names["f"] == 0
    assert names["gram"] == names["rank"] == 1


def test_no_word_of_training_is_reserved_elsewhere():
    own = (*words.SETTINGS, *words.PARAMETRIZATIONS, *words.LOSSES, *words.measures("f"))
    own += (words.ABC, words.GIVEN, words.SHUFFLED, words.ZERO, words.GP, words.STEP, "on")
    for name in dict.fromkeys(own):
        program = f"const {name} = 2\nwidth n\nrandom u[{name}] : [n] ~ N(0, {name})\nz = avg(u[{name}]^2)\n"
        assert complain(f"{program}show {name} * z") == "", name


def test_what_the_program_defines_comes_before_the_words_of_training():
    assert complain("def gram(z) = z^2\nconst loss = 3\n" + BEFORE["block"] + "show gram(loss)") == ""
    assert complain("def squared(a, b) = (a - b)^2\n" + set_lines("loss = 2 * squared(f, y)")) == ""


def test_two_inputs():
    network = "width n\ndata X[N, d] = sphere(2, 3)\ndata y[N] = [1, 2]\nnetwork f(a[d], b[d]):\n"
    network += "    param U : [n, d] ~ N(0, 1)\n    param v : [1, n] ~ N(0, 1 / n)\n    return v @ (U @ a + U @ b)\n"
    block = f"train f on X, X, y:\n{REQUIRED}    test = [X, X]\n"
    assert complain(f"{network}{block}show test_f") == ""
    assert "needs targets of the test data" in complain(f"{network}{block}show test_loss")
    assert "`f` has 2 inputs, but 1 is given" in complain(f"{network}{HEADING}{REQUIRED}show loss")


def test_rates_may_hold_widths_and_only_params_have_them():
    rate = NETWORK.replace("W[l] : [n, n] ~ N(0, 1 / n)", "W[l] : [n, n] ~ N(0, 1 / n) rate n^(1/2) / 3")
    assert complain(rate + "show nngp(f, X)") == ""
    (draw,) = (x for x in s.walk(parse(Source(rate))[0]) if isinstance(x, s.Draw) and x.rate is not None)
    assert draw.targets[0].name == "W"
    assert "only a `param` has a rate" in complain(rate.replace("param W", "random W") + "show nngp(f, X)")


# ---------------------------------------------------------------------------------------------- --set


def settings_of(text, *settings):
    source = _with_settings(Source(text, "f.tp"), settings)
    file, wrong = _override(parse(source)[0], source)
    assert wrong == []
    (train,) = (x for x in file.statements if isinstance(x, s.Train))
    return {x.name: source.slice(x.value.span) for x in train.settings}


def test_set_replaces_and_adds_settings():
    before = settings_of(RIGHT)
    after = settings_of(RIGHT, "steps=10", "rate = 0.1 / (1 + t)", "parametrization=ntp")
    assert after == {**before, "steps": "10", "rate": "0.1 / (1 + t)", "parametrization": "ntp"}
    assert complain(RIGHT, ["steps=10", "rate=1/(1+t)", "parametrization=ntp", "order=shuffled(seed=3)"]) == ""


def test_set_prefers_consts():
    text = "const rate = 2\n" + RIGHT
    assert settings_of(text, "rate=3")["rate"] == "1"


def test_set_says_what_is_wrong():
    assert "did you mean `steps`?" in complain(RIGHT, ["stepz=10"])
    assert "--set:1:" in complain(RIGHT, ["parametrization=mip"])
    assert "the program has no const `steps`" in complain(NETWORK + "show L", ["steps=10"])
    assert "did you mean `rate`?" in complain(RIGHT, ["lr=0.1"])
    assert "help: it has `L`" in complain(NETWORK + "show L", ["lr=0.1"])


@pytest.mark.parametrize("setting", ["rate=0.1,0.2", "L = 1, 2", "phi(z)=tanh(z),relu(z)"])
def test_set_takes_one_value(setting):
    with pytest.raises(TplError, match="these are several values of") as caught:
        complain(RIGHT, [setting])
    assert f"`tpl sweep FILE {setting}` runs over several" in str(caught.value)
    assert complain(RIGHT, ["parametrization=abc(a=[1, 2, 3], b=1, c=0)", "order=shuffled(seed=3)"]) == ""


def test_vectors_of_the_network_are_listed_where_a_measure_knows_none():
    assert "help: `f` has " in complain(RIGHT + "show feature_change(xyzzy)\n")


# ---------------------------------------------------------------------------------------------- any text at all


def test_a_forgotten_sign_is_one_mistake():
    program = set_lines("parametrization = abc(a=[1, 2, 3], b=1, c=0)", "test = [X, y]", "order = shuffled(seed=0)")
    program += "show min_eig(gram(h[l])), test_f\n"
    for found in re.finditer(r"[()\[\]=:,]|\b(?:train|on)\b", program):
        if found.start() >= len(NETWORK):
            broken = program[: found.start()] + program[found.end() :]
            assert complain(broken).count(": error: ") <= 1, complain(broken)


def test_a_misspelt_word_is_one_mistake():
    program = set_lines("parametrization = abc(a=0, b=1, c=0)", "test = [X, y]", "order = shuffled(seed=0)")
    program += "show min_eig(gram(h[l])), test_f\n"
    for found in re.finditer(r"\b[^\W\d]\w*", program):
        if found.start() >= len(NETWORK):
            complaint = complain(program[: found.end()] + "zz" + program[found.end() :])
            assert complaint.count(": error: ") == 1, complaint


def test_the_page_has_right_examples():
    """Programs of the section on training; tests/docs runs them."""
    section = re.search(r"^## Training\n(.*?)^## ", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[1]
    programs = re.findall(r"^```tp\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert len(programs) >= 2
    for program in programs:
        assert complain(program) == "", program


# ---------------------------------------------------------------------------------------------- the table


def rows():
    """(name, what stands before, program, complaint) of each section of TABLE."""
    for part in re.split(r"^=== ", TABLE, flags=re.MULTILINE)[1:]:
        heading, rest = part.split("\n", 1)
        name, before = heading.split(" after ")
        text, complaint = rest.split("\n---\n")
        yield name, before, text, complaint.rstrip("\n")


def pytest_generate_tests(metafunc):
    if "row" in metafunc.fixturenames:
        metafunc.parametrize("row", [pytest.param(row, id=row[0]) for row in rows()])


def test_the_table_of_training(request):
    assert len(list(rows())) >= 20
    if request.config.getoption("--update-golden"):
        parts = [f"=== {name} after {b}\n{x}\n---\n{complain(BEFORE[b] + x)}\n" for name, b, x, _ in rows()]
        begin = "\nTABLE = r" + '"""\n'
        code = Path(__file__).read_text(encoding="utf-8").split(begin)[0]
        Path(__file__).write_text(code + begin + "\n".join(parts) + '"""\n', encoding="utf-8")


def test_complaint_about_training(row, request):
    _, before, text, complaint = row
    if request.config.getoption("--update-golden"):
        pytest.skip("the table is being written")
    assert complain(BEFORE[before] + text) == complaint


TABLE = r"""
=== no_targets after network
train f on X:
    loss = 1
show loss, gram(x[L])
---
f.tp:14:12: error: the targets are missing
   14 | train f on X:
      |            ^
  help: the last name is that of the targets: `train f on X, y:`

=== call after network
train(f, X, y)
    loss = 1
show loss, f
---
f.tp:14:6: error: `train` begins a block, and takes no parentheses
   14 | train(f, X, y)
      |      ^
  help: write `train f on X, y:`, its settings below

=== call_with_network after network
train f(X, y):
    loss = 1
show loss, f
---
f.tp:14:8: error: the data of a training follow `on`
   14 | train f(X, y):
      |        ^
  help: write `train f on X, y:`

=== with after network
train f with X, y:
    loss = 1
show loss, f
---
f.tp:14:9: error: `on` and the data are missing after `f`
   14 | train f with X, y:
      |         ^^^^
  help: write `train f on X, y:`

=== no_comma after network
train f on X y:
    rate = 3
show loss
---
f.tp:14:14: error: a `,` is missing after `X`
   14 | train f on X y:
      |              ^
  help: inputs and targets stand apart: `X, y`

=== slices after network
train f on X[1..2], y[1..2]:
    rate = 3
show loss
---
f.tp:14:13: error: a network is trained on data as they are
   14 | train f on X[1..2], y[1..2]:
      |             ^
  help: give the part of them a name of its own

=== no_last after network
train f on X, :
    rate = 3
show loss
---
f.tp:14:15: error: the targets are missing here
   14 | train f on X, :
      |               ^
  help: `train f on X, y:`

=== no_data after network
train f on :
    rate = 3
show loss
---
f.tp:14:12: error: data are missing here
   14 | train f on :
      |            ^
  help: inputs, then targets: `train f on X, y:`

=== nothing after network
train:
    rate = 3
show loss
---
f.tp:14:6: error: a network and its data are missing
   14 | train:
      |      ^
  help: for instance `train f on X, y:`

=== assigned after network
train = 3
show loss, tangent_kernel
---
f.tp:14:1: error: `train` is a keyword, and cannot be a name
   14 | train = 3
      | ^^^^^
  help: choose another name

=== no_colon after network
train f on X, y
    rate = 3
    steps = 3
    loss = f
show loss
---
f.tp:14:16: error: a `:` is missing at the end of this line
   14 | train f on X, y
      |                ^

=== no_setting after network
train f on X, y:
show loss
---
f.tp:14:1: error: this train block holds no setting
   14 | train f on X, y:
      | ^^^^^^^^^^^^^^^^
  help: indent the lines of the train block

=== unknown_network after network
train g on X, y:
    rate = 3
    steps = 3
    loss = g
show loss
---
f.tp:14:7: error: `g` is not defined here
   14 | train g on X, y:
      |       ^
  help: the network here is `f`

=== wrong_names after network
train ff on Y, L:
    rate = 3
    steps = 3
    loss = ff
show loss
---
f.tp:14:7: error: `ff` is not defined here
   14 | train ff on Y, L:
      |       ^^
  help: did you mean `f`?

f.tp:14:13: error: `Y` is not defined here
   14 | train ff on Y, L:
      |             ^
  help: did you mean `y`?

f.tp:14:16: error: `L` is a const, not data
   14 | train ff on Y, L:
      |                ^
  help: data are declared as `data y[N] = …`

=== too_many_inputs after network
train f on X, X, y:
    rate = 3
    steps = 3
    loss = f
show loss
---
f.tp:14:12: error: `f` has one input, but 2 are given
   14 | train f on X, X, y:
      |            ^^^^
  help: the targets come last: `train f on X, y:`

=== otherwise after heading
    lr = 0.1
    epochs = 3
    loss = mse
    batch_size = 3
    parametrisation = mup
    optimizer = adam
    nonsense = 3
    wd = 3
show loss
---
f.tp:15:5: error: there is no setting `lr`
   15 |     lr = 0.1
      |     ^^
  help: the learning rate is called `rate`

f.tp:16:5: error: there is no setting `epochs`
   16 |     epochs = 3
      |     ^^^^^^
  help: training is counted in steps: `steps = …`; an epoch is one pass over the batches

f.tp:17:12: error: there is no loss `mse`
   17 |     loss = mse
      |            ^^^
  help: write `loss = squared(f, y)`

f.tp:18:5: error: there is no setting `batch_size`
   18 |     batch_size = 3
      |     ^^^^^^^^^^
  help: did you mean `batch`?

f.tp:19:5: error: there is no setting `parametrisation`
   19 |     parametrisation = mup
      |     ^^^^^^^^^^^^^^^
  help: did you mean `parametrization`?

f.tp:20:5: error: there is no setting `optimizer`
   20 |     optimizer = adam
      |     ^^^^^^^^^
  help: training is gradient descent: `batch` makes it stochastic, `momentum` gives it inertia

f.tp:21:5: error: there is no setting `nonsense`
   21 |     nonsense = 3
      |     ^^^^^^^^
  help: settings: `parametrization`, `loss`, `rate`, `steps`, `batch`, `order`, `momentum`, `weight_decay`, `test`, `record`, `start`

f.tp:22:5: error: there is no setting `wd`
   22 |     wd = 3
      |     ^^
  help: did you mean `weight_decay`?

=== twice after heading
    steps = 3
    steps = 4
    rate = = 3
show loss
---
f.tp:16:5: error: `steps` is already set on line 15
   16 |     steps = 4
      |     ^^^^^

f.tp:17:12: error: a line gives one name its value
   17 |     rate = = 3
      |            ^

=== colon after heading
    steps : 3
    rate = 0.1
    loss = f - y
show loss
---
f.tp:15:11: error: a value follows `=`, not `:`
   15 |     steps : 3
      |           ^
  help: write `steps = …`

=== other_statements after heading
    for i in 1..3: steps = 3
    rate[3] = 0.1
    show 3
    loss = f - y
show loss
---
f.tp:15:5: error: a train block holds settings only
   15 |     for i in 1..3: steps = 3
      |     ^^^^^^^^^^^^^
  help: each is a line `name = value`

f.tp:16:5: error: a train block holds settings only
   16 |     rate[3] = 0.1
      |     ^^^^^^^
  help: each is a line `name = value`

f.tp:17:5: error: a train block holds settings only
   17 |     show 3
      |     ^^^^^^
  help: each is a line `name = value`

=== values after block
    momentum = n + xx
    weight_decay = t
    batch = t
    record = full
    order = shuffled
    start = null
    test = X
show loss
---
f.tp:18:16: error: `n` is a width, which goes to infinity
   18 |     momentum = n + xx
      |                ^
  help: a width may stand in shapes and in variances; `avg(x)` divides by it

f.tp:18:20: error: `xx` is not defined here
   18 |     momentum = n + xx
      |                    ^^

f.tp:20:13: error: `t` is not defined here
   20 |     batch = t
      |             ^

f.tp:21:14: error: `full` is not defined here
   21 |     record = full
      |              ^^^^

f.tp:22:13: error: `order` is `given` or `shuffled(seed=0)`
   22 |     order = shuffled
      |             ^^^^^^^^
  help: did you mean `shuffled(seed=0)`?

f.tp:23:13: error: `start` is `zero` or `gp`
   23 |     start = null
      |             ^^^^

f.tp:24:12: error: `test` is a list of data: the inputs, and the targets if there are any
   24 |     test = X
      |            ^
  help: for instance `test = [Xt, yt]`

=== order_zero after block
    order = shuffled(0)
    start = 0
    test = [X, y, X]
show loss
---
f.tp:18:13: error: `order` is `given` or `shuffled(seed=0)`
   18 |     order = shuffled(0)
      |             ^^^^^^^^^^^
  help: did you mean `shuffled(seed=0)`?

f.tp:19:13: error: `start` is `zero` or `gp`
   19 |     start = 0
      |             ^

f.tp:20:12: error: `test` is a list of data: the inputs, and the targets if there are any
   20 |     test = [X, y, X]
      |            ^^^^^^^^^
  help: for instance `test = [Xt, yt]`

=== test_number after block
    test = [X, 3]
    order = random
show loss
---
f.tp:18:12: error: `test` is a list of data: the inputs, and the targets if there are any
   18 |     test = [X, 3]
      |            ^^^^^^
  help: for instance `test = [Xt, yt]`

f.tp:19:13: error: `random` is a keyword, and cannot be a name
   19 |     order = random
      |             ^^^^^^
  help: choose another name

=== test_const after block
    test = [X, L]
    batch = full
show loss
---
f.tp:18:16: error: `L` is a const, not data
   18 |     test = [X, L]
      |                ^
  help: data are declared as `data y[N] = …`

f.tp:19:13: error: `batch` is a number of examples
   19 |     batch = full
      |             ^^^^
  help: without it a step takes all of them

=== squared after heading
    loss = squared
    rate = 1
    steps = 3
    parametrization = muP
show loss
---
f.tp:15:12: error: `squared` takes the outputs and the targets
   15 |     loss = squared
      |            ^^^^^^^
  help: write `loss = squared(f, y)`

f.tp:18:23: error: `parametrization` is `mup`, `ntp`, `sp`, `ip`, or `abc(a=…, b=…, c=…)`
   18 |     parametrization = muP
      |                       ^^^
  help: did you mean `mup`?

=== mse after heading
    loss = mse(f, y)
    rate = 1
    steps = 3
    parametrization = standard
show loss
---
f.tp:15:12: error: there is no loss `mse`
   15 |     loss = mse(f, y)
      |            ^^^^^^^^^
  help: write `loss = squared(f, y)`

f.tp:18:23: error: `parametrization` is `mup`, `ntp`, `sp`, `ip`, or `abc(a=…, b=…, c=…)`
   18 |     parametrization = standard
      |                       ^^^^^^^^
  help: did you mean `sp`?

=== squard after heading
    loss = squard(f, y)
    rate = 1
    steps = 3
    parametrization = abc(0, 1, 2)
show loss
---
f.tp:15:12: error: there is no loss `squard`
   15 |     loss = squard(f, y)
      |            ^^^^^^^^^^^^
  help: write `loss = squared(f, y)`

f.tp:18:23: error: `abc` takes the exponents `a`, `b` and `c`, by name
   18 |     parametrization = abc(0, 1, 2)
      |                       ^^^^^^^^^^^^
  help: one number each, or a list for input, hidden and readout weights: `abc(a=0, b=[0, 1/2, 1/2], c=1)`

=== factor after heading
    loss = 2 * squared(f, y)
    rate = 1
    steps = 3
    parametrization = abc(a=[1, 2], b=x, c=0)
show loss
---
f.tp:15:16: error: `squared` is a loss, and stands alone
   15 |     loss = 2 * squared(f, y)
      |                ^^^^^^^
  help: write `loss = squared(f, y)`; a factor belongs to the rate

f.tp:18:29: error: three exponents are wanted, not 2
   18 |     parametrization = abc(a=[1, 2], b=x, c=0)
      |                             ^^^^^^
  help: for input, hidden and readout weights

f.tp:18:39: error: `x` is not defined here
   18 |     parametrization = abc(a=[1, 2], b=x, c=0)
      |                                       ^
  help: it is defined inside network `f`, on line 7; such names are not seen outside

=== output_called after heading
    loss = (f(X) - y)^2
    rate = 1
    steps = 3
    parametrization = 3
show loss
---
f.tp:15:13: error: in a loss, `f` is the output itself, not a function
   15 |     loss = (f(X) - y)^2
      |             ^^^^
  help: write `f`, or `f[j]` where there are several

f.tp:18:23: error: `parametrization` is `mup`, `ntp`, `sp`, `ip`, or `abc(a=…, b=…, c=…)`
   18 |     parametrization = 3
      |                       ^

=== inputs_in_loss after heading
    loss = (X - y)^2
    rate = 1
    steps = 3
    parametrization = "mup"
show loss
---
f.tp:15:13: error: a loss compares outputs and targets: `X` cannot stand here
   15 |     loss = (X - y)^2
      |             ^
  help: `f` is the output on an example, `y` its target

f.tp:18:23: error: `parametrization` is `mup`, `ntp`, `sp`, `ip`, or `abc(a=…, b=…, c=…)`
   18 |     parametrization = "mup"
      |                       ^^^^^

=== no_output after heading
    loss = y^2
    rate = 1
    steps = 3
show loss
---
f.tp:15:12: error: this loss does not depend on `f`
   15 |     loss = y^2
      |            ^^^
  help: for instance `loss = (f - y)^2 / 2`

=== t_in_loss after heading
    loss = sum((f[j] - y[j])^2 for j in 1..2) * t
    rate = 1
    steps = 3
show loss
---
f.tp:15:49: error: `t` is not defined here
   15 |     loss = sum((f[j] - y[j])^2 for j in 1..2) * t
      |                                                 ^

=== hinge after heading
    loss = hinge(f, y)
    rate = [1, 2]
    steps = for
show loss
---
f.tp:15:12: error: there is no loss `hinge`
   15 |     loss = hinge(f, y)
      |            ^^^^^^^^^^^
  help: it is written out: `loss = relu(1 - f * y)`

f.tp:16:12: error: a list cannot stand here
   16 |     rate = [1, 2]
      |            ^^^^^^
  help: arithmetic is on numbers, scalars and vectors, one at a time

f.tp:17:13: error: `for` is a keyword, and cannot be a name
   17 |     steps = for
      |             ^^^
  help: choose another name

=== no_train after network
show gram(x[L]), min_eig(gram(h[l])), loss
show test_f, accuracy
---
f.tp:14:6: error: `gram` measures training
   14 | show gram(x[L]), min_eig(gram(h[l])), loss
      |      ^^^^
  help: put it below a block `train f on X, y:`

f.tp:14:18: error: `min_eig` measures training
   14 | show gram(x[L]), min_eig(gram(h[l])), loss
      |                  ^^^^^^^
  help: put it below a block `train f on X, y:`

f.tp:14:39: error: `loss` measures training
   14 | show gram(x[L]), min_eig(gram(h[l])), loss
      |                                       ^^^^
  help: put it below a block `train f on X, y:`

f.tp:15:6: error: `test_f` measures training
   15 | show test_f, accuracy
      |      ^^^^^^
  help: put it below a block `train f on X, y:`

f.tp:15:14: error: `accuracy` measures training
   15 | show test_f, accuracy
      |              ^^^^^^^^
  help: put it below a block `train f on X, y:`

=== measures_without_train after network
z = loss
q = gram(z)
show gramm(z)
---
f.tp:14:5: error: `loss` is not defined here
   14 | z = loss
      |     ^^^^

f.tp:15:5: error: there is no function `gram`
   15 | q = gram(z)
      |     ^^^^

f.tp:16:6: error: there is no function `gramm`
   16 | show gramm(z)
      |      ^^^^^

=== above after network
show loss
train f on X, y:
    loss = f
    rate = 1
    steps = 3
---
f.tp:14:6: error: `loss` measures training
   14 | show loss
      |      ^^^^
  help: put it below the `train` block of line 15

=== two_blocks after block
train f on X, y:
    loss = f
    rate = 1
    steps = 3
show loss
---
f.tp:18:1: error: a program has one `train` block
   18 | train f on X, y:
      | ^^^^^
  help: the first is on line 14

=== numbers_of_arguments after block
show gram, gram(x, x), loss(f), f(X), min_eig(x[l]), min_eig(gram), gram(gram(x))
---
f.tp:18:6: error: the measure `gram` takes 1 argument, not 0
   18 | show gram, gram(x, x), loss(f), f(X), min_eig(x[l]), min_eig(gram), gram(gram(x))
      |      ^^^^
  help: for instance `show gram(x)`

f.tp:18:12: error: the measure `gram` takes 1 argument, not 2
   18 | show gram, gram(x, x), loss(f), f(X), min_eig(x[l]), min_eig(gram), gram(gram(x))
      |            ^^^^^^^^^^
  help: for instance `show gram(x)`

f.tp:18:24: error: the measure `loss` takes no arguments
   18 | show gram, gram(x, x), loss(f), f(X), min_eig(x[l]), min_eig(gram), gram(gram(x))
      |                        ^^^^^^^
  help: write `show loss`

f.tp:18:33: error: the measure `f` takes no arguments
   18 | show gram, gram(x, x), loss(f), f(X), min_eig(x[l]), min_eig(gram), gram(gram(x))
      |                                 ^^^^
  help: write `show f`

f.tp:18:47: error: `min_eig` takes one of `gram`, `cross_gram`, `joint_gram`
   18 | show gram, gram(x, x), loss(f), f(X), min_eig(x[l]), min_eig(gram), gram(gram(x))
      |                                               ^^^^
  help: for instance `min_eig(gram(x))`

f.tp:18:62: error: the measure `gram` takes 1 argument, not 0
   18 | show gram, gram(x, x), loss(f), f(X), min_eig(x[l]), min_eig(gram), gram(gram(x))
      |                                                              ^^^^
  help: for instance `show gram(x)`

f.tp:18:74: error: `gram` cannot stand inside `gram`
   18 | show gram, gram(x, x), loss(f), f(X), min_eig(x[l]), min_eig(gram), gram(gram(x))
      |                                                                          ^^^^^^^
  help: `gram` takes a vector of the network `f`

=== misspelt after block
show gram(xx[l]), gram(h[k]), gram(hh[1]), lss, train_loss, grm(x[l])
---
f.tp:18:11: error: `xx` is not defined here
   18 | show gram(xx[l]), gram(h[k]), gram(hh[1]), lss, train_loss, grm(x[l])
      |           ^^
  help: did you mean `x`?

f.tp:18:26: error: `k` is not defined here
   18 | show gram(xx[l]), gram(h[k]), gram(hh[1]), lss, train_loss, grm(x[l])
      |                          ^

f.tp:18:36: error: `hh` is not defined here
   18 | show gram(xx[l]), gram(h[k]), gram(hh[1]), lss, train_loss, grm(x[l])
      |                                    ^^
  help: did you mean `h`?

f.tp:18:44: error: there is no measure `lss`
   18 | show gram(xx[l]), gram(h[k]), gram(hh[1]), lss, train_loss, grm(x[l])
      |                                            ^^^
  help: did you mean `loss`?

f.tp:18:49: error: there is no measure `train_loss`
   18 | show gram(xx[l]), gram(h[k]), gram(hh[1]), lss, train_loss, grm(x[l])
      |                                                 ^^^^^^^^^^
  help: did you mean `loss`?

f.tp:18:61: error: there is no measure `grm`
   18 | show gram(xx[l]), gram(h[k]), gram(hh[1]), lss, train_loss, grm(x[l])
      |                                                             ^^^
  help: did you mean `gram`?

=== for_and_arithmetic after block
show gram(x[l]) for l in 1..2
show gram(x[1])[1, 2], sqrt(loss), 2 * rms(x[1])
y2 = loss
---
f.tp:18:17: error: a measure goes through all values of a free index by itself
   18 | show gram(x[l]) for l in 1..2
      |                 ^^^^^^^^^^^^^
  help: leave out the `for`

f.tp:19:6: error: the measure `gram` stands alone after `show`
   19 | show gram(x[1])[1, 2], sqrt(loss), 2 * rms(x[1])
      |      ^^^^
  help: write `show gram(x)`

f.tp:19:29: error: the measure `loss` stands alone after `show`
   19 | show gram(x[1])[1, 2], sqrt(loss), 2 * rms(x[1])
      |                             ^^^^
  help: write `show loss`

f.tp:19:40: error: the measure `rms` stands alone after `show`
   19 | show gram(x[1])[1, 2], sqrt(loss), 2 * rms(x[1])
      |                                        ^^^
  help: write `show rms(x)`

=== places after network
random q : [n] ~ N(0, 1) rate 3
for i in 1..2: train f on X, y:
for i in 1..2:
    train f on X, y:
        rate = 3
        loss = f
        steps = 2
show 3
---
f.tp:14:31: error: only a `param` has a rate
   14 | random q : [n] ~ N(0, 1) rate 3
      |                               ^
  help: what is `random` is not trained

f.tp:15:16: error: `train` cannot stand on the heading's line
   15 | for i in 1..2: train f on X, y:
      |                ^^^^^
  help: put it on its own line, indented

f.tp:17:5: error: `train` cannot stand inside a loop
   17 |     train f on X, y:
      |     ^^^^^
  help: put it at the left margin

=== rates after network
random q : [n] ~ N(0, 1) rat 3
network g(x[d]):
    param W : [n, d] ~ N(0, 1) rate
    param V : [n, d] ~ N(0, 1) rate qq
    param Z : [n, d] ~ N(0, 1), rate 3
    param Y : [n, d] rate 3 ~ N(0, 1)
    param A : [n, d] ~ N(0, 1) rate = 3
    return V
show 3
---
f.tp:14:26: error: an operator is missing between `)` and `rat`
   14 | random q : [n] ~ N(0, 1) rat 3
      |                          ^^^
  help: a product with a matrix is written `W @ x`, any other `a * b`

f.tp:16:36: error: the number is missing after `rate`
   16 |     param W : [n, d] ~ N(0, 1) rate
      |                                    ^
  help: for instance `param W : [n, d] ~ N(0, 1) rate 1 / n`

f.tp:17:37: error: `qq` is not defined here
   17 |     param V : [n, d] ~ N(0, 1) rate qq
      |                                     ^^

f.tp:18:31: error: no `,` stands before `rate`
   18 |     param Z : [n, d] ~ N(0, 1), rate 3
      |                               ^
  help: write `param Z : [n, d] ~ N(0, 1) rate …`

f.tp:19:22: error: the rate stands last
   19 |     param Y : [n, d] rate 3 ~ N(0, 1)
      |                      ^^^^
  help: write `param Y : [n, d] ~ N(0, …) rate …`

f.tp:20:37: error: a number follows `rate` at once
   20 |     param A : [n, d] ~ N(0, 1) rate = 3
      |                                     ^
  help: for instance `param A : [n, d] ~ N(0, 1) rate 1 / n`

=== no_rate after network
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    steps = 3
show loss, f
show feature_change(h[l]), min_eig(gram(x[L]))
---
f.tp:14:1: error: this train block sets no `rate`
   14 | train f on X, y:
      | ^^^^^^^^^^^^^^^
  help: for instance `rate = 0.5`

=== second_block after network
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = 0.1
    steps = 3
train f on X, y:
    steps = 3
show loss, f
show feature_change(h[l]), min_eig(gram(x[L]))
---
f.tp:19:1: error: a program has one `train` block
   19 | train f on X, y:
      | ^^^^^
  help: the first is on line 14

=== unknown_network_alone after network
train g on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = 0.1
    steps = 3
show loss, f
show feature_change(h[l]), min_eig(gram(x[L]))
---
f.tp:14:7: error: `g` is not defined here
   14 | train g on X, y:
      |       ^
  help: the network here is `f`
"""
