"""From a spelling, a ``module:function`` or a callable to an `Activation`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from varprop._validation import InputError
from varprop.activations.base import Activation, registry
from varprop.activations.custom import custom, import_function


def activation(
    spec: str | Activation | Callable[..., Any],
    *,
    derivative: Callable[..., Any] | str | None = None,
    kinks: Sequence[float] | None = None,
    inactive: Sequence[tuple[float, float]] = (),
    name: str | None = None,
) -> Activation:
    """Return the activation that `spec` describes.

    Parameters
    ----------
    spec : str, Activation or callable
        A registered spelling (``"leaky_relu(slope=0.2)"``), an `Activation` (returned as it is), or any
        vectorised callable from an array to an array of its shape that acts on each number alone. Also
        ``"package.module:function"``, which imports the module and thereby executes it: never pass a text
        of that form that you have not written yourself.
    derivative : callable or str, optional
        Derivative of a user's callable. Without it the derivative is taken by nine-point differences that
        never straddle a kink, in steps chosen once (see `varprop.activations.differences`); a relative error
        of about 1e-11 is usual.
    kinks : sequence of float, optional
        Where a user's callable or its derivative is not smooth. Without it they are searched for in
        [-64, 64]; pass ``()`` to say that there are none.
    inactive : sequence of (low, high)
        Closed intervals in which a user's callable passes no gradient.
    name : str, optional
        Name of a user's callable in tables; ``"module:function"`` by default.

    Raises
    ------
    InputError
        Unknown name or key, a value out of range, a function that cannot be imported, or one that raises or
        returns the wrong shape, a dtype that is not real floating, or a value that is not finite, or that
        depends on the other numbers of the array.

    Examples
    --------
    >>> activation("leaky_relu(slope=0.2)").name
    'leaky_relu(slope=0.2)'
    >>> import numpy as np
    >>> bent = activation(np.arcsinh)
    >>> round(float(bent.derivative(0.0)), 9)
    1.0
    """
    if isinstance(spec, str) and ":" not in spec:
        chosen = registry.make(spec, "activation")
    elif isinstance(spec, Activation):
        chosen = spec
    else:
        function = import_function(spec, "activation") if isinstance(spec, str) else spec
        if isinstance(function, Activation):
            chosen = function
        elif callable(function):
            slope = import_function(derivative, "derivative") if isinstance(derivative, str) else derivative
            label = name if name is not None else (spec if isinstance(spec, str) else None)
            return custom(function, slope, kinks, inactive, label)
        else:
            raise InputError("activation", spec, "a name, 'package.module:function' or a callable")
    if derivative is not None or kinks is not None or len(inactive) or name is not None:
        raise InputError(
            "activation", chosen.name, "no derivative, kinks, inactive set or name: it has its own"
        )
    return chosen
