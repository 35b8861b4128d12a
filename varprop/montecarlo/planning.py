"""Make every choice that a simulation leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from varprop._validation import InputError, check_integer, check_one_of, check_real
from varprop.montecarlo.blocks import SMALLEST_BLOCK, Plan
from varprop.montecarlo.choice import choose, choose_estimator
from varprop.montecarlo.costs import default_block_size
from varprop.montecarlo.normals import kernels_available

if TYPE_CHECKING:
    from varprop.spec import Network

SAMPLERS = ("auto", "dense", "conditional", "chain")
ESTIMATORS = ("auto", "plain", "control")


def make_plan(
    network: Network,
    *,
    draws: int = 200,
    seed: int = 0,
    case: int = 0,
    sampler: str = "auto",
    estimator: str = "plain",
    share: float | None = None,
    histogram: bool = True,
    block_size: int | None = None,
    compiled: bool = False,
    first_look: int = 0,
) -> Plan:
    """Make every choice that a simulation of `network` leaves open; see `simulate_network`."""
    from varprop.activations import DEFAULT_SHARE

    check_one_of("sampler", sampler, SAMPLERS)
    check_one_of("estimator", estimator, ESTIMATORS)
    estimator = choose_estimator(network, sampler, estimator)
    chosen = choose(network, sampler, estimator)
    if compiled and not kernels_available():
        raise InputError("compiled", True, "false, or the extra: pip install 'varprop[fast]'")
    return Plan(
        network=network,
        draws=check_integer("draws", draws, minimum=2, maximum=10**9),
        seed=check_integer("seed", seed, minimum=0, maximum=2**63 - 1),
        case=check_integer("case", case, minimum=0, maximum=2**31 - 1),
        block_size=default_block_size(network, chosen)
        if block_size is None
        else check_integer("block_size", block_size, minimum=SMALLEST_BLOCK, maximum=10**6),
        sampler=chosen,
        estimator=estimator,
        share=DEFAULT_SHARE
        if share is None
        else check_real("share", share, minimum=0.0, maximum=1.0, exclusive=True),
        # Histograms are of layers; nobody has placed bins for the sites of other graphs.
        histogram=bool(histogram) and network.is_chain,
        compiled=bool(compiled),
        first_look=first_look,
    )
