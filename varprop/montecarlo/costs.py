"""What a draw costs in time and memory, roughly, before anything is run.

Block sizes follow from these figures, so they depend on the plan's network and sampler and on nothing else:
not on the machine, the number of workers or the number of draws.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from varprop._validation import InputError, described
from varprop.montecarlo.blocks import SMALLEST_BLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from varprop.montecarlo.blocks import Plan
    from varprop.spec import Network

BLOCK_SECONDS = 0.25
"""Aim for one block: long beside what starting, sending and storing it costs, short beside a run."""

LARGEST_BLOCK = 1024

_NUMBER = 3e-9  # seconds for one random number
_ELEMENT = 6e-9  # seconds to pass one element through the activation and the sums of the statistics
_FLOP = 1 / 60e9  # seconds for one floating-point operation of a matrix product
_LAYER = 1e-6  # seconds for one layer of one draw whatever its width


def draw_seconds(network: Network, sampler: str) -> float:
    """Return the predicted seconds of one draw, forward and backward, on one core.

    Only the proportions matter: they weigh networks against each other and decide the block size.
    """
    if not network.is_chain:
        from varprop.activations import DEFAULT_SHARE
        from varprop.montecarlo.graphs.block import draw_seconds as of_graph
        from varprop.montecarlo.graphs.program import compile_graph

        return of_graph(compile_graph(network, DEFAULT_SHARE), sampler == "dense")
    widths, batch = network.widths, network.input.batch
    seconds = _LAYER * network.depth
    for fan_in, width in itertools.pairwise(widths):
        if sampler == "dense":
            seconds += _NUMBER * fan_in * width + _FLOP * 4 * batch * fan_in * width
            seconds += _FLOP * 4 * batch**2 * width + _ELEMENT * batch * width
        elif sampler == "conditional":
            rank = min(fan_in, batch)
            seconds += _NUMBER * rank * (fan_in + width) + _ELEMENT * batch * width
            seconds += _FLOP * 14 * batch * rank * max(fan_in, width)
    return seconds


def default_block_size(network: Network, sampler: str) -> int:
    """Return the draws of one block: a power of two that should take about `BLOCK_SECONDS`."""
    draws = min(max(BLOCK_SECONDS / draw_seconds(network, sampler), SMALLEST_BLOCK), LARGEST_BLOCK)
    return 1 << int(math.log2(draws))


PROCESS = 160 * 2**20
"""Bytes of a Python process with NumPy, SciPy and pandas loaded."""

_HISTOGRAM_BINS = 1000


def check_memory(plans: Sequence[Plan], memory: int, threads: int, window: int) -> int:
    """Return the bytes that each process of a run needs at most, or refuse the run before it starts.

    Parameters
    ----------
    plans : sequence of Plan
        The run; its costliest plan decides.
    memory : int
        Bytes allowed to each process.
    threads : int
        Blocks computed at a time in this process; 0 if worker processes compute them, one each.
    window : int
        Blocks under way or waiting to be merged here.

    Raises
    ------
    InputError
        If more is needed; the message says how much, and what would fit.
    """
    from varprop.montecarlo import graphs, samplers

    block = max(samplers.working_bytes(p) if p.network.is_chain else graphs.working_bytes(p) for p in plans)
    waiting = window * max(statistics_bytes(plan) for plan in plans)
    needed = PROCESS + max(waiting + threads * block, block)
    if needed <= memory:
        return needed
    fits = (memory - PROCESS - waiting) // block
    if threads > 1 and fits >= 1:
        advice = f", or {fits} instead of {threads} threads"
    else:
        advice = ", or narrower layers, or a sampler without weight matrices where it is exact"
    raise InputError("memory", described(spell_bytes(memory)), f"at least {spell_bytes(needed)}{advice}")


def statistics_bytes(plan: Plan) -> int:
    """Return an upper bound of the bytes of one block's statistics in memory."""
    from varprop.montecarlo.sketch import CAPACITY
    from varprop.montecarlo.statistics import names_for

    values = len(names_for(plan.network)) * (24 * min(CAPACITY, plan.block_size) + 200)
    return plan.network.depth * (values + (8 * _HISTOGRAM_BINS if plan.histogram else 0))


def spell_bytes(number: float) -> str:
    """Return a number of bytes for a reader.

    Examples
    --------
    >>> spell_bytes(2**30), spell_bytes(1.5 * 2**20)
    ('1.0 GiB', '1.5 MiB')
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = min(int(math.log2(max(number, 1.0))) // 10, len(units) - 1)
    return f"{number / 1024**power:.{1 if power else 0}f} {units[power]}"
