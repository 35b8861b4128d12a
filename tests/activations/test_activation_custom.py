"""Any callable works wherever a name does."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

import varprop as vp
from varprop._validation import InputError


def bent(z):
    return np.where(z > 0.3, z, 0.1 * z + 0.27)


def stiff(z):
    return np.tanh(20 * z)


def test_a_callable_equals_the_registered_activation_it_is() -> None:
    q = np.array([1e-4, 0.3, 1.0, 40.0])
    for function, name, accuracy in (
        (np.tanh, "tanh", 1e-10),
        (lambda z: np.maximum(z, 0), "relu", 1e-10),
        (lambda z: np.clip(z, -1, 1), "hardtanh", 1e-10),
        (lambda z: z / (1 + np.abs(z)), "softsign", 1e-9),
        (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), "elu", 1e-9),
    ):
        mine, known = vp.activation(function), vp.activation(name)
        assert not mine.exact_derivative
        z = np.linspace(-9, 9, 2001) + 1e-4
        np.testing.assert_allclose(mine.derivative(z), known.derivative(z), rtol=0, atol=accuracy)
        for field in ("mean", "second_moment", "variance", "derivative_second_moment", "fourth_moment"):
            ours, theirs = (getattr(a.moments(q, fields=(field,)), field) for a in (mine, known))
            np.testing.assert_allclose(ours, theirs, rtol=accuracy, atol=1e-14)
        for share in (0.0396, 0.3):
            a, b = mine.saturation(share), known.saturation(share)
            np.testing.assert_allclose([a.low, a.high], [b.low, b.high], rtol=1e-6, atol=1e-9)
        ours, theirs = (a.pair_moments(1.0, 2.0, 0.7) for a in (mine, known))
        assert np.isclose(ours.product, theirs.product, rtol=1e-9)
        assert np.isclose(ours.derivative_product, theirs.derivative_product, rtol=1e-8)


@pytest.mark.parametrize(
    ("function", "kinks"),
    [
        (bent, (0.3,)),
        (np.abs, (0.0,)),
        (np.sign, (0.0,)),
        (lambda z: np.maximum(np.maximum(z, 0.2 * z), 2 * z - 3), (0.0, 3.0)),
        (lambda z: np.maximum(z, -1.37), (-1.37,)),
        (lambda z: (z > 1.0) * 1.0, (1.0,)),
        (np.tanh, ()),
        (stiff, ()),
        (np.sin, ()),
        (np.exp, ()),
        (lambda z: np.exp(z * z / 1000), ()),
        (lambda z: z**3, ()),
    ],
)
def test_kinks_are_found(function, kinks: tuple[float, ...]) -> None:
    found = vp.activation(function).kinks
    assert len(found) == len(kinks)
    np.testing.assert_allclose(found, kinks, rtol=1e-9, atol=1e-12)


def test_declared_parts_are_used() -> None:
    mine = vp.activation(
        lambda z: np.maximum(z, 0),
        derivative=lambda z: (z > 0) * 1.0,
        kinks=(0,),
        inactive=((-np.inf, 0),),
        name="my relu",
    )
    assert mine.name == "my relu"
    assert mine.exact_derivative
    assert mine.inactive == ((-np.inf, 0.0),)
    assert mine.is_inactive([-1.0, 0.0, 1.0]).tolist() == [True, True, False]
    np.testing.assert_allclose(mine.moments(2.0).second_moment, 1.0, rtol=1e-14)


def test_undeclared_kinks_cost_time_not_accuracy() -> None:
    mine = vp.activation(lambda z: np.maximum(z - 0.123, 0), derivative=lambda z: (z > 0.123) * 1.0, kinks=())
    known = vp.activation(
        lambda z: np.maximum(z - 0.123, 0), derivative=lambda z: (z > 0.123) * 1.0, kinks=(0.123,)
    )
    for field in ("second_moment", "derivative_second_moment"):
        for m in (0.0, 0.4):
            ours, theirs = (getattr(a.moments(1.0, m, fields=(field,)), field) for a in (mine, known))
            assert np.isclose(ours, theirs, rtol=1e-12)


def test_fast_growth_is_integrated_or_refused() -> None:
    grow = vp.activation(np.exp, derivative=np.exp, kinks=())
    np.testing.assert_allclose(grow.moments(0.25).second_moment, np.exp(0.5), rtol=1e-12)
    np.testing.assert_allclose(
        grow.moments(50.0, fields=("second_moment",)).second_moment, np.exp(100.0), rtol=1e-12
    )
    with pytest.raises(InputError):
        grow.moments(1e4, fields=("second_moment",))
    diverging = vp.activation(
        lambda z: np.exp(np.minimum(z * z, 700)),
        derivative=lambda z: 2 * z * np.exp(np.minimum(z * z, 700)),
        kinks=(),
    )
    with pytest.raises(InputError, match="diverges"):
        diverging.moments(0.6, fields=("second_moment",))


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda z: 1 / 0, "ZeroDivisionError"),
        (lambda z: z[:1], "shape"),
        (lambda z: z.sum(), "shape"),
        (lambda z: z > 0, "dtype bool"),
        (lambda z: z + 0j, "dtype complex"),
        (lambda z: (z > 0).astype(int), "dtype int"),
        (lambda z: [None] * len(z), "dtype object|shape"),
        (lambda z: np.log(z), "not finite"),
        (lambda z, w: z, "TypeError"),
        (lambda z: (_ for _ in ()).throw(RuntimeError("two\nlines " + "x" * 5000)), "RuntimeError"),
        (math.sin, "TypeError"),
        ("math:sin", "own module math"),
    ],
)
def test_a_bad_callable_gets_one_clear_line(function, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        vp.activation(function)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_a_callable_that_fails_later_is_told_too() -> None:
    late = vp.activation(lambda z: np.where(np.abs(z) > 100, np.nan, np.tanh(z)), kinks=())
    with pytest.raises(InputError, match="not finite at z = 200"):
        late(np.array([1.0, 200.0]))
    with pytest.raises(InputError, match="derivative"):
        vp.activation(np.tanh, derivative=lambda z: z[0])
    for keywords in (
        {"kinks": (np.nan,)},
        {"inactive": ((1, 0),)},
        {"inactive": (3,)},
        {"name": ""},
        {"derivative": 3},
    ):
        with pytest.raises(InputError):
            vp.activation(np.tanh, **keywords)
    with pytest.raises(InputError):
        vp.activation(3)


@pytest.mark.parametrize("name", ["<b>x</b>", "$x$", "_x", "a\x00b", "x" * 5000])
def test_hostile_names_of_callables_are_kept_as_text(name: str) -> None:
    hostile = vp.activation(np.tanh, name=name)
    assert hostile.name == name
    with pytest.raises(InputError) as caught:
        hostile.moments(-1.0)
    assert str(caught.value).isprintable()


def test_importable_functions_pickle_and_compare() -> None:
    here = f"{__name__}:bent"
    a = vp.activation(here)
    assert a.name == here
    assert a == vp.activation(here)
    assert a != vp.activation(bent, name="other")
    again = pickle.loads(pickle.dumps(a))
    assert again == a
    assert again.moments(1.0, fields=("second_moment",)) == a.moments(1.0, fields=("second_moment",))
    assert vp.activation("numpy:arcsinh").name == "numpy:arcsinh"
    with pytest.raises(InputError, match="arcsinh"):
        vp.activation("numpy:arcsin_h")


def test_float32_goes_in_and_out() -> None:
    mine = vp.activation(np.arcsinh)
    z = np.linspace(-3, 3, 12, dtype=np.float32).reshape(3, 4)
    assert mine(z).dtype == mine.derivative(z).dtype == np.float32
    np.testing.assert_allclose(mine.derivative(z), 1 / np.sqrt(1 + z.astype(float) ** 2), rtol=1e-6)
