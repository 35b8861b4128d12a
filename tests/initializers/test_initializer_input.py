"""Bad names, arguments, shapes and types are refused with the field and what would have been right."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import varprop as vp

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("spelling", "field", "says"),
    [
        ("he_norml", "weights", "he_normal"),
        ("torch.kaiming_normal", "weights", "torch.kaiming_normal_"),
        ("normal(sdt=1)", "weights.sdt", "std"),
        ("zeros(value=1)", "weights.value", "no argument"),
        ("constant", "weights", "constant(value=…)"),
        ("normal(std=-1)", "weights.std", "at least 0"),
        ("normal(std=nan)", "weights.std", "finite"),
        ("normal(std=true)", "weights.std", "finite number"),
        ("normal(std=big)", "weights.std", "finite number"),
        ("uniform(low=1, high=0)", "weights.low", "at most"),
        ("truncated_normal(bound=0)", "weights.bound", "more than 0"),
        ("sparse(sparsity=1.5)", "weights.sparsity", "at most 1"),
        ("variance_scaling(scale=0)", "weights.scale", "more than 0"),
        ("variance_scaling(mode=fan_sum)", "weights.mode", "fan_in"),
        ("variance_scaling(mode=3)", "weights.mode", "fan_in"),
        ("variance_scaling(distribution=gauss)", "weights.distribution", "normal"),
        ("keras.variance_scaling(distribution=truncated)", "weights.distribution", "truncated_normal"),
        ("keras.random_uniform(minval=1, maxval=0)", "weights.minval", "at most 0"),
        ("torch.kaiming_normal_(mode=fan_avg)", "weights.mode", "fan_out"),
        ("torch.kaiming_normal_(nonlinearity=gelu)", "weights.nonlinearity", "relu"),
        ("torch.trunc_normal_(a=1, b=1)", "weights.low", "less than"),
        ("torch.dirac_(groups=0)", "weights.groups", "at least 1"),
        ("torch.dirac_(groups=1.5)", "weights.groups", "whole number"),
        ("torch.sparse_", "weights", "sparsity"),
    ],
)
def test_bad_spellings(spelling, field, says):
    with pytest.raises(vp.InputError) as caught:
        vp.initializer(spelling)
    assert caught.value.field == field
    assert says in str(caught.value)


@pytest.mark.parametrize("spec", [None, 3, ["zeros"], len])
def test_not_a_name(spec):
    with pytest.raises(vp.InputError, match="biases"):
        vp.initializer(spec, "biases")


@pytest.mark.parametrize("shape", [(0, 3), (3, -1), (3, 2.0), (3, True)])
def test_impossible_shapes(shape):
    with pytest.raises(vp.InputError, match="shape"):
        vp.initializer("normal").sample(shape, rng=RNG)


def test_vectors_need_the_fans_of_a_law_that_uses_them():
    assert vp.initializer("normal").sample((3,), rng=RNG).shape == (3,)
    with pytest.raises(vp.InputError, match="fan_in"):
        vp.initializer("he_normal").sample((3,), rng=RNG)
    with pytest.raises(vp.InputError, match="fan_out"):
        vp.initializer("glorot_normal").law(3, None)
    assert vp.initializer("he_normal").sample((3,), rng=RNG, fan_in=5, fan_out=3).shape == (3,)


@pytest.mark.parametrize("spelling", ["orthogonal", "identity", "torch.sparse_(sparsity=0.5)"])
def test_laws_of_matrices_refuse_vectors(spelling):
    with pytest.raises(vp.InputError, match="matrix"):
        vp.initializer(spelling).sample((3,), rng=RNG, fan_in=4, fan_out=3)


def test_other_refusals():
    entry = vp.initializer("normal")
    with pytest.raises(vp.InputError, match="float32 or float64"):
        entry.sample((2, 2), rng=RNG, dtype=np.float16)
    with pytest.raises(vp.InputError, match="Generator"):
        entry.sample((2, 2), rng=np.random.RandomState(0))
    with pytest.raises(vp.InputError, match="fan_in"):
        entry.law(0, 3)
    with pytest.raises(vp.InputError, match="groups"):
        vp.initializer("torch.dirac_(groups=2)").law(3, 3)


def test_table_lists_every_name_with_its_law():
    rows = vp.initializers.table(fan_in=500, fan_out=100).set_index("initializer")
    assert rows.index.is_unique
    assert set(rows["library"]) == {"literature", "keras", "torch"}
    assert rows.loc["he_normal", "variance"] == 0.004
    assert rows.loc["torch.linear_default", "biases"] == "uniform_fan_in"
    assert not rows.isna().any(axis=None)


def twice_uniform(fan_in, fan_out):
    return vp.initializers.laws.uniform(-2.0 / fan_in, 2.0 / fan_in)


def test_a_law_of_one_s_own():
    own = vp.initializers.Initializer("twice_uniform", twice_uniform)
    assert vp.initializer(own) is own
    assert own.variance(4, 3) == 1 / 12
    assert pickle.loads(pickle.dumps(own)).variance(4, 3) == 1 / 12
    assert abs(own.sample((3, 4), rng=RNG)).max() <= 0.5
