"""From networks to one table: plan, check the memory, run, estimate."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from varprop._validation import InputError, check_integer
from varprop.montecarlo.blocks import Plan
from varprop.montecarlo.costs import check_memory
from varprop.montecarlo.execution import execute
from varprop.montecarlo.executors import Workers, count_threads, open_executor, window_of
from varprop.montecarlo.planning import make_plan
from varprop.montecarlo.progress import Progress, Report
from varprop.montecarlo.tables import Simulated, content_digest, join_cases

if TYPE_CHECKING:
    import pandas as pd

    from varprop.montecarlo.store import BlockStore
    from varprop.spec import Network, Study


DRAWS = 200
"""Networks drawn per case where nobody states a number."""


def simulate_network(
    network: Network,
    *,
    draws: int = 200,
    seed: int = 0,
    sampler: str = "auto",
    estimator: str = "plain",
    share: float | None = None,
    executor: Workers = None,
    store: str | os.PathLike[str] | None = None,
    resume: bool = True,
    progress: Callable[[Report], None] | None = None,
    memory: int = 2**30,
    histogram: bool = True,
    case: int = 0,
    block_size: int | None = None,
    compiled: bool = False,
) -> pd.DataFrame:
    """Draw a random network many times and estimate every quantity of every layer.

    Parameters
    ----------
    network : Network
        What is drawn.
    draws : int
        Number of independent networks, at least 2. Standard errors come from these alone.
    seed : int
        At least 0. The same network and seed give the same table on any number of workers, on any executor
        and after any interruption.
    sampler : {"auto", "dense", "conditional", "chain"}
        With weight matrices; without them, where that is exact; by a chain of norms, where that is. "auto"
        takes the cheapest exact one. In a network that is no chain of layers, "conditional" and "auto" leave out
        the weights of every map that allows it, and draw the others.
    estimator : {"auto", "plain", "control"}
        Plain averages, or conditional expectations less a martingale (control variates): unbiased, and far
        sharper. "auto" takes the control one wherever it holds, which is in chains of layers alone.
    share : float, optional
        Share of the greatest slope at which a unit counts as saturated; 0.0396 if not given.
    executor : int, str, Executor or None
        This process (None), that many worker processes, the workers of the Dask scheduler at an address
        (``"tcp://host:8786"``), or any object with the `concurrent.futures` interface.
    store : path-like, optional
        SQLite file that keeps finished blocks, so that an interrupted run goes on where it was.
    resume : bool
        Whether the file may already exist.
    progress : callable, optional
        Called with a `varprop.montecarlo.progress.Report` after every block.
    memory : int
        Bytes that each process of the run may use, 1 GiB if not given. Checked before work starts.
    histogram : bool
        Whether the pre-activations are counted too: for the store, and for whoever asks for more than a table.
        Only layers of chains are.
    case : int
        Number of the network in its study; part of the random streams' names.
    block_size : int, optional
        Draws per block, at least 4. It decides the random streams too, so another size gives other (equally
        good) numbers.
    compiled : bool
        Whether to use the compiled kernels of the extra ``fast``: the same law, faster, other last bits.

    Returns
    -------
    DataFrame
        Columns of `varprop.results.schema.SIMULATED_COLUMNS`; provenance in ``attrs``, with the SHA-256 of
        the merged statistics under ``"digest"``.

    Raises
    ------
    InputError
        If an argument is not allowed, the sampler is not exact for this network, the memory does not suffice,
        or the store belongs to another run.
    varprop.montecarlo.execution.BlockError, varprop.montecarlo.execution.WorkerError
        If a block or its worker fails.
    """
    plan = make_plan(
        network,
        draws=draws,
        seed=seed,
        case=case,
        sampler=sampler,
        estimator=estimator,
        share=share,
        histogram=histogram,
        block_size=block_size,
        compiled=compiled,
    )
    (measured,) = simulate_plans(
        [plan], executor=executor, store=store, resume=resume, progress=progress, memory=memory
    )
    return measured.table


def simulate_networks(networks: Sequence[Network] | Study, **options: Any) -> pd.DataFrame:
    """Return the table of `measure_networks`, which takes the same `options`: the cases' rows below one another."""
    return measure_networks(networks, **options).table


def measure_networks(
    networks: Sequence[Network] | Study,
    *,
    draws: int | None = None,
    seed: int | None = None,
    sampler: str = "auto",
    estimator: str = "plain",
    share: float | None = None,
    executor: Workers = None,
    store: str | os.PathLike[str] | None = None,
    resume: bool = True,
    progress: Callable[[Report], None] | None = None,
    memory: int = 2**30,
    histogram: bool = True,
    block_size: int | None = None,
    compiled: bool = False,
) -> Simulated:
    """Simulate several networks as one run: one set of workers, one store, one progress, one table.

    Parameters
    ----------
    networks : sequence of Network, or Study
        The cases, numbered by their position. A study also gives draws, seed and share where they are not
        given here.
    draws, seed, sampler, estimator, share, executor, store, resume, progress, memory, histogram, block_size, compiled
        As in `simulate_network`.

    Returns
    -------
    Simulated
        One table with the cases' rows below one another, and their histograms.
    """
    plans = make_plans(
        networks,
        draws=draws,
        seed=seed,
        sampler=sampler,
        estimator=estimator,
        share=share,
        histogram=histogram,
        block_size=block_size,
        compiled=compiled,
    )
    cases = simulate_plans(
        plans, executor=executor, store=store, resume=resume, progress=progress, memory=memory
    )
    return join_cases(cases)


def make_plans(
    networks: Sequence[Network] | Study,
    *,
    draws: int | None = None,
    seed: int | None = None,
    share: float | None = None,
    **choices: Any,
) -> list[Plan]:
    """Return the plan of every network, numbered by position; a study gives what is not given here."""
    listed: Sequence[Network] = networks if isinstance(networks, Sequence) else networks.networks
    if not listed:
        raise InputError("networks", listed, "at least one network")
    stated = getattr(networks, "draws", DRAWS)
    return [
        make_plan(
            network,
            draws=(DRAWS if stated == "auto" else stated) if draws is None else draws,
            seed=getattr(networks, "seed", 0) if seed is None else seed,
            case=position,
            share=getattr(networks, "saturation_share", None) if share is None else share,
            **choices,
        )
        for position, network in enumerate(listed)
    ]


def simulate_plans(
    plans: Sequence[Plan],
    *,
    executor: Workers = None,
    store: str | os.PathLike[str] | None = None,
    resume: bool = True,
    progress: Callable[[Report], None] | None = None,
    memory: int = 2**30,
) -> list[Simulated]:
    """Run plans as one job and return what was measured of each."""
    from varprop.montecarlo.estimates import estimates, layer_histograms

    start = time.perf_counter()
    cases: list[Simulated] = []
    with open_executor(executor) as pool:
        check_memory(plans, check_integer("memory", memory, minimum=1), count_threads(pool), window_of(pool))
        with optional_store(store, plans, resume) as kept:
            meter = None if progress is None else Progress(plans, progress)
            for position, statistics in execute(plans, pool, store=kept, progress=meter):
                plan = plans[position]
                frame = estimates(plan, statistics)
                frame.attrs["digest"] = content_digest(statistics)
                frame.attrs["seconds"] = time.perf_counter() - start
                case = Simulated(frame, layer_histograms(plan, statistics))
                if kept is not None:
                    kept.put_result(plan, case)
                cases.append(case)
    return cases


def optional_store(
    path: str | os.PathLike[str] | None, plans: Sequence[Plan], resume: bool
) -> contextlib.AbstractContextManager[BlockStore | None]:
    """Return the store at `path` to be entered, or nothing where there is no path."""
    if path is None:
        return contextlib.nullcontext()
    from varprop.montecarlo.store import BlockStore

    return BlockStore(path, plans, resume=resume)
