"""`audit_arrays`: the door for people with any other framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError, check_real, described
from varprop.activations import DEFAULT_SHARE, Activation, activation
from varprop.adapters.recording import Recording
from varprop.results.audit_schema import AUDIT_COLUMNS, audit_frame
from varprop.spec.traced import Graph, Node

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Values = NDArray[Any] | Sequence[NDArray[Any]]


def audit_arrays(
    activations: Mapping[str, Values],
    *,
    gradients: Mapping[str, Values] | None = None,
    functions: Mapping[str, str] | None = None,
    share: float = DEFAULT_SHARE,
) -> pd.DataFrame:
    """Audit arrays that another framework has produced.

    Parameters
    ----------
    activations : mapping from name to array or sequence of arrays
        Pre-activations of each layer, in order from input to output, examples first: ``(examples, …)``. A sequence has
        one array per network draw; a single array is one draw, and has no interval.
    gradients : mapping, optional
        For some of the names, the gradient of each example's loss with respect to the same values.
    functions : mapping from name to str, optional
        The activation applied to a layer (a spelling such as ``"relu"``), for its fractions and moments.
    share : float
        See `varprop.Activation.saturation`.

    Returns
    -------
    DataFrame
        As `audit` returns it, without predictions; ``kind`` is ``"array"``.

    Raises
    ------
    InputError
        Something that is not numeric or not finite, draws of different shapes, a gradient without its activation.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> table = audit_arrays({"z1": [rng.normal(size=(8, 100)) for _ in range(5)]}, functions={"z1": "relu"})
    >>> table[table.quantity == "inactive_fraction"].n_draws.item()
    5
    """
    share = check_real("share", share, minimum=0.0, maximum=1.0)
    if not isinstance(activations, Mapping) or not activations:
        raise InputError(
            "activations", described(type(activations).__name__), "a mapping from names to arrays"
        )
    gradients, functions = gradients or {}, functions or {}
    for field, given in (("gradients", gradients), ("functions", functions)):
        for name in given:
            if name not in activations:
                raise InputError(f"{field}.{name}", name, "a name that activations have")
    recording = Recording("arrays")
    nodes = []
    for index, (name, values) in enumerate(activations.items(), start=1):
        draws = _draws(f"activations.{name}", values)
        phi = activation(functions[name]) if name in functions else None
        attributes = {"width": int(np.prod(draws[0].shape[1:]))} | ({"activation": phi.name} if phi else {})
        nodes.append(Node(index, str(name), "array", "linear", 1, (index - 1,), draws[0].shape, attributes))
        for array in draws:
            _record(recording, index, array.reshape(array.shape[0], -1), phi, share)
        for gradient in _draws(f"gradients.{name}", gradients[name]) if name in gradients else ():
            recording.add(index, "gradient_preactivation", float(np.mean(np.square(gradient))))
    recording.graph = Graph(tuple(nodes), len(nodes))
    rows = []
    for record in recording.frame().to_dict("records"):
        row = {name: record[name] for name in AUDIT_COLUMNS if name in record}
        rows.append(row | {"measured": record["value"], "verdict": "unpredicted"})
    attrs = {"notes": [], "framework": "arrays"}
    return audit_frame(rows, AUDIT_COLUMNS, attrs)


def _record(recording: Recording, index: int, rows: Array, phi: Activation | None, share: float) -> None:
    second, mean = np.mean(rows**2, axis=1), np.mean(rows, axis=1)
    recording.add(index, "preactivation_mean", float(mean.mean()))
    recording.add(index, "preactivation_second_moment", float(second.mean()))
    recording.add_moments(index, mean, second)
    if rows.shape[0] > 1:
        recording.add(index, "data_variance", float(np.mean(np.var(rows, axis=0, ddof=1))))
    if phi is not None:
        value, off = phi(rows), phi.is_inactive(rows)
        recording.add(index, "activation_mean", float(np.mean(value)))
        recording.add(index, "activation_second_moment", float(np.mean(value**2)))
        recording.add(index, "saturated_fraction", float(np.mean(phi.is_saturated(rows, share))))
        recording.add(index, "inactive_fraction", float(np.mean(off)))
        recording.add(index, "dead_fraction", float(np.mean(off.all(axis=0))))
        recording.add(index, "derivative_second_moment", float(np.mean(phi.derivative(rows) ** 2)))


def _draws(field: str, values: Values) -> list[Array]:
    listed = list(values) if isinstance(values, list | tuple) else [values]
    draws: list[Array] = []
    for number, value in enumerate(listed):
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" or array.ndim < 1 or array.size == 0:
            raise InputError(
                field, described(f"shape {array.shape} of {array.dtype}"), "numbers, examples first"
            )
        if not np.all(np.isfinite(array)):
            raise InputError(
                field, described(f"values that are not finite (draw {number + 1})"), "finite numbers"
            )
        draws.append(
            array.astype(np.float64).reshape(array.shape[0], -1) if array.ndim > 1 else array[:, None] * 1.0
        )
    if len({array.shape for array in draws}) != 1:
        raise InputError(field, described("draws of different shapes"), "one shape")
    return draws
