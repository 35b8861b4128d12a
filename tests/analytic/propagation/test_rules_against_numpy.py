"""Every rule against explicit weights in NumPy: whole matrices, forward and back.

Widths are some hundred, so that errors of order 1/n stay below the allowance of a test (1 to 3 % of the largest entry);
each docstring says what a test would catch.
"""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp
from tests.analytic.propagation.explicit import Array, averaged, close, gram
from varprop import ops
from varprop.analytic.propagation import Propagated, propagate


def _found(network: vp.Network, node: str) -> tuple[Array, Array]:
    """Second moments of values and gradient at a node."""
    found = propagate(network)
    return _at(found, node)


def _at(found: Propagated, node: str) -> tuple[Array, Array]:
    index = next(n.index for n in found.walk.graph.nodes if n.name == node)
    gradient = found.gradients[index]
    assert gradient is not None
    return found.walk.signals[index].second, gradient.second


def _images(channels: int, size: tuple[int, ...], examples: int, seed: int) -> vp.Input:
    x = np.random.default_rng(seed).standard_normal((channels, examples * int(np.prod(size))))
    # Neighbours are alike, so that off-diagonals matter.
    x = x + np.roll(x, 1, axis=1)
    return vp.Input(x, positions=size)


@pytest.mark.parametrize("law", ["normal", "uniform", "orthogonal"])
def test_dense_layers_are_exact_whatever_the_law(law: str) -> None:
    """Catches a wrong fan, a forgotten bias, and gradients of 1 % off: width 12, no allowance."""
    x = np.random.default_rng(0).standard_normal((6, 3))
    weights = {"normal": "he_normal", "uniform": "he_uniform", "orthogonal": "orthogonal"}[law]
    body = [ops.dense(12, weights, "normal(std=0.5)"), ops.dense(5, weights)]
    network = vp.Network(vp.Input(x, positions=(3,)), body)

    def matrix(rng: np.random.Generator, out: int, fan: int) -> Array:
        if law == "orthogonal":
            big = rng.standard_normal((max(out, fan), min(out, fan)))
            q, r = np.linalg.qr(big)
            q = q * np.sign(np.diag(r))
            return q if out >= fan else q.T
        if law == "uniform":
            return rng.uniform(-1, 1, (out, fan)) * np.sqrt(6.0 / fan)
        return rng.standard_normal((out, fan)) * np.sqrt(2.0 / fan)

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        one, two = matrix(rng, 12, 6), matrix(rng, 5, 12)
        h = one @ x + 0.5 * rng.standard_normal(12)[:, None]
        g = rng.standard_normal((5, 3))
        return {"h": gram(h), "z": gram(two @ h), "g": gram(two.T @ g)}

    found = propagate(network)
    measured = averaged(draw, 3000, 1)
    close(_at(found, "dense1")[0], measured["h"])
    close(_at(found, "dense2")[0], measured["z"])
    close(_at(found, "dense1")[1], measured["g"])
    assert all(signal.exact for signal in found.walk.signals)


@pytest.mark.parametrize("phi", ["relu", "tanh", "gelu", "silu", "leaky_relu(slope=0.2)", "softplus"])
def test_activations_of_pairs(phi: str) -> None:
    """Catches errors of 1 % in E phi phi' or E phi' phi'' at unequal variances, of either sign of correlation."""
    function = vp.activation(phi)
    k = np.array([[1.0, 0.9, -0.6], [0.9, 1.2, -0.3], [-0.6, -0.3, 3.0]])
    x = np.linalg.cholesky(k).T  # 3 inputs of which the columns have this Gram matrix
    network = vp.Network(vp.Input(x), [ops.dense(4, "standard_normal"), phi, ops.residual("linear")])
    z = np.random.default_rng(2).multivariate_normal(np.zeros(3), k, 400_000)
    a, d = function(z), function.derivative(z)
    value, gradient = _found(network, "dense")
    np.testing.assert_allclose(value, k, rtol=1e-12)
    second, _ = _found(network, phi.split("(")[0] if "(" not in phi else phi)
    np.testing.assert_allclose(second, a.T @ a / len(a), atol=0.012)
    # x + x behind phi doubles the gradient: its second moment is 4 on the diagonal and 0 off it.
    np.testing.assert_allclose(np.diag(gradient), 4.0 * np.mean(d**2, axis=0), rtol=0.01)


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups", "transposed"),
    [(1, 1, 1, 1, False), (2, 1, 1, 2, False), (1, 0, 2, 1, False), (2, 1, 1, 1, True), (3, 0, 1, 2, True)],
)
def test_convolutions_site_by_site(
    stride: int, padding: int, dilation: int, groups: int, transposed: bool
) -> None:
    """Catches a window shifted by one site, padding counted as ones, a wrong fan of groups: any site by 10 %.

    The convolution is a loop over its definition: out[t stride + k dilation - padding] or its transpose.
    """
    channels, width, kernel, size, examples = 4, 6, 3, 7, 2
    data = _images(channels, (size,), examples, 3)
    op = ops.conv(
        width, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups, transposed=transposed,
        weights="standard_normal",
    )  # fmt: skip
    network = vp.Network(data, [ops.dense(channels, "standard_normal"), op])
    outputs = network.graph.nodes[-1].shape.count
    x = data.array().reshape(channels, examples, size)

    def taps() -> list[tuple[int, int, int]]:
        """(output site, input site, tap), for every product of the definition."""
        ends = (size, outputs) if transposed else (outputs, size)
        pairs = [
            (t, t * stride + k * dilation - padding, k)
            for t in range(ends[0])
            for k in range(kernel)
            if 0 <= t * stride + k * dilation - padding < ends[1]
        ]
        return [(s, t, k) for t, s, k in pairs] if transposed else pairs

    listed = taps()
    own = np.arange(width) // (width // groups)
    reads = np.arange(channels) // (channels // groups)
    allowed = (own[:, None] == reads).astype(float)

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        mixed = np.einsum("ij,jbt->ibt", rng.standard_normal((channels, channels)), x)
        w = rng.standard_normal((kernel, width, channels)) * allowed
        z = np.zeros((width, examples, outputs))
        g, back = rng.standard_normal(z.shape), np.zeros_like(x)
        for out, into, k in listed:
            z[:, :, out] += w[k] @ mixed[:, :, into]
            back[:, :, into] += w[k].T @ g[:, :, out]
        return {"z": gram(z.reshape(width, -1)), "g": gram(back.reshape(channels, -1))}

    found, measured = propagate(network), averaged(draw, 1200, 4)
    close(_at(found, "conv")[0], measured["z"])
    close(_at(found, "dense")[1], measured["g"])


@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm", "group_norm"])
def test_normalizations_over_features(norm: str) -> None:
    """Catches a forgotten eps (15 % here), and statistics over the wrong axes: sites have unequal variances."""
    n, size, examples, eps = 256, 3, 2, 0.3
    data = _images(n, (size,), examples, 5)
    scale = np.tile([0.5, 1.0, 2.0], examples)
    data = vp.Input(data.array() * scale, positions=(size,))
    makers = {
        "layer_norm": ops.layer_norm,
        "rms_norm": ops.rms_norm,
        "group_norm": lambda eps: ops.group_norm(4, eps=eps),
    }
    built = makers[norm](eps=eps)
    network = vp.Network(data, [ops.dense(n, "lecun_normal"), built])
    x = data.array()

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        z = rng.standard_normal((n, n)) @ x / np.sqrt(n)
        g = rng.standard_normal(z.shape)
        cells = z.reshape(4, n // 4, examples, size)
        down = g.reshape(cells.shape)
        axes: tuple[int, ...] = (1, 3)
        if norm != "group_norm":
            cells, down, axes = z[None], g[None], (1,)
        mean = 0.0 if norm == "rms_norm" else cells.mean(axis=axes, keepdims=True)
        root = np.sqrt(np.square(cells - mean).mean(axis=axes, keepdims=True) + eps)
        y = (cells - mean) / root
        back = down - y * (y * down).mean(axis=axes, keepdims=True)
        if norm != "rms_norm":
            back = back - down.mean(axis=axes, keepdims=True)
        return {"y": gram(y.reshape(n, -1)), "g": gram((back / root).reshape(n, -1))}

    found, measured = propagate(network), averaged(draw, 60, 6)
    close(_at(found, norm)[0], measured["y"], 0.01)
    close(_at(found, "dense")[1], measured["g"], 0.015)


@pytest.mark.parametrize("columns", [3, 12])
def test_batch_norm_and_the_relu_behind_it(columns: int) -> None:
    """Catches statistics by their mean instead of their law (10 % at three columns), and projections that do not know
    the mask of the activation behind them (Yang et al. 2019: 20 % of the gradient at twelve)."""
    n, eps = 300, 0.05
    x = np.random.default_rng(7).standard_normal((n, columns)) * np.linspace(0.5, 1.5, columns)
    x[:, 1] += x[:, 0]
    network = vp.Network(
        vp.Input(x),
        [ops.dense(n, "lecun_normal"), ops.batch_norm(eps=eps), "relu", ops.dense(n, "lecun_normal")],
    )

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        z, w = rng.standard_normal((n, n)) @ x / np.sqrt(n), rng.standard_normal((n, n)) / np.sqrt(n)
        u = z - z.mean(axis=1, keepdims=True)
        root = np.sqrt(np.square(u).mean(axis=1, keepdims=True) + eps)
        y = u / root
        g = (w.T @ rng.standard_normal((n, columns))) * (y > 0)
        back = (g - g.mean(axis=1, keepdims=True) - y * (y * g).mean(axis=1, keepdims=True)) / root
        a = np.maximum(y, 0.0)
        return {"y": gram(y), "a": gram(a), "g": gram(back)}

    found, measured = propagate(network), averaged(draw, 100, 8)
    close(_at(found, "batch_norm")[0], measured["y"], 0.01)
    close(_at(found, "relu")[0], measured["a"], 0.01)
    close(_at(found, "dense1")[1], measured["g"], 0.03)


def test_sums_with_what_they_were_made_of() -> None:
    """x + relu(x)/2 shares its weights: the cross term is 25 % of the second moment, 33 % of the gradient's."""
    n = 300
    x = np.random.default_rng(9).standard_normal((n, 3))
    body = [
        ops.dense(n, "lecun_normal"),
        ops.residual("relu", scale=0.5),
        "tanh",
        ops.dense(n, "lecun_normal"),
    ]
    network = vp.Network(vp.Input(x), body)

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        z, w = rng.standard_normal((n, n)) @ x / np.sqrt(n), rng.standard_normal((n, n)) / np.sqrt(n)
        s = z + 0.5 * np.maximum(z, 0.0)
        a = np.tanh(s)
        g = (w.T @ rng.standard_normal(z.shape)) * (1.0 - a**2)
        return {"s": gram(s), "a": gram(a), "g": gram(g * (1.0 + 0.5 * (z > 0)))}

    found, measured = propagate(network), averaged(draw, 60, 10)
    close(_at(found, "residual.stream")[0], measured["s"], 0.01)
    close(_at(found, "tanh")[0], measured["a"], 0.01)
    close(_at(found, "dense1")[1], measured["g"], 0.02)


def test_functions_of_functions_of_one_feature() -> None:
    """x + relu(x), minus half its tanh, relu: their slopes go together (29 % of the gradient if taken apart)."""
    n = 300
    x = np.random.default_rng(20).standard_normal((n, 3))
    body = [
        ops.dense(n, "lecun_normal"),
        ops.residual("relu"),
        ops.residual("tanh", scale=-0.5),
        "relu",
        ops.dense(n, "lecun_normal"),
    ]
    network = vp.Network(vp.Input(x), body)

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        z, w = rng.standard_normal((n, n)) @ x / np.sqrt(n), rng.standard_normal((n, n)) / np.sqrt(n)
        s = z + np.maximum(z, 0.0)
        y = s - 0.5 * np.tanh(s)
        g = (w.T @ rng.standard_normal(z.shape)) * (y > 0)
        return {
            "y": gram(y),
            "a": gram(np.maximum(y, 0.0)),
            "g": gram(g * (1.0 + (z > 0)) * (1.0 - 0.5 / np.cosh(s) ** 2)),
        }

    found, measured = propagate(network), averaged(draw, 60, 21)
    close(_at(found, "residual2.stream")[0], measured["y"], 0.015)
    close(_at(found, "relu")[0], measured["a"], 0.015)
    close(_at(found, "dense1")[1], measured["g"], 0.03)


def test_gates() -> None:
    """silu(G x) · (V x): catches a factor that is forgotten on the way back (to the gate, 20 %)."""
    n, m = 200, 400
    x = np.random.default_rng(11).standard_normal((n, 3))
    body = [ops.dense(n, "lecun_normal"), ops.gate(m, "silu", "lecun_normal"), ops.dense(n, "lecun_normal")]
    network = vp.Network(vp.Input(x), body)

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        def w(out: int, fan: int) -> Array:
            return rng.standard_normal((out, fan)) / np.sqrt(fan)

        h, gate, value, last = w(n, n) @ x, w(m, n), w(m, n), w(n, m)
        u, v = gate @ h, value @ h
        s = 1.0 / (1.0 + np.exp(-u))
        p = u * s * v
        g = last.T @ rng.standard_normal((n, 3))
        to_gate, to_value = g * v * (s + u * s * (1.0 - s)), g * u * s
        return {"p": gram(p), "gate": gram(to_gate), "g": gram(gate.T @ to_gate + value.T @ to_value)}

    found, measured = propagate(network), averaged(draw, 80, 12)
    close(_at(found, "gate.product")[0], measured["p"], 0.02)
    close(_at(found, "gate.gate")[1], measured["gate"], 0.03)
    close(_at(found, "dense1")[1], measured["g"], 0.03)


@pytest.mark.parametrize("pool", ["max", "mean"])
def test_pools_of_activated_sites(pool: str) -> None:
    """Overlapping windows with padding behind relu: catches sites taken as independent (20 %) or alike, and a maximum
    whose gradient is spread over its window (50 %)."""
    n, size, window, stride = 400, 6, 3, 2
    data = _images(n, (size,), 1, 13)
    built = (
        ops.max_pool(window, stride=stride, padding=1)
        if pool == "max"
        else ops.mean_pool(window, stride=stride)
    )
    network = vp.Network(data, [ops.dense(n, "lecun_normal"), "relu", built])
    outputs, pad = network.graph.nodes[-1].shape.count, int(pool == "max")
    reads = [
        [s for s in range(t * stride - pad, t * stride - pad + window) if 0 <= s < size]
        for t in range(outputs)
    ]
    x = data.array()

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        z = rng.standard_normal((n, n)) @ x / np.sqrt(n)
        a, g = np.maximum(z, 0.0), rng.standard_normal((n, outputs))
        out, back = np.zeros((n, outputs)), np.zeros_like(a)
        for t, sites in enumerate(reads):
            if pool == "mean":
                out[:, t] = a[:, sites].mean(axis=1)
                back[:, sites] += g[:, t : t + 1] / window
            else:
                best = np.argmax(a[:, sites], axis=1)
                out[:, t] = a[np.arange(n), np.array(sites)[best]]
                back[np.arange(n), np.array(sites)[best]] += g[:, t]
        return {"p": gram(out), "g": gram(back * (z > 0))}

    found, measured = propagate(network), averaged(draw, 80, 14)
    close(_at(found, f"{pool}_pool")[0], measured["p"], 0.015)
    close(_at(found, "dense")[1], measured["g"], 0.02)


def test_transposing_there_and_back() -> None:
    """The MLP-Mixer's token mixing with a relu: features have a common part, which LayerNorm takes away (30 %), and the
    gradient of a map over positions sums over features (its bias: to nothing)."""
    n, t, m = 200, 24, 300
    data = _images(n, (t,), 1, 15)
    body = [
        ops.dense(n, "lecun_normal"),
        ops.transpose(),
        ops.dense(m, "he_normal"),
        "relu",
        ops.dense(t, "he_normal"),
        ops.transpose(),
        ops.layer_norm(),
    ]
    network = vp.Network(data, body)
    x = data.array()

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        h = (rng.standard_normal((n, n)) @ x / np.sqrt(n)).T
        z = rng.standard_normal((m, t)) @ h * np.sqrt(2.0 / t)
        y = (rng.standard_normal((t, m)) @ np.maximum(z, 0.0) * np.sqrt(2.0 / m)).T
        u = y - y.mean(axis=0)
        return {
            "z": gram(z).mean(keepdims=True),
            "y": gram(y),
            "u": np.mean(u**2, axis=0),
            "bias": np.zeros(1),
        }

    found, measured = propagate(network), averaged(draw, 100, 16)
    close(_at(found, "dense2")[0].mean(keepdims=True), measured["z"], 0.01)
    close(_at(found, "transpose2")[0], measured["y"], 0.02)
    signal = found.walk.signals[-2]
    close(np.diagonal(signal.second - signal.feature_means), measured["u"], 0.03)
    rows = vp.predict(network)
    bias = rows[(rows.node == "dense3") & (rows.quantity == "gradient_bias")].iloc[0]
    assert bias.value == 0.0


def test_embeddings_positions_and_tokens_that_repeat() -> None:
    """Catches the token equality of columns, positions shared by examples, and the class token in front of them."""
    n, ids = 64, np.array([[3, 1, 3], [1, 2, 2]])
    data = vp.tokens(3, 5, batch=2, ids=ids)
    body = [
        ops.embedding(n, "normal(std=0.5)"),
        ops.positions("normal(std=0.3)"),
        ops.class_token("normal(std=0.7)"),
    ]
    network = vp.Network(data, body)

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        table, place, own = (s * rng.standard_normal((k, n)) for s, k in ((0.5, 5), (0.3, 3), (0.7, 1)))
        values = [np.concatenate([own, table[row] + place]) for row in ids]
        return {"x": gram(np.concatenate(values).T)}

    found = propagate(network)
    close(found.walk.signals[-1].second, averaged(draw, 1500, 17)["x"])
    assert found.walk.signals[-1].exact


def test_dropout_concatenation_selection_and_flattening() -> None:
    """Catches a mask shared by columns, branches weighted alike whatever their width, rows of other positions."""
    n, t = 40, 3
    data = _images(n, (t,), 2, 18)
    body = [
        ops.concatenate(ops.dense(30, "lecun_normal"), [ops.dense(90, "he_normal"), ops.dropout(0.4)]),
        ops.flatten(),
        ops.dense(20, "lecun_normal"),
    ]
    network = vp.Network(data, body)
    x = data.array()

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        one = rng.standard_normal((30, n)) @ x / np.sqrt(n)
        two = rng.standard_normal((90, n)) @ x * np.sqrt(2.0 / n)
        joined = np.concatenate([one, two * (rng.random(two.shape) >= 0.4) / 0.6])
        rows = joined.reshape(120, 2, t).transpose(0, 2, 1).reshape(-1, 2)
        last = rng.standard_normal((20, 120 * t)) / np.sqrt(120 * t)
        g = last.T @ rng.standard_normal((20, 2))
        back = g.reshape(120, t, 2).transpose(0, 2, 1).reshape(120, -1)
        return {"joined": gram(joined), "flat": gram(rows), "g": gram(back)}

    found, measured = propagate(network), averaged(draw, 1500, 19)
    close(_at(found, "concatenate.joined")[0], measured["joined"])
    close(_at(found, "flatten")[0], measured["flat"])
    close(_at(found, "concatenate.joined")[1], measured["g"])
    assert found.walk.signals[-1].exact
    chosen = vp.Network(data, [ops.dense(30, "lecun_normal"), ops.select(1)])
    first = propagate(chosen).walk.signals
    np.testing.assert_array_equal(first[-1].second, first[-2].second[1::3, 1::3])
