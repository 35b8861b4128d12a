"""Laws of one's own, through every door: drawn as they are, predicted from what they state, refused if it is not so."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

import varprop as vp
from varprop._validation import InputError
from varprop.initializers import Law, laws
from varprop.montecarlo import simulate_network
from varprop.spec import Input, Layer, Study, half_on, mlp, parse_study, write_study

DRAWS = 4000


class Mixture:
    """-0.4 with probability 3/4 and 1.2 with probability 1/4, times `scale`: mean 0, variance 0.48 scale²."""

    mean = 0.0
    symmetric = False

    def __init__(self, scale=1.0):
        self.scale = scale
        self.variance = 0.48 * scale**2

    def excess_kurtosis(self):
        fourth = 0.75 * 0.4**4 + 0.25 * 1.2**4
        return fourth / 0.48**2 - 3.0

    def sample(self, shape, *, rng):
        return self.scale * np.where(rng.random(shape) < 0.75, -0.4, 1.2)


mixture = Mixture()


def narrower(fan_in, fan_out):
    """Laplace weights of variance 1/fan_in."""
    return scipy.stats.laplace(scale=math.sqrt(0.5 / fan_in))


NARROWER = vp.Initializer("narrower", narrower)
STUDENT = scipy.stats.t(5, scale=0.3)
LAWS = {
    "student": (STUDENT, lambda rng, shape, n: 0.3 * rng.standard_t(5, shape), 0.15),
    "laplace": (scipy.stats.laplace(scale=0.3), lambda rng, shape, n: rng.laplace(0, 0.3, shape), 0.18),
    "mixture": (mixture, lambda rng, shape, n: np.where(rng.random(shape) < 0.75, -0.4, 1.2), 0.48),
    "by fan": (NARROWER, lambda rng, shape, n: rng.laplace(0, math.sqrt(0.5 / n), shape), None),
    "shifted": (scipy.stats.expon(scale=0.5), lambda rng, shape, n: rng.exponential(0.5, shape), 0.25),
}


def explicit(draw, bias, x, widths, seed):
    """Return per-draw E z² and E z of every layer of tanh networks, in plain NumPy."""
    rng = np.random.default_rng(seed)
    h = np.broadcast_to(x, (DRAWS, len(x)))
    found = []
    for n_in, n_out in zip((len(x), *widths), widths, strict=False):
        z = np.einsum("roi,ri->ro", draw(rng, (DRAWS, n_out, n_in), n_in), h) + bias(
            rng, (DRAWS, n_out), n_in
        )
        found += [(z**2).mean(1), z.mean(1), (np.tanh(z) ** 2).mean(1)]
        h = np.tanh(z)
    return np.array(found)


@pytest.mark.parametrize("place", ["weights", "biases"])
@pytest.mark.parametrize("name", LAWS)
def test_networks_follow_the_law(name, place):
    """Simulated means against explicit NumPy: 80 comparisons at 5 standard errors of the difference.

    A right sampler fails with probability 5e-5; with 4000 draws a side a factor of 1.5 on the variance of the weights
    or biases (of this size) moves E z² of the first layer by more than 10 standard errors.
    """
    law, draw, _ = LAWS[name]
    x, widths = half_on(6).array()[:, 0], (5, 4)
    one = {"weights": law} if place == "weights" else {"weights": "normal(std=0.5)", "biases": law}
    network = mlp(widths, "tanh", input=half_on(6), output_activation="tanh", **one)
    frame = simulate_network(network, draws=DRAWS, sampler="dense").set_index(["layer", "quantity"])
    gaussian = lambda rng, shape, n: 0.5 * rng.standard_normal(shape)  # noqa: E731
    zero = lambda rng, shape, n: 0.0  # noqa: E731
    reference = explicit(*((draw, zero) if place == "weights" else (gaussian, draw)), x, widths, 5)
    names = ("preactivation_second_moment", "preactivation_mean", "activation_second_moment")
    for values, key in zip(reference, [(layer, q) for layer in (1, 2) for q in names], strict=True):
        row = frame.loc[key]
        error = math.hypot(row.std_error, values.std() / math.sqrt(DRAWS))
        assert abs(row.value - values.mean()) < 5 * error, key


@pytest.mark.parametrize("name", LAWS)
def test_the_first_layer_is_predicted_exactly(name):
    """E z = n mu x̄ + E b and Var z = |x|² Var w + Var b, by hand; and theory agrees with what is drawn."""
    law, _, variance = LAWS[name]
    x = np.array([[1.0, 2.0], [-1.0, 0.5], [3.0, 1.0]])
    network = mlp("8,4", "relu", law, law, input=Input(x))
    rows = vp.predict(network).set_index(["layer", "quantity"])
    mean = 0.5 if name == "shifted" else 0.0
    squares, sums = (x**2).sum(0).mean(), x.sum(0).mean()
    weight = 1 / 3 if variance is None else variance
    row = rows.loc[1, "preactivation_variance"]
    assert (row.value, row.order) == (pytest.approx(weight * (squares + 1), rel=1e-12), "exact")
    row = rows.loc[1, "preactivation_mean"]
    assert (row.value, row.order) == (pytest.approx(mean * (sums + 1), abs=1e-12), "exact")


@pytest.mark.parametrize("name", LAWS)
def test_exact_rows_are_exact_and_others_say_what_they_are(name):
    """Exact rows within 5.5 standard errors of 4000 draws: 5 laws × about 30 rows fail with probability 6e-6."""
    law = LAWS[name][0]
    for weights, biases in ((law, "zeros"), ("he_normal", law), (law, law)):
        network = mlp("4,3", "relu", weights, biases, input=half_on(4))
        predicted = vp.predict(network)[["layer", "quantity", "value", "order"]]
        measured = simulate_network(network, draws=DRAWS)[["layer", "quantity", "value", "std_error"]]
        both = predicted.merge(measured, on=["layer", "quantity"])
        rows = both[(both.order == "exact") & both.value_y.notna()]
        gap = (rows.value_x - rows.value_y).abs()
        assert (gap <= 5.5 * rows.std_error + 1e-6 * rows.value_x.abs()).all(), rows[
            gap > 5.5 * rows.std_error
        ]
        assert not both.value_x.isna().any()


def test_an_unknown_or_infinite_kurtosis_is_said():
    class Bare:
        mean, variance = 0.0, 0.25

        def sample(self, shape, rng):
            return rng.normal(0.0, 0.5, shape)

    for law in (Bare(), scipy.stats.t(3, scale=0.3)):
        table = vp.predict(mlp("6,6,3", "tanh", law, law, input=Input(np.zeros((4, 1)))))
        assert not table.value.isna().any()
        table = vp.predict(mlp("6,6,3", "tanh", law, input=half_on(4)))
        assert not table.value.isna().any()
        assert set(table.order) <= {"exact", "infinite", "approximate"}
        assert vp.initializer(law).excess_kurtosis(None, None) == math.inf


def test_normal_and_uniform_of_scipy_are_the_tables_own():
    law = vp.initializer(scipy.stats.norm(0.0, 0.3)).law(4, 4)
    assert law == laws.normal(0.3)
    assert vp.initializer(scipy.stats.uniform(-1, 2)).law(4, 4).family == "uniform"
    plain, own = (
        mlp("5,4", "tanh", w, input=half_on(4)) for w in ("normal(std=0.3)", scipy.stats.norm(0.0, 0.3))
    )
    assert simulate_network(plain, draws=8).value.equals(simulate_network(own, draws=8).value)


def test_a_law_with_a_sampler_and_a_class_that_overrides_sample():
    def draw(shape, rng):
        return rng.choice([-0.5, 0.5], shape)

    two = Law("two_points", 0.0, 0.25, -2.0, True, False, True, False, False, sampler=draw)

    class Mine(vp.Initializer):
        def sample(self, shape, *, rng, fan_in=None, fan_out=None, dtype=np.float64):
            return rng.choice([-0.5, 0.5], shape).astype(dtype)

    by_class = Mine("mine", lambda fan_in, fan_out: laws.normal(0.5))
    for weights in (two, vp.Initializer("two", lambda fan_in, fan_out: two), by_class):
        frame = simulate_network(mlp("1", weights=weights, input=Input(np.ones((1, 1)))), draws=50)
        frame = frame.set_index("quantity")
        assert frame.value["preactivation_second_moment"] == 0.25
        assert frame.std_error["preactivation_second_moment"] < 1e-6


def test_a_gain_scales_the_law_and_its_sampler():
    """Two points of size 2 · 0.5: z² is 1 in every draw."""
    two = Law(
        "two",
        0.0,
        0.25,
        -2.0,
        True,
        False,
        True,
        False,
        False,
        sampler=lambda s, rng: rng.choice([-0.5, 0.5], s),
    )
    layer = Layer(1, weights=two, gain=2.0)
    assert layer.weight_law(1, 1).variance == 1.0
    network = mlp("1", weights=two, gain=2.0, input=Input(np.ones((1, 1))))
    frame = simulate_network(network, draws=20).set_index("quantity")
    assert frame.value["preactivation_second_moment"] == pytest.approx(1.0, rel=1e-6)
    assert vp.predict(network).set_index("quantity").value["preactivation_second_moment"] == 1.0


def test_workers_and_stores_take_them(tmp_path):
    network = mlp("5,4", "tanh", STUDENT, Mixture(0.5), input=half_on(4))
    options = {"draws": 12, "block_size": 4}
    expected = simulate_network(network, **options).attrs["digest"]
    assert simulate_network(network, **options, executor=2).attrs["digest"] == expected
    store = tmp_path / "run.sqlite"
    assert simulate_network(network, **options, store=store).attrs["digest"] == expected
    assert simulate_network(network, **options, store=store).attrs["digest"] == expected
    other = mlp("5,4", "tanh", STUDENT, Mixture(0.25), input=half_on(4))
    with pytest.raises(InputError, match="biases_code"):
        simulate_network(other, **options, store=store)


def test_study_files_name_them():
    text = """
        [[network]]
        widths = "5,4"
        weights = "tests.initializers.test_own_laws:NARROWER"
        biases = "tests.initializers.test_own_laws:mixture"
    """
    with pytest.raises(InputError, match="allow-code"):
        parse_study(text)
    study = parse_study(text, code=True)
    assert study.networks[0].bias_law(1).variance == 0.48
    again = Study("s", [mlp("5,4", biases="tests.initializers.test_own_laws:mixture")])
    assert parse_study(write_study(again), code=True).networks == again.networks
    for name in ("Mixture", "narrower", "DRAWS", "nothing"):
        with pytest.raises(InputError, match="weights"):
            mlp("4", weights=f"tests.initializers.test_own_laws:{name}")
    with pytest.raises(InputError, match="weights"):
        write_study(Study("s", [mlp("4", weights=STUDENT)]))


def liar(**said):
    """A law of N(0, 1) values that states or does something else."""
    kind = type("Liar", (), {"mean": 0.0, "variance": 1.0, "sample": lambda self, s, rng: rng.normal(size=s)})
    made = kind()
    for key, value in said.items():
        setattr(kind, key, value)
    return made


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"variance": 1.1}, "variance"),
        ({"variance": 4.0}, "variance"),
        ({"variance": 1.1, "excess_kurtosis": 0.0}, "variance"),
        ({"mean": 0.1}, "mean"),
        ({"variance": -1.0}, "variance"),
        ({"variance": math.nan}, "variance"),
        ({"variance": "much"}, "variance"),
        ({"mean": math.inf}, "mean"),
        ({"excess_kurtosis": -3.0}, "kurtosis"),
        ({"symmetric": True, "mean": 1.0}, "symmetric"),
        ({"symmetric": "yes"}, "symmetric"),
        ({"sample": lambda self, s, rng: rng.normal(size=(*s[::-1], 1))}, "shape"),
        ({"sample": lambda self, s, rng: np.full(s, np.nan)}, "finite"),
        ({"sample": lambda self, s, rng: np.full(s, "x")}, "real numbers"),
        ({"sample": lambda self, s, rng: 1 / 0}, "ZeroDivisionError"),
        ({"sample": lambda self: 0.0}, "TypeError"),
        ({"sample": lambda self, s, rng: np.random.default_rng().normal(size=s)}, "generator"),
        ({"symmetric": True, "sample": lambda self, s, rng: rng.exponential(size=s) - 1}, "symmetric"),
        ({"continuous": True, "sample": lambda self, s, rng: rng.choice([-1.0, 1.0], s)}, "continuous"),
    ],
)
def test_what_a_law_states_must_be_so(wrong, message):
    for field in ("weights", "biases"):
        with pytest.raises(InputError, match=message) as refusal:
            mlp("4", **{field: liar(**wrong)})
        assert len(str(refusal.value).splitlines()) == 1


def test_laws_without_moments_are_refused_and_heavy_ones_are_not():
    for law in (scipy.stats.cauchy(), scipy.stats.t(2), scipy.stats.t, scipy.stats.norm([0, 1], 1)):
        with pytest.raises(InputError):
            vp.initializer(law)
    for law in (
        scipy.stats.t(2.1), scipy.stats.t(3), scipy.stats.t(4.01), scipy.stats.lognorm(1.5), scipy.stats.pareto(2.5),
        scipy.stats.gennorm(0.4), scipy.stats.poisson(1e-3), scipy.stats.bernoulli(0.3), scipy.stats.triang(0.2),
        scipy.stats.rv_discrete(values=([-1, 0, 3], [0.3, 0.6, 0.1])), scipy.stats.skewnorm(4),
    ):  # fmt: skip
        made = vp.initializer(law)
        assert made.sample((3, 2), rng=np.random.default_rng(0)).shape == (3, 2)
        assert made == vp.initializer(law)


def test_a_law_without_a_sampler_is_one_line():
    law = Law("unheard", 0.0, 1.0, 0.0, True, False, True, False, True)
    with pytest.raises(InputError, match="sampler"):
        simulate_network(mlp("4", weights=vp.Initializer("u", lambda fan_in, fan_out: law)), draws=4)
    with pytest.raises(InputError, match="another name"):
        Law(
            "normal", 0.0, 1.0, 0.0, True, False, True, False, True, sampler=lambda s, rng: rng.normal(size=s)
        )
