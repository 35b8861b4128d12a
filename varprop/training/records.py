"""What is written down while networks train: rows of the two tables of a `Training`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop.spec import Network
from varprop.training.descent import Examples, Group
from varprop.training.losses import Loss
from varprop.training.statistics import layer_statistics

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """A group at one step: rows of both tables, each with an array per column, and its parameters."""

    history: list[Row]
    layers: list[Row]
    parameters: list[Array]


class Recorder:
    """Evaluates groups of runs and collects the rows.

    Parameters
    ----------
    network : Network
    splits : dict of str to Examples
        ``train``, and ``test`` if there is one.
    per_epoch : int
        Steps in an epoch.
    described : collection of int
        Steps at which the layers are described.
    share : float
        Defines saturation.
    """

    def __init__(
        self,
        network: Network,
        splits: dict[str, Examples],
        per_epoch: int,
        described: Sequence[int],
        share: float,
    ) -> None:
        self._network = network
        self._columns = {name: examples.columns for name, examples in splits.items()}
        self._per_epoch = per_epoch
        self._described = frozenset(described)
        self._share = share
        self._looks: list[Sequence[Look]] = []

    def look(self, group: Group) -> Look:
        """Describe a group as it is now."""
        start = {
            "seed": np.array([seed for seed, _ in group.runs]),
            "order_seed": np.array([order for _, order in group.runs]),
            "step": np.full(len(group.runs), group.step),
        }
        history, layers = [], []
        # Runs that diverged have infinite numbers, which the tables show.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for split, (x, y) in self._columns.items():
                z = group.stack.forward(x)
                epoch = {"epoch": start["step"] / self._per_epoch, "split": np.full(len(group.runs), split)}
                history.append(start | epoch | evaluate(group.stack.loss, z, y))
                if split == "train" and group.step in self._described:
                    activations = [layer.activation for layer in self._network.layers]
                    found = layer_statistics(group.stack, activations, y, self._share)
                    for number, numbers in enumerate(found, start=1):
                        place = {
                            "layer": np.full(len(group.runs), number),
                            "width": np.full(len(group.runs), self._network.widths[number]),
                        }
                        layers.append(start | place | numbers)
        return Look(history, layers, [theta.copy() for theta in group.stack.parameters])

    def keep(self, looks: Sequence[Look]) -> None:
        """Enter what `look` returned for every group at one step; whole or not at all."""
        self._looks.append(looks)

    def __bool__(self) -> bool:
        return bool(self._looks)

    @property
    def step(self) -> int:
        """The last step kept."""
        return int(self._looks[-1][0].history[0]["step"][0])

    @property
    def parameters(self) -> tuple[Array, ...]:
        """Parameters of all runs at the last step kept."""
        parts = [look.parameters for look in self._looks[-1]]
        return tuple(np.concatenate(layer) for layer in zip(*parts, strict=True))

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return both tables, sorted by run and step."""
        looks = [look for step in self._looks for look in step]
        return (
            _frame([row for look in looks for row in look.history], ["seed", "order_seed", "step", "split"]),
            _frame([row for look in looks for row in look.layers], ["seed", "order_seed", "step", "layer"]),
        )


def evaluate(loss: Loss, z: Array, y: Array) -> Row:
    """Return mean loss, accuracy and the share of failures of the naive formula, for each network."""
    correct, fails = loss.correct(z, y), loss.naive_fails(z, y)
    nothing = np.full(len(z), np.nan)
    return {
        "loss": loss.value(z, y).mean(axis=-1, dtype=np.float64),
        "accuracy": nothing if correct is None else correct.mean(axis=-1),
        "naive_loss_infinite": nothing if fails is None else fails.mean(axis=-1),
    }


def _frame(rows: list[Row], order: list[str]) -> pd.DataFrame:
    import pandas as pd

    columns = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    return pd.DataFrame(columns).sort_values(order, kind="stable", ignore_index=True)
