"""Second moments through attention and back: one head, many of it, finite numbers of tokens and features."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from varprop._validation import InputError, check_integer, check_one_of, check_real, described
from varprop.analytic.attention import resummed, sampled
from varprop.analytic.attention.averages import ForwardAverages
from varprop.analytic.attention.forms import centred
from varprop.analytic.attention.kernels import HeadKernels
from varprop.analytic.attention.shape import AttentionShape

Array = NDArray[np.float64]

ENGINES = ("auto", "resummed", "sampled")

_LARGEST, _SMALL = 1.0, 0.1
"""Variances of logits up to which the expansion holds for nearly exchangeable keys, and for any."""

_NOISE = 0.02
_ENGINES = {"resummed": resummed, "sampled": sampled}


class AttentionReason(StrEnum):
    """Why a result of attention is not exact; `text` says it to people."""

    NONE = "none"
    MANY_HEADS = "many heads"
    LARGE_LOGITS = "large logits"
    FEW_KEYS = "few keys"
    SAMPLING = "sampling"

    @property
    def text(self) -> str:
        """The reason in words; empty where there is none."""
        return _TEXTS[self]


_TEXTS = {
    AttentionReason.NONE: "",
    AttentionReason.MANY_HEADS: "attention is averaged in the limit of many wide heads",
    AttentionReason.LARGE_LOGITS: "logits are too large for the expansion of attention around uniform weights",
    AttentionReason.FEW_KEYS: "keys are too much alike for the expansion of attention around uniform weights",
    AttentionReason.SAMPLING: "the average over the heads of an attention is sampled with an error of over 2 %",
}


@dataclass(frozen=True, eq=False)
class AttendedGradients:
    """Second moments of gradients per feature in front of an attention, shape (N, N) each.

    Attributes
    ----------
    query : ndarray
        At the queries of one head.
    key, value : ndarray
        At the keys and values of one key and value head, summed over its `groups` query heads.
    order : str
        "exact", "infinite" or "approximate".
    reason : AttentionReason
    query_excess : ndarray
        What finite width adds to `query` (contained in it).
    key_excess : float
        What finite width adds to sum(key * Kk), not contained in `key`: the mean square of a weight's gradient is
        (sum(key * Kk) + key_excess) / (fan_in s_k²), for Kk = fan_in s_k² times the second moment of the input.
    """

    query: Array
    key: Array
    value: Array
    order: str
    reason: AttentionReason
    query_excess: Array
    key_excess: float


@dataclass(frozen=True, eq=False)
class Attended:
    """Second moments behind an attention.

    Attributes
    ----------
    output : ndarray
        E[A S A^T] per feature, shape (N, N), what finite width adds included.
    logit_variance : float
        Variance of the logits within a row (divisor n - 1), averaged over rows that see more than one key; NaN if none
        does. Exact wherever the second moments of queries and keys are.
    concentration : float
        E sum_s A_ts², averaged over rows.
    uniform_concentration : float
        The same without logits: the mean of one over the number of visible keys.
    order : str
        "exact" where each row has one visible key or equal logits in every draw, else "infinite" or "approximate".
    reason : AttentionReason
    engine : str
        "resummed" or "sampled".
    """

    output: Array
    logit_variance: float
    concentration: float
    uniform_concentration: float
    order: str
    reason: AttentionReason
    engine: str
    _kernels: HeadKernels
    _share: float

    def backward(self, gradient: Array) -> AttendedGradients:
        """Return the gradients' second moments, given the one at the output.

        Parameters
        ----------
        gradient : ndarray
            Shape (N, N): E[dL/dout_t dL/dout_t'] per feature of the attention output.

        Returns
        -------
        AttendedGradients
        """
        kernels, groups = self._kernels, self._kernels.shape.groups
        _check_matrix("gradient", gradient, kernels.query.shape[0])
        found = _ENGINES[self.engine].backward(kernels, gradient)
        excess = self._share * gradient * found.double
        key_excess = self._share * groups * float(np.sum(gradient * kernels.query * found.double))
        query, key = gradient * found.query + excess, groups * found.key
        # A row with one visible key has no Jacobian: nothing, not even rounding.
        single = kernels.rows.keys == 1.0
        query[single], query[:, single] = 0.0, 0.0
        order, reason = _label(kernels, self.engine, found.noise)
        if _uniform(kernels) and not _zero_gradients(kernels):
            # Values meet keys (or queries) whose Gram matrix they share.
            order, reason = "infinite", AttentionReason.MANY_HEADS
        if order == "exact":
            query, key, excess, key_excess = (
                np.zeros_like(query),
                np.zeros_like(key),
                np.zeros_like(excess),
                0.0,
            )
        return AttendedGradients(query, key, groups * found.value, order, reason, excess, key_excess)


def attend(
    query: Array,
    key: Array,
    value: Array,
    shape: AttentionShape,
    *,
    width: int | None = None,
    fluctuation: float = 1.0,
    engine: Literal["auto", "resummed", "sampled"] = "auto",
    key_value_gram: Array | None = None,
    seed: int = 0,
) -> Attended:
    """Return the second moments behind softmax(q^T k / sqrt d) over visible keys, for weights that are never formed.

    Exact in the mean for many heads of a wide network, whatever the number of tokens and of features per head.

    Parameters
    ----------
    query, key, value : ndarray
        Shape (N, N): second moments per feature, before the rotation and the division by sqrt d. Another scale of the
        logits is a factor in `query`.
    shape : AttentionShape
    width : int or None
        Features of the token that queries, keys and values read; None leaves out what finite width adds.
    fluctuation : float
        c: the size of the fluctuations of the tokens' Gram matrix in units of one Gaussian draw (see `fluctuation`).
    engine : {"auto", "resummed", "sampled"}
        How queries and keys are averaged; auto takes the expansion where it is good to 2 %.
    key_value_gram : ndarray or None
        Shape (N, N): the part of keys and values that reads the same tokens, sqrt(fan_in s_k² fan_in s_v²) times their
        second moment. None: all of both, which are then proportional; zeros: they read different tokens.
    seed : int
        Of the sampled heads. Layers with different seeds have independent errors.

    Returns
    -------
    Attended

    Raises
    ------
    InputError
        If a matrix has another shape or is not finite.

    Examples
    --------
    >>> from varprop.analytic.attention import AttentionShape, attend, causal
    >>> tokens = np.eye(4)
    >>> found = attend(0.0 * tokens, tokens, tokens, AttentionShape(8, causal(4)))
    >>> found.order, np.diagonal(found.output).round(4).tolist()
    ('exact', [1.0, 0.5, 0.3333, 0.25])
    >>> back = found.backward(tokens)
    >>> back.value[0].round(4).tolist(), back.order
    ([1.4236, 0.4236, 0.1736, 0.0625], 'infinite')
    """
    n = shape.mask.shape[0]
    for name, matrix in (("query", query), ("key", key), ("value", value)):
        _check_matrix(name, matrix, n)
    if key_value_gram is not None:
        _check_matrix("key_value_gram", key_value_gram, n)
    check_one_of("engine", engine, ENGINES)
    check_real("fluctuation", fluctuation, minimum=0.0)
    share = 0.0 if width is None else fluctuation / check_integer("width", width, minimum=1)
    common = (value, key) if key_value_gram is None else (key_value_gram, key_value_gram)
    kernels = HeadKernels(query, key, value, shape, common, check_integer("seed", seed, minimum=0))
    # Without chance there is nothing to sample, and the expansion ends at its first term.
    chosen = "resummed" if _uniform(kernels) else _chosen(kernels) if engine == "auto" else engine
    found: ForwardAverages = _ENGINES[chosen].forward(kernels)
    order, reason = _label(kernels, chosen, found.noise)
    several = kernels.rows.keys > 1.0
    spread = kernels.rows.sample_variance[several]
    return Attended(
        output=found.output if order == "exact" else found.output + share * query * found.double,
        logit_variance=float(np.mean(spread)) if several.any() else float("nan"),
        concentration=float(np.mean(found.concentration)),
        uniform_concentration=float(np.mean(1.0 / kernels.rows.keys)),
        order=order,
        reason=reason,
        engine=chosen,
        _kernels=kernels,
        _share=share,
    )


def _chosen(kernels: HeadKernels) -> str:
    return "sampled" if _outside(kernels) is not AttentionReason.NONE else "resummed"


def _outside(kernels: HeadKernels) -> AttentionReason:
    """Return why the expansion around uniform attention is not good enough, if it is not."""
    rows = kernels.rows
    if np.any(rows.variance > _LARGEST):
        return AttentionReason.LARGE_LOGITS
    if np.any((rows.count < 0.5 * rows.keys) & (rows.variance > _SMALL)):
        return AttentionReason.FEW_KEYS
    return AttentionReason.NONE


def _uniform(kernels: HeadKernels) -> bool:
    """Return whether every row has equal logits in every draw: one visible key, equal keys, no queries.

    Then A = A0 without chance, and E[A S A^T] = A0 S A0^T is linear in the second moment of the values: exact at any
    width and for any law of the weights whenever that is. So is the values' gradient A0^T Ga A0.
    """
    return not np.any(kernels.rows.variance > 0.0)


def _zero_gradients(kernels: HeadKernels) -> bool:
    """Return whether J_t v is 0 in every draw, given uniform attention: no query or key has a gradient."""
    if np.all(kernels.rows.keys == 1.0):
        return True
    spread = np.max(np.abs(centred(kernels.value, kernels.shape.blocks)))
    return bool(spread <= 1e-13 * np.max(np.abs(kernels.value)))


def _label(kernels: HeadKernels, engine: str, noise: float) -> tuple[str, AttentionReason]:
    if _uniform(kernels):
        return "exact", AttentionReason.NONE
    outside = _outside(kernels) if engine == "resummed" else AttentionReason.NONE
    if outside is not AttentionReason.NONE:
        return "approximate", outside
    if noise > _NOISE:
        return "approximate", AttentionReason.SAMPLING
    return "infinite", AttentionReason.MANY_HEADS


def _check_matrix(name: str, matrix: Array, n: int) -> None:
    if matrix.shape != (n, n):
        raise InputError(
            name, described(f"an array of shape {matrix.shape}"), f"shape ({n}, {n}), that of the mask"
        )
    if not np.isfinite(matrix).all():
        raise InputError(name, described("a matrix that is not finite"), "finite second moments")
