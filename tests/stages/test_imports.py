"""Commands import nothing heavy that they do not need: start-up is most of a short command's time."""

import subprocess
import sys

import pytest

TRAINED = """
width n
data X[N, d] = [[1, 0.5], [0.3, -1]]
data y[N] = [1, -1]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi)
train f on X, y:
    parametrization = mup
    loss = squared(f, y)
    rate = 0.1
    steps = 2
show loss
"""


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        (["check", "mlp"], {"sympy", "numba", "scipy", "matplotlib"}),
        (["core", "mlp"], {"sympy", "numba", "scipy", "matplotlib", "rich"}),
        (["run", "TRAINED", "--samples", "64"], {"sympy", "numba", "matplotlib"}),
        (["run", "mlp"], {"matplotlib"}),
    ],
    ids=lambda x: x[0] if isinstance(x, list) else "",
)
def test_what_a_command_imports(tmp_path, command, unwanted):
    (tmp_path / "trained.tp").write_text(TRAINED)
    arguments = [str(tmp_path / "trained.tp") if x == "TRAINED" else x for x in command]
    code = (
        "import sys\nfrom tpl.cli import app\n"
        f"app({arguments!r}, standalone_mode=False)\nprint('HEAVY', sorted({unwanted!r} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout.splitlines()[-1:] == ["HEAVY []"], found.stdout[-500:] + found.stderr[-2000:]
