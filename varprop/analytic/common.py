"""What units of a layer share: a common part when weights have a mean, silence when nothing arrives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.states import LayerState

Array = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(48)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def shared_average(state: LayerState, field: str) -> Array:
    """Return E f(z_i) f(z_j) for two units of a layer, shape (B,).

    The pre-activations share a Gaussian part w of variance c (`LayerState.common`) and are independent given w, so
    the average is E_w (E[f | w])².

    Parameters
    ----------
    state : LayerState
    field : {"mean", "derivative_mean"}
        f is the activation or its derivative.
    """
    unit = state.unit
    total = np.exp(np.minimum(unit.log_total_variance, np.log(1e100)))
    if not state.common.any():
        return np.asarray(np.square(_field(state, field, total, unit.mean)))
    common = np.clip(state.common, 0.0, total)
    shifted = unit.mean + np.sqrt(common) * _NODES[:, None]
    conditional = _field(state, field, np.broadcast_to(total - common, shifted.shape), shifted)
    return np.asarray(_WEIGHTS @ np.square(conditional))


def _field(state: LayerState, field: str, variance: Array, mean: Array) -> Array:
    moments = state.activation.moments(variance, mean=mean, fields=(field,))
    return np.asarray(getattr(moments, field), dtype=np.float64)


def coin_slopes(state: LayerState) -> tuple[float, float]:
    """Return log E phi'² of a (leaky) ReLU whose signs are fair coins, and log phi'(0)² for a silent layer."""
    assert state.activation.slopes is not None
    low, high = state.activation.slopes
    at_zero = float(np.square(state.activation.derivative(np.zeros(1))[0]))
    with np.errstate(divide="ignore"):
        return float(np.log(0.5 * (low**2 + high**2))), float(np.log(at_zero))


def over_silence(state: LayerState, log_alive: Array, log_dead: Array) -> Array:
    """Average two logarithms over whether the layer is silent."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp(np.log1p(-state.zero) + log_alive, np.log(state.zero) + log_dead))
