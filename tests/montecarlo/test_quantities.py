"""Every recorded quantity against plain loops over given weight matrices, one network at a time."""

import numpy as np
import pytest

from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.program import compile_network
from varprop.montecarlo.samplers.walk import walk
from varprop.montecarlo.statistics import PLACE
from varprop.spec import Head, gaussian, mlp

SHARE = 0.3
DRAWS = 5


class GivenMaps:
    """Weights fixed beforehand."""

    def __init__(self, weights):
        self.weights = weights

    def forward(self, step, columns):
        return self.weights[step.number - 1] @ columns.array

    def backward(self, step, columns):
        return self.weights[step.number - 1].swapaxes(1, 2) @ columns.array


def loops(network, weights, share):
    """Return quantities of one draw by explicit per-example backpropagation, dict of lists over layers."""
    h, targets = network.input.array(), network.targets
    batch, layers = h.shape[1], []
    for layer, w in zip(network.layers, weights, strict=True):
        z = w @ h + layer.biases.law(1, 1).mean
        layers.append((h, z, w, layer.activation))
        h = layer.activation(z)
    if network.head.kind == "mse":
        delta, loss = h - targets, ((h - targets) ** 2).sum(0) / 2
    elif network.head.kind == "bce":
        p = 1 / (1 + np.exp(-h))
        delta, loss = p - targets, -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum(0)
    else:
        p = np.exp(h) / np.exp(h).sum(0)
        delta, loss = p - np.eye(len(h))[:, targets], -np.log(p[targets, np.arange(batch)])
    delta = delta * layers[-1][3].derivative(layers[-1][1])
    found = []
    for number in range(len(layers), 0, -1):
        h, z, w, phi = layers[number - 1]
        a, slope, tails = phi(z), phi.derivative(z), phi.saturation(share)
        examples = np.einsum("ib,jb->bij", delta, h)
        off = phi.is_inactive(z)
        found.append(
            {
                "preactivation_mean": z.mean(),
                "preactivation_second_moment": (z**2).mean(),
                "data_variance": z.var(axis=1, ddof=1).mean(),
                "activation_mean": a.mean(),
                "activation_second_moment": (a**2).mean(),
                "saturated_fraction": ((z <= tails.low) | (z >= tails.high)).mean(),
                "inactive_fraction": off.mean(),
                "dead_fraction": off.all(axis=1).mean(),
                "derivative_second_moment": (slope**2).mean(),
                "gradient_preactivation": (delta**2).mean(),
                "gradient_bias": (delta**2).mean(),
                "gradient_weight": (examples**2).mean(),
                "gradient_weight_batch": (examples.mean(axis=0) ** 2).mean(),
                "gradient_input": ((w.T @ delta) ** 2).mean(),
            }
        )
        if number > 1:
            delta = (w.T @ delta) * layers[number - 2][3].derivative(layers[number - 2][1])
    found[0]["initial_loss"] = loss.mean()
    return found[::-1]


def network_of(activation, head, batch, widths=(7, 6, 4)):
    targets = {"mse": np.linspace(-1, 1, 4), "bce": 1.0, "softmax_ce": np.arange(batch) % 4}[head]
    return mlp(
        widths,
        activation,
        "normal(std=0.8)",
        "constant(value=0.3)",
        gaussian(5, batch),
        output_activation="tanh" if head == "mse" else "linear",
        head=Head(head, targets),
    )


@pytest.mark.parametrize("activation", ["relu", "hardtanh", "tanh", "sigmoid", "leaky_relu(slope=0.2)"])
@pytest.mark.parametrize("head", ["mse", "bce", "softmax_ce"])
@pytest.mark.parametrize("batch", [2, 3, 30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quantities_are_those_of_plain_loops(activation, head, batch, dtype):
    network = network_of(activation, head, batch)
    rng = np.random.default_rng(7)
    weights = [rng.normal(size=(DRAWS, a, b)) * 0.8 for b, a in zip((5, 7, 6), (7, 6, 4), strict=True)]
    program = compile_network(network, SHARE, True)
    maps = GivenMaps([w.astype(dtype) for w in weights])
    records, counts = walk(program, maps, Noise(np.random.Generator(np.random.SFC64(1)), dtype), DRAWS)
    value = np.ldexp(records.value, records.exponent.astype(np.int32))
    # Thresholds and cancellations: single precision keeps five digits of gradients that nearly cancel.
    tolerance = 2e-4 if dtype == np.float32 else 1e-9
    for draw in range(DRAWS):
        for layer, expected in enumerate(loops(network, [w[draw] for w in weights], SHARE)):
            for name, wanted in expected.items():
                got = value[draw, layer, PLACE[name]]
                assert got == pytest.approx(wanted, rel=tolerance, abs=1e-6), (draw, layer, name)
    np.testing.assert_array_equal(counts.sum(axis=1), DRAWS * np.array([7, 6, 4]) * batch)


@pytest.mark.parametrize("activation", ["relu", "linear", "leaky_relu(slope=0.2)"])
@pytest.mark.parametrize("factor", [2.0**-200, 2.0**200])
def test_homogeneous_networks_scale_out_of_range(activation, factor):
    """Weights times c in every layer: z of layer l times c^l, gradients accordingly, in single precision."""
    network = mlp((7, 6, 4), activation, "normal(std=0.8)", input=gaussian(5, 3), output_activation="linear")
    rng = np.random.default_rng(8)
    weights = [rng.normal(size=(DRAWS, a, b)) for b, a in zip((5, 7, 6), (7, 6, 4), strict=True)]
    program = compile_network(network, SHARE, False)

    def run(c, dtype):
        noise = Noise(np.random.Generator(np.random.SFC64(1)), dtype)
        return walk(program, GivenMaps([(w * c).astype(dtype) for w in weights]), noise, DRAWS)[0]

    plain, scaled = run(1.0, np.float64), run(factor, np.float64)
    power = int(np.log2(factor))
    for name, forward, backward in (
        ("preactivation_second_moment", 2, 0),
        ("preactivation_mean", 1, 0),
        ("data_variance", 2, 0),
        ("gradient_input", 0, 2),
        ("gradient_weight_batch", None, None),
    ):
        place = PLACE[name]
        for layer in range(3):
            # Of a weight's gradient, delta of layer l goes with c^(3 - l) and its input with c^(l - 1).
            powers = 4 if forward is None else forward * (layer + 1) + backward * (3 - layer)
            shift = power * powers
            got = scaled.value[:, layer, place], scaled.exponent[:, layer, place]
            own = plain.value[:, layer, place], plain.exponent[:, layer, place]
            ratio = got[0] / own[0] * np.exp2((got[1] - own[1] - shift).astype(float))
            np.testing.assert_allclose(ratio, 1.0, rtol=1e-9, err_msg=f"{name}, layer {layer + 1}")
