"""What is said of a training beside its numbers: that it diverged, and what its outputs started as."""

import numpy as np

from tpl.core.training import Training
from tpl.sampling.train import Statistics
from tpl.sampling.train_many import Measured

FAR = 10.0  # times the loss at the start, or that of outputs which are zero: what training that works does not come to


def divergence(training: Training, found: Statistics) -> list[str]:
    """That the loss ended far above its start, and from which recorded step on it was there."""
    losses, nothing = Measured(training).losses(found)
    loss = losses.mean(axis=0)
    start = max(abs(float(loss[0])), abs(nothing))
    far = ~(loss <= FAR * start)  # so is what is no number
    if len(loss) < 2 or not start or not far[-1]:
        return []
    records, ratio = training.schedule.records, float(loss[-1]) / start
    near = np.flatnonzero(~far)
    first = records[int(near[-1]) + 1 if near.size else 0]
    since = f", and more than {FAR:g} times from step {first} on" if first != records[-1] else ""
    much = f"{ratio:.2g} times what it was at the start" if ratio < np.inf else "beyond all numbers"
    return [f"training diverged: at step {records[-1]} the loss is {much}{since}; try a smaller `rate`"]


def random_start(training: Training) -> list[str]:
    """Of a kernel regime whose outputs start as a draw of a Gaussian process."""
    regime = training.regime
    if regime.kind not in ("kernel", "trivial") or regime.u >= 1 or training.zero_start:
        return []
    return ["the loss and outputs are means over draws of that start; with `start = zero` every output begins at 0"]
