"""The maps as tables, ready to be drawn: length map with its cobweb, correlation map, spectrum."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import InputError, check_integer, check_real
from varprop.activations import Activation, activation
from varprop.analytic.mean_field.criticality import attracting_point
from varprop.analytic.mean_field.length_map import LengthMap
from varprop.analytic.mean_field.spectrum import Ensemble, Jacobian

if TYPE_CHECKING:
    import pandas as pd

_FARTHEST = 1e60
"""Second moment at which a path is cut off."""


def length_curve(
    phi: str | Activation | Callable[..., object],
    weight_variance: float,
    bias_variance: float = 0.0,
    *,
    start: float = 1.0,
    steps: int = 12,
    points: int = 200,
) -> pd.DataFrame:
    """Tabulate the length map and the path that iteration takes on it (the cobweb).

    Parameters
    ----------
    phi : str, Activation or callable
    weight_variance, bias_variance : float
        sigma_w² and sigma_b².
    start : float
        Second moment of the first layer, above 0.
    steps : int
        Layers of the path, fewer if it grows beyond 1e60.
    points : int
        Points of the curve.

    Returns
    -------
    DataFrame
        Columns ``curve`` ("map" or "path"), ``q`` and ``next_q``. The path's rows are the corners of the
        cobweb in order. Source: Poole et al. (2016), figure 1.

    Examples
    --------
    >>> frame = length_curve("tanh", 2.5, 0.05, steps=3, points=5)
    >>> frame.curve.value_counts().to_dict()
    {'path': 7, 'map': 5}
    """
    import pandas as pd

    length = LengthMap(activation(phi), weight_variance, bias_variance)
    check_real("start", start, minimum=0.0, exclusive=True)
    check_integer("steps", steps, minimum=1, maximum=10_000)
    check_integer("points", points, minimum=2, maximum=100_000)
    path = [(start, 0.0)]
    q = start
    for _ in range(steps):
        if not q < _FARTHEST:  # off the map: the rest of the path would leave double precision
            break
        value = float(length.value(q)) if q > 0 else length.bias_variance
        path += [(q, value), (value, value)]
        q = value
    star = attracting_point(length, start)
    top = 1.15 * max([x for x, _ in path] + [star if np.isfinite(star) else 0.0])
    grid = np.linspace(top / points, top, points)
    curve = zip(grid, length.value(grid), strict=True)
    rows = [("map", x, y) for x, y in curve] + [("path", x, y) for x, y in path]
    return pd.DataFrame(rows, columns=["curve", "q", "next_q"])


def correlation_curve(
    phi: str | Activation | Callable[..., object],
    weight_variance: float,
    bias_variance: float = 0.0,
    *,
    q: float | None = None,
    points: int = 101,
) -> pd.DataFrame:
    """Tabulate the correlation map C(c) at a second moment `q` (default the fixed point reached from 1).

    Returns
    -------
    DataFrame
        Columns ``correlation`` (0 to 1), ``next_correlation``. ``attrs["q"]`` is the second moment. Source:
        Poole et al. (2016), eq. 5.

    Raises
    ------
    InputError
        If q tends to 0 or grows without bound, so that there is no correlation to speak of.

    Examples
    --------
    >>> correlation_curve("relu", 2.0, points=3).next_correlation.round(4).tolist()
    [0.3183, 0.609, 1.0]
    """
    import pandas as pd

    act = activation(phi)
    length = LengthMap(act, weight_variance, bias_variance)
    at = attracting_point(length) if q is None else check_real("q", q, minimum=0.0, exclusive=True)
    if not np.isfinite(at) or at <= 0:
        raise InputError("q", at, "a second moment above 0: this network's tends to 0 or to infinity")
    c = np.linspace(0.0, 1.0, check_integer("points", points, minimum=2, maximum=100_000))
    pair = act.pair_moments(at, at, one_minus_correlation=1 - c, fields=("product",))
    mapped = (length.bias_variance + length.weight_variance * np.asarray(pair.product)) / float(
        length.value(at)
    )
    frame = pd.DataFrame({"correlation": c, "next_correlation": mapped})
    frame.attrs["q"] = at
    return frame


def spectral_density(
    phi: str | Activation | Callable[..., object],
    weight_variance: float,
    depth: int,
    *,
    q: float = 1.0,
    weights: Ensemble = "gaussian",
    points: int = 300,
) -> pd.DataFrame:
    """Tabulate the density of the Jacobian's singular values at infinite width.

    Returns
    -------
    DataFrame
        Columns ``singular_value`` (above 0, up to the edge) and ``density`` (per singular value, without the
        atom at 0 that ``attrs["atom_at_zero"]`` gives). Source: Pennington et al. (2017), section 3.

    Examples
    --------
    >>> frame = spectral_density("linear", 1.0, 1, points=3)
    >>> frame.density.round(3).tolist()  # the quarter circle: sqrt(4 - s²)/pi
    [0.6, 0.475, 0.016]
    """
    import pandas as pd

    law = Jacobian(activation(phi), weight_variance, depth, q, weights)
    edge = law.upper_edge()
    count = check_integer("points", points, minimum=2, maximum=100_000)
    s = np.sqrt(edge) * (np.arange(count) + 1) / (count + 1e-3)
    frame = pd.DataFrame({"singular_value": s, "density": 2 * s * law.density(s**2)})
    frame.attrs["atom_at_zero"] = law.atom_at_zero()
    return frame
