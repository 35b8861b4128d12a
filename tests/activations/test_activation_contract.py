"""What every registered activation must satisfy."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import varprop as vp
from varprop._validation import InputError
from varprop.activations import registry
from varprop.activations.base import Activation
from varprop.moments import FIELDS

from .conftest import NAMES

GRID = np.concatenate([np.linspace(-12, 12, 4801) + 1e-7, [-300.0, -40.0, 40.0, 300.0]])


def away_from_kinks(activation: Activation, z: np.ndarray, distance: float) -> np.ndarray:
    return z[np.all([np.abs(z - k) > distance for k in activation.kinks] or [np.ones(z.shape, bool)], axis=0)]


def test_every_name_the_field_knows_is_there() -> None:
    wanted = (
        "linear relu leaky_relu elu selu celu gelu gelu_tanh silu swish mish softplus softsign sigmoid tanh erf "
        "arctan hardtanh hard_sigmoid relu6 hard_swish sin cos step sign gaussian squared_relu"
    )
    assert set(wanted.split()) <= set(registry)


def test_derivative_is_the_slope_of_the_value(activation: Activation) -> None:
    z = away_from_kinks(activation, GRID, 2e-3)
    h = 1e-3
    f = activation
    slope = (8 * (f(z + h) - f(z - h)) - (f(z + 2 * h) - f(z - 2 * h))) / (12 * h)
    # fourth-order differences: h⁴ f⁽⁵⁾/30 plus rounding eps·|f|/h
    np.testing.assert_allclose(slope, f.derivative(z), rtol=0, atol=2e-10 * (1 + np.abs(f(z)).max() * 1e-2))


def test_kinks_are_listed(activation: Activation) -> None:
    """Where curvature jumps between neighbours the kink must be declared: elsewhere third differences are small."""
    h = 1e-3
    z = away_from_kinks(activation, GRID[:-4], 4 * h)
    third = activation.derivative(z + h) - 2 * activation.derivative(z) + activation.derivative(z - h)
    assert np.abs(third).max() < 20 * h * h * max(1.0, np.abs(activation.derivative(z)).max())
    assert list(activation.kinks) == sorted(activation.kinks)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_shape_and_finiteness_are_kept(activation: Activation, dtype: type) -> None:
    z = np.array([[-1e18, -200.0, -30.0, -1.0, -0.0], [0.0, 1.0, 30.0, 200.0, 1e18]], dtype=dtype)
    for function in (activation, activation.derivative):
        out = function(z)
        assert out.dtype == dtype
        assert out.shape == z.shape
        assert np.isfinite(out).all()
        assert out is not z
        assert function(z[:0]).shape == (0, 5)


def test_float32_agrees_with_float64(activation: Activation) -> None:
    z = GRID[:-4].astype(np.float32)
    z = away_from_kinks(activation, z, 1e-4)
    for function in (activation, activation.derivative):
        wide = function(z.astype(np.float64))
        np.testing.assert_allclose(function(z), wide, rtol=3e-5, atol=3e-6)


def test_lists_and_whole_numbers_are_welcome(activation: Activation) -> None:
    assert activation([-1, 0, 2]).dtype == np.float64
    assert np.shape(activation(3)) == ()
    np.testing.assert_array_equal(activation([-1, 0, 2]), activation(np.array([-1.0, 0.0, 2.0])))


def test_inactive_means_no_gradient_and_only_then(activation: Activation) -> None:
    z = np.concatenate([GRID, activation.kinks])
    inactive = activation.is_inactive(z)
    assert not activation.derivative(z)[inactive].any()
    inner = np.abs(z) < 8  # further out smooth activations underflow, which makes nothing inactive
    if activation.name not in ("cos", "gaussian"):  # their slope passes through 0 at single points
        assert (activation.derivative(z)[inner & ~inactive] != 0).all()


def test_inactive_sets_as_declared() -> None:
    inf = math.inf
    expected = {
        "relu": ((-inf, 0.0),),
        "squared_relu": ((-inf, 0.0),),
        "relu6": ((-inf, 0.0), (6.0, inf)),
        "hardtanh": ((-inf, -1.0), (1.0, inf)),
        "hard_sigmoid": ((-inf, -3.0), (3.0, inf)),
        "hard_swish": ((-inf, -3.0),),
        "step": ((-inf, inf),),
        "sign": ((-inf, inf),),
    }
    for name in NAMES:
        assert vp.activation(name).inactive == expected.get(name, ())


def test_slopes_say_homogeneous(activation: Activation) -> None:
    z = np.array([-3.0, -0.1, 0.2, 5.0])
    homogeneous = np.allclose(activation(2 * z), 2 * activation(z), rtol=1e-12)
    assert homogeneous == (activation.slopes is not None)
    if activation.slopes is not None:
        a, b = activation.slopes
        np.testing.assert_array_equal(activation(z), np.where(z > 0, b * z, a * z))


def test_saturation_tails(activation: Activation) -> None:
    """Beyond the ends the slope stays at or below the share of its supremum; just inside it exceeds it.

    The supremum is taken on a grid of step 5e-4 here, so it is right to about 1e-7.
    """
    slope = np.abs(activation.derivative(np.linspace(-60, 60, 240001)))
    supremum = slope.max() if activation.name != "squared_relu" else math.inf
    for share in (0.0396, 0.2):
        tails = activation.saturation(share)
        level = share * supremum if 0 < supremum < math.inf else 0.0
        for end, outward in ((tails.low, -1.0), (tails.high, 1.0)):
            if math.isfinite(end):
                outside = end + outward * np.concatenate([[0.0], np.geomspace(1e-9, 1e6, 400)])
                assert (np.abs(activation.derivative(outside)) <= level * (1 + 1e-6)).all()
                if supremum > 0:
                    inside = np.nextafter(end, -outward * math.inf)
                    assert np.abs(activation.derivative(np.array([inside])))[0] > level * (1 - 1e-6)
            else:
                far = outward * np.linspace(50, 90, 9001)
                assert (np.abs(activation.derivative(far)) > level).any()


def test_saturation_at_the_default_share() -> None:
    tails = vp.activation("sigmoid").saturation()
    assert math.isclose(tails.high, math.log(99), rel_tol=1e-13)  # sigma = 0.99 there
    assert tails.low == -tails.high
    empty = (-math.inf, math.inf)
    for name in ("sin", "cos", "linear"):
        assert (vp.activation(name).saturation().low, vp.activation(name).saturation().high) == empty
    assert vp.activation("relu").saturation().low == 0.0
    assert vp.activation("leaky_relu(slope=0.2)").saturation().low == -math.inf
    assert vp.activation("step").is_saturated(np.array([-1.0, 0.0, 1.0])).all()


def test_pickles_and_compares_by_name(activation: Activation) -> None:
    again = pickle.loads(pickle.dumps(activation))
    assert again == activation
    assert hash(again) == hash(activation)
    assert again.moments(1.3, fields=("second_moment",)) == activation.moments(1.3, fields=("second_moment",))
    assert vp.activation(activation.name).name == activation.name
    assert vp.activation(activation) is activation
    assert activation != "relu"
    assert activation.name == "relu" or activation != vp.activation("relu")


def test_canonical_spellings() -> None:
    assert vp.activation("leaky_relu(slope=0.01)").name == "leaky_relu"
    assert vp.activation("leaky_relu(slope=0)") == vp.activation("relu")
    assert vp.activation("leaky_relu(slope=1)") == vp.activation("linear")
    assert vp.activation("elu(alpha=1)").name == "elu"
    assert vp.activation("swish") == vp.activation("silu")


@pytest.mark.parametrize(
    "text",
    [
        "rellu",
        "leaky_relu(slop=0.1)",
        "leaky_relu(slope=nan)",
        "elu(alpha=0)",
        "elu(alpha=-1)",
        "relu(slope=1)",
        "<b>relu</b>",
        "_relu",
        "$relu$",
        "relu\x00\n",
        "x" * 5000,
        "../relu",
        "",
        ":",
        "a:b:c",
        "no_such_module_here:f",
        "numpy:no_such_function",
        "numpy:pi",
        "os.path:join",
    ],
)
def test_hostile_names_get_one_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        vp.activation(text)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 700


def test_what_registered_activations_refuse() -> None:
    with pytest.raises(InputError, match="its own"):
        vp.activation("relu", derivative=np.sign)
    with pytest.raises(InputError, match="share"):
        vp.activation("relu").saturation(2.0)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    log_q=st.floats(-6, 4),
    m=st.one_of(st.just(0.0), st.floats(-3, 3)),
)
def test_moment_inequalities(name: str, log_q: float, m: float) -> None:
    """Jensen and Cauchy-Schwarz, and Poincaré: Var phi <= q E phi'² for what has no jumps."""
    activation = vp.activation(name)
    q = 10.0**log_q
    wanted = tuple(f for f in FIELDS if f not in ("derivative_mean", "z_phi_dphi"))
    found = activation.moments(q, m, fields=wanted)
    assert all(np.shape(getattr(found, field)) == () for field in wanted)
    slack = 1 + 1e-12
    assert 0 <= found.variance <= found.second_moment * slack
    assert found.mean**2 <= found.second_moment * slack
    assert found.second_moment**2 <= found.fourth_moment * slack
    assert found.derivative_second_moment >= 0
    if name not in ("step", "sign"):
        assert found.variance <= q * found.derivative_second_moment * slack
