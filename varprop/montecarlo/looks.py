"""Draw more and more networks of those cases that still have something open.

Look k sees 50 · 2^(k-1) draws of a case, those of the look before among them. Who judges says how many rows of each
case more draws could settle. A case stops when there are none, or at its budget; the budget follows
from the plan, so the outcome depends neither on the machine nor on the number of workers. A limit of time is for those
who ask for it; it is kept between looks only, and what it cuts off is recorded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from varprop._validation import InputError, check_integer, check_real
from varprop.montecarlo.blocks import Plan
from varprop.montecarlo.costs import check_memory, draw_seconds
from varprop.montecarlo.estimates import estimates, layer_histograms
from varprop.montecarlo.execution import Stretch, execute
from varprop.montecarlo.executors import Workers, count_threads, open_executor, window_of
from varprop.montecarlo.progress import Expected, Progress, Report
from varprop.montecarlo.simulation import make_plans, optional_store
from varprop.montecarlo.statistics import Statistics
from varprop.montecarlo.tables import Simulated, content_digest
from varprop.results.schema import FIRST_LOOK
from varprop.spec import Network, Study

BUDGET_SECONDS = 1.0
"""Predicted seconds on one core after which a case stops, whatever is still open."""

LEAST_BUDGET, LARGEST_BUDGET = 200, 12_800

Judge = Callable[[Sequence[Simulated]], Sequence[int]]
"""Gets what was measured of the cases that a look has drawn, and returns for each how many of its rows more draws would
settle within the budget that its plan has."""


def default_budget(network: Network, sampler: str) -> int:
    """Return the draws after which a case stops: 50 · 2^k that take about `BUDGET_SECONDS` by prediction."""
    wanted = min(max(BUDGET_SECONDS / draw_seconds(network, sampler), LEAST_BUDGET), LARGEST_BUDGET)
    return stop_before(int(wanted))


def stop_before(draws: int) -> int:
    """Return the largest number of draws at which a run with looks may stop, up to `draws` (at least the first look).

    Examples
    --------
    >>> stop_before(1000), stop_before(800), stop_before(60)
    (800, 800, 50)
    """
    stop = FIRST_LOOK
    while 2 * stop <= draws:
        stop *= 2
    return stop


def plans_with_looks(
    networks: Sequence[Network] | Study, budget: int | None = None, **choices: Any
) -> list[Plan]:
    """Return plans that stop at the looks, with the budget that each network has, or `budget` for all.

    Parameters
    ----------
    networks : sequence of Network, or Study
    budget : int, optional
        Draws after which a case stops, at least `FIRST_LOOK`; rounded down to 50 · 2^k.
    **choices
        As in `varprop.montecarlo.planning.make_plan`.
    """
    if budget is not None:
        budget = stop_before(check_integer("budget", budget, minimum=FIRST_LOOK, maximum=10**9))
    plans = make_plans(networks, **{**choices, "draws": FIRST_LOOK, "first_look": FIRST_LOOK})
    return [replace(plan, draws=budget or default_budget(plan.network, plan.sampler)) for plan in plans]


def simulate_looks(
    plans: Sequence[Plan],
    judge: Judge,
    *,
    executor: Workers = None,
    store: str | os.PathLike[str] | None = None,
    resume: bool = True,
    progress: Callable[[Report], None] | None = None,
    memory: int = 2**30,
    seconds: float | None = None,
) -> list[Simulated]:
    """Run plans that have a `first_look` until `judge` finds nothing open, and return what was measured of each.

    Parameters
    ----------
    plans : sequence of Plan
        Their ``draws`` are the budgets.
    judge : callable
        See `Judge`.
    executor, store, resume, progress, memory
        As in `varprop.montecarlo.simulate_network`. The store keeps the blocks of every look, and each case's table
        when it stops.
    seconds : float, optional
        No look begins after so many; a case that this stops says so in its table's ``attrs["stopped"]``.
    """
    if seconds is not None:
        seconds = check_real("seconds", seconds, minimum=0.0, maximum=1e9, exclusive=True)
    if not all(plan.first_look for plan in plans):
        raise InputError("plans", [plan.first_look for plan in plans], "plans with a first look")
    begun = time.monotonic()
    totals: list[Statistics | None] = [None] * len(plans)
    found: list[Simulated | None] = [None] * len(plans)
    open_rows: int | None = None
    going, look, before = list(range(len(plans))), 1, 0
    with open_executor(executor) as pool:
        check_memory(plans, check_integer("memory", memory, minimum=1), count_threads(pool), window_of(pool))
        with optional_store(store, plans, resume) as kept:
            while going:
                now = [min(plans[i].first_look << (look - 1), plans[i].draws) for i in going]
                ends = [plans[i].blocks_until(draws) for i, draws in zip(going, now, strict=True)]
                parts = [
                    Stretch(plans[i].blocks_until(min(before, plans[i].draws)), end, totals[i])
                    for i, end in zip(going, ends, strict=True)
                ]
                meter = None
                if progress is not None:
                    expected = Expected(
                        look=look,
                        draws=[draws - before for draws in now],
                        later=[plans[i].draws - draws for i, draws in zip(going, now, strict=True)],
                        blocks=sum(part.end - part.start for part in parts),
                        open_rows=open_rows,
                        begun=begun,
                    )
                    meter = Progress([plans[i] for i in going], progress, stretch=expected)
                chosen = [plans[i] for i in going]
                for place, total in execute(chosen, pool, store=kept, progress=meter, stretches=parts):
                    i = going[place]
                    totals[i], found[i] = total, _measured(plans[i], total, look, time.monotonic() - begun)
                drawn = [case for i in going if (case := found[i]) is not None]
                left = judge(drawn)
                late = seconds is not None and time.monotonic() - begun >= seconds
                more = []
                for i, case, rows, draws in zip(going, drawn, left, now, strict=True):
                    if rows and draws < plans[i].draws and not late:
                        more.append(i)
                        continue
                    if rows:
                        case.table.attrs["stopped"] = "budget" if draws >= plans[i].draws else "time"
                    if kept is not None:
                        kept.put_result(plans[i], case)
                open_rows = sum(left)
                going, look, before = more, look + 1, plans[0].first_look << (look - 1)
    return [case for case in found if case is not None]


def _measured(plan: Plan, total: Statistics, look: int, seconds: float) -> Simulated:
    frame = estimates(plan, total)
    frame["look"] = look
    frame.attrs["digest"] = content_digest(total)
    frame.attrs["seconds"] = seconds
    return Simulated(frame, layer_histograms(plan, total))
