"""How far predictions of graphs are from plain PyTorch, and at large width from the engine, which forms no weights.

For every architecture: median, 90 and 99 % quantile of |predicted/measured - 1| over rows that are means of squares
(forward and backward), what the referee's own standard errors alone would give, how many rows lie beyond 5 % (10 %
backward) and three standard errors, and the share of rows by label.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import varprop as vp
from tests.large.graphs.referee import measure
from varprop import ops
from varprop.results.schema import QUANTITIES


def residual_mlp(width: int, scale: float) -> vp.Network:
    block = ops.residual(
        [ops.layer_norm(), ops.dense(2 * width, "he_normal"), "relu", ops.dense(width, "lecun_normal")],
        scale=scale,
        name="block",
    )
    data = vp.gaussian(width, 4)
    return vp.Network(data, [ops.dense(width, "lecun_normal"), *[block] * 4, ops.dense(10, "lecun_normal")])


def bare_mlp(width: int, scale: float) -> vp.Network:
    block = ops.residual(
        ["tanh", ops.dense(width, "lecun_normal", "normal(std=0.1)")], scale=scale, name="block"
    )
    data = vp.gaussian(width, 4)
    return vp.Network(data, [ops.dense(width, "lecun_normal"), *[block] * 4, ops.dense(10, "lecun_normal")])


def convnet(width: int) -> vp.Network:
    def layer(stride: int = 1) -> list[object]:
        return [ops.conv(width, 3, stride=stride, padding=1, weights="he_normal"), "relu"]

    body = [
        *layer(),
        *layer(2),
        *layer(),
        ops.max_pool(2),
        *layer(),
        ops.mean_pool(),
        ops.dense(10, "lecun_normal"),
    ]
    return vp.Network(vp.images(3, 12, 12, batch=2), body, vp.Head("softmax_ce", [1, 4]))


def resnet(width: int) -> vp.Network:
    return vp.resnet(blocks=(2, 2), widths=(width, 2 * width), image=8, classes=10, batch=3, stem="cifar")


def gpt(width: int, **more: object) -> vp.Network:
    return vp.transformer(3, width, 8, 16, 300, tied=False, weights="normal(std=0.05)", **more)  # type: ignore[arg-type]


CASES: dict[str, Callable[[int], vp.Network]] = {
    "residual MLP": lambda n: residual_mlp(n, 1.0),
    "residual MLP, scale 0.3": lambda n: residual_mlp(n, 0.3),
    "tanh residual, biases": lambda n: bare_mlp(n, 0.7),
    "pre-LN": gpt,
    "post-LN": lambda n: gpt(n, norm="post"),
    "GPT-2 tied": lambda n: vp.transformer(3, n, 8, 16, 300, batch=2, activation="gelu_tanh"),
    "LLaMA": lambda n: gpt(
        n, rms=True, gated=True, activation="silu", kv_heads=2, rotary=True, positions=False
    ),
    "ResNet, BatchNorm": lambda n: resnet(n // 4),
    "ConvNet, max pool": lambda n: convnet(n // 4),
    "MLP-Mixer": lambda n: vp.mlp_mixer(2, n, patch=4, image=16, classes=10, token_width=n // 2),
}


def engine(network: vp.Network, draws: int) -> dict[tuple[str, str], tuple[float, float]]:
    """Return what `vp.simulate` measures: at widths where explicit weights take too long."""
    table = vp.simulate(network, draws=draws, seed=1)
    keys = zip(table.node, table.quantity, strict=True)
    return dict(zip(keys, zip(table.value, table.std_error, strict=True), strict=True))


REFEREES: dict[str, Callable[[vp.Network, int], dict[tuple[str, str], tuple[float, float]]]] = {
    "PyTorch": measure,
    "engine": engine,
}


def rows(name: str, width: int, draws: int, referee: str) -> pd.DataFrame:
    network = CASES[name](width)
    begun = time.perf_counter()
    table = vp.predict(network)
    seconds = time.perf_counter() - begun
    measured = REFEREES[referee](network, draws)
    keys = list(zip(table.node, table.quantity, strict=True))
    table["measured"] = [measured.get(key, (np.nan, np.nan))[0] for key in keys]
    table["std_error"] = [measured.get(key, (np.nan, np.nan))[1] for key in keys]
    table["seconds"] = seconds
    moment = table.quantity.map(lambda q: QUANTITIES[q].kind == "moment")
    table["back"] = table.quantity.map(lambda q: QUANTITIES[q].backward)
    # Of what vanishes identically PyTorch shows the rounding.
    moment &= table.value > 0.0
    table["gap"] = np.where(moment, (table.value / table.measured - 1.0).abs(), np.nan)
    table["noise"] = np.where(moment, 0.6745 * table.std_error / table.measured.abs(), np.nan)
    return table


def summary(table: pd.DataFrame) -> dict[str, object]:
    found: dict[str, object] = {"seconds": f"{table.seconds.iloc[0]:.2f}", "rows": len(table)}
    for side, back, limit in (("forward", False, 0.05), ("backward", True, 0.10)):
        part = table[(table.back == back) & table.gap.notna()]
        found[f"{side} 50/90/99 %"] = " / ".join(
            f"{100 * part.gap.quantile(q):.2f}" for q in (0.5, 0.9, 0.99)
        )
        found[f"{side} noise"] = f"{100 * part.noise.median():.2f}"
        beyond = part.gap > limit + 3.0 * part.std_error / part.measured
        found[f"{side} beyond"] = f"{int(beyond.sum())} of {len(part)}"
    found["approximate"] = f"{100 * float((table.order == 'approximate').mean()):.0f} %"
    found["exact"] = f"{100 * float((table.order == 'exact').mean()):.0f} %"
    found["unpredicted"] = int((table.order == "").sum())
    return found


def write(path: Path, runs: list[tuple[str, int, int]], names: list[str]) -> None:
    lines = ["# Predictions of graphs against explicit weights", "", *(__doc__ or "").splitlines()[2:], ""]
    lines += [f"{dt.date.today()}. `python -m tests.large.graphs.errors` writes this table.", ""]
    for referee, width, draws in runs:
        found = {name: summary(rows(name, width, draws, referee)) for name in names}
        columns = list(next(iter(found.values())))
        lines += [f"## {referee}, width {width}, {draws} draws", ""]
        lines += ["| network | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        lines += [
            f"| {name} | " + " | ".join(str(row[c]) for c in columns) + " |" for name, row in found.items()
        ]
        lines.append("")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write(
        Path("reports/graphs/errors.md"),
        [("PyTorch", 256, 100), ("engine", 256, 400), ("engine", 1024, 100)],
        sys.argv[1:] or list(CASES),
    )
