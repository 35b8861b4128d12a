"""Models that people have, as factories; every audit test draws from here."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import nn


def chain(depth, width=128, act=nn.ReLU, gain=None, inputs=None, outputs=None, biases=False):
    """Dense layers with activations; torch's default law, or N(0, gain²/fan_in) without biases."""

    def build():
        layers, before = [], inputs or width
        for _ in range(depth):
            layers += [_linear(before, width, gain, biases), act()]
            before = width
        if outputs:
            layers.append(_linear(before, outputs, gain, biases))
        return nn.Sequential(*layers)

    return build


def _linear(fan_in, fan_out, gain, biases):
    layer = nn.Linear(fan_in, fan_out)
    if gain is not None:
        nn.init.normal_(layer.weight, std=gain / fan_in**0.5)
        if not biases:
            nn.init.zeros_(layer.bias)
    return layer


def convolutions(norm=False, depth=4, channels=8):
    def build():
        layers, before = [], 3
        for _ in range(depth):
            layers.append(nn.Conv2d(before, channels, 3, padding=1))
            layers += [nn.BatchNorm2d(channels)] if norm else []
            layers.append(nn.ReLU())
            before = channels
        head = [nn.MaxPool2d(2), nn.Conv2d(channels, channels, 3, stride=2), nn.Tanh()]
        return nn.Sequential(*layers, *head, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 5))

    return build


def normalised(depth=12, width=192):
    def build():
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(width, 10))

    return build


def encoder(norm_first, layers=3):
    def build():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="enable_nested_tensor")
            layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=norm_first)
            return nn.TransformerEncoder(layer, layers)

    return build


class Residual(nn.Module):
    """x + scale * W2 relu(W1 x), He both."""

    def __init__(self, depth=10, width=96, scale=1.0):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _linear(width, width, 2**0.5, False), nn.ReLU(), _linear(width, width, 2**0.5, False)
            )
            for _ in range(depth)
        )
        self.scale = scale

    def forward(self, x):
        for block in self.blocks:
            x = x + self.scale * block(x)
        return x


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.cells, self.out = (
            nn.Embedding(50, 16),
            nn.LSTM(16, 24, 2, batch_first=True),
            nn.Linear(24, 50),
        )

    def forward(self, tokens):
        states, _ = self.cells(self.table(tokens))
        return self.out(states)


class Branching(nn.Module):
    """Control flow on values (no symbolic trace gets through), functional activations, one layer used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.idle = nn.Linear(20, 20), nn.Linear(20, 20), nn.Linear(3, 3)

    def forward(self, x):
        if float(x.detach().sum()) > 1e30:
            return x
        x = F.gelu(self.first(x))
        for _ in range(int(x.shape[0] > 1)):
            x = torch.tanh(self.second(x))
        return self.first(x), x


class Tied(nn.Module):
    """A language model whose embedding is also its output layer."""

    def __init__(self, vocabulary=400, width=128):
        super().__init__()
        self.table, self.mix, self.norm = (
            nn.Embedding(vocabulary, width),
            nn.Linear(width, width),
            nn.LayerNorm(width),
        )

    def forward(self, tokens):
        h = self.table(tokens)
        return self.norm(h + self.mix(h)) @ self.table.weight.T


class Inplace(nn.Module):
    """In-place activations and additions, and a custom leaf that scales by a parameter."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.scale = (
            nn.Linear(12, 12),
            nn.Linear(12, 12),
            nn.Parameter(torch.full((12,), 0.5)),
        )
        self.off = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.off(self.a(x))
        y = self.b(x)
        y += x
        return F.relu_(y * self.scale)


CATALOGUE = {
    "mlp": (chain(4, 32, outputs=7), lambda: torch.randn(6, 32)),
    "conv": (convolutions(), lambda: torch.randn(4, 3, 12, 12)),
    "conv_bn": (convolutions(norm=True), lambda: torch.randn(4, 3, 12, 12)),
    "pre_ln": (encoder(True), lambda: torch.randn(4, 6, 32)),
    "post_ln": (encoder(False), lambda: torch.randn(4, 6, 32)),
    "residual": (Residual, lambda: torch.randn(5, 96)),
    "lstm": (Recurrent, lambda: torch.randint(0, 50, (4, 7))),
    "branching": (Branching, lambda: torch.randn(5, 20)),
    "tied": (Tied, lambda: torch.randint(0, 400, (3, 5))),
    "inplace": (Inplace, lambda: torch.randn(5, 12)),
    "double": (lambda: chain(3, 16)().double(), lambda: torch.randn(4, 16)),
}
