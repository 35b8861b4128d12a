"""What units of a layer share when weights have a mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError
from varprop.activations import Activation
from varprop.analytic.averages import CHUNK
from varprop.analytic.gaussian_nodes import gaussian_average
from varprop.analytic.states import LayerState
from varprop.analytic.unit_law import UnitLaw

Array = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(48)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_HUGE = 1e99
_LOG_HUGE = np.log(_HUGE)


def shared_covariance(state: LayerState) -> Array:
    """Return Cov(phi(z_i), phi(z_j)) of two units of a layer, shape (B,), as far as `LayerState.common` makes it.

    The units share a Gaussian part w of variance c (`LayerState.common`) and are taken as independent given w, so
    their covariance is Var_w E[phi | w]: exactly 0 where c is 0, and never negative.
    """
    if not state.common.any():
        return np.zeros_like(state.unit.mean)
    conditional = _given_common(state, "mean")
    return np.asarray(_WEIGHTS @ np.square(conditional - _WEIGHTS @ conditional))


def shared_slopes(state: LayerState) -> Array:
    """Return E phi'(z_i) phi'(z_j) of two units of a layer, shape (B,): E_w (E[phi' | w])² as above."""
    return np.asarray(_WEIGHTS @ np.square(_given_common(state, "derivative_mean")))


def _given_common(state: LayerState, field: str) -> Array:
    """E phi or E phi' given the shared part of a unit, shape (48, B); NaN where it is not known."""
    unit, phi = state.unit, state.activation
    with np.errstate(divide="ignore", invalid="ignore"):
        common = np.clip(
            np.nan_to_num(state.common, posinf=_HUGE), 0.0, np.exp(np.minimum(unit.log_variance, _LOG_HUGE))
        )
        own = np.exp(np.minimum(unit.log_variance, _LOG_HUGE)) - common
        centres = unit.mean + np.sqrt(common) * _NODES[:, None]
        given = replace(
            unit, mean=centres.ravel(), log_variance=np.log(np.broadcast_to(own, centres.shape)).ravel(),
            kurtosis=np.zeros(centres.size), uneven=0.0,
            positions=None if unit.positions is None else np.tile(unit.positions, (1, _NODES.size)),
        )  # fmt: skip
    usable = np.isfinite(given.mean)
    found = np.full(centres.size, np.nan)
    if usable.all():
        found = _average(phi, given, field)
    return found.reshape(centres.shape)


def _average(phi: Activation, unit: UnitLaw, field: str) -> Array:
    if not unit.single:
        function = phi if field == "mean" else phi.derivative
        parts = [gaussian_average(function, part, phi.kinks) for part in unit.split(CHUNK)]
        return np.concatenate(parts)
    try:
        moments = phi.moments(np.exp(unit.log_variance), mean=unit.mean, fields=(field,))
    except InputError:
        return np.full(unit.mean.size, np.nan)
    return np.asarray(getattr(moments, field), dtype=np.float64)
