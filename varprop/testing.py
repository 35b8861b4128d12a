"""Verify a formula in a test: `assert_agrees` draws networks until they confirm it or refute it.

>>> import varprop as vp
>>> from varprop.testing import assert_agrees
>>> network = vp.mlp("60x3", "relu", "he_normal", input=vp.constant(60, 1.0))
>>> table = assert_agrees(2.0, network, quantity="preactivation_second_moment")   # He et al., at every layer
>>> assert_agrees(2.1, network, quantity="preactivation_second_moment", layer=3)
Traceback (most recent call last):
    ...
AssertionError: 1 of 1 row does not agree (margin 2 %, alpha 0.05, seed 0):
  layer 3, preactivation_second_moment: differs: predicted 2.1, measured 2 ± ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop._validation import InputError, check_integer, check_one_of, check_real, described

if TYPE_CHECKING:
    import pandas as pd

    from varprop._random import Randomness
    from varprop.spec import Network, Study

__all__ = ["assert_agrees", "spending"]

ALPHA = 0.05
MARGIN = 0.02

_SHARE: ContextVar[Iterator[float] | None] = ContextVar("varprop_alpha", default=None)


def assert_agrees(
    expected: object,
    subject: Network | Sequence[Network] | Study,
    *,
    quantity: str | None = None,
    layer: int | None = None,
    margin: float = MARGIN,
    alpha: float | None = None,
    budget: int | None = None,
    seed: int | None = None,
    rng: Randomness = None,
    **simulation: Any,
) -> pd.DataFrame:
    """Fail unless drawn networks confirm what `expected` says, within the margin.

    Networks are drawn look by look (50, 100, 200, ...) until every row is decided: it agrees once its interval lies
    inside the margin, and differs once the hypothesis that the truth lies within the margin is rejected.

    Parameters
    ----------
    expected : number, mapping, callable or DataFrame
        A number: the value of `quantity`, in `layer` or in every layer. A mapping from quantity to a number, to a
        sequence (layers 1, 2, ...) or to a mapping from layer to number. A function of the network that returns any of
        these. A DataFrame with ``quantity``, ``value`` and, if it does not speak of all, ``layer`` and ``case``; with a
        column ``order`` the rule of `varprop.compare` for that label applies (``exact``: any difference counts).
    subject : Network, sequence of Network, or Study
        What is drawn.
    quantity : str, optional
        What a number, or a function that returns one, is the value of.
    layer : int, optional
        The only layer to look at; all if not given.
    margin : float
        Difference that does not matter, as in `varprop.compare`: relative for moments and losses, in root second
        moments for means, in halves for fractions and correlations (2 % is 0.01).
    alpha : float, optional
        Probability, at most, that a right formula is refuted, over all rows and looks; also the level of the
        intervals. 0.05, or what `spending` (the pytest plugin) leaves for this call.
    budget : int, optional
        Draws after which what is still undecided fails; about a second's work if not given (see `varprop.examine`).
    seed, rng : optional
        As in `varprop.simulate`: the same seed gives the same outcome anywhere. 0, or the study's, if not given.
    **simulation
        Further options of `varprop.simulate`: sampler, estimator, executor, ...

    Returns
    -------
    DataFrame
        The compared rows, `varprop.results.schema.COMPARED_COLUMNS`.

    Raises
    ------
    AssertionError
        If a row differs, or is undecided at the budget. The message has the prediction, the measurement with its
        standard error, the interval, z and the draws of every such row.
    InputError
        If the expectation or an argument is not allowed, or speaks of what is not measured.
    """
    from dataclasses import replace

    from varprop._random import chosen_seed
    from varprop.pipeline import as_study, compare_until_settled

    margin = check_real("margin", margin, minimum=0.0, maximum=1.0, exclusive=True)
    share = _SHARE.get()
    if alpha is None:
        alpha = ALPHA if share is None else next(share)
    alpha = check_real("alpha", alpha, minimum=1e-12, maximum=1.0, exclusive=True)
    study = as_study(subject)
    chosen = chosen_seed(seed, rng)
    study = replace(study, margin=margin, alpha=alpha, seed=study.seed if chosen is None else chosen)
    frame = _stacked([
        _frame(expected(n) if callable(expected) else expected, n.case, quantity, layer) for n in study.networks
    ])  # fmt: skip
    simulation = {"estimator": "auto", "histogram": False, **simulation}
    _, compared = compare_until_settled(study, frame, budget=budget, only=True, **simulation)
    failed = compared[compared["verdict"] != "agrees"]
    if len(failed):
        raise AssertionError(_message(failed, len(compared), study))
    return compared


@contextmanager
def spending(alpha: float) -> Iterator[None]:
    """Let the calls of `assert_agrees` within the block share `alpha`: the k-th that states none gets alpha/2^k.

    However many calls there are, a right formula is refuted with probability at most `alpha`.
    """
    alpha = check_real("alpha", alpha, minimum=0.0, maximum=1.0, exclusive=True)
    token = _SHARE.set(max(alpha * 0.5**k, 1e-11) for k in range(1, 10_000))
    try:
        yield
    finally:
        _SHARE.reset(token)


def _frame(said: object, case: str, quantity: str | None, layer: int | None) -> pd.DataFrame:
    """Return an expectation as a table with ``case, layer, quantity, value``; no layer where it means all."""
    import pandas as pd

    from varprop.results.schema import QUANTITIES

    if layer is not None:
        layer = check_integer("layer", layer, minimum=1)
    if quantity is not None:
        check_one_of("quantity", quantity, QUANTITIES)
    if isinstance(said, pd.DataFrame):
        own = said
        if "case" not in own:
            own = own.assign(case=case)
        own = own[own["case"].astype(str) == case]
        for name, wanted in (("quantity", quantity), ("layer", layer)):
            if wanted is not None and name in own:
                own = own[own[name] == wanted]
        return own
    if not isinstance(said, Mapping):
        if quantity is None:
            raise InputError("quantity", quantity, "the name of the quantity that the number is the value of")
        said = {quantity: said}
    rows = []
    for name, values in said.items():
        check_one_of("expected", name, QUANTITIES)
        if quantity in (None, name):
            rows += [
                {"case": case, "layer": at, "quantity": name, "value": value}
                for at, value in _by_layer(values, layer, f"expected[{name!r}]")
            ]
    return pd.DataFrame(rows, columns=["case", "layer", "quantity", "value"])


def _by_layer(values: object, layer: int | None, field: str) -> list[tuple[int | None, float]]:
    if isinstance(values, Mapping):
        pairs = [(check_integer(field, at, minimum=1), _number(field, v)) for at, v in values.items()]
    elif isinstance(values, Sequence | np.ndarray) and not isinstance(values, str) and np.ndim(values):
        pairs = [(at, _number(field, value)) for at, value in enumerate(values, start=1)]
    else:
        return [(layer, _number(field, values))]
    return [(at, value) for at, value in pairs if layer in (None, at)]


def _number(field: str, value: object) -> float:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    return check_real(field, value)


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    full = [frame for frame in frames if len(frame)]
    if not full:
        raise InputError("expected", described("nothing about these networks"), "at least one value")
    return pd.concat(full, ignore_index=True) if len(full) > 1 else full[0].reset_index(drop=True)


def _message(failed: pd.DataFrame, total: int, study: Study) -> str:
    from varprop.reporting.numerals import counted, number, percent

    several = len(study.networks) > 1
    does = "does" if len(failed) == 1 else "do"
    lines = [
        f"{len(failed)} of {counted(total, 'row')} {does} not agree (margin {percent(study.margin)}, "
        f"alpha {number(study.alpha)}, seed {study.seed}):"
    ]
    for row in failed.to_dict("records"):
        place = f"{row['case']}, " if several else ""
        why = f" ({row['reason']})" if row["reason"] else ""
        text = (
            f"  {place}layer {row['layer']}, {row['quantity']}: {row['verdict']}{why}: "
            f"predicted {number(row['predicted'], 6)}, measured {number(row['measured'], 6)} ± "
            f"{number(row['std_error'], 2)}, interval {number(row['ci_low'], 6)} to {number(row['ci_high'], 6)}, "
            f"z = {number(row['z_score'], 3)}, {counted(int(row['n_draws']), 'draw')}"
        )
        if row["verdict"] == "undecided" and np.isfinite(row["draws_needed"]):
            text += f"; some {int(min(row['draws_needed'], 1e18)):,} would settle it, or more with looks: budget=…"
        lines.append(text)
    return "\n".join(lines)
