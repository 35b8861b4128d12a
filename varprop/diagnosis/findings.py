"""What a table shows besides growth: saturation, dead units, collapsed data, a loss or logits that start too large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MOST_SATURATED = 0.5
MOST_DEAD = 0.9
LEAST_DATA = 1e-3
LARGEST_LOGIT_VARIANCE = 10.0
"""Attention logits of standard deviation above about 3: the softmax is close to picking one key."""
LOSS_EXCESS = (1.5, 1.0)
"""An initial loss is too large beyond this factor of, and this much above, what an uninformed model has."""


@dataclass(frozen=True)
class Finding:
    """One observation.

    Attributes
    ----------
    kind : str
    layer : int
        Row's number in the table.
    module : str
    value : float
    text : str
        One sentence.
    grave : bool
        Whether it makes the network unhealthy.
    """

    kind: str
    layer: int
    module: str
    value: float
    text: str
    grave: bool


def findings(table: pd.DataFrame) -> tuple[Finding, ...]:
    """Return what stands out in the rows of one case, at the first layer where it does.

    Parameters
    ----------
    table : DataFrame
        As `varprop.diagnosis.cases.cases` returns it.
    """
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    return tuple(_each(rows))


def _each(rows: list[dict[str, Any]]) -> Iterator[Finding]:
    off = {row["layer"] for row in rows if row["quantity"] == "inactive_fraction" and row["number"] > 0}
    saturated = _first(
        rows, "saturated_fraction", lambda row: row["number"] > MOST_SATURATED and row["layer"] not in off
    )
    if saturated:
        text = f"{saturated['number']:.0%} of the units saturate at {title(saturated)}"
        yield _finding("saturated", saturated, text, True)
    dead = _first(rows, "dead_fraction", lambda row: row["number"] > MOST_DEAD)
    if dead:
        text = f"{dead['number']:.0%} of the units are off for the whole batch at {title(dead)}"
        yield _finding("dead", dead, text, True)
    yield from _collapse(rows)
    logits = _first(rows, "attention_logit_variance", lambda row: row["number"] > LARGEST_LOGIT_VARIANCE)
    if logits:
        text = f"attention logits have variance {logits['number']:.3g} at {title(logits)}: the softmax picks one key"
        yield _finding("logits", logits, text, True)
    factor, above = LOSS_EXCESS
    for row in rows:
        if row["quantity"] == "initial_loss" and "uninformed" in row["reason"]:
            bad = row["number"] > max(factor * row["expected"], row["expected"] + above)
            text = f"the loss starts at {row['number']:.4g}, an uninformed model's at {row['expected']:.4g}"
            yield _finding("loss", row, text, bad)
    wrong = [
        r
        for r in rows
        if r["quantity"].endswith("_factor") and abs(r["number"] - 1) > 1e-9 and r["op"] != "embedding"
    ]
    for row in wrong[:1]:
        many = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        which = "fan-in" if "fan_in" in row["quantity"] else "fan-out"
        what = f"{which} of {row['parameter']} at {title(row)}"
        text = f"{what} is {row['number']:.4g} times what torch.nn.init counts{many}"
        yield _finding("fans", row, text, False)


def title(row: Mapping[Any, Any]) -> str:
    """Return where a row belongs, for readers: ``layer 3``, or ``1 (Linear), call 2``."""
    if not row["module"]:
        return f"layer {row['layer']}"
    again = f", call {row['call']}" if row["call"] > 1 else ""
    return f"{row['module']} ({row['kind']}){again}"


def _collapse(rows: list[dict[str, Any]]) -> Iterator[Finding]:
    levels = {r["layer"]: r["number"] for r in rows if r["quantity"] == "preactivation_second_moment"}
    for row in rows:
        level = levels.get(row["layer"], 0.0)
        judged = row["quantity"] == "data_variance" and row["trunk"]
        if judged and level > 0 and row["number"] < LEAST_DATA * level:
            share = f"{row['number'] / level:.1g}"
            text = f"examples become alike: from {title(row)} on they make up {share} of the second moment"
            yield _finding("collapse", row, text, False)
            return


def _first(rows: list[dict[str, Any]], quantity: str, wanted: Any) -> dict[str, Any] | None:
    return next((row for row in rows if row["quantity"] == quantity and wanted(row)), None)


def _finding(kind: str, row: dict[str, Any], text: str, grave: bool) -> Finding:
    return Finding(kind, int(row["layer"]), row["module"], float(row["number"]), text, bool(grave))
