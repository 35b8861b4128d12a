"""Does an exact value hold against independent draws?

Two stages. In the first every row of a network gets the same draws and a lenient level. What fails is drawn again,
from another seed and with many more draws, and these fresh draws alone judge it: by Holm's rule at `ALPHA` over all
rows drawn again. Given the first stage the second is an independent experiment, so the family-wise false-alarm rate of
a whole run is at most `ALPHA`, whatever the first stage does.

A p-value is one of

- a row without randomness: 1 if equal to rounding, else 0;
- draws between 0 and a known maximum that are too lopsided for a normal law: Chernoff's bound
  2 exp(-R KL(mean, prediction)), which holds for every law and every R (an event that no draw shows included);
- else Student's ratio, corrected for the skewness of the draws (Johnson 1978; Hall 1992): normal to order 1/R.

Where few draws decide the mean (skewness above `LOPSIDED` times root R) and no maximum is known, the row is *unjudged*:
no test of a mean exists there. The share of such rows is reported, and kept small by drawing small networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from tests.exactness.functions import function
from tests.exactness.referee import Case, Row

ALPHA = 0.01
SCREEN = 1e-3
LOPSIDED = 0.05
ROUNDING = 1e-9
NAN = float("nan")
FRACTIONS = {"saturated_fraction", "inactive_fraction", "dead_fraction"}
BACKWARD = {f"gradient_{name}" for name in ("preactivation", "weight", "bias", "input", "weight_batch")}


@dataclass(frozen=True)
class Judgement:
    """One row against its draws.

    Attributes
    ----------
    measured, error : float
        Mean over draws and its standard error.
    p : float
        Probability of such a difference if the prediction holds; NaN if unjudged.
    how : str
        ``fixed``, ``bound``, ``mean`` or ``unjudged``.
    """

    measured: float
    error: float
    p: float
    how: str


def judge(
    case: Case,
    row: Row,
    predicted: float,
    draws: np.ndarray,
    rounding: float = 0.0,
    lopsided: float = LOPSIDED,
) -> Judgement:
    """Return the judgement of a predicted value from one number per draw.

    Parameters
    ----------
    case : Case
    row : (int, str)
    predicted : float
    draws : ndarray
        Shape (draws,).
    rounding : float
        What rounding may do to a row that is a difference of larger terms.
    lopsided : float
        Skewness over root R up to which a mean is judged.
    """
    scale = max(float(np.abs(draws).max()), abs(predicted))
    if scale <= rounding:
        return Judgement(0.0, 0.0, 1.0, "fixed")
    if not np.isfinite(scale) or (scale < 1e-280 and row[1] not in FRACTIONS):
        return Judgement(NAN, NAN, NAN, "unjudged")
    x, target, count = draws / scale, predicted / scale, len(draws)
    mean, std = float(x.mean()), float(x.std())
    measured, error, gap = mean * scale, std / np.sqrt(count), mean - target
    cancelled = rounding / scale
    if _is_fixed(case, row):
        return Judgement(measured, 0.0, float(abs(gap) <= ROUNDING + cancelled), "fixed")
    # Equal to the rounding of varying draws, or of draws that are all one number.
    if abs(gap) <= ROUNDING * (1.0 if std < 1e-7 else 1e-3) + cancelled:
        return Judgement(measured, error * scale, 1.0, "mean")
    skewness = float(((x - mean) ** 3).mean()) / std**3 if std > 1e-7 else np.inf
    if abs(skewness) > lopsided * np.sqrt(count):
        p = _chernoff(case, row, measured, predicted, count)
        return Judgement(measured, error * scale, p, "unjudged" if np.isnan(p) else "bound")
    t = gap / error
    shift = skewness * (2.0 * t * t + 1.0) / (6.0 * np.sqrt(count))
    t += np.clip(shift, -0.5 * abs(t), 0.5 * abs(t))
    return Judgement(measured, error * scale, float(2.0 * ndtr(-abs(t))), "mean")


def holm(p_values: list[float], alpha: float = ALPHA) -> list[bool]:
    """Say which hypotheses are rejected by Holm's rule."""
    rejected = [False] * len(p_values)
    for rank, i in enumerate(np.argsort(p_values)):
        if p_values[i] > alpha / (len(p_values) - rank):
            break
        rejected[i] = True
    return rejected


def _is_fixed(case: Case, row: Row) -> bool:
    number, quantity = row
    if quantity in BACKWARD:
        return case.head != "unit" and case.fixed_up_to(len(case.layers))
    return case.fixed_up_to(number)


def _chernoff(case: Case, row: Row, mean: float, predicted: float, count: int) -> float:
    """Chernoff's bound for draws between 0 and a known maximum; NaN if there is none."""
    top = _maximum(case, row)
    if top is None:
        return NAN
    a, p = mean / top, predicted / top
    if not 0.0 <= p <= 1.0 + ROUNDING:
        return 0.0
    a, p = min(a, 1.0), min(max(p, 1e-300), 1.0 - 1e-16)
    low = a * np.log(a / p) if a > 0.0 else 0.0
    high = (1.0 - a) * np.log((1.0 - a) / (1.0 - p)) if a < 1.0 else 0.0
    return float(min(1.0, 2.0 * np.exp(-count * max(low + high, 0.0))))


def _maximum(case: Case, row: Row) -> float | None:
    number, quantity = row
    if quantity in FRACTIONS:
        return 1.0
    phi, grid = function(case.layers[number - 1].activation), np.linspace(-40.0, 40.0, 8001)
    of = {"derivative_second_moment": phi.slope, "activation_second_moment": phi.value}
    if quantity not in of:
        return None
    top = float(np.square(of[quantity](grid)).max())
    return top if 0.0 < top < 50.0 else None
