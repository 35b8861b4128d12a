"""Second moments of tokens that the tests share."""

import numpy as np


def alike(tokens, correlation, examples=1, between=0.0):
    """Second moment 1, one correlation within examples and one between them."""
    s = np.full((tokens * examples, tokens * examples), between)
    for b in range(examples):
        s[b * tokens : (b + 1) * tokens, b * tokens : (b + 1) * tokens] = correlation
    np.fill_diagonal(s, 1.0)
    return s


def uneven(columns, features, seed=0):
    """Gram matrix of a few random features: every entry different, rank at most `features`."""
    x = np.random.default_rng(seed).standard_normal((features, columns))
    return x.T @ x / features


def repeated(tokens, features, seed=0):
    """Every token stands twice: singular, with pairs of equal columns."""
    return np.kron(uneven(tokens, features, seed), np.ones((2, 2)))
