"""What a report is made from: the question, three tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from varprop.montecarlo.histograms import Histogram
    from varprop.spec import Network, Study

SEPARATOR = " · "
"""Joins the parts of an automatic case name."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """One study, answered.

    Attributes
    ----------
    study : Study
    predicted, simulated, compared : DataFrame
        All cases of the study, one below the other, without ``attrs``.
    seconds : mapping from step to seconds
    settings : mapping
        Choices beyond the study: order, sampler, estimator.
    histograms : tuple of Histogram
        Of the measured pre-activations, by case and layer.

    Examples
    --------
    >>> import varprop as vp
    >>> found = vp.examine(vp.mlp("40x30", "relu", "lecun_normal", input=vp.half_on(40)), draws=20)
    >>> found.diagnosis[["forward", "backward"]].loc[0].tolist()
    ['vanishing', 'vanishing']
    """

    study: Study
    predicted: pd.DataFrame
    simulated: pd.DataFrame
    compared: pd.DataFrame
    seconds: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    histograms: tuple[Histogram, ...] = ()

    @cached_property
    def drawn(self) -> tuple[int, int]:
        """The least and the greatest number of networks that were drawn of a case."""
        draws = self.simulated.groupby("case", sort=False)["n_draws"].max()
        return int(draws.min()), int(draws.max())

    @cached_property
    def diagnosis(self) -> pd.DataFrame:
        """The verdict on every case as `varprop.diagnose` returns it, of what was measured or else predicted."""
        from varprop.diagnosis import diagnose

        return diagnose(self.compared)

    def report(self, output: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Write the report on this evidence into the folder `output` and return the path of its page.

        Raises
        ------
        InputError
            As `varprop.report`.
        """
        from varprop.reporting.write import write_report

        return write_report(self, output, force=force)

    @classmethod
    def of(
        cls,
        study: Study,
        predicted: pd.DataFrame,
        simulated: pd.DataFrame,
        compared: pd.DataFrame,
        *,
        histograms: Sequence[Histogram] = (),
        seconds: Mapping[str, float] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Evidence:
        """Return the evidence with tables of the contract's dtypes, without ``attrs``.

        Raises
        ------
        InputError
            If a table lacks a column or has a row twice.
        """
        from varprop.results.frames import conformed
        from varprop.results.schema import COMPARED_COLUMNS, PREDICTED_COLUMNS, SIMULATED_COLUMNS

        return cls(
            study,
            conformed(predicted, PREDICTED_COLUMNS, "predicted"),
            conformed(simulated, SIMULATED_COLUMNS, "simulated"),
            conformed(compared, COMPARED_COLUMNS, "compared"),
            seconds or {},
            {**(settings or {}), "statistics_digest": simulated.attrs.get("digest")},
            tuple(histograms),
        )


@dataclass(frozen=True)
class Group:
    """Cases that differ in their initializers only, so that they belong into one picture.

    Attributes
    ----------
    title : str
        Their hidden activations.
    subtitle : str
        Their input and widths.
    networks : tuple of Network
    names : mapping from case to name
        What tells the cases apart within the group.
    """

    title: str
    subtitle: str
    networks: tuple[Network, ...]
    names: Mapping[str, str]

    @property
    def cases(self) -> tuple[str, ...]:
        """Case names as they stand in the tables."""
        return tuple(network.case for network in self.networks)

    @property
    def depth(self) -> int:
        """Number of weight layers."""
        return self.networks[0].depth


def groups(study: Study) -> tuple[Group, ...]:
    """Return the study's cases in groups, in the order of their first case."""
    found: dict[Any, list[Network]] = {}
    for network in study.networks:
        key = (network.input.name, network.widths, _activations(network))
        found.setdefault(key, []).append(network)
    headings = [(_title(m[0]), shape(m[0])) for m in found.values()]
    return tuple(
        Group(
            title=heading[0],
            subtitle=heading[1] if headings.count(heading) == 1 else shape(members[0], whole=True),
            networks=tuple(members),
            names=_names(members),
        )
        for heading, members in zip(headings, found.values(), strict=True)
    )


def shape(network: Network, *, whole: bool = False) -> str:
    """Return input and widths for readers, such as ``digits, 16 examples: 256 → 200 × 9 → 10``."""
    from varprop.spec.widths import spell_widths

    source = network.input.name if whole else network.input.name.split("(")[0]
    widths = spell_widths(network.widths[1:]).replace("x", " × ").replace(",", " → ")
    batch = f", {network.input.batch} examples" if network.input.batch > 1 else ""
    return f"{source}{batch}: {network.input.size} → {widths}"


def _title(network: Network) -> str:
    names = ", ".join(_activations(network))
    if network.depth > 1:
        return names
    return f"one {names} {'neuron' if network.widths[-1] == 1 else 'layer'}"


def _activations(network: Network) -> tuple[str, ...]:
    hidden = network.layers[:-1] or network.layers
    return tuple(dict.fromkeys(layer.activation.name for layer in hidden))


def _names(members: list[Network]) -> dict[str, str]:
    """Drop from automatic names what the group's heading says already."""
    parts = {network.case: network.case.split(SEPARATOR) for network in members}
    common = set(_activations(members[0]))
    if len(members) > 1:
        common |= set.intersection(*(set(p) for p in parts.values()))
    short = {case: SEPARATOR.join(p for p in listed if p not in common) for case, listed in parts.items()}
    distinct = len(set(short.values())) == len(short) and all(short.values())
    return short if distinct else {case: case for case in short}
