"""`assert_healthy`: an audit as one line of a test suite."""

from __future__ import annotations

from typing import Any

from varprop._validation import check_real
from varprop.auditing.public import audit
from varprop.diagnosis import Diagnosis, changes, judge, only_case
from varprop.results.health import LIMIT


def assert_healthy(model_or_factory: Any, inputs: Any, *, limit: float = LIMIT, **options: Any) -> Diagnosis:
    """Audit a model and raise unless it starts healthy.

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
        With the verdict, the first layer where it goes wrong, and the first suggestions; also where a direction could
        not be judged, since nothing can then be asserted.
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
    limit = check_real("limit", limit, minimum=1.0, exclusive=True)
    rows = only_case(audit(model_or_factory, inputs, **options))
    found = judge(rows, limit)
    if not found.healthy:
        hints = [
            f"{row['module']}.{row['parameter']}: std {row['now']:.4g} -> {row['suggested']:.4g} ({row['rule']})"
            for row in changes(rows, found).head(3).to_dict("records")
        ]
        raise AssertionError("\n".join([*found.sentences(), *hints]))
    return found
