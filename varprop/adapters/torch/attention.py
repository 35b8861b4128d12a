"""How far apart the logits of an attention's softmax are, recomputed from what goes into it."""

from __future__ import annotations

import math

import torch
from torch import nn

_EXAMPLES = 4
"""Examples looked at: logits are quadratic in the sequence, and every query is a sample of its own."""


def module_logits(module: nn.MultiheadAttention, query: torch.Tensor, key: torch.Tensor) -> float:
    """Return the variance over keys of q·k/√d_head, averaged over queries, heads and examples.

    Masks are not applied: the variance is over all keys.
    """
    if query.dim() == 2:
        query, key = query.unsqueeze(0), key.unsqueeze(0)
    elif not module.batch_first:
        query, key = query.transpose(0, 1), key.transpose(0, 1)
    query, key = query[:_EXAMPLES].detach(), key[:_EXAMPLES].detach()
    size = module.embed_dim
    if module.in_proj_weight is not None:
        weights = module.in_proj_weight.detach()
        first, second = weights[:size], weights[size : 2 * size]
    else:
        first, second = module.q_proj_weight.detach(), module.k_proj_weight.detach()
    bias = module.in_proj_bias
    q = nn.functional.linear(query, first, None if bias is None else bias[:size].detach())
    k = nn.functional.linear(key, second, None if bias is None else bias[size : 2 * size].detach())
    return logits(_heads(q, module.num_heads), _heads(k, module.num_heads), None)


def logits(query: torch.Tensor, key: torch.Tensor, scale: float | None) -> float:
    """Return the variance over keys of scale·q·k for (…, tokens, channels) tensors."""
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    query, key = query[:_EXAMPLES].detach(), key[:_EXAMPLES].detach()
    return over_keys(query @ key.transpose(-1, -2) * scale, -1)


def over_keys(scores: torch.Tensor, axis: int) -> float:
    """Return the variance along `axis` of finite scores (masked keys are minus infinity), averaged."""
    exact = scores.detach().double().movedim(axis, -1)
    seen = torch.isfinite(exact)
    count = seen.sum(-1)
    exact = torch.where(seen, exact, 0.0)
    mean = exact.sum(-1) / count
    spread = (exact * exact).sum(-1) / count - mean * mean
    wide = count > 1
    return float((spread * count / (count - 1))[wide].mean()) if bool(wide.any()) else math.nan


def _heads(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    return tensor.unflatten(-1, (heads, -1)).transpose(-2, -3)
