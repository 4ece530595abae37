"""A linear network of infinite width under μP that uses one matrix in every layer, as a recurrent network does.

    h_0 = U ξ,  h_l = W h_{l-1} + skip · h_{l-1},  f = E V h_L,   U ~ N(0, 1/d),  W ~ N(0, 1/n),  n V ~ N(0, 1)

W and W.T act within one layer, so each product adds a Gaussian that the next one starts from (see `deep_linear`).
"""

import numpy as np

from .deep_linear import GaussianMatrix, Layer, dot, low_rank, total
from .descent import Array, Descent

Parts = dict[str, Array]  # U [·, d], V [·, 1], moved [·, ·] and scale [1, 1]: W = scale W_0 + moved


def solve(depth: int, skip: float, descent: Descent, inputs: Array, targets: Array) -> Array:
    """f [T+1, A, 1] for inputs [A, d] and targets [N, 1] of the first N."""
    points = inputs / np.sqrt(inputs.shape[1])
    layer = Layer()
    initial = GaussianMatrix(layer, layer)
    now = {"U": layer.fresh(points.shape[1]), "V": layer.fresh(1), "moved": np.zeros((0, 0)), "scale": np.ones((1, 1))}
    velocity: Parts = {name: np.zeros((0, 0)) for name in now}
    path = []
    for t in range(len(descent.batches) + 1):
        h, g = [now["U"] @ points.T], [now["V"]]
        for _ in range(depth):
            forward = total(now["scale"] * initial.times(h[-1]), low_rank(now["moved"], h[-1]))
            backward = total(now["scale"] * initial.transpose_times(g[-1]), low_rank(now["moved"].T, g[-1]))
            h.append(total(forward, skip * h[-1]))
            g.append(total(backward, skip * g[-1]))
        path.append(dot(h[-1], now["V"]))
        if t < len(descent.batches):
            chi = np.zeros_like(path[-1])
            chi[: len(targets)] = descent.signals(t, path[-1], targets)
            push = {
                "U": g[-1] @ (chi.T @ points),
                "V": h[-1] @ chi,
                "moved": np.zeros((0, 0)),
                "scale": np.zeros((1, 1)),
            }
            for i in range(depth):
                push["moved"] = total(push["moved"], g[i] @ (h[depth - 1 - i] @ chi).T)
            for name in now:
                push[name] = total(push[name], descent.weight_decay * now[name])
                velocity[name] = total(descent.momentum * velocity[name], push[name])
                now[name] = total(now[name], -descent.step(t) * velocity[name])
    return np.array(path)
