"""Networks drawn with explicit weights, in plain NumPy: an independent referee for the theory.

Nothing here uses varprop's samplers: weights come from `numpy.random` by name, the passes are written out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

WEIGHTS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.uniform(-np.sqrt(3), np.sqrt(3), shape),
    "rademacher": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
}
"""Laws of mean 0 and variance 1."""


def draw_networks(
    x: np.ndarray,
    widths: list[int],
    stds: list[float],
    phi: Callable[[np.ndarray], np.ndarray],
    slope: Callable[[np.ndarray], np.ndarray],
    draws: int,
    seed: int,
    law: str = "normal",
    bias_stds: list[float] | None = None,
    output_gradient: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    block: int = 2000,
) -> dict[str, np.ndarray]:
    """Return per-draw mean squares, shape (draws, layers), of many networks on one input.

    ``stds`` are the standard deviations of the weights; the last layer is linear. ``output_gradient(z, rng)`` is
    dL/dz of the last layer, iid N(0, 1) by default.
    """
    rng = np.random.default_rng(seed)
    names = ("z", "z2", "a", "a2", "d2", "delta", "weight", "input")
    out = {name: np.empty((draws, len(widths))) for name in names}
    biases = bias_stds or [0.0] * len(widths)
    for low in range(0, draws, block):
        r = min(block, draws - low)
        h, arriving, zs, ws = np.broadcast_to(x, (r, x.size)), [], [], []
        part = slice(low, low + r)
        for i, (n, std, bias) in enumerate(zip(widths, stds, biases, strict=True)):
            w = std * WEIGHTS[law](rng, (r, n, h.shape[1]))
            z = (w @ h[:, :, None])[:, :, 0] + bias * rng.standard_normal((r, n))
            arriving.append(h)
            zs.append(z)
            ws.append(w)
            last = i == len(widths) - 1
            h = z if last else phi(z)
            out["z"][part, i], out["z2"][part, i] = z.mean(1), np.square(z).mean(1)
            out["a"][part, i], out["a2"][part, i] = h.mean(1), np.square(h).mean(1)
            out["d2"][part, i] = 1.0 if last else np.square(slope(z)).mean(1)
        delta = rng.standard_normal(zs[-1].shape) if output_gradient is None else output_gradient(zs[-1], rng)
        for i in reversed(range(len(widths))):
            square = np.square(delta).mean(1)
            back = (delta[:, None, :] @ ws[i])[:, 0, :]
            out["delta"][part, i] = square
            out["weight"][part, i] = square * np.square(arriving[i]).mean(1)
            out["input"][part, i] = np.square(back).mean(1)
            if i:
                delta = back * slope(zs[i - 1])
    return out
