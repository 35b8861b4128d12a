"""A run is a list of blocks, and a block is a pure function of the plan and its number.

The plan says everything a block needs, so a block gives the same bits in this process, in a pool or on a
cluster, today or after an interruption. The block size belongs to the plan and never depends on the number
of workers, because every block has a random stream of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from varprop._random import generator

if TYPE_CHECKING:
    import numpy as np

    from varprop.spec import Network

SMALLEST_BLOCK = 4
"""Estimates that compare the draws of a block (the jackknife) need this many."""

FORMAT = 5
"""Changes whenever the same plan would give other numbers or other bytes."""


@dataclass(frozen=True)
class Block:
    """Some consecutive draws of a plan.

    Attributes
    ----------
    index : int
        Position in the plan, from 0; names the random stream together with the plan's seed and case.
    draws : int
        Number of networks to draw, at least 1.
    """

    index: int
    draws: int


def count_blocks(draws: int, block_size: int, first_look: int = 0) -> int:
    """Return into how many blocks the draws of a plan are split."""
    return sum(_count(part, block_size) for part in _stretches(draws, first_look))


def split(draws: int, block_size: int, first_look: int = 0) -> Iterator[Block]:
    """Yield the blocks of a plan in their order.

    Only the last has another size; where the run may stop at `first_look` draws, and at every doubling of them, so
    has the last before each stop, and the blocks of a longer run begin with those of a shorter one.

    Examples
    --------
    >>> [block.draws for block in split(200, 64, first_look=50)]
    [50, 50, 64, 36]
    """
    index = 0
    for part in _stretches(draws, first_look):
        last = _count(part, block_size) - 1
        for number in range(last + 1):
            yield Block(index + number, block_size if number < last else part - last * block_size)
        index += last + 1


def _count(draws: int, block_size: int) -> int:
    return max(1, 1 + (draws - SMALLEST_BLOCK) // block_size)


def _stretches(draws: int, first_look: int) -> Iterator[int]:
    """Yield the draws between two stops."""
    done, stop = 0, first_look or draws
    while done < draws:
        yield min(stop, draws) - done
        done, stop = stop, 2 * stop


@dataclass(frozen=True)
class Plan:
    """Everything that decides the numbers of one simulated network; every choice is already made.

    Attributes
    ----------
    network : Network
        What is drawn.
    draws : int
        Number of independent networks.
    seed : int
        The study's seed.
    case : int
        Number of the network within its study; names the random streams together with the seed.
    block_size : int
        Draws of every block but the last, which has the rest, and up to three more rather than a block of
        fewer than `SMALLEST_BLOCK`.
    sampler : {"dense", "conditional", "chain"}
        How the activations and gradients are drawn.
    estimator : {"plain", "control"}
        How they are averaged.
    share : float
        Share of the greatest slope at which a unit counts as saturated.
    histogram : bool
        Whether per-layer histograms of the pre-activations come along.
    compiled : bool
        Whether the optional compiled kernels are used; they have the same law, not the same bits.
    first_look : int
        Where the run may stop before `draws`, and then at every doubling of it; 0 if the number of draws is fixed.
    """

    network: Network
    draws: int
    seed: int
    case: int
    block_size: int
    sampler: str
    estimator: str
    share: float
    histogram: bool
    compiled: bool = False
    first_look: int = 0

    def __len__(self) -> int:
        """Return the number of blocks."""
        return self.blocks_until(self.draws)

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks in the order of reduction."""
        return split(self.draws, self.block_size, self.first_look)

    def blocks_until(self, draws: int) -> int:
        """Return how many of the blocks the first `draws` draws are; a number at which the run may stop, or 0."""
        return count_blocks(draws, self.block_size, self.first_look) if draws else 0

    def generator(self, block: Block) -> np.random.Generator:
        """Return a fresh generator at the start of the block's own stream."""
        return generator(self.seed, self.case, block.index)

    def facts(self) -> dict[str, Any]:
        """Return what decides the content of a block, as plain values; plans that agree here share blocks.

        The number of draws is absent: a longer run begins with the blocks of a shorter one.
        """
        fields = dataclasses.fields(self)
        facts = {f.name: getattr(self, f.name) for f in fields if f.name not in ("network", "draws")}
        if not self.first_look:
            del facts["first_look"]  # stores of runs that know no looks stay what they are
        return {"format": FORMAT, "network": self.network.digest(), **facts}

    def digest(self) -> str:
        """Return the SHA-256 of `facts` and the number of draws, in hexadecimal."""
        text = json.dumps({**self.facts(), "draws": self.draws}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
