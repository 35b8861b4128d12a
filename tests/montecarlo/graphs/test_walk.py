"""The walk itself: same numbers whether segments are walked again, on any workers, after an interruption."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp
from varprop.montecarlo.graphs import block
from varprop.montecarlo.graphs.program import GraphProgram, compile_graph
from varprop.montecarlo.graphs.segments import Segment
from varprop.montecarlo.graphs.walk import walk_graph
from varprop.montecarlo.normals import Noise
from varprop.montecarlo.samplers.records import Records
from varprop.montecarlo.simulation import simulate_network
from varprop.spec import Head, Network
from varprop.spec.ops import Dense, Embedding, LayerNorm, Unembedding
from varprop.spec.parts import residual

from .networks import NETWORKS, numbers, words

DRAWS = 3


def walked(program: GraphProgram, again: bool, explicit: bool = False, keep: bool = True) -> Records:
    noise = Noise(np.random.Generator(np.random.SFC64(4)))
    return walk_graph(program, noise, DRAWS, explicit=explicit, keep_weights=keep, again=again)


def assert_same(one: Records, two: Records) -> None:
    np.testing.assert_array_equal(one.value, two.value)
    np.testing.assert_array_equal(one.exponent, two.exponent)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("explicit", [False, True])
def test_walking_segments_again_changes_no_bit(name: str, explicit: bool) -> None:
    program = compile_graph(NETWORKS[name](), 0.04)
    ends = sorted(program.graph.dominators)
    cuts = tuple(Segment(a + 1 if a else 0, b) for a, b in zip([0, *ends[1:-1]], ends[1:], strict=True))
    assert len(cuts) > 2
    program.__dict__["segments"] = cuts
    kept, again = (walked(program, again, explicit) for again in (False, True))
    assert np.isfinite(kept.value).sum() > 30
    assert_same(kept, again)


def test_weights_that_are_drawn_again_are_the_same() -> None:
    program = compile_graph(NETWORKS["gpt"](), 0.04)
    assert_same(walked(program, False, True), walked(program, True, True, keep=False))


def test_every_row_of_a_site_is_given() -> None:
    for make in NETWORKS.values():
        network = make()
        table = vp.simulate(network, draws=6)
        program = compile_graph(network, 0.0396)
        wanted = [(spot.number, set(spot.quantities)) for spot in program.steps]
        found = [(n, set(rows["quantity"])) for n, rows in table.groupby("layer")]
        assert found == wanted
        assert np.isfinite(table["value"]).all(), table[~np.isfinite(table["value"])]


def test_any_workers_and_a_store_give_the_same_bits(tmp_path) -> None:
    network, options = NETWORKS["gpt"](), {"draws": 14, "block_size": 4, "seed": 3}
    runs = [
        simulate_network(network, **options),
        simulate_network(network, **options, executor=2),
        simulate_network(network, **options, store=tmp_path / "run.db"),
        simulate_network(network, **options, store=tmp_path / "run.db"),
    ]
    assert len({run.attrs["digest"] for run in runs}) == 1


def test_functions_of_ones_own_travel_to_workers() -> None:
    block = residual([Dense(6, "he_normal"), lambda z: z / (1 + z * z)])
    network = Network(numbers(6, batch=2), (block, Dense(3, "he_normal")))
    runs = [simulate_network(network, draws=8, block_size=4, executor=workers) for workers in (None, 2)]
    assert len({run.attrs["digest"] for run in runs}) == 1


@pytest.mark.parametrize(("field", "choice"), [("estimator", "control"), ("sampler", "chain")])
def test_what_only_chains_have_is_refused(field: str, choice: str) -> None:
    with pytest.raises(vp.InputError, match=f"{field}: {choice} for a network that is no chain"):
        vp.simulate(NETWORKS["tied"](), draws=4, **{field: choice})


def test_two_uses_of_the_rest_of_a_table_are_refused() -> None:
    body = (Embedding(12), Unembedding(14), Dense(12, "he_normal"), Unembedding(14))
    with pytest.raises(vp.InputError, match="several output layers tied to one embedding"):
        vp.simulate(Network(words(5, 14), body, Head("softmax_ce")), draws=4)


def test_a_small_budget_walks_segments_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORKS["gpt"]()
    before = simulate_network(network, draws=8, seed=2)
    seen: list[bool] = []

    def spy(*args: object, again: bool, **options: object) -> Records:
        seen.append(again)
        return walk_graph(*args, again=again, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(block, "walk_graph", spy)
    monkeypatch.setattr(block, "KEPT", 0)
    assert simulate_network(network, draws=8, seed=2).attrs["digest"] == before.attrs["digest"]
    assert seen
    assert all(seen)


def test_weight_free_needs_a_map_that_can_be() -> None:
    body = (Dense(4, "he_normal"), LayerNorm(), Dense(3, "he_normal"))
    network = Network(numbers(3, batch=8), body)
    assert vp.simulate(network, draws=4)["sampler"].unique().tolist() == ["dense"]
    with pytest.raises(vp.InputError, match="dense, because no map"):
        vp.simulate(network, draws=4, sampler="conditional")
