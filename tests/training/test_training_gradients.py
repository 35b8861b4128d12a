"""Gradients of the stack against finite differences and against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp
from varprop.activations import registry
from varprop.training import train
from varprop.training.descent import prepare
from varprop.training.stack import Stack, start_values

HEADS = {"bce": (1, None), "softmax_ce": (3, None), "mse": (2, np.arange(10.0).reshape(5, 2) / 7)}
# A parameter need not be given for these; the rest of the table has none.
ACTIVATIONS = sorted({vp.activation(name).name for name in registry})


def network(head: str, activation: str, weights: str = "he_normal") -> vp.Network:
    width, targets = HEADS[head]
    x = vp.data(
        np.random.default_rng(0).standard_normal((5, 4)), labels=[0, 1, 1, 0, 1], name="five random examples"
    )
    return vp.mlp([6, 5, width], activation, weights, "normal(std=0.5)", x, head=head, targets=targets)


def mean_loss(net: vp.Network, parameters: list[np.ndarray]) -> float:
    x, y = prepare(net, np.float64).columns
    stack = Stack(net, parameters)
    return float(stack.loss.value(stack.forward(x), y).mean(axis=1)[0])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_finite_differences(head, activation):
    """Central differences of step 1e-5: truncation and rounding are below 1e-8 of the largest entry.

    The pre-activations stay further from a kink than the step moves them (checked for this seed by the
    agreement itself). Step and sign are tested where they are not flat: at the last layer.
    """
    net = network(head, activation)
    x, y = prepare(net, np.float64).columns
    stack = Stack(net, start_values(net, [3]))
    stack.forward(x)
    exact = [g[0] / x.shape[1] for g in stack.gradients(y)]
    scale = max(abs(g).max() for g in exact)
    for number, gradient in enumerate(exact):
        for place in np.ndindex(gradient.shape):
            sides = []
            for shift in (1e-5, -1e-5):
                moved = [theta.copy() for theta in stack.parameters]
                moved[number][(0, *place)] += shift
                sides.append(mean_loss(net, moved))
            assert gradient[place] == pytest.approx((sides[0] - sides[1]) / 2e-5, abs=2e-8 * max(scale, 1))


def torch_twin(torch, net: vp.Network, parameters: tuple[np.ndarray, ...]):
    module = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
    layers = []
    for number, theta in enumerate(parameters):
        linear = torch.nn.Linear(theta.shape[2] - 1, theta.shape[1], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(theta[0, :, :-1]))
            linear.bias.copy_(torch.from_numpy(theta[0, :, -1]))
        layers.append(linear)
        if number < len(parameters) - 1:
            layers.append(module[net.layers[number].activation.name]())
    return torch.nn.Sequential(*layers)


def torch_loss(torch, net: vp.Network):
    count = net.input.batch
    if net.head.kind == "bce":
        y = torch.from_numpy(net.targets.T.copy())
        return lambda z: torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="sum") / count
    if net.head.kind == "softmax_ce":
        classes = torch.from_numpy(net.targets.copy())
        return lambda z: torch.nn.functional.cross_entropy(z, classes)
    y = torch.from_numpy(net.targets.T.copy())
    return lambda z: 0.5 * torch.nn.functional.mse_loss(z, y, reduction="sum") / count


@pytest.mark.torch
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_a_training_is_pytorch_s(head, activation):
    """100 steps of full-batch descent from the same values, with weight decay on the weights only."""
    torch = pytest.importorskip("torch")
    net = network(head, activation)
    ours = train(net, steps=100, learning_rate=0.1, l2=0.01, record=100)
    twin = torch_twin(torch, net, tuple(start_values(net, [0])))
    loss = torch_loss(torch, net)
    weights = [p for name, p in twin.named_parameters() if name.endswith("weight")]
    biases = [p for name, p in twin.named_parameters() if name.endswith("bias")]
    descent = torch.optim.SGD([{"params": weights, "weight_decay": 0.01}, {"params": biases}], lr=0.1)
    x = torch.from_numpy(net.input.array().T.copy())
    for _ in range(100):
        descent.zero_grad()
        loss(twin(x)).backward()
        descent.step()
    for theta, layer in zip(ours.parameters, twin[::2], strict=True):
        np.testing.assert_allclose(theta[0, :, :-1], layer.weight.detach().numpy(), rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(theta[0, :, -1], layer.bias.detach().numpy(), rtol=1e-10, atol=1e-11)
    assert ours.history["loss"].iloc[-1] == pytest.approx(float(loss(twin(x)).detach()), rel=1e-10)
