"""Which gain to use, and what each choice does to the signal and to the gradient over depth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError
from varprop.activations import Activation, activation
from varprop.analytic.mean_field.criticality import attracting_point
from varprop.analytic.mean_field.edge import edge_of_chaos
from varprop.analytic.mean_field.length_map import HIGHEST, LOWEST, CentredMap, LengthMap, growth
from varprop.analytic.mean_field.rootfinding import root_between
from varprop.results.health import factor_text, health

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

DEPTHS = (10, 50, 100)

FRAMEWORK_GAINS: dict[str, float] = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}
"""``torch.nn.init.calculate_gain`` (PyTorch documentation); leaky ReLU's sqrt(2/(1 + slope²)) is computed."""


@dataclass(frozen=True)
class _Choice:
    criterion: str
    weight_variance: float
    bias_variance: float
    source: str
    centred: bool = False
    reason: str = ""


def gain(phi: str | Activation | Callable[..., object]) -> pd.DataFrame:
    """Compare the gains one could use for an activation, by what each does forward and backward.

    Parameters
    ----------
    phi : str, Activation or callable
        The activation: a name, ``"module:function"`` or a vectorised function.

    Returns
    -------
    DataFrame
        One row a criterion: ``framework`` (PyTorch's ``calculate_gain``, where it has one), ``second_moment``
        (keeps E phi² at q = 1), ``variance`` (keeps Var phi at q = 1, for weights standardised to mean zero:
        the gamma of normaliser-free ResNets), ``edge_of_chaos`` (chi_1(q*) = 1, with the bias variance it
        needs). Columns: ``activation, criterion, gain`` (sigma_w), ``weight_variance`` (sigma_w² =
        fan_in · Var W), ``bias_variance, q_star, length_slope`` F'(q*), ``chi_1``; ``forward_10`` …
        ``forward_100`` and ``backward_10`` … ``backward_100``: the factors that the second moment of the
        pre-activations and the mean-square gradient gain over so many layers, starting from q = 1;
        ``verdict`` in words, ``source``, ``reason``.

    Raises
    ------
    InputError
        If the activation is unknown.

    Notes
    -----
    He et al., *Delving deep into rectifiers* (2015), eq. 10; Brock, De, Smith, *Characterizing signal
    propagation to close the performance gap in unnormalized ResNets* (2021), section 4; Roberts, Yaida,
    Hanin, *The principles of deep learning theory* (2022), section 5.3 (half-stable points).

    Examples
    --------
    >>> table = gain("relu").set_index("criterion")
    >>> round(float(table.gain["second_moment"]), 6), table.verdict["second_moment"]
    (1.414214, 'healthy both ways over 100 layers')
    """
    import pandas as pd

    act = activation(phi)
    return pd.DataFrame([_row(act, choice) for choice in _choices(act)])


def _choices(act: Activation) -> list[_Choice]:
    choices = []
    framework = _framework_gain(act)
    if framework is not None:
        choices.append(_Choice("framework", framework**2, 0.0, "torch.nn.init.calculate_gain"))
    moments = act.moments(1.0, fields=("second_moment", "variance"))
    choices.append(_inverse("second_moment", float(moments.second_moment), "He et al. 2015, eq. 10", False))
    choices.append(_inverse("variance", float(moments.variance), "Brock et al. 2021, section 4", True))
    choices.append(_critical_choice(act))
    return choices


def _framework_gain(act: Activation) -> float | None:
    if act.name in FRAMEWORK_GAINS:
        return FRAMEWORK_GAINS[act.name]
    if act.name.startswith("leaky_relu") and act.slopes is not None:
        return math.sqrt(2 / (1 + act.slopes[0] ** 2))
    return None


def _inverse(criterion: str, moment: float, source: str, centred: bool) -> _Choice:
    if moment > 0:
        return _Choice(criterion, 1 / moment, 0.0, source, centred)
    return _Choice(
        criterion, math.nan, math.nan, source, centred, "the activation's moment is 0: no gain keeps it"
    )


def _critical_choice(act: Activation) -> _Choice:
    """Choose the critical point that a practitioner would: bias-free if it is stable, else half-stable."""
    source = "Schoenholz et al. 2017, eq. 6; Hayou et al. 2019, definition 2"
    free = edge_of_chaos(act, bias_variance=0.0)
    usable = free[free["stability"].isin(["stable", "neutral"])]
    if len(usable):
        row = usable.iloc[0]
        return _Choice("edge_of_chaos", float(row["weight_variance"]), 0.0, source, reason=str(row["reason"]))
    point = _lowest_stable(act)
    if point is not None:
        edge = edge_of_chaos(act, q=point).iloc[0]
        note = f"needs this bias variance: below it the critical point is unstable (q = {point:.6g})"
        return _Choice(
            "edge_of_chaos", float(edge["weight_variance"]), float(edge["bias_variance"]), source, reason=note
        )
    return _Choice("edge_of_chaos", math.nan, math.nan, source, reason="no usable edge of chaos")


def _lowest_stable(act: Activation) -> float | None:
    """The q on the edge of chaos with sigma_b² ≥ 0 and F'(q) ≤ 1 whose bias variance is least."""

    def slope_excess(x: float) -> float:
        m = act.moments(math.exp(x), fields=("z_phi_dphi", "derivative_second_moment"))
        return float(m.z_phi_dphi) / (math.exp(x) * float(m.derivative_second_moment)) - 1

    def bias(x: float) -> float:
        m = act.moments(math.exp(x), fields=("second_moment", "derivative_second_moment"))
        return math.exp(x) - float(m.second_moment) / float(m.derivative_second_moment)

    grid = np.linspace(math.log(1e-6), math.log(1e6), 289)
    try:
        if float(act.moments(1.0, fields=("derivative_second_moment",)).derivative_second_moment) == 0:
            return None
        slopes = np.array([slope_excess(x) for x in grid])
        biases = np.array([bias(x) for x in grid])
    except InputError:
        return None
    valid = (slopes <= 1e-12) & (biases >= 0)
    if not valid.any():
        return None
    best = int(np.flatnonzero(valid)[np.argmin(biases[valid])])
    for near in (best - 1, best + 1):  # the boundary of the valid stretch lies between two grid points
        if 0 <= near < grid.size and not valid[near]:
            edge = slope_excess if slopes[near] > 0 else bias
            return math.exp(root_between(edge, *sorted((grid[best], grid[near]))))
    return math.exp(grid[best])


def _row(act: Activation, choice: _Choice) -> dict[str, object]:
    row: dict[str, object] = {
        "activation": act.name,
        "criterion": choice.criterion,
        "gain": math.sqrt(choice.weight_variance) if choice.weight_variance >= 0 else math.nan,
        "weight_variance": choice.weight_variance,
        "bias_variance": choice.bias_variance,
        "q_star": math.nan,
        "length_slope": math.nan,
        "chi_1": math.nan,
        **{f"{way}_{depth}": math.nan for way in ("forward", "backward") for depth in DEPTHS},
        "verdict": "no such gain",
        "source": choice.source,
        "reason": choice.reason,
    }
    if math.isnan(choice.weight_variance):
        return row
    if choice.centred:
        row["reason"] = "for weights standardised to mean zero (weight standardisation)"
        length: LengthMap = CentredMap(act, choice.weight_variance, choice.bias_variance)
    else:
        length = LengthMap(act, choice.weight_variance, choice.bias_variance)
    forward, backward = growth(length, max(DEPTHS))
    for depth in DEPTHS:
        row[f"forward_{depth}"] = _exp(forward[depth])
        row[f"backward_{depth}"] = _exp(backward[depth])
    point = 1.0 if choice.centred else attracting_point(length)
    at = min(max(point, LOWEST), HIGHEST)
    row |= {
        "q_star": point,
        "length_slope": float(length.slope(at)),
        "chi_1": float(length.chi(at)),
        "verdict": two_sided(forward, backward),
    }
    return row


def two_sided(forward: Array, backward: Array) -> str:
    """Say in words what happens forward and backward over the last depth of the arrays.

    Examples
    --------
    >>> two_sided(np.array([0.0, 0.0]), np.array([0.0, 26.9]))
    'forward healthy, backward exploding (×4.8e+11 over 1 layers)'
    """
    depth = len(forward) - 1
    ways = {"forward": float(forward[-1]), "backward": float(backward[-1])}
    words = {way: health(value) for way, value in ways.items()}
    if set(words.values()) == {"healthy"}:
        return f"healthy both ways over {depth} layers"
    parts = [
        f"{way} {word}" + ("" if word == "healthy" else f" ({factor_text(ways[way])} over {depth} layers)")
        for way, word in words.items()
    ]
    return ", ".join(parts)


def _exp(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf
