"""Families for images: residual networks, and the MLP-Mixer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from varprop._validation import InputError, check_flag, check_integer, check_one_of, described
from varprop.activations import Activation
from varprop.spec.builders import (
    batch_norm,
    conv,
    dense,
    group_norm,
    layer_norm,
    max_pool,
    mean_pool,
    transpose,
)
from varprop.spec.graph import Part
from varprop.spec.heads import Head
from varprop.spec.inputs import Input
from varprop.spec.networks import Network
from varprop.spec.parts import as_part, residual, sequence
from varprop.spec.shorthand import as_head, parse_input
from varprop.spec.tokens_and_images import images
from varprop.spec.transformers import families
from varprop.spec.widths import DEEPEST, check_width

_IMAGENET = {
    18: (False, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
    101: (True, (3, 4, 23, 3)),
    152: (True, (3, 8, 36, 3)),
}
"""Whether blocks are bottlenecks, and their numbers, by depth (He et al. 2016, table 1)."""

_NORMS = ("batch", "group", "none")


@families.register("resnet")
def resnet(
    depth: int | None = None,
    *,
    blocks: Sequence[int] | None = None,
    widths: Sequence[int] | None = None,
    bottleneck: bool | None = None,
    stem: str | None = None,
    norm: str = "batch",
    activation: str | Activation | Callable[[Any], Any] = "relu",
    weights: Any = "he_normal(mode=fan_out)",
    output_weights: Any = "torch.linear_default",
    residual_scale: float = 1.0,
    zero_init: bool = False,
    classes: int | None = None,
    image: int | None = None,
    channels: int | None = None,
    head: Head | str = "softmax_ce",
    targets: Any = None,
    batch: int | None = None,
    seed: int | None = None,
    input: Input | str | None = None,
    name: str = "",
) -> Network:
    """Return a residual network (He et al. 2016): a stem, stages of blocks, mean over positions, a dense layer.

    Parameters
    ----------
    depth : int, optional
        18, 34, 50, 101 or 152 for images of ImageNet's size; 20, 32, 44, 56, 110, … = 6 m + 2 for CIFAR's: a 3 × 3 stem
        of 16 channels and three stages of m blocks with 16, 32 and 64.
    blocks, widths : sequence of int, optional
        Instead of `depth`: blocks of each stage, and their channels (by default 64, 128, …). Every stage but the first
        halves the image.
    bottleneck : bool, optional
        Whether a block is 1 × 1, 3 × 3, 1 × 1 to four times the width (the stride lies in the middle, as in
        torchvision) instead of two 3 × 3; from `depth`, or false.
    stem : {"imagenet", "cifar"}, optional
        7 × 7 with stride 2 and a max pool, or 3 × 3; from `depth`, or ``cifar``.
    norm : {"batch", "group", "none"}
        After every convolution; ``none`` gives the convolutions biases.
    activation : str, Activation or callable
        After every normalization but the last of a branch, and after every sum.
    weights, output_weights : initializers
        Of the convolutions and of the dense layer. The defaults are torchvision's.
    residual_scale : float
        Factor on every branch.
    zero_init : bool
        Whether every branch ends in a normalization whose factors start at 0 (Goyal et al. 2017, 5.1): the branch is
        multiplied by 0.
    classes, image, channels : int
        Outputs, height and width of the images, and their channels. By default 1000, 224 and 3, or 10, 32 and 3 for the
        ``cifar`` stem.
    head, targets
        See `Head`; ``softmax_ce`` without targets or labels draws targets uniformly with every network.
    batch, seed
        Of the images: see `varprop.images`. By default 8, since a BatchNorm of one image says little.
    input : Input or str, optional
        Images, instead of made ones.
    name : str
        The case's name; ``resnet18`` and so on by default, if `depth` is given.

    Raises
    ------
    InputError
        Arguments out of range or that do not fit each other or the input.

    Notes
    -----
    Where width or size change the shortcut is a 1 × 1 convolution with stride and normalization (option B of the
    paper). For CIFAR the paper takes shortcuts without parameters, which pad channels with zeros: there is no op for
    them, so that ResNet-20 has 272,474 parameters here instead of 269,722.

    Examples
    --------
    >>> f"{resnet(18).parameters:,}", f"{resnet(50).parameters:,}", f"{resnet(20).parameters:,}"
    ('11,689,512', '25,557,032', '272,474')
    >>> [node.name for node in resnet(20, batch=2).graph.nodes[4:9]]
    ['stage1.block1.residual.conv1', 'stage1.block1.residual.batch_norm1', 'stage1.block1.residual.relu',
    'stage1.block1.residual.conv2', 'stage1.block1.residual.batch_norm2']
    """
    large, counts, sizes, narrow = _plan(depth, blocks, widths, bottleneck, stem)
    size = (224 if large else 32) if image is None else image
    data = _image_data(input, channels=channels, image=size, batch=batch, seed=seed)
    outputs = check_width("classes", (1000 if large else 10) if classes is None else classes)
    scale = 0.0 if check_flag("zero_init", zero_init) else residual_scale
    make = _Residuals(check_one_of("norm", norm, _NORMS), as_part(activation, "activation"), weights, scale)
    body = [*make.stem(sizes[0], large), *make.stages(counts, sizes, narrow)]
    body += [mean_pool(), dense(outputs, output_weights)]
    known = f"resnet{depth}" if depth is not None else ""
    return Network(data, body, as_head(head, targets), name or known)


def _plan(
    depth: Any, blocks: Any, widths: Any, bottleneck: bool | None, stem: str | None
) -> tuple[bool, tuple[int, ...], tuple[int, ...], bool]:
    """Return whether the stem is the large one, blocks and widths of the stages, whether blocks are bottlenecks."""
    if (depth is None) == (blocks is None):
        raise InputError("depth", depth, "either a depth or blocks")
    large, narrow = False, False
    counts: tuple[int, ...] = ()
    sizes: tuple[int, ...] | None = None
    if depth is not None:
        depth = check_integer("depth", depth, minimum=1, maximum=DEEPEST)
        third, rest = divmod(depth - 2, 6)
        if depth in _IMAGENET:
            large, (narrow, counts) = True, _IMAGENET[depth]
        elif rest or not third:
            raise InputError("depth", depth, f"one of {', '.join(map(str, _IMAGENET))}, or 6 m + 2")
        else:
            counts, sizes = (third,) * 3, (16, 32, 64)
    else:
        counts = _whole_numbers("blocks", blocks)
    if widths is not None:
        sizes = _whole_numbers("widths", widths)
    if sizes is None:
        sizes = tuple(check_width("widths", 64 << stage) for stage in range(len(counts)))
    if len(sizes) != len(counts):
        raise InputError("widths", list(sizes), f"one width for each of {len(counts)} stages")
    if stem is not None:
        large = check_one_of("stem", stem, ("imagenet", "cifar")) == "imagenet"
    return large, counts, sizes, narrow if bottleneck is None else check_flag("bottleneck", bottleneck)


def _whole_numbers(field: str, given: Any) -> tuple[int, ...]:
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= 20:
        raise InputError(field, given, "a list of 1 to 20 whole numbers")
    return tuple(check_integer(f"{field}[{i}]", n, minimum=1, maximum=DEEPEST) for i, n in enumerate(given))


@dataclass(frozen=True)
class _Residuals:
    """What the blocks of a ResNet have in common."""

    norm: str
    activation: Part
    weights: Any
    scale: float

    def stem(self, width: int, large: bool) -> list[Any]:
        """Return the parts before the first stage."""
        if not large:
            return [*self._conv(width, 3), self.activation]
        return [*self._conv(width, 7, 2), self.activation, max_pool(3, 2, 1)]

    def stages(self, counts: Sequence[int], sizes: Sequence[int], narrow: bool) -> list[Any]:
        """Return the stages."""
        made, before = [], sizes[0]
        for stage, (count, width) in enumerate(zip(counts, sizes, strict=True)):
            after = 4 * width if narrow else width
            stride = 2 if stage else 1
            first = self._block(width, after, stride, narrow, stride > 1 or before != after)
            others = [self._block(width, after, 1, narrow, False)] * (count - 1)
            made.append(sequence(first, *others, name="stage"))
            before = after
        return made

    def _block(self, width: int, after: int, stride: int, narrow: bool, shortcut: bool) -> Part:
        if narrow:
            branch = [
                *self._conv(width, 1),
                self.activation,
                *self._conv(width, 3, stride),
                self.activation,
                *self._conv(after, 1),
            ]
        else:
            branch = [*self._conv(width, 3, stride), self.activation, *self._conv(after, 3)]
        short = self._conv(after, 1, stride) if shortcut else None
        return sequence(residual(branch, self.scale, short), self.activation, name="block")

    def _conv(self, width: int, kernel: int, stride: int = 1) -> list[Any]:
        bare = self.norm == "none"
        made = conv(width, kernel, stride, padding=kernel // 2, weights=self.weights, bias=bare)
        if bare:
            return [made]
        return [made, batch_norm() if self.norm == "batch" else group_norm(math.gcd(32, width))]


def _image_data(input: Input | str | None, *, channels: Any, image: Any, batch: Any, seed: Any) -> Input:
    """Return the images given, or made ones."""
    if input is not None:
        if batch is not None or seed is not None:
            raise InputError("batch", batch, "nothing beside an input, which says it itself")
        data = parse_input(input) if isinstance(input, str) else input
        if not isinstance(data, Input):
            raise InputError("input", described(type(data).__name__), "an Input")
        if len(data.positions) != 2:
            raise InputError("input", described(data.name), "images")
        return data
    made = {"batch": 8 if batch is None else batch, "seed": 0 if seed is None else seed}
    return images(3 if channels is None else channels, image, image, **made)


@families.register("mlp_mixer")
def mlp_mixer(
    depth: int = 8,
    width: int = 512,
    *,
    token_width: int | None = None,
    channel_width: int | None = None,
    patch: int = 16,
    activation: str | Activation | Callable[[Any], Any] = "gelu",
    weights: Any = "lecun_normal",
    eps: float = 1e-6,
    classes: int = 1000,
    image: int = 224,
    channels: int | None = None,
    head: Head | str = "softmax_ce",
    targets: Any = None,
    batch: int | None = None,
    seed: int | None = None,
    input: Input | str | None = None,
    name: str = "",
) -> Network:
    """Return an MLP-Mixer (Tolstikhin et al. 2021): MLPs over positions and over features in turn.

    Parameters
    ----------
    depth, width : int
        Blocks and features n; the defaults make Mixer-S/16, 12 and 768 Mixer-B/16.
    token_width, channel_width : int, optional
        Hidden features of the MLP over positions and of the one over features; n / 2 and 4 n by default.
    patch : int
        Side of the patches that become positions.
    activation : str, Activation or callable
        Of both MLPs.
    weights : initializer
        Of all maps; the default, variance 1/fan_in, is Flax's without its truncation. (The paper starts the output
        layer at zero, where no gradient leaves it.)
    eps : float
        Of the normalizations.
    classes, image, channels : int
        Outputs; height and width of the images, and their channels (3 by default).
    head, targets
        See `Head`; ``softmax_ce`` without targets or labels draws targets uniformly with every network.
    batch, seed
        Of the images: see `varprop.images`.
    input : Input or str, optional
        Images, instead of made ones.
    name : str
        The case's name.

    Raises
    ------
    InputError
        Arguments out of range or that do not fit each other or the input.

    Notes
    -----
    A block is x + (MLP (LN x)ᵀ)ᵀ, then x + MLP (LN x); after the last a normalization, the mean over positions and a
    dense layer.

    Examples
    --------
    >>> f"{mlp_mixer().parameters:,}", f"{mlp_mixer(12, 768).parameters:,}"
    ('18,528,264', '59,880,472')
    """
    depth = check_integer("depth", depth, minimum=1, maximum=DEEPEST)
    width, patch = check_width("width", width), check_width("patch", patch)
    data = _image_data(
        input,
        channels=channels,
        image=image,
        batch=1 if batch is None and input is None else batch,
        seed=seed,
    )
    phi = as_part(activation, "activation")
    stem = conv(width, patch, stride=patch, padding=0, weights=weights)
    grid = stem.shape(data.shape).positions
    across = dense(max(1, width // 2) if token_width is None else token_width, weights)
    along = dense(4 * width if channel_width is None else channel_width, weights)
    mixing = [transpose(), across, phi, dense(math.prod(grid), weights), transpose(grid)]
    block = sequence(
        residual([layer_norm(eps), *mixing], name="tokens"),
        residual([layer_norm(eps), along, phi, dense(width, weights)], name="channels"),
        name="block",
    )
    body = [stem, *[block] * depth, layer_norm(eps), mean_pool(), dense(classes, weights)]
    return Network(data, body, as_head(head, targets), name)
