"""What the engine must know of a graph, worked out once per plan: places of ops, sites, segments."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

from varprop.montecarlo.graphs.segments import Segment, cut
from varprop.montecarlo.ops import Place
from varprop.montecarlo.samplers.program import extreme, size_ratio
from varprop.spec.ops import (
    Attend,
    ClassToken,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    Positions,
    Unembedding,
    Weighted,
)

if TYPE_CHECKING:
    from varprop.activations import Activation
    from varprop.spec import Network
    from varprop.spec.graph import Graph

Array = NDArray[Any]

Mean = Literal["none", "known", "inputs", "units"]

_BEYOND_SINGLE = 2.0**40


@dataclass(frozen=True, eq=False)
class Spot:
    """A site as the engine sees it; attributes of one name mean what they mean in `samplers.program.Step`.

    Attributes
    ----------
    number : int
        From 1.
    node, activated : int
        Indices of the nodes of z and of phi(z).
    features, positions : int
        Of z; positions of one example.
    activation : Activation
    low, high : float
    inactive : tuple of (float, float)
    mean : {"none", "known", "inputs", "units"}
    weighted : bool
        Whether z has weights of its own, so that a variance over them is defined.
    offset : float
        Mean of z over weights and biases where that is known.
    quantities : tuple of str
        What the table says about the site.
    """

    number: int
    node: int
    activated: int
    features: int
    positions: int
    activation: Activation
    low: float
    high: float
    inactive: tuple[tuple[float, float], ...]
    mean: Mean
    weighted: bool
    offset: float
    quantities: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class GraphProgram:
    """A network as the engine sees it.

    Attributes
    ----------
    network : Network
    graph : Graph
    places : tuple of Place
        By node.
    steps : tuple of Spot
        By site.
    random : tuple of bool
        For each node whether its value varies from draw to draw; the others are worked out in double precision.
    x : array of float64, shape (n_0, B T)
    double : bool
        Whether single precision is not tried.
    """

    network: Network
    graph: Graph
    places: tuple[Place, ...]
    steps: tuple[Spot, ...]
    random: tuple[bool, ...]
    x: Array
    double: bool

    @property
    def depth(self) -> int:
        """Number of sites."""
        return len(self.steps)

    @functools.cached_property
    def by_node(self) -> dict[int, Spot]:
        """From the node of z to its site."""
        return {spot.node: spot for spot in self.steps}

    @functools.cached_property
    def by_activated(self) -> dict[int, Spot]:
        """From the node of phi(z), where there is one, to its site."""
        return {spot.activated: spot for spot in self.steps if spot.activated != spot.node}

    @functools.cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Pieces of the graph between which only one value passes."""
        return cut(self.graph, self.network.input.batch)


@functools.lru_cache(maxsize=16)
def compile_graph(network: Network, share: float) -> GraphProgram:
    """Work out the program of a network that is no chain."""
    graph, examples = network.graph, network.input.batch
    places = tuple(
        Place(node.op, tuple(graph.inputs(node)), node.shape, examples, node.index, node.table)
        for node in graph.nodes
    )
    random: list[bool] = []
    for node in graph.nodes:
        random.append(any(random[i] for i in node.sources) or _draws(places[node.index]))
    x = network.input.array()
    double = size_ratio(x) > _BEYOND_SINGLE or any(extreme(law) for p in places for law in _laws(p))
    steps = tuple(
        _spot(network, places, random, site.number, site.node, site.activated, site.activation, share)
        for site in graph.sites
    )
    return GraphProgram(network, graph, places, steps, tuple(random), x, double)


def _laws(place: Place) -> list[Any]:
    op = place.op
    laws = []
    if isinstance(op, Weighted | Embedding | Positions | ClassToken):
        laws.append(op.weight_law(*place.inputs))
    if isinstance(op, Weighted):
        laws.append(op.bias_law(*place.inputs))
    return laws


def _draws(place: Place) -> bool:
    if isinstance(place.op, Dropout):
        return place.op.rate > 0
    return any(not law.deterministic for law in _laws(place))


def _spot(
    network: Network,
    places: tuple[Place, ...],
    random: list[bool],
    number: int,
    node: int,
    activated: int,
    phi: Activation,
    share: float,
) -> Spot:
    place = places[node]
    weighted = isinstance(place.op, Dense | Convolution | Embedding | Unembedding)
    mean: Mean = "none"
    offset = 0.0
    if random[node]:
        mean, offset = _mean(place) if weighted else ("units", 0.0)
    tails = phi.saturation(share)
    return Spot(
        number,
        node,
        activated,
        place.output.features,
        place.output.count,
        phi,
        tails.low,
        tails.high,
        tuple(phi.inactive),
        mean,
        weighted,
        offset,
        _quantities(network, place, weighted, activated != node),
    )


def _mean(place: Place) -> tuple[Mean, float]:
    """Return what is known of the mean of z over weights and biases at a fixed input, and its value if it is known."""
    op = place.op
    if isinstance(op, Unembedding):
        return "units", 0.0  # its rows of tokens in use depend on the same table
    weight = op.weight_law(*place.inputs)
    if isinstance(op, Embedding):
        return ("known", weight.mean) if weight.family != "identity" else ("units", 0.0)
    if weight.family == "identity":
        return "units", 0.0
    if isinstance(op, Convolution) and weight.mean and (op.transposed or op.groups > 1):
        return "units", 0.0  # channels of different groups read different features
    return ("known", op.bias_law(*place.inputs).mean) if weight.mean == 0.0 else ("inputs", 0.0)


def _quantities(network: Network, place: Place, weighted: bool, activated: bool) -> tuple[str, ...]:
    examples, positions = place.examples, place.output.count
    names = ["preactivation_mean", "preactivation_second_moment"]
    names += ["preactivation_variance"] if weighted else []
    names += ["data_variance"] if examples * positions > 1 else []
    names += ["correlation"] if examples > 1 else []
    names += ["token_correlation"] if positions > 1 else []
    if activated:
        names += ["activation_mean", "activation_second_moment", "saturated_fraction", "inactive_fraction"]
        names += ["derivative_second_moment"]
        names += ["dead_fraction"] if examples * positions > 1 else []
    names += ["gradient_preactivation", "gradient_squared_norm"]
    if isinstance(place.op, Dense | Convolution | Unembedding):
        names += ["gradient_weight", "gradient_weight_batch", "gradient_input"]
    if isinstance(place.op, Dense | Convolution) and place.op.bias:
        names += ["gradient_bias"]
    if isinstance(place.op, Attend):
        names += ["logit_variance", "attention_concentration"]
    last = network.graph.sites[-1].node == place.node
    names += ["initial_loss"] if last and network.head.kind != "unit" else []
    return tuple(names)
