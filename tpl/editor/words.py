"""Every word that the language itself gives a meaning, with a line on each: for hovers, completion and highlighting.

The words come from where the language defines them; what is added here is only what an editor says of them. A test asks
that none is missing, and none too many.
"""

from dataclasses import dataclass

from tpl.core.functions import BUILTIN_CONSTANTS, CALLABLE
from tpl.data import GENERATORS
from tpl.language import training_words
from tpl.language.check import KERNELS, OVER_LISTS
from tpl.language.tokens import KEYWORDS

GROUPS = ("keyword", "function", "generator", "constant", "setting", "measure", "choice")


@dataclass(frozen=True)
class Word:
    """A word of the language. group: one of GROUPS. usage: how it is written; doc: what it means, in a sentence."""

    name: str
    group: str
    usage: str
    doc: str


_KEYWORDS = {
    "const": ("const sigma_w = sqrt(2)", "A number with a name; `--set sigma_w=1` changes it."),
    "def": ("def phi(z) = relu(z)", "A function; `--set 'phi(z)=tanh(z)'` changes it."),
    "width": ("width n", "A width, which goes to infinity; further ones are multiples of it: `width m = 2 * n`."),
    "data": ("data X[N, d] = sphere(4, 10, seed=0)", "Input arrays, with a default; `--data X=FILE.npy` replaces it."),
    "network": ("network f(xi[d]):", "A network: its parameters belong to it, and it is applied to inputs."),
    "param": ("param W : [n, n] ~ N(0, 1 / n)", "A trained array, drawn from a normal law; inside networks."),
    "random": ("random x : [n] ~ N(0, 1)", "An array that is drawn from a normal law and not trained."),
    "for": ("for l in 2..L:", "A loop; ranges include both ends."),
    "in": ("for l in 2..L:", "The range of a loop follows."),
    "return": ("return v @ x", "What a network gives: a readout of its features."),
    "show": ("show nngp(f, X)", "What is asked for: numbers that have a limit."),
    "mod": ("h[(p + 1) mod P]", "The remainder, as on a circle of indices."),
    "train": ("train f on X, y:", "Trains a network on inputs and targets; settings follow, indented."),
}
_OVER_LISTS = {
    "avg": (
        "avg(x * y)",
        "The average over the width's coordinates, an expectation in the limit; of a list, its mean.",
    ),
    "sum": ("sum(x[t] for t in 1..T)", "The sum of a list of values."),
    "softmax": ("softmax(s[1..T])[j]", "exp(s[j]) / Σ exp(s[i]): the weights of a list."),
}
_KERNELS = {
    "nngp": ("nngp(f, X)", "The covariance of a network's outputs over data at initialisation (NNGP kernel)."),
    "ntk": ("ntk(f, X)", "The neural tangent kernel: ⟨∂f(ξ), ∂f(ξ′)⟩ with respect to unit-variance parameters."),
}
_LAW = ("~ N(0, sigma^2 / n)", "The normal law with a mean and a variance.")
_CONSTANTS = {"pi": ("pi", "3.14159…")}
_SETTINGS = {
    "parametrization": ("parametrization = mup", "How initial values and rates scale with the width."),
    "loss": ("loss = (f - y)^2 / 2", "The loss of one example, in the output and the target; or one by name."),
    "rate": ("rate = 0.5", "The learning rate; may depend on the step `t`."),
    "steps": ("steps = 50", "How many steps of gradient descent."),
    "batch": ("batch = 8", "How many examples a step takes, drawn without replacement; all of them if left out."),
    "order": ("order = shuffled(seed=0)", "`given`, or `shuffled(seed=0)`: a fresh permutation an epoch."),
    "momentum": ("momentum = 0.9", "Heavy-ball momentum; may depend on `t`."),
    "weight_decay": ("weight_decay = 0.01", "Added to the gradient, times the parameter; may depend on `t`."),
    "test": (
        "test = [Xt, yt]",
        "Data that are evaluated along the way, never trained on; `[Xt]` alone has no targets.",
    ),
    "record": ("record = 10", "Every how many steps the measures are taken."),
    "start": ("start = zero", "In the kernel regime, where the outputs begin: `zero` or `gp`."),
}
_MEASURES = {
    "loss": ("show loss", "The loss over the training data, step by step."),
    "test_loss": ("show test_loss", "The loss over the test data."),
    "accuracy": ("show accuracy", "The share of training examples whose class the output tells."),
    "test_accuracy": ("show test_accuracy", "The share of test examples whose class the output tells."),
    "tangent_kernel": ("show tangent_kernel", "Θ_t(ξ, ξ′) along training, of the parameters that move outputs."),
    "gram": ("gram(h[l])", "E h_t(ξ) h_t(ξ′), over the training inputs."),
    "cross_gram": ("cross_gram(h[l])", "E h_0(ξ) h_t(ξ′): vectors before training with those after it."),
    "joint_gram": ("joint_gram(h[l])", "The Gram matrix of all h_0(ξ) and h_t(ξ)."),
    "feature_change": ("feature_change(h[l])", "The mean over inputs of √(E (h_t - h_0)²) / √(E h_0²)."),
    "rms": ("rms(h[l])", "√ of the mean over inputs of E h_t²."),
    "alignment": ("alignment(h[l])", "The centred alignment of the Gram matrix with that of the targets."),
    "min_eig": ("min_eig(gram(h[l]))", "The smallest eigenvalue of a Gram matrix."),
    "eigenvalues": ("eigenvalues(gram(h[l]))", "The eigenvalues of a Gram matrix."),
    "rank": ("rank(gram(h[l]))", "The rank of a Gram matrix, up to its error."),
    "effective_rank": ("effective_rank(gram(h[l]))", "(Σ λ)² / Σ λ² over the eigenvalues of a Gram matrix."),
}
_CHOICES = {
    "mup": ("parametrization = mup", "Maximal update: stable, and features are learned (TP4)."),
    "ntp": ("parametrization = ntp", "The tangent-kernel parametrization: features stand still."),
    "sp": ("parametrization = sp", "The standard parametrization at a stable rate: features stand still."),
    "ip": ("parametrization = ip", "The mean-field (integrable) parametrization."),
    "abc": ("parametrization = abc(a=0, b=0.5, c=1)", "Exponents of the width in weights, initial values and rates (TP4)."),
    "squared": ("loss = squared(f, y)", "Σ (f - y)² / 2, over the outputs."),
    "logistic": ("loss = logistic(f, y)", "log(1 + exp(-y f)), for targets 1 and -1."),
    "cross_entropy": ("loss = cross_entropy(f, y)", "log Σ exp f_j - Σ y_j f_j; y is the number of the class from 0, or one number for each."),
    "given": ("order = given", "Batches take examples in the order given."),
    "shuffled": ("order = shuffled(seed=0)", "Batches follow a fresh permutation an epoch."),
    "zero": ("start = zero", "Outputs are 0 before training."),
    "gp": ("start = gp", "Outputs are drawn from their Gaussian process before training."),
}  # fmt: skip
CHOICES = (
    *training_words.PARAMETRIZATIONS, training_words.ABC, *training_words.LOSSES, training_words.GIVEN,
    training_words.SHUFFLED, training_words.ZERO, training_words.GP,
)  # fmt: skip
MEASURES = (*training_words.OF_RUN, *training_words.OF_VECTORS, *training_words.OF_GRAMS)
OWN_DOCS: dict[str, dict[str, tuple[str, str]]] = {
    "keyword": _KEYWORDS,
    "function": {**_OVER_LISTS, **_KERNELS, "N": _LAW},
    "constant": _CONSTANTS,
    "setting": _SETTINGS,
    "measure": _MEASURES,
    "choice": _CHOICES,
}
NAMES: dict[str, tuple[str, ...]] = {
    "keyword": KEYWORDS,
    "function": (*CALLABLE, *OVER_LISTS, *KERNELS, "N"),
    "generator": tuple(GENERATORS),
    "constant": tuple(BUILTIN_CONSTANTS),
    "setting": training_words.SETTINGS,
    "measure": MEASURES,
    "choice": CHOICES,
}


def words() -> tuple[Word, ...]:
    """All words, group by group; a word of two groups comes twice."""
    return tuple(_word(name, group) for group in GROUPS for name in NAMES[group])


def _word(name: str, group: str) -> Word:
    if group == "generator":
        return Word(name, group, GENERATORS[name].signature, GENERATORS[name].doc)
    if group == "function" and name in CALLABLE:
        arguments = ", ".join("zwuv"[: CALLABLE[name].arity or 2])
        return Word(name, group, f"{name}({arguments})", CALLABLE[name].doc)
    return Word(name, group, *OWN_DOCS[group][name])
