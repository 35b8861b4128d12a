"""The report of an audit, in the same clothes as the others."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop.diagnosis import Diagnosis, Direction
from varprop.plots.depth import by_depth
from varprop.plots.labels import short
from varprop.plots.style import VERDICT_COLORS, looks
from varprop.reporting.document import Card, Document, Figure, Finding, Paragraph, Section, Share, Table
from varprop.reporting.numerals import counted, number
from varprop.results.audit_schema import AUDIT_QUANTITIES
from varprop.results.health import factor_text
from varprop.results.schema import PREDICTED_COLUMNS, SIMULATED_COLUMNS, VERDICTS, tidy

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Drawing

LISTED = 200
_MAIN = (("preactivation_second_moment", "Signal"), ("gradient_preactivation", "Gradient"))
_MOODS = {"healthy": "good", "unknown": "open", "vanishing": "bad", "exploding": "bad"}


def audit_document(
    frame: pd.DataFrame, diagnosis: Diagnosis, changes: pd.DataFrame, lines: str, after: Diagnosis | None
) -> Document:
    """Return the report of an audit.

    Parameters
    ----------
    frame : DataFrame
        Of `varprop.audit`.
    diagnosis : Diagnosis
        Of `frame`.
    changes : DataFrame
        Suggestions, possibly without rows.
    lines : str
        The code that makes them.
    after : Diagnosis or None
        Of the dry run with the changes made.
    """
    case = str(frame["case"].iloc[0])
    counts = frame["verdict"].value_counts()
    return Document(
        title=short(f"Audit of {case}", 120),
        question=(
            f"Does {short(case, 60)} start the way its initializer promises? It was drawn "
            f"{counted(int(frame['n_draws'].max()), 'time')} and measured forward and backward."
        ),
        headline=_headline(diagnosis),
        shares=tuple(Share(name, int(counts.get(name, 0)), VERDICT_COLORS[name]) for name in VERDICTS),
        cards=(_card(case, frame, diagnosis),),
        overview=(),
        sections=tuple(_sections(frame, diagnosis, changes, lines, after)),
    )


def _headline(diagnosis: Diagnosis) -> str:
    if diagnosis.healthy:
        return "The model starts healthy, forward and backward."
    if diagnosis.health == "unknown":
        ways = (diagnosis.forward, diagnosis.backward)
        unknown = " and ".join(way.name for way in ways if way.health == "unknown")
        return f"Whether the model starts healthy is unknown: nothing could be compared {unknown}."
    grave = [d for d in (diagnosis.forward, diagnosis.backward) if d.health in ("vanishing", "exploding")]
    what = [f"its {'signal' if d.name == 'forward' else 'gradient'} is {d.health}" for d in grave]
    what += [f.text for f in diagnosis.findings if f.grave]
    return f"The model starts unhealthy: {'; '.join(what)}."


def _card(case: str, frame: pd.DataFrame, diagnosis: Diagnosis) -> Card:
    styles = looks(("forward", "backward"))
    found = tuple(
        Finding(d.name, styles[d.name], _MOODS[d.health], d.health, d.sentence())
        for d in (diagnosis.forward, diagnosis.backward)
    )
    return Card(
        short(case, 60), "forward and backward, along the main road", _figure(frame, diagnosis), found
    )


def _figure(frame: pd.DataFrame, diagnosis: Diagnosis) -> Figure:
    return Figure(
        name="course",
        title="Signal and gradient by layer",
        sees="Level lines keep their size, slopes vanish or explode; marks on the line confirm the theory.",
        alt=f"{_in_words(diagnosis.forward)} {_in_words(diagnosis.backward)}",
        draw=functools.partial(_draw, frame),
    )


def _in_words(direction: Direction) -> str:
    return f"Going {direction.name}, the mean square changes by {factor_text(direction.log_factor)}."


def _draw(frame: pd.DataFrame) -> Drawing:
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(4.6, 4.4))
    axes = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(left=0.14, right=0.97, top=0.93, bottom=0.11, hspace=0.32)
    for ax, (quantity, _) in zip(axes, _MAIN, strict=True):
        predicted, measured = course_tables(frame, quantity)
        by_depth(predicted, measured, quantity=quantity, legend=False, ax=ax)
    axes[0].set_xlabel("")
    axes[1].set_xlabel("node in order of execution")
    return figure


def course_tables(frame: pd.DataFrame, quantity: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return prediction and measurement of `quantity` along the main road, as the plots want them."""
    rows = frame[(frame["quantity"] == quantity) & frame["trunk"] & (frame["parameter"] == "")]
    predicted, measured = [], []
    for row in rows.to_dict("records"):
        place = {name: row[name] for name in ("case", "layer", "width", "quantity")}
        if not math.isnan(row["predicted"]):
            predicted.append({**place, "value": row["predicted"], "log_value": _log(row["predicted"])})
        low, high = (row[name] for name in ("ci_low", "ci_high"))
        measured.append({
            **place, "value": row["measured"], "log_value": _log(row["measured"]), "ci_low": low, "ci_high": high,
            "std_error": row["std_error"], "median": row["median"], "n_draws": row["n_draws"],
        })  # fmt: skip
    return tidy(predicted, PREDICTED_COLUMNS), tidy(measured, SIMULATED_COLUMNS)


def _log(value: float) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log(value))


def _sections(
    frame: pd.DataFrame, diagnosis: Diagnosis, changes: pd.DataFrame, lines: str, after: Diagnosis | None
) -> list[Section]:
    said = [Paragraph(sentence) for sentence in diagnosis.sentences()]
    sections = [Section("Verdict", tuple(said))]
    if len(changes):
        blocks: list[Any] = [_changes_table(changes)]
        if lines:
            blocks.append(_code(lines))
        if after is not None:
            blocks.append(
                Paragraph("A dry run with these changes measured: " + "; ".join(after.sentences()) + ".")
            )
        sections.append(Section("What to change", tuple(blocks)))
    fans = _fans_table(frame)
    if fans is not None:
        sections.append(Section("Fans as they are and as torch.nn.init counts them", (fans,)))
    notes = [Paragraph(note) for note in frame.attrs.get("notes", ())]
    if notes:
        sections.append(Section("How the model was run", tuple(notes)))
    sections.append(Section("Node by node", (_rows_table(frame),)))
    return sections


def _changes_table(changes: pd.DataFrame) -> Table:
    rows = tuple(
        (
            short(f"{row['module']}.{row['parameter']}".rstrip("."), 60),
            row["kind"],
            number(row["now"]),
            number(row["suggested"]),
            short(row["rule"], 90),
            short(row["effect"], 120),
        )
        for row in changes.head(LISTED).to_dict("records")
    )
    columns = ("parameter", "kind", "std now", "suggested", "rule", "expected effect")
    return Table("Suggested changes", columns, rows, (False, False, True, True, False, False))


def _code(lines: str) -> Table:
    return Table(
        "The same as code", ("",), tuple((line,) for line in lines.splitlines()), (False,), folded=True
    )


def _fans_table(frame: pd.DataFrame) -> Table | None:
    facts = frame[frame["quantity"].str.startswith("fan_")]
    rows = []
    for (layer, parameter), group in facts.groupby(["layer", "parameter"], sort=False):
        values = dict(zip(group["quantity"], group["measured"], strict=True))
        if values["fan_in_factor"] != 1 or values["fan_out_factor"] != 1:
            first = group.iloc[0]
            rows.append((
                short(f"{first['module']}.{parameter}", 60), first["kind"],
                *(number(values[q]) for q in (
                    "fan_in_stated", "fan_in", "fan_in_factor", "fan_out_stated", "fan_out", "fan_out_factor",
                )),
            ))  # fmt: skip
        del layer
    if not rows:
        return None
    columns = ("parameter", "kind", "fan-in stated", "right", "factor", "fan-out stated", "right", "factor")
    return Table("Fans that differ", columns, tuple(rows[:LISTED]), (False, False, *[True] * 6))


def _rows_table(frame: pd.DataFrame) -> Table:
    shown = frame[~frame["quantity"].str.startswith(("fan_", "parameter_"))]
    rows = tuple(
        (
            str(row["layer"]),
            short(row["module"] + (f".{row['parameter']}" if row["parameter"] else ""), 48),
            row["kind"],
            AUDIT_QUANTITIES[row["quantity"]].title,
            number(row["predicted"]),
            number(row["measured"]),
            row["order"],
            row["verdict"],
            short(row["reason"].replace("_", " "), 120),
        )
        for row in shown.head(LISTED).to_dict("records")
    )
    more = len(shown) - len(rows)
    columns = ("node", "module", "kind", "quantity", "predicted", "measured", "order", "verdict", "reason")
    note = f"{counted(more, 'more row')} in audit.csv." if more > 0 else ""
    return Table(
        "Rows", columns, rows, (True, False, False, False, True, True, False, False, False), True, note
    )
