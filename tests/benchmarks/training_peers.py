"""One network trained as textbooks and tutorials write it: a NumPy loop, and PyTorch modules.

Both do full-batch descent on binary cross-entropy of a [2, 10, 5, 1] relu network, the work of one network in
`varprop.training.train`.
"""

from __future__ import annotations

import itertools

import numpy as np

WIDTHS = (2, 10, 5, 1)
LEARNING_RATE = 0.01


def numpy_training(x: np.ndarray, y: np.ndarray, steps: int) -> None:
    """Train one network in plain NumPy; `x` is (2, n), `y` (1, n)."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((m, n)) * np.sqrt(2 / n) for n, m in itertools.pairwise(WIDTHS)]
    biases = [np.zeros((m, 1)) for m in WIDTHS[1:]]
    for _ in range(steps):
        h, z = [x], []
        for w, b in zip(weights, biases, strict=True):
            z.append(w @ h[-1] + b)
            h.append(np.maximum(z[-1], 0))
        delta = (1 / (1 + np.exp(-z[-1])) - y) / x.shape[1]
        for i in (2, 1, 0):
            dw, db = delta @ h[i].T, delta.sum(axis=1, keepdims=True)
            if i:
                delta = (weights[i].T @ delta) * (z[i - 1] > 0)
            weights[i] -= LEARNING_RATE * dw
            biases[i] -= LEARNING_RATE * db


def torch_training(x: np.ndarray, y: np.ndarray, steps: int) -> None:
    """Train one network in PyTorch (Sequential, autograd, SGD; single precision, its default)."""
    import torch

    layers: list[torch.nn.Module] = []
    for n, m in itertools.pairwise(WIDTHS):
        layers += [torch.nn.Linear(n, m), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    loss = torch.nn.BCEWithLogitsLoss()
    descent = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    rows, targets = (torch.tensor(a.T, dtype=torch.float32) for a in (x, y))
    for _ in range(steps):
        descent.zero_grad()
        loss(model(rows), targets).backward()
        descent.step()
