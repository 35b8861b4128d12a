"""From merged statistics to the simulated table."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop.montecarlo import control
from varprop.montecarlo.cells import Moments
from varprop.montecarlo.graphs.program import GraphProgram, compile_graph
from varprop.montecarlo.histograms import Histogram, grid
from varprop.montecarlo.nominal import nominal_exponents
from varprop.montecarlo.samplers.program import Program, compile_network
from varprop.montecarlo.statistics import NAMES, PLACE, Statistics, names_for
from varprop.results.intervals import (
    QUADRATIC,
    Means,
    is_heavy,
    one_sign,
    p_values,
    positive_skewness,
    reaches,
)
from varprop.results.schema import CHAIN_QUANTITIES, MOMENT_OF, QUANTITIES, SIMULATED_COLUMNS, tidy

if TYPE_CHECKING:
    import pandas as pd

    from varprop.activations import Activation
    from varprop.montecarlo.blocks import Plan
    from varprop.spec import Network

CONFIDENCE = 0.95

CONTROLLED = 1.0
"""Skewness, of either sign, of what control leaves of a moment: of a quadratic form in some ten normal numbers."""

HEAVY_SHARE = 0.25
"""Part of a sum that one of many draws may have before the mean is not trusted."""

_MANY = 100

_TABLE_ERROR = 1e-9
"""Relative error that the control estimator's tables may leave, at most."""


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
        of the draw's own number, before any control (zeros left out); ``variance_ratio`` says how many times
        smaller the estimator ``control`` made the variance over draws, NaN for others.
    """
    import varprop

    network, names = plan.network, names_for(plan.network)
    table = _columns(plan, statistics, _controlled(plan, statistics.depth))
    rows = []
    for number in range(1, network.depth + 1):
        head = network.row(number) | {"sampler": plan.sampler}
        for name in _present(plan, number):
            place = (number - 1) * len(names) + PLACE[name]
            row = {column: values[place] for column, values in table.items()}
            row["reason"] = _reason(plan, row, row.pop("tiny"), row.pop("heavy"))
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


def _present(plan: Plan, number: int) -> list[str]:
    """Return the quantities that a layer or site has."""
    program = _program(plan)
    if isinstance(program, GraphProgram):
        return [name for name in NAMES if name in program.steps[number - 1].quantities]
    absent = {"data_variance", "correlation"} if program.batch < 2 else set()
    if number < program.depth or plan.network.head.kind == "unit":
        absent.add("initial_loss")
    return [name for name in CHAIN_QUANTITIES if name not in absent]


def _columns(plan: Plan, statistics: Statistics, controlled: Any) -> dict[str, Any]:
    """Return the columns that need no name, one entry per cell."""
    moments, logs, plain = statistics.cells.moments, statistics.plain_logs, statistics.plain
    lost = statistics.cells.overflows > 0
    value = np.where(lost, np.inf, moments.value())
    least = _floor(plan, statistics, value, controlled)
    error = np.where(lost, np.nan, np.maximum(moments.std_error(), least))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        before = _variance(plain)
        after = _variance(moments) * 4.0 ** np.clip(moments.exponent - plain.exponent, -500, 500)
        ratio = np.where(after > 0, before / after, np.where(before > 0, np.inf, 1.0))
        scatter = np.sqrt(logs.spread / np.maximum(logs.count - 1, 1)) * np.exp2(logs.exponent.astype(float))
    log_std = np.where(logs.count > 1, scatter, np.nan)
    heavy = _heavy(plan, statistics, log_std, controlled)
    means = _means(statistics, value, error, logs.value(), log_std, controlled)
    with np.errstate(invalid="ignore", over="ignore"):
        down, up = reaches(means, 1.0 - CONFIDENCE)
        low, high = np.where(heavy, np.nan, value - down), np.where(heavy, np.nan, value + up)
    beside = (
        np.where(controlled, plain.value(), value),
        np.where(controlled, np.maximum(plain.std_error(), _plain_floor(plan, statistics)), error),
    )
    return {
        "value": value.tolist(),
        "log_value": np.where(lost, np.inf, moments.log_value()).tolist(),
        "std_error": error.tolist(),
        "ci_low": low.tolist(),
        "ci_high": high.tolist(),
        "median": statistics.cells.medians().tolist(),
        "tiny": ((value == 0.0) & (moments.mean != 0.0)).tolist(),
        "heavy": heavy.tolist(),
        "n_draws": moments.count.tolist(),
        "estimator": np.where(controlled, "control", "plain").tolist(),
        "plain_value": beside[0].tolist(),
        "plain_std_error": beside[1].tolist(),
        "plain_draws": np.where(controlled, plain.count, moments.count).tolist(),
        "innovation_p": np.where(controlled, _innovation_p(statistics), np.nan).tolist(),
        "log_mean": logs.value().tolist(),
        "log_std": log_std.tolist(),
        "variance_ratio": np.where(controlled, ratio, np.nan).tolist(),
    }


def _controlled(plan: Plan, depth: int) -> Any:
    """Return which cells control estimates, flat."""
    found = np.zeros((depth, len(names_for(plan.network))), bool)
    program = _program(plan)
    if plan.estimator == "control" and isinstance(program, Program):
        for name, layers in control.controlled(program).items():
            found[:, PLACE[name]] = layers
    return found.reshape(-1)


def _program(plan: Plan) -> Program | GraphProgram:
    if not plan.network.is_chain:
        return compile_graph(plan.network, plan.share)
    return compile_network(plan.network, plan.share, plan.histogram, plan.compiled)


def _means(
    statistics: Statistics, value: Any, error: Any, log_mean: Any, log_std: Any, controlled: Any
) -> Means:
    """Return the means with what is known of one draw's law."""
    draws = np.maximum(statistics.cells.moments.count, 1).astype(float)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        varied = np.nan_to_num(np.abs(error / value) * np.sqrt(draws), posinf=1e6)
    kinds = np.tile([QUANTITIES[name].kind for name in statistics.names], statistics.depth)
    positive = (kinds == "moment") | (kinds == "loss") | (one_sign(value, log_mean) & (kinds == "mean"))
    positive &= ~controlled
    skewness, log_variance = positive_skewness(varied, log_std)
    # Many innovations add up in a moment; a rare tail is moved by the few draws of largest variance.
    left = np.where(kinds == "fraction", QUADRATIC, CONTROLLED)
    return Means(
        value=value,
        error=error,
        draws=draws,
        skewness=np.where(
            controlled, left, np.where(positive, np.sign(np.nan_to_num(value)) * skewness, 0.0)
        ),
        both=controlled,
        log_variance=np.where(positive, log_variance, 0.0),
        fraction=(kinds == "fraction") & ~controlled,
    )


def _variance(moments: Moments) -> Any:
    """Return the variances over draws, in units of ``4**exponent``."""
    return moments.spread / np.maximum(moments.count - 1, 1)


def _floor(plan: Plan, statistics: Statistics, value: Any, controlled: Any) -> Any:
    """Return the least standard error of each value: what rounding may have done, or an event that was not seen.

    A fraction of which all draws show the same has no spread, yet is known to about one over the number of draws:
    units of one draw are not independent. Under control it is the conditional probability of the event that says
    what it can have done.
    """
    by_layer = np.abs(value).reshape(statistics.depth, -1)
    floor = statistics.rounding * by_layer
    program, draws = _program(plan), float(statistics.draws)
    still = (statistics.cells.moments.spread == 0.0).reshape(floor.shape)
    for name in statistics.names:
        place, quantity = PLACE[name], QUANTITIES[name]
        if quantity.scale is not None:
            floor[:, place] = statistics.rounding * np.sqrt(by_layer[:, PLACE[quantity.scale]])
        elif quantity.kind == "correlation":
            floor[:, place] = statistics.rounding
        elif name == "data_variance":
            # Inputs that have become equal to rounding differ by rounding.
            q = by_layer[:, PLACE["preactivation_second_moment"]]
            floor[:, place] = np.maximum(floor[:, place], statistics.rounding**2 * q)
        elif quantity.kind == "fraction":
            floor[:, place] = np.where(still[:, place] & _possible(program, name), 1.0 / draws, 0.0)
        elif name == "derivative_second_moment":
            floor[:, place] = np.maximum(floor[:, place], _unseen_slopes(program, still[:, place]) / draws)
    if controlled.any() and isinstance(program, Program):
        own = np.maximum(statistics.rounding, _TABLE_ERROR) * by_layer
        for name, error in control.event_errors(program).items():
            unit = by_layer[:, PLACE[name]] if QUANTITIES[name].backward else 1.0
            own[:, PLACE[name]] = np.hypot(own[:, PLACE[name]], error * unit / math.sqrt(draws))
            scale = QUANTITIES[name].scale
            if scale is not None:
                own[:, PLACE[name]] += _TABLE_ERROR * np.sqrt(by_layer[:, PLACE[scale]])
        floor = np.where(controlled.reshape(floor.shape), own, floor)
    return floor.reshape(-1)


def _plain_floor(plan: Plan, statistics: Statistics) -> Any:
    """Return the least standard error of the plain means beside a control estimate: slopes that no draw has shown."""
    still = (statistics.plain.spread == 0.0).reshape(statistics.depth, -1)
    floor = np.zeros(still.shape)
    place = PLACE["derivative_second_moment"]
    floor[:, place] = _unseen_slopes(_program(plan), still[:, place]) / float(statistics.draws)
    return floor.reshape(-1)


def _unseen_slopes(program: Program | GraphProgram, still: Any) -> Any:
    """Return by how much phi'² may be off in layers of which all draws show the same, 0 elsewhere.

    Where an activation has pieces of one slope, E phi'² is a fraction too: the share of units on the steeper pieces.
    """
    steps: Sequence[Any] = program.steps
    unseen = still & np.array([step.mean != "none" for step in steps])
    return np.array([_slope_gap(steps[i].activation) if unseen[i] else 0.0 for i in range(len(steps))])


@functools.lru_cache(maxsize=64)
def _slope_gap(phi: Activation) -> float:
    """Return how far the squares of an activation's slopes are apart."""
    beside = np.array([kink + side for kink in phi.kinks for side in (-1e-6, 1e-6)])
    squares = np.square(phi.derivative(np.concatenate([_PROBE, beside])))
    return float(squares.max() - squares.min())


_PROBE = np.concatenate([-np.geomspace(1e-3, 1e3, 200), np.geomspace(1e-3, 1e3, 200)])


def _possible(program: Program | GraphProgram, name: str) -> Any:
    """Say of every layer whether the fraction is random, and can be anything but 0 or 1."""
    if name == "saturated_fraction":
        open_sets = [
            s.low < s.high and not (s.low == -math.inf and s.high == math.inf) for s in program.steps
        ]
    else:
        open_sets = [bool(step.inactive) for step in program.steps]
    varied = [step.mean != "none" for step in program.steps]
    return np.logical_and(open_sets, varied)


def _innovation_p(statistics: Statistics) -> Any:
    """Return for every cell the p-value of the innovations it rests on, times their number in the network.

    Conditional means of layer l are refuted by the steps to l + 1 and by the slopes of l, gradients by all steps and
    by the slopes of the layers above.
    """
    new = statistics.innovations
    mean, draws = 1.0 + np.nan_to_num(new.value()), np.maximum(new.count, 1).astype(float)
    error = np.nan_to_num(new.std_error())
    varied = error * np.sqrt(draws) / np.maximum(mean, 1e-3)
    unknown, no = np.full(mean.shape, np.nan), np.zeros(mean.shape, bool)
    skewness, log_variance = positive_skewness(varied, unknown)
    # A spread of rounding alone tells nothing.
    tested = (new.count > 3) & (varied > 1e-5) & ~is_heavy(varied, unknown)
    p = np.full(mean.shape, np.nan)
    means = Means(mean, error, draws, skewness, no, log_variance, no)
    p[tested] = p_values(means.at(tested), np.ones(int(tested.sum())))
    p = (np.nan_to_num(p, nan=np.inf) * max(int(tested.sum()), 1)).reshape(statistics.depth, 2)
    steps = np.minimum.accumulate(p[:, 0])
    next_steps = np.append(steps[1:], steps[-1])
    slopes_above = np.minimum.accumulate(p[::-1, 1])[::-1]
    cells = np.empty((statistics.depth, len(statistics.names)))
    for name in statistics.names:
        if QUANTITIES[name].backward:
            least = np.minimum(steps[-1], slopes_above)
        else:
            least = np.minimum(next_steps, p[:, 1]) if name == "derivative_second_moment" else next_steps
        cells[:, PLACE[name]] = np.where(np.isinf(least), np.nan, np.minimum(least, 1.0))
    return cells.reshape(-1)


def _reason(plan: Plan, row: dict[str, Any], tiny: bool, heavy: bool) -> str:
    if not row["n_draws"] and not math.isinf(row["value"]):
        return f"not given by the {plan.sampler} sampler"
    if math.isinf(row["value"]):
        return "overflow"
    if tiny:
        return "vanished"
    return "heavy_tail" if heavy else ""


def _heavy(plan: Plan, statistics: Statistics, log_std: Any, controlled: Any) -> Any:
    """Say of every cell whether few draws decide its mean."""
    moments = statistics.cells.moments
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        varied = np.nan_to_num(np.sqrt(_variance(moments)) / np.abs(moments.mean), posinf=1e150)
    units = [_units(plan.network, number) for number in range(1, statistics.depth + 1)]
    wide = is_heavy(varied, log_std, np.repeat(units, len(statistics.names)))
    if statistics.draws >= _MANY:
        wide |= statistics.cells.largest_share() > HEAVY_SHARE
    heavy = (wide & ~controlled).reshape(statistics.depth, -1)
    own = heavy.copy()
    for name in statistics.names:
        quantity = QUANTITIES[name]
        # A mean or a ratio is as heavy as the second moment it is measured by; a fraction never is.
        related = quantity.kind == "correlation"
        scale = "preactivation_second_moment" if related else quantity.scale
        if scale is not None:
            own[:, PLACE[name]] = heavy[:, PLACE[scale]]
        elif quantity.kind == "fraction":
            own[:, PLACE[name]] = False
    return own.reshape(-1) & ~controlled


def _units(network: Network, number: int) -> int:
    """Return the least number of units that a row's averages are over."""
    if network.is_chain:
        return min(network.fans(number))
    row = network.row(number)
    return min(row["width"], row["fan_in"])  # type: ignore[no-any-return]


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
