"""`train`: many networks from many seeds, recorded as tidy tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from varprop._validation import InputError, check_integer, check_real, described
from varprop.activations import DEFAULT_SHARE
from varprop.montecarlo.threads import single_blas_thread
from varprop.spec import Input, Network
from varprop.training.arguments import Seeds, layout, length, precision, stops, tested, trainable
from varprop.training.descent import Crew, Rule, grouped, prepare
from varprop.training.records import Recorder
from varprop.training.stack import Stack, with_ones

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]


@dataclass(frozen=True)
class Training:
    """What `train` returns.

    Attributes
    ----------
    network : Network
        What was trained, its input being the training data.
    history : DataFrame
        One row per run, recorded step and split: ``seed``, ``order_seed``, ``step``, ``epoch``, ``split``
        (``train`` or ``test``), ``loss`` (mean over examples, without the penalty), ``accuracy`` (NaN for the
        head ``mse``) and ``naive_loss_infinite``, the share of examples for which the textbook formula
        log(p), computed in the same precision, gives inf or nan (NaN for ``mse``).
    layers : DataFrame
        One row per run, step and layer, on the training data: ``seed``, ``order_seed``, ``step``, ``layer``,
        ``width``, then `varprop.training.statistics.layer_statistics`: mean and variance of the
        pre-activations over units and examples, saturated, inactive and dead fractions, norms of the
        gradient of the mean loss and of the weights, rank, and number of distinct units.
    runs : tuple of (int, int)
        Seed and order seed of each run, in the order of `parameters`.
    parameters : tuple of ndarray
        For each layer (runs, n_l, n_{l-1} + 1) at the last recorded step, biases in the last column.
    steps : int
        Steps taken by every run.
    planned : int
        Steps asked for. Fewer were taken if the training was interrupted (`complete` is False); everything
        above then stands at the last recorded step before.
    """

    network: Network
    history: pd.DataFrame = field(repr=False)
    layers: pd.DataFrame = field(repr=False)
    runs: tuple[tuple[int, int], ...] = field(repr=False)
    parameters: tuple[Array, ...] = field(repr=False)
    steps: int
    planned: int

    @property
    def complete(self) -> bool:
        """Whether all steps were taken."""
        return self.steps == self.planned

    def decision(self, x: Any) -> Array:
        """Return the logits of every run at other inputs, for decision boundaries.

        Parameters
        ----------
        x : array of shape (n_0, points)

        Returns
        -------
        ndarray
            Shape (runs, n_L, points); class 1 where positive (``bce``), the largest wins (``softmax_ce``).
        """
        points = np.asarray(x, dtype=np.float64)
        if points.ndim != 2 or len(points) != self.network.widths[0]:
            raise InputError("x", described(f"shape {points.shape}"), f"({self.network.widths[0]}, points)")
        stack = Stack(self.network, list(self.parameters))
        return stack.forward(with_ones(points.T, self.parameters[0].dtype).T).copy()


def train(
    network: Network,
    data: Input | None = None,
    *,
    learning_rate: float,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    l2: float = 0.0,
    seeds: Seeds = 1,
    order_seeds: Seeds | None = None,
    test: Input | None = None,
    record: int | Sequence[int] | None = None,
    statistics: Sequence[int] | None = None,
    share: float = DEFAULT_SHARE,
    dtype: DTypeLike = np.float64,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Training:
    """Train a dense network by gradient descent, from many seeds at a time.

    Every run is computed as if it were alone: its numbers depend on its seeds only, not on the other runs or
    on the number of threads.

    Parameters
    ----------
    network : Network
        With the head ``bce``, ``softmax_ce`` or ``mse``. The head takes the logits z^L, so the last layer is
        linear (or sigmoid under ``bce``, which is that head's own link).
    data : Input, optional
        Training examples instead of ``network.input``.
    learning_rate : float
        More than 0.
    steps, epochs : int
        How long, one of the two; without `batch_size` they are the same.
    batch_size : int, optional
        Examples per step, in a new random order each epoch; all of them by default.
    l2 : float
        Penalty l2/2 · sum of squared weights (biases are free), at least 0.
    seeds : int or sequence of int
        Of the start values; a number n means 0 to n − 1.
    order_seeds : int or sequence of int, optional
        Of the order of examples. By default each run's own seed; if given, every seed is run with every order
        seed, the layout from which the two sources of randomness can be separated.
    test : Input, optional
        Examples that are only evaluated; their targets are their labels.
    record : int or sequence of int, optional
        Steps between two rows of `Training.history`, or the steps themselves; by default about 50 rows a run.
        The first (0) and the last step are always there.
    statistics : sequence of int, optional
        Steps at which the layers are described; the first and the last by default.
    share : float
        Defines saturation, see `Activation.saturation`.
    dtype : {float64, float32}
        Precision of the training; single takes half the time. Start values are the same.
    threads : int, optional
        By default the cores this process may use.
    progress : callable, optional
        Called with (steps done, steps to do) after every recorded step.

    Returns
    -------
    Training
        Interrupted by KeyboardInterrupt, it holds what was recorded before, with ``complete=False``.

    Raises
    ------
    InputError
        For a head without a loss, data that do not fit, or an impossible number.

    Examples
    --------
    >>> import varprop as vp
    >>> from varprop.training import circles, train
    >>> network = vp.mlp([10, 5, 1], "relu", "he_normal", input=circles(300), head="bce")
    >>> result = train(network, steps=100, learning_rate=0.01, seeds=3, record=50)
    >>> result.history.query("seed == 0")[["step", "loss"]].round(2).values.tolist()
    [[0.0, 0.84], [50.0, 0.77], [100.0, 0.74]]
    """
    network = trainable(network, data)
    total, per_epoch, batch_size = length(network.input.batch, steps, epochs, batch_size)
    rule = Rule(
        check_real("learning_rate", learning_rate, minimum=0.0, exclusive=True),
        batch_size,
        check_real("l2", l2, minimum=0.0),
    )
    kind = precision(dtype)
    runs = layout(seeds, order_seeds)
    splits = {"train": prepare(network, kind)}
    if test is not None:
        splits["test"] = prepare(tested(network, test), kind)
    every = per_epoch if epochs is not None and batch_size is not None else max(1, total // 50)
    recorded = stops("record", every if record is None else record, total)
    looked = stops("statistics", [] if statistics is None else statistics, total)
    share = check_real("share", share, minimum=0.0, maximum=1.0)
    if threads is not None:
        threads = check_integer("threads", threads, minimum=1)
    recorder = Recorder(network, splits, per_epoch, looked, share)
    groups = grouped(network, runs, splits["train"], rule, kind)
    try:
        with single_blas_thread(), Crew(threads, len(groups)) as crew:
            for step in sorted({*recorded, *looked}):
                crew.advance(groups, step)
                recorder.keep(crew.each(recorder.look, groups))
                if progress is not None:
                    progress(step, total)
    except KeyboardInterrupt:
        if not recorder:
            raise
    history, layers = recorder.frames()
    return Training(network, history, layers, tuple(runs), recorder.parameters, recorder.step, total)
