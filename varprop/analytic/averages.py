"""Averages of an activation over the law of a unit: E phi, E phi², E phi'², in log space where they may overflow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError
from varprop.activations import Activation
from varprop.analytic.gaussian_nodes import gaussian_nodes
from varprop.analytic.unit_law import UnitLaw

Array = NDArray[np.float64]

_LOWEST, _HIGHEST = np.log(1e-100), np.log(1e99)
_STEP = np.log(1e4)

CHUNK = 4096
"""Components times inputs whose nodes are held at a time: some 20 MB an array."""


@dataclass(frozen=True)
class Averages:
    """Averages over one unit law, shape (B,) each.

    Attributes
    ----------
    mean : ndarray
        E phi(z).
    log_second_moment, log_derivative : ndarray
        Logarithms of E phi(z)² and E phi'(z)².
    reason : str
        Why they are NaN; empty when they are not.
    """

    mean: Array
    log_second_moment: Array
    log_derivative: Array
    reason: str = ""


def averages(phi: Activation, law: UnitLaw) -> Averages:
    """Return E phi, log E phi² and log E phi'² under `law`.

    (Leaky) ReLU of a centred Gaussian has E phi² = (a² + b²)/2 · q and E phi'² = (a² + b²)/2 for slopes a and b,
    used in log space so that depth cannot overflow. Others are evaluated for variances from 1e-100 to 1e99 and
    continued by the power law they follow at that end.
    """
    try:
        if law.centred:
            return _homogeneous(phi, law) if phi.slopes is not None else _centred(phi, law)
        alone = law.gaussian_alone
        if not alone.any():
            return _mixed(phi, law)
        # Next to sizes of 1e20 a bias of 1 is nothing: those inputs are looked at without it.
        large = averages(phi, law.centre())
        rest = large if alone.all() else _mixed(phi, law)
        mean, square, slope = (
            np.where(alone, *both) for both in zip(_arrays(large), _arrays(rest), strict=True)
        )
        return Averages(mean, square, slope, large.reason or rest.reason)
    except InputError as error:
        return no_averages(law.mean.size, str(error))


def _arrays(found: Averages) -> tuple[Array, Array, Array]:
    return found.mean, found.log_second_moment, found.log_derivative


def no_averages(batch: int, reason: str) -> Averages:
    """Return averages that are not known, because of `reason`."""
    unknown = np.full(batch, np.nan)
    return Averages(unknown, unknown, unknown, reason)


def _homogeneous(phi: Activation, law: UnitLaw) -> Averages:
    """Scale what holds for variance 1: E phi grows like the root of the variance, E phi² like it, E phi'² not."""
    fields = ("mean", "second_moment", "derivative_second_moment")
    m = phi.moments(1.0, fields=fields)
    logs = law.log_variance
    with np.errstate(over="ignore"):
        mean = m.mean * np.exp(0.5 * logs) if m.mean else np.zeros_like(logs)
    at_zero = _log(np.square(phi.derivative(np.zeros(1))[0]))
    slope = np.where(logs == -np.inf, at_zero, _log(m.derivative_second_moment))
    return Averages(mean, logs + _log(m.second_moment), slope)


def _centred(phi: Activation, law: UnitLaw) -> Averages:
    fields = ("mean", "second_moment", "derivative_second_moment")

    def evaluate(logs: Array) -> tuple[Array, Array, Array]:
        m = phi.moments(np.exp(logs), fields=fields)
        return m.mean, _log(m.second_moment), _log(m.derivative_second_moment)

    logs = law.log_variance
    inside = np.clip(logs, _LOWEST, _HIGHEST)
    mean, second, derivative = (np.array(a, dtype=np.float64) for a in evaluate(inside))
    for edge, outside in ((_LOWEST, (logs < _LOWEST) & (logs > -np.inf)), (_HIGHEST, logs > _HIGHEST)):
        if outside.any():
            beyond = logs[outside] - edge
            inward = -_STEP if edge > 0 else _STEP
            at, near = evaluate(np.array([edge])), evaluate(np.array([edge + inward]))
            second[outside] = at[1] + _slope(at[1], near[1], inward) * beyond
            derivative[outside] = at[2] + _slope(at[2], near[2], inward) * beyond
            mean[outside] = _continued(at[0], near[0], inward, beyond)
    zero = logs == -np.inf
    if zero.any():
        at_zero = phi.moments(0.0, fields=fields)
        mean[zero] = at_zero.mean
        second[zero], derivative[zero] = _log(at_zero.second_moment), _log(at_zero.derivative_second_moment)
    return Averages(mean, second, derivative)


def log_unit_variance(phi: Activation, law: UnitLaw, mean: Array) -> Array:
    """Return log Var phi(z), shape (B,), without the cancellation of E phi² - (E phi)².

    Parameters
    ----------
    phi : Activation
    law : UnitLaw
    mean : ndarray
        E phi(z), shape (B,).
    """
    if phi.slopes is not None and (law.centred or phi.slopes[0] == phi.slopes[1]):
        share = phi.moments(1.0, fields=("variance",)).variance
        return np.asarray(law.log_total_variance + _log(share))
    if not law.single:
        found = []
        for part, centre in zip(law.split(CHUNK), _portions(mean, law.split(CHUNK)), strict=True):
            nodes = gaussian_nodes(part, phi.kinks)
            found.append(nodes.average(np.square(phi(nodes.z) - centre)))
        return _log(np.concatenate(found))

    def evaluate(logs: Array) -> Array:
        return _log(phi.moments(np.exp(logs), mean=law.mean, fields=("variance",)).variance)

    logs = law.log_variance
    inside = np.clip(logs, _LOWEST, _HIGHEST)
    at = evaluate(inside)
    inward = np.where(logs < _LOWEST, _STEP, -_STEP)
    with np.errstate(invalid="ignore"):
        outside = np.isfinite(logs) & (logs != inside)
        beyond = _slope(at, evaluate(inside + inward), inward) * (logs - inside) if outside.any() else 0.0
    return np.where(np.isneginf(logs), -np.inf, np.where(outside, at + beyond, at))


def _portions(values: Array, parts: Iterable[UnitLaw]) -> Iterator[Array]:
    start = 0
    for part in parts:
        yield values[start : start + part.mean.size]
        start += part.mean.size


def _slope(at: Array, near: Array, inward: Array | float) -> Array:
    # A function that is 0 at both points stays 0: no slope.
    both = np.isfinite(at) & np.isfinite(near)
    return np.where(both, (np.where(both, near, 0.0) - np.where(both, at, 0.0)) / inward, 0.0)


def _continued(at: Array, near: Array, inward: float, beyond: Array) -> Array:
    slope = _slope(_log(np.abs(at)), _log(np.abs(near)), inward)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(at * np.exp(slope * beyond))


def _mixed(phi: Activation, law: UnitLaw) -> Averages:
    if law.single and phi.slopes is not None:
        return _shifted_homogeneous(phi, law)
    if np.any(law.log_variance[~law.gaussian_alone] > _HIGHEST):
        raise InputError(
            "variance", "more than 1e99", "less, unless the mean is 0 or the activation homogeneous"
        )
    if law.single:
        variance = np.exp(np.minimum(law.log_variance, _HIGHEST))
        m = phi.moments(variance, mean=law.mean, fields=("mean", "second_moment", "derivative_second_moment"))
        return Averages(np.asarray(m.mean), _log(m.second_moment), _log(m.derivative_second_moment))
    fields = ("mean", "second_moment", "derivative_second_moment")
    if law.positions is None and set(fields) <= set(phi.forms.general):
        # Waves turn too fast for any nodes; what has formulas needs none.
        means, logs, shares = law.components()
        m = phi.moments(np.exp(np.minimum(logs, _HIGHEST)), mean=means, fields=fields)
        mean, square, slope_square = ((shares * getattr(m, name)).sum(axis=0) for name in fields)
        return Averages(mean, _log(square), _log(slope_square))
    found = []
    for part in law.split(CHUNK):
        nodes = gaussian_nodes(part, phi.kinks)
        value, slope = phi(nodes.z), phi.derivative(nodes.z)
        found.append([nodes.average(f) for f in (value, np.square(value), np.square(slope))])
    mean, square, slope_square = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Averages(mean, _log(square), _log(slope_square))


def _shifted_homogeneous(phi: Activation, law: UnitLaw) -> Averages:
    """Look at every input on the scale of its own z, where nothing under- or overflows: phi(s z) = s phi(z)."""
    with np.errstate(divide="ignore"):
        log_mean = np.log(np.abs(law.mean))
    logs = np.maximum(log_mean, 0.5 * law.log_variance)
    logs = np.where(np.isneginf(logs), 0.0, logs)
    mean, variance = np.sign(law.mean) * np.exp(log_mean - logs), np.exp(law.log_variance - 2.0 * logs)
    m = phi.moments(variance, mean=mean, fields=("mean", "second_moment", "derivative_second_moment"))
    with np.errstate(over="ignore"):
        first = m.mean * np.exp(logs)
    return Averages(first, _log(m.second_moment) + 2.0 * logs, _log(m.derivative_second_moment))


def _log(values: object) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(values, dtype=np.float64))
