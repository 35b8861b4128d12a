"""What attention at finite width adds: queries, keys and values read the same fluctuating Gram matrix of the tokens.

The Gram matrix Y + dY of n features has E dY_ab dY_cd = (c/n) (Y_ac Y_bd + Y_ad Y_bc). Values and keys, both functions
of it, meet in tr(J_t S J_t'^T K), whose average gains (c/n) tr(J_t S) tr(J_t' K): of relative size c T/n, not 1/n, as
two traces of T terms stand where there was one (own derivation; equation (F) of the notes). c starts at 1 for tokens
drawn at random, at 0 for tokens that were measured, and grows with every block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from varprop.analytic.attention.shape import AttentionShape, diagonal_blocks

Array = NDArray[np.float64]


def double_trace(attention: Array, common: tuple[Array, Array], shape: AttentionShape) -> Array:
    """Return tr(J_t S) tr(J_t' K), symmetrized and averaged over a stack of attention matrices.

    Parameters
    ----------
    attention : ndarray
        Shape (..., B, T, T).
    common : tuple of two ndarrays
        S and K, shape (N, N) each.
    shape : AttentionShape
        With rotation, the diagonals of J_t S and J_t' K are summed with weights cos(angle (s - s' - t + t')).

    Returns
    -------
    ndarray
        Shape (N, N).
    """
    first, second = (_turned(attention, matrix, shape) for matrix in common)
    total = np.tensordot(first, second.conj(), axes=((0, 2), (0, 2))).real / (first.shape[0] * first.shape[2])
    return np.asarray(0.5 * (total + total.T))


def _turned(attention: Array, matrix: Array, shape: AttentionShape) -> NDArray[np.inexact]:
    """Return sum_s (J_t S)_ss exp(i angle (s - t)), shape (stack, N, angles)."""
    n = matrix.shape[0]
    blocks = diagonal_blocks(matrix, shape.blocks)
    diagonal = attention * (np.diagonal(blocks, axis1=-2, axis2=-1)[:, None, :] - attention @ blocks)
    if shape.rotary is None:
        return np.asarray(diagonal.sum(axis=-1).reshape(-1, n, 1))
    turns = np.exp(1j * np.multiply.outer(shape.rotary, shape.frequencies))
    turns = turns.reshape(shape.blocks, -1, shape.frequencies.size)
    turned = (diagonal @ turns) * turns.conj()
    return np.asarray(turned.reshape(-1, n, turns.shape[-1]))


def own_pair_factor(squares: Array, cubes: Array, fourths: Array, double: Array) -> Array:
    """Return what multiplies the double trace where t = t', for the output.

    The second derivative sum_ab d²(A_a A_b)/dl_a dl_b = 1 - p2 - 4 (p2 - p3) + 6 (p2² - p4), p_k = sum A^k, stands in
    place of (tr J)².

    Parameters
    ----------
    squares, cubes, fourths, double : ndarray
        Averages of p2, p3, p2² - p4 and (1 - p2)², same shape.
    """
    bent = 1.0 - squares - 4.0 * (squares - cubes) + 6.0 * fourths
    return np.asarray(np.where(double > 1e-14, bent / np.where(double > 1e-14, double, 1.0), 1.0))


def advance_fluctuation_attention(
    fluctuation: float, stream: Array, branch: Array, examples: int = 1
) -> float:
    """Return c behind an attention sublayer.

    Parameters
    ----------
    fluctuation : float
        c in front of it.
    stream, branch : ndarray
        Shape (N, N): second moment of the tokens in the residual stream (0 where nothing runs past the branch), and of
        what the branch adds, its scale and output projection included.
    examples : int
        B; what differs within examples counts.

    Notes
    -----
    With u the spread of the tokens of an example, [c (u + u_a)² + u'² - u² + u_a²] / u'²: what was there, passed on by
    the stream and by the branch; the output projection; the value projection. It overestimates c of causal attention by
    10 to 30 %.

    Examples
    --------
    >>> tokens = np.eye(4)
    >>> advance_fluctuation_attention(1.0, tokens, 0.5 * tokens)
    1.6666666666666667
    """
    u, added, after = (_spread(s, examples) for s in (stream, branch, stream + branch))
    if after <= 0.0:
        return fluctuation
    return float((fluctuation * (u + added) ** 2 + after**2 - u**2 + added**2) / after**2)


def advance_fluctuation_mlp(
    fluctuation: float,
    stream: Array,
    branch: Array,
    hidden: tuple[Array, Array, Array],
    width: int,
    hidden_width: int,
    examples: int = 1,
) -> float:
    """Return c behind an MLP sublayer.

    Parameters
    ----------
    fluctuation, stream, branch, examples
        As for `advance_fluctuation_attention`.
    hidden : tuple of three ndarrays
        Shape (N, N) each: second moment K of the hidden pre-activations, P of the activations and P' of their slopes.
    width, hidden_width : int
        n of the stream and m of the hidden layer.

    Notes
    -----
    [c (u + lam u_m)² + u'² - u² + u_m² n/m] / u'², with lam = sum P' (K° - K) / sum (P° - P) over pairs t != t', K° and
    P° the mean of the two diagonal entries: how the spread behind the activation answers to the one in front of it.

    Examples
    --------
    >>> tokens, k = np.eye(4), 2.0 * np.eye(4)
    >>> advance_fluctuation_mlp(1.0, tokens, 0.5 * tokens, (k, k, np.ones((4, 4))), 64, 256)
    1.5833333333333333
    """
    u, added, after = (_spread(s, examples) for s in (stream, branch, stream + branch))
    if after <= 0.0:
        return fluctuation
    before, activated, slopes = (diagonal_blocks(h, examples) for h in hidden)
    behind = np.sum(_distance(activated))
    answer = float(np.sum(slopes * _distance(before)) / behind) if behind > 0.0 else 0.0
    passed = fluctuation * (u + answer * added) ** 2
    return float((passed + after**2 - u**2 + added**2 * width / hidden_width) / after**2)


def _spread(second_moment: Array, examples: int) -> float:
    """Return (tr S - sum S / T) / (T - 1) within examples, averaged over them; the plain mean of one token."""
    cells = diagonal_blocks(second_moment, examples)
    tokens = cells.shape[-1]
    trace = np.trace(cells, axis1=-2, axis2=-1)
    if tokens == 1:
        return float(np.mean(trace))
    spread = float(np.mean(trace - cells.sum(axis=(-2, -1)) / tokens)) / (tokens - 1)
    # What rounding leaves of identical tokens is no spread.
    return spread if spread > 1e-13 * float(np.mean(trace)) else 0.0


def _distance(kernel: Array) -> Array:
    diagonal = np.diagonal(kernel, axis1=-2, axis2=-1)
    return np.asarray(0.5 * (diagonal[..., :, None] + diagonal[..., None, :]) - kernel)
