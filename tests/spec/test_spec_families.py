"""Families against the published sizes of the models that they are called after, and their inputs."""

from __future__ import annotations

import numpy as np
import pytest

import varprop as vp
from varprop.spec import parse_input
from varprop.spec.presets import PRESETS

PUBLISHED = {
    # Hugging Face's GPT2LMHeadModel, 1024 positions.
    ("gpt2", 1024): 124_439_808,
    ("gpt2-medium", 1024): 354_823_168,
    ("gpt2-large", 1024): 774_030_080,
    ("gpt2-xl", 1024): 1_557_611_200,
    ("gpt3-175b", 2048): 174_604_259_328,
    # BertForMaskedLM (109,514,298 and 335,174,458) less segment vectors, 2 n, and the bias of the output, 30522.
    ("bert-base", 512): 109_514_298 - 2 * 768 - 30522,
    ("bert-large", 512): 335_174_458 - 2 * 1024 - 30522,
    ("llama-7b", 8): 6_738_415_616,
    ("llama-13b", 8): 13_015_864_320,
    ("llama-33b", 8): 32_528_943_616,
    ("llama-65b", 8): 65_285_660_672,
    ("llama2-70b", 8): 68_976_648_192,
    # T5EncoderModel (35,330,816 and 109,628,544) less the relative position biases: 32 distances times heads.
    ("t5-small", 8): 35_330_816 - 32 * 8,
    ("t5-base", 8): 109_628_544 - 32 * 12,
    # torchvision's vit_b_16, vit_b_32, vit_l_16, vit_h_14 (for 224 pixels).
    ("vit-b/16", None): 86_567_656,
    ("vit-b/32", None): 88_224_232,
    ("vit-l/16", None): 304_326_632,
    ("vit-h/14", None): 632_045_800,
}


@pytest.mark.parametrize(("preset", "tokens"), PUBLISHED)
def test_presets_have_the_published_sizes(preset: str, tokens: int | None) -> None:
    network = vp.transformer(preset=preset, tokens=tokens)
    assert network.parameters == PUBLISHED[preset, tokens]
    assert network.case == preset


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_built_small(preset: str) -> None:
    size = {"width": 32, "heads": 4, "depth": 2}
    size |= {"image": 28, "patch": 14} if preset.startswith("vit") else {"tokens": 4, "vocabulary": 50}
    network = vp.transformer(preset=preset, kv_heads=2, **size)
    assert network.head.kind == "softmax_ce"
    assert network.targets is None


def test_gpt2_divides_the_last_maps_of_branches() -> None:
    nodes = vp.transformer(preset="gpt2", tokens=4, depth=3).describe().set_index("node")
    gains = nodes["gain"]
    assert gains["block2.attention.output"] == gains["block2.mlp.dense2"] == pytest.approx(6**-0.5)
    assert gains["block2.attention.query"] == gains["block2.mlp.dense1"] == 1.0
    assert nodes["weight_variance"]["block2.mlp.dense2"] == pytest.approx(0.02**2 / 6)


def test_llama_has_no_biases_and_groups_heads() -> None:
    network = vp.transformer(preset="llama2-70b", tokens=4, depth=1)
    ops = [node.op for node in network.graph.nodes]
    assert not any(getattr(op, "bias", False) for op in ops)
    (attend,) = (op for op in ops if op.kind == "attend")
    assert (attend.heads, attend.kv_heads, attend.rotary, attend.causal) == (64, 8, True, True)
    assert {op.eps for op in ops if op.kind == "rms_norm"} == {1e-5}


def test_post_norm_normalizes_the_sums() -> None:
    nodes = vp.transformer(1, 8, 2, 4, 9, norm="post", causal=False).graph.nodes
    norms = [node for node in nodes if node.op.kind == "layer_norm"]
    assert [nodes[node.sources[0]].op.kind for node in norms] == ["positions", "add", "add"]


def test_images_are_classified_by_class_token_or_mean() -> None:
    for pool, before in (("class_token", "select"), ("mean", "mean_pool")):
        network = vp.transformer(1, 8, 2, image=16, patch=4, classes=5, pool=pool)
        assert network.graph.output.shape.text == "5"
        assert network.graph.nodes[-2].op.kind == before


def test_dropout_stands_after_the_embeddings_and_in_every_branch() -> None:
    nodes = vp.transformer(2, 8, 2, 4, 9, dropout=0.1).graph.nodes
    assert sum(node.op.kind == "dropout" for node in nodes) == 1 + 2 * 2


RESNETS = {  # torchvision's
    18: 11_689_512,
    34: 21_797_672,
    50: 25_557_032,
    101: 44_549_160,
    152: 60_192_808,
}


@pytest.mark.parametrize("depth", RESNETS)
def test_resnets_have_torchvisions_sizes(depth: int) -> None:
    assert vp.resnet(depth, batch=1).parameters == RESNETS[depth]


@pytest.mark.parametrize(("depth", "published"), [(20, 269_722), (32, 464_154), (56, 853_018)])
def test_resnets_for_cifar_have_two_convolutions_more(depth: int, published: int) -> None:
    """With shortcuts of option B: 1 × 1 convolutions 16 to 32 and 32 to 64 with their normalizations."""
    assert vp.resnet(depth, batch=1).parameters == published + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)


def test_zero_init_multiplies_every_branch_by_zero() -> None:
    network = vp.resnet(blocks=[1, 1], widths=[4, 8], zero_init=True, batch=1)
    scales = [node.op.scales for node in network.graph.nodes if node.op.kind == "add"]
    assert scales == [(1.0, 0.0)] * 2


def test_a_resnet_takes_images_and_their_labels() -> None:
    network = vp.resnet(20, input=vp.digits(4, image=True))
    assert network.targets is not None
    assert network.targets.tolist() == [0, 1, 2, 3]
    assert network.graph.nodes[1].shape.positions == (8, 8)


def test_mixers_have_the_published_sizes() -> None:
    """Tolstikhin et al. 2021, table 1: 19 and 60 millions; the numbers are timm's."""
    assert vp.mlp_mixer(8, 512).parameters == 18_528_264
    assert vp.mlp_mixer(12, 768).parameters == 59_880_472


BAD = [
    (lambda: vp.transformer(), "depth: nothing"),
    (lambda: vp.transformer(preset="gpt3"), "'gpt2|did you mean"),
    (lambda: vp.transformer(1, 8, 3, 4, 9), "a divisor of the width 8"),
    (lambda: vp.transformer(1, 8, 2, 4, 9, norm="sandwich"), "norm: 'sandwich'"),
    (lambda: vp.transformer(1, 8, 2, 4, 9, causal="no"), "causal: 'no'"),
    (lambda: vp.transformer(1, 8, 2, 4, 9, activation="gleu"), "activation: 'gleu'.*'gelu' .did you mean"),
    (lambda: vp.transformer(1, 8, 2, 4, 9, weights="he_norml"), "weights: 'he_norml'"),
    (lambda: vp.transformer(1, 8, 2, 4, 9, tied=True, classes=3), "tied"),
    (lambda: vp.transformer(1, 8, 2, tokens=4, image=16), "no tokens"),
    (lambda: vp.transformer(1, 8, 2, batch=2, input=vp.tokens(4, 9)), "nothing beside an input"),
    (lambda: vp.transformer(1, 8, 2, vocabulary=8, input=vp.tokens(4, 9)), "the input's, 9"),
    (lambda: vp.transformer(1, 8, 2, 4, 9, mlp=-1), "mlp: -1"),
    (lambda: vp.transformer(1, 8, 2, 4, 9, residual_gain=0.0), "residual_gain: 0"),
    (lambda: vp.transformer(1, 8, 2, 4, 9, ids="unique"), "ids: 'unique'"),
    (lambda: vp.transformer(10**6, 8, 2, 4, 9), "depth: 1000000"),
    (lambda: vp.transformer(1, 8, 2, 4, 9, dropout=np.ones(2)), "dropout"),
    (lambda: vp.transformer(1, 8, 2, 4, 9, logit_scale=np.ones(2)), "logit_scale"),
    (lambda: vp.transformer(1, 8, 2, 4, 9, seed=10**5000), "seed: a whole number of about 5001 digits"),
    (lambda: vp.gaussian(3, seed=10**5000), "seed: a whole number of about 5001 digits"),
    (lambda: vp.digits(3, seed=10**5000), "seed: a whole number of about 5001 digits"),
    (lambda: vp.images(1, 2, 2, seed=10**5000), "seed: a whole number of about 5001 digits"),
    (lambda: vp.resnet(), "either a depth or blocks"),
    (lambda: vp.resnet(19), "6 m"),
    (lambda: vp.resnet(blocks=[1, 1], widths=[4]), "one width for each of 2 stages"),
    (lambda: vp.resnet(18, norm="layer"), "norm: 'layer'"),
    (lambda: vp.resnet(18, input=vp.gaussian(4)), "images"),
    (lambda: vp.resnet(18, image=0), "height: 0"),
    (lambda: vp.mlp_mixer(patch=300), "at least one window"),
]


@pytest.mark.parametrize(("build", "words"), BAD)
def test_bad_arguments_are_refused(build, words: str) -> None:
    with pytest.raises(vp.InputError, match=words):
        build()


class TestTokens:
    def test_distinct_ids_are_all_different(self) -> None:
        ids = vp.tokens(50, 100, batch=2, ids="distinct", seed=3).array()[0]
        assert sorted(ids) == list(range(100))

    def test_zipf_ids_follow_their_law(self) -> None:
        """The share of token 0 is 1 / H_100 = 0.193; five standard errors of 20,000 draws are 0.014 (1e-6)."""
        ids = vp.tokens(20_000, 100, ids="zipf").array()[0]
        harmonic = np.sum(1.0 / np.arange(1, 101))
        assert abs(np.mean(ids == 0) - 1 / harmonic) < 0.014
        assert abs(np.mean(ids == 9) - 0.1 / harmonic) < 0.005

    def test_uniform_ids_reach_every_token(self) -> None:
        assert set(vp.tokens(2000, 10).array()[0]) == set(range(10))

    def test_columns_are_examples_by_positions(self) -> None:
        x = vp.tokens(3, 10, ids=[[1, 2, 3], [4, 5, 6]])
        assert (x.batch, x.positions, x.array().tolist()) == (2, (3,), [[1, 2, 3, 4, 5, 6]])

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"length": 10**9, "vocabulary": 5}, "length"),
            ({"length": 10**7, "vocabulary": 5, "batch": 1000}, "positions × examples"),
            ({"length": 11, "vocabulary": 10, "ids": "distinct"}, "as many as there are tokens, 10"),
            ({"length": 2, "vocabulary": 10**8, "ids": "zipf"}, "vocabulary"),
            ({"length": 2, "vocabulary": 5, "ids": [1, 5]}, "from 0 to 4"),
            ({"length": 2, "vocabulary": 5, "ids": [1, 2, 3]}, "shape"),
            ({"length": 2, "vocabulary": 5, "ids": [[1, 2]], "batch": 3}, "batch: 3"),
            ({"length": 2, "vocabulary": 5, "ids": [1.5, 2]}, "from 0 to 4"),
        ],
    )
    def test_refused(self, arguments: dict, words: str) -> None:
        with pytest.raises(vp.InputError, match=words):
            vp.tokens(**arguments)


class TestImages:
    def test_arrays_keep_channels_and_positions(self) -> None:
        pixels = np.arange(2 * 3 * 2 * 4, dtype=float).reshape(2, 3, 2, 4)
        for x in (vp.data(pixels, image=True), vp.data(pixels.reshape(2, -1), image=(3, 2, 4))):
            assert (x.size, x.batch, x.positions) == (3, 2, (2, 4))
            # Column b T + t: example 1, row 1, column 2 of the image.
            assert np.array_equal(x.array()[:, 8 + 4 + 2], pixels[1, :, 1, 2])

    def test_one_channel_needs_no_axis(self, tmp_path) -> None:
        pixels = np.arange(24.0).reshape(2, 3, 4)
        np.save(tmp_path / "x.npy", pixels)
        x = vp.data(pixels, image=True)
        assert (x.size, x.positions) == (1, (3, 4))
        assert vp.data(tmp_path / "x.npy", image=True) == x

    def test_digits(self) -> None:
        x = vp.digits(3, repeat=2, image=True)
        assert (x.size, x.positions, x.batch) == (1, (16, 16), 3)
        assert np.array_equal(x.array()[0, 256:512], vp.digits(3, repeat=2).array()[:, 1])

    @pytest.mark.parametrize(
        ("image", "words"),
        [((3, 3), "product is 8"), (True, "examples of shape"), ("yes", "image: 'yes'"), (2, "image: 2")],
    )
    def test_refused(self, image, words: str) -> None:
        with pytest.raises(vp.InputError, match=words):
            vp.data(np.arange(16.0).reshape(2, 8), image=image)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("tokens:8x100", vp.tokens(8, 100)),
        ("tokens:8x100x2", vp.tokens(8, 100, 2)),
        ("tokens(length=8, vocabulary=100, ids=zipf)", vp.tokens(8, 100, ids="zipf")),
        ("images:3x8x6", vp.images(3, 8, 6)),
        ("images:3x8x6x2", vp.images(3, 8, 6, 2)),
        ("digits(batch=4, image=true)", vp.digits(4, image=True)),
    ],
)
def test_inputs_are_spelled(text: str, made: vp.Input) -> None:
    assert parse_input(text) == made


def test_both_tables_have_no_gradient_of_biases_that_there_are_not() -> None:
    for bias in (True, False):
        network = vp.Network(
            vp.gaussian(4, 2), [vp.ops.dense(4, bias=bias), "relu", vp.ops.dense(3, bias=bias)]
        )
        for table in (vp.predict(network), vp.simulate(network, draws=2)):
            assert (table.quantity == "gradient_bias").sum() == 2 * bias
