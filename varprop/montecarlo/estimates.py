"""From merged statistics to the simulated table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop.montecarlo.cells import Moments
from varprop.montecarlo.histograms import Histogram, grid
from varprop.montecarlo.nominal import nominal_exponents
from varprop.montecarlo.samplers.program import Program, compile_network
from varprop.montecarlo.statistics import PLACE, Statistics
from varprop.results.schema import MOMENT_OF, QUANTITIES, SIMULATED_COLUMNS, tidy

if TYPE_CHECKING:
    import pandas as pd

    from varprop.montecarlo.blocks import Plan

CONFIDENCE = 0.95

HEAVY_LOG_VARIANCE = 3.0
"""Variance of the logarithm (from the upper half of the draws) from which a mean is not trusted: a log-normal's
mean then lies 1.5 in the logarithm above its median, and few draws decide it."""

HEAVY_SHARE = 0.25
"""Part of a sum that one of many draws may have before the mean is not trusted."""

HEAVY_BESIDE_CONTROL = 0.25
"""Relative variance of a plain second moment from which the controlled mean beside it is not trusted. What control
leaves of a mean is of second order in that spread, hence as skewed as its square: with relu, width 256 and 50 draws,
intervals of the mean fail too often from about this spread on."""

_SOME, _MANY = 20, 100


def estimates(plan: Plan, statistics: Statistics) -> pd.DataFrame:
    """Return the simulated table of one network.

    Parameters
    ----------
    plan : Plan
        What was run.
    statistics : Statistics
        Its blocks, merged in order.

    Returns
    -------
    DataFrame
        Columns of `varprop.results.schema.SIMULATED_COLUMNS`, a row for every layer and quantity that the
        network has (``data_variance`` and ``correlation`` need two inputs, ``initial_loss`` a loss). Intervals
        are Student's over draws, at 95 %. ``reason`` says ``overflow`` or ``vanished`` where `value` left the
        range of a double (`log_value`, the natural logarithm, is then still finite if exponents could carry
        it), ``heavy_tail`` where few draws decide the mean, ``not given by …`` where the sampler has no such
        quantity. ``plain_value``, ``plain_std_error`` and ``plain_draws`` are what averaging each draw's own number
        gives, beside what the estimator makes of it; ``innovation_p`` is the p-value of the control estimator's
        innovations that the row rests on, NaN if it rests on none.
        ``log_mean`` and ``log_std`` are mean and standard deviation over draws of the natural logarithm
        of the draw's number as the estimator gives it (zeros left out); ``variance_ratio`` says how many times
        smaller the estimator ``control`` made the variance over draws, NaN for others.
    """
    import varprop

    network = plan.network
    table = _columns(plan, statistics)
    heavy = _heavy(statistics, controlled=plan.estimator == "control")
    rows = []
    batch = network.input.batch
    for number in range(1, network.depth + 1):
        head = network.row(number) | {"sampler": plan.sampler, "estimator": plan.estimator}
        for name in QUANTITIES:
            if name in ("data_variance", "correlation") and batch < 2:
                continue
            if name == "initial_loss" and (number < network.depth or network.head.kind == "unit"):
                continue
            place = (number - 1) * len(QUANTITIES) + PLACE[name]
            row = {column: values[place] for column, values in table.items()}
            row["reason"] = _reason(plan, row, row.pop("tiny"), bool(heavy[number - 1, PLACE[name]]))
            if QUANTITIES[name].kind == "fraction":
                row["ci_low"], row["ci_high"] = max(row["ci_low"], 0.0), min(row["ci_high"], 1.0)
            if name in MOMENT_OF:
                row["second_moment"] = table["value"][place - PLACE[name] + PLACE[MOMENT_OF[name]]]
            rows.append(head | {"quantity": name} | row)
    attrs: dict[str, Any] = {
        "draws": statistics.draws,
        "seed": plan.seed,
        "sampler": plan.sampler,
        "estimator": plan.estimator,
        "versions": {"varprop": varprop.__version__, "numpy": np.__version__},
    }
    return tidy(rows, SIMULATED_COLUMNS, attrs)


def _columns(plan: Plan, statistics: Statistics) -> dict[str, Any]:
    """Return the columns that need no name, one entry per cell."""
    from scipy.special import stdtrit

    moments, logs = statistics.cells.moments, statistics.cells.logs
    lost = statistics.cells.overflows > 0
    value = np.where(lost, np.inf, moments.value())
    error = np.where(lost, np.nan, np.maximum(moments.std_error(), _floor(plan, statistics, value)))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        before = _variance(statistics.plain)
        after = _variance(moments) * 4.0 ** np.clip(moments.exponent - statistics.plain.exponent, -500, 500)
        ratio = np.where(after > 0, before / after, np.where(before > 0, np.inf, 1.0))
        scatter = np.sqrt(logs.spread / np.maximum(logs.count - 1, 1)) * np.exp2(logs.exponent.astype(float))
        half = stdtrit(np.maximum(moments.count - 1, 1), (1 + CONFIDENCE) / 2) * error
        low, high = value - half, value + half
    controlled = plan.estimator == "control"
    beside = (statistics.plain.value(), statistics.plain.std_error()) if controlled else (value, error)
    return {
        "value": value.tolist(),
        "log_value": np.where(lost, np.inf, moments.log_value()).tolist(),
        "std_error": error.tolist(),
        "ci_low": low.tolist(),
        "ci_high": high.tolist(),
        "median": statistics.cells.medians().tolist(),
        "tiny": ((value == 0.0) & (moments.mean != 0.0)).tolist(),
        "n_draws": moments.count.tolist(),
        "plain_value": beside[0].tolist(),
        "plain_std_error": beside[1].tolist(),
        "plain_draws": statistics.plain.count.tolist(),
        "log_mean": logs.value().tolist(),
        "log_std": np.where(logs.count > 1, scatter, np.nan).tolist(),
        "variance_ratio": np.where(plan.estimator == "control", ratio, np.nan).tolist(),
    }


def _variance(moments: Moments) -> Any:
    """Return the variances over draws, in units of ``4**exponent``."""
    return moments.spread / np.maximum(moments.count - 1, 1)


def _floor(plan: Plan, statistics: Statistics, value: Any) -> Any:
    """Return the least standard error of each value: what rounding may have done, or half an event that was not seen.

    A fraction of which all draws show the same has no spread, yet is known to about one over the units drawn.
    """
    by_layer = np.abs(value).reshape(statistics.depth, -1)
    floor = statistics.rounding * by_layer
    program = compile_network(plan.network, plan.share, plan.histogram)
    units = np.array(plan.network.widths[1:]) * float(statistics.draws)
    activations = [layer.activation for layer in plan.network.layers]
    for name, quantity in QUANTITIES.items():
        place = PLACE[name]
        if quantity.scale is not None:
            floor[:, place] = statistics.rounding * np.sqrt(by_layer[:, PLACE[quantity.scale]])
        elif name == "correlation":
            floor[:, place] = statistics.rounding
        elif name == "data_variance":
            # Inputs that have become equal to rounding differ by rounding.
            q = by_layer[:, PLACE["preactivation_second_moment"]]
            floor[:, place] = np.maximum(floor[:, place], statistics.rounding**2 * q)
        elif quantity.kind == "fraction" and plan.estimator == "plain":
            seen = units * (1 if name == "dead_fraction" else plan.network.input.batch)
            floor[:, place] = np.where(_possible(program, name), 0.5 / seen, 0.0)
        elif name == "derivative_second_moment" and plan.estimator == "plain":
            # With two slopes it is a fraction too: the share of units on the steeper side.
            step = [
                0.0 if n.slopes is None else abs(n.slopes[1] ** 2 - n.slopes[0] ** 2) for n in activations
            ]
            floor[:, place] = np.maximum(
                floor[:, place], 0.5 * np.array(step) / (units * plan.network.input.batch)
            )
    return floor.reshape(-1)


def _possible(program: Program, name: str) -> Any:
    """Say of every layer whether the fraction can be anything but 0 or 1."""
    if name == "saturated_fraction":
        return [s.low < s.high and not (s.low == -math.inf and s.high == math.inf) for s in program.steps]
    return [bool(step.inactive) for step in program.steps]


def _reason(plan: Plan, row: dict[str, Any], tiny: bool, heavy: bool) -> str:
    if not row["n_draws"] and not math.isinf(row["value"]):
        return f"not given by the {plan.sampler} sampler"
    if math.isinf(row["value"]):
        return "overflow"
    if tiny:
        return "vanished"
    return "heavy_tail" if heavy else ""


def _heavy(statistics: Statistics, controlled: bool) -> Any:
    """Say of every layer and quantity whether few draws decide its mean, shape (depth, quantities)."""
    spread, positive = statistics.cells.sketch.upper_log_spreads()
    heavy = (positive >= _SOME) & (spread > HEAVY_LOG_VARIANCE)
    if statistics.draws >= _MANY:
        heavy |= statistics.cells.largest_share() > HEAVY_SHARE
    heavy = heavy.reshape(statistics.depth, -1)
    own = heavy.copy()
    if controlled:
        plain = statistics.plain
        wide = _variance(plain) > HEAVY_BESIDE_CONTROL * np.square(plain.mean)
        heavy |= wide.reshape(heavy.shape)
    for name, quantity in QUANTITIES.items():
        # A mean or a ratio is as heavy as the second moment it is measured by; a fraction never is.
        scale = "preactivation_second_moment" if name == "correlation" else quantity.scale
        if scale is not None:
            own[:, PLACE[name]] = heavy[:, PLACE[scale]]
        elif quantity.kind == "fraction":
            own[:, PLACE[name]] = False
    return own


def layer_histograms(plan: Plan, statistics: Statistics) -> tuple[Histogram, ...]:
    """Return the histograms of one network's pre-activations, layer by layer; none where nothing was counted."""
    if not statistics.histogram.any():
        return ()
    exponents = nominal_exponents(plan.network)
    return tuple(
        Histogram(plan.network.case, number, grid(exponent), counts)
        for number, (exponent, counts) in enumerate(
            zip(exponents, statistics.histogram, strict=True), start=1
        )
    )
