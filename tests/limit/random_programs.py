"""Random core programs as text: tame in size, wild in structure. A seed gives always the same program.

Every program shows the moments of its vectors; what the law says of them must be what particles say.
"""

import random
from dataclasses import dataclass

MATRIX_VARIANCES = ("1", "0.5", "1.5", "s^2")
VECTOR_LAWS = ("N(0, 1)", "N(0, 0.25)", "N(0.5, 1)", "N(-1, 0.5)", "N(0, 0)", "N(1, 0)", "N(mu, 1)")
ROWS = ([1.0, 0.0], [0.0, 1.0], [0.5, -0.5], [1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [0.0, 0.0], [0.3, 0.7])

# Functions of one vector: (text, degree of growth). None: the degree of the argument.
BOUNDED = (
    "tanh({0})", "step({0})", "step({0} - 0.5)", "sign({0})", "sign({0} + 0.3)", "erf({0})", "sin({0})", "cos(2 * {0})",
    "exp(-{0}^2)", "sigmoid({0})", "arctan({0})", "1 / (1 + {0}^2)", "{0} / sqrt(1 + {0}^2)", "tanh({0} + 1)",
    "min(max({0}, -1), 1.5)", "exp(-({0} - 1)^2 / 2)",
)  # fmt: skip
LINEAR = (
    "relu({0})", "abs({0})", "softplus({0})", "silu({0})", "gelu({0})", "relu({0} - 0.5)", "relu(abs({0}) - 1)",
    "sign({0}) * relu(abs({0}) - 0.7)", "max({0}, 0.2 * {0})", "{0} * step({0} + 0.2)", "log(1 + {0}^2)", "-{0}",
    "0.5 * {0} + 1", "{0} - 0.3", "sqrt(1 + {0}^2)", "{0} * tanh({0})",
)  # fmt: skip
PAIRS = (
    ("{0} + {1}", 0), ("{0} - {1}", 0), ("0.5 * {0} - 2 * {1}", 0), ("max({0}, {1})", 0), ("min({0}, 2 * {1})", 0),
    ("tanh({0} + {1})", None), ("{0} * {1}", 1), ("{0} * tanh({1})", 0), ("{0} * step({1})", 0),
    ("relu({0} - {1})", 0), ("{0} / (1 + {1}^2)", 0), ("step({0} + {1})", None), ("{0} - tanh({0}) * {1}", 0),
    ("sign({0}) * {1}", 0), ("cos({0} * {1})", None), ("{0} + 0.5 * {1} + 0.5", 0), ("abs({0}) * abs({1})", 1),
)  # fmt: skip
# A moment may tend to 0, where a jump or a kink in it would make particles wander: it enters smoothly, away from 0.
SCALED = (
    "(1 + {t}^2) * {0}", "({0} - {t}) / sqrt(1 + {t}^2)", "tanh((1 + {t}^2) * {0})", "relu({0} - {t})", "step({0} - {t} - 0.1)",
    "sigmoid({t}) * {0}", "sign({0}) * relu(abs({0}) - {t}^2 - 0.1)", "{0} + {t}", "{0} / (1 + {t}^2)",
)  # fmt: skip


@dataclass(frozen=True)
class Vector:
    name: str
    width: str
    degree: int  # |coordinate| grows no faster than this power of Gaussians


class _Writer:
    def __init__(self, seed: int, lines: int):
        self.random = random.Random(seed)
        self.budget = lines
        self.text: list[str] = []
        self.vectors: list[Vector] = []
        self.matrices: list[tuple[str, str, str]] = []
        self.inputs: list[tuple[str, str]] = []
        self.scalars: list[str] = []
        self.count = 0
        self.widths = {"n": None}

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def emit(self, text: str) -> None:
        self.text.append(text)

    def pick(self, most: int = 3, width: str | None = None) -> Vector:
        """A vector, later ones first."""
        fitting = [v for v in self.vectors if v.degree <= most and width in (None, v.width)]
        weights = [1 + i for i in range(len(fitting))]
        return self.random.choices(fitting, weights)[0]

    # ------------------------------------------------------------------------------------------ declarations
    def declare(self) -> None:
        r = self.random
        self.emit("width n")
        if r.random() < 0.4:
            ratio = r.choice(["2", "1/2", "3/2"])
            self.emit(f"width m = {ratio} * n")
            self.widths["m"] = None
        self.emit("const s = 0.8")
        self.emit("const mu = 0.5")
        for _ in range(r.randint(1, 2)):
            self.matrix(r.choice(list(self.widths)), r.choice(list(self.widths)))
        if "m" in self.widths and not any(a != b for _, a, b in self.matrices):
            self.matrix("m", "n")
        for width in self.widths:
            for _ in range(r.randint(1, 2)):
                self.draw(width)
        if r.random() < 0.4:
            name = self.name("U")
            self.emit(f"{name} : [n, 2] ~ N(0, {r.choice(['1', '1 / 2'])})")
            for _ in range(r.randint(1, 3)):
                self.vectors.append(Vector(self.name("h"), "n", 1))
                self.emit(f"{self.vectors[-1].name} = {name} @ {r.choice(ROWS)}")

    def matrix(self, rows: str, columns: str) -> None:
        name = self.name("W")
        divisor = self.random.choice([rows, columns])
        self.emit(f"{name} : [{rows}, {columns}] ~ N(0, {self.random.choice(MATRIX_VARIANCES)} / {divisor})")
        self.matrices.append((name, rows, columns))

    def draw(self, width: str) -> None:
        law = self.random.choice(VECTOR_LAWS) if self.vectors else "N(0, 1)"
        self.vectors.append(Vector(self.name("x"), width, 1))
        self.emit(f"{self.vectors[-1].name} : [{width}] ~ {law}")

    # ------------------------------------------------------------------------------------------ lines
    def product(self) -> None:
        name, rows, columns = self.random.choice(self.matrices)
        transposed = self.random.random() < 0.5
        source, target = (rows, columns) if transposed else (columns, rows)
        x = self.pick(2, source)
        self.vectors.append(Vector(self.name("g"), target, x.degree))
        self.emit(f"{self.vectors[-1].name} = {name}{'.T' if transposed else ''} @ {x.name}")

    def symmetric(self) -> None:
        square = [m for m in self.matrices if m[1] == m[2]]
        if not square:
            return self.product()
        name, width, _ = self.random.choice(square)
        x = self.pick(2, width)
        a, b, total = self.name("g"), self.name("g"), self.name("g")
        self.emit(f"{a} = {name} @ {x.name}")
        self.emit(f"{b} = {name}.T @ {x.name}")
        self.emit(f"{total} = {a} + {b}")
        self.vectors.append(Vector(total, width, x.degree))

    def function(self) -> None:
        x = self.pick()
        bounded = self.random.random() < 0.5
        text = self.random.choice(BOUNDED if bounded else LINEAR)
        self.vectors.append(Vector(self.name("y"), x.width, 1 if bounded else x.degree))
        self.emit(f"{self.vectors[-1].name} = {text.format(x.name)}")

    def pair(self) -> None:
        a = self.pick(1)
        b = self.pick(1, a.width)
        text, extra = self.random.choice(PAIRS)
        degree = 1 if extra is None else 1 + extra
        self.vectors.append(Vector(self.name("y"), a.width, degree))
        self.emit(f"{self.vectors[-1].name} = {text.format(a.name, b.name)}")

    def moment(self) -> None:
        a = self.pick(2)
        b = self.pick(2, a.width)
        text = self.random.choice(["{0}", "{0} * {1}", "{0}^2", "tanh({0}) * {1}", "abs({0} - {1})"])
        self.scalars.append(self.name("t"))
        self.emit(f"{self.scalars[-1]} = avg({text.format(a.name, b.name)})")

    def scaled(self) -> None:
        if not self.scalars:
            return self.moment()
        x = self.pick(2)
        text = self.random.choice(SCALED).format(x.name, t=self.random.choice(self.scalars))
        self.vectors.append(Vector(self.name("y"), x.width, x.degree))
        self.emit(f"{self.vectors[-1].name} = {text}")

    def shows(self) -> None:
        shown = list(self.scalars)
        for width in self.widths:
            vectors = [v for v in self.vectors if v.width == width and v.degree <= 2][-4:]
            for i, a in enumerate(vectors):
                for b in vectors[: i + 1]:
                    shown.append(self.name("t"))
                    self.emit(f"{shown[-1]} = avg({a.name} * {b.name})")
            shown.append(self.name("t"))
            self.emit(f"{shown[-1]} = avg(tanh({vectors[-1].name}) * {self.pick(2, width).name})")
        self.emit(f'show "moments" [{len(shown)}] = {", ".join(shown)}')

    def write(self) -> str:
        self.declare()
        steps = [self.product, self.symmetric, self.function, self.pair, self.moment, self.scaled]
        while len(self.text) < self.budget:
            self.random.choices(steps, [5, 1, 4, 2.5, 1, 1])[0]()
        self.shows()
        return "\n".join(self.text) + "\n"


def random_program(seed: int, lines: int = 20) -> str:
    """The text of a core program."""
    return _Writer(seed, lines).write()
