"""Deep linear networks of infinite width under μP, trained in finitely many numbers, exact to rounding.

    h¹ = W¹ ξ,  h^l = W^l h^{l-1},  f_j = E V_j h^L,   W¹ ~ N(0, σ²/d),  W^l ~ N(0, σ²/n),  n V ~ N(0, σ_V²)

If φ is the identity, every Z is a linear combination of independent standard Gaussians. So a vector of layer l is the
column of its coefficients, and ⟨a, b⟩ = E Z^a Z^b is the product of columns. A Gaussian matrix is known only through its
products. Given those, a product with a direction p of unit length, orthogonal to all earlier arguments, is

    W p = e + Σ_k q_k ⟨W.T q_k, p⟩,

q_k: orthonormal arguments of W.T so far, e: a Gaussian of its own, independent of all others (Bolthausen 2014, Bayati
and Montanari 2011: conditioning, whose projection of e vanishes at infinite width). W.T is handled alike. Trained
weights are a multiple of the initial ones, plus a matrix of coefficients.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .descent import Array, Descent, Solution

NEGLIGIBLE = 1e-13  # relative length of a residual that is rounding


class Layer:
    """The Gaussians of one layer, by number; a vector names some first of them."""

    def __init__(self) -> None:
        self.size = 0

    def fresh(self, count: int) -> Array:
        """Columns of `count` new independent standard Gaussians."""
        self.size += count
        return np.eye(self.size)[:, self.size - count :]

    def full(self, columns: Array) -> Array:
        """The columns, with zeros for Gaussians that came after them."""
        return np.vstack([columns, np.zeros((self.size - len(columns), columns.shape[1]))])


@dataclass
class Side:
    """One side of a Gaussian matrix: its orthonormal arguments and their images, both as columns."""

    arguments: Array = field(default_factory=lambda: np.zeros((0, 0)))
    images: Array = field(default_factory=lambda: np.zeros((0, 0)))


class GaussianMatrix:
    """W with iid N(0, 1/n) entries, from layer `below` to layer `above`, in the limit of n."""

    def __init__(self, below: Layer, above: Layer) -> None:
        self.layers = below, above
        self.sides = Side(), Side()

    def times(self, columns: Array) -> Array:
        return self._product(columns, 0)

    def transpose_times(self, columns: Array) -> Array:
        return self._product(columns, 1)

    def _product(self, columns: Array, side: int) -> Array:
        for j in range(columns.shape[1]):
            self._explore(columns[:, j : j + 1], side)
        start, end = self.layers[side], self.layers[1 - side]
        known = self.sides[side]
        return end.full(known.images) @ (start.full(known.arguments).T @ start.full(columns))

    def _explore(self, column: Array, side: int) -> None:
        """Adds the part of the column that is orthogonal to the arguments so far."""
        start, end = self.layers[side], self.layers[1 - side]
        here, there = self.sides[side], self.sides[1 - side]
        here.arguments, there.images = start.full(here.arguments), start.full(there.images)
        rest = start.full(column)
        length = np.linalg.norm(rest)
        for _ in range(2):
            rest = rest - here.arguments @ (here.arguments.T @ rest)
        if np.linalg.norm(rest) <= NEGLIGIBLE * length:
            return
        rest = rest / np.linalg.norm(rest)
        for _ in range(2):  # a short residual has lost digits
            rest = rest - here.arguments @ (here.arguments.T @ rest)
            rest = rest / np.linalg.norm(rest)
        image = end.fresh(1)
        here.images, there.arguments = end.full(here.images), end.full(there.arguments)
        image = image + there.arguments @ (there.images.T @ rest)
        here.arguments, here.images = np.hstack([here.arguments, rest]), np.hstack([here.images, image])


@dataclass(frozen=True)
class DeepLinear:
    """L = `depth` hidden layers, k = `outputs`; `bias` is the standard deviation of vector biases in every layer.

    vanishing: W^l starts smaller than under μP by a power of n, as in IP, and so at 0. Updates carry σ² all the same.
    """

    depth: int = 1
    outputs: int = 1
    sigma: float = 1.0
    readout_sigma: float = 1.0
    bias: float | None = None
    vanishing: bool = False


class _Weights:
    """scale[layer] W^l_0 + moved[layer], layer >= 2, and the others in full: the network at one step, or its velocity.

    U [·, r] is W¹ on coordinates of inputs, biases b_l [·, 1], V [·, k] has readouts as columns.
    """

    def __init__(self, network: DeepLinear, rank: int, layers: Sequence[Layer] | None = None) -> None:
        """At the start if layers are given (they get the Gaussians), else zero."""
        inner = range(2, network.depth + 1)
        self.scale = dict.fromkeys(inner, 0.0 if layers is None or network.vanishing else network.sigma)
        self.moved = {layer: np.zeros((0, 0)) for layer in inner}
        self.columns = {"U": np.zeros((0, rank)), "V": np.zeros((0, network.outputs))}
        if network.bias is not None:
            self.columns |= {f"b{layer}": np.zeros((0, 1)) for layer in range(1, network.depth + 1)}
        if layers is not None:
            deviations = {"U": network.sigma, "V": network.readout_sigma}
            for name, value in self.columns.items():
                home = layers[_layer_of(name, network.depth)]
                self.columns[name] = deviations.get(name, network.bias) * home.fresh(value.shape[1])

    def add(self, factor: float, other: "_Weights") -> None:
        for layer in self.scale:
            self.scale[layer] += factor * other.scale[layer]
            self.moved[layer] = _sum(self.moved[layer], factor * other.moved[layer])
        for name in self.columns:
            self.columns[name] = _sum(self.columns[name], factor * other.columns[name])

    def shrink(self, factor: float) -> None:
        self.add(factor - 1, self)


def _layer_of(name: str, depth: int) -> int:
    return {"U": 1, "V": depth}.get(name) or int(name[1:])


def _sum(a: Array, b: Array) -> Array:
    """a + b, with zeros for what one of them does not have."""
    total = np.zeros(np.maximum(a.shape, b.shape))
    total[: a.shape[0], : a.shape[1]] += a
    total[: b.shape[0], : b.shape[1]] += b
    return total


def dot(a: Array, b: Array) -> Array:
    """a.T b, with zeros for Gaussians that only one of them knows."""
    common = min(len(a), len(b))
    return a[:common].T @ b[:common]


class _Net:
    def __init__(self, network: DeepLinear, points: Array) -> None:
        self.network, self.points = network, points
        self.layers = [Layer() for _ in range(network.depth + 1)]  # the first stays empty
        self.initial = {
            layer: GaussianMatrix(self.layers[layer - 1], self.layers[layer]) for layer in range(2, network.depth + 1)
        }
        self.now = _Weights(network, points.shape[1], self.layers)
        self.velocity = _Weights(network, points.shape[1])

    def forward(self) -> tuple[dict[int, Array], Array]:
        """h^l [·, A] by layer, and f [A, k]."""
        now, h = self.now, {}
        for layer in range(1, self.network.depth + 1):
            if layer == 1:
                h[layer] = now.columns["U"] @ self.points.T
            else:
                moved = now.moved[layer]
                low_rank = moved[:, : len(h[layer - 1])] @ h[layer - 1][: moved.shape[1]]
                h[layer] = _sum(now.scale[layer] * self.initial[layer].times(h[layer - 1]), low_rank)
            if f"b{layer}" in now.columns:
                h[layer] = _sum(h[layer], now.columns[f"b{layer}"] @ np.ones((1, len(self.points))))
        return h, dot(h[self.network.depth], now.columns["V"])

    def backward(self) -> dict[int, Array]:
        """g^l [·, k]: derivatives of outputs by h^l, times n; the same for every input."""
        g = {self.network.depth: self.now.columns["V"]}
        for layer in range(self.network.depth, 1, -1):
            moved = self.now.moved[layer].T
            low_rank = moved[:, : len(g[layer])] @ g[layer][: moved.shape[1]]
            g[layer - 1] = _sum(self.now.scale[layer] * self.initial[layer].transpose_times(g[layer]), low_rank)
        return g

    def gradient(self, h: dict[int, Array], chi: Array) -> _Weights:
        """chi [A, k]; scaled as for unit-variance parameters."""
        network, g = self.network, self.backward()
        push = _Weights(network, self.points.shape[1])
        push.columns["U"] = network.sigma**2 * g[1] @ (chi.T @ self.points)
        push.columns["V"] = network.readout_sigma**2 * h[network.depth] @ chi
        for layer in push.moved:
            push.moved[layer] = network.sigma**2 * g[layer] @ (chi.T @ h[layer - 1].T)
        if network.bias is not None:
            for layer in range(1, network.depth + 1):
                push.columns[f"b{layer}"] = network.bias**2 * g[layer] @ chi.sum(axis=0)[:, None]
        return push

    def move(self, push: _Weights, descent: Descent, rate: float) -> None:
        self.velocity.shrink(descent.momentum)
        self.velocity.add(1.0, push)
        self.velocity.add(descent.weight_decay, self.now)
        self.now.add(-rate, self.velocity)


def solve(network: DeepLinear, descent: Descent, inputs: Array, targets: Array) -> Solution:
    """inputs [A, d], targets [N, k] of the first N inputs. Only ⟨ξ_a, ξ_b⟩/d of the inputs matters."""
    count, dimension = inputs.shape
    points = np.linalg.qr(inputs.T / np.sqrt(dimension))[1].T  # [A, min(A, d)], with the same products
    net = _Net(network, points)
    f, features = [], []
    for t in range(len(descent.batches) + 1):
        h, out = net.forward()
        f.append(out)
        features.append(h)
        if t < len(descent.batches):
            chi = np.zeros_like(out)
            chi[: len(targets)] = descent.signals(t, out, targets)
            net.move(net.gradient(h, chi), descent, descent.step(t))
    loss = np.array([descent.loss.value(out[: len(targets)], targets).mean() for out in f])
    gram = {layer: np.array([dot(h[layer], h[layer]) for h in features]) for layer in features[0]}
    cross = {layer: np.array([dot(features[0][layer], h[layer]) for h in features]) for layer in features[0]}
    return Solution(np.array(f).reshape(-1, count, network.outputs), loss, gram, cross, gram, cross)
