"""A walk over a graph: what rules may ask about other nodes while it lasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from varprop.analytic.propagation.signal import Array, Gradient, Signal, gaussian, sample_count
from varprop.spec import Network
from varprop.spec.graph import Graph, Node
from varprop.spec.ops import Add, Dropout, Op, Shape


@dataclass(frozen=True)
class Place:
    """One node during a walk.

    Attributes
    ----------
    walk : Walk
    node : Node
    """

    walk: Walk
    node: Node

    @cached_property
    def before(self) -> list[Shape]:
        """Shapes of the inputs."""
        return self.walk.graph.inputs(self.node)

    @property
    def examples(self) -> int:
        """B."""
        return self.walk.network.input.batch

    @property
    def columns(self) -> int:
        """N of the output."""
        return self.examples * self.node.shape.count


class Roots(NamedTuple):
    """In which nodes' weights a value is linear, or only odd.

    Attributes
    ----------
    linear : frozenset of int
        Nodes with weights of mean zero in which the value is linear, up to a constant.
    odd : frozenset of int
        Nodes with weights and biases of a symmetric law: the value changes its sign with all of them.
    """

    linear: frozenset[int] = frozenset()
    odd: frozenset[int] = frozenset()

    @property
    def any(self) -> frozenset[int]:
        """Both."""
        return self.linear | self.odd


def no_roots(walk: Walk, node: Node) -> Roots:
    """Return nothing: what comes out has no sign of its own."""
    return Roots()


def kept_roots(walk: Walk, node: Node) -> Roots:
    """Return what all inputs of a linear op have in common."""
    inputs = [walk.roots[source] for source in node.sources]
    return Roots(
        frozenset.intersection(*(roots.linear for roots in inputs)),
        frozenset.intersection(*(roots.odd for roots in inputs)),
    )


def odd_roots(walk: Walk, node: Node) -> Roots:
    """Return what an odd function of one input keeps."""
    return Roots(odd=walk.roots[node.sources[0]].odd)


def never(walk: Walk, node: Node) -> bool:
    """Say no."""
    return False


def always(walk: Walk, node: Node) -> bool:
    """Say yes."""
    return True


@dataclass(frozen=True)
class Rule:
    """What one op makes of laws.

    Attributes
    ----------
    forward : callable
        ``forward(place, inputs)`` returns the output's `Signal`.
    backward : callable
        ``backward(place, gradient, inputs)`` returns a `Gradient` for each input.
    sample, sample_back : callable or None
        The same for single features, shape (N, R), for ops that treat features alike and separately, up to their
        common mean and scale: ``sample(place, inputs, values)`` and ``sample_back(place, gradient, inputs, values)``,
        `values` being the inputs' features.
    coupling : callable
        ``coupling(walk, node)`` says whether the gradient that the node sends goes with the values below it in a way
        that only samples follow: a batch's own statistics, a maximum, a function of a function of the same feature.
    reads_known : bool
        Whether the op reads the values of an input of more columns than the covariance is formed of.
    meets_examples : bool
        Whether what it makes of one example depends on the others.
    roots : callable
        ``roots(walk, node)`` says in which weights the output is linear or odd.
    """

    forward: Callable[[Place, list[Signal]], Signal]
    backward: Callable[[Place, Gradient, list[Signal]], list[Gradient]]
    sample: Callable[[Place, list[Signal], list[Array]], Array] | None = None
    sample_back: Callable[[Place, Array, list[Signal], list[Array]], list[Array]] | None = None
    coupling: Callable[[Walk, Node], bool] = never
    roots: Callable[[Walk, Node], Roots] = no_roots
    reads_known: bool = False
    meets_examples: bool = False


Rules = Mapping[type[Op], Rule]


@dataclass
class Walk:
    """The state of a walk.

    Attributes
    ----------
    network : Network
    rules : mapping
        From an op's class to its rule.
    signals : list of Signal
        Of the nodes that were visited.
    roots : list of Roots
        The same.
    """

    network: Network
    rules: Rules
    signals: list[Signal] = field(default_factory=list)
    roots: list[Roots] = field(default_factory=list)
    _drawn: dict[int, Array] = field(default_factory=dict)

    @cached_property
    def graph(self) -> Graph:
        """The network's graph."""
        return self.network.graph

    @cached_property
    def above(self) -> list[int]:
        """For every node, the set of nodes that it depends on, itself included, as the bits of a whole number."""
        found: list[int] = []
        for node in self.graph.nodes:
            bits = 1 << node.index
            for source in (*node.sources, node.table):
                bits |= found[source] if source < node.index else 0
            found.append(bits)
        return found

    @cached_property
    def coupled(self) -> list[bool]:
        """For every node, whether its gradient must be followed feature by feature, with the values.

        Asked for after the forward walk.
        """
        found: list[bool] = []
        for node in self.graph.nodes:
            rule = self.rules[type(node.op)]
            pointwise = rule.sample is not None
            here = pointwise and (any(found[i] for i in node.sources) or rule.coupling(self, node))
            found.append(here)
        return found

    def depends(self, index: int, on: int) -> bool:
        """Return whether node `index` depends on node `on`."""
        return bool(self.above[index] >> on & 1)

    def independent(self, one: int, other: int) -> bool:
        """Return whether E x_one x_other is the product of their means.

        So it is if one of them is, but for a constant, linear in weights of mean zero that the other does not depend
        on: the average over those weights alone gives it, at any width and for any law.
        """
        return any(not self.depends(other, w) for w in self.roots[one].any) or any(
            not self.depends(one, w) for w in self.roots[other].any
        )

    def cross(self, one: int, other: int) -> tuple[Array, bool]:
        """Return E x_one x_otherᵀ, shape (N, N), and whether it is known (else taken as uncorrelated)."""
        if one == other:
            return self.signals[one].second, True
        if self.independent(one, other):
            return np.outer(self.signals[one].mean, self.signals[other].mean), True
        if one < other:
            found, known = self.cross(other, one)
            return found.T, known
        node = self.graph.nodes[one]
        found = np.zeros((self.signals[one].mean.size, self.signals[other].mean.size))
        if isinstance(node.op, Add):
            known = True
            for scale, source in zip(node.op.scales, node.sources, strict=True):
                part, own = self.cross(source, other)
                found, known = found + scale * part, known and own
            return found, known
        if isinstance(node.op, Dropout):
            return self.cross(node.sources[0], other)
        slope = getattr(self.signals[one].kept, "slope", None)
        source = node.sources[0] if node.sources else one
        if source == other and slope is not None and self.signals[source].gaussian:
            # Stein's identity: E phi(z_t) z_t' = E phi E z + K_tt' E phi'(z_t).
            means = np.outer(self.signals[one].mean, self.signals[other].mean)
            return means + self.signals[other].covariance * slope[:, None], True
        x, y = self.sample(one), self.sample(other)
        return np.asarray(x @ y.T / x.shape[1]), self._drawn_together(one, other)

    def _drawn_together(self, one: int, other: int) -> bool:
        """Return whether the Gaussian features from which two values are made are independent unless the same."""
        leaves = sorted(self._leaves(one) | self._leaves(other))
        return all(self.independent(i, j) for i in leaves for j in leaves if i < j)

    def _leaves(self, index: int) -> set[int]:
        found, stack = set(), [index]
        while stack:
            i = stack.pop()
            node = self.graph.nodes[i]
            if self.rules[type(node.op)].sample is None:
                found.add(i)
            else:
                stack.extend(node.sources)
        return found

    def sample(self, index: int) -> Array:
        """Return R features of a node's output, shape (N, R): what ops between weights make of Gaussian features.

        Features of different nodes belong together: where weights of mean zero end, a Gaussian vector over the columns
        is drawn with the node's second moment, and everything up to the next weights is computed from it.
        """
        needed, stack = [], [index]
        while stack:
            i = stack.pop()
            if i in self._drawn or i in needed:
                continue
            needed.append(i)
            if self.rules[type(self.graph.nodes[i].op)].sample is not None:
                stack.extend(self.graph.nodes[i].sources)
        for i in sorted(needed):
            node = self.graph.nodes[i]
            rule, signal = self.rules[type(node.op)], self.signals[i]
            if rule.sample is None:
                rng = np.random.default_rng([31, i])
                draws = gaussian(signal.covariance, self.features_drawn, rng)
                self._drawn[i] = draws + signal.mean[:, None]
            else:
                inputs = [self.signals[j] for j in node.sources]
                self._drawn[i] = rule.sample(
                    Place(self, node), inputs, [self._drawn[j] for j in node.sources]
                )
        return self._drawn[index]

    @cached_property
    def features_drawn(self) -> int:
        """R: one number for all nodes, so that their features belong together."""
        examples = self.network.input.batch
        return sample_count(examples * max(node.shape.count for node in self.graph.nodes))
