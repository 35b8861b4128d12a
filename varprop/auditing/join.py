"""Put what theory expects beside what was measured, row by row, with a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from varprop.adapters.recording import Recording
from varprop.analytic.graph import predict_graph
from varprop.auditing.chains import find_chain, network_of, predict_chain
from varprop.auditing.facts import facts_of, source_of
from varprop.auditing.walked import walked_rows
from varprop.comparison import compare_frames
from varprop.results.audit_schema import AUDIT_COLUMNS, audit_frame
from varprop.results.schema import PREDICTED_COLUMNS, SIMULATED_COLUMNS, tidy

if TYPE_CHECKING:
    import pandas as pd

FULL_THEORY = 256
"""Layers times examples up to which the full theory of a chain is worked out unasked."""
_STAND_IN = {"gradient_activation": "gradient_input", "gradient_bias_batch": "gradient_weight_batch"}
"""Quantities of an audit that are judged like one of the common contract, each in a case of its own."""
_SIZES = (
    "preactivation_second_moment",
    "activation_second_moment",
    "gradient_preactivation",
    "gradient_activation",
)
"""Quantities of which rules node by node say so where they start again."""
_COMMON = ("", "weight", "bias")
"""Parameters of which a node has at most one set of rows of each quantity."""
_JUDGED = (
    "std_error", "ci_low", "ci_high", "difference", "z_score", "p_value", "p_adjusted", "margin", "order",
    "verdict", "reason", "draws_needed",
)  # fmt: skip


def expect(
    recording: Recording, share: float, unit_head: bool, order: str
) -> tuple[list[dict[str, Any]], Mapping[int, int]]:
    """Predict a recording; return the rows, and from each node to the layer that its allowance counts."""
    graph = recording.graph
    rules = predict_graph(
        graph, source_of(recording.source, graph), facts_of(recording), share=share, unit_head=unit_head
    )
    rules = _better(rules, walked_rows(recording, share, unit_head, order))
    layers = {node.index: max(graph.weighted_depth(node.index), 1) for node in graph.nodes}
    chain = find_chain(graph)
    network = network_of(chain, recording) if chain is not None else None
    if chain is None or network is None:
        return rules, layers
    if order == "auto":
        if len(chain.layers) * network.input.batch > FULL_THEORY:
            return rules, layers
        order = "best"
    full = predict_chain(chain, network, recording, share, order)
    return [*rules, *(row for row in full if not math.isnan(row["value"]) or order == "exact")], layers


def _better(rules: list[dict[str, Any]], walked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the walk predicts, and what rules node by node do where it does not get, or had to start again."""
    found = {_key(row): row for row in rules}
    whole = not any(math.isnan(row["value"]) and row["quantity"] in _SIZES for row in rules)
    for row in walked:
        old = found.get(_key(row))
        known = old is not None and (whole or old["order"] == "exact")
        if not math.isnan(row["value"]) and not (row["restarted"] and known):
            found[_key(row)] = row
    return list(found.values())


def _key(row: Mapping[str, Any]) -> tuple[int, str, str]:
    return row["layer"], row["parameter"], row["quantity"]


def join(
    recording: Recording,
    *,
    share: float,
    unit_head: bool,
    order: str,
    margin: float,
    alpha: float,
    attrs: Mapping[str, Any],
) -> pd.DataFrame:
    """Return the table of an audit."""
    measured = recording.frame()
    expected, layers = expect(recording, share, unit_head, order)
    wanted = {(row["layer"], row["parameter"], row["quantity"]): row for row in expected}
    records = measured.to_dict("records")
    here = {(row["layer"], row["parameter"], row["quantity"]) for row in records}
    wanted = {key: row for key, row in wanted.items() if key in here}
    verdicts = _judge(wanted, records, layers, margin, alpha)
    rows = []
    for record in records:
        key = (record["layer"], record["parameter"], record["quantity"])
        row = {name: record[name] for name in AUDIT_COLUMNS if name in record}
        row |= {"measured": record["value"], "verdict": "unpredicted"}
        if key in wanted:
            row["predicted"] = wanted[key]["value"]
        if key in verdicts:
            row |= verdicts[key]
        elif key in wanted:
            row["reason"] = wanted[key]["reason"]
        if key[2] == "initial_loss" and recording.loss_start is not None:
            row["predicted"], why = recording.loss_start
            row["order"], row["reason"] = "approximate", f"{why}: what an uninformed model starts at"
        rows.append(row)
    return audit_frame(rows, AUDIT_COLUMNS, attrs)


def _judge(
    wanted: Mapping[tuple[int, str, str], dict[str, Any]],
    records: Sequence[Mapping[Any, Any]],
    layers: Mapping[int, int],
    margin: float,
    alpha: float,
) -> dict[tuple[int, str, str], dict[str, Any]]:
    """Judge the predicted rows by the common rule; a node is a case, so that its parameters keep their rows."""
    predicted, simulated, keys = [], [], []
    for record in records:
        key = (record["layer"], record["parameter"], record["quantity"])
        expectation = wanted.get(key)
        if expectation is None or math.isnan(expectation["value"]):
            continue
        place = {
            "case": " ".join(
                part
                for part in (
                    f"node {key[0]}",
                    key[1] if key[1] not in _COMMON else "",
                    key[2] if key[2] in _STAND_IN else "",
                )
                if part
            ),
            "layer": layers.get(key[0], 1),
            "width": max(record["width"], 1),
            "quantity": _STAND_IN.get(key[2], key[2]),
        }
        keys.append(key)
        predicted.append({**place, **{k: expectation[k] for k in ("value", "log_value", "order", "reason")}})
        simulated.append({
            **place, **{k: record[k] for k in SIMULATED_COLUMNS if k in record and k not in place},
        })  # fmt: skip
    if not keys:
        return {}
    theory, measurement = tidy(predicted, PREDICTED_COLUMNS), tidy(simulated, SIMULATED_COLUMNS)
    table = compare_frames(theory, measurement, margin=margin, alpha=alpha)
    rows = table.to_dict("records")
    found = {key: {name: row[name] for name in _JUDGED} for key, row in zip(keys, rows, strict=True)}
    for key, row in found.items():
        if wanted[key].get("restarted") and row["verdict"] in ("agrees", "differs"):
            row["verdict"] = "undecided"  # what rests on a measurement is no evidence for or against a theory
    return found
