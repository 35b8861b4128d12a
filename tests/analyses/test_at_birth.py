"""The page on the shape of 175 billion parameters, on narrow networks: made whole, numbers as in closed forms."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import varprop as vp
from varprop.plots import blocks

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"gpt3-175b": (4, 96, 4), "gpt2-xl": (3, 64, 4), "gpt2": (2, 64, 4)}
"""Blocks, width and heads in place of the published ones."""

TOKENS, VOCABULARY = 8, 1000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The page's folder and the analysis' variables; its pictures, which tests/plots holds, are left empty."""
    full = vp.transformer

    def narrow(*, preset, tokens, **changes):
        depth, width, heads = SIZES[preset]
        own = {"depth": depth, "width": width, "heads": heads, "vocabulary": VOCABULARY}
        return full(preset=preset, tokens=TOKENS, **own, **changes)

    folder = tmp_path_factory.mktemp("birth")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(vp, "transformer", narrow)
        patch.setattr(blocks, "block_panels", lambda ends, titles: Figure(figsize=(4, 2)))
        found = runpy.run_path(str(ROOT / "analyses" / "e12_at_birth.py"), run_name="__main__")
    return folder / "reports" / "e12_at_birth", found


def test_the_page_is_made_whole(made):
    folder, _ = made
    kept = ROOT / "reports" / "e12_at_birth"
    assert {p.name for p in folder.iterdir()} == {p.name for p in kept.iterdir()}
    for path in folder.glob("*.csv"):
        new, old = pd.read_csv(path), pd.read_csv(kept / path.name)
        assert new.columns.tolist() == old.columns.tolist()
        assert new["case"].drop_duplicates().tolist() == old["case"].drop_duplicates().tolist()
    assert "nan" not in (folder / "README.md").read_text(encoding="utf-8")


def test_theory_of_the_stream_is_within_four_percent_of_a_narrow_shape():
    """200 draws of width 96. The standard error is at most 0.7 %, so that a true deviation below 1 %, as finite width
    makes it here, passes but for one seed in 10,000, and one of 8 % is found as surely.
    """
    depth, width, heads = SIZES["gpt3-175b"]
    own = {"depth": depth, "width": width, "heads": heads, "tokens": TOKENS, "vocabulary": VOCABULARY}
    network = vp.transformer(preset="gpt3-175b", **own)
    ends = blocks.block_ends(
        vp.predict(network), vp.simulate(network, draws=200, seed=12), ["preactivation_second_moment"]
    )
    assert len(ends) == depth
    assert ((ends["ci_high"] - ends["ci_low"]) / 4 < 0.007 * ends["drawn"]).all()
    np.testing.assert_allclose(ends["drawn"], ends["value"], rtol=0.04)


def test_the_loss_is_that_of_gaussian_logits(made):
    """E ln sum exp of V logits N(0, s), s = n · 0.02², is ln V + s/2 but for (e^s - 1)/(2 V), which it is lower.

    Tied weights raise it: with row e of a token on the way, h·e is at most u = 0.02 n (|h|² = n, |e|² = 0.02² n), and
    e^u - 1 - u bounds what it adds to the sum above a mean of V, as the squared cosines of h with such rows sum to 1.
    """
    folder, _ = made
    losses = pd.read_csv(folder / "losses.csv").set_index("case")["theory"]
    for case, preset in {"GPT-3 175B": "gpt3-175b", "GPT-2 XL": "gpt2-xl", "GPT-2": "gpt2"}.items():
        n = SIZES[preset][1]
        s, u = n * 0.02**2, 0.02 * n
        excess = losses[case] - np.log(VOCABULARY) - s / 2
        assert -(np.exp(s) - 1) / VOCABULARY < excess < (np.exp(u) - 1 - u) / VOCABULARY < s / 2


def test_the_stream_grows_by_the_residual_scale(made):
    """A block adds the same to the stream each time, up to the values' averages over positions, divided by 2 L.

    First block of the MLP branch by hand: z ~ N(0, n · 0.02²) through gelu, 4 n of them times 0.02²; attention adds
    n² · 0.02⁴ times the mean concentration of nearly equal weights, H_T / T with H_T the harmonic number.
    """
    folder, _ = made
    stream = pd.read_csv(folder / "stream.csv").query(
        "quantity == 'preactivation_second_moment' and block == 1"
    )
    value = stream.set_index("case")["value"]
    x, w = np.polynomial.hermite_e.hermegauss(80)
    even = np.mean(1 / np.arange(1, TOKENS + 1))
    for case, preset, scaled in (("GPT-2", "gpt2", True), ("GPT-2, no residual scale", "gpt2", False)):
        depth, n, _ = SIZES[preset]
        z = x * np.sqrt(n) * 0.02
        gelu = z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
        mlp = 4 * n * 0.02**2 * (w @ gelu**2) / w.sum()
        added = (mlp + n**2 * 0.02**4 * even) / (2 * depth if scaled else 1)
        assert value[case] == pytest.approx(2 * 0.02**2 + added, rel=0.015)
