"""Seeds belong to blocks of work, never to workers.

A stream is named by the user's seed and a path of whole numbers (case, block, purpose); the same path gives
the same stream whatever ran before it and wherever it runs.
"""

from __future__ import annotations

import numpy as np

from varprop._validation import InputError, check_integer, described

Randomness = int | np.random.SeedSequence | np.random.Generator | None
"""What ``rng=`` may be."""


def chosen_seed(seed: int | None, rng: Randomness = None) -> int | None:
    """Return the seed that `seed` or `rng` names, None if neither is given.

    Parameters
    ----------
    seed : int, optional
    rng : int, SeedSequence, Generator or None
        A whole number is a seed. A SeedSequence always names the same seed; a Generator draws one, so that the next
        call gets another.

    Raises
    ------
    InputError
        If both are given, or `rng` is something else.

    Examples
    --------
    >>> chosen_seed(None, 7), chosen_seed(7)
    (7, 7)
    >>> rng = np.random.default_rng(1)
    >>> chosen_seed(None, rng) == chosen_seed(None, rng)
    False
    """
    if rng is None:
        return seed
    if seed is not None:
        raise InputError("rng", described(type(rng).__name__), "either seed or rng, not both")
    if isinstance(rng, np.random.SeedSequence):
        low, high = (int(word) for word in rng.generate_state(2, np.uint32))
        return low | (high >> 1) << 32
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        return check_integer("rng", rng, minimum=0, maximum=2**63 - 1)
    raise InputError("rng", described(type(rng).__name__), "a whole number, a SeedSequence or a Generator")


def generator(seed: int, *path: int) -> np.random.Generator:
    """Return the SFC64 generator of the stream `path` under `seed`.

    Parameters
    ----------
    seed : int
        The study's seed, at least 0.
    *path : int
        Spawn key: whole numbers of at least 0 that name the stream.

    Examples
    --------
    >>> bool(generator(0, 3).random() == generator(0, 3).random())
    True
    """
    sequence = np.random.SeedSequence(check_integer("seed", seed, minimum=0), spawn_key=path)
    return np.random.Generator(np.random.SFC64(sequence))
