"""The head: what turns the last layer's pre-activations into a loss and starts the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from varprop._validation import InputError, check_one_of, described
from varprop.spec._contents import content_digest, frozen_array
from varprop.spec.inputs import Input
from varprop.spec.limits import check_count

HEADS = ("unit", "mse", "bce", "softmax_ce")


@dataclass(frozen=True, eq=False, repr=False)
class Head:
    """The loss on top of the network.

    Parameters
    ----------
    kind : {"unit", "mse", "bce", "softmax_ce"}
        ``unit``: no loss; the gradient at the last pre-activations is iid N(0, 1) per unit, input and draw.
        ``mse``: half the squared distance to the targets. ``bce``: binary cross-entropy with logits.
        ``softmax_ce``: cross-entropy with logits over classes.
    targets : array or number, optional
        Rows are examples: shape (B, n_L) or (n_L,) for ``mse`` and ``bce``, or one number for all; (B,) whole
        numbers below n_L for ``softmax_ce``. By default ``bce`` and ``softmax_ce`` take the input's labels.

    Examples
    --------
    >>> Head("mse", 0.0)
    Head('mse', targets of shape ())
    """

    kind: str = "unit"
    targets: np.ndarray | None = None

    def __init__(self, kind: str = "unit", targets: Any = None) -> None:
        object.__setattr__(self, "kind", check_one_of("kind", kind, HEADS))
        object.__setattr__(self, "targets", None if targets is None else _checked(targets))
        if kind == "unit" and targets is not None:
            raise InputError("targets", described("targets"), "none for the head unit")

    def resolve(self, data: Input, width: int, positions: int = 1) -> np.ndarray | None:
        """Return the targets for `data` and `width` outputs at each of `positions` positions.

        Returns
        -------
        array or None
            None for ``unit``; float64 of shape (n_L, B) for ``mse`` and ``bce``; int64 of shape (B,) for
            ``softmax_ce``. With positions, B stands for the columns: examples times positions. For ``softmax_ce``
            without targets above tokens or images: None, for targets drawn uniformly with every network.

        Raises
        ------
        InputError
            Targets that are missing, of another shape, or of values the head cannot take.
        """
        if self.kind == "unit":
            return None
        targets, columns = self.targets, data.batch * positions
        if targets is None and self.kind != "mse":
            targets = data.labels
            if positions > 1 and targets is not None:
                targets = np.repeat(targets, positions)
        if (
            targets is None
            and self.kind == "softmax_ce"
            and (positions > 1 or data.positions or data.vocabulary)
        ):
            _check_classes(width)
            return None
        if targets is None:
            raise InputError("targets", None, f"targets for the head {self.kind}")
        if self.kind == "softmax_ce":
            return _classes(targets, columns, width)
        check_count("targets", "examples × outputs", columns, width)
        if targets.shape == (columns,) and width == 1:
            targets = targets[:, None]
        try:
            full = np.broadcast_to(targets, (columns, width)).T.astype(np.float64)
        except ValueError:
            allowed = f"one number, or shape ({width},) or ({columns}, {width})"
            raise InputError("targets", described(f"shape {targets.shape}"), allowed) from None
        if self.kind == "bce" and not np.all((full == 0.0) | (full == 1.0)):
            raise InputError("targets", described("other values"), "0 or 1 for the head bce")
        return full

    def digest(self) -> str:
        """Return the SHA-256 of kind and targets."""
        return content_digest({"kind": self.kind, "targets": self.targets})

    def __eq__(self, other: object) -> bool:
        return self.digest() == other.digest() if isinstance(other, Head) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        own = "" if self.targets is None else f", targets of shape {self.targets.shape}"
        return f"Head({self.kind!r}{own})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.kind, self.targets))


def _checked(targets: Any) -> np.ndarray:
    try:
        given = np.asarray(targets)
    except ValueError:
        raise InputError("targets", described("ragged rows"), "rows of one length") from None
    if given.dtype.kind not in "biuf" or given.size == 0 or given.ndim > 2:
        found = described(f"array of {given.dtype}, shape {given.shape}")
        raise InputError("targets", found, "numbers, rows are examples")
    bad = np.flatnonzero(~np.isfinite(given))
    if len(bad):
        found = described(f"{len(bad)} of {given.size} values not finite, the first is number {bad[0] + 1}")
        raise InputError("targets", found, "finite numbers only")
    return frozen_array(given, np.float64)


def _check_classes(width: int) -> None:
    """Refuse a cross-entropy of fewer than two classes."""
    if width < 2:
        raise InputError("kind", "softmax_ce", "at least two outputs (for one, bce)")


def _classes(targets: np.ndarray, batch: int, width: int) -> np.ndarray:
    _check_classes(width)
    if targets.ndim == 0:
        targets = np.full(batch, targets)
    if targets.shape != (batch,):
        raise InputError("targets", described(f"shape {targets.shape}"), f"shape ({batch},)")
    bad = np.flatnonzero((targets < 0) | (targets >= width) | (targets != np.floor(targets)))
    if len(bad):
        found = described(f"{targets[bad[0]]:g} (example {bad[0] + 1})")
        raise InputError("targets", found, f"whole numbers from 0 to {width - 1}")
    return frozen_array(targets, np.int64)
