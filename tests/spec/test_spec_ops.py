"""Shapes and parameter counts of every op against the PyTorch module that does the same."""

from __future__ import annotations

import math

import pytest

import varprop as vp
from varprop import ops
from varprop.spec.ops import Shape
from varprop.spec.parts import builders

torch = pytest.importorskip("torch")
nn = torch.nn

IMAGE = Shape(6, (9, 8))


def output(module, shape: Shape) -> tuple[int, ...]:
    """Return the shape of one example after a module that takes features before positions."""
    return tuple(module(torch.zeros(2, shape.features, *shape.positions)).shape[1:])


def count(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


CONVOLUTIONS = [
    ({"kernel": 3, "padding": 1}, {}),
    ({"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0)}, {}),
    ({"kernel": 3, "padding": "same", "dilation": 2}, {}),
    ({"kernel": 2, "stride": 2, "padding": 0, "groups": 3}, {}),
    ({"kernel": 3, "padding": 2, "dilation": (1, 2), "bias": False}, {}),
    ({"kernel": 4, "stride": 2, "padding": 1}, {"transposed": True}),
    ({"kernel": (3, 4), "stride": 3, "padding": 0, "groups": 2, "bias": False}, {"transposed": True}),
]


@pytest.mark.parametrize(("arguments", "own"), CONVOLUTIONS)
def test_convolutions(arguments: dict, own: dict) -> None:
    module = {True: nn.ConvTranspose2d, False: nn.Conv2d}[own.get("transposed", False)](
        IMAGE.features, 12, arguments["kernel"], **{k: v for k, v in arguments.items() if k != "kernel"}
    )
    made = ops.conv(12, **arguments, **own)
    after = made.shape(IMAGE)
    assert (after.features, *after.positions) == output(module, IMAGE)
    if not own:
        assert made.parameters(IMAGE) == count(module)
        assert made.fans(IMAGE)[0] == math.prod(module.weight.shape[1:])


@pytest.mark.parametrize("positions", [(7,), (5, 4), (3, 4, 5)])
def test_convolutions_in_any_number_of_dimensions(positions: tuple[int, ...]) -> None:
    shape = Shape(2, positions)
    module = getattr(nn, f"Conv{len(positions)}d")(2, 4, 3, 2, 1)
    after = ops.conv(4, 3, stride=2, padding=1).shape(shape)
    assert (after.features, *after.positions) == output(module, shape)


@pytest.mark.parametrize(
    ("made", "module"),
    [
        (ops.max_pool(), nn.MaxPool2d(2)),
        (ops.max_pool(3, 2, 1), nn.MaxPool2d(3, 2, 1)),
        (ops.max_pool((2, 3), 1), nn.MaxPool2d((2, 3), 1)),
        (ops.mean_pool(2), nn.AvgPool2d(2)),
        (ops.mean_pool((3, 2), (1, 2)), nn.AvgPool2d((3, 2), (1, 2))),
        (ops.batch_norm(), nn.BatchNorm2d(6)),
        (ops.group_norm(3), nn.GroupNorm(3, 6)),
        (ops.flatten(), nn.Flatten()),
        (ops.dropout(0.3), nn.Dropout(0.3)),
    ],
)
def test_ops_on_images(made, module) -> None:
    after = made.shape(IMAGE)
    assert (after.features, *after.positions) == output(module, IMAGE)
    assert made.parameters(IMAGE) == count(module)


@pytest.mark.parametrize(
    ("made", "module"),
    [
        (ops.dense(10), nn.Linear(6, 10)),
        (ops.dense(10, bias=False), nn.Linear(6, 10, bias=False)),
        (ops.layer_norm(), nn.LayerNorm(6)),
        (ops.rms_norm(), getattr(nn, "RMSNorm", lambda n: nn.LayerNorm(n, bias=False))(6)),
    ],
)
def test_ops_on_every_position(made, module) -> None:
    shape = Shape(6, (5,))
    after = made.shape(shape)
    assert (*after.positions, after.features) == tuple(module(torch.zeros(2, 5, 6)).shape[1:])
    assert made.parameters(shape) == count(module)


def test_tables_of_vectors() -> None:
    tokens, stream = Shape(1, (5,), vocabulary=11), Shape(6, (5,))
    assert ops.embedding(6).shape(tokens) == stream
    assert ops.embedding(6).parameters(tokens) == count(nn.Embedding(11, 6))
    assert (ops.positions().shape(stream), ops.positions().parameters(stream)) == (stream, 30)
    assert (ops.class_token().shape(IMAGE).positions, ops.class_token().parameters(IMAGE)) == ((73,), 6)
    assert ops.select(4).shape(stream) == Shape(6)
    height, width = IMAGE.positions
    assert ops.upsample((2, 3)).shape(IMAGE).positions == (2 * height, 3 * width)
    assert ops.transpose().shape(IMAGE) == Shape(72, (6,))
    assert ops.transpose((9, 8)).shape(Shape(72, (6,))) == IMAGE


@pytest.mark.parametrize("bias", [True, False])
def test_attention_has_the_parameters_of_torchs(bias: bool) -> None:
    network = vp.Network(vp.gaussian(8, 1), [ops.dense(16), ops.attention(4, bias=bias)])
    assert network.parameters - 16 * 9 == count(nn.MultiheadAttention(16, 4, bias=bias))


def test_grouped_heads_have_narrow_keys_and_values() -> None:
    graph = vp.Network(vp.tokens(3, 5), [ops.embedding(16), ops.attention(4, kv_heads=2)]).graph
    assert [n.shape.features for n in graph.nodes[2:7]] == [16, 8, 8, 16, 16]


def test_gate_residual_concatenate_and_multiply() -> None:
    x = vp.gaussian(6, 2)
    assert vp.Network(x, [ops.gate(10)]).parameters == 2 * count(nn.Linear(6, 10))
    assert vp.Network(x, [ops.concatenate("identity", ops.dense(4), [ops.dense(3), "relu"])]).widths[-1] == 13
    assert vp.Network(x, [ops.multiply("identity", [ops.dense(6), "sigmoid"])]).widths[-1] == 6
    stream = vp.Network(x, [ops.residual("relu", 0.5, ops.dense(6))]).graph.output
    assert stream.op.scales == (1.0, 0.5)


def test_no_builders_keyword_is_another_builders_name() -> None:
    """A table names exactly one builder, so its other keys must not be names of builders."""
    import inspect

    for name, builder in builders.items():
        _, *others = inspect.signature(builder).parameters or ("",)
        assert not set(others) & {*builders, "times"}, name


def test_every_builder_is_public() -> None:
    assert set(ops.__all__) == set(builders)


X = vp.gaussian(6, 2)
BAD = [
    (X, [], "body: nothing"),
    (X, 3, "body: int"),
    (X, "relu", "body: str"),
    (X, [3], r"body\[0\]: int"),
    (X, ["relo"], r"body\[0\]: 'relo'.*'relu' .did you mean"),
    (X, ["dens(width=3)"], "'dense' .did you mean"),
    (X, ["dense(widht=3)"], r"body\[0\].widht.*'width' .did you mean"),
    (X, ["dense"], r"body\[0\]: 'dense'.*dense\(width=…\)"),
    (X, ["dense(width=0)"], r"body\[0\].width: 0"),
    (X, ["flatten"], "at least one operation"),
    (X, [{}], r"body\[0\]: a table"),
    (X, [{"dense": 3, "relu": 1}], r"body\[0\].relu"),
    (X, [{"dense": 3, "flatten": {}}], "dense and flatten"),
    (X, [{"dense": 3, 4: 5}], "names as keys"),
    (X, [{"residul": ["relu"]}], "'residual' .did you mean"),
    (X, [{"residual": ["relu", {"dense": 3, "gian": 2}]}], r"body\[0\].residual\[1\].gian"),
    (X, [{"residual": ["relu"], "scale": "x"}], r"body\[0\].scale"),
    (X, [{"residual": ["relu"], "shortcut": ["tnah"]}], r"body\[0\].shortcut\[0\]"),
    (X, [{"concatenate": ["relu"]}], "at least two"),
    (X, [{"concatenate": [["relu"], ["nope"]]}], r"body\[0\].concatenate\[1\]\[0\]"),
    (X, [{"multiply": ["relu", "tanh", "sin"]}], "two"),
    (X, [{"sequence": "relu"}], "a list of parts"),
    (X, [{"dense": 3, "times": 0}], r"body\[0\].times"),
    (X, [{"dense": 3, "times": 10**9}], r"body\[0\].times"),
    (X, [{"dense": 3, "times": 90000}, {"dense": 3, "times": 90000}], "1 to 100000 parts"),
    (X, [{"attention": 4, "causal": "no"}], "true or false"),
    (X, [{"attention": 4, "output": {"gian": 1}}], r"output.gian.*'gain' .did you mean"),
    (X, [{"attention": 4, "kv_heads": 3}], "a divisor of 4 heads"),
    (X, [{"attention": 4}], "a divisor of the width 6"),
    (X, [{"residual": [{"dense": 5}]}], "residual.stream.add: an input of 6 and one of 5"),
    (X, [{"conv": 3}], "an image or a sequence"),
    (X, [{"group_norm": 4}], "a multiple of groups = 4"),
    (X, [{"dense": 3, "bias": False, "biases": "ones"}], "no law of biases"),
    (X, [{"unembedding": 3}], "exactly one to be tied to"),
    (vp.tokens(3, 5), ["relu"], "tokens.*embed the tokens first"),
    (vp.tokens(3, 5), ["flatten"], "tokens.*embed the tokens first"),
    (vp.tokens(3, 5), [{"embedding": 4}, {"select": 3}], "position: 3"),
    (vp.images(1, 4, 4), [{"max_pool": 2, "padding": 2}], "at most half of the window"),
    (vp.images(1, 4, 4), [{"mean_pool": [2, 0]}], "window: 0"),
    (vp.images(1, 4, 4), [{"mean_pool": 5}], "at least one window"),
    (vp.images(1, 4, 4), [{"transpose": [3]}], "1 features"),
]


@pytest.mark.parametrize(("data", "body", "words"), BAD)
def test_bad_bodies_are_refused_with_their_path(data, body, words: str) -> None:
    with pytest.raises(vp.InputError, match=words):
        vp.Network(data, body)


def test_parts_within_parts_without_end_are_refused() -> None:
    listed: list = ["relu"]
    block = ops.residual("relu")
    wide = ops.sequence("relu")
    for _ in range(3000):
        listed, block = [listed], ops.residual(block)
    for _ in range(70):
        wide = ops.sequence(wide, wide)
    for body in (listed, [block], [wide]):
        with pytest.raises(vp.InputError, match=r"^body.*(levels|fewer)"):
            vp.Network(X, body)
