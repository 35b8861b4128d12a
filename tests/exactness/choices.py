"""What the battery draws networks from: spellings of laws, and inputs. Values that can tie are dyadic: they do tie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
Choice = Callable[[Rng, int, int], str]
"""From a generator, fan_in and fan_out to a spelling."""


def spelled(name: str, **given: float | str) -> str:
    """Return ``name(key=value, …)``."""
    parts = (
        f"{key}={value if isinstance(value, str) else repr(float(value))}" for key, value in given.items()
    )
    return f"{name}({', '.join(parts)})" if given else name


def one_of(rng: Rng, *values: float) -> float:
    """Return one of `values`."""
    return float(rng.choice(values))


def _std(rng: Rng, fan_in: int) -> float:
    return float(np.round(one_of(rng, 0.3, 0.7, 1.0, 1.4, 2.0) / np.sqrt(fan_in), 3))


def _centre(rng: Rng, fan_in: int) -> float:
    return float(np.round(one_of(rng, -1.0, -0.3, 0.3, 1.0) / fan_in, 3))


def _word(rng: Rng, *words: str) -> str:
    return str(rng.choice(words))


def _fan(rng: Rng) -> str:
    return _word(rng, "fan_in", "fan_out", "fan_avg")


def _plain(name: str) -> Choice:
    return lambda rng, i, o: name


def _between(name: str, low: str, high: str) -> Choice:
    def choice(rng: Rng, i: int, o: int) -> str:
        centre, half = _centre(rng, i) * float(rng.random() < 0.7), np.sqrt(3.0) * _std(rng, i)
        return spelled(name, **{low: np.round(centre - half, 3), high: np.round(centre + half, 3)})

    return choice


def _cut(rng: Rng, i: int, o: int) -> str:
    std, mean = _std(rng, i), _centre(rng, i)
    ends = {"a": np.round(mean - std, 3), "b": np.round(mean + 2.0 * std, 3)}
    return spelled("torch.trunc_normal_", mean=mean, std=std, **ends)


def _scaling(name: str, *kinds: str) -> Choice:
    return lambda rng, i, o: spelled(
        name, scale=one_of(rng, 0.5, 1.0, 3.0), mode=_fan(rng), distribution=_word(rng, *kinds)
    )


def _dirac(rng: Rng, i: int, o: int) -> str:
    return f"torch.dirac_(groups={rng.choice([g for g in (1, 2, 3) if o % g == 0])})"


WEIGHTS: dict[str, Choice] = {
    "normal": lambda rng, i, o: spelled("normal", std=_std(rng, i)),
    "normal with mean": lambda rng, i, o: spelled("normal", std=_std(rng, i), mean=_centre(rng, i)),
    "uniform": _between("uniform", "low", "high"),
    "truncated_normal": lambda rng, i, o: spelled(
        "truncated_normal", std=_std(rng, i), bound=one_of(rng, 1.0, 2.0)
    ),
    "rademacher": lambda rng, i, o: spelled("rademacher", std=one_of(rng, 0.25, 0.5, 1.0)),
    "sparse": lambda rng, i, o: spelled("sparse", sparsity=one_of(rng, 0.3, 0.5, 0.9), std=_std(rng, i)),
    "constant": lambda rng, i, o: spelled("constant", value=one_of(rng, -0.5, 0.25, 0.5)),
    "zeros": _plain("zeros"),
    "ones": _plain("ones"),
    "identity": lambda rng, i, o: spelled("identity", gain=one_of(rng, 1.0, -0.5, 2.0)),
    "orthogonal": lambda rng, i, o: spelled("orthogonal", gain=one_of(rng, 1.0, 1.414, 0.5)),
    "standard_normal": _plain("standard_normal"),
    "uniform_fan_in": _plain("uniform_fan_in"),
    "variance_scaling": _scaling("variance_scaling", "normal", "uniform", "truncated"),
    "lecun_normal": _plain("lecun_normal"),
    "lecun_uniform": _plain("lecun_uniform"),
    "lecun_truncated": _plain("lecun_truncated"),
    "glorot_normal": _plain("glorot_normal"),
    "glorot_uniform": _plain("glorot_uniform"),
    "glorot_truncated": _plain("glorot_truncated"),
    "he_normal": lambda rng, i, o: spelled("he_normal", mode=_fan(rng)),
    "he_uniform": lambda rng, i, o: spelled("he_uniform", slope=one_of(rng, 0.0, 0.2)),
    "he_truncated": _plain("he_truncated"),
    "keras.random_normal": lambda rng, i, o: spelled(
        "keras.random_normal", mean=_centre(rng, i), stddev=_std(rng, i)
    ),
    "keras.random_uniform": _between("keras.random_uniform", "minval", "maxval"),
    "keras.truncated_normal": lambda rng, i, o: spelled(
        "keras.truncated_normal", mean=_centre(rng, i), stddev=_std(rng, i)
    ),
    "keras.variance_scaling": _scaling(
        "keras.variance_scaling", "truncated_normal", "untruncated_normal", "uniform"
    ),
    "keras.dense_default": _plain("keras.dense_default"),
    "keras.he_normal": _plain("keras.he_normal"),
    "keras.lecun_uniform": _plain("keras.lecun_uniform"),
    "keras.glorot_normal": _plain("keras.glorot_normal"),
    "keras.orthogonal": _plain("keras.orthogonal"),
    "keras.identity": _plain("keras.identity"),
    "torch.uniform_": _plain("torch.uniform_"),
    "torch.normal_": lambda rng, i, o: spelled("torch.normal_", mean=_centre(rng, i), std=_std(rng, i)),
    "torch.trunc_normal_": _cut,
    "torch.eye_": _plain("torch.eye_"),
    "torch.dirac_": _dirac,
    "torch.xavier_uniform_": _plain("torch.xavier_uniform_"),
    "torch.xavier_normal_": lambda rng, i, o: spelled("torch.xavier_normal_", gain=one_of(rng, 0.5, 1.5)),
    "torch.kaiming_uniform_": lambda rng, i, o: spelled(
        "torch.kaiming_uniform_", mode=_word(rng, "fan_in", "fan_out"), nonlinearity="relu"
    ),
    "torch.kaiming_normal_": lambda rng, i, o: spelled("torch.kaiming_normal_", a=one_of(rng, 0.0, 0.2)),
    "torch.sparse_": lambda rng, i, o: spelled(
        "torch.sparse_", sparsity=one_of(rng, 0.3, 0.6), std=_std(rng, i)
    ),
    "torch.orthogonal_": _plain("torch.orthogonal_"),
    "torch.linear_default": _plain("torch.linear_default"),
}

BIASES: dict[str, Choice] = {
    "zeros": _plain("zeros"),
    "ones": _plain("ones"),
    "constant": lambda rng, i, o: spelled("constant", value=one_of(rng, 1.0, -0.5, 0.25, -3.0)),
    "normal": lambda rng, i, o: spelled("normal", std=one_of(rng, 0.3, 1.0)),
    "normal with mean": lambda rng, i, o: spelled(
        "normal", std=one_of(rng, 0.1, 0.5), mean=one_of(rng, -2.0, -0.5, 0.5)
    ),
    "uniform": lambda rng, i, o: _word(
        rng, "uniform(low=-1.0, high=1.0)", "uniform(low=0.0, high=2.0)", "uniform(low=-4.0, high=-2.0)"
    ),
    "truncated_normal": _plain("truncated_normal(std=0.7)"),
    "sparse": lambda rng, i, o: spelled("sparse", sparsity=one_of(rng, 0.5, 0.9), std=one_of(rng, 0.5, 2.0)),
    "rademacher": lambda rng, i, o: spelled("rademacher", std=one_of(rng, 0.5, 1.0, 2.0)),
    "uniform_fan_in": _plain("uniform_fan_in"),
    "lecun_normal": _plain("lecun_normal"),
    "keras.random_normal": _plain("keras.random_normal(mean=0.5, stddev=0.5)"),
    "keras.truncated_normal": _plain("keras.truncated_normal(mean=-0.5, stddev=0.5)"),
    "torch.uniform_": _plain("torch.uniform_"),
    "torch.normal_": _plain("torch.normal_"),
    "torch.trunc_normal_": _plain("torch.trunc_normal_(mean=0.5, std=1.0)"),
}


def _near(rng: Rng, n: int, b: int, distance: float) -> np.ndarray:
    return rng.standard_normal((n, 1)) + distance * rng.standard_normal((n, max(b, 2)))


INPUTS: dict[str, Callable[[Rng, int, int], np.ndarray]] = {
    "gaussian": lambda rng, n, b: rng.standard_normal((n, b)),
    "zeros": lambda rng, n, b: np.zeros((n, b)),
    "ones": lambda rng, n, b: np.ones((n, b)),
    "one": lambda rng, n, b: rng.standard_normal((n, 1)),
    "one_hot": lambda rng, n, b: np.eye(n)[:, rng.integers(n, size=b)],
    "half_on": lambda rng, n, b: (np.arange(n)[:, None] % 2 == 0) * np.ones((n, b)),
    "signs": lambda rng, n, b: rng.choice([-1.0, 1.0], (n, b)),
    "equal": lambda rng, n, b: np.full((n, b), one_of(rng, -2.0, 0.5, 4.0)),
    "duplicates": lambda rng, n, b: np.repeat(rng.standard_normal((n, 1)), max(b, 2), axis=1),
    "near": lambda rng, n, b: _near(rng, n, b, 1e-5),
    "multiples": lambda rng, n, b: rng.standard_normal((n, 1)) * np.array([1.0, 2.0, -1.0, 0.5, -3.0])[:b],
    "a zero column": lambda rng, n, b: rng.standard_normal((n, b)) * (np.arange(b) > 0),
    "many scales": lambda rng, n, b: rng.standard_normal((n, b)) * 10.0 ** rng.integers(-3, 4, b),
    "large": lambda rng, n, b: 100.0 * rng.standard_normal((n, b)),
    "near and large": lambda rng, n, b: 100.0 * _near(rng, n, b, 1e-2),
    "small": lambda rng, n, b: 1e-3 * rng.standard_normal((n, b)),
    "huge": lambda rng, n, b: 1e120 * rng.standard_normal((n, b)),
    "tiny": lambda rng, n, b: 1e-120 * rng.standard_normal((n, b)),
    "positive": lambda rng, n, b: rng.random((n, b)),
}
"""From a generator, n_0 and B to the inputs, shape (n_0, B)."""

OFTEN = {
    **{"zeros": 3.0, "normal": 2.0, "rademacher": 1.5, "he_normal": 2.0, "sparse": 1.5, "constant": 1.5},
    **{"relu": 3.0, "leaky_relu": 2.0, "tanh": 2.0, "step": 1.5, "squared_relu": 1.5},
    **{"gaussian": 6.0, "one": 4.0, "positive": 3.0, "signs": 2.0, "half_on": 2.0},
}
"""Weights of what is drawn more often than once in a table."""
