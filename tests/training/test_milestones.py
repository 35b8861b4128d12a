"""When runs first reach a level."""

import math

import pandas as pd
import pytest

from varprop._validation import InputError
from varprop.training.milestones import first_reached, race


def history() -> pd.DataFrame:
    rows = [
        ("slow", 1, 0.0, "test", 0.1),
        ("slow", 1, 1.0, "test", 0.5),
        ("slow", 1, 2.0, "test", 0.8),
        ("slow", 1, 3.0, "test", 0.7),
        ("slow", 0, 0.0, "test", 0.1),
        ("slow", 0, 1.0, "train", 0.9),
        ("fast", 1, 0.5, "test", 0.8),
    ]
    return pd.DataFrame(rows, columns=["start", "seed", "epoch", "split", "accuracy"])


def test_the_first_time_counts_and_a_level_that_is_met_exactly_is_reached() -> None:
    found = first_reached(history(), 0.8)
    assert found.columns.tolist() == ["slow", "fast"]
    assert found.loc[1].tolist() == [2.0, 0.5]


def test_never_is_infinite_and_a_missing_run_is_nan() -> None:
    found = first_reached(history(), 0.8)
    assert found.loc[0, "slow"] == math.inf
    assert math.isnan(found.loc[0, "fast"])


def test_the_other_split_and_column_can_be_watched() -> None:
    assert first_reached(history(), 0.8, split="train").loc[0, "slow"] == 1.0


def test_a_race_is_decided_seed_by_seed() -> None:
    rows = [(name, seed, time, "test", time / 4) for seed in range(6) for time in range(5) for name in "ab"]
    both = pd.DataFrame(rows, columns=["start", "seed", "epoch", "split", "accuracy"])
    both.loc[both["start"] == "a", "accuracy"] *= 2
    table = race(both, [0.5, 0.0, 9.0]).set_index("level")
    assert table.loc[0.5, ["a: median", "b: median", "a: first", "b: first"]].tolist() == [1, 2, 6, 0]
    assert table.loc[0.5, "p_value"] == pytest.approx(2 / 2**6)
    assert math.isnan(table.loc[0.0, "p_value"])
    assert table.loc[9.0, "a: median"] == math.inf


def test_a_race_has_two_runners() -> None:
    with pytest.raises(InputError, match="two groups"):
        race(history().query("start == 'slow'"), [0.5])
