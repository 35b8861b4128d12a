"""`symmetry`: which gradients vanish, which layers move, which units stay alike; rule beside observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop._validation import check_integer, check_real
from varprop.montecarlo.threads import single_blas_thread
from varprop.spec import Input, Network
from varprop.training.arguments import trainable
from varprop.training.descent import prepare
from varprop.training.patterns import Forecast, biases_pattern, forecast, weights_pattern
from varprop.training.stack import Stack, start_values
from varprop.training.statistics import distinct_rows, ranks

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]


def symmetry(
    network: Network,
    data: Input | None = None,
    steps: int = 5,
    *,
    learning_rate: float = 0.1,
    seed: int = 0,
    tolerance: float = 1e-9,
) -> pd.DataFrame:
    """Follow the first steps of full-batch descent and say what vanishes, moves, and stays alike.

    Beside each observation stands what `varprop.training.patterns` concludes from the start values: not from
    a list of known cases but from rules on which factors are zero, equal between units, or equal between
    examples.

    Parameters
    ----------
    network : Network
        With the head ``bce``, ``softmax_ce`` or ``mse``, and any initializers.
    data : Input, optional
        Training examples instead of ``network.input``.
    steps : int
        Updates to follow.
    learning_rate : float
        More than 0.
    seed : int
        Of the start values.
    tolerance : float
        Floating-point sums that should cancel leave rounding errors. A gradient counts as zero if no entry
        exceeds `tolerance` times what the same sums give with every term positive; changes, singular values
        and differences between units below the sum of those bars (times the learning rate), or below 1e-9 of
        the matrix's largest, count as none.

    Returns
    -------
    DataFrame
        One row per step (from 1) and layer: ``width``; largest entries ``weight_gradient``,
        ``bias_gradient`` of this step; ``weight_gradient_zero``, ``bias_gradient_zero``; after the update
        ``weights_moved``, ``biases_moved`` (from the start), ``rank`` of the weights, ``distinct_units`` (by
        incoming weights and bias). For each of the last six a column ``predicted_…``; of rank and distinct
        units it is an upper bound. ``verdict``: ``agrees``; ``more zeros`` if something vanished that the
        rules leave open (dead units, a coincidence in the data); ``differs`` if something that must vanish
        or stay alike did not.

    Raises
    ------
    InputError
        For a head without a loss, data that do not fit, or an impossible number.

    Examples
    --------
    All zeros and tanh: only the output bias moves. With a sigmoid the output weights move too.

    >>> import varprop as vp
    >>> from varprop.training import symmetry
    >>> x = vp.gaussian(2, 5)
    >>> for activation in ("tanh", "sigmoid"):
    ...     network = vp.mlp([2, 1], activation, "zeros", input=x, head="bce", targets=[1, 1, 1, 0, 0])
    ...     print(activation, symmetry(network, steps=1)["weight_gradient_zero"].tolist())
    tanh [True, True]
    sigmoid [True, False]
    """
    import pandas as pd

    network = trainable(network, data)
    steps = check_integer("steps", steps, minimum=1)
    learning_rate = check_real("learning_rate", learning_rate, minimum=0.0, exclusive=True)
    tolerance = check_real("tolerance", tolerance, minimum=0.0)
    x, y = prepare(network, np.float64).columns
    stack = Stack(network, start_values(network, [check_integer("seed", seed, minimum=0)]))
    first = [theta.copy() for theta in stack.parameters]
    weights = [weights_pattern(theta[0, :, :-1]) for theta in first]
    biases = [biases_pattern(theta[0, :, -1]) for theta in first]
    floors = [np.zeros(2) for _ in first]  # of weights and biases, growing with every step
    must_move = [np.zeros(2, bool) for _ in first]
    rows: list[dict[str, Any]] = []
    with single_blas_thread():  # threaded sums may come out in another order for twins
        for step in range(1, steps + 1):
            weights, biases, said = forecast(weights, biases, stack.hidden, x[:-1], y, stack.loss)
            stack.forward(x)
            gradients = [gradient / x.shape[1] for gradient in stack.gradients(y)]
            sizes = _sizes(stack, y)
            for theta, gradient in zip(stack.parameters, gradients, strict=True):
                theta -= learning_rate * gradient
            for number, expected in enumerate(said):
                seen = _see(gradients[number][0], sizes[number], tolerance)
                floors[number] += learning_rate * tolerance * sizes[number]
                must_move[number] |= [not expected.weights_zero, not expected.biases_zero]
                after = stack.parameters[number][0]
                row: dict[str, Any] = {"step": step, "layer": number + 1, "width": len(after)}
                row |= {"weight_gradient": seen.weights, "bias_gradient": seen.biases}
                row |= _observed(seen, after, first[number][0], floors[number])
                row |= _predicted(expected, must_move[number])
                rows.append(row | {"verdict": _verdict(row)})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Seen:
    """Largest entries of a gradient, and whether they are zero up to rounding."""

    weights: float
    biases: float
    weights_zero: bool
    biases_zero: bool


def _see(gradient: Array, sizes: Array, tolerance: float) -> _Seen:
    largest = np.array([np.abs(gradient[:, :-1]).max(), np.abs(gradient[:, -1]).max()])
    zero = largest <= tolerance * sizes
    return _Seen(float(largest[0]), float(largest[1]), bool(zero[0]), bool(zero[1]))


def _sizes(stack: Stack, y: Array) -> list[Array]:
    """Return the largest entries the gradients would have if every term of every sum were positive.

    Against them a rounding error is 1e-16 and a true zero is 0, however small the gradient itself is.
    """
    z = stack.preactivations[-1]
    size = np.abs(stack.loss.gradient(z, y, np.empty_like(z))[0])
    found = []
    for number in reversed(range(len(stack.parameters))):
        sums = size @ np.abs(stack.activations[number].reshape(-1, size.shape[1])).T / size.shape[1]
        found.append(np.array([sums[:, :-1].max(), sums[:, -1].max()]))
        if number > 0:
            slope = stack.hidden[number - 1].derivative(stack.preactivations[number - 1][0])
            size = np.abs(stack.parameters[number][0, :, :-1]).T @ size * np.abs(slope)
    return found[::-1]


def _observed(seen: _Seen, after: Array, first: Array, floor: Array) -> dict[str, Any]:
    change = np.abs(after - first)
    return {
        "weight_gradient_zero": seen.weights_zero,
        "bias_gradient_zero": seen.biases_zero,
        "weights_moved": bool(change[:, :-1].max() > floor[0]),
        "biases_moved": bool(change[:, -1].max() > floor[1]),
        "rank": int(ranks(after[None, :, :-1], floor[0])[0]),
        "distinct_units": distinct_rows(after, float(floor.max())),
    }


def _predicted(expected: Forecast, moved: Array) -> dict[str, Any]:
    return {
        "predicted_weight_gradient_zero": expected.weights_zero,
        "predicted_bias_gradient_zero": expected.biases_zero,
        "predicted_weights_moved": bool(moved[0]),
        "predicted_biases_moved": bool(moved[1]),
        "predicted_rank": expected.rank,
        "predicted_distinct_units": expected.distinct,
    }


def _verdict(row: dict[str, Any]) -> str:
    gradients = ("weight_gradient_zero", "bias_gradient_zero")
    moves = ("weights_moved", "biases_moved")
    bounds = ("rank", "distinct_units")
    if (
        any(row[f"predicted_{key}"] and not row[key] for key in gradients)
        or any(row[key] and not row[f"predicted_{key}"] for key in moves)
        or any(row[key] > row[f"predicted_{key}"] for key in bounds)
    ):
        return "differs"
    same = all(row[key] == row[f"predicted_{key}"] for key in (*gradients, *moves))
    return "agrees" if same else "more zeros"
