import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from varprop.plots.scales import LogScale, decades, log_tick, power_of_ten


def test_decades_take_the_logarithm_where_floats_end() -> None:
    value = np.array([10.0, 0.0, np.inf, 0.0, np.nan, -1.0])
    log_value = np.array([math.log(10.0), -2000.0, 2000.0, -np.inf, np.nan, np.nan])
    found = decades(value, log_value)
    assert found[:3] == pytest.approx([1.0, -2000 / math.log(10), 2000 / math.log(10)])
    assert found[3] == -np.inf
    assert np.isnan(found[4:]).all()


def test_a_scale_is_at_least_a_decade_so_that_constants_look_constant() -> None:
    scale = LogScale.around([np.array([0.0, 0.001])])
    assert scale.high - scale.low >= 1.0
    assert not scale.far


def test_a_scale_beyond_floats_counts_exponents() -> None:
    scale = LogScale.around([np.array([-700.0, 2.0])])
    assert scale.far
    ax = Figure().subplots()
    scale.apply(ax)
    assert ax.get_yscale() == "linear"
    assert ax.get_ylim()[0] < -700


def test_zero_and_overflow_lie_on_the_edges() -> None:
    scale = LogScale.around([np.array([-3.0, 3.0])])
    low, high = scale.position(np.array([-np.inf, np.inf]))
    assert low == pytest.approx(10**scale.low)
    assert high == pytest.approx(10**scale.high)


@pytest.mark.parametrize("numbers", [[], [np.array([np.nan, -np.inf])]])
def test_a_scale_of_nothing_is_defined(numbers: list[np.ndarray]) -> None:
    scale = LogScale.around(numbers)
    assert scale.low < 0 < scale.high


def test_ticks_need_no_mathtext() -> None:
    assert [power_of_ten(e) for e in (-300, -1, 0, 3)] == ["10⁻³⁰⁰", "0.1", "1", "10³"]
    assert log_tick(1e-6) == "10⁻⁶"
    assert log_tick(0.0) == ""
