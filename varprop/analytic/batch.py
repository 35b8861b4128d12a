"""Add to the entries of every layer what needs more than one input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.batch_rows import (
    batch_gradient,
    correlation,
    data_variance,
    dead_fraction,
    gradient_products,
    known_dead_fraction,
)
from varprop.analytic.covariance import LARGEST_BATCH, Pairs, PairState, pair_states
from varprop.analytic.entries import Entry, moment, unpredicted
from varprop.analytic.fluctuations import GradientFluctuation
from varprop.analytic.gradients import Gradients
from varprop.analytic.head_pairs import head_products
from varprop.analytic.head_start import Start
from varprop.analytic.known import input_values
from varprop.analytic.states import KnownLayer, LayerState
from varprop.spec import Network

Array = NDArray[np.float64]
States = Sequence[KnownLayer | LayerState]

BATCH_QUANTITIES = ("data_variance", "correlation", "dead_fraction", "gradient_weight_batch")


def add_batch_entries(
    network: Network,
    states: States,
    gradients: Sequence[Gradients],
    finite: Sequence[GradientFluctuation | None],
    head: Start,
    tables: list[dict[str, Entry]],
) -> None:
    """Enter `BATCH_QUANTITIES` into `tables`, one per layer."""
    batch = network.input.batch
    if batch == 1:
        for table in tables:
            table["dead_fraction"] = table["inactive_fraction"]
            table["gradient_weight_batch"] = table["gradient_weight"]
        return
    if batch > LARGEST_BATCH:
        for table in tables:
            table |= dict.fromkeys(
                BATCH_QUANTITIES, unpredicted(f"pairs of more than {LARGEST_BATCH} inputs")
            )
        return
    pairs = Pairs.of(batch)
    pair_list = pair_states(states, input_values(network.input.array()), pairs)
    batch_gradients = _gradients(network, states, gradients, head, pair_list, pairs, tables, finite)
    for state, pair, table, gradient in zip(states, pair_list, tables, batch_gradients, strict=True):
        table["data_variance"] = data_variance(pair)
        table["correlation"] = correlation(state, pair, pairs)
        known = isinstance(state, KnownLayer)
        table["dead_fraction"] = (
            known_dead_fraction(state) if isinstance(state, KnownLayer) else dead_fraction(state, pair, pairs)
        )
        table["gradient_weight_batch"] = gradient
        assert known or isinstance(state, LayerState)


def _gradients(
    network: Network,
    states: States,
    gradients: Sequence[Gradients],
    head: Start,
    pair_list: Sequence[PairState],
    pairs: Pairs,
    tables: Sequence[dict[str, Entry]],
    finite: Sequence[GradientFluctuation | None],
) -> list[Entry]:
    batch, last = network.input.batch, states[-1]
    if network.head.kind == "unit":
        # Gradients of different inputs are independent with mean 0: only the B squares are left.
        return [_shared(table["gradient_weight"], batch) for table in tables]
    if isinstance(last, KnownLayer):
        return [_known_gradient(g) for g in gradients]
    top, note = head_products(network, last, head, pair_list[-1], pairs)
    products = gradient_products(states, pair_list, top)
    found: list[Entry] = []
    rate = sum(1.0 / state.width for state in states[:-1])
    for position, (state, gradient, pair, product, own) in enumerate(
        zip(states, gradients, pair_list, products, finite, strict=True)
    ):
        if isinstance(state, KnownLayer) or np.isnan(product).any():
            why = note or pair.reason or "no pair rule for layers without randomness below random ones"
            found.append(unpredicted(why))
            continue
        arriving = state.arriving_log_square
        logs = batch_gradient(gradient.log_preactivation, product, arriving, pair, pairs)
        doubts = (note, pair.note, *(above.slopes_note for above in pair_list[position:-1]))
        entry = moment(logs, False, (*gradient.weight_reasons, *(d for d in doubts if d)))
        # What finite width does to one example's gradient it does to the batch's; and inner products of two
        # inputs fluctuate by their whole size over the width, however small they are on average.
        gross = batch_gradient(gradient.log_preactivation, np.ones_like(product), arriving, None, pairs)
        size = float(np.max(np.abs(np.expm1(own.weight)))) if own is not None else np.nan
        with np.errstate(over="ignore"):
            allowance = float(entry.value * size + rate * np.exp(gross[0]))
        found.append(replace(entry, allowance=allowance))
    return found


def _shared(entry: Entry, batch: int) -> Entry:
    log_value = entry.log_value - float(np.log(batch))
    return Entry(entry.value / batch, log_value, entry.order, entry.reason, entry.allowance / batch)


def _known_gradient(gradients: Gradients) -> Entry:
    if gradients.log_weight_batch is None:
        return unpredicted("no pair rule here")
    return moment(gradients.log_weight_batch, gradients.exact_weight, gradients.reasons)
