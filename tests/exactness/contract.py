"""Networks whose predictions are frozen: what is exact, or corrected to order 1/n, stays so, to 1e-9.

``python -m tests.exactness.contract`` writes ``contract.csv.gz`` anew, and only if no exact row of these networks is
refuted by the referee. A change of this table changes what theory says: it needs a reason, and an independent check of
its own.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.exactness.battery import exact_rows, examine, failures, predictions
from tests.exactness.functions import NAMES
from tests.exactness.networks import describe
from tests.exactness.referee import Case, Dense
from varprop._files import write_atomic

TABLE = Path(__file__).with_name("contract.csv.gz")
COLUMNS = ("network", "layer", "quantity", "order", "value", "log_value")
WIDE = (
    "tanh",
    "relu",
    "gelu",
    "sigmoid",
    "elu",
    "sin",
    "erf",
    "hardtanh",
    "silu",
    "softplus",
    "mish",
    "selu",
    "arctan",
)
HELD = ("exact", "1/n")


def cases() -> list[Case]:
    """Return the networks."""
    found = [*_every_activation(), *_every_law(), *_homogeneous(), *_wide()]
    return [Case(str(i), c.x, c.layers, c.head, c.targets) for i, c in enumerate(found)]


def rows(case: Case) -> list[tuple[str, ...]]:
    """Return the rows of a network that are held, as text."""
    table = predictions(case)
    return [
        (case.name, str(r.layer), r.quantity, r.order, repr(float(r.value)), repr(float(r.log_value)))
        for r in table.itertuples()
        if r.order in HELD
    ]


def frozen() -> dict[str, list[tuple[str, ...]]]:
    """Return the frozen rows of every network."""
    with gzip.open(TABLE, "rt", newline="") as stream:
        listed = [tuple(row) for row in csv.reader(stream)][1:]
    by_network: dict[str, list[tuple[str, ...]]] = {}
    for row in listed:
        by_network.setdefault(row[0], []).append(row)
    return by_network


def _inputs(seed: int, size: int, batch: int) -> np.ndarray:
    return np.round(np.random.default_rng(seed).standard_normal((size, batch)), 3)


def _stack(widths: tuple[int, ...], phi: str, weights: str, biases: str) -> tuple[Dense, ...]:
    last = len(widths) - 1
    return tuple(Dense(n, "linear" if i == last else phi, weights, biases) for i, n in enumerate(widths))


def _every_activation() -> Iterator[Case]:
    """Every activation under Gaussian weights, with each kind of bias and head in turn."""
    biases = ("zeros", "normal(std=0.3)", "constant(value=0.5)", "uniform(low=-1.0, high=1.0)", "zeros")
    for i, phi in enumerate(NAMES):
        layers = _stack((40, 32, 24, 16, 6), phi, "lecun_normal", biases[i % 5])
        x = _inputs(i, 12, 1 + i % 3)
        targets = np.round(np.random.default_rng(100 + i).random((6, x.shape[1])))
        head = ("unit", "unit", "mse", "bce", "unit")[(i + i // 5) % 5]
        yield Case("", x, layers, head, None if head == "unit" else targets)


def _every_law() -> Iterator[Case]:
    """Laws that are not Gaussian, have a mean or have atoms, under a smooth, an odd and a rectifying activation."""
    laws = (
        *("he_uniform", "keras.he_normal", "orthogonal(gain=1.4)", "rademacher(std=0.25)"),
        *(
            "sparse(sparsity=0.5, std=0.5)",
            "normal(std=0.3, mean=0.05)",
            "torch.uniform_",
            "torch.linear_default",
        ),
        *("identity", "constant(value=0.125)", "torch.sparse_(sparsity=0.3, std=0.5)", "zeros"),
    )
    for i, law in enumerate(laws):
        for j, phi in enumerate(("tanh", "relu")):
            biases = ("zeros", "rademacher(std=0.5)", "normal(std=0.5, mean=-0.5)")[(i + j) % 3]
            if law == "torch.linear_default":
                biases = "uniform_fan_in"
            yield Case("", _inputs(i + 50, 10, 1 + (i + j) % 3), _stack((12, 10, 8, 5), phi, law, biases))


def _homogeneous() -> Iterator[Case]:
    """(Leaky) ReLU and linear layers without biases, where second moments are exact at any depth and width."""
    for i, phi in enumerate(("relu", "leaky_relu(slope=0.2)", "linear", "leaky_relu(slope=-0.5)")):
        for j, law in enumerate(("he_normal", "he_uniform", "orthogonal")):
            widths = (6, 9, 4, 12, 7, 5, 8, 10, 3)[: 6 + (i + j) % 4]
            head = ("unit", "mse")[j % 2]
            x = _inputs(10 * i + j, 7, 1 + (i + 2 * j) % 3)
            targets = None if head == "unit" else np.zeros((widths[-1], x.shape[1]))
            yield Case("", x, _stack(widths, phi, law, "zeros"), head, targets)


def _wide() -> Iterator[Case]:
    """Wide layers, where the corrections of order 1/n are small, and inputs of many scales."""
    for i, phi in enumerate(WIDE):
        x = _inputs(i + 80, 50, 3) * np.array([1.0, 0.1, 10.0])
        weights = ("glorot_normal", "he_normal")[i % 2]
        yield Case(
            "",
            x,
            _stack((200, 300, 200, 100, 200, 10), phi, weights, ("zeros", "normal(std=0.1)")[i // 5 % 2]),
        )


def main() -> int:
    """Write the table if the referee refutes none of its exact rows."""
    listed, findings = [], []
    for case in cases():
        listed += rows(case)
        if max(layer.width for layer in case.layers) <= 40:
            findings += examine(case, exact_rows(predictions(case)), 6000, 200_000, int(case.name))
        print(case.name, describe(case), flush=True)
    bad = failures(findings)
    for f in bad:
        j = f.judgement
        print(f"refuted: {f.case.name} {f.row}: {f.predicted:.6g}, drawn {j.measured:.6g} ± {j.error:.2g}")
    if bad:
        return 1
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *listed])
    # A fixed time stamp: the same table is the same file.
    write_atomic(TABLE, gzip.compress(text.getvalue().encode(), mtime=0))
    print(f"{len(listed)} rows, {len(findings)} exact ones held against the referee")
    return 0


if __name__ == "__main__":
    sys.exit(main())
