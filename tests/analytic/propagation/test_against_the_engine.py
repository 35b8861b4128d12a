"""Predictions of whole networks beside the engine's draws, by the verdict rule of `vp.compare`."""

from __future__ import annotations

import pytest

import varprop as vp
from varprop import ops

_NETWORKS = {
    "residual": lambda: vp.Network(
        vp.gaussian(32, 3),
        [
            ops.dense(96),
            ops.residual([ops.layer_norm(), ops.dense(96), "relu", ops.dense(96)], scale=0.5),
            ops.dense(4),
        ],
    ),
    "transformer": lambda: vp.transformer(2, 96, 4, 8, 100, tied=False, batch=2),
    "resnet": lambda: vp.resnet(blocks=(1, 1), widths=(24, 48), image=6, classes=5, batch=2, stem="cifar"),
}


@pytest.mark.parametrize("name", _NETWORKS)
def test_no_row_differs(name: str) -> None:
    """The seed is fixed; over seeds, a table of right rows has a false alarm with probability 0.05 (Holm).

    Catches any exact row that is off by five standard errors, and rows of the limit of wide layers beyond their margin
    (2 %) and allowance (depth / width, and tokens / width behind attention).
    """
    network = _NETWORKS[name]()
    compared = vp.compare(vp.predict(network), vp.simulate(network, draws=200, seed=3))
    wrong = compared[compared.verdict == "differs"]
    assert wrong.empty, wrong[["node", "quantity", "predicted", "measured", "z_score"]]
    assert (compared.order == "approximate").mean() <= 0.15
