"""Attention at initialization: second moments of its output, and of the gradients in front of it.

`attend` is the rule of one op; a walker hands it the second moments per feature of queries, keys and values over all
columns (examples and positions on one axis), and later the one of the gradient at its output. Limit: infinitely many
heads of an infinitely wide network, any number of tokens and features per head; of finite width the terms of relative
size tokens / width are included.
"""

from __future__ import annotations

from varprop.analytic.attention.attend import Attended, AttendedGradients, AttentionReason, attend
from varprop.analytic.attention.fluctuation import advance_fluctuation_attention, advance_fluctuation_mlp
from varprop.analytic.attention.shape import AttentionShape, causal, unmasked
from varprop.analytic.attention.unembedding import PositionLosses, position_losses, tied_loss

__all__ = [
    "Attended",
    "AttendedGradients",
    "AttentionReason",
    "AttentionShape",
    "PositionLosses",
    "advance_fluctuation_attention",
    "advance_fluctuation_mlp",
    "attend",
    "causal",
    "position_losses",
    "tied_loss",
    "unmasked",
]
