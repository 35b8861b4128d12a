"""The contract of every table that varprop returns: quantities, columns, order labels.

A table is *long*: one row per (case, layer, quantity). Predicted tables have `PREDICTED_COLUMNS`, simulated
ones add `SIMULATED_COLUMNS`, compared ones have `COMPARED_COLUMNS`. What belongs to a row is a column: a table may be
filtered, sorted, joined and written to a file. ``frame.attrs`` hold plain JSON provenance only (seed, digest, versions,
alpha); nothing is computed from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["mean", "moment", "fraction", "correlation", "loss"]
"""How a quantity is judged: means in units of a root second moment, fractions and correlations absolutely."""


@dataclass(frozen=True)
class Quantity:
    """One measured or predicted quantity.

    Attributes
    ----------
    name : str
        As it stands in the column ``quantity``.
    kind : {"mean", "moment", "fraction", "correlation", "loss"}
        Decides the comparison margin and a plot's axis (moments are positive and drawn on a log scale).
    title : str
        For headings and axis labels.
    meaning : str
        Definition in words.
    backward : bool
        Whether it travels with the gradient.
    scale : str or None
        For a mean: the quantity whose root is its natural unit.
    graphs : bool
        Whether only networks that are no chains of dense layers have it.
    """

    name: str
    kind: Kind
    title: str
    meaning: str
    backward: bool = False
    scale: str | None = None
    graphs: bool = False


QUANTITIES: Mapping[str, Quantity] = {
    q.name: q
    for q in (
        Quantity(
            "preactivation_mean",
            "mean",
            "Pre-activation mean",
            "E[z] over weights, random biases, units and inputs",
            scale="preactivation_second_moment",
        ),
        Quantity(
            "preactivation_variance",
            "moment",
            "Pre-activation variance",
            "Var[z] over weights and random biases at a fixed input, averaged over units and inputs",
        ),
        Quantity(
            "preactivation_second_moment",
            "moment",
            "Pre-activation second moment",
            "E[z²], the recursions' q",
        ),
        Quantity(
            "data_variance",
            "moment",
            "Variance over the data",
            "variance over inputs (ddof = 1) at fixed weights, averaged: what a batch histogram shows",
        ),
        Quantity(
            "activation_mean",
            "mean",
            "Activation mean",
            "E[phi(z)]",
            scale="activation_second_moment",
        ),
        Quantity("activation_second_moment", "moment", "Activation second moment", "E[phi(z)²]"),
        Quantity(
            "saturated_fraction",
            "fraction",
            "Saturated fraction",
            "P(z in the unbounded tails where |phi'| is at most a share of its supremum)",
        ),
        Quantity(
            "inactive_fraction",
            "fraction",
            "Inactive fraction",
            "P(z in the set where the activation declares itself off)",
        ),
        Quantity(
            "dead_fraction",
            "fraction",
            "Dead fraction",
            "share of units inactive for every one of the inputs",
        ),
        Quantity(
            "derivative_second_moment",
            "moment",
            "Derivative second moment",
            "E[phi'(z)²]; times the weight variance and fan it gives chi_1",
        ),
        Quantity(
            "correlation",
            "correlation",
            "Correlation of two inputs",
            "second moment of two inputs' pre-activations, normalised; mean over pairs",
        ),
        Quantity(
            "gradient_preactivation",
            "moment",
            "Gradient at the pre-activations",
            "E[(dL/dz)²], mean over units and inputs",
            backward=True,
        ),
        Quantity(
            "gradient_weight",
            "moment",
            "Gradient of a weight, per example",
            "E[(dL/dW_ij)²] per example, mean over entries and inputs",
            backward=True,
        ),
        Quantity(
            "gradient_bias",
            "moment",
            "Gradient of a bias, per example",
            "E[(dL/db_i)²] per example, mean over units and inputs",
            backward=True,
        ),
        Quantity(
            "gradient_input",
            "moment",
            "Gradient at the layer's input",
            "E[(dL/dh_j)²] at the layer's input h, mean over entries and inputs; layer 1's is dL/dx",
            backward=True,
        ),
        Quantity(
            "gradient_weight_batch",
            "moment",
            "Gradient of a weight, batch mean",
            "E[(dL/dW_ij)²] of the batch-mean loss: what an optimizer sees",
            backward=True,
        ),
        Quantity("initial_loss", "loss", "Initial loss", "E[L] before training, mean over inputs"),
        Quantity(
            "gradient_squared_norm",
            "moment",
            "Squared length of the gradient",
            "E|dL/dz|² at a node's output, summed over units and positions, mean over inputs",
            backward=True,
            graphs=True,
        ),
        Quantity(
            "token_correlation",
            "correlation",
            "Correlation of two positions",
            "second moment of two positions' values within one example, normalised; mean over pairs",
            graphs=True,
        ),
        Quantity(
            "logit_variance",
            "moment",
            "Variance of the attention logits",
            "variance (ddof = 1) over the visible keys of a query's logits, mean over queries and heads",
            graphs=True,
        ),
        Quantity(
            "attention_concentration",
            "moment",
            "Concentration of the attention",
            "E[sum of squared attention weights of a query]: 1/T is uniform, 1 is one token",
            graphs=True,
        ),
    )
}

CHAIN_QUANTITIES = tuple(name for name, quantity in QUANTITIES.items() if not quantity.graphs)
"""What chains of dense layers have; the first of `QUANTITIES`."""

ORDERS = ("exact", "1/n", "infinite", "approximate")
"""Exact at any width, 1/n-corrected, infinite-width, or approximate in a way that ``reason`` states."""

VERDICTS = ("agrees", "differs", "undecided", "unpredicted")

KEY_COLUMNS = ("case", "layer", "quantity")
LAYER_COLUMNS = (
    "activation",
    "weights",
    "biases",
    "node",
    "layer",
    "width",
    "fan_in",
    "depth",
    "depth_over_width",
    "sigma_w",
    "sigma_b",
)
"""What a network says of a layer: its activation and laws, the name of its node, its number and width,
the width below it, how many layers there are in all, that number over the harmonic mean of the hidden widths, the root
of fan_in times the variance of the weights, and the standard deviation of the biases."""

PREDICTED_COLUMNS = (
    "case",
    *LAYER_COLUMNS,
    "quantity",
    "value",
    "log_value",
    "second_moment",
    "order",
    "reason",
)
SIMULATED_COLUMNS = (
    *PREDICTED_COLUMNS,
    "std_error",
    "ci_low",
    "ci_high",
    "median",
    "log_mean",
    "log_std",
    "variance_ratio",
    "n_draws",
    "sampler",
    "estimator",
    "plain_value",
    "plain_std_error",
    "plain_draws",
    "innovation_p",
    "look",
)
BESIDE_COLUMNS = (
    "log_mean",
    "log_std",
    "variance_ratio",
    "plain_value",
    "plain_std_error",
    "plain_draws",
    "innovation_p",
    "look",
)
"""What `SIMULATED_COLUMNS` have beside the estimate; a table from elsewhere may lack them. ``look`` counts
how often the case was looked at with more and more draws; 0 says that their number was fixed beforehand."""

FIRST_LOOK = 50
"""Draws of the first look at a case whose number of draws is not fixed beforehand; look k has 50 · 2^(k-1)."""

COMPARED_COLUMNS = (
    "case",
    *LAYER_COLUMNS,
    "quantity",
    "predicted",
    "measured",
    "std_error",
    "ci_low",
    "ci_high",
    "difference",
    "z_score",
    "p_value",
    "p_adjusted",
    "margin",
    "order",
    "verdict",
    "reason",
    "n_draws",
    "look",
    "draws_needed",
)

TEXT_COLUMNS = {
    "case",
    "activation",
    "weights",
    "biases",
    "node",
    "quantity",
    "order",
    "reason",
    "sampler",
    "estimator",
    "verdict",
}
WHOLE_COLUMNS = {"layer", "width", "fan_in", "depth", "n_draws", "plain_draws", "look"}

MOMENT_OF = {name: quantity.scale for name, quantity in QUANTITIES.items() if quantity.scale} | dict.fromkeys(
    ("preactivation_variance", "data_variance"), "preactivation_second_moment"
)
"""The second moment that a mean or variance belongs to: what counts as small in its row. Its value stands in the column
``second_moment`` (NaN in other rows), so that a row is judged the same whatever rows are around it."""


def tidy(
    rows: Iterable[Mapping[str, Any]],
    columns: tuple[str, ...],
    attrs: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Build a table with exactly `columns`, in order, with the contract's dtypes.

    Missing text becomes ``""``, missing numbers NaN. `attrs` become the frame's provenance.

    Raises
    ------
    KeyError
        If a row has a key that is no column, or a quantity the contract does not know.
    """
    records = list(rows)
    for record in records:
        extra = set(record) - set(columns)
        if extra or record["quantity"] not in QUANTITIES:
            raise KeyError(f"not in the contract: {sorted(extra) or record['quantity']}")
    missing = {
        column: "" if column in TEXT_COLUMNS else 0 if column in WHOLE_COLUMNS else nan for column in columns
    }
    return table({c: [r.get(c, missing[c]) for r in records] for c in columns}, columns, attrs)


def table(
    data: Mapping[str, Any], columns: tuple[str, ...], attrs: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Build a table from whole columns, with the contract's order and dtypes; `attrs` become its provenance."""
    import pandas as pd

    typed = {
        column: pd.Series(
            data[column],
            dtype=object if column in TEXT_COLUMNS else "int64" if column in WHOLE_COLUMNS else "float64",
        )
        for column in columns
    }
    frame = pd.DataFrame(typed, columns=list(columns))
    frame.attrs.update(attrs or {})
    return frame
