"""Seeds belong to blocks of work, never to workers.

A stream is named by the user's seed and a path of whole numbers (case, block, purpose); the same path gives
the same stream whatever ran before it and wherever it runs.
"""

from __future__ import annotations

import numpy as np

from varprop._validation import check_integer


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
