"""What training is judged by: functions of averages, with errors that count noise, bias, truncation and rounding.

    smallest = evaluate(min_eig(joint_gram()), {"gram": gram, "cross": cross, "lost": lost}, "sampled limit")
    smallest.value, smallest.error, smallest.notes

Every replicate r of the sampled limit hands over averages over its samples at T recorded steps, the first of them step
0: outputs f [R, T, A, k]; of a variable h with N inputs gram [R, T, N, N] = avg(h_t(a) h_t(b)),
cross [R, T, N, N] = avg(h_0(a) h_t(b)), lost [R, T] (optional): what rank truncation dropped from the Gram matrix.
"""

from tpl.sampling.measures.matrices import alignment, cross_gram, feature_change, gram, joint_gram, rms
from tpl.sampling.measures.measure import Measure, Statistics, evaluate, no_slack, per_replicate, unresolved
from tpl.sampling.measures.outputs import accuracy, average, class_margin, loss, sign_margin
from tpl.sampling.measures.spectra import effective_rank, eigenvalues, min_eig, rank

__all__ = [
    "Measure", "Statistics", "accuracy", "alignment", "average", "class_margin", "cross_gram", "effective_rank",
    "eigenvalues", "evaluate", "feature_change", "gram", "joint_gram", "loss", "min_eig", "no_slack", "per_replicate", "rank",
    "rms", "sign_margin", "unresolved",
]  # fmt: skip
