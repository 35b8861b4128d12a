"""How networks are drawn: with weight matrices, without them, or as a chain of norms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.control import controlled
from varprop.montecarlo.heap import keep_freed_memory
from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.chain import run_chain
from varprop.montecarlo.samplers.conditional import ConditionalMaps
from varprop.montecarlo.samplers.dense import DenseMaps
from varprop.montecarlo.samplers.program import (
    bytes_per_draw,
    compile_network,
    group_sizes,
    keeps_weights,
)
from varprop.montecarlo.samplers.records import Records, joined
from varprop.montecarlo.samplers.reductions import NeedsDouble
from varprop.montecarlo.samplers.walk import Maps, walk
from varprop.montecarlo.samplers.watch import Watch
from varprop.montecarlo.statistics import ROUNDING_DOUBLE, ROUNDING_SINGLE, Statistics, names_for
from varprop.results.schema import QUANTITIES

if TYPE_CHECKING:
    from varprop.montecarlo.blocks import Block, Plan

Array = NDArray[Any]

__all__ = ["sample_block", "working_bytes"]

# Value, exponent and what summarising them holds at a time.
_BYTES_PER_VALUE = 8 * 12


def working_bytes(plan: Plan) -> int:
    """Return about how many bytes one block of the plan needs while it runs, its statistics included."""
    sizes = group_sizes(plan.network, plan.sampler, min(plan.block_size, plan.draws))
    # Double precision, if a group needs it, doubles what one draw holds.
    group = 2 * max(sizes) * bytes_per_draw(plan.network, plan.sampler)
    return group + sum(sizes) * plan.network.depth * len(names_for(plan.network)) * _BYTES_PER_VALUE


def sample_block(plan: Plan, block: Block) -> Statistics:
    """Draw the networks of one block and summarise them."""
    keep_freed_memory()
    program = compile_network(plan.network, plan.share, plan.histogram, plan.compiled)
    rng = plan.generator(block)
    if plan.sampler == "chain":
        chain = run_chain(program, rng, block.draws)
        return Statistics.of(chain.value, chain.exponent)
    layers = controlled(program) if plan.estimator == "control" else None
    # Under control, gradients are drawn in one group per block, to say what control has gained, or where it does
    # not hold in all of them.
    once = layers is not None and all(layers[name].all() for name in layers if QUANTITIES[name].backward)
    records: list[Records] = []
    values: list[Records] = []
    innovations: list[Array] = []
    histogram: Array | None = None
    dtype = np.dtype(np.float64 if program.double else np.float32)
    rounding = ROUNDING_DOUBLE
    for draws in group_sizes(plan.network, plan.sampler, block.draws):
        state = rng.bit_generator.state
        while True:
            noise = Noise(rng, dtype, plan.compiled)
            watch = None if layers is None else Watch(program)
            back = not (once and records)
            try:
                record, counts = walk(
                    program, _maps(plan, draws, noise), noise, draws, backward=back, watch=watch
                )
                break
            except NeedsDouble:
                # The same random numbers again, so that nothing is selected by what they gave.
                rng.bit_generator.state = state
                dtype = np.dtype(np.float64)
        rounding = max(rounding, ROUNDING_SINGLE if dtype == np.float32 else ROUNDING_DOUBLE)
        records.append(record)
        if watch is None or layers is None:
            values.append(record)
        else:
            found, relative = watch.values()
            values.append(record.replaced(found, layers))
            innovations.append(relative)
        histogram = counts if histogram is None else histogram + counts
    return Statistics.of(
        *joined(values),
        histogram,
        plain=None if layers is None else joined(records),
        innovations=np.concatenate(innovations) if innovations else None,
        rounding=rounding,
    )


def _maps(plan: Plan, draws: int, noise: Noise) -> Maps:
    if plan.sampler == "dense":
        return DenseMaps(draws, noise, keeps_weights(plan.network))
    return ConditionalMaps(noise)
