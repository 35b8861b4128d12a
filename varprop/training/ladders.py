"""Tables of `symmetry` in few words: which layers have a gradient, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def gradient_ladder(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Say in one line a group which layers have a gradient in which step, and what became of the units.

    Parameters
    ----------
    frame : DataFrame
        Tables of `varprop.symmetry` below one another, with further columns `by`.
    by : sequence of str
        Columns that name a table.

    Returns
    -------
    DataFrame
        One row a group: the columns `by`; ``step 1``, ``step 2``, … with ``W2`` for a layer whose weights have a
        gradient, ``b2`` for one of which only the biases have, ``none`` if no layer has one; ``rank`` and
        ``distinct_units`` of all layers after the last step; ``verdict``, all that occur.

    Examples
    --------
    >>> import varprop as vp
    >>> network = vp.mlp([2, 1], "sigmoid", "zeros", input=vp.gaussian(2, 5), head="bce", targets=[1, 1, 1, 0, 0])
    >>> table = gradient_ladder(vp.symmetry(network, steps=2).assign(case="zeros"), ["case"])
    >>> table[["case", "step 1", "step 2", "rank", "verdict"]].values.tolist()
    [['zeros', 'W2', 'W1 W2', '1 1', 'agrees']]
    """
    by = list(by)
    layer = frame["layer"].astype(str)
    biases = ("b" + layer).where(~frame["bias_gradient_zero"], "")
    word = ("W" + layer).where(~frame["weight_gradient_zero"], biases)
    words = frame.assign(word=word).groupby([*by, "step"], sort=False)["word"]
    steps = words.agg(lambda s: " ".join(filter(None, s)) or "none").unstack("step").add_prefix("step ")
    last = frame[frame["step"] == frame["step"].max()].astype({"rank": str, "distinct_units": str})
    ends = last.groupby(by, sort=False)[["rank", "distinct_units"]].agg(" ".join)
    verdict = frame.groupby(by, sort=False)["verdict"].agg(lambda v: ", ".join(dict.fromkeys(v)))
    table = ends.join(steps).join(verdict)
    columns = [*steps.columns, *ends.columns, "verdict"]
    ladder: pd.DataFrame = table[columns].rename_axis(columns=None).reset_index()
    return ladder
