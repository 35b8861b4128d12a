"""Made inputs with positions: tokens, and images of standard normal numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from varprop import _random
from varprop._validation import InputError, check_integer, check_one_of, described
from varprop.spec.inputs import Input
from varprop.spec.limits import LARGEST_SEED, check_count
from varprop.spec.sources import kinds
from varprop.spec.widths import check_width

IDS = ("uniform", "distinct", "zipf")
MOST_EXAMPLES = 10_000_000


@kinds.register("tokens")
def tokens(length: int, vocabulary: int, batch: int = 1, ids: Any = "uniform", seed: int = 0) -> Input:
    """Return a fixed batch of token sequences, part of the spec and the same for every engine.

    Parameters
    ----------
    length : int
        Positions T of an example.
    vocabulary : int
        How many tokens there are.
    batch : int
        Examples B.
    ids : {"uniform", "distinct", "zipf"} or array of shape (T,) or (B, T)
        ``uniform``: every token equally likely; ``distinct``: no token twice among all B T;
        ``zipf``: token k with probability proportional to 1 / (k + 1), as words of a text nearly are; or the
        tokens themselves, whole numbers below `vocabulary`.
    seed : int
        Names the data. It has nothing to do with the seed of the simulation.

    Raises
    ------
    InputError
        Sizes out of range (they are checked before anything of that size is made), more distinct tokens than there
        are, tokens that are none.

    Examples
    --------
    >>> x = tokens(16, 1000, batch=2, ids="distinct")
    >>> x, len(set(x.array().ravel()))
    (<Input tokens(16x1000x2, distinct): 16 tokens of 1000 × 2 examples>, 32)
    >>> tokens(3, 10, ids=[7, 7, 2]).array()
    array([[7., 7., 2.]])
    """
    length = check_width("length", length)
    vocabulary = check_width("vocabulary", vocabulary)
    batch = check_integer("batch", batch, minimum=1, maximum=MOST_EXAMPLES)
    seed = check_integer("seed", seed, minimum=0, maximum=LARGEST_SEED)
    check_count("length", "positions × examples", length, batch)
    sizes: list[tuple[str, Any]] = [("length", length), ("vocabulary", vocabulary), ("batch", batch)]
    name = f"{length}x{vocabulary}" + (f"x{batch}" if batch > 1 else "")
    if not isinstance(ids, str):
        values = _given_ids(ids, length, vocabulary, batch)
        sizes[2] = ("batch", len(values))
        name = f"tokens({length}x{vocabulary}{f'x{len(values)}' if len(values) > 1 else ''}, given)"
        recipe = (*sizes, ("ids", values.tolist()))
    else:
        check_one_of("ids", ids, IDS)
        values = _drawn_ids(ids, (batch, length), vocabulary, seed)
        own = [ids] if ids != "uniform" else []
        name = f"tokens({', '.join([name, *own, *([f'seed={seed}'] if seed else [])])})"
        recipe = (*sizes, ("ids", ids), ("seed", seed))
    return Input(
        values.reshape(1, -1),
        name,
        kind="tokens",
        recipe=recipe,
        positions=(length,),
        vocabulary=vocabulary,
    )


def _drawn_ids(ids: str, shape: tuple[int, int], vocabulary: int, seed: int) -> np.ndarray:
    rng = _random.generator(seed, 2**32 - 3)  # a stream of its own, as `gaussian` has
    count = shape[0] * shape[1]
    if ids == "uniform":
        return np.asarray(rng.integers(vocabulary, size=shape))
    check_count("vocabulary", "tokens", vocabulary)
    if ids == "zipf":
        shares = np.cumsum(1.0 / np.arange(1, vocabulary + 1))
        return np.asarray(np.searchsorted(shares, rng.random(shape) * shares[-1], side="right"))
    if count > vocabulary:
        found = described(f"distinct with {count} positions in all")
        raise InputError("ids", found, f"at most as many as there are tokens, {vocabulary}")
    return np.asarray(rng.permutation(vocabulary)[:count].reshape(shape))


def _given_ids(ids: Any, length: int, vocabulary: int, batch: int) -> np.ndarray:
    try:
        given = np.asarray(ids)
    except (ValueError, TypeError, OverflowError):
        raise InputError("ids", described(type(ids).__name__), "rows of one length") from None
    rows = given[None, :] if given.ndim == 1 else given
    if given.dtype.kind not in "iuf" or rows.ndim != 2 or rows.shape[1] != length or not len(rows):
        found = described(f"array of {given.dtype}, shape {given.shape}")
        raise InputError("ids", found, f"one of {', '.join(IDS)}, or whole numbers of shape (B, {length})")
    if batch not in (1, len(rows)):
        raise InputError("batch", batch, f"{len(rows)}, as many as there are rows of ids")
    if not np.all((rows >= 0) & (rows < vocabulary) & (rows == np.floor(rows))):
        raise InputError("ids", described("other numbers"), f"whole numbers from 0 to {vocabulary - 1}")
    return np.asarray(rows, dtype=np.int64)


@kinds.register("images")
def images(channels: int, height: int, width: int, batch: int = 1, seed: int = 0) -> Input:
    """Return a fixed batch of images of independent standard normal numbers (for real ones see `data` and `digits`).

    Parameters
    ----------
    channels, height, width : int
        Shape of one image.
    batch : int
        Examples B.
    seed : int
        Names the data. It has nothing to do with the seed of the simulation.

    Raises
    ------
    InputError
        Sizes out of range; they are checked before anything of that size is made.

    Examples
    --------
    >>> x = images(3, 32, 32, batch=4)
    >>> x.shape.text, x.batch, x.array().shape
    ('3 × 32 × 32', 4, (3, 4096))
    """
    channels = check_width("channels", channels)
    positions = (check_width("height", height), check_width("width", width))
    batch = check_integer("batch", batch, minimum=1, maximum=MOST_EXAMPLES)
    seed = check_integer("seed", seed, minimum=0, maximum=LARGEST_SEED)
    check_count("channels", "channels × height × width × examples", channels, *positions, batch)
    values = _random.generator(seed, 2**32 - 4).standard_normal(
        (channels, batch * positions[0] * positions[1])
    )
    sizes = f"{channels}x{positions[0]}x{positions[1]}" + (f"x{batch}" if batch > 1 else "")
    recipe = (
        ("channels", channels),
        ("height", positions[0]),
        ("width", positions[1]),
        ("batch", batch),
        ("seed", seed),
    )
    name = f"images({sizes}{f', seed={seed}' if seed else ''})"
    return Input(values, name, kind="images", recipe=recipe, positions=positions)
