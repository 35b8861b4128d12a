"""Which sampler and which estimator a network gets."""

from __future__ import annotations

from varprop._validation import InputError, check_one_of, described
from varprop.activations import DEFAULT_SHARE
from varprop.montecarlo.control_path import why_no_control
from varprop.montecarlo.costs import draw_seconds
from varprop.montecarlo.graphs.block import all_explicit
from varprop.montecarlo.graphs.program import compile_graph
from varprop.montecarlo.samplers.chain import why_not_chain
from varprop.montecarlo.samplers.conditional import FAMILIES
from varprop.montecarlo.samplers.program import size_ratio
from varprop.spec import Network
from varprop.spec.ops import Unembedding

_WIDEST = 1e120
"""Ratio of two inputs' sizes whose squares still fit into double precision side by side."""


def choose(network: Network, sampler: str, estimator: str = "plain") -> str:
    """Return the sampler to use: the one asked for if it is exact here, or for ``auto`` the cheapest exact one.

    Raises
    ------
    InputError
        If the assumptions of the sampler or the estimator fail for this network.
    """
    check_one_of("sampler", sampler, ("auto", "dense", "conditional", "chain"))
    if not network.is_chain:
        return _choose_for_graph(network, sampler, estimator)
    if size_ratio(network.input.array()) > _WIDEST:
        found = described("examples of which one is more than 1e120 times as large as another")
        raise InputError("input", found, "examples of comparable sizes (all of a draw share one exponent)")
    if estimator == "control":
        refusal = why_no_control(network)
        if refusal:
            raise InputError("estimator", described("control"), f"plain, because {refusal}")
        if sampler not in ("auto", "conditional"):
            raise InputError("sampler", described(sampler), "conditional for the control estimator")
        return "conditional"
    if sampler == "chain":
        refusal = why_not_chain(network)
        if refusal:
            raise InputError("sampler", described("chain"), f"conditional or dense, because {refusal}")
        return sampler
    refusal = why_not_conditional(network)
    if sampler == "conditional" and refusal:
        raise InputError("sampler", described("conditional"), f"dense, because {refusal}")
    if sampler != "auto":
        return sampler
    if refusal:
        return "dense"
    return min(("conditional", "dense"), key=lambda name: draw_seconds(network, name))


def _choose_for_graph(network: Network, sampler: str, estimator: str) -> str:
    if estimator == "control":
        found = described("control for a network that is no chain of dense layers")
        raise InputError("estimator", found, "plain, or auto")
    if sampler == "chain":
        found = described("chain for a network that is no chain of dense layers")
        raise InputError("sampler", found, "conditional or dense")
    tied = [node.table for node in network.graph.nodes if isinstance(node.op, Unembedding)]
    if len(tied) > len(set(tied)):
        found = described("several output layers tied to one embedding")
        raise InputError("body", found, "one of them, for a simulation")
    refusal = all_explicit(compile_graph(network, DEFAULT_SHARE))
    if sampler == "conditional" and refusal:
        raise InputError("sampler", described("conditional"), f"dense, because {refusal}")
    return sampler if sampler != "auto" else "dense" if refusal else "conditional"


def choose_estimator(network: Network, sampler: str, estimator: str) -> str:
    """Return the estimator to use: for ``auto`` the control one wherever it holds, the plain one elsewhere.

    A single layer is measured plainly: given its input, its conditional expectations are the formulas themselves,
    and nothing would be tested.
    """
    if estimator != "auto":
        return estimator
    if not network.is_chain:
        return "plain"
    holds = network.depth > 1 and sampler in ("auto", "conditional") and not why_no_control(network)
    return "control" if holds else "plain"


def why_not_conditional(network: Network) -> str:
    """Return why the conditional sampler is not exact for a network, or an empty text."""
    for number, layer in enumerate(network.layers, start=1):
        law = network.weight_law(number)
        if law.family not in FAMILIES:
            return (
                f"layer {number} has {layer.weights.name} weights, and the conditional sampler needs "
                "independent normal, Haar-orthogonal or constant ones"
            )
    return ""
