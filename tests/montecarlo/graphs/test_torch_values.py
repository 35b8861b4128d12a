"""Every op against PyTorch's own, the same numbers in and out, and its vjp against PyTorch's autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional as F  # noqa: E402

from varprop.montecarlo.ops import Place, rule_of  # noqa: E402
from varprop.montecarlo.samplers.reductions import Columns  # noqa: E402

from .places import DRAWS, EXAMPLES, place_of, run, values  # noqa: E402

pytestmark = pytest.mark.torch


def images(x: Any, positions: tuple[int, ...]) -> Any:
    """Turn (features, B T) into PyTorch's (B, features, …)."""
    return x.reshape(len(x), EXAMPLES, *positions).swapaxes(0, 1)


def columns(y: Any) -> Any:
    """Turn (B, features, …) into (features, B T)."""
    return y.swapaxes(0, 1).reshape(y.shape[1], -1)


def heads(x: Any, positions: int, number: int) -> Any:
    """Turn (features, B T) into (B, heads, T, size)."""
    return x.reshape(number, -1, EXAMPLES, positions).permute(2, 0, 3, 1)


def attention(place: Place, saved: Any, q: Any, k: Any, v: Any) -> Any:
    op = place.op
    q, k, v = (
        heads(x, shape.count, n)
        for x, shape, n in zip((q, k, v), place.inputs, (op.heads, op.kv_heads, op.kv_heads), strict=True)
    )
    if op.rotary:
        q, k = turned(q), turned(k)
    k, v = (x.repeat_interleave(op.heads // op.kv_heads, dim=1) for x in (k, v))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=op.causal)
    return y.permute(1, 3, 0, 2).reshape(place.output.features, -1)


def turned(x: Any) -> Any:
    """Rotate the halves of every head as Hugging Face's Llama does."""
    size, positions = x.shape[3], x.shape[2]
    rates = 1.0 / 10000.0 ** (torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = torch.outer(torch.arange(positions, dtype=torch.float64), rates).repeat(1, 2)
    half = torch.cat([-x[..., size // 2 :], x[..., : size // 2]], dim=-1)
    return x * angles.cos() + half * angles.sin()


def convolution(place: Place, saved: Any, x: Any) -> Any:
    op, before = place.op, place.inputs[0]
    geometry = op.geometry(before.positions)
    # Draws come one by one, so the weights of this draw are put there by the test.
    weights = torch.from_numpy(saved)
    x = images(x, before.positions)
    padding = [pad[0] for pad in geometry["padding"]]
    assert all(one == two for one, two in geometry["padding"])
    own = {
        "stride": geometry["stride"],
        "dilation": geometry["dilation"],
        "padding": padding,
        "groups": op.groups,
    }
    number = len(before.positions)
    kernel = geometry["kernel"]
    if op.transposed:
        # Ours: (groups · channels/groups · window, in/groups); PyTorch's: (in, channels/groups, *kernel).
        w = weights.reshape(op.groups, op.channels // op.groups, -1, before.features // op.groups)
        w = w.permute(0, 3, 1, 2).reshape(before.features, op.channels // op.groups, *kernel)
        return columns((F.conv_transpose1d if number == 1 else F.conv_transpose2d)(x, w, **own))
    w = weights.reshape(op.channels, before.features // op.groups, *kernel)
    return columns((F.conv1d if number == 1 else F.conv2d)(x, w, **own))


def norm(kind: Callable[..., Any]) -> Callable[..., Any]:
    return lambda place, saved, x: columns(kind(place, images(x, place.inputs[0].positions)))


def layer(place: Place, x: Any) -> Any:
    return F.layer_norm(x.movedim(1, -1), (x.shape[1],), eps=place.op.eps).movedim(-1, 1)


def batch(place: Place, x: Any) -> Any:
    return F.batch_norm(x, None, None, training=True, eps=place.op.eps)


def group(place: Place, x: Any) -> Any:
    return F.group_norm(x, place.op.groups, eps=place.op.eps)


def rms(place: Place, x: Any) -> Any:
    return x / torch.sqrt((x * x).mean(dim=1, keepdim=True) + place.op.eps)


def pool(place: Place, saved: Any, x: Any) -> Any:
    op, before = place.op, place.inputs[0]
    x = images(x, before.positions)
    kind = op.kind.removesuffix("_pool")
    if not op.window:
        flat = x.flatten(2)
        return columns(flat.amax(2, keepdim=True) if kind == "max" else flat.mean(2, keepdim=True))
    found = op.geometry(before.positions)
    own = {"kernel_size": found["kernel"], "stride": found["stride"], "padding": found["padding"][0][0]}
    return columns((F.max_pool2d if kind == "max" else F.avg_pool2d)(x, **own))


CASES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("attend", "attend causal", "attend grouped", "attend rotary"), attention),
    **dict.fromkeys(("conv", "conv strided", "conv depthwise", "conv one axis"), convolution),
    **dict.fromkeys(("conv transposed", "conv transposed grouped"), convolution),
    "layer norm": norm(layer),
    "batch norm": norm(batch),
    "group norm": norm(group),
    "rms norm": norm(rms),
    **dict.fromkeys(("mean pool", "mean pool windows"), pool),
    **dict.fromkeys(("max pool", "max pool overlapping", "max pool of all"), pool),
    "gelu": lambda place, saved, x: F.gelu(x),
    "flatten": lambda place, saved, x: images(x, place.inputs[0].positions).flatten(1).T,
    "transpose": lambda place, saved, x: columns(images(x, place.inputs[0].positions).swapaxes(1, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_pytorch(name: str) -> None:
    place = place_of(name)
    inputs = values(place)
    output, saved, context = run(place, inputs)
    c = np.random.default_rng(2).standard_normal(output.shape)
    parts = rule_of(place.op).vjp(place, saved, Columns(c), context)
    for draw in range(DRAWS):
        theirs = [torch.from_numpy(x[draw].copy()).requires_grad_() for x in inputs]
        known = saved
        if place.op.kind == "conv":
            known = saved.linear.weights.reshape(DRAWS, place.op.groups, -1, saved.columns.array.shape[1])[
                draw
            ]
        y = CASES[name](place, known, *theirs)
        np.testing.assert_allclose(output[draw], y.detach().numpy(), rtol=1e-10, atol=1e-12)
        (y * torch.from_numpy(c[draw])).sum().backward()
        for part, x in zip(parts, theirs, strict=True):
            np.testing.assert_allclose(part[draw], x.grad.numpy(), rtol=1e-9, atol=1e-11)
