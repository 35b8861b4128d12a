"""`assert_healthy`: an audit as one line of a test suite."""

from __future__ import annotations

from typing import Any

from varprop.auditing.public import audit
from varprop.diagnosis import Diagnosis, diagnose, suggested_changes
from varprop.results.health import LIMIT


def assert_healthy(model_or_factory: Any, inputs: Any, *, limit: float = LIMIT, **options: Any) -> Diagnosis:
    """Audit a model and raise if it starts unhealthy.

    Parameters
    ----------
    model_or_factory, inputs
        See `varprop.audit`.
    limit : float
        Largest factor of a mean square over the depth, forward or backward, that is still healthy.
    **options
        Further arguments of `varprop.audit`.

    Returns
    -------
    Diagnosis

    Raises
    ------
    AssertionError
        With the verdict, the first layer where it goes wrong, and the first suggestions.
    InputError
        If the model cannot be audited.

    Examples
    --------
    >>> import torch, varprop as vp
    >>> def model():
    ...     return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    >>> vp.assert_healthy(model, torch.ones(8, 64), draws=5).healthy
    True
    """
    table = audit(model_or_factory, inputs, **options)
    found = diagnose(table, limit=limit)
    if not found.healthy:
        changes = suggested_changes(table, found)
        hints = [
            f"{row['module']}.{row['parameter']}: std {row['now']:.4g} -> {row['suggested']:.4g} ({row['rule']})"
            for row in changes.head(3).to_dict("records")
        ]
        raise AssertionError("\n".join([*found.sentences(), *hints]))
    return found


def suggest(table: Any) -> Any:
    """Return the changes that theory suggests for an audited model.

    Parameters
    ----------
    table : DataFrame
        Of `varprop.audit`.

    Returns
    -------
    DataFrame
        One row per parameter: ``module, kind, parameter, now, suggested, gain, fan_in, rule, effect``;
        none for a healthy model. Give it to ``varprop.audit(…, changes=…)`` for a dry run.
    """
    return suggested_changes(table, diagnose(table))
