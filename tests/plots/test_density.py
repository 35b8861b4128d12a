from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.integrate import trapezoid

from tests import synthetic
from varprop import InputError
from varprop.montecarlo.histograms import Histogram
from varprop.plots import density, density_panels, figure_style
from varprop.results.schema import PREDICTED_COLUMNS, tidy

CASE = synthetic.CASES[0]


def _gaussian(case: str, mean: float, variance: float):  # type: ignore[no-untyped-def]
    key = {"case": case, "layer": 1}
    return tidy(
        [
            key | {"quantity": "preactivation_mean", "value": mean},
            key | {"quantity": "preactivation_variance", "value": variance},
        ],
        PREDICTED_COLUMNS,
    )


def test_the_line_is_the_gaussian_density() -> None:
    ax = density(_gaussian("a", 1.0, 4.0), case="a", ax=Figure().subplots())
    z, height = ax.lines[0].get_data()
    assert height == pytest.approx(np.exp(-((z - 1) ** 2) / 8) / math.sqrt(8 * math.pi))
    assert trapezoid(height, z) == pytest.approx(1.0, abs=1e-3)


def test_the_bars_have_area_one() -> None:
    ax = density(None, synthetic.histograms(), case=CASE, layer=3, ax=Figure().subplots())
    (x, height) = ax.collections[0].get_paths()[0].vertices.T
    area = float(np.sum((x[1:] - x[:-1]) * (height[1:] + height[:-1]) / 2))
    assert abs(area) == pytest.approx(1.0, abs=1e-3)


def test_the_saturation_set_is_shaded() -> None:
    ax = density(_gaussian("a", 0.0, 501.0), case="a", tails=(-4.6, 4.6), ax=Figure().subplots())
    # Rectangles, or polygons in older releases of matplotlib: their corners, in the data's units.
    corners = [p.get_patch_transform().transform_path(p.get_path()).vertices[:, 0] for p in ax.patches]
    spans = sorted((x.min(), x.max()) for x in corners)
    low, high = ax.get_xlim()
    assert spans[0] == pytest.approx((low, -4.6))
    assert spans[1] == pytest.approx((4.6, high))


@pytest.mark.parametrize("tails", [(-math.inf, math.inf), None, (-1e9, 1e9)])
def test_an_empty_saturation_set_shades_nothing(tails: tuple[float, float] | None) -> None:
    ax = density(_gaussian("a", 0.0, 1.0), case="a", tails=tails, ax=Figure().subplots())
    assert not ax.patches


@pytest.mark.parametrize("variance", [0.0, 1e-300, 1e300, math.inf, math.nan])
def test_degenerate_laws_are_drawn_without_a_warning(variance: float) -> None:
    frame = _gaussian("a", 0.0, variance)
    measured = (Histogram("a", 1, np.array([-np.inf, -1.0, 0.0, 1.0, np.inf]), np.array([0, 3, 4, 0])),)
    with figure_style():
        figure = density(frame, measured, case="a", ax=Figure().subplots()).figure
        figure.canvas.draw()


def test_a_table_has_no_histograms_and_says_who_has() -> None:
    with pytest.raises(InputError, match=r"simulated: a DataFrame, which holds no histograms.*vp\.examine"):
        density(None, synthetic.simulated(), case=CASE, ax=Figure().subplots())  # type: ignore[arg-type]


def test_one_histogram_and_what_a_run_returned_are_drawn_alike() -> None:
    counted = synthetic.histograms()
    alone, among, held = (
        density(None, given, case=CASE, ax=Figure().subplots()).collections[0].get_paths()[0].vertices
        for given in (counted[0], list(counted), SimpleNamespace(histograms=counted))
    )
    np.testing.assert_array_equal(alone, among)
    np.testing.assert_array_equal(alone, held)


def test_an_unknown_case_is_refused() -> None:
    with pytest.raises(InputError, match="layer 99"):
        density(synthetic.predicted(), None, case=CASE, layer=99, ax=Figure().subplots())


def test_panels_are_initializers_by_layers() -> None:
    figure = density_panels(
        synthetic.predicted(),
        synthetic.histograms(),
        cases=synthetic.CASES,
        layers=[1, 5, 10],
        figure=Figure(),
    )
    assert len(figure.axes) == 9
    assert [ax.get_title(loc="center") for ax in figure.axes[::3]] == list(synthetic.CASES)
    assert "layer 5" in figure.axes[1].texts[0].get_text()


def test_panels_on_one_axis_share_their_reach() -> None:
    figure = density_panels(
        synthetic.predicted(), None, cases=synthetic.CASES, layers=[10], same_reach=True, figure=Figure()
    )
    assert len({ax.get_xlim() for ax in figure.axes}) == 1


def test_a_panel_nobody_knows_stays_empty() -> None:
    figure = density_panels(
        synthetic.predicted(depth=1), None, cases=synthetic.CASES[:1], layers=[1, 2], figure=Figure()
    )
    assert not figure.axes[1].axison
