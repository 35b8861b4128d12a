"""Small networks of every kind, narrow enough for many draws and with more inputs than columns of data."""

from __future__ import annotations

import numpy as np

from varprop.spec import Head, Input, Network
from varprop.spec.ops import (
    Activate,
    BatchNorm,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    LayerNorm,
    MaxPool,
    MeanPool,
    Positions,
    RMSNorm,
    Unembedding,
)
from varprop.spec.parts import attention, gate, residual

SMALL = "normal(std=0.3)"


def words(tokens: int, vocabulary: int, batch: int = 1) -> Input:
    ids = np.random.default_rng(5).integers(0, vocabulary, (1, tokens * batch))
    return Input(ids, positions=(tokens,), vocabulary=vocabulary)


def numbers(features: int, *positions: int, batch: int = 1) -> Input:
    columns = int(np.prod(positions)) * batch
    return Input(np.random.default_rng(6).standard_normal((features, columns)), positions=positions)


def gpt() -> Network:
    """Pre-LN, causal, tied, two blocks of width 16 on 6 tokens."""
    blocks = [
        residual([LayerNorm(), attention(2, causal=True, weights=SMALL)]),
        residual([LayerNorm(), Dense(32, SMALL), "gelu", Dense(16, SMALL)]),
    ]
    body = (Embedding(16, SMALL), Positions(SMALL), *blocks, *blocks, LayerNorm(), Unembedding(11))
    return Network(words(6, 11), body, Head("softmax_ce"))


def encoder() -> Network:
    """Post-LN, two examples of 4 tokens, weights with a mean and random biases."""
    laws = {"weights": "normal(std=0.3, mean=0.05)", "biases": "normal(std=0.1)"}
    blocks = [
        residual(attention(2, **laws)),
        LayerNorm(),
        residual([Dense(24, **laws), "relu", Dense(16, **laws)], scale=0.7),
        LayerNorm(),
    ]
    return Network(words(4, 9, batch=2), (Embedding(16), Positions(), *blocks, *blocks), Head("unit"))


def gated() -> Network:
    """RMSNorm, SwiGLU, rotary attention with two query heads to a key head."""
    block = [
        residual([RMSNorm(), attention(4, kv_heads=2, causal=True, rotary=True, weights=SMALL)]),
        residual([RMSNorm(), gate(20, "silu", SMALL), Dense(16, SMALL)]),
    ]
    return Network(words(5, 13), (Embedding(16, SMALL), *block, *block, RMSNorm(), Dense(13, SMALL)), Head())


def residual_mlp() -> Network:
    """Vectors, three examples, Haar-orthogonal and normal weights."""
    block = residual([Dense(12, "orthogonal"), "tanh", Dense(10, "he_normal", "normal(std=0.2)")], scale=0.5)
    return Network(numbers(10, batch=3), (block, block, block, Dense(4, "he_normal")), Head("mse", 0.0))


def tied() -> Network:
    """Two dense maps between an embedding and the output layer that shares its table; nothing else is mixed in."""
    body = (Embedding(12, SMALL), Dense(12, SMALL), "tanh", Dense(12, SMALL), Unembedding(14))
    return Network(words(5, 14), body, Head("softmax_ce"))


def convolutional() -> Network:
    """Images of 4 × 4, three kinds of convolution whose fan-in exceeds the number of windows; one example."""
    body = (
        Convolution(4, 3),
        "relu",
        GroupNorm(groups=2),
        residual([Convolution(8, 3, groups=2), "relu", Convolution(4, 3, biases="normal(std=0.2)")]),
        Convolution(6, 2, stride=2, padding=0, transposed=True),
        MaxPool(4),
        Flatten(),
        Dropout(0.2),
        Dense(5, "he_normal"),
    )
    return Network(numbers(3, 4, 4), body, Head("unit"))


def batch_normed() -> Network:
    """A residual network with BatchNorm and stride."""
    block = [Convolution(8, 3, stride=2, padding=1), BatchNorm(), "relu", Convolution(8, 3), BatchNorm()]
    body = (
        Convolution(6, 3),
        BatchNorm(),
        "relu",
        residual(block, shortcut=[Convolution(8, 1, stride=2, padding=0), BatchNorm()]),
        Activate("relu"),
        MeanPool(),
        Dense(5, "he_normal"),
    )
    return Network(numbers(3, 6, 6, batch=4), body, Head("softmax_ce", np.array([0, 1, 2, 3])))


NETWORKS = {
    make.__name__: make for make in (gpt, encoder, gated, residual_mlp, tied, convolutional, batch_normed)
}
