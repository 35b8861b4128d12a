"""The conditional sampler: the exact joint law of all activations and gradients, without weight matrices.

A weight matrix W is used once forward, Z = W X, and once backward, Wᵀ D, where D may depend on Z in any way.
Only W Q and Wᵀ D matter, with orthonormal Q spanning X.

Gaussian. Let W have iid N(0, s) entries and X = Q R, Q of k columns. W Q = √s G with G of iid N(0, 1) entries,
so Z = √s G R. The rest of W, its action on the complement of Q, is independent of W Q and hence of D, and acts
as fresh noise: with R_d such that R_dᵀR_d = DᵀD and N of iid N(0, 1) entries,

    Wᵀ D = √s [Q Gᵀ D + (I - Q Qᵀ) N R_d].

Haar. Let W be ``gain`` times a corner of a Haar-distributed orthogonal matrix O of order n. Padded with zeros, X
and D have n rows. O Q = H is uniform on the Stiefel manifold, Z = gain H R. Given H, O maps the complement of Q
onto the complement of H by a Haar-distributed map of it, so with T = Hᵀ D and E = D - H T,

    Oᵀ D = Q T + F S,   S such that SᵀS = EᵀE,

with F uniform among the orthonormal matrices in the complement of Q.

No rank is decided anywhere in the Gaussian case: extra columns of Q only name directions whose noise is kept.
A mean of the entries, W = mean 1 1ᵀ + …, is added as the rank-one matrix it is.

Sources: the Gaussian conditioning of tensor programs (Yang 2020, arXiv:2009.10685, Lemma on Gaussian
conditioning) is the same fact written with pseudo-inverses; the form above, which needs neither them nor a rank,
and the Haar case follow from the invariance of the two laws.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.factors import Factors, factor, triangular
from varprop.montecarlo.samplers.haar import haar_map
from varprop.montecarlo.samplers.products import inner, times
from varprop.montecarlo.samplers.program import Step
from varprop.montecarlo.samplers.reductions import Columns, dot

Array = NDArray[Any]

FAMILIES = ("normal", "orthogonal", "constant")
"""Laws of weights for which the sampler is exact."""


class Map(Protocol):
    """One layer's weights, as far as they are known."""

    def forward(self) -> Array:
        """Return W X; call it once."""

    def backward(self, delta: Columns) -> Array:
        """Return Wᵀ delta given W X; call it once."""


class ConditionalMaps:
    """The linear maps of a group of networks, drawn as far as they are used.

    Parameters
    ----------
    noise : Noise
    """

    def __init__(self, noise: Noise) -> None:
        self.noise = noise
        self._maps: dict[int, Map] = {}

    def forward(self, step: Step, columns: Columns) -> Array:
        """Return W h, shape (draws, fan_out, B), for columns h of shape (draws, fan_in, B)."""
        h = columns.array
        drawn = _draw(step, columns, self.noise)
        if drawn is not None:
            self._maps[step.number] = drawn
        product = np.zeros((len(h), step.fan_out, h.shape[2]), h.dtype) if drawn is None else drawn.forward()
        if step.weight.mean:
            product = product + h.dtype.type(step.weight.mean) * h.sum(axis=1, keepdims=True)
        return product

    def backward(self, step: Step, columns: Columns) -> Array:
        """Return Wᵀ delta, shape (draws, fan_in, B)."""
        delta = columns.array
        drawn = self._maps.pop(step.number, None)
        if drawn is None:
            result = np.zeros((len(delta), step.fan_in, delta.shape[2]), delta.dtype)
        else:
            result = drawn.backward(columns)
        if step.weight.mean:
            result += delta.dtype.type(step.weight.mean) * delta.sum(axis=1, keepdims=True)
        return result


def _draw(step: Step, columns: Columns, noise: Noise) -> Map | None:
    if step.weight.family == "constant":
        return None
    if step.weight.family == "orthogonal":
        return haar_map(columns.array, step.fan_out, step.weight["gain"], noise)
    _, rank, batch = columns.array.shape
    kind = SingleMap if batch == 1 else MatrixMap if batch >= rank else GaussianMap
    return kind(columns, step.fan_out, step.weight["std"], noise)


class SingleMap:
    """Gaussian weights and one input: Q is h/|h|, or nothing if h = 0.

    Parameters
    ----------
    columns : Columns of shape (draws, n_in, 1)
    rows : int
        n_out.
    std : float
    noise : Noise
    """

    def __init__(self, columns: Columns, rows: int, std: float, noise: Noise) -> None:
        h = columns.array
        self.h, self.std, self.noise = h[:, :, 0], std, noise
        self.distinct, self.length = columns.distinct[:, :, 0], columns.length
        self.product: Array = noise.normal((len(h), rows))
        self.product *= (std * self.length).astype(h.dtype)[:, None]

    def forward(self) -> Array:
        """Return W X."""
        return self.product[:, :, None]

    def backward(self, columns: Columns) -> Array:
        """Return Wᵀ delta."""
        delta, size = columns.array[:, :, 0], columns.length
        result = self.noise.normal(self.h.shape)
        if self.noise.compiled and result.dtype == np.float32:
            from varprop.montecarlo.kernels import reflect

            reflect(self.distinct, self.product, delta, result, self.length, size, self.std)
            return result[:, :, None]
        inverse = np.divide(1.0, self.length, out=np.zeros_like(self.length), where=self.length > 0)
        # W h = std |h| g is kept instead of g.
        along = (
            dot(self.product, delta) * inverse / self.std - size * dot(self.h, result) * inverse
        ) * inverse
        result *= (self.std * size).astype(result.dtype)[:, None]
        result += self.h * (self.std * along).astype(result.dtype)[:, None]
        return result[:, :, None]


class MatrixMap:
    """Gaussian weights and at least n_in inputs: the columns of W are all used, and W is simply drawn."""

    def __init__(self, columns: Columns, rows: int, std: float, noise: Noise) -> None:
        self.h = columns.array
        self.weights = noise.normal((len(self.h), rows, self.h.shape[1]), std)

    def forward(self) -> Array:
        """Return W X."""
        return np.matmul(self.weights, self.h)  # type: ignore[no-any-return]

    def backward(self, columns: Columns) -> Array:
        """Return Wᵀ delta."""
        return np.matmul(self.weights.swapaxes(-1, -2), columns.array)  # type: ignore[no-any-return]


class GaussianMap:
    """Gaussian weights and 1 < B < n_in inputs; parameters as for `SingleMap`."""

    def __init__(self, columns: Columns, rows: int, std: float, noise: Noise) -> None:
        h = columns.array
        self.std, self.noise, self.shape = std, noise, h.shape
        self.factors: Factors = factor(columns)
        self.g = noise.normal((len(h), rows, h.shape[2]))

    def forward(self) -> Array:
        """Return W X."""
        return times(self.g, self.factors.r * self.g.dtype.type(self.std))

    def backward(self, columns: Columns) -> Array:
        """Return Wᵀ delta."""
        delta = columns.array
        std = delta.dtype.type(self.std)
        r = triangular(columns) * std
        fresh = times(self.noise.normal((self.shape[0], self.shape[1], r.shape[1])), r)
        along = inner(self.g, delta) * std - self.factors.project(fresh)
        fresh += self.factors.expand(along)
        return fresh


def random_numbers(step: Step, batch: int) -> int:
    """Return how many normal numbers one draw of a layer takes."""
    if step.weight.family == "constant":
        return 0
    rank = min(step.fan_in, batch)
    if rank == step.fan_in and step.weight.family == "normal":
        return step.fan_in * step.fan_out
    order = max(step.fan_in, step.fan_out) if step.weight.family == "orthogonal" else step.fan_out
    return math.ceil(rank * (order + step.fan_in))
