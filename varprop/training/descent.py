"""Runs of gradient descent in groups: each group is one `Stack`, groups advance side by side in threads."""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from varprop._random import generator
from varprop.spec import Network
from varprop.training.stack import ORDER, Stack, start_values, with_ones

Array = NDArray[Any]
T = TypeVar("T")

# Bytes that one group works on between two visits of the same number: the second-level cache.
_CACHE = 2 << 20


@dataclass(frozen=True)
class Examples:
    """Inputs and targets as rows, ready for products: `x` (B, n_0 + 1) ends with ones, `y` (B, n_L)."""

    x: Array
    y: Array

    @property
    def columns(self) -> tuple[Array, Array]:
        """Return inputs and targets with examples as columns."""
        return np.ascontiguousarray(self.x.T), np.ascontiguousarray(self.y.T)


def prepare(network: Network, dtype: Any) -> Examples:
    """Return the examples of `network`'s input with the targets its head resolves to."""
    targets = network.targets
    assert targets is not None
    y = np.eye(network.widths[-1])[targets] if network.head.kind == "softmax_ce" else targets.T
    return Examples(with_ones(network.input.array().T, dtype), y.astype(dtype))


@dataclass(frozen=True)
class Rule:
    """How to descend: learning rate, examples per step (None: all), L2 penalty."""

    learning_rate: float
    batch_size: int | None
    l2: float


class Group:
    """Some of the runs, advanced together.

    Parameters
    ----------
    network : Network
    runs : sequence of (seed, order_seed)
    examples : Examples
    rule : Rule
    dtype : dtype
    """

    def __init__(
        self, network: Network, runs: Sequence[tuple[int, int]], examples: Examples, rule: Rule, dtype: Any
    ) -> None:
        self.runs = tuple(runs)
        self.stack = Stack(network, start_values(network, [seed for seed, _ in runs], dtype))
        self.step = 0
        self._rule = rule
        self._batches = self._all(examples) if rule.batch_size is None else self._some(examples)

    def advance(self, step: int, stop: threading.Event) -> None:
        """Descend up to `step`, or less far once `stop` is set."""
        # A run that diverges overflows; its numbers say so.
        with np.errstate(over="ignore", invalid="ignore"):
            while self.step < step and not stop.is_set():
                x, y = next(self._batches)
                self.stack.descend(x, y, self._rule.learning_rate, self._rule.l2)
                self.step += 1

    def _all(self, examples: Examples) -> Iterator[tuple[Array, Array]]:
        columns = examples.columns
        while True:
            yield columns

    def _some(self, examples: Examples) -> Iterator[tuple[Array, Array]]:
        """Mini-batches without replacement, a new order each epoch; the last one may be smaller."""
        assert self._rule.batch_size is not None
        orders = [generator(order_seed, ORDER) for _, order_seed in self.runs]
        while True:
            epoch = np.stack([rng.permutation(len(examples.x)) for rng in orders])
            for start in range(0, len(examples.x), self._rule.batch_size):
                chosen = epoch[:, start : start + self._rule.batch_size]
                yield examples.x[chosen].swapaxes(1, 2), examples.y[chosen].swapaxes(1, 2)


def grouped(
    network: Network, runs: Sequence[tuple[int, int]], examples: Examples, rule: Rule, dtype: Any
) -> list[Group]:
    """Deal the runs to groups that fit the cache; the size does not depend on the number of threads."""
    widths = network.widths
    batch = rule.batch_size or len(examples.x)
    # Three arrays per layer and example, and the parameters with their gradient.
    numbers = 3 * batch * sum(widths[1:]) + 2 * sum((a + 1) * b for a, b in itertools.pairwise(widths))
    size = max(1, _CACHE // (numbers * np.dtype(dtype).itemsize))
    count = math.ceil(len(runs) / size)
    return [Group(network, part, examples, rule, dtype) for part in _parts(runs, count)]


def _parts(runs: Sequence[tuple[int, int]], count: int) -> Iterator[Sequence[tuple[int, int]]]:
    edges = np.linspace(0, len(runs), count + 1).round().astype(int)
    for low, high in itertools.pairwise(edges):
        yield runs[low:high]


class Crew:
    """Threads that advance groups; an interruption stops them at the end of their current step.

    Parameters
    ----------
    threads : int or None
        As many as the process may use cores by default.
    """

    def __init__(self, threads: int | None, groups: int) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(min(threads or cores, groups))
        self._stop = threading.Event()

    def each(self, task: Callable[[Group], T], groups: Sequence[Group]) -> list[T]:
        """Do `task` on every group and return the results in order."""
        waiting = [self._pool.submit(task, group) for group in groups]
        done: set[Future[T]] = set()
        # Waiting in short turns lets an interruption through on every system.
        while len(done) < len(waiting) and not any(future.exception() for future in done):
            done = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION).done
        return [future.result() for future in sorted(done, key=waiting.index)]

    def advance(self, groups: Sequence[Group], step: int) -> None:
        """Bring every group to `step`."""
        self.each(lambda group: group.advance(step, self._stop), groups)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
