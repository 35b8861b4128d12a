"""The command that compares gains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from varprop.cli.commands import CONTEXT
from varprop.cli.options import code_option, format_option

if TYPE_CHECKING:
    import pandas as pd

    from varprop.cli.output import Printed

_CRITERIA = {
    "framework": "the framework's",
    "second_moment": "keeps E phi²",
    "variance": "keeps Var phi",
    "edge_of_chaos": "edge of chaos",
}


@click.command("explain", context_settings=CONTEXT)
@click.argument("activation")
@code_option
@format_option
def explain_command(activation: str, form: str) -> None:
    """Compare the gains one could use for ACTIVATION, a name or (with --allow-code) module:function.

    For each: the bias variance it needs, its fixed point q*, F'(q*) and chi_1, and the factors by which
    signal and gradient change over 10, 50 and 100 layers.
    """
    from varprop.analytic.mean_field.gains import gain
    from varprop.cli.output import show

    show(gain(activation), form, _tables)


def _tables(frame: pd.DataFrame, _: Sequence[str]) -> Iterator[Printed]:
    from varprop.plots.labels import short
    from varprop.reporting.numerals import number

    depths = [column.removeprefix("forward_") for column in frame.columns if column.startswith("forward_")]
    heads = ["gain that", "gain", "bias var", "q*", "F'(q*)", "chi_1"]
    heads += [f"{side} ×{depth}" for side in ("signal", "gradient") for depth in depths]
    names = ["gain", "bias_variance", "q_star", "length_slope", "chi_1"]
    names += [f"{way}_{depth}" for way in ("forward", "backward") for depth in depths]
    rows = [
        [_CRITERIA.get(r["criterion"], r["criterion"]), *(number(r[name]) for name in names)]
        for r in frame.to_dict("records")
    ]
    yield short(frame["activation"].iloc[0], 100), heads, rows
    words = [
        [_CRITERIA.get(r["criterion"], r["criterion"]), r["verdict"], r["reason"] or "–", r["source"]]
        for r in frame.to_dict("records")
    ]
    yield "", ["gain that", "verdict", "remark", "source"], words
