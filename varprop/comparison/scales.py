"""What counts as small in a row: its unit, its rounding, its finite width, and how skewed its draws are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from varprop.results.schema import QUANTITIES

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float64]

ABSOLUTE = 0.5
"""Unit of fractions and correlations: a margin of 2 % is 0.01."""

_ROUNDING = 1e-6
_CANCELLATION = 1e-12


def units(table: pd.DataFrame) -> Array:
    """Return each row's unit, in which margin and allowance are counted.

    Moments and losses: the prediction. Means: the root of the second moment they belong to, predicted or else
    measured. Fractions and correlations: 0.5.
    """
    kind = kinds(table)
    unit = np.abs(table["predicted"].to_numpy(dtype=np.float64))
    root = np.sqrt(_moment_of(table))
    unit = np.where((kind == "mean") & np.isfinite(root), root, unit)
    return np.where((kind == "fraction") | (kind == "correlation"), ABSOLUTE, unit)


def rounding(table: pd.DataFrame, unit: Array) -> Array:
    """Return the difference that floating-point arithmetic alone can make.

    1e-6 of the unit, as weights drawn in single precision need; for variances, which are differences, at
    least 1e-12 of the second moment.
    """
    moment = _moment_of(table)
    floor = np.where(np.isfinite(moment), moment, 0.0) * _CANCELLATION
    variance = table["quantity"].isin(("preactivation_variance", "data_variance")).to_numpy()
    return np.maximum(_ROUNDING * unit, np.where(variance, floor, 0.0))


def allowances(table: pd.DataFrame, unit: Array) -> Array:
    """Return what finite width may do to a row that is not exact.

    The column ``allowance`` (absolute, the size of a computed 1/n correction) where the prediction has one;
    else depth/width of its case, in units of the row, with the harmonic mean of the hidden widths.
    """
    own = table["allowance"].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(own), np.abs(own), _depth_over_width(table) * unit)


def skewness(table: pd.DataFrame) -> Array:
    """Return the skewness of one draw, judged from the spread of the draws.

    For moments and losses that of a log-normal law with the same coefficient of variation; for fractions
    that of Poisson counts of the rarer side; for correlations three times the spread in units of the
    distance to 1; for means that of a log-normal law while the spread is below the mean, else 0.
    """
    kind = kinds(table)
    measured = table["measured"].to_numpy(dtype=np.float64)
    spread = standard_errors(table) * np.sqrt(table["n_draws"].to_numpy(dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        varied = np.minimum(spread / np.abs(measured), 1e6)
        positive = varied * (3.0 + varied**2)
        rare = np.where(
            measured <= 0.5,
            spread / np.maximum(measured, _one_unit(table)),
            -spread / np.maximum(1.0 - measured, _one_unit(table)),
        )
        bound = -np.sign(measured) * 3.0 * spread / (1.0 - np.abs(measured))
        drifting = np.where(varied < 1.0, np.sign(measured) * 3.0 * varied, 0.0)
    chosen = np.select(
        [kind == "fraction", kind == "correlation", kind == "mean"], [rare, bound, drifting], positive
    )
    return np.nan_to_num(np.asarray(chosen, dtype=np.float64), nan=0.0, posinf=1e18, neginf=-1e18)


def worst_skewness(table: pd.DataFrame, skewness: Array) -> Array:
    """Return the skewness by which to decide whether means of moments and losses can be trusted; 0 elsewhere.

    It is infinite where the simulation has raised the flag ``heavy_tail`` itself, and at least that of a
    log-normal law with the ratio of mean to median of the plain draws: a sample's standard deviation misses
    a long tail more often than its mean does.
    """
    measured = table["measured"].to_numpy(dtype=np.float64)
    median = table["median"].to_numpy(dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # mean / median = exp(s²/2) and c² = exp(s²) - 1
        varied = np.sqrt(np.maximum(np.minimum(measured / median, 1e6) ** 2 - 1.0, 0.0))
    plain = np.isfinite(varied) & (table["estimator"] != "control").to_numpy()
    second = np.where(plain, varied * (3.0 + varied**2), 0.0)
    positive = np.isin(kinds(table), ("moment", "loss"))
    worst = np.where(positive, np.maximum(np.abs(skewness), second), 0.0)
    return np.where(table["measured_reason"].str.contains("heavy_tail"), np.inf, worst)


def standard_errors(table: pd.DataFrame) -> Array:
    """Return standard errors; that of a fraction that was 0 or 1 in every draw is one unit in one draw."""
    error = table["std_error"].to_numpy(dtype=np.float64)
    measured = table["measured"].to_numpy(dtype=np.float64)
    predicted = table["predicted"].to_numpy(dtype=np.float64)
    # One that is 0 or 1 by construction is predicted so, and needs no error.
    chance = (kinds(table) == "fraction") & (predicted > 0.0) & (predicted < 1.0)
    unvaried = chance & (error == 0.0) & ((measured == 0.0) | (measured == 1.0))
    return np.where(unvaried, _one_unit(table), error)


def _one_unit(table: pd.DataFrame) -> Array:
    """Return the fraction that one unit in one draw makes."""
    return 1.0 / np.maximum(table["n_draws"].to_numpy(dtype=np.float64) * table["width"].to_numpy(), 1.0)


def kinds(table: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return the kind of each row's quantity."""
    return np.array([QUANTITIES[name].kind for name in table["quantity"]], dtype=object)


def _moment_of(table: pd.DataFrame) -> Array:
    """Return the second moment that belongs to each mean or variance, NaN for other rows."""
    value = table["predicted"].where(table["predicted"].map(np.isfinite), table["measured"])
    found = dict(zip(zip(table["case"], table["layer"], table["quantity"], strict=True), value, strict=True))
    scale = {name: quantity.scale for name, quantity in QUANTITIES.items()}
    scale |= dict.fromkeys(("preactivation_variance", "data_variance"), "preactivation_second_moment")
    keys = zip(table["case"], table["layer"], table["quantity"], strict=True)
    moments = [found.get((case, layer, scale[name]), np.nan) for case, layer, name in keys]
    return np.maximum(np.array(moments, dtype=np.float64), 0.0)


def _depth_over_width(table: pd.DataFrame) -> Array:
    shares: dict[str, float] = {}
    for case, rows in table.groupby("case", sort=False):
        layers = rows.drop_duplicates("layer").set_index("layer")["width"]
        hidden = layers[layers.index < layers.index.max()] if len(layers) > 1 else layers
        shares[str(case)] = float(layers.index.max() * np.mean(1.0 / np.maximum(hidden.to_numpy(), 1)))
    return np.array([shares[case] for case in table["case"]], dtype=np.float64)
