"""What a block of draws leaves behind: a few numbers per layer and quantity, however many draws it had.

Every quantity of the contract is one number per draw and layer (a mean over units and inputs, accumulated in
double precision), since the network draw is the replicate. `Statistics` keeps their mergeable summaries:
moments, log-scale moments, extremes and a sketch for the median, and the histograms of the pre-activations as
whole counts on a fixed grid.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from varprop.montecarlo.cells import Array, Cells, Moments
from varprop.montecarlo.scaled import logarithm
from varprop.results.schema import CHAIN_QUANTITIES, QUANTITIES

if TYPE_CHECKING:
    from varprop.spec import Network

NAMES = tuple(QUANTITIES)
"""Order of the quantities in every array; those of chains come first."""

PLACE = {name: i for i, name in enumerate(NAMES)}


def names_for(network: Network) -> tuple[str, ...]:
    """Return the quantities that a network's arrays have, in their order."""
    return CHAIN_QUANTITIES if network.is_chain else NAMES


ROUNDING_SINGLE, ROUNDING_DOUBLE = 1e-6, 1e-13
"""Relative error of a per-draw number computed in single and in double precision, at most."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mergeable summary of some draws of one network.

    Attributes
    ----------
    draws : int
        Number of networks drawn.
    depth : int
        Number of layers; cells are ordered by layer, then quantity.
    cells : Cells
        Of the per-draw values as the estimator gives them.
    plain : Moments
        Of the per-draw values before the control variate; equal to ``cells.moments`` for the plain estimator.
    plain_logs : Moments
        Of the natural logarithms of their magnitudes, zeros left out.
    innovations : Moments
        Of the control estimator's relative innovations, cells ordered by layer, then step and gap (see
        `varprop.montecarlo.control.Innovations`); no draws for the plain estimator.
    histogram : array of int64, shape (depth, bins)
        Counts of pre-activations on the plan's grid; no bins if histograms are off.
    rounding : float
        Relative error that rounding may leave in a value.

    Examples
    --------
    >>> import numpy as np
    >>> value = np.full((3, 1, len(NAMES)), np.nan)
    >>> value[:, 0, PLACE["preactivation_second_moment"]] = [1.0, 2.0, 3.0]
    >>> part = Statistics.of(value)
    >>> float(part.merge(part).cells.moments.value()[PLACE["preactivation_second_moment"]])
    2.0
    """

    draws: int
    depth: int
    cells: Cells
    plain: Moments
    plain_logs: Moments
    innovations: Moments
    histogram: Array
    rounding: float = ROUNDING_DOUBLE

    @classmethod
    def of(
        cls,
        value: Array,
        exponent: Array | None = None,
        histogram: Array | None = None,
        plain: tuple[Array, Array] | None = None,
        innovations: Array | None = None,
        rounding: float = ROUNDING_DOUBLE,
    ) -> Statistics:
        """Summarise per-draw values.

        Parameters
        ----------
        value : array of shape (draws, depth, quantities)
            NaN where a draw has no value, infinite where it left the range.
        exponent : array of int of the same shape, optional
            Binary exponents of `value`; default 0.
        histogram : array of shape (depth, bins), optional
            Counts of pre-activations.
        plain : (value, exponent), optional
            The values before a control variate, some of them possibly NaN. Default: `value`.
        innovations : array of shape (draws, depth, 2), optional
            Relative innovations of the control estimator.
        rounding : float
            Relative error that rounding may leave in a value.
        """
        draws, depth, _ = value.shape
        flat = value.reshape(draws, -1)
        powers = np.zeros(flat.shape, np.int64) if exponent is None else exponent.reshape(draws, -1)
        cells = Cells.of(flat, powers)
        before, logs = cells.moments, cells.logs
        if plain is not None:
            own = [a.reshape(draws, -1) for a in plain]
            before = Moments.of(*own)
            known = np.isfinite(own[0]) & (own[0] != 0)
            logs = Moments.of(np.where(known, logarithm(*own), np.nan))
        steps = np.full((1, depth, 2), np.nan) if innovations is None else innovations
        new = Moments.of(steps.reshape(len(steps), -1))
        counts = np.zeros((depth, 0), np.int64) if histogram is None else histogram.astype(np.int64)
        return cls(draws, depth, cells, before, logs, new, counts, rounding)

    @property
    def names(self) -> tuple[str, ...]:
        """The quantities of every layer, in order."""
        return NAMES[: len(self.cells.overflows) // self.depth]

    def merge(self, other: Statistics) -> Statistics:
        """Return the summary of both sets of draws. The result of many depends on their order in the last bit."""
        return Statistics(
            self.draws + other.draws,
            self.depth,
            self.cells.merge(other.cells),
            self.plain.merge(other.plain),
            self.plain_logs.merge(other.plain_logs),
            self.innovations.merge(other.innovations),
            self.histogram + other.histogram,
            max(self.rounding, other.rounding),
        )

    def to_bytes(self) -> bytes:
        """Return an .npz archive without pickled objects; equal statistics give equal bytes."""
        named = {f"cells.{name}": array for name, array in self.cells.arrays().items()}
        named |= {f"plain.{name}": array for name, array in vars(self.plain).items()}
        named |= {f"logs.{name}": array for name, array in vars(self.plain_logs).items()}
        named |= {f"innovations.{name}": array for name, array in vars(self.innovations).items()}
        named |= {"size": np.array([self.draws, self.depth]), "histogram": self.histogram}
        named |= {"rounding": np.array(self.rounding)}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **named)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Statistics:
        """Return the statistics that `to_bytes` wrote.

        Raises
        ------
        ValueError, KeyError, zipfile.BadZipFile
            If `data` is something else; nothing is ever unpickled.
        """
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            named = {name: archive[name] for name in archive.files}
        draws, depth = (int(n) for n in named["size"])

        def part(prefix: str) -> dict[str, Array]:
            return {n.removeprefix(prefix): array for n, array in named.items() if n.startswith(prefix)}

        return cls(
            draws,
            depth,
            Cells.from_arrays(part("cells.")),
            Moments(**part("plain.")),
            Moments(**part("logs.")),
            Moments(**part("innovations.")),
            named["histogram"],
            float(named["rounding"]),
        )
