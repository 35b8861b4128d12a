"""The spellings every contract test runs over: each registered name, and arguments that change the law."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varprop.initializers.base import examples

EVERY_NAME = list(examples.values())
WITH_ARGUMENTS = [
    "identity(gain=0.5)",
    "normal(std=2, mean=1)",
    "uniform(low=-1, high=3)",
    "truncated_normal(std=0.3, bound=0.7)",
    "rademacher(std=0.2)",
    "sparse(sparsity=0.25, std=3)",
    "orthogonal(gain=1.5)",
    "variance_scaling(scale=3, mode=fan_avg, distribution=truncated)",
    "variance_scaling(scale=3, mode=fan_out, distribution=uniform)",
    "he_normal(mode=fan_out, slope=0.2)",
    "keras.random_normal(mean=1, stddev=0.5)",
    "keras.truncated_normal(mean=1, stddev=0.5)",
    "keras.variance_scaling(scale=2, mode=fan_avg, distribution=untruncated_normal)",
    "keras.variance_scaling(mode=fan_out, distribution=normal)",
    "keras.identity(gain=-2)",
    "torch.trunc_normal_(mean=1, std=0.5, a=1.2, b=4)",
    "torch.trunc_normal_(std=0.1, a=0.19, b=0.5)",
    "torch.trunc_normal_(mean=-1, std=2, a=-1.5, b=-0.5)",
    "torch.dirac_(groups=2)",
    "torch.xavier_normal_(gain=2)",
    "torch.kaiming_normal_(mode=fan_out, nonlinearity=tanh)",
    "torch.kaiming_uniform_(a=0.2, nonlinearity=leaky_relu)",
    "torch.kaiming_uniform_(nonlinearity=selu)",
    "torch.orthogonal_(gain=0.5)",
    "torch.sparse_(sparsity=0.33, std=2)",
]
EVERY_CASE = EVERY_NAME + WITH_ARGUMENTS


def z_scores(sample: NDArray[Any], expected: float, scale: float) -> NDArray[np.float64]:
    """Studentised distance of per-draw numbers from `expected`.

    `scale` is the size of the numbers: what is below its rounding error in single precision counts as equal
    (an orthogonal matrix has the same mean square in every draw).
    """
    numbers = np.asarray(sample, np.float64)
    error = numbers.std(ddof=1) / np.sqrt(numbers.size) + 1e-7 * scale
    return np.asarray((numbers.mean() - expected) / error)
