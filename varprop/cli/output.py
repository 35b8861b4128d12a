"""Tables on standard output: for readers, or as CSV or JSON for programs."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from varprop._validation import check_one_of
from varprop.plots.labels import short
from varprop.reporting.numerals import beyond, number
from varprop.results.schema import QUANTITIES

if TYPE_CHECKING:
    import pandas as pd

Printed = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Title, columns, rows."""

MAIN = (
    "preactivation_mean",
    "preactivation_variance",
    "saturated_fraction",
    "inactive_fraction",
    "dead_fraction",
    "gradient_preactivation",
    "gradient_weight",
)
"""Quantities of a table for readers unless they ask for others."""

_HEADS = {
    "preactivation_mean": "mean z",
    "preactivation_variance": "var z",
    "saturated_fraction": "saturated",
    "inactive_fraction": "inactive",
    "dead_fraction": "dead",
    "gradient_preactivation": "grad z²",
    "gradient_weight": "grad W²",
}


def show(
    frame: pd.DataFrame,
    form: str,
    tables: Callable[[pd.DataFrame, Sequence[str]], Iterator[Printed]],
    quantities: Sequence[str] = (),
) -> None:
    """Print `frame` in the chosen form, once it is complete."""
    from varprop.reporting.tables import to_csv, to_json

    asked = [check_one_of("quantity", q, QUANTITIES) for q in quantities]
    if asked:
        frame = frame[frame["quantity"].isin(asked)]
    if form == "csv":
        click.echo(to_csv(frame), nl=False)
    elif form == "json":
        click.echo(to_json(frame), nl=False)
    else:
        print_tables(tables(frame, asked or MAIN))


def print_tables(tables: Iterator[Printed]) -> None:
    """Print tables for readers, full width wherever no terminal limits it."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    class Output(Console):
        def on_broken_pipe(self) -> None:
            """Leave a closed pipe to `varprop.cli.boundary`."""
            raise BrokenPipeError

    console = Output(width=None if sys.stdout.isatty() else 10_000, highlight=False, soft_wrap=False)
    for title, columns, rows in tables:
        table = Table(
            title=Text(title) if title else None,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
        )
        for i, column in enumerate(columns):
            numeric = all(_is_number(row[i]) for row in rows)
            table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)


def layer_tables(frame: pd.DataFrame, quantities: Sequence[str]) -> Iterator[Printed]:
    """Yield one table per case, layers down and quantities across; a tilde marks what is not exact."""
    measured = "std_error" in frame
    for case, rows in frame.groupby("case", sort=False):
        present = [q for q in quantities if (rows["quantity"] == q).any()]
        cells = {}
        for r in rows.to_dict("records"):
            text = beyond(r["value"], r["log_value"])
            if measured and r["std_error"] > 0:
                text += f" ± {number(r['std_error'], 2)}"
            elif not measured and r["order"] not in ("exact", ""):
                text = f"~{text}"
            cells[r["layer"], r["quantity"]] = text
        layers = rows.drop_duplicates("layer")[["layer", "width"]].itertuples(index=False)
        lines = [
            [str(layer), str(width), *(cells.get((layer, q), "–") for q in present)]
            for layer, width in layers
        ]
        heads = [_HEADS.get(q, q.replace("_", " ")) for q in present]
        yield short(case, 100), ["layer", "width", *heads], lines


def verdict_tables(frame: pd.DataFrame, quantities: Sequence[str]) -> Iterator[Printed]:
    """Yield one table per case with a line for every layer and quantity."""
    columns = ["layer", "quantity", "predicted", "measured", "± s.e.", "order", "verdict", "reason"]
    for case, rows in frame.groupby("case", sort=False):
        lines = [
            [
                str(r["layer"]),
                r["quantity"],
                number(r["predicted"]),
                number(r["measured"]),
                number(r["std_error"], 2),
                r["order"],
                r["verdict"],
                short(r["reason"], 60),
            ]
            for r in rows[rows["quantity"].isin(quantities)].to_dict("records")
        ]
        yield short(case, 100), columns, lines


def _is_number(text: str) -> bool:
    head = text.removeprefix("~").split(" ")[0]
    try:
        return not math.isnan(float(head))
    except ValueError:
        return head.startswith(("10^", "–")) or head in ("∞", "−∞", "")
