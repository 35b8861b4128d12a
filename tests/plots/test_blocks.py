"""Figures by block: the right node of every block, and marks where drawn networks are."""

from __future__ import annotations

import pytest
from matplotlib.collections import PathCollection

import varprop as vp
from varprop.plots.blocks import block_ends, block_panels, by_block
from varprop.plots.style import figure_style

TITLES = {"token_correlation": "correlation", "logit_variance": "logits"}


@pytest.fixture(scope="module")
def ends():
    own = {"depth": 3, "width": 16, "heads": 2, "tokens": 4, "vocabulary": 20}
    networks = [vp.transformer(**own, name="pre"), vp.transformer(**own, norm="post", name="post")]
    return block_ends(vp.predict(networks), vp.simulate(networks[0], draws=4), TITLES)


def test_the_end_of_a_block_is_its_last_node_that_has_the_quantity(ends):
    last = ends[ends["block"] == 3].set_index(["case", "quantity"])["node"]
    assert last["pre", "token_correlation"] == "block3.mlp.stream"
    assert last["post", "token_correlation"] == "block3.layer_norm2"
    assert last["pre", "logit_variance"] == "block3.attention.attend"
    assert len(ends) == 2 * 2 * 3


def test_only_drawn_cases_have_marks(ends):
    assert ends.set_index("case").loc["pre", "drawn"].notna().all()
    assert ends.set_index("case").loc["post", ["drawn", "ci_low", "ci_high"]].isna().all(axis=None)


def test_panels_show_theory_as_lines_and_draws_as_marks(ends):
    with figure_style():
        figure = block_panels(ends, TITLES)
        figure.canvas.draw()
    correlation, logits = figure.axes
    assert [ax.get_title(loc="left") for ax in figure.axes] == list(TITLES.values())
    assert len([line for line in correlation.lines if len(line.get_xdata()) == 3]) == 2
    assert correlation.get_yscale() == "linear"
    assert logits.get_yscale() == "log"
    assert correlation.get_legend() is None
    assert [text.get_text() for text in logits.get_legend().get_texts()] == ["pre", "post"]
    (marks,) = [c.get_offsets() for c in correlation.collections if isinstance(c, PathCollection)]
    assert marks[:, 0].tolist() == [1, 2]  # block 3 is no power of two


def test_an_unknown_quantity_is_refused(ends):
    with pytest.raises(vp.InputError, match="quantity"):
        by_block(ends, "size", {"pre": "red"})
