from __future__ import annotations

import math

import numpy as np
import pytest

from varprop.diagnosis.gains import course, level_gain
from varprop.diagnosis.lines import torch_lines


def test_homogeneous_gains_are_exact():
    assert level_gain("relu", 30).gain == pytest.approx(math.sqrt(2), rel=1e-14)
    assert level_gain("leaky_relu(slope=0.2)", 30).gain == pytest.approx(math.sqrt(2 / 1.04), rel=1e-14)
    assert level_gain("linear", 30).worst < 1e-12


@pytest.mark.parametrize("gain", [0.8, 1.3])
def test_course_of_tanh_by_hand(gain):
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    q, back = 1.0, 0.0
    for _ in range(8):
        value = np.tanh(math.sqrt(q) * nodes)
        back += math.log(gain**2 * float(weights @ (1 - value**2) ** 2))
        q = gain**2 * float(weights @ value**2) + 0.1
    found = course("tanh", gain, 8, bias_variance=0.1)
    assert (found.forward, found.backward) == pytest.approx((math.log(q), back), rel=1e-7)


@pytest.mark.parametrize("name", ["tanh", "selu", "elu", "gelu", "silu", "softsign"])
def test_found_gain_beats_its_neighbours(name):
    """No gain of a fine grid has a better worse direction at any of the starting levels than the one found has."""
    found = level_gain(name, 20)
    starts = (0.7, 1.0, 1.4)

    def worst(gain):
        return max(course(name, gain, 20, s, found.bias_variance).worst for s in starts)

    here = worst(found.gain)
    assert all(worst(found.gain * factor) >= here * 0.99 for factor in (0.9, 0.97, 1.03, 1.1))


def test_bias_only_where_it_is_needed():
    assert level_gain("tanh", 50).bias_variance == 0
    assert level_gain("gelu", 50).bias_variance > 0


def test_hostile_names_stay_literals():
    import pandas as pd

    name = 'x".split(); raise SystemExit  # \n'
    row = {
        "module": name, "kind": "Linear", "parameter": "weight", "now": 1.0, "suggested": 0.5, "gain": 1.0,
        "fan_in": 4.0, "rule": "", "effect": "",
    }  # fmt: skip
    lines = torch_lines(pd.DataFrame([row]))
    seen = []

    class Model:
        def get_parameter(self, name):
            seen.append(name)
            raise KeyError(name)

    pytest.importorskip("torch")
    with pytest.raises(KeyError):
        exec(compile(lines, "lines", "exec"), {"model": Model()})
    assert seen == [f"{name}.weight"]
