"""`audit`, `assert_healthy` and `audit_arrays`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from varprop._validation import InputError, check_integer, check_real, described
from varprop.activations import DEFAULT_SHARE
from varprop.auditing.join import join

if TYPE_CHECKING:
    import pandas as pd

DRAWS = 20


def audit(
    model_or_factory: Any,
    inputs: Any,
    *,
    draws: int = DRAWS,
    loss: Callable[[Any], Any] | None = None,
    seed: int = 0,
    mode: str | None = None,
    batch_axis: int = 0,
    share: float = DEFAULT_SHARE,
    margin: float = 0.02,
    alpha: float = 0.05,
    order: str = "auto",
    changes: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Measure how a real model starts, forward and backward, beside what theory expects of it.

    The model, its gradients, its mode, its buffers and the global random states are left as found.

    Parameters
    ----------
    model_or_factory : Module or callable
        A function without arguments that builds the model is called once a draw. A model is drawn afresh by its
        modules' ``reset_parameters`` where that draws what the model has; what is not drawn afresh is named in
        ``attrs["notes"]``. If nothing can be, the model is one draw, without intervals.
    inputs : Tensor, ndarray, Input, tuple or dict
        One batch: a single argument, positional arguments, or keyword arguments. Floating values are converted to
        the model's precision and device.
    draws : int
        Network draws, at least 1; the draw is the replicate of every interval.
    loss : callable, optional
        ``loss(output)``: a scalar is taken as the batch mean, a vector as one loss per example. Default: the unit
        head, independent N(0, 1) cotangents on the output.
    seed : int
        At least 0.
    mode : {"train", "eval"}, optional
        Default: each module's mode as it is.
    batch_axis : int
        Axis of the examples, in inputs and activations (1 for sequence-first models).
    share : float
        Share of the steepest slope below which a unit counts as saturated.
    margin, alpha : float
        See `varprop.compare`.
    order : {"auto", "best", "exact", "1/n", "infinite"}
        How far the theory of a chain of dense layers goes (see `varprop.predict`). ``"auto"`` is
        ``"best"`` while that takes about a second (layers times examples at most 256, examples times positions of
        other models at most 256), and beyond it rules that go from node to node without the covariance of pairs.
    changes : DataFrame, optional
        Of `varprop.suggest`, for this model: audited as if they were made.

    Returns
    -------
    DataFrame
        One row per node that ran, quantity and parameter, in the order of execution (`AUDIT_COLUMNS`). A node is a
        module's call or a function's; ``preactivation_…`` is the output of anything that is not an activation.
        ``attrs`` has ``notes``, ``draws``, ``seed``, ``framework``.

    Raises
    ------
    InputError
        What cannot be audited, with the module's name: a factory or forward pass that fails, an output that is
        not finite, a model without parameters.

    Examples
    --------
    >>> import torch, varprop as vp
    >>> def model():
    ...     return torch.nn.Sequential(torch.nn.Linear(100, 50), torch.nn.ReLU(), torch.nn.Linear(50, 10))
    >>> table = vp.audit(model, torch.ones(4, 100), draws=10)
    >>> row = table[(table.module == "0") & (table.quantity == "preactivation_variance")].iloc[0]
    >>> round(float(row.predicted), 4), row.order  # 100 inputs of 1, weights and biases uniform of variance 1/300
    (0.3367, 'exact')
    """
    draws = check_integer("draws", draws, minimum=1)
    seed = check_integer("seed", seed, minimum=0)
    share = check_real("share", share, minimum=0.0, maximum=1.0)
    batch_axis = check_integer("batch_axis", batch_axis, minimum=0)
    if mode not in (None, "train", "eval"):
        raise InputError("mode", mode, "'train', 'eval' or None")
    if loss is not None and not callable(loss):
        raise InputError("loss", loss, "a function of the model's output, or None")
    framework = _framework(model_or_factory)
    recording = framework.measure(
        model_or_factory, inputs, draws=draws, seed=seed, loss=loss, share=share, mode=mode, axis=batch_axis,
        alter=None if changes is None else framework.alteration(_changes(changes)),
    )  # fmt: skip
    attrs = {
        "notes": list(recording.notes),
        "draws": draws,
        "seed": seed,
        "framework": framework.NAME,
        "head": "unit" if loss is None else "the user's loss",
        "changed": changes is not None,
    }
    return join(
        recording, share=share, unit_head=loss is None, order=order, margin=margin, alpha=alpha, attrs=attrs
    )


def _changes(changes: Any) -> list[dict[Any, Any]]:
    """Return the rows of a table of changes to one model."""
    import pandas as pd

    columns = ("module", "parameter", "suggested")
    missing = [column for column in columns if column not in getattr(changes, "columns", ())]
    if not isinstance(changes, pd.DataFrame) or missing:
        given = described(f"a {type(changes).__name__} without {', '.join(missing or columns)}")
        raise InputError("changes", given, "a table of vp.suggest")
    if "case" in changes.columns and changes["case"].nunique() > 1:
        given = described(f"changes to {changes['case'].nunique()} cases")
        raise InputError("changes", given, "those of one case, the model that is audited")
    if changes.duplicated(["module", "parameter"]).any():
        row = changes[changes.duplicated(["module", "parameter"])].iloc[0]
        raise InputError(
            "changes", f"{row['module']}.{row['parameter']} twice", "one change of each parameter"
        )
    return changes.to_dict("records")


def _framework(model: Any) -> Any:
    """Return the adapter for a model: PyTorch's, which also serves Keras on the torch backend."""
    try:
        from varprop.adapters.torch import entry
    except ImportError as error:
        wanted = described(f"{type(model).__name__} without PyTorch ({error})")
        raise InputError("model", wanted, "pip install 'varprop[torch]'") from error
    return entry
