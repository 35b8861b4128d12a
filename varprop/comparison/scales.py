"""What counts as small in a row: its unit, its rounding, its finite width, and how skewed its draws are."""

from __future__ import annotations

import numpy as np

from varprop.comparison.joining import Array, Pairs
from varprop.results.schema import MOMENT_OF

ABSOLUTE = 0.5
"""Unit of fractions and correlations: a margin of 2 % is 0.01."""

_ROUNDING = 1e-6
_CANCELLATION = 1e-12


def units(pairs: Pairs) -> Array:
    """Return each row's unit, in which margin and allowance are counted.

    Moments and losses: the prediction. Means: the root of the second moment they belong to, predicted or else
    measured. Fractions and correlations: 0.5.
    """
    root = np.sqrt(_moments(pairs))
    unit = np.where((pairs.kind == "mean") & np.isfinite(root), root, np.abs(pairs.predicted))
    return np.where((pairs.kind == "fraction") | (pairs.kind == "correlation"), ABSOLUTE, unit)


def rounding(pairs: Pairs, unit: Array) -> Array:
    """Return the difference that floating-point arithmetic alone can make.

    1e-6 of the unit, as weights drawn in single precision need; for variances, which are differences, at least
    1e-12 of the second moment.
    """
    moment = np.where(pairs.kind == "mean", np.nan, _moments(pairs))
    return np.maximum(_ROUNDING * unit, np.nan_to_num(moment, posinf=0.0) * _CANCELLATION)


def allowances(pairs: Pairs, unit: Array) -> Array:
    """Return what finite width may do to a row that is not exact.

    What the prediction says (absolute, the size of a computed 1/n correction); else depth/width of its case, in
    units of the row, with the harmonic mean of the hidden widths.
    """
    return np.where(np.isfinite(pairs.allowance), np.abs(pairs.allowance), _depth_over_width(pairs) * unit)


def skewness(pairs: Pairs) -> Array:
    """Return the skewness of one draw, judged from the spread of the draws.

    For moments and losses that of a log-normal law with the same coefficient of variation; for fractions that
    of Poisson counts of the rarer side; for correlations three times the spread in units of the distance to 1;
    for means that of a log-normal law while the spread is below the mean, else 0.
    """
    measured = pairs.measured
    spread = standard_errors(pairs) * np.sqrt(pairs.draws)
    rarer = np.maximum(np.minimum(measured, 1.0 - measured), _one_unit(pairs))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        varied = np.minimum(spread / np.abs(measured), 1e6)
        by_kind = {
            "fraction": np.where(measured <= 0.5, 1.0, -1.0) * spread / rarer,
            "correlation": -np.sign(measured) * 3.0 * spread / (1.0 - np.abs(measured)),
            "mean": np.where(varied < 1.0, np.sign(measured) * 3.0 * varied, 0.0),
        }
        positive = varied * (3.0 + varied**2)
    chosen = np.select([pairs.kind == kind for kind in by_kind], list(by_kind.values()), positive)
    return np.nan_to_num(np.asarray(chosen, dtype=np.float64), nan=0.0, posinf=1e18, neginf=-1e18)


def worst_skewness(pairs: Pairs, skewness: Array) -> Array:
    """Return the skewness by which to decide whether means of moments and losses can be trusted; 0 elsewhere.

    It is infinite where the simulation has raised the flag ``heavy_tail`` itself, and at least that of a
    log-normal law with the ratio of mean to median of the plain draws: a sample's standard deviation misses a
    long tail more often than its mean does.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # mean / median = exp(s²/2) and c² = exp(s²) - 1
        varied = np.sqrt(np.maximum(np.minimum(pairs.measured / pairs.median, 1e6) ** 2 - 1.0, 0.0))
    plain = np.isfinite(varied) & (pairs.estimator != "control")
    second = np.where(plain, varied * (3.0 + varied**2), 0.0)
    positive = (pairs.kind == "moment") | (pairs.kind == "loss")
    worst = np.where(positive, np.maximum(np.abs(skewness), second), 0.0)
    flagged = np.array(["heavy_tail" in reason for reason in pairs.measured_reason], dtype=bool)
    return np.where(flagged, np.inf, worst)


def standard_errors(pairs: Pairs) -> Array:
    """Return standard errors; that of a fraction that was 0 or 1 in every draw is one unit in one draw."""
    # One that is 0 or 1 by construction is predicted so, and needs no error.
    chance = (pairs.kind == "fraction") & (pairs.predicted > 0.0) & (pairs.predicted < 1.0)
    unvaried = chance & (pairs.std_error == 0.0) & ((pairs.measured == 0.0) | (pairs.measured == 1.0))
    return np.where(unvaried, _one_unit(pairs), pairs.std_error)


def _one_unit(pairs: Pairs) -> Array:
    """Return the fraction that one unit in one draw makes."""
    return np.asarray(1.0 / np.maximum(pairs.draws * pairs.width, 1.0))


def _moments(pairs: Pairs) -> Array:
    """Return the second moment that belongs to each mean or variance, NaN for other rows."""
    value = np.where(np.isfinite(pairs.predicted), pairs.predicted, pairs.measured)
    columns = [pairs.description[name].tolist() for name in ("case", "layer", "quantity")]
    found = dict(zip(zip(*columns, strict=True), value.tolist(), strict=True))
    moments = [
        found.get((case, layer, MOMENT_OF.get(quantity)), np.nan)
        for case, layer, quantity in zip(*columns, strict=True)
    ]
    stated = pairs.second_moment
    return np.maximum(np.where(np.isfinite(stated), stated, np.array(moments, dtype=np.float64)), 0.0)


def _depth_over_width(pairs: Pairs) -> Array:
    """Return what the rows state, or else what the layers that the table has make it."""
    stated = pairs.description["depth_over_width"].astype(np.float64)
    return np.where(stated > 0, stated, _counted(pairs))


def _counted(pairs: Pairs) -> Array:
    cases = pairs.description["case"]
    widths: dict[str, dict[int, int]] = {}
    for case, layer, width in zip(*(pairs.description[n] for n in ("case", "layer", "width")), strict=True):
        widths.setdefault(case, {})[layer] = width
    shares = {}
    for case, by_layer in widths.items():
        depth = max(by_layer)
        hidden = [width for layer, width in by_layer.items() if layer < depth] or list(by_layer.values())
        shares[case] = depth * float(np.mean([1.0 / max(width, 1) for width in hidden]))
    return np.array([shares[case] for case in cases], dtype=np.float64)
