"""Layers, heads, networks and studies."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varprop import initializers
from varprop._validation import InputError
from varprop.initializers import initializer
from varprop.initializers.base import examples
from varprop.spec import (
    Head,
    Layer,
    Network,
    Study,
    check_label,
    data,
    default_study,
    digits,
    expand_grid,
    file_stem,
    gaussian,
    half_on,
    mlp,
    parse_widths,
    spell_widths,
)


def refused(pattern: str) -> pytest.RaisesExc[InputError]:
    return pytest.raises(InputError, match=pattern)


class TestWidths:
    @pytest.mark.parametrize(
        ("given_", "meant"),
        [
            ("1000,500x10,10", (1000, *[500] * 10, 10)),
            (" 3 x 2 , 1", (3, 3, 1)),
            ("7", (7,)),
            (7, (7,)),
            ([3, np.int64(2)], (3, 2)),
        ],
    )
    def test_parse(self, given_: object, meant: tuple[int, ...]) -> None:
        assert parse_widths(given_) == meant  # type: ignore[arg-type]

    @given(st.lists(st.integers(1, 10_000), min_size=1, max_size=30))
    def test_spelling_round_trip(self, widths: list[int]) -> None:
        assert parse_widths(spell_widths(widths)) == tuple(widths)

    @pytest.mark.parametrize(
        "bad",
        [
            *(
                "",
                "0",
                "3,,4",
                "-3",
                "3x0",
                "1.5",
                "x3",
                "3x",
                "five",
                "9" * 5000,
                "5x1000000000",
                "100x100001",
            ),
            *([], [3, 0], [3, -1], [1.5], [True], ["3"], 0, True, 2.0, float("nan"), None),
        ],
    )
    def test_refused(self, bad: object) -> None:
        with refused("widths"):
            parse_widths(bad)  # type: ignore[arg-type]


class TestLayer:
    def test_names_become_objects(self) -> None:
        layer = Layer(10, "leaky_relu(slope=0.2)", "xavier_normal")
        assert layer.activation.name == "leaky_relu(slope=0.2)"
        assert layer.weights.name == "glorot_normal"
        assert layer.biases.name == "zeros"

    def test_whole_layer_presets_bring_their_bias(self) -> None:
        assert Layer(3, weights="torch.linear_default").bias_law(100, 3).variance == pytest.approx(1 / 300)
        assert Layer(3, weights="torch.linear_default", biases="ones").biases.name == "ones"

    def test_equal_by_content_and_frozen(self) -> None:
        layer = Layer(3, "relu", "he_normal")
        assert layer == Layer(3, "relu", "kaiming_normal")
        assert hash(layer) == hash(Layer(3, "relu", "kaiming_normal"))
        assert pickle.loads(pickle.dumps(layer)) == layer
        assert replace(layer, gain=2.0).gain == 2.0
        with pytest.raises(FrozenInstanceError):
            layer.width = 4  # type: ignore[misc]

    @pytest.mark.parametrize("name", sorted(examples))
    @pytest.mark.parametrize("gain", [0.5, 3.0])
    def test_gain_scales_law_and_sample_alike(self, name: str, gain: float) -> None:
        # The same stream through the scaled law and through the layer: equal up to rounding.
        layer = Layer(6, "relu", examples[name], gain=gain)
        law = layer.weight_law(6, 6)
        plain = initializer(examples[name]).law(6, 6)
        assert law.mean == pytest.approx(gain * plain.mean, rel=1e-15)
        assert law.variance == pytest.approx(gain**2 * plain.variance, rel=1e-15)
        assert (law.family, law.excess_kurtosis) == (plain.family, plain.excess_kurtosis)
        weights = layer.sample_weights(6, 6, rng=np.random.default_rng(0))
        scaled = initializers.sampling.sample_law(law, (6, 6), np.random.default_rng(0), np.dtype(float))
        np.testing.assert_allclose(weights, scaled, rtol=1e-12, atol=1e-15)

    def test_samples_have_the_stated_shapes(self) -> None:
        layer = Layer(4, gain=2.0)
        rng = np.random.default_rng(0)
        assert layer.sample_weights(3, 4, rng=rng).shape == (4, 3)
        assert layer.sample_weights(3, 4, rng=rng, draws=5, dtype=np.float32).dtype == np.float32
        assert layer.sample_weights(3, 4, rng=rng, draws=5).shape == (5, 4, 3)
        assert layer.sample_biases(3, 4, rng=rng, draws=5).shape == (5, 4)

    @pytest.mark.parametrize("bad", [0, -1, 1.5, True, "3", None, float("nan")])
    def test_bad_width(self, bad: object) -> None:
        with refused("width"):
            Layer(bad)  # type: ignore[arg-type]

    @pytest.mark.parametrize("bad", [0, -1, True, "3", None, float("nan"), float("inf"), 1e7])
    def test_bad_gain(self, bad: object) -> None:
        with refused("gain"):
            Layer(3, gain=bad)  # type: ignore[arg-type]

    def test_unknown_names_have_a_close_match(self) -> None:
        with refused("activation: 'rellu' .*'relu' .did you mean"):
            Layer(3, "rellu")
        with refused("weights: 'he_norml' .*'he_normal' .did you mean"):
            Layer(3, "relu", "he_norml")
        with refused("biases: 'zeroes' .*'zeros' .did you mean"):
            Layer(3, "relu", "he_normal", "zeroes")
        with refused("activation.slop.*'slope' .did you mean"):
            Layer(3, "leaky_relu(slop=0.1)")
        for bad in (3, None, ["relu"]):
            with refused("activation"):
                Layer(3, bad)  # type: ignore[arg-type]
            if bad is not None:
                with refused("weights"):
                    Layer(3, "relu", bad)  # type: ignore[arg-type]


class TestHead:
    images = digits(8)

    def test_labels_are_the_default_targets(self) -> None:
        network = mlp([5, 10], input=self.images, head="softmax_ce")
        assert network.targets is not None
        assert network.targets.tolist() == self.images.labels.tolist()
        assert network.targets.dtype == np.int64
        binary = data([[0.0, 1.0], [1.0, 0.5], [0.0, 0.0]], labels=[1, 0, 1])
        assert mlp([5, 1], input=binary, head="bce").targets.tolist() == [[1.0, 0.0, 1.0]]

    def test_mse_targets_broadcast(self) -> None:
        x = gaussian(3, 2)
        assert mlp([3, 4], input=x, head="mse", targets=0.5).targets.tolist() == [[0.5, 0.5]] * 4
        assert mlp([3, 2], input=x, head="mse", targets=[1.0, 2.0]).targets.tolist() == [
            [1.0, 1.0],
            [2.0, 2.0],
        ]
        rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
        assert mlp([3, 3], input=x, head="mse", targets=rows).targets.tolist() == np.array(rows).T.tolist()
        assert mlp([3, 1], input=x, head="mse", targets=[7.0, 8.0]).targets.tolist() == [[7.0, 8.0]]

    @pytest.mark.parametrize(
        ("width", "head", "targets", "pattern"),
        [
            (10, "mse", None, "head.targets: None"),
            (10, "mse", [1.0, 2.0, 3.0], r"head.targets: shape \(3,\)"),
            (10, "mse", float("nan"), "head.targets: 1 of 1 values not finite"),
            (10, "mse", ["a"], "head.targets"),
            (10, "mse", [[1], [1, 2]], "head.targets: ragged"),
            (10, "bce", 0.5, "0 or 1"),
            (10, "bce", None, "0 or 1|head.targets"),
            (5, "softmax_ce", None, r"head.targets: 5 \(example 6\) .* from 0 to 4"),
            (1, "softmax_ce", None, "at least two outputs"),
            (10, "softmax_ce", [0] * 7, r"shape \(8,\)"),
            (10, "softmax_ce", [0.5] * 8, "whole numbers"),
            (10, "softmx_ce", None, "head.kind.*did you mean"),
            (10, "unit", 1.0, "none for the head unit"),
        ],
    )
    def test_refused(self, width: int, head: str, targets: object, pattern: str) -> None:
        with refused(pattern):
            mlp([5, width], input=self.images, head=head, targets=targets)

    def test_no_labels_no_cross_entropy(self) -> None:
        with refused("head.targets: None"):
            mlp([3, 4], input=gaussian(3, 2), head="softmax_ce")

    def test_equal_by_content(self) -> None:
        assert Head("mse", 1.0) == Head("mse", np.array(1.0))
        assert Head("mse", 1.0) != Head("mse", 2.0)
        assert pickle.loads(pickle.dumps(Head("mse", [1.0]))) == Head("mse", [1.0])
        assert len({Head(), Head("unit")}) == 1


class TestNetwork:
    def test_widths_and_fans_count_from_one(self) -> None:
        network = mlp([500, 20, 10], input=half_on(1000))
        assert network.widths == (1000, 500, 20, 10)
        assert network.depth == 3
        assert [network.fans(layer) for layer in (1, 2, 3)] == [(1000, 500), (500, 20), (20, 10)]
        for bad in (0, 4):
            with refused("layer"):
                network.fans(bad)

    def test_default_input(self) -> None:
        assert mlp([30, 10]).input == half_on(30)
        assert mlp(1).input == half_on(1000)

    def test_laws_use_the_fans_of_the_layer(self) -> None:
        network = mlp([500, 10], weights="glorot_normal", gain=2.0, input=half_on(1000))
        assert network.weight_law(1).variance == pytest.approx(4 * 2 / 1500)
        assert network.weight_law(2).variance == pytest.approx(4 * 2 / 510)
        frame = network.describe()
        assert frame["sigma_w2"].tolist() == pytest.approx([1000 * 8 / 1500, 500 * 8 / 510])
        assert frame["parameters"].tolist() == [500 * 1001, 10 * 501]

    def test_case_names(self) -> None:
        assert mlp([3, 2], "relu", "he_normal").case == "he_normal · relu"
        assert mlp([3, 2], "relu", "he_normal", gain=1.5).case == "he_normal · gain 1.5 · relu"
        assert mlp([3, 2], name="<b>$x$</b>").case == "<b>$x$</b>"
        layers = [Layer(3, "relu", f"normal(std={i})") for i in range(1, 50)]
        assert mlp([3, 2]).case != Network(half_on(3), tuple(layers)).case
        assert len(Network(half_on(3), tuple(layers)).case) <= 200

    def test_digest_is_of_what_determines_the_law(self) -> None:
        network = mlp([3, 2], "relu", "he_normal")
        same = mlp([3, 2], "relu", "kaiming_normal", name="other name")
        assert network.digest() == same.digest()
        assert network != same
        others = [
            mlp([3, 3], "relu", "he_normal"),
            mlp([3, 2], "tanh", "he_normal"),
            mlp([3, 2], "relu", "he_uniform"),
            mlp([3, 2], "relu", "he_normal", "ones"),
            mlp([3, 2], "relu", "he_normal", gain=2.0),
            mlp([3, 2], "relu", "he_normal", input=half_on(4)),
            mlp([3, 2], "relu", "he_normal", head="mse", targets=0.0),
            mlp([3, 2], "relu", "he_normal", output_activation="relu"),
        ]
        assert len({network.digest(), *(other.digest() for other in others)}) == 9

    def test_digest_is_the_same_in_another_process(self) -> None:
        code = "import varprop.spec as s; print(s.default_study().digest())"
        there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert there.stdout.strip() == default_study().digest()

    def test_frozen_hashable_pickled(self) -> None:
        network = mlp([3, 10], "gelu", "orthogonal", input=digits(4), head="softmax_ce", name="n")
        assert pickle.loads(pickle.dumps(network)) == network
        assert len({network, pickle.loads(pickle.dumps(network))}) == 1
        with pytest.raises(FrozenInstanceError):
            network.name = "m"  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("change", "pattern"),
        [
            ({"body": ()}, "body: nothing"),
            ({"body": 3}, "body"),
            ({"body": [Layer(2), 3]}, r"body\[1\]: int"),
            ({"input": "half_on:3"}, "input: str"),
            ({"head": "mse"}, "head: str"),
            ({"name": 3}, "name"),
            ({"name": "a\x1b[31mb"}, "name"),
        ],
    )
    def test_refused(self, change: dict[str, object], pattern: str) -> None:
        with refused(pattern):
            replace(mlp([3, 2]), **change)  # type: ignore[arg-type]

    def test_output_activation_has_its_own_field(self) -> None:
        with refused("^output_activation: 'rellu'"):
            mlp([3, 2], output_activation="rellu")
        with refused("targets within the Head"):
            mlp([3, 2], head=Head("mse", 0.0), targets=1.0)


class TestStudy:
    def test_cases_are_told_apart_by_what_differs(self) -> None:
        networks = [
            mlp([3, 2], "relu", "he_normal"),
            mlp([4, 2], "relu", "he_normal"),
            mlp([4, 2], "relu", "he_normal", "ones"),
            mlp([4, 2], "relu", "he_normal", "ones", input=half_on(9)),
            mlp([4, 2], "relu", "he_normal", "ones", input=half_on(9)),
            mlp([4, 2], "relu", "glorot_normal"),
        ]
        cases = Study("s", networks).cases
        assert len(set(cases)) == 6
        assert cases[0] == "he_normal · relu · 3,2"
        assert cases[5] == "glorot_normal · relu"
        assert "biases ones" in cases[2]
        assert "half_on(9)" in cases[3]

    def test_an_automatic_name_never_takes_a_given_one(self) -> None:
        networks = [mlp([3, 2], "relu", "he_normal"), mlp([3, 2], name="he_normal · relu")]
        assert len(set(Study("s", networks).cases)) == 2

    def test_given_names_must_differ(self) -> None:
        with refused(r"networks\[0\].name: 'a'"):
            Study("s", [mlp([3, 2], name="a"), mlp([4, 2], name="a")])

    @pytest.mark.parametrize(
        ("change", "pattern"),
        [
            ({"networks": ()}, "networks: 0 networks"),
            ({"networks": [3]}, r"networks\[0\]: int"),
            ({"draws": 1}, "draws"),
            ({"draws": 2.0}, "draws"),
            ({"draws": True}, "draws"),
            ({"seed": -1}, "seed"),
            ({"seed": 1.5}, "seed"),
            ({"alpha": 0.0}, "alpha"),
            ({"alpha": 1.0}, "alpha"),
            ({"alpha": math.nan}, "alpha"),
            ({"margin": -0.1}, "margin"),
            ({"margin": math.inf}, "margin"),
            ({"saturation_share": 2}, "saturation_share"),
            ({"name": ""}, "name"),
            ({"name": "x" * 5000}, r"name: 'x.*5002 characters"),
            ({"title": "a\nb"}, "title"),
        ],
    )
    def test_refused(self, change: dict[str, object], pattern: str) -> None:
        with refused(pattern) as caught:
            replace(Study("s", [mlp([3, 2])]), **change)  # type: ignore[arg-type]
        assert len(str(caught.value)) < 300

    def test_digest_leaves_out_name_and_title_only(self) -> None:
        study = Study("s", [mlp([3, 2])])
        assert study.digest() == replace(study, name="t", title="u").digest()
        for change in (
            {"draws": 300},
            {"seed": 1},
            {"alpha": 0.1},
            {"margin": 0.1},
            {"saturation_share": 0.1},
        ):
            assert study.digest() != replace(study, **change).digest()  # type: ignore[arg-type]

    def test_describe(self) -> None:
        frame = Study("s", [mlp([3, 2], "relu", "he_normal")]).describe()
        assert frame.loc[0, "widths"] == "3x2,2"
        assert frame.loc[0, "parameters"] == 3 * 4 + 2 * 4


class TestLabels:
    @pytest.mark.parametrize(
        "label", ["<script>alert(1)</script>", "$x$", "_x", "../x", "he · relu", "x" * 200]
    )
    def test_accepted(self, label: str) -> None:
        assert check_label("name", label) == label
        stem = file_stem(label)
        assert stem.isascii()
        assert set(stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
        assert 1 <= len(stem) <= 60

    @given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
    def test_stems_are_harmless_and_different(self, one: str, other: str) -> None:
        stems = {file_stem(one), file_stem(other)}
        assert len(stems) == len({one, other})
        assert all(stem and set(stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for stem in stems)
        assert all(not stem.startswith("-") for stem in stems)


class TestGrid:
    def test_every_combination_once(self) -> None:
        networks = expand_grid(
            ["he_normal", "glorot_normal"], ["relu", "tanh"], [4, 5], [2, 3], [1.0, 1.5], output_width=2
        )
        assert len(networks) == 32
        cases = Study("grid", networks).cases
        assert len(set(cases)) == 32
        assert cases[0] == "he_normal · relu · width 4 · depth 2 · gain 1"
        last = networks[-1]
        assert last.widths == (5, 5, 5, 2)
        assert last.layers[0].gain == 1.5

    def test_single_values_are_axes_of_one(self) -> None:
        (network,) = expand_grid("he_normal", "relu", 4, 2)
        assert network.case == "he_normal · relu"
        assert network.widths == (4, 4, 4)

    @pytest.mark.parametrize(
        ("options", "pattern"),
        [
            ({"initializers": []}, "initializers: an empty list"),
            ({"initializers": ["he_normal", "nope"]}, r"initializers\[1\]: 'nope'"),
            ({"initializers": [3]}, r"initializers\[0\]: 3"),
            ({"activations": ["relu", "relu"]}, r"activations\[1\]: 'relu' .* once"),
            ({"activations": ["leaky_relu(slop=1)"]}, r"activations\[0\].slop"),
            ({"widths": [10, 0]}, r"widths\[1\]: 0"),
            ({"widths": [1.5]}, r"widths\[0\]: 1.5"),
            ({"depths": [True]}, r"depths\[0\]: True"),
            ({"gains": [float("nan")]}, r"gains\[0\]: nan"),
            ({"gains": 0}, r"gains\[0\]: 0"),
            ({"output_width": 0}, "output_width: 0"),
            ({"output_activation": "rellu"}, "output_activation: 'rellu'"),
            ({"widths": list(range(1, 10_002))}, r"size: 10001 networks \(1 initializers"),
            ({"depths": list(range(99_000, 99_020))}, r"size: 1980190 layers"),
        ],
    )
    def test_refused(self, options: dict[str, object], pattern: str) -> None:
        with refused(pattern):
            expand_grid(**options)  # type: ignore[arg-type]


class TestDefaultStudy:
    def test_has_the_neuron_and_three_activations_on_digits(self) -> None:
        study = default_study()
        wide, narrow = study.networks[:2]
        assert wide.input == half_on(1000)
        assert wide.weight_law(1).variance == 1.0
        assert narrow.weight_law(1).variance == pytest.approx(1 / 1000, rel=1e-15)
        for network in (wide, narrow):
            assert network.bias_law(1).variance == 1.0
            assert network.layers[0].activation.name == "sigmoid"
        deep = study.networks[2:]
        assert {network.depth for network in deep} == {10}
        assert {network.layers[0].activation.name for network in deep} == {"sigmoid", "tanh", "relu"}
        assert all(network.input.kind == "digits" for network in deep)


def test_import_is_light() -> None:
    code = (
        "import sys, varprop.spec\n"
        "print([m for m in ('pandas', 'pydantic', 'matplotlib', 'torch', 'scipy.stats') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
