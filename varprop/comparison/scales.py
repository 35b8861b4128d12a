"""What counts as small in a row: its unit, its rounding, its finite width; and how skewed its draws are."""

from __future__ import annotations

import numpy as np

from varprop.comparison.joining import Array, Flags, Pairs
from varprop.results.intervals import HEAVIEST, QUADRATIC, Means, is_heavy, one_sign, positive_skewness
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


def means(pairs: Pairs) -> Means:
    """Return the measured means with what is known of one draw's law, from the estimate and its spread."""
    made = pairs.estimator == "control"
    return _means(pairs, pairs.measured, pairs.std_error, pairs.draws, made)


def plain_means(pairs: Pairs) -> Means:
    """Return the same of the plain means that stand beside controlled ones."""
    never = np.zeros(len(pairs), dtype=bool)
    return _means(pairs, pairs.plain_value, pairs.plain_std_error, pairs.plain_draws, never)


def heavy(pairs: Pairs) -> Flags:
    """Say which means cannot be trusted: flagged by the simulation, or moments and losses of too wide a spread.

    Without a spread of the logarithm the ratio of mean to median tells it, exp(s²/2) for a log-normal law.
    """
    flagged = np.array(["heavy_tail" in reason for reason in pairs.measured_reason], dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        told = np.sqrt(2.0 * np.log(np.maximum(pairs.measured / pairs.median, 1.0)))
    spread = varied(pairs.measured, pairs.std_error, pairs.draws)
    wide = is_heavy(spread, pairs.log_std, pairs.units) | (np.isnan(pairs.log_std) & (told > HEAVIEST))
    # A mean that no draw has given anything to is carried by draws that were not seen.
    unseen = (pairs.measured == 0.0) & (pairs.predicted > 0.0) & (pairs.order != "")
    return np.asarray(flagged | ((wide | unseen) & _positive(pairs) & (pairs.estimator != "control")))


def varied(value: Array, error: Array, draws: Array) -> Array:
    """Return the coefficient of variation over draws."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        spread = np.abs(error / value) * np.sqrt(draws)
    return np.asarray(np.nan_to_num(spread, nan=0.0, posinf=1e150))


def _means(pairs: Pairs, value: Array, error: Array, draws: Array, controlled: Flags) -> Means:
    spread = varied(value, error, draws)
    positive, log_variance = positive_skewness(spread, pairs.log_std)
    same_sign = _positive(pairs) | ((pairs.kind == "mean") & one_sign(value, pairs.log_mean))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        distance = -np.sign(value) * 3.0 * error * np.sqrt(draws) / (1.0 - np.abs(value))
    by_kind = {
        "fraction": np.zeros(len(pairs)),
        "correlation": distance,
        "mean": np.where(same_sign, np.sign(np.nan_to_num(value)) * positive, 0.0),
    }
    skewness = np.select([pairs.kind == kind for kind in by_kind], list(by_kind.values()), positive)
    skewness = np.nan_to_num(np.where(controlled, QUADRATIC, skewness), nan=0.0, posinf=1e18, neginf=-1e18)
    return Means(
        value=value,
        error=error,
        draws=draws,
        skewness=skewness,
        both=controlled,
        log_variance=np.where(same_sign & ~controlled, log_variance, 0.0),
        fraction=(pairs.kind == "fraction") & ~controlled,
    )


def _positive(pairs: Pairs) -> Flags:
    return np.asarray((pairs.kind == "moment") | (pairs.kind == "loss"))


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
