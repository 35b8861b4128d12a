"""Any graph in plain PyTorch: explicit weights, autograd, every quantity of every site, averaged over draws.

Shares nothing with the theory or the engine but the description of the network: ops are PyTorch's own functions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from varprop.spec import Network, ops
from varprop.spec.graph import Node

Weights = dict[int, list[torch.Tensor]]


def measure(network: Network, draws: int, seed: int = 0) -> dict[tuple[str, str], tuple[float, float]]:
    """Return mean and standard error of every (node, quantity)."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    collected: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(draws):
        for key, value in _one(network, rng).items():
            collected[key].append(value)
    found = {}
    for key, values in collected.items():
        error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        found[key] = (float(np.mean(values)), float(error))
    return found


def _one(network: Network, rng: np.random.Generator) -> dict[tuple[str, str], float]:
    graph, examples = network.graph, network.input.batch
    weights: Weights = {}
    values: list[torch.Tensor] = []
    attention: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    for node in graph.nodes:
        inputs = [values[i] for i in node.sources]
        out = _apply(network, node, inputs, weights, rng, attention)
        if out.requires_grad:
            out.retain_grad()
        values.append(out)
    output = values[-1]
    losses = _losses(network, output, rng)
    found: dict[tuple[str, str], float] = {}
    if network.head.kind != "unit":
        found[graph.nodes[graph.sites[-1].node].name, "initial_loss"] = float(losses.detach().mean())
    losses.sum().backward(retain_graph=True)
    # Copied: later calls of autograd add to what is retained.
    grads = [v.grad.clone() if v.requires_grad and v.grad is not None else None for v in values]
    for site in graph.sites:
        node = graph.nodes[site.node]
        z, a = values[site.node], values[site.activated]
        for name, value in _forward(z.detach(), a.detach(), site, examples).items():
            found[node.name, name] = value
        g = grads[site.node]
        if g is None:
            continue
        columns = _columns(g)
        found[node.name, "gradient_preactivation"] = float(columns.square().mean())
        found[node.name, "gradient_squared_norm"] = float(columns.square().sum()) / examples
    for index, tensors in weights.items():
        node = graph.nodes[index]
        if isinstance(node.op, ops.Weighted | ops.Unembedding):
            _weight_rows(network, node, tensors, losses, values, grads[index], found)
    for index, (logits, chances) in attention.items():
        name = graph.nodes[index].name
        seen = torch.isfinite(logits)
        count = seen.sum(-1)
        kept = torch.where(seen, logits, 0.0)
        mean = kept.sum(-1) / count
        spread = (torch.where(seen, logits - mean[..., None], 0.0).square().sum(-1) / (count - 1))[count > 1]
        if spread.numel():
            found[name, "logit_variance"] = float(spread.mean())
        found[name, "attention_concentration"] = float(chances.square().sum(-1).mean())
    return found


def _columns(x: torch.Tensor) -> torch.Tensor:
    """Return (B, features, *positions) as (features, B T)."""
    return x.flatten(2).movedim(1, 0).flatten(1) if x.ndim > 2 else x.T


def _forward(z: torch.Tensor, a: torch.Tensor, site: Any, examples: int) -> dict[str, float]:
    c = _columns(z)
    n = c.shape[1]
    found = {
        "preactivation_mean": float(c.mean()),
        "preactivation_second_moment": float(c.square().mean()),
    }
    if n > 1:
        found["data_variance"] = float(c.var(dim=1).mean())
    length = c.norm(dim=0)
    cosine = (c.T @ c) / torch.outer(length, length).clamp_min(1e-300)
    block = torch.arange(n) // (n // examples)
    same, own = block[:, None] == block, torch.eye(n, dtype=torch.bool)
    good = (length > 0)[:, None] & (length > 0)
    if examples > 1:
        found["correlation"] = float(cosine[~same & good].mean())
    if n > examples:
        found["token_correlation"] = float(cosine[same & ~own & good].mean())
    if site.activated != site.node:
        x = _columns(a)
        phi = site.activation
        slope = torch.from_numpy(np.asarray(phi.derivative(c.numpy())))
        off = torch.from_numpy(np.asarray(phi.is_inactive(c.numpy())))
        found |= {
            "activation_mean": float(x.mean()),
            "activation_second_moment": float(x.square().mean()),
            "derivative_second_moment": float(slope.square().mean()),
            "inactive_fraction": float(off.double().mean()),
            "saturated_fraction": float(np.mean(phi.is_saturated(c.numpy()))),
        }
        if n > 1:
            found["dead_fraction"] = float(off.all(dim=1).double().mean())
    return found


def _weight_rows(
    network: Network,
    node: Node,
    tensors: list[torch.Tensor],
    losses: torch.Tensor,
    values: Any,
    grad: Any,
    found: Any,
) -> None:
    tied = isinstance(node.op, ops.Unembedding)
    z = values[node.index]
    grads = []
    for b in range(losses.shape[0]):
        # Through this node alone: the gradient at one example's columns of its output, pulled back once.
        outer = torch.zeros_like(grad)
        outer[b] = grad[b]
        leaves = [tensors[-1]] if tied else tensors
        grads.append(torch.autograd.grad(z, leaves, outer, retain_graph=True, allow_unused=True))
    found[node.name, "gradient_weight"] = float(np.mean([float(g[0].square().mean()) for g in grads]))
    whole = sum(g[0] for g in grads) / len(grads)
    found[node.name, "gradient_weight_batch"] = float(whole.square().mean())
    if not tied and len(tensors) > 1:
        found[node.name, "gradient_bias"] = float(np.mean([float(g[1].square().mean()) for g in grads]))
    before = values[node.sources[0]]
    if before.requires_grad:
        (down,) = torch.autograd.grad(z, before, grad, retain_graph=True)
        found[node.name, "gradient_input"] = float(down.square().mean())


def _losses(network: Network, output: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return the loss of every example, shape (B,)."""
    examples, kind = network.input.batch, network.head.kind
    columns = _columns(output)
    positions = columns.shape[1] // examples
    if kind == "unit":
        g = torch.from_numpy(rng.standard_normal(tuple(columns.shape)))
        each = (g * columns).sum(dim=0) * positions
    else:
        targets = network.targets
        if kind == "softmax_ce":
            y = rng.integers(columns.shape[0], size=columns.shape[1]) if targets is None else targets
            each = F.cross_entropy(columns.T, torch.from_numpy(np.array(y)), reduction="none")
        elif kind == "mse":
            each = 0.5 * (columns - torch.from_numpy(np.array(targets))).square().sum(dim=0)
        else:
            y = torch.from_numpy(np.array(targets))
            each = F.binary_cross_entropy_with_logits(columns, y, reduction="none").sum(dim=0)
    return each.reshape(examples, positions).mean(dim=1)


def _drawn(
    initializer: Any, shape: tuple[int, ...], fans: tuple[int, int], rng: Any, gain: float = 1.0
) -> torch.Tensor:
    drawn = initializer.sample(shape, rng=rng, fan_in=fans[0], fan_out=fans[1]) * gain
    return torch.from_numpy(np.ascontiguousarray(drawn, dtype=np.float64)).requires_grad_()


def _apply(
    network: Network, node: Node, inputs: list[torch.Tensor], weights: Weights, rng: Any, attention: Any
) -> torch.Tensor:
    op, graph = node.op, network.graph
    shapes = graph.inputs(node)
    if isinstance(op, ops.Source):
        x = network.input.array().reshape(network.input.size, network.input.batch, *network.input.positions)
        x = torch.from_numpy(np.moveaxis(np.array(x), 0, 1).copy())
        return x if network.input.vocabulary else x.requires_grad_()
    if isinstance(op, ops.Embedding):
        table = _drawn(op.weights, (shapes[0].vocabulary, op.width), (op.width, shapes[0].vocabulary), rng)
        weights[node.index] = [table]
        return F.embedding(inputs[0][:, 0].long(), table).movedim(-1, 1)
    if isinstance(op, ops.Unembedding):
        table = weights[node.table][0]
        own = table.detach().clone().requires_grad_()
        # The same numbers, told apart for the gradient of this use alone.
        tied = own + (table - table.detach())
        weights[node.index] = [own]
        return torch.einsum("bf...,vf->bv...", inputs[0], tied)
    if isinstance(op, ops.Positions):
        shape = (shapes[0].features, *shapes[0].positions)
        table = _drawn(
            op.weights, (shapes[0].features, shapes[0].count), (shapes[0].features, shapes[0].count), rng
        )
        return inputs[0] + table.reshape(shape)
    if isinstance(op, ops.ClassToken):
        own = _drawn(op.weights, (shapes[0].features, 1), (shapes[0].features, 1), rng)
        x = inputs[0].flatten(2)
        return torch.cat([own.expand(x.shape[0], *own.shape), x], dim=2)
    if isinstance(op, ops.Dense):
        fans = op.fans(*shapes)
        w = _drawn(op.weights, fans[::-1], fans, rng, op.gain)
        tensors = [w]
        z = torch.einsum("bf...,of->bo...", inputs[0], w)
        if op.bias:
            b = _drawn(op.biases, (op.width,), fans, rng)
            tensors.append(b)
            z = z + b.reshape(-1, *(1,) * (z.ndim - 2))
        weights[node.index] = tensors
        return z
    if isinstance(op, ops.Convolution):
        return _convolution(op, node, inputs[0], weights, rng)
    if isinstance(op, ops.Activate):
        return _activation(op, inputs[0])
    if isinstance(op, ops.LayerNorm):
        x = inputs[0]
        mean, var = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
        return (x - mean) / (var + op.eps).sqrt()
    if isinstance(op, ops.RMSNorm):
        return inputs[0] / (inputs[0].square().mean(1, keepdim=True) + op.eps).sqrt()
    if isinstance(op, ops.GroupNorm):
        return F.group_norm(inputs[0], op.groups, eps=op.eps)
    if isinstance(op, ops.BatchNorm):
        return F.batch_norm(inputs[0], None, None, training=True, eps=op.eps)
    if isinstance(op, ops.Add):
        return sum(scale * x for scale, x in zip(op.scales, inputs, strict=True))  # type: ignore[return-value]
    if isinstance(op, ops.Multiply):
        return inputs[0] * inputs[1]
    if isinstance(op, ops.Attend):
        return _attend(op, node, inputs, attention)
    if isinstance(op, ops.MeanPool):
        if op.window == 0:
            return inputs[0].flatten(2).mean(2)
        pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(shapes[0].positions)]
        at = op.geometry(shapes[0].positions)
        return pool(inputs[0], at["kernel"], at["stride"])
    if isinstance(op, ops.MaxPool):
        if op.window == 0:
            return inputs[0].flatten(2).max(2).values
        pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[len(shapes[0].positions)]
        at = op.geometry(shapes[0].positions)
        return pool(inputs[0], at["kernel"], at["stride"], padding=op.padding)
    if isinstance(op, ops.Upsample):
        factors = op.factor if isinstance(op.factor, tuple) else (op.factor,) * len(shapes[0].positions)
        return F.interpolate(inputs[0], scale_factor=[float(f) for f in factors], mode="nearest")
    if isinstance(op, ops.Select):
        return inputs[0].flatten(2)[:, :, op.position]
    if isinstance(op, ops.Flatten):
        return inputs[0].flatten(1)
    if isinstance(op, ops.Transpose):
        x = inputs[0].flatten(2).transpose(1, 2)
        return x.reshape(x.shape[0], *((node.shape.features, *node.shape.positions)))
    if isinstance(op, ops.Concatenate):
        return torch.cat(inputs, dim=1)
    if isinstance(op, ops.Dropout):
        mask = torch.from_numpy(rng.random(tuple(inputs[0].shape)) >= op.rate)
        return inputs[0] * mask / (1.0 - op.rate)
    raise AssertionError(op)


def _activation(op: ops.Activate, z: torch.Tensor) -> torch.Tensor:
    known = {
        "relu": F.relu,
        "tanh": torch.tanh,
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        "sigmoid": torch.sigmoid,
        "elu": F.elu,
        "selu": F.selu,
        "linear": lambda x: x,
        "sin": torch.sin,
    }
    return known[op.activation.name](z)


def _convolution(
    op: ops.Convolution, node: Node, x: torch.Tensor, weights: Weights, rng: Any
) -> torch.Tensor:
    axes = x.ndim - 2
    at = op.geometry(tuple(x.shape[2:]))
    features = x.shape[1]
    size = features // op.groups
    fans = size * math.prod(at["kernel"]), op.channels * math.prod(at["kernel"])
    flat = _drawn(op.weights, (op.channels, fans[0]), fans, rng, op.gain)
    w = flat.detach().reshape(op.channels, size, *at["kernel"]).requires_grad_()
    tensors = [w]
    if op.transposed:
        # PyTorch wants (in, out / groups, *kernel).
        own = w.reshape(op.groups, op.channels // op.groups, size, *at["kernel"]).transpose(1, 2)
        own = own.reshape(features, op.channels // op.groups, *at["kernel"])
        function = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[axes]
        full = function(x, own, stride=at["stride"], dilation=at["dilation"], groups=op.groups)
        for axis, (left, right) in enumerate(at["padding"]):
            full = full.narrow(axis + 2, left, full.shape[axis + 2] - left - right)
        z = full
    else:
        pads = [p for pair in reversed(at["padding"]) for p in pair]
        function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[axes]
        z = function(F.pad(x, pads), w, stride=at["stride"], dilation=at["dilation"], groups=op.groups)
    if op.bias:
        b = _drawn(op.biases, (op.channels,), fans, rng)
        tensors.append(b)
        z = z + b.reshape(-1, *(1,) * axes)
    weights[node.index] = tensors
    return z


def _attend(op: ops.Attend, node: Node, inputs: list[torch.Tensor], kept: Any) -> torch.Tensor:
    query, key, value = (x.flatten(2) for x in inputs)
    b, width, t = query.shape
    d = width // op.heads
    q, k = query.reshape(b, op.heads, d, t), key.reshape(b, op.kv_heads, d, t)
    v = value.reshape(b, op.kv_heads, -1, t)
    if op.rotary:
        half = d // 2
        times = torch.arange(t, dtype=torch.float64)
        angle = torch.outer(10000.0 ** (-2.0 * torch.arange(half, dtype=torch.float64) / d), times)

        def turned(x: torch.Tensor) -> torch.Tensor:
            one, two = x[:, :, :half], x[:, :, half:]
            return torch.cat(
                [one * angle.cos() - two * angle.sin(), one * angle.sin() + two * angle.cos()], 2
            )

        q, k = turned(q), turned(k)
    k, v = (x.repeat_interleave(op.heads // op.kv_heads, dim=1) for x in (k, v))
    logits = q.transpose(2, 3) @ k / math.sqrt(d)
    if op.causal:
        logits = logits.masked_fill(torch.ones(t, t).triu(1).bool(), -math.inf)
    chances = logits.softmax(-1)
    kept[node.index] = (logits.detach(), chances.detach())
    out = v @ chances.transpose(2, 3)
    return out.reshape(b, -1, *inputs[0].shape[2:])
