"""Small networks and stand-ins for the tests of the engine around the samplers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import varprop as vp
from varprop.montecarlo.blocks import Block, Plan
from varprop.montecarlo.planning import make_plan

FLAG = "VARPROP_TEST_FLAG"
ROOT = Path(__file__).parents[2]


def network(width: int = 12, depth: int = 3, batch: int = 2, **changes) -> vp.Network:
    """A tanh network that takes well under a millisecond per draw."""
    settings = {"activation": "tanh", "weights": "lecun_normal", "input": vp.gaussian(width, batch)} | changes
    return vp.mlp([width] * depth, **settings)


def plan(draws: int = 29, seed: int = 3, case: int = 0, sampler: str = "auto", **changes) -> Plan:
    """Six blocks of five draws, the last one shorter."""
    return make_plan(network(**changes), draws=draws, block_size=5, seed=seed, case=case, sampler=sampler)


@dataclass(frozen=True)
class Trace:
    """Statistics whose merge does not commute: the blocks and random numbers in the order of merging."""

    blocks: tuple[int, ...]
    numbers: tuple[float, ...]

    def merge(self, other: Trace) -> Trace:
        return Trace(self.blocks + other.blocks, self.numbers + other.numbers)


def trace_block(plan: Plan, block: Block) -> Trace:
    return Trace((block.index,), tuple(plan.generator(block).random(block.draws)))


class Shuffled(Executor):
    """Runs what is submitted in an arbitrary order, in one thread of its own; knows how many wait."""

    def __init__(self, seed: int, workers: int = 3) -> None:
        self.workers = workers
        self.most_waiting = 0
        self._rng = np.random.default_rng(seed)
        self._queue: list[tuple[Future, object, tuple]] = []
        self._change = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def submit(self, function, /, *args, **kwargs):
        future: Future = Future()
        with self._change:
            self._queue.append((future, function, args))
            self.most_waiting = max(self.most_waiting, len(self._queue))
            self._change.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._change:
            self._ended = True
            self._change.notify()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._queue or self._ended)
                if self._ended:
                    return
                future, function, args = self._queue.pop(self._rng.integers(len(self._queue)))
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args))
                except Exception as error:
                    future.set_exception(error)


def deadly(z):
    """Tanh that kills the worker process it runs in, once: until the file that `FLAG` names exists."""
    if multiprocessing.parent_process() is not None and not Path(os.environ[FLAG]).exists():
        Path(os.environ[FLAG]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return np.tanh(z)


def always_deadly(z):
    """Tanh that kills every worker process it runs in."""
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return np.tanh(z)


def failing(z):
    """Tanh that fails in a worker process."""
    if multiprocessing.parent_process() is not None:
        raise ZeroDivisionError("no luck today")
    return np.tanh(z)


def slope(z):
    return 1.0 - np.tanh(z) ** 2


def custom(function) -> vp.Activation:
    return vp.activation(function, derivative=slope, kinks=())
