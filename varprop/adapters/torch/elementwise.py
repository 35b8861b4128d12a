"""What an activation does to the values it meets, counted on the tensor itself with our definitions."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from varprop.activations import Activation


def fractions(phi: Activation, rows: torch.Tensor, share: float) -> Iterator[tuple[str, float]]:
    """Yield saturated, inactive and dead fractions and E phi'² of a matrix of pre-activations.

    Parameters
    ----------
    phi : Activation
        Its saturation and inactive sets and its derivative are the ones of the activation table.
    rows : Tensor, shape (examples, units)
        Pre-activations.
    share : float
        See `Activation.saturation`.
    """
    tails = phi.saturation(share)
    count = rows.numel()
    low = rows <= tails.low if tails.low > -math.inf else None
    below = int(torch.count_nonzero(low)) if low is not None else 0
    above = int(torch.count_nonzero(rows >= tails.high)) if tails.high < math.inf else 0
    yield "saturated_fraction", (below + above) / count
    # The lower tail often is the inactive set (relu's), and need not be compared again.
    same = phi.inactive == ((-math.inf, tails.low),)
    off = low if same else _inside(phi, rows)
    inactive = below if same else (0 if off is None else int(torch.count_nonzero(off)))
    yield "inactive_fraction", inactive / count
    yield "dead_fraction", 0.0 if off is None else float(torch.count_nonzero(off.all(0))) / rows.shape[1]
    if phi.slopes is not None:
        negative, positive = phi.slopes
        right = count - below if low is not None and tails.low == 0.0 else int(torch.count_nonzero(rows > 0))
        yield "derivative_second_moment", negative**2 + (positive**2 - negative**2) * right / count
    else:
        values = rows.detach().cpu()
        values = values if values.dtype == torch.float64 else values.float()
        slopes = torch.from_numpy(phi.derivative(values.numpy()))
        norm = float(torch.linalg.vector_norm(slopes, dtype=torch.float64))
        yield "derivative_second_moment", norm * norm / count


def _inside(phi: Activation, rows: torch.Tensor) -> torch.Tensor | None:
    found: torch.Tensor | None = None
    for low, high in phi.inactive:
        # An end at infinity needs no comparison; one pass instead of three for relu.
        parts = [rows >= low] if low > -math.inf else []
        parts += [rows <= high] if high < math.inf else []
        inside = parts[0] if len(parts) == 1 else parts[0] & parts[1]
        found = inside if found is None else found | inside
    return found
