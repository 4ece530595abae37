"""Words and signs that other languages, papers and keyboards bring along, and what to write instead."""

import re
import unicodedata

from tpl.language.source import nearest
from tpl.language.tokens import KEYWORDS, Explanation, Token, Trouble, short

_CONDITIONS = "there are no conditions: `step(x)` is 1 where x > 0 and 0 where x < 0"
_LOOPS = "loops go over ranges: `for i in 1..10:`"
_FUNCTION = "write `def f(z) = …`"
STATEMENTS: dict[str, str | None] = {
    **dict.fromkeys(("if", "elif", "else", "switch"), _CONDITIONS),
    **dict.fromkeys(("while", "until", "do", "break", "continue"), _LOOPS),
    **dict.fromkeys(("import", "from"), "a program stands alone; numbers come in with `data`"),
    **dict.fromkeys(("function", "func", "fn"), _FUNCTION),
    **dict.fromkeys(("let", "var"), "write `name = …`"),
    **dict.fromkeys(("with", "try", "except", "finally", "raise", "assert", "global", "del", "yield")),
    "class": "an architecture is a `network`",
    "print": "write `show …`",
    "pass": "leave it out",
    "begin": "a block is what is indented",
    "end": "a block ends where its indentation ends",
}


def misspelt_keyword(tokens: list[Token]) -> str | None:
    """The keyword that a line must have been meant to begin with: a name in its place, and another name after it."""
    if len(tokens) < 2 or tokens[0].kind != "name" or tokens[1].kind not in ("name", "string"):
        return None
    return (
        None
        if tokens[0].text in STATEMENTS
        else nearest(tokens[0].text, [x for x in KEYWORDS if x not in ("in", "mod")])
    )


MEANT = {"print": "show", "class": "network"}  # what such a statement would have been


def foreign_statement(t: Trouble) -> Explanation | None:
    word = t.token(0).text
    if word in STATEMENTS and not t.is_(1, "=", "["):
        return t.say(0, f"`{word}` is not part of the language", STATEMENTS[word])
    return None


_COMPARE = "there are no comparisons: `step(x - y)` is 1 where x > y and 0 where x < y"
_IN_PLACE = "a name keeps its value: give the new one another name, or an index as in `x[t+1] = x[t] + y`"
_NAMES = "names hold letters, digits and `_`"
_BRACES = "indices go in `[ ]`, groups in `( )`"
_PRODUCT = "products are written `*`"
_SIGNS: dict[str, str | None] = {
    **dict.fromkeys(("!=", "<=", ">=", "<", ">", "≤", "≥", "≠"), _COMPARE),
    **dict.fromkeys(("+=", "-=", "*=", "/=", "@=", "^=", "%="), _IN_PLACE),
    **dict.fromkeys((":=", "<-"), "write `name = …`"),
    **dict.fromkeys(("**", "²", "³"), "powers are written `x^2`"),
    **dict.fromkeys(("−", "–", "—"), "the minus sign is `-`"),
    **dict.fromkeys(("×", "·", "⋅", "∗", "⊙", "∘"), _PRODUCT),
    **dict.fromkeys(("...", "…"), "a range is written `1..3`"),
    **dict.fromkeys(("“", "”"), 'strings stand in `"`'),
    **dict.fromkeys(("‘", "’"), "strings stand in `'`"),
    "==": "a name gets its value by a single `=`",
    "%": "remainders are written `a mod b`",
    "//": "numbers are divided by `/`",
    "÷": "numbers are divided by `/`",
    "|": "the absolute value is written `abs(x)`",
    "{": _BRACES,
    "}": _BRACES,
    ";": "write one statement a line",
    "\\": "an open bracket continues a line: put the expression in `( )`",
    "√": "square roots are written `sqrt(x)`",
    "∑": "sums are written `sum(x[i] for i in 1..3)`",
    "∼": "write `~`",
    "∈": "write `in`",
    "⊤": "the transpose is written `W.T`",
}
_ATTRIBUTES = {
    **dict.fromkeys(("t", "transpose"), "the transpose is written `W.T`"),
    **dict.fromkeys(("dot", "matmul"), "products are written `W @ x`"),
    "mean": "averages are written `avg(x)`",
    "sum": "sums are written `sum(x[i] for i in 1..3)`",
}


def foreign_sign(t: Trouble) -> Explanation | None:
    """The first sign that stands nowhere in the language, if the grammar gave up there."""
    for i, token in enumerate(t.tokens):
        if i > t.at + 1:
            return None
        found = foreign_token(t, i, token)
        if found is not None:
            return found
    return None


def foreign_token(t: Trouble, i: int, token: Token) -> Explanation | None:
    text = token.text
    if token.kind == "open":
        span = token.start, token.start + 1
        if t.text[: token.start][-1:].isidentifier():
            return Explanation(*span, f"`{text[0]}` cannot be part of a name", _NAMES)
        return Explanation(*span, "this string is never closed", f"end it with another `{text[0]}`")
    if token.kind == "broken":
        if i == 0 and t.is_(1, "=", "["):
            return t.say(i, f"`{short(text)}` is not a name", "names begin with a letter or `_`")
        return t.say(i, f"`{short(text)}` is not a number", _number_hint(text))
    if text == "." and t.kind(i + 1) == "name":
        return _attribute(t, i)
    if text == "lambda" and t.kind(i + 1) in ("name", "sign") and not t.is_(i + 1, "=", *")],+-*/^@"):
        return t.say(i, "`lambda` is not part of the language", _FUNCTION)
    if i == t.at and text in ("and", "or", "not", "is", "if", "else"):
        return t.say(i, f"`{text}` is not part of the language", _CONDITIONS)
    if token.kind != "sign" or (len(text) == 1 and text in "()[]+-*/@^,:=~.") or text in ("..", ".T"):
        return None
    if text == "==" and (t.is_(0, "show", "return") or any(x.text == "=" for x in t.tokens[:i])):
        return t.say(i, "`==` is not part of the language", _COMPARE)
    if text in _SIGNS:
        return t.say(i, f"`{text}` is not part of the language", _SIGNS[text])
    if not text.isprintable():
        return t.say(i, f"this is an invisible character (U+{ord(text):04X})", "delete it, and type the line again")
    if unicodedata.category(text)[0] in "MS" and text not in _SIGNS and ord(text) > 127:
        return t.say(i, f"`{text}` cannot be part of a name", _NAMES)
    return t.say(i, f"`{text}` is not part of the language")


def _number_hint(text: str) -> str:
    product = re.fullmatch(r"(\d+(?:\.\d+)?)([^\W\d_]\w*)", text)
    if product and not re.fullmatch(r"0[xX].*|.*\d[eE]\d*", text):
        return f"a product needs its `*`: `{product[1]} * {product[2]}`"
    if re.fullmatch(r"[\d_]+", text):
        return f"write `{text.replace('_', '')}`"
    if re.fullmatch(r"\d+\.", text):
        return f"write `{text}0`, or `{text[:-1]}`"
    return "numbers are written `3`, `0.5` or `1e-3`"


def _attribute(t: Trouble, dot: int) -> Explanation:
    word = t.token(dot + 1).text
    if t.is_(dot - 1, "np", "numpy", "torch", "jnp", "math", "tf", "nn", "F", "jax"):
        return t.say(dot - 1, f"`{t.token(dot - 1).text}.` is not part of the language",
                     f"functions are called by their names alone: `{word}(x)`", dot + 1)  # fmt: skip
    return t.say(dot, f"`.{word}` is not part of the language", _ATTRIBUTES.get(word), dot + 1)


_INNER = "the inner product over n is `avg(x * y)`"
_NORMAL = "write `random x : [n] ~ N(0, 1)`"
# Functions that go by another name here.
FUNCTIONS_OTHERWISE: dict[str, str] = {
    **dict.fromkeys(("mean", "average"), "averages are written `avg(x)`"),
    **dict.fromkeys(("pow", "square"), "powers are written `x^2`"),
    **dict.fromkeys(("dot", "inner"), _INNER),
    **dict.fromkeys(("normal", "Normal", "randn"), _NORMAL),
    "ln": "logarithms are written `log(x)`",
    "matmul": "products are written `W @ x`",
    "transpose": "the transpose is written `W.T`",
    "heaviside": "it is called `step`",
    "swish": "it is called `silu`",
    "logistic": "it is called `sigmoid`",
    "atan": "it is called `arctan`",
    "range": "ranges are written `1..3`",
    "var": "a variance is written `avg((x - avg(x))^2)`",
    "std": "a deviation is written `sqrt(avg((x - avg(x))^2))`",
    "norm": "a squared length over n is `avg(x^2)`",
}

_OPTIMIZER = "training is gradient descent: `batch` makes it stochastic, `momentum` gives it inertia"
_SCHEDULE = "`rate` may use the number of the step, `t`: `rate = 0.5 / (1 + t / 10)`"
# Settings of training that go by another name here: the one that was meant, and what to do (None: "did you mean").
SETTINGS_OTHERWISE: dict[str, tuple[str | None, str | None]] = {
    **dict.fromkeys(("lr", "learning_rate", "eta", "η", "alpha", "step_size", "stepsize"),
                    ("rate", "the learning rate is called `rate`")),
    **dict.fromkeys(("epochs", "epoch", "num_epochs"),
                    ("steps", "training is counted in steps: `steps = …`; an epoch is one pass over the batches")),
    **dict.fromkeys(("iterations", "iters", "n_steps", "num_steps", "T"), ("steps", None)),
    **dict.fromkeys(("batch_size", "batchsize", "minibatch", "bs"), ("batch", None)),
    **dict.fromkeys(("parameterization", "parametrisation", "parameterisation", "param", "scaling"),
                    ("parametrization", None)),
    **dict.fromkeys(("wd", "decay", "l2", "ridge"), ("weight_decay", None)),
    **dict.fromkeys(("validation", "val", "eval", "test_data", "validate"), ("test", "write `test = [Xt, yt]`")),
    **dict.fromkeys(("seed", "shuffle"), ("order", "write `order = shuffled(seed=0)`")),
    **dict.fromkeys(("every", "log", "log_every", "eval_every"), ("record", None)),
    **dict.fromkeys(("init", "initial", "f0"), ("start", None)),
    **dict.fromkeys(("optimizer", "optimiser", "sgd", "adam", "method", "algorithm"), (None, _OPTIMIZER)),
    **dict.fromkeys(("schedule", "scheduler", "lr_schedule", "warmup"), (None, _SCHEDULE)),
    **dict.fromkeys(("objective", "criterion", "cost"), ("loss", None)),
    "beta": ("momentum", None),
}  # fmt: skip
# Losses: the one that was meant, or how it is written.
LOSSES_OTHERWISE: dict[str, str] = {
    **dict.fromkeys(("mse", "MSE", "mse_loss", "squared_error", "mean_squared_error", "square", "l2", "L2"), "squared"),
    **dict.fromkeys(("xent", "ce", "CE", "nll", "crossentropy", "softmax_cross_entropy"), "cross_entropy"),
    **dict.fromkeys(("log_loss", "logloss", "bce", "BCE", "binary_cross_entropy", "logit"), "logistic"),
    **dict.fromkeys(("mae", "MAE", "l1", "L1", "absolute_error"), "it is written out: `loss = abs(f - y)`"),
    **dict.fromkeys(("hinge", "hinge_loss"), "it is written out: `loss = relu(1 - f * y)`"),
}  # fmt: skip
PARAMETRIZATIONS_OTHERWISE: dict[str, str] = {
    **dict.fromkeys(("mf", "mean_field", "meanfield", "maximal_update", "μP", "μp"), "mup"),
    **dict.fromkeys(("ntk", "NTK", "neural_tangent"), "ntp"),
    **dict.fromkeys(("standard", "default", "pytorch"), "sp"),
    "integrable": "ip",
}  # fmt: skip
MEASURES_OTHERWISE: dict[str, str] = {
    **dict.fromkeys(("train_loss", "training_loss"), "loss"),
    **dict.fromkeys(("acc", "train_accuracy"), "accuracy"),
    **dict.fromkeys(("test_acc", "val_accuracy"), "test_accuracy"),
    **dict.fromkeys(("val_loss", "validation_loss"), "test_loss"),
    **dict.fromkeys(("eig", "eigs", "eigvals", "spectrum"), "eigenvalues"),
    **dict.fromkeys(("lambda_min", "mineig", "eigmin"), "min_eig"),
    **dict.fromkeys(("kernel", "Theta", "tangent"), "tangent_kernel"),
    "cka": "alignment",
}  # fmt: skip
