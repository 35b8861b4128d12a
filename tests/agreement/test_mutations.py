"""A theory that is wrong by 3 % is not called right: some of the errors that `tests.large.mutations` makes.

`make mutations` makes all of them. Each runs once with the seed below; the smallest effect here is six standard errors,
so that an error is missed with probability below 1e-3 with another seed.
"""

from __future__ import annotations

import pytest

from tests.large.mutations import everything, verdicts

pytestmark = pytest.mark.agreement

CHOSEN = (
    "gelu: second_moment, centred",
    "elu: derivative_second_moment, centred",
    "relu: mean, general",
    "sin: mean, general",
    "squared_relu: product, pair",
    "backward: phi'², tanh",
    "backward: log_weight, relu",
    "forward: log_second_moment, tanh",
    "head softmax_ce: gradient",
    "head mse: loss",
    "he_uniform: variance",
)
MUTATIONS = {mutation.name: mutation for mutation in everything() if mutation.name in CHOSEN}


def test_the_chosen_exist() -> None:
    assert set(MUTATIONS) == set(CHOSEN)


@pytest.mark.parametrize("name", CHOSEN)
def test_an_error_of_three_percent_differs(name: str) -> None:
    assert verdicts(MUTATIONS[name])
