"""The measured spread over draws, against a law known by heart."""

import io

import numpy as np
import pandas as pd
import pytest

import varprop as vp
from varprop.montecarlo.draw_spread import measured_spread


@pytest.mark.agreement
def test_a_linear_network_spreads_by_its_depth_over_its_width():
    """log |z|²/n is a sum of l independent log(chi²_n/n), each of mean -1/n and variance 2/n to first order.

    With 1000 draws a deviation has a standard error of 2.3 % of itself and a mean one of 3.2 % of the deviation;
    bounds of six of them leave false alarms below 1e-6 in all twenty numbers.
    """
    network = vp.mlp("200x10", "linear", "lecun_normal", input=vp.constant(200, 1.0))
    drawn = measured_spread(vp.simulate(network, draws=1000, seed=3, estimator="plain"))
    rows = drawn[drawn["quantity"] == "preactivation_second_moment"]
    assert rows["layer"].tolist() == list(range(1, 11))
    for row in rows.itertuples():
        deviation = np.sqrt(2 * row.layer / 200)
        assert row.log_std == pytest.approx(deviation, rel=0.14)
        assert row.log_mean == pytest.approx(-row.layer / 200, abs=0.19 * deviation)
        assert row.low < row.median < row.high


def test_several_cases_keep_their_names():
    networks = [vp.mlp("20x3", "relu", w, input=vp.constant(20, 1.0)) for w in ("he_normal", "lecun_normal")]
    drawn = measured_spread(vp.simulate(networks, draws=20, estimator="plain"))
    assert drawn["case"].unique().tolist() == [n.case for n in networks]
    assert (drawn["log_std"] >= 0).all()


CHANGES = {
    "filtered": lambda t: t[t["quantity"] == "preactivation_second_moment"],
    "sorted": lambda t: t.sort_values(["quantity", "layer"], ascending=[False, True]),
    "shuffled": lambda t: t.sample(frac=1.0, random_state=0),
    "without provenance": lambda t: pd.concat([t.iloc[:40], t.iloc[40:]]).rename_axis(None),
    "from a CSV file": lambda t: pd.read_csv(io.StringIO(t.to_csv(index=False))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_row_keeps_its_own_spread(change):
    """The spread of log |z|² is sqrt(2 l/n) whatever was done to the table. Rows that changed places would be wrong by
    up to 140 %; 200 draws know a deviation to 5 %, and six of these leave false alarms below 1e-7 in all 30."""
    network = vp.mlp("200x6", "linear", "lecun_normal", input=vp.constant(200, 1.0))
    table = CHANGES[change](vp.simulate(network, draws=200, seed=4, estimator="plain"))
    rows = measured_spread(table).query("quantity == 'preactivation_second_moment'")
    assert sorted(rows["layer"]) == list(range(1, 7))
    np.testing.assert_allclose(rows["log_std"], np.sqrt(2 * rows["layer"] / 200), rtol=0.3)


def test_a_controlled_row_does_not_know_its_spread():
    table = vp.simulate(vp.mlp("50x3", "tanh", "lecun_normal"), draws=10, estimator="control")
    with pytest.raises(vp.InputError, match=r"simulated\.estimator: 'control' .*estimator='plain'"):
        measured_spread(table)


def test_what_is_missing_is_named():
    table = vp.simulate(vp.mlp("50x3", "tanh", "lecun_normal"), draws=10, estimator="plain")
    with pytest.raises(vp.InputError, match="a table without log_std"):
        measured_spread(table.drop(columns="log_std"))
