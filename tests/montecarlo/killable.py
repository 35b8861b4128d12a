"""A run to be killed: ``python -m tests.montecarlo.killable STORE WORKERS``.

Prints a line per finished block and the digest at the end.
"""

from __future__ import annotations

import sys

import varprop as vp
from varprop.montecarlo import simulate_network

NETWORK = vp.mlp([60] * 6, "tanh", "lecun_normal", input=vp.gaussian(60, 3))
SETTINGS = {"draws": 600, "block_size": 20, "seed": 11}


def main() -> None:
    store, workers = sys.argv[1], int(sys.argv[2])
    frame = simulate_network(
        NETWORK,
        **SETTINGS,
        executor=workers,
        store=store,
        progress=lambda report: print(report.blocks, report.total, flush=True),
    )
    print("digest", frame.attrs["digest"], flush=True)


if __name__ == "__main__":
    main()
