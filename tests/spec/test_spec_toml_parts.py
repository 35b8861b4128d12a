"""Study files with bodies and families: the round trip, and where complaints point."""

from __future__ import annotations

import math

import numpy as np
import pytest

import varprop as vp
from varprop import ops
from varprop.spec import parse_study

X = vp.gaussian(8, 2)
NETWORKS = [
    vp.transformer(preset="gpt2", tokens=8),
    vp.transformer(preset="bert-base", tokens=8),
    vp.transformer(preset="llama2-70b", tokens=8),
    vp.transformer(preset="t5-small", tokens=8, dropout=0.1),
    vp.transformer(preset="vit-b/16"),
    vp.resnet(18, batch=1),
    vp.resnet(50, batch=1, zero_init=True, norm="group"),
    vp.resnet(20, norm="none", batch=1),
    vp.mlp_mixer(2, 32, image=32),
    vp.Network(
        X,
        [
            "dense(width=8)",
            "leaky_relu(slope=0.2)",
            ops.residual(["layer_norm(eps=0.5)", ops.dense(8)], scale=0.5, name="mixing"),
            ops.residual("relu"),
            ops.residual(ops.sequence("relu", "tanh", name="inner"), shortcut=[ops.dropout(0.3)]),
            ops.gate(8, "gelu", "torch.linear_default", bias=False),
            ops.concatenate("identity", ["tanh", ops.dense(3)]),
            ops.multiply(ops.dense(5), [ops.dense(5), "sigmoid"]),
            vp.Layer(4, "relu", "normal(std=0.5)", gain=2.0),
            ops.dense(4, "torch.linear_default", biases="zeros"),
            ops.dense(4, "torch.linear_default", bias=False),
            [ops.dense(4)] * 3,
            *[ops.dense(4)] * 3,
            ops.scaled(0.25),
        ],
        name="everything",
    ),
    vp.Network(
        vp.tokens(4, 9, ids=[[1, 2, 3, 3], [0, 0, 0, 1]]),
        [
            "embedding(width=4)",
            ops.attention(
                2,
                causal=True,
                rotary=True,
                query={"weights": "torch.linear_default"},
                output={"gain": 0.2, "bias": False},
            ),
            ops.class_token("zeros"),
            ops.select(0),
            ops.dense(9),
        ],
        vp.Head("softmax_ce", [1, 2]),
    ),
    vp.Network(
        vp.data(np.arange(24.0).reshape(2, 1, 3, 4), image=True, labels=[0, 1]),
        [ops.conv(4, (2, 1), padding=(1, 0)), ops.max_pool(2, 1), "batch_norm", "flatten", ops.dense(2)],
        vp.Head("softmax_ce"),
    ),
    vp.Network(
        vp.digits(3, image=True), [ops.conv(4), ops.mean_pool((2, 4)), ops.transpose(), ops.transpose((4, 2))]
    ),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.case)
def test_a_network_comes_back_from_its_file(network: vp.Network) -> None:
    study = vp.Study("one", [network])
    back = parse_study(vp.write_study(study))
    assert back == study
    assert back.networks[0].digest() == network.digest()
    assert back.networks[0].describe().equals(network.describe())


def test_all_of_them_in_one_file() -> None:
    study = vp.Study("all", [*NETWORKS, vp.mlp([8, 4], input=X)])
    assert parse_study(vp.write_study(study)).digest() == study.digest()
    assert study.describe()["parameters"].tolist()[:1] == [NETWORKS[0].parameters]


def test_equal_blocks_are_written_once() -> None:
    text = vp.write_study(vp.Study("one", [vp.transformer(preset="gpt2-xl", tokens=8)]))
    assert "times = 48" in text
    assert len(text) < 2000


def test_the_example_of_the_design() -> None:
    study = parse_study(
        """
        [[network]]
        input = "tokens:4x16"
        body = [
            "embedding(width=8)",
            "dense(width=8)",
            "relu",
            {residual = ["layer_norm", "attention(heads=4)"], scale = 0.5, times = 2},
            {gate = 8, activation = "sigmoid"},
            {concatenate = [["relu"], "identity"]},
        ]
        """
    )
    (network,) = study.networks
    block = ops.residual([ops.layer_norm(), ops.attention(4)], scale=0.5)
    own = [ops.embedding(8), ops.dense(8), "relu", block, block, ops.gate(8, "sigmoid")]
    assert (
        network.digest()
        == vp.Network(vp.tokens(4, 16), [*own, ops.concatenate(["relu"], "identity")]).digest()
    )


def test_families_take_their_keywords() -> None:
    study = parse_study(
        """
        [input]
        kind = "images"
        channels = 1
        height = 8
        width = 8
        [[network]]
        family = "transformer"
        preset = "gpt2"
        depth = 2
        tokens = 16
        head = "unit"
        name = "short"
        [[network]]
        family = "resnet"
        blocks = [1, 1]
        widths = [4, 8]
        """
    )
    short, residual = study.networks
    assert short == vp.transformer(preset="gpt2", depth=2, tokens=16, head="unit", name="short")
    # Without a key that makes an input, the study's.
    assert residual == vp.resnet(blocks=[1, 1], widths=[4, 8], input=vp.images(1, 8, 8), name=residual.name)


BAD = [
    ('body = ["dense(width=8)", "relo"]', r"network\[0\].body\[1\]: 'relo'.*'relu' .did you mean"),
    (
        'body = [{residual = ["layer_norm", {dense = 8, gian = 2}]}]',
        r"network\[0\].body\[0\].residual\[1\].gian.*'gain'",
    ),
    ('body = [{residul = ["relu"]}]', r"network\[0\].body\[0\].residul.*'residual' .did you mean"),
    ('body = [{residual = ["relu"], scal = 1}]', r"network\[0\].body\[0\].scal.*'scale' .did you mean"),
    ('body = [{concatenate = [["relu"], [{times = 2}]]}]', r"body\[0\].concatenate\[1\]\[0\].times"),
    ("body = [{residual = [{dense = 3}]}]", r"network\[0\].residual.stream"),
    ("body = []", r"network\[0\].body: nothing"),
    ("body = 3", r"network\[0\].body: int"),
    ('body = ["relu"]\nwidths = "3"', r"network\[0\].widths: unknown key"),
    ('body = ["os:system"]', r"network\[0\].body\[0\].*(allow|permi|module)"),
    ('family = "transfomer"', r"network\[0\].family: 'transfomer'.*'transformer' .did you mean"),
    ("family = 3", r"network\[0\].family: 3"),
    ('family = "resnet"\ndeph = 18', r"network\[0\].deph.*'depth' .did you mean"),
    ('family = "resnet"\nwidths = "500x10"', r"network\[0\].depth|network\[0\].widths"),
    (
        'family = "transformer"\ndepth = 1\nwidth = 8\nheads = 3\ntokens = 4',
        r"network\[0\].block.attention.heads: 3",
    ),
    (
        'family = "transformer"\npreset = "gpt2"\nhead = {knd = "mse"}',
        r"network\[0\].head.knd.*'kind' .did you mean",
    ),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_complaints_have_the_path(text: str, words: str) -> None:
    shared = '[[network]]\ninput = "gaussian:8"\n' if "family" not in text else "[[network]]\n"
    with pytest.raises(vp.InputError, match=words):
        parse_study(shared + text)


def test_a_body_needs_an_input() -> None:
    with pytest.raises(vp.InputError, match=r"network\[0\].input: nothing"):
        parse_study('[[network]]\nbody = ["relu"]')


def test_functions_of_a_module_are_named_and_others_refused() -> None:
    study = vp.Study("one", [vp.Network(X, [ops.dense(3), np.arcsinh])])
    assert parse_study(vp.write_study(study), code=True).digest() == study.digest()
    with pytest.raises(vp.InputError, match="body"):
        parse_study(vp.write_study(study))
    own = vp.Study("one", [vp.Network(X, [ops.dense(3), lambda z: np.tanh(2 * z)])])
    with pytest.raises(vp.InputError, match=r"body\[1\]"):
        vp.write_study(own)


def test_two_graphs_of_one_name_are_told_apart() -> None:
    study = vp.Study("two", [vp.Network(X, [ops.dense(n), "relu", ops.dense(2)]) for n in (3, 4)])
    assert [case.rpartition(" · ")[2] for case in study.cases] == ["35 parameters", "46 parameters"]


def test_every_number_of_a_preset_survives() -> None:
    text = vp.write_study(vp.Study("one", [vp.transformer(preset="gpt2", tokens=8)]))
    (network,) = parse_study(text).networks
    assert math.sqrt(0.5 / 12) in network.gains
