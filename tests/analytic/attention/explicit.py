"""Referee: attention heads with explicit queries, keys, values and gradients, in plain NumPy, one formula per line.

Nothing of the package is used. Each head (or each network) is a replicate.
"""

import numpy as np


def estimate(replicates):
    """Mean over the first axis, and its standard error; any shape."""
    replicates = np.asarray(replicates)
    return replicates.mean(axis=0), replicates.std(axis=0, ddof=1) / np.sqrt(len(replicates))


def normal(rng, heads, features, second_moment):
    """Gaussian features (heads, features, N) with this second moment over columns."""
    values, vectors = np.linalg.eigh(second_moment)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return rng.standard_normal((heads, features, len(second_moment))) @ root.T


def turn(x, positions, base, sign=1.0):
    """Rotate features (2f, 2f + 1) of column t by the angle positions[t] base^(-2f/d)."""
    if positions is None:
        return x
    d = x.shape[1]
    out = np.empty_like(x)
    for f in range(d // 2):
        angle = sign * positions * base ** (-2.0 * f / d)
        out[:, 2 * f] = x[:, 2 * f] * np.cos(angle) - x[:, 2 * f + 1] * np.sin(angle)
        out[:, 2 * f + 1] = x[:, 2 * f] * np.sin(angle) + x[:, 2 * f + 1] * np.cos(angle)
    return out


def weights_of(q, k, mask):
    """Softmax of q^T k / sqrt d over visible keys, (heads, N, N), and the logits."""
    logits = np.einsum("hft,hfs->hts", q, k) / np.sqrt(q.shape[1])
    seen = np.where(mask, logits, -np.inf)
    a = np.exp(seen - seen.max(axis=2, keepdims=True))
    return a / a.sum(axis=2, keepdims=True), logits


def backward(q, k, v, d_out, mask, positions=None, base=10000.0):
    """Output (heads, d, N) and gradients at q, k, v of sum(d_out * output), by the chain rule."""
    turned_q, turned_k = turn(q, positions, base), turn(k, positions, base)
    a, logits = weights_of(turned_q, turned_k, mask)
    out = np.einsum("hts,hfs->hft", a, v)
    d_a = np.einsum("hft,hfs->hts", d_out, v)
    d_logits = a * (d_a - np.sum(a * d_a, axis=2, keepdims=True))
    root = np.sqrt(q.shape[1])
    d_q = turn(np.einsum("hts,hfs->hft", d_logits, turned_k) / root, positions, base, -1.0)
    d_k = turn(np.einsum("hts,hft->hfs", d_logits, turned_q) / root, positions, base, -1.0)
    return out, d_q, d_k, np.einsum("hts,hft->hfs", a, d_out), a, logits


def gram(x):
    """Second moment over features of each head, (heads, N, N)."""
    return np.einsum("hft,hfs->hts", x, x) / x.shape[1]


def head_moments(kq, kk, sv, ga, d, mask, heads, seed, positions=None):
    """Second moments of each head by name, in the limit of infinite width: features are Gaussian."""
    rng, kept = np.random.default_rng(seed), {}
    for _ in range(heads // 1000):
        q, k, v, g = (normal(rng, 1000, d, s) for s in (kq, kk, sv, ga))
        out, d_q, d_k, d_v, a, _ = backward(q, k, v, g, mask, positions)
        found = {"output": gram(out), "query": gram(d_q), "key": gram(d_k), "value": gram(d_v)}
        found["concentration"] = np.sum(a**2, axis=2).mean(axis=1)
        for name, value in found.items():
            kept.setdefault(name, []).append(value)
    return {name: np.concatenate(values) for name, values in kept.items()}


def layer_moments(tokens, ga, d, mask, width, scales, draws, seed, groups=1, positions=None):
    """The same of a whole layer with explicit weights of `width` inputs, on random tokens of second moment `tokens`.

    `scales` are the variances of a query, key and value feature of a token of second moment 1. The replicate is the
    draw of tokens and weights. Adds mean squares of the weights' gradients.
    """
    rng, kept = np.random.default_rng(seed), {}
    heads = width // d
    shared = heads // groups
    for _ in range(draws):
        x = normal(rng, 1, width, tokens)[0]
        w_q, w_k, w_v = (
            rng.standard_normal((count * d, width)) * np.sqrt(scale / width)
            for count, scale in zip((heads, shared, shared), scales, strict=True)
        )
        q = (w_q @ x).reshape(heads, d, -1)
        # Query head h reads key and value head h // groups.
        k, v = (np.repeat((w @ x).reshape(shared, d, -1), groups, axis=0) for w in (w_k, w_v))
        d_out = normal(rng, heads, d, ga)
        out, d_q, d_k, d_v, a, _ = backward(q, k, v, d_out, mask, positions)
        d_k, d_v = (g.reshape(shared, groups, d, -1).sum(axis=1) for g in (d_k, d_v))
        found = {"output": gram(out), "query": gram(d_q), "key": gram(d_k), "value": gram(d_v)}
        found = {name: value.mean(axis=0) for name, value in found.items()}
        for name, g in (("weight_query", d_q), ("weight_key", d_k), ("weight_value", d_v)):
            found[name] = np.mean((g.reshape(-1, g.shape[-1]) @ x.T) ** 2)
        found["concentration"] = np.mean(np.sum(a**2, axis=2))
        for name, value in found.items():
            kept.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in kept.items()}
