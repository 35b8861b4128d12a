"""The entries of every site of a graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from varprop.analytic.chain import only_exact
from varprop.analytic.entries import Entry
from varprop.analytic.propagation.batches import averaged, parts_of
from varprop.analytic.propagation.chains import add_forward_entries, leading_chain, whole_entries
from varprop.analytic.propagation.propagate import Propagated, propagate
from varprop.analytic.propagation.rows import loss_entry, site_entries
from varprop.spec import Network
from varprop.spec.ops import Attend


def _allowed(network: Network, entry: Entry) -> Entry:
    """Say how far an entry may be from the limit of wide layers, where attention meets tokens / width.

    What is quadratic in the tokens' Gram matrix differs from it by a share of that size (equation F of
    `varprop.analytic.attention.fluctuation`), of which the terms that are not followed are a part.
    """
    graph = network.graph
    rates = [node.shape.count / node.shape.features for node in graph.nodes if isinstance(node.op, Attend)]
    if not rates or entry.order != "infinite" or not entry.value > 0.0 or np.isnan(entry.log_value):
        return entry
    return replace(entry, allowance=entry.value * (network.depth_over_width + max(rates)))


def graph_entries(network: Network, order: str, share: float) -> list[dict[str, Entry]]:
    """Return the entries of every site, by quantity.

    Parameters
    ----------
    network : Network
        That is no chain.
    order, share
        See `predict_network`; corrections of order 1/n are known for chains only.
    """
    parts = parts_of(network)
    if parts is not None:
        return averaged(network, parts, lambda part: graph_entries(part, order, share))
    chain, whole = leading_chain(network)
    if chain is not None and whole:
        return whole_entries(network, chain, order, share)
    found = propagate(network)
    tables = site_tables(found, share, chain, order)
    tables[-1] |= loss_entry(found)
    tables = [{name: _allowed(network, entry) for name, entry in table.items()} for table in tables]
    if order == "exact":
        tables = [{name: only_exact(entry) for name, entry in table.items()} for table in tables]
    return tables


def site_tables(found: Propagated, share: float, chain: Network | None, order: str) -> list[dict[str, Entry]]:
    """Return the entries of every site, `chain` being the chain with which the graph begins, if there is one."""
    network = found.walk.network
    tables = [site_entries(found, site, share) for site in network.graph.sites]
    if chain is not None:
        add_forward_entries(network, chain, tables, order, share)
    return tables
