"""The spectrum of the input-output Jacobian in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from varprop._validation import InputError, check_integer
from varprop.activations import Activation, activation
from varprop.analytic.mean_field.spectrum import Ensemble, Jacobian

if TYPE_CHECKING:
    import pandas as pd


def exact_moments(
    phi: str | Activation | Callable[..., object],
    weight_variance: float,
    depth: int,
    width: int,
    ensemble: Ensemble = "gaussian",
) -> tuple[float, float, float]:
    """Exact mean, within-network and between-network variance of squared singular values at finite width.

    For linear and leaky-ReLU activations without bias, square layers. Returns ``(mean, within, between)``:
    E tr M/n; E[tr M²/n - (tr M/n)²]; Var[tr M/n], with M = J Jᵀ.

    Notes
    -----
    With a = E (tr M)² and b = E tr M², one multiplication by W gives

    Gaussian: T = s²(n² a + 2 n b),  B = s²(n a + n(n+1) b),  D = s² n (a + 2 b),  s = sigma_w²/n
    Haar:     T = g⁴ a,              B = g⁴ b,                D = g⁴ (a + 2 b)/(n + 2)

    (D is E sum_i N_ii² of N = W M Wᵀ) by Wick's formula and its Haar counterpart, and one by iid masks
    with mu_k = E phi'^{2k} gives a' = mu_1² T + (mu_2 - mu_1²) D, b' = mu_1² B + (mu_2 - mu_1²) D. The masks
    of a leaky-ReLU network are iid and independent of W in law because flipping the sign of a row of W
    leaves the law of W unchanged.

    Raises
    ------
    InputError
        If the activation is not positively homogeneous, or a number is out of range.
    """
    act = activation(phi)
    if act.slopes is None:
        raise InputError(
            "activation", act.name, "linear, relu or leaky_relu: others have no exact finite-width law"
        )
    Jacobian(act, weight_variance, depth, 1.0, ensemble)
    n = check_integer("width", width, minimum=1)
    low, high = act.slopes
    mu1, mu2 = (low**2 + high**2) / 2, (low**4 + high**4) / 2
    first, a, b = 1.0, float(n) ** 2, float(n)
    for _ in range(depth):
        if ensemble == "gaussian":
            s = weight_variance / n
            t, both, diagonal = (
                s * s * (n * n * a + 2 * n * b),
                s * s * (n * a + n * (n + 1) * b),
                s * s * n * (a + 2 * b),
            )
        else:
            t, both = weight_variance**2 * a, weight_variance**2 * b
            diagonal = weight_variance**2 * (a + 2 * b) / (n + 2)
        a, b = (mu1**2 * x + (mu2 - mu1**2) * diagonal for x in (t, both))
        first *= weight_variance * mu1
    return first, b / n - a / n**2, a / n**2 - first**2


def jacobian_spectrum(
    phi: str | Activation | Callable[..., object],
    weight_variance: float,
    depth: int,
    *,
    q: float = 1.0,
    width: int | None = None,
    weights: Ensemble = "gaussian",
) -> pd.DataFrame:
    """Moments and edge of the squared singular values of the input-output Jacobian, said in words.

    Parameters
    ----------
    phi : str, Activation or callable
        The activation of every layer.
    weight_variance : float
        sigma_w² (gain² for orthogonal weights).
    depth : int
        Number of layers.
    q : float
        Second moment of the pre-activations, the same in every layer.
    width : int, optional
        Square width for the exact finite-width rows (linear and leaky ReLU only).
    weights : {"gaussian", "orthogonal"}

    Returns
    -------
    DataFrame
        Columns ``statistic, value, order, meaning``; the statistics are ``mean``, ``variance``,
        ``relative_variance`` (variance over mean², 0 is perfect dynamical isometry), ``upper_edge``,
        ``atom_at_zero`` and, given `width`, the exact ones. ``attrs["verdict"]`` says it in a sentence.

    Examples
    --------
    >>> frame = jacobian_spectrum("linear", 1.0, 10, weights="orthogonal")
    >>> frame.attrs["verdict"]
    'dynamical isometry: every direction of the error signal keeps its length'
    """
    import pandas as pd

    act = activation(phi)
    law = Jacobian(act, weight_variance, depth, q, weights)
    (mean, variance), relative = law.moments(), law.relative_variance()
    rows = [
        ("mean", mean, "infinite", "mean squared singular value, chi_1^L"),
        ("variance", variance, "infinite", "variance of the squared singular values"),
        ("relative_variance", relative, "infinite", "variance over squared mean: 0 is isometry"),
        ("upper_edge", law.upper_edge(), "infinite", "largest squared singular value"),
        ("atom_at_zero", law.atom_at_zero(), "infinite", "share of directions that are cut off"),
    ]
    if width is not None and act.slopes is not None:
        first, within, between = exact_moments(act, law.weight_variance, law.depth, width, weights)
        rows += [
            ("mean", first, "exact", f"mean squared singular value at width {width}"),
            ("variance", within, "exact", f"variance within one network at width {width}"),
            (
                "variance_between",
                between,
                "exact",
                f"variance between networks of their mean at width {width}",
            ),
        ]
    frame = pd.DataFrame(rows, columns=["statistic", "value", "order", "meaning"])
    frame.attrs["verdict"] = _isometry(mean, relative)
    return frame


def _isometry(mean: float, relative: float) -> str:
    if math.isnan(relative):
        return "no gradient: the derivative is 0 almost everywhere"
    if not 0.1 <= mean <= 10:
        word = "shrinks" if mean < 1 else "grows"
        return f"no isometry: the mean-square gradient {word} by a factor {mean:.3g}"
    if relative < 0.1:
        return "dynamical isometry: every direction of the error signal keeps its length"
    return (
        f"mean-square isometry only: lengths are kept on average, but squared singular values spread with a "
        f"relative standard deviation of {math.sqrt(relative):.2g}, so some directions explode and others die"
    )
