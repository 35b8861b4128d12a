"""The engine against plain PyTorch modules with weights drawn by PyTorch: a transformer block and a small ResNet.

Nothing of varprop is used on PyTorch's side; statistics are formed by hooks and autograd here. Every statistic's two
samples are compared by Kolmogorov and Smirnov's test, Bonferroni-corrected at alpha = 1e-3 a network. With 300 draws
and 20 statistics a test rejects a shift of about 0.5 standard deviations over draws (some 5 to 10 % of a mean square).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from varprop.montecarlo.statistics import PLACE  # noqa: E402
from varprop.spec import Head, Network  # noqa: E402
from varprop.spec.ops import (  # noqa: E402
    BatchNorm,
    Convolution,
    Dense,
    Embedding,
    LayerNorm,
    MeanPool,
    Positions,
    Unembedding,
)
from varprop.spec.parts import attention, residual  # noqa: E402

from .networks import numbers, words  # noqa: E402
from .test_exactness import sample  # noqa: E402

pytestmark = pytest.mark.torch

DRAWS, ALPHA = 300, 1e-3
STD = 0.3


def compare(network: Network, theirs: dict[tuple[str, str], list[float]], seed: int) -> None:
    ours = sample(network, False, seed, 4 * DRAWS).reshape(4 * DRAWS, -1, len(PLACE))
    names = [network.graph.nodes[site.node].name for site in network.graph.sites]
    p = {
        key: ks_2samp(ours[:, names.index(key[0]), PLACE[key[1]]], np.array(found), method="asymp").pvalue
        for key, found in theirs.items()
    }
    assert len(p) >= 15
    worst = min(p, key=lambda key: p[key])
    assert p[worst] * len(p) > ALPHA, f"{worst}: {p[worst]:.1e}"


class Kept:
    """Module outputs, and their gradients after the way back."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def __call__(self, name: str, x: Any) -> Any:
        x.retain_grad()
        self.values[name] = x
        return x


def squares(x: Any) -> float:
    return float((x.detach() ** 2).mean())


class Block(nn.Module):
    """GPT-2's block and output layer, tied."""

    def __init__(self, vocabulary: int, tokens: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.table, self.places = nn.Embedding(vocabulary, width), nn.Embedding(tokens, width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        for p in self.parameters():
            nn.init.normal_(p, std=STD) if p.ndim == 2 else nn.init.zeros_(p)

    def forward(self, ids: Any, keep: Callable[[str, Any], Any]) -> Any:
        x = keep("positions", self.table(ids) + self.places.weight)
        tokens, width = x.shape
        q, k, v = self.qkv(F.layer_norm(x, (width,))).split(width, dim=1)
        keep("value", v)
        q, k, v = (a.reshape(tokens, self.heads, -1).transpose(0, 1) for a in (q, k, v))
        a = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        mixed = keep("attend", a.transpose(0, 1).reshape(tokens, width))
        x = keep("stream1", x + keep("output", self.out(mixed)))
        hidden = keep("up", self.up(F.layer_norm(x, (width,))))
        x = keep("stream2", x + self.down(F.gelu(hidden)))
        return keep("logits", F.layer_norm(x, (width,)) @ self.table.weight.T)


def test_a_transformer_block() -> None:
    tokens, vocabulary, width = 6, 11, 16
    law = f"normal(std={STD})"
    body = (
        Embedding(width, law),
        Positions(law),
        residual([LayerNorm(), attention(2, causal=True, weights=law)], name="one"),
        residual([LayerNorm(), Dense(2 * width, law), "gelu", Dense(width, law)], name="two"),
        LayerNorm(),
        Unembedding(vocabulary),
    )
    network = Network(words(tokens, vocabulary), body, Head("softmax_ce"))
    sites = {
        "positions": "positions",
        "value": "one.attention.value",
        "attend": "one.attention.attend",
        "output": "one.attention.output",
        "stream1": "one.stream",
        "up": "two.dense1",
        "stream2": "two.stream",
        "logits": "unembedding",
    }
    ids = torch.from_numpy(network.input.values[0].astype(np.int64))
    torch.manual_seed(1)
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(DRAWS):
        model, kept = Block(vocabulary, tokens, width, 2), Kept()
        loss = F.cross_entropy(model(ids, kept), torch.randint(vocabulary, (tokens,)))
        loss.backward()
        measured = {("unembedding", "initial_loss"): loss.item()}
        for name, x in kept.values.items():
            measured[sites[name], "preactivation_second_moment"] = squares(x)
            measured[sites[name], "gradient_squared_norm"] = float((x.grad**2).sum())
        u = F.normalize(kept.values["attend"].detach(), dim=1)
        pairs = (u @ u.T).sum() - tokens
        measured["one.attention.attend", "token_correlation"] = float(pairs) / (tokens * (tokens - 1))
        measured["two.dense1", "gradient_weight"] = squares(model.up.weight.grad)
        measured["two.dense1", "gradient_bias"] = squares(model.up.bias.grad)
        measured["one.attention.query", "gradient_weight_batch"] = squares(model.qkv.weight.grad[:width])
        for key, value in measured.items():
            found.setdefault(key, []).append(value)
    compare(network, found, 21)


class ResNet(nn.Module):
    """One block with stride, BatchNorm in training mode, and a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.one = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False)
        self.two = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.short = nn.Conv2d(6, 8, 1, stride=2, bias=False)
        self.last = nn.Linear(8, 5)
        for p in self.parameters():
            nn.init.kaiming_normal_(p) if p.ndim > 1 else nn.init.zeros_(p)

    def forward(self, x: Any, keep: Callable[[str, Any], Any]) -> Any:
        def norm(y: Any) -> Any:
            return F.batch_norm(y, None, None, training=True)

        x = torch.relu(keep("norm", norm(keep("conv", self.stem(x)))))
        inner = torch.relu(norm(keep("residual.conv1", self.one(x))))
        inner = norm(keep("residual.conv2", self.two(inner)))
        x = torch.relu(keep("residual.stream", norm(self.short(x)) + inner))
        return keep("dense", self.last(x.mean(dim=(2, 3))))


def test_a_small_resnet() -> None:
    he = "he_normal"
    branch = [
        Convolution(8, 3, stride=2, padding=1, weights=he),
        BatchNorm(),
        "relu",
        Convolution(8, 3, weights=he),
        BatchNorm(),
    ]
    short = [Convolution(8, 1, stride=2, padding=0, weights=he), BatchNorm()]
    body = (
        Convolution(6, 3, weights=he),
        BatchNorm(),
        "relu",
        residual(branch, shortcut=short),
        "relu",
        MeanPool(),
        Dense(5, he),
    )
    classes = np.array([0, 1, 2, 3])
    network = Network(numbers(3, 6, 6, batch=4), body, Head("softmax_ce", classes))
    x = torch.from_numpy(network.input.values.astype(np.float32)).reshape(3, 4, 6, 6).swapaxes(0, 1)
    sites = {"conv": "conv", "norm": "batch_norm", "dense": "dense"} | {
        name: name for name in ("residual.conv1", "residual.conv2", "residual.stream")
    }
    torch.manual_seed(2)
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(DRAWS):
        model, kept = ResNet(), Kept()
        loss = F.cross_entropy(model(x, kept), torch.from_numpy(classes), reduction="sum")
        loss.backward()
        measured = {("dense", "initial_loss"): loss.item() / 4}
        for name, value in kept.values.items():
            measured[sites[name], "preactivation_second_moment"] = squares(value)
            # The gradient of the sum of the examples' losses, which BatchNorm mixes.
            measured[sites[name], "gradient_preactivation"] = squares(value.grad)
        for name, module in (("residual.conv2", model.two), ("conv", model.stem), ("dense", model.last)):
            measured[name, "gradient_weight_batch"] = squares(module.weight.grad) / 16
        off = (kept.values["norm"].detach() <= 0).float()
        measured["batch_norm", "inactive_fraction"] = float(off.mean())
        for key, value in measured.items():
            found.setdefault(key, []).append(value)
    assert math.isfinite(sum(map(sum, found.values())))
    compare(network, found, 22)
