"""One group of networks, forward and back through a graph, with every quantity measured on the way.

Forward in topological order, each op by its rule; a value is freed once all that read it have read it. Back in the
reverse order, gradients adding up over the readers of a value. Where keeping what the way back needs would take too
much memory, the way forward only notes the generator's state at the start of each segment and the values between
segments; on the way back each segment is walked again from there, measured this time, and then left for good. Both
ways draw the same random numbers in the same order and give the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.montecarlo.graphs.gradients import measure_gradients, measure_input
from varprop.montecarlo.graphs.heads import start
from varprop.montecarlo.graphs.program import GraphProgram
from varprop.montecarlo.graphs.segments import Segment
from varprop.montecarlo.graphs.sites import measure_activations, measure_values
from varprop.montecarlo.normals import Noise
from varprop.montecarlo.ops import Context, rule_of
from varprop.montecarlo.samplers.records import Records
from varprop.montecarlo.samplers.reductions import Columns
from varprop.montecarlo.statistics import NAMES

Array = NDArray[Any]


def walk_graph(
    program: GraphProgram,
    noise: Noise,
    draws: int,
    *,
    explicit: bool = False,
    keep_weights: bool = True,
    again: bool = False,
) -> Records:
    """Draw `draws` networks.

    Parameters
    ----------
    program : GraphProgram
    noise : Noise
    draws : int
    explicit : bool
        Whether all weights are drawn entry by entry.
    keep_weights : bool
        Whether such weights are kept for the way back.
    again : bool
        Whether segments are walked twice instead of keeping everything.

    Returns
    -------
    Records
        Every quantity of every draw.

    Raises
    ------
    varprop.montecarlo.samplers.reductions.NeedsDouble
        If single precision does not suffice; the caller repeats the group in double precision.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        return _Walk(program, noise, draws, explicit, keep_weights).run(again)


class _Walk:
    def __init__(
        self, program: GraphProgram, noise: Noise, draws: int, explicit: bool, keep_weights: bool
    ) -> None:
        self.program, self.noise, self.draws = program, noise, draws
        self.records = Records(draws, program.depth, len(NAMES))
        self.context = Context(noise, draws, explicit, keep_weights)
        self.exact = Context(
            Noise(noise.rng, np.float64), draws, explicit, keep_weights, tables=self.context.tables
        )
        self.values: dict[int, Columns] = {}
        self.saved: dict[int, Any] = {}
        self.gradients: dict[int, tuple[Array, bool]] = {}

    def run(self, again: bool) -> Records:
        program, bits = self.program, self.noise.rng.bit_generator
        whole = Segment(0, len(program.places) - 1)
        segments = program.segments if again else (whole,)
        self.values[0] = Columns(np.broadcast_to(program.x, (self.draws, *program.x.shape)))
        starts = []
        for segment in segments[:-1]:
            starts.append((bits.state, self._entry(segment)))
            self._forward(segment, bare=True)
        self._forward(segments[-1], bare=False)
        output = self._read(segments[-1].last, self.noise.dtype)
        self.values.clear()
        delta, loss = start(program.network, output.array, self.noise)
        if loss is not None:
            self.records.put("initial_loss", program.depth, *loss)
        del output
        self.gradients[segments[-1].last] = delta, True
        del delta
        self._back(segments[-1])
        for segment, (state, entry) in zip(segments[-2::-1], starts[::-1], strict=True):
            now = bits.state
            bits.state = state
            self.values.update(entry)
            self._forward(segment, bare=False)
            bits.state = now
            self.values.clear()
            self._back(segment)
        self.records.finish()
        return self.records

    def _entry(self, segment: Segment) -> dict[int, Columns]:
        """Return the value that a segment starts from."""
        first = max(segment.first - 1, 0)
        return {first: Columns(self.values[first].array)}

    def _forward(self, segment: Segment, *, bare: bool) -> None:
        program = self.program
        self.context.bare = self.exact.bare = bare
        for node in program.graph.nodes[max(segment.first, 1) : segment.last + 1]:
            place, rule = program.places[node.index], rule_of(node.op)
            if program.random[node.index]:
                inputs = [self._read(i, self.noise.dtype) for i in node.sources]
                value, saved = rule.forward(place, inputs, self.context)
            else:
                # What is the same in every draw is worked out in double precision, and once where that is simple.
                inputs = [self.values[i] for i in node.sources]
                if rule.weight_gradients is None:
                    inputs = [Columns(columns.array[:1]) for columns in inputs]
                value, saved = rule.forward(place, inputs, self.exact)
                value = np.broadcast_to(value, (self.draws, *value.shape[1:]))
            self.values[node.index] = Columns(value)
            if not bare:
                self.saved[node.index] = saved
                self._measure(node.index, saved)
            for source in node.sources:
                if node.index == program.graph.consumers[source][-1]:
                    self.values.pop(source, None)

    def _read(self, index: int, dtype: Any) -> Columns:
        """Return a node's value in the precision of the walk."""
        columns = self.values[index]
        if columns.array.dtype == dtype or self.program.places[index].output.vocabulary:
            return columns
        narrow = np.broadcast_to(columns.distinct.astype(dtype), columns.array.shape)
        if self._only_random(index):
            self.values[index] = Columns(narrow)
            return self.values[index]
        return Columns(narrow)

    def _only_random(self, index: int) -> bool:
        readers = self.program.graph.consumers[index]
        return all(self.program.random[reader] for reader in readers)

    def _measure(self, index: int, saved: Any) -> None:
        program, node = self.program, self.program.graph.nodes[index]
        spot = program.by_node.get(index)
        if spot is not None:
            measure_values(spot, self.values[index].array, program.network.input.batch, self.records)
            rule = rule_of(node.op)
            for name, value in ({} if rule.measure is None else rule.measure(saved)).items():
                self.records.put(name, spot.number, value)
                self.records.skip(name, spot.number, np.isnan(np.broadcast_to(value, self.draws)))
        spot = program.by_activated.get(index)
        if spot is not None:
            z = self.values[node.sources[0]].array
            measure_activations(spot, z, self.values[index].array, saved, self.records)

    def _back(self, segment: Segment) -> None:
        program = self.program
        for node in program.graph.nodes[segment.last : max(segment.first, 1) - 1 : -1]:
            saved = self.saved.pop(node.index)
            if node.index not in self.gradients:
                continue
            gradient = Columns(self.gradients.pop(node.index)[0])
            place, rule = program.places[node.index], rule_of(node.op)
            spot = program.by_node.get(node.index)
            if spot is not None:
                measure_gradients(spot, place, rule, saved, gradient, self.records)
            context = self.context if program.random[node.index] else self.exact
            parts = rule.vjp(place, saved, gradient, context)
            if spot is not None and rule.weight_gradients is not None:
                measure_input(spot, parts, self.records)
            for source, part in zip(node.sources, parts, strict=False):
                if source:
                    shared = np.may_share_memory(part, gradient.array)
                    self._add(source, np.asarray(part, self.noise.dtype), shared)

    def _add(self, index: int, part: Array, shared: bool) -> None:
        """Add a gradient to what a node has; an array that others hold too is not changed in place."""
        if index not in self.gradients:
            self.gradients[index] = part, not shared
            return
        held, own = self.gradients[index]
        if own:
            held += part
        else:
            held = held + part
        self.gradients[index] = held, True
