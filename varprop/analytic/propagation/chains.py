"""Dense chains inside graphs: what the theory of chains knows of them is what a graph's table says.

A graph that is a chain of dense layers, written as parts, has the rows of that chain. Where a graph begins with one,
the forward rows up to its end are those of a chain that reads every column as an example.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from varprop.analytic.chain import chain_entries
from varprop.analytic.entries import Entry
from varprop.spec import Network
from varprop.spec.heads import Head
from varprop.spec.inputs import Input
from varprop.spec.layers import Layer
from varprop.spec.ops import Activate, Dense

Table = dict[str, Entry]

_FORWARD = (
    "preactivation_mean",
    "preactivation_variance",
    "preactivation_second_moment",
    "data_variance",
    "activation_mean",
    "activation_second_moment",
    "saturated_fraction",
    "inactive_fraction",
    "dead_fraction",
    "derivative_second_moment",
)
_OF_ACTIVATIONS = _FORWARD[4:]
_OF_PAIRS = ("data_variance", "correlation", "dead_fraction")
_MOST_COLUMNS = 256
"""Columns up to which a chain at the beginning of a graph is looked at by itself."""


def leading_chain(network: Network) -> tuple[Network | None, bool]:
    """Return the chain with which a graph begins, every column an example, and whether it is the whole graph."""
    graph = network.graph
    layers: list[Layer] = []
    end = 0
    if network.input.vocabulary:
        return None, False
    while end + 1 < len(graph.nodes):
        node = graph.nodes[end + 1]
        if not isinstance(node.op, Dense) or node.sources != (end,):
            break
        op, end = node.op, end + 1
        phi: object = "linear"
        after = graph.nodes[end + 1] if end + 1 < len(graph.nodes) else None
        if after is not None and isinstance(after.op, Activate) and after.sources == (end,):
            phi, end = after.op.activation, end + 1
        layers.append(Layer(op.width, phi, op.weights, op.biases, op.gain))  # type: ignore[arg-type]
    if not layers:
        return None, False
    whole = end == graph.output.index and not network.input.positions
    head = network.head if whole else Head()
    data = Input(network.input.array(), labels=network.input.labels if whole else None)
    return Network(data, tuple(layers), head), whole


def whole_entries(network: Network, chain: Network, order: str, share: float) -> list[Table]:
    """Return the entries of a graph that is nothing but a chain of dense layers on vectors."""
    tables = []
    for site, entries in zip(network.graph.sites, chain_entries(chain, order, share), strict=True):
        table = _kept(entries, site.activated != site.node, chain.input.batch)
        op = network.graph.nodes[site.node].op
        if isinstance(op, Dense) and not op.bias:
            del table["gradient_bias"]
        width = network.graph.nodes[site.node].shape.features
        here = entries["gradient_preactivation"]
        with np.errstate(over="ignore"):
            table["gradient_squared_norm"] = replace(
                here,
                value=here.value * width,
                log_value=here.log_value + float(np.log(width)),
                allowance=here.allowance * width,
            )
        tables.append(table)
    return tables


def add_forward_entries(
    network: Network, chain: Network, tables: list[Table], order: str, share: float
) -> None:
    """Put what the theory of chains says of the chain with which a graph begins into the graph's tables."""
    if chain.input.batch > _MOST_COLUMNS:
        return
    found = chain_entries(chain, order, share)
    for site, entries, table in zip(network.graph.sites, found, tables, strict=False):
        known = _kept(entries, site.activated != site.node, chain.input.batch)
        names = _FORWARD + (() if network.input.positions else ("correlation",))
        table |= {name: known[name] for name in names if name in known and known[name].order}


def _kept(entries: Table, activated: bool, columns: int) -> Table:
    left_out = (() if activated else _OF_ACTIVATIONS) + (() if columns > 1 else _OF_PAIRS)
    table = {name: entry for name, entry in entries.items() if name not in left_out}
    if "correlation" in table and table["correlation"].order == "exact":
        # A chain's is a ratio of expectations, a graph's the mean of what every draw shows.
        table["correlation"] = replace(table["correlation"], order="infinite", allowance=float("nan"))
    return table
