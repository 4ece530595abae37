"""The words of training: settings of a `train` block, and measures after `show`. None of them is reserved elsewhere."""

STEP = "t"  # the number of the step, from 0

SETTINGS = (
    "parametrization", "loss", "rate", "steps", "batch", "order", "momentum", "weight_decay", "test", "record", "start",
)  # fmt: skip
REQUIRED = ("loss", "rate", "steps")  # and `parametrization`, unless the params carry rates
SCHEDULED = ("rate", "momentum", "weight_decay")  # may depend on STEP

PARAMETRIZATIONS = ("mup", "ntp", "sp", "ip")
ABC = "abc"  # abc(a=…, b=…, c=…): one number each, or a list of three: input, hidden, readout
ABC_EXPONENTS = ("a", "b", "c")
LOSSES = {"squared": 2, "logistic": 2, "cross_entropy": 2}  # the whole of `loss`, with their numbers of arguments
GIVEN, SHUFFLED = "given", "shuffled"  # values of `order`: given, or shuffled(seed=0)
ZERO, GP = "zero", "gp"  # values of `start`

# Measures after `show`, with their numbers of arguments.
OF_RUN = ("loss", "test_loss", "accuracy", "test_accuracy", "tangent_kernel")  # no argument
GRAMS = ("gram", "cross_gram", "joint_gram")  # one argument each: an expression over the names inside the network
OF_VECTORS = (*GRAMS, "feature_change", "rms", "alignment")
OF_GRAMS = ("min_eig", "eigenvalues", "rank", "effective_rank")  # one argument each: one of GRAMS
WITH_TEST = ("test_loss", "test_accuracy")  # these need `test`, and so does `test_f` of a network f


def test_outputs(network: str) -> str:
    """The measure that is a network's outputs on the test data; those on the training data go by its own name."""
    return f"test_{network}"


def measures(network: str) -> dict[str, int]:
    """Every measure of the training of a network, and its number of arguments."""
    return {**dict.fromkeys((*OF_RUN, network, test_outputs(network)), 0), **dict.fromkeys((*OF_VECTORS, *OF_GRAMS), 1)}
