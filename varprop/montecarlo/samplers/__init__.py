"""How networks are drawn: with weight matrices, without them, or as a chain of norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from varprop._validation import InputError, check_one_of
from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.dense import DenseMaps
from varprop.montecarlo.samplers.program import (
    Program,
    bytes_per_draw,
    compile_network,
    group_sizes,
    keeps_weights,
)
from varprop.montecarlo.samplers.records import Records
from varprop.montecarlo.samplers.reductions import NeedsDouble
from varprop.montecarlo.samplers.walk import Maps, walk
from varprop.montecarlo.statistics import NAMES, Statistics

if TYPE_CHECKING:
    from varprop.montecarlo.blocks import Block, Plan
    from varprop.spec import Network

__all__ = ["choose", "sample_block", "working_bytes"]

# Value, exponent and what summarising them holds at a time.
_BYTES_PER_VALUE = 8 * 12


def choose(network: Network, sampler: str, estimator: str = "plain") -> str:
    """Return the sampler to use: the one asked for if it is exact here, or for ``auto`` the cheapest exact one.

    Raises
    ------
    InputError
        If the sampler's assumptions fail for this network.
    """
    check_one_of("sampler", sampler, ("auto", "dense", "conditional", "chain"))
    return "dense" if sampler == "auto" else sampler


def working_bytes(plan: Plan) -> int:
    """Return about how many bytes one block of the plan needs while it runs, its statistics included."""
    sizes = group_sizes(plan.network, plan.sampler, min(plan.block_size, plan.draws))
    # Double precision, if a group needs it, doubles what one draw holds.
    group = 2 * max(sizes) * bytes_per_draw(plan.network, plan.sampler)
    return group + sum(sizes) * plan.network.depth * len(NAMES) * _BYTES_PER_VALUE


def sample_block(plan: Plan, block: Block) -> Statistics:
    """Draw the networks of one block and summarise them."""
    program = compile_network(plan.network, plan.share, plan.histogram)
    rng = plan.generator(block)
    parts: list[Records] = []
    histogram = np.zeros(0, np.int64)
    dtype = np.dtype(np.float32)
    for draws in group_sizes(plan.network, plan.sampler, block.draws):
        state = rng.bit_generator.state
        try:
            records, counts = walk(program, _maps(plan, program, draws, noise := Noise(rng, dtype)), noise, draws)
        except NeedsDouble:
            # The same random numbers again, so that nothing is selected by what they gave.
            rng.bit_generator.state = state
            dtype = np.dtype(np.float64)
            records, counts = walk(program, _maps(plan, program, draws, noise := Noise(rng, dtype)), noise, draws)
        parts.append(records)
        histogram = histogram + counts if len(parts) > 1 else counts
    value = np.concatenate([part.value for part in parts])
    exponent = np.concatenate([part.exponent for part in parts])
    return Statistics.of(value, exponent, histogram)


def _maps(plan: Plan, program: Program, draws: int, noise: Noise) -> Maps:
    if plan.sampler == "dense":
        return DenseMaps(draws, noise, keeps_weights(plan.network))
    raise InputError("sampler", plan.sampler, "dense")
