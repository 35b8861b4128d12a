"""The one place where theory, Monte Carlo, comparison and reports meet.

Everything here takes a network, a list of networks or a study, and returns the tidy tables of
`varprop.results.schema`. Choices that a study states are its defaults.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varprop._validation import InputError, described

if TYPE_CHECKING:
    import pandas as pd

    from varprop._random import Randomness
    from varprop.montecarlo.shown import Asked
    from varprop.montecarlo.tables import Simulated
    from varprop.reporting.evidence import Evidence
    from varprop.spec import Network, Study

    Subject = Network | Sequence[Network] | Study

OUTPUT = "reports/latest"
"""Where a report goes unless told otherwise."""


def predict(subject: Subject, *, order: str = "best", share: float | None = None) -> pd.DataFrame:
    """Predict every quantity of every layer from theory.

    Parameters
    ----------
    subject : Network, sequence of Network, or Study
    order : {"best", "exact", "1/n", "infinite"}
        How far the theory may go; see `varprop.analytic.predict_network`.
    share : float, optional
        Share of the greatest slope at which a unit counts as saturated; the study's, or 0.0396.

    Returns
    -------
    DataFrame
        Columns of `varprop.results.schema.PREDICTED_COLUMNS`; ``attrs`` say how it was made.

    Raises
    ------
    InputError
        If `subject` or an argument is not allowed.

    Examples
    --------
    >>> import varprop as vp
    >>> neuron = vp.mlp(1, weights="standard_normal", biases="standard_normal", input=vp.half_on(1000))
    >>> table = vp.predict(neuron)
    >>> float(table.loc[table.quantity == "preactivation_variance", "value"].iloc[0])
    501.0
    """
    from varprop.analytic.prediction import predict_network

    study = as_study(subject)
    share = study.saturation_share if share is None else share
    frames = [predict_network(network, order=order, share=share) for network in study.networks]
    return _stacked(frames, {"order": order, "share": share})


def simulate(
    subject: Subject,
    *,
    draws: int | None = None,
    seed: int | None = None,
    rng: Randomness = None,
    sampler: str = "auto",
    estimator: str = "auto",
    share: float | None = None,
    executor: int | str | Executor | None = None,
    store: str | os.PathLike[str] | None = None,
    resume: bool = True,
    progress: Asked = None,
    memory: int = 2**30,
    histogram: bool = True,
    compiled: bool = False,
) -> pd.DataFrame:
    """Draw every network many times and estimate every quantity of every layer.

    Parameters
    ----------
    subject : Network, sequence of Network, or Study
    draws, seed : int, optional
        The study's, or 200 draws and seed 0.
    rng : int, SeedSequence or Generator, optional
        Instead of a seed; a Generator draws one.
    progress : bool or callable, optional
        True for a line on standard error (in a notebook, below the cell); see `varprop.montecarlo.shown.shown`.
    sampler, estimator, share, executor, store, resume, memory, histogram, compiled
        See `varprop.montecarlo.simulate_network`.

    Returns
    -------
    DataFrame
        Columns of `varprop.results.schema.SIMULATED_COLUMNS`; ``attrs`` say how it was made. `examine` also
        returns the histograms.

    Raises
    ------
    InputError
        If `subject` or an argument is not allowed.

    Examples
    --------
    >>> import varprop as vp
    >>> table = vp.simulate(vp.mlp([30, 10], activation="relu", weights="he_normal"), draws=50)
    >>> sorted(table.layer.unique().tolist())
    [1, 2]
    """
    from varprop._random import chosen_seed
    from varprop.montecarlo.shown import shown
    from varprop.montecarlo.simulation import simulate_networks

    with shown(progress) as told:
        return simulate_networks(
            as_study(subject),
            draws=draws,
            seed=chosen_seed(seed, rng),
            sampler=sampler,
            estimator=estimator,
            share=share,
            executor=executor,
            store=store,
            resume=resume,
            progress=told,
            memory=memory,
            histogram=histogram,
            compiled=compiled,
        )


def compare(
    predicted: pd.DataFrame, simulated: pd.DataFrame, *, margin: float = 0.02, alpha: float = 0.05
) -> pd.DataFrame:
    """Judge theory by simulation, row by row, with one family-wise error rate over the table.

    Parameters
    ----------
    predicted, simulated : DataFrame
        From `predict` and `simulate`, of the same cases. A prediction of your own needs the columns ``layer``,
        ``quantity`` and ``value`` only; see `varprop.testing.assert_agrees` for a formula in a test.
    margin : float
        Difference that does not matter, relative to the prediction.
    alpha : float
        Family-wise error rate of the verdicts.

    Returns
    -------
    DataFrame
        Columns of `varprop.results.schema.COMPARED_COLUMNS`.

    Raises
    ------
    InputError
        If a table is none of ours, or an argument is out of range.

    Examples
    --------
    >>> import varprop as vp
    >>> neuron = vp.mlp(1, weights="standard_normal", biases="standard_normal", input=vp.half_on(1000))
    >>> table = vp.compare(vp.predict(neuron), vp.simulate(neuron, draws=2000))
    >>> bool((table.verdict == "differs").any())
    False
    """
    from varprop.comparison import compare_frames

    return compare_frames(predicted, simulated, margin=margin, alpha=alpha)


def examine(
    subject: Subject | None = None,
    *,
    order: str = "best",
    draws: int | str | None = None,
    budget: int | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    rng: Randomness = None,
    progress: Asked = None,
    **simulation: Any,
) -> Evidence:
    """Predict, simulate and compare; return the study with its tables and all that a table cannot hold.

    Parameters
    ----------
    subject : Network, sequence of Network, or Study, optional
        The default study otherwise.
    order : str
        As in `predict`.
    draws : int or "auto", optional
        Networks drawn per case; the study's if not given, "auto" where it says nothing. With "auto" the comparison
        looks at 50, 100, 200, ... draws of the cases that still have rows which more draws would settle.
    budget : int, optional
        With ``draws="auto"``: draws after which a case stops, rounded down to 50 · 2^k. Otherwise about a second's
        work by prediction, between 200 and 12,800, which depends on the network alone.
    seconds : float, optional
        With ``draws="auto"``: no look begins after so many. The result then depends on the machine; the settings of
        the evidence record it.
    seed, rng, progress, **simulation
        As in `simulate`; the seed replaces the study's.

    Returns
    -------
    varprop.reporting.evidence.Evidence
        The three tables, the histograms of the pre-activations and how it was made.

    Raises
    ------
    InputError
        If `subject` or an argument is not allowed.

    Examples
    --------
    >>> import varprop as vp
    >>> found = vp.examine(vp.mlp([30, 10], "tanh", "lecun_normal", input=vp.digits(8)), draws=20)
    >>> [(h.layer, int(h.counts.sum())) for h in found.histograms]
    [(1, 4800), (2, 1600)]
    >>> found = vp.examine(vp.mlp([30, 10], "tanh", "lecun_normal"))
    >>> sorted(found.simulated.n_draws.unique().tolist()) != [200], set(found.compared.verdict)
    (True, {'agrees'})
    """
    from dataclasses import replace

    from varprop._random import chosen_seed
    from varprop.montecarlo.shown import shown
    from varprop.montecarlo.simulation import measure_networks
    from varprop.reporting.evidence import Evidence
    from varprop.spec import default_study

    study = default_study() if subject is None else as_study(subject)
    asked: dict[str, Any] = {"draws": draws, "seed": chosen_seed(seed, rng)}
    study = replace(study, **{key: value for key, value in asked.items() if value is not None})
    limits: dict[str, Any] = {
        key: value for key, value in (("budget", budget), ("seconds", seconds)) if value is not None
    }
    if limits and study.draws != "auto":
        name = next(iter(limits))
        raise InputError(name, limits[name], f"draws='auto' with it; here draws is {study.draws}")
    clock = [time.perf_counter()]
    predicted = predict(study, order=order)
    clock.append(time.perf_counter())
    with shown(progress) as told:
        if study.draws == "auto":
            measured, compared = compare_until_settled(
                study, predicted, progress=told, **limits, **{**_SETTINGS, **simulation}
            )
            clock.append(time.perf_counter())
        else:
            measured = measure_networks(study, progress=told, **{**_SETTINGS, **simulation})
            clock.append(time.perf_counter())
            compared = compare(predicted, measured.table, margin=study.margin, alpha=study.alpha)
    clock.append(time.perf_counter())
    stopped = {
        case: facts["stopped"] for case, facts in measured.table.attrs["cases"].items() if "stopped" in facts
    }
    steps = ("theory", "simulation", "comparison")
    settings = {key: simulation.get(key, default) for key, default in _SETTINGS.items()}
    return Evidence.of(
        study,
        predicted,
        measured.table,
        compared,
        histograms=measured.histograms,
        seconds={step: b - a for step, a, b in zip(steps, clock, clock[1:], strict=False)},
        settings={"order": order, **settings, **limits, **({"stopped": stopped} if stopped else {})},
    )


def compare_until_settled(
    study: Study,
    predicted: pd.DataFrame,
    *,
    budget: int | None = None,
    seconds: float | None = None,
    only: bool = False,
    **simulation: Any,
) -> tuple[Simulated, pd.DataFrame]:
    """Draw and compare by looks, until no row is left that the budget would settle.

    `predicted` may be minimal (see `varprop.comparison.minimal.completed`). With `only`, rows that it does not speak
    of are left out; the other arguments are those of `examine`, what the study states included.
    """
    from varprop.comparison.looks import Looks
    from varprop.montecarlo.looks import plans_with_looks, simulate_looks
    from varprop.montecarlo.tables import join_cases

    run = {key: simulation.pop(key) for key in _OF_THE_RUN if key in simulation}
    plans = plans_with_looks(study, budget, **simulation)
    budgets = {plan.network.case: plan.draws for plan in plans}
    looks = Looks(predicted, margin=study.margin, alpha=study.alpha, only=only)

    def judge(cases: Sequence[Simulated]) -> list[int]:
        waiting = looks.look(join_cases(cases).table, budgets)
        return [waiting[case.table["case"].iloc[0]] for case in cases]

    cases = simulate_looks(plans, judge, seconds=seconds, **run)
    return join_cases(cases), looks.compared


_SETTINGS = {"sampler": "auto", "estimator": "auto"}
_OF_THE_RUN = ("executor", "store", "resume", "progress", "memory")


def report(
    subject: Subject | None = None,
    output: str | os.PathLike[str] = OUTPUT,
    *,
    force: bool = False,
    order: str = "best",
    progress: Asked = None,
    **simulation: Any,
) -> Path:
    """Predict, simulate, compare and write a report: a page, figures and tables in one folder.

    Parameters
    ----------
    subject : Network, sequence of Network, or Study, optional
        The default study otherwise.
    output : path
        The folder to write. It appears whole or not at all.
    force : bool
        Whether a former report there is replaced; folders that hold anything else, or a file of a report that
        has been edited, never are.
    order, progress, **simulation
        As in `examine`.

    Returns
    -------
    Path
        The page, ``report.html``.

    Raises
    ------
    InputError
        If `output` exists or cannot be written (said before any work is done), or an argument is not allowed.
    """
    from varprop.reporting.folder import claimed_folder
    from varprop.reporting.write import fill_report
    from varprop.spec import default_study

    with claimed_folder(output, force=force, store=simulation.get("store")) as claim:
        study = default_study() if subject is None else as_study(subject)
        return fill_report(claim, examine(study, order=order, progress=progress, **simulation))


def load(store: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the finished tables of a block store, for pandas.

    Parameters
    ----------
    store : path
        A file that `simulate` has written with ``store=``.

    Returns
    -------
    DataFrame
        Columns of `varprop.results.schema.SIMULATED_COLUMNS`; ``attrs["unfinished"]`` names the cases that
        were interrupted.

    Raises
    ------
    InputError
        If there is no such store, or it holds no finished case.
    """
    from varprop.montecarlo.loading import load_store

    return load_store(store)


def as_study(subject: object) -> Study:
    """Return `subject` as a study; networks of one automatic name are told apart by it.

    Raises
    ------
    InputError
        If `subject` is no network, sequence of networks or study.
    """
    from varprop.spec import Network, Study

    if isinstance(subject, Study):
        return subject
    if isinstance(subject, Network):
        return Study("network", (subject,), title=subject.case)
    if isinstance(subject, list | tuple):
        return Study("networks", tuple(subject))
    given = described(type(subject).__name__)
    raise InputError("subject", given, "a Network, a list of networks or a Study")


def _stacked(frames: Sequence[pd.DataFrame], attrs: dict[str, Any]) -> pd.DataFrame:
    """Put tables below one another, with their provenance by case (pandas would compare and drop it)."""
    import pandas as pd

    cases = {str(frame["case"].iloc[0]): dict(frame.attrs) for frame in frames}
    bare = [frame.copy(deep=False) for frame in frames]
    for frame in bare:
        frame.attrs = {}
    joint = pd.concat(bare, ignore_index=True) if len(bare) > 1 else bare[0]
    joint.attrs.update(attrs, cases=cases)
    return joint
