"""The entries of every site of a graph."""

from __future__ import annotations

from varprop.analytic.chain import only_exact
from varprop.analytic.entries import Entry
from varprop.analytic.propagation.batches import averaged, parts_of
from varprop.analytic.propagation.chains import add_forward_entries, leading_chain, whole_entries
from varprop.analytic.propagation.propagate import propagate
from varprop.analytic.propagation.rows import loss_entry, site_entries
from varprop.spec import Network


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
    tables = [site_entries(found, site, share) for site in network.graph.sites]
    tables[-1] |= loss_entry(found)
    if chain is not None:
        add_forward_entries(network, chain, tables, order, share)
    if order == "exact":
        tables = [{name: only_exact(entry) for name, entry in table.items()} for table in tables]
    return tables
