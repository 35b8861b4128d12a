"""Blocks of draws of a graph: how many networks side by side, in which precision, within how much memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from varprop.montecarlo.graphs.program import GraphProgram, compile_graph
from varprop.montecarlo.graphs.segments import held_bytes, held_numbers, segmented_bytes
from varprop.montecarlo.graphs.walk import walk_graph
from varprop.montecarlo.heap import keep_freed_memory
from varprop.montecarlo.maps import weight_free
from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.records import Records, joined
from varprop.montecarlo.samplers.reductions import NeedsDouble
from varprop.montecarlo.statistics import NAMES, ROUNDING_DOUBLE, ROUNDING_SINGLE, Statistics
from varprop.spec.ops import Convolution, Dense, Unembedding

if TYPE_CHECKING:
    from varprop.montecarlo.blocks import Block, Plan
    from varprop.montecarlo.ops import Place

KEPT = 700 << 20
"""Bytes up to which a group keeps all that the way back needs; beyond, segments are walked twice."""

_GROUP = 1 << 28
_ELEMENTS = 3 << 16
_FEWEST = 4
_BYTES_PER_VALUE = 8 * 12
_DRAWN = 3e-9  # seconds for one random number
_PASSED = 30e-9  # seconds to pass one number of a value through its op, forward and back, and the statistics
_FLOP = 1 / 60e9
_NODE = 3e-5  # seconds for one node of one group whatever its size


def sample_block(plan: Plan, block: Block) -> Statistics:
    """Draw the networks of one block and summarise them."""
    keep_freed_memory()
    program = compile_graph(plan.network, plan.share)
    rng = plan.generator(block)
    explicit = plan.sampler == "dense"
    records: list[Records] = []
    dtype = np.dtype(np.float64 if program.double else np.float32)
    for draws in group_sizes(program, explicit, block.draws):
        state = rng.bit_generator.state
        while True:
            try:
                record = walk_graph(
                    program,
                    Noise(rng, dtype, plan.compiled),
                    draws,
                    explicit=explicit,
                    keep_weights=_keeps_weights(program, explicit),
                    again=_again(program, draws * dtype.itemsize // 4),
                )
                break
            except NeedsDouble:
                # The same random numbers again, so that nothing is selected by what they gave.
                rng.bit_generator.state = state
                dtype = np.dtype(np.float64)
        records.append(record)
    rounding = ROUNDING_SINGLE if dtype == np.float32 or len(records) > 1 else ROUNDING_DOUBLE
    return Statistics.of(*joined(records), rounding=rounding)


def working_bytes(plan: Plan) -> int:
    """Return about how many bytes one block of the plan needs while it runs, its statistics included."""
    program = compile_graph(plan.network, plan.share)
    explicit = plan.sampler == "dense"
    sizes = group_sizes(program, explicit, min(plan.block_size, plan.draws))
    # Double precision, if a group needs it, doubles what one draw holds.
    group = max(n * draw_bytes(program, explicit, _again(program, n)) for n in (max(sizes), 2 * max(sizes)))
    return group + sum(sizes) * program.depth * len(NAMES) * _BYTES_PER_VALUE


def group_sizes(program: GraphProgram, explicit: bool, draws: int) -> list[int]:
    """Cut `draws` into groups that are walked side by side, as equal as can be."""
    elements = max(place.output.features * place.output.count * place.examples for place in program.places)
    wide = max(1, _ELEMENTS // elements)
    fits = max(1, _GROUP // draw_bytes(program, explicit, again=False))
    size = min(max(wide, _FEWEST), fits, draws)
    number = math.ceil(draws / size)
    return [draws // number + (i < draws % number) for i in range(number)]


def draw_bytes(program: GraphProgram, explicit: bool, again: bool) -> int:
    """Return roughly how many bytes one draw holds while it is walked, in single precision."""
    examples = program.network.input.batch
    held = held_bytes(program.graph, examples)
    if again:
        held = segmented_bytes(program.graph, program.segments, examples)
    sizes = _matrix_sizes(program, explicit)
    held += sum(sizes) if _keeps_weights(program, explicit) else 2 * max(sizes, default=0)
    widest = max(held_numbers(program.graph, node, examples) for node in program.graph.nodes)
    return held + 4 * 6 * widest


def _again(program: GraphProgram, draws: int) -> bool:
    """Say whether so many draws in single precision (half as many in double) keep too much."""
    return draws * held_bytes(program.graph, program.network.input.batch) > KEPT


def _keeps_weights(program: GraphProgram, explicit: bool) -> bool:
    return sum(_matrix_sizes(program, explicit)) <= _GROUP


@dataclass(frozen=True)
class _Matrix:
    """The weights of one op: `groups` matrices side by side, each multiplied with `number` columns.

    `free` says whether they need not be formed.
    """

    rows: int
    columns: int
    groups: int
    number: int
    free: bool


def _matrix_sizes(program: GraphProgram, explicit: bool) -> list[int]:
    """Return the bytes of the matrices that one draw forms."""
    return [4 * m.rows * m.columns * m.groups for m in _matrices(program) if explicit or not m.free]


def _matrices(program: GraphProgram) -> list[_Matrix]:
    kinds = Dense | Convolution | Unembedding
    return [_matrix(program, place) for place in program.places if isinstance(place.op, kinds)]


def _matrix(program: GraphProgram, place: Place) -> _Matrix:
    op, (before,) = place.op, place.inputs
    number, columns = place.output.count * place.examples, before.features
    if isinstance(op, Unembedding):
        table = program.places[place.table]
        law = table.op.weight_law(*table.inputs)
        return _Matrix(op.vocabulary, columns, 1, number, weight_free(law, columns, number))
    rows, groups, whole = place.output.features, 1, True
    if isinstance(op, Convolution):
        window, groups = program.graph.window(program.graph.nodes[place.node]), op.groups
        rows, columns = rows // groups, columns // groups
        whole = groups == 1 and not op.transposed
        if op.transposed:
            rows, number = rows * window, before.count * place.examples
        else:
            columns *= window
    free = weight_free(op.weight_law(*place.inputs), columns, number, whole=whole)
    return _Matrix(rows, columns, groups, number, free)


def all_explicit(program: GraphProgram) -> str:
    """Return why no map of a network can do without its weights, or an empty text if one can."""
    if any(matrix.free for matrix in _matrices(program)):
        return ""
    return "no map has normal, Haar-orthogonal or constant weights and fewer columns of data than inputs"


def draw_seconds(program: GraphProgram, explicit: bool) -> float:
    """Return the predicted seconds of one draw, forward and back, on one core."""
    examples = program.network.input.batch
    seconds = _NODE * len(program.places)
    for node in program.graph.nodes:
        seconds += _PASSED * node.shape.features * node.shape.count * examples
    for m in _matrices(program):
        if m.free and not explicit:
            numbers, products = m.number * (m.rows + m.columns), 7 * m.number**2 * (m.rows + m.columns)
        else:
            numbers, products = m.rows * m.columns, 6 * m.number * m.rows * m.columns
        seconds += m.groups * (_DRAWN * numbers + _FLOP * products)
    return seconds
