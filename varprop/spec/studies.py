"""A study: networks to compare, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from varprop._validation import InputError, check_integer, check_real, described
from varprop.activations import DEFAULT_SHARE
from varprop.spec._contents import content_digest
from varprop.spec.labels import check_label
from varprop.spec.networks import Network
from varprop.spec.widths import spell_widths

if TYPE_CHECKING:
    import pandas as pd

MOST_NETWORKS = 10_000


@dataclass(frozen=True)
class Study:
    """Networks and the way they are simulated and judged.

    Parameters
    ----------
    name : str
        A label (see `varprop.spec.labels`).
    networks : sequence of Network
        1 to 10,000. Those without a name whose automatic names coincide are told apart by what differs.
    title : str
        Heading of the report; the name if empty.
    draws : int or "auto"
        Networks drawn per case, at least 2. With "auto", as many as the comparison with theory needs (see
        `varprop.examine`), and 200 where nothing is compared.
    seed : int
        At least 0.
    alpha : float
        Family-wise error rate of the verdicts, between 1e-12 and 1.
    margin : float
        Relative difference that does not matter, between 0 and 1.
    saturation_share : float
        A unit is saturated in the tails where |phi'| is at most this share of its supremum.

    Raises
    ------
    InputError
        A field out of range, or two networks of one name.

    Examples
    --------
    >>> from varprop.spec import mlp
    >>> study = Study("two", [mlp([30, 10], "relu", "he_normal"), mlp([30, 10], "relu", "glorot_normal")])
    >>> study.cases
    ('he_normal · relu', 'glorot_normal · relu')
    """

    name: str
    networks: tuple[Network, ...]
    title: str = ""
    draws: int | Literal["auto"] = "auto"
    seed: int = 0
    alpha: float = 0.05
    margin: float = 0.02
    saturation_share: float = DEFAULT_SHARE

    def __post_init__(self) -> None:
        networks = tuple(self.networks) if isinstance(self.networks, Sequence) else ()
        if not 1 <= len(networks) <= MOST_NETWORKS:
            raise InputError("networks", described(f"{len(networks)} networks"), f"1 to {MOST_NETWORKS}")
        for i, network in enumerate(networks):
            if not isinstance(network, Network):
                raise InputError(f"networks[{i}]", described(type(network).__name__), "a Network")
        checked = {
            "name": check_label("name", self.name),
            "networks": _told_apart(networks),
            "title": check_label("title", self.title, empty=True),
            "draws": check_draws("draws", self.draws),
            "seed": check_integer("seed", self.seed, minimum=0, maximum=2**63 - 1),
            "alpha": check_real("alpha", self.alpha, minimum=1e-12, maximum=1.0, exclusive=True),
            "margin": check_real("margin", self.margin, minimum=0.0, maximum=1.0, exclusive=True),
            "saturation_share": check_real(
                "saturation_share", self.saturation_share, minimum=0.0, maximum=1.0, exclusive=True
            ),
        }
        for field, value in checked.items():
            object.__setattr__(self, field, value)

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the cases, all different, in order."""
        return tuple(network.case for network in self.networks)

    def content(self) -> dict[str, Any]:
        """Return what determines the study's tables as plain data; name and title do not."""
        return {
            "cases": list(self.cases),
            "networks": [network.content() for network in self.networks],
            "draws": self.draws,
            "seed": self.seed,
            "alpha": self.alpha,
            "margin": self.margin,
            "saturation_share": self.saturation_share,
        }

    def digest(self) -> str:
        """Return the SHA-256 of `content`."""
        return content_digest(self.content())

    def describe(self) -> pd.DataFrame:
        """Return one row per case: input, widths, activations, initializers, head, number of parameters."""
        import pandas as pd

        rows = []
        for network in self.networks:
            rows.append(
                {
                    "case": network.case,
                    "input": network.input.name,
                    "batch": network.input.batch,
                    "widths": spell_widths(network.widths) if network.is_chain else _ends(network),
                    "depth": network.depth,
                    "activation": ", ".join(network.names("activation")),
                    "weights": ", ".join(network.names("weights")),
                    "biases": ", ".join(network.names("biases")),
                    "gain": ", ".join(dict.fromkeys(f"{gain:g}" for gain in network.gains)),
                    "head": network.head.kind,
                    "parameters": network.parameters,
                }
            )
        return pd.DataFrame(rows)


def check_draws(field: str, value: object) -> int | Literal["auto"]:
    """Return a number of draws, or "auto".

    Raises
    ------
    InputError
        Anything else.
    """
    if isinstance(value, str):
        if value.strip() == "auto":
            return "auto"
        raise InputError(field, value, "a whole number of at least 2, or 'auto'")
    return check_integer(field, value, minimum=2, maximum=10**9)


def _told_apart(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    """Name the unnamed networks whose automatic names coincide; refuse given names that do."""
    given = Counter(network.name for network in networks if network.name)
    for i, network in enumerate(networks):
        if given[network.name] > 1:
            raise InputError(f"networks[{i}].name", network.name, "a name that no other network has")
    cases = [network.case for network in networks]
    for detail in (_by_widths, _by_biases, _by_input, _by_number):
        shared = {case for case, count in Counter(cases).items() if count > 1}
        if not shared:
            break
        details = [detail(i, network) for i, network in enumerate(networks)]
        for case in shared:
            members = [i for i, other in enumerate(cases) if other == case]
            if len({details[i] for i in members}) > 1:
                for i in members:
                    if not networks[i].name:
                        cases[i] = f"{case} · {details[i]}"
    return tuple(
        network if network.case == case else replace(network, name=case)
        for network, case in zip(networks, cases, strict=True)
    )


def _ends(network: Network) -> str:
    graph = network.graph
    return f"{graph.nodes[0].shape.text} to {graph.output.shape.text}"


def _by_widths(_: int, network: Network) -> str:
    if network.is_chain:
        return spell_widths(network.widths[1:])
    return f"{network.parameters} parameters"


def _by_biases(_: int, network: Network) -> str:
    return "biases " + ", ".join(network.names("biases"))


def _by_input(_: int, network: Network) -> str:
    return f"on {network.input.name}"


def _by_number(i: int, _: Network) -> str:
    return f"no. {i + 1}"
