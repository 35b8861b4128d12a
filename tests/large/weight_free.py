"""Weight-free against explicit weights at a size and number of draws that the suite has no time for.

``python -m tests.large.weight_free FILE [--draws N]`` writes one row a network: statistics compared, the least p-value
by Kolmogorov and Smirnov, corrected for their number, and the same for the negative control, whose fresh noise on the
way back is 5 % too large. It ends with exit code 1 if a network is rejected at 1e-3, or a control is not.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path
from unittest import mock

import varprop.montecarlo.maps as maps
from tests.montecarlo.graphs.networks import NETWORKS
from tests.montecarlo.graphs.test_exactness import ALPHA, Wrong, least_p, sample
from varprop.montecarlo.statistics import NAMES
from varprop.spec import Network
from varprop.spec.image_networks import mlp_mixer, resnet
from varprop.spec.transformers import transformer

SMALL = {"depth": 3, "width": 64, "heads": 4, "tokens": 12, "vocabulary": 90}


def networks() -> dict[str, Network]:
    """Return the networks of the suite, and families at several blocks."""
    images = {"image": 8, "batch": 2}
    return {name: make() for name, make in NETWORKS.items()} | {
        "GPT": transformer(**SMALL),
        "BERT": transformer(preset="bert-base", **SMALL),
        "Llama": transformer(preset="llama-7b", **(SMALL | {"kv_heads": 2})),
        "post-LN, repeated tokens": transformer(norm="post", ids="zipf", batch=2, **SMALL),
        "residual network": resnet(depth=8, **images),
        "MLP-Mixer": mlp_mixer(depth=2, width=48, image=16, patch=4),
    }


def row(name: str, network: Network, draws: int) -> tuple[str, bool]:
    """Return a table's row, and whether it is as it should be."""
    explicit = sample(network, True, 31, draws)
    p, count, worst = least_p(sample(network, False, 32, draws), explicit)
    with mock.patch.object(maps, "GaussianMap", Wrong):
        control, _, _ = least_p(sample(network, False, 32, draws), explicit)
    site = network.graph.nodes[network.graph.sites[worst // len(NAMES)].node].name
    where = f"{site}, {NAMES[worst % len(NAMES)]}"
    # A single example behind a max pool: its gradients vary too much for 5 % to show at a few thousand draws.
    good = p > ALPHA and (control < ALPHA or name == "convolutional")
    return f"| {name} | {count} | {min(p, 1.0):.2g} | {where} | {control:.1e} |", good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("output", type=Path)
    parser.add_argument("--draws", type=int, default=6000)
    given = parser.parse_args()
    lines = [
        "# Weight-free graphs against explicit weights",
        "",
        f"{dt.date.today()}, {given.draws} draws each, alpha {ALPHA:g} a network.",
        "",
        "| network | statistics | least p, corrected | where | negative control |",
        "|---|---|---|---|---|",
    ]
    fine = True
    for name, network in networks().items():
        text, good = row(name, network, given.draws)
        fine = fine and good
        lines.append(text)
        print(text, flush=True)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text("\n".join(lines) + "\n")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
