"""Builders of single ops, one for each, under the names that TOML and the command line use.

Shapes are features × positions of one example: ``n`` for a vector, ``n × T`` for a sequence, ``n × H × W`` for an
image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from varprop.activations import Activation
from varprop.spec.layers import Layer
from varprop.spec.ops import (
    Activate,
    Add,
    BatchNorm,
    ClassToken,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    LayerNorm,
    MaxPool,
    MeanPool,
    Positions,
    RMSNorm,
    Select,
    Transpose,
    Unembedding,
    Upsample,
)
from varprop.spec.parts import builders

Axes = int | tuple[int, ...]


@builders.register("dense")
def dense(
    width: int, weights: Any = "glorot_normal", biases: Any = None, gain: float = 1.0, bias: bool = True
) -> Dense:
    """Return W h + b at every position: ``n × positions`` becomes ``width × positions``.

    Parameters
    ----------
    width : int
        Features of the output.
    weights, biases : str, Initializer or a law of your own
        W has shape (width, n); without `biases` those that belong to the weights, or zeros.
    gain : float
        Factor on every weight.
    bias : bool
        Whether there are biases.

    Examples
    --------
    >>> dense(64, "he_normal", bias=False).biases.name
    'zeros'
    """
    return Dense(width, weights, biases, gain, bias)


@builders.register("layer")
def layer(
    width: int,
    activation: str | Activation | Callable[[Any], Any] = "linear",
    weights: Any = "glorot_normal",
    biases: Any = None,
    gain: float = 1.0,
) -> Layer:
    """Return a dense map with its activation, as chains consist of: see `varprop.Layer`.

    Examples
    --------
    >>> layer(30, "relu", "he_normal").width
    30
    """
    return Layer(width, activation, weights, biases, gain)


@builders.register("conv")
def conv(
    channels: int,
    kernel: Axes = 3,
    stride: Axes = 1,
    padding: Axes | str = "same",
    dilation: Axes = 1,
    groups: int = 1,
    transposed: bool = False,
    weights: Any = "he_normal",
    biases: Any = None,
    gain: float = 1.0,
    bias: bool = True,
) -> Convolution:
    """Return a convolution: ``n × H × W`` becomes ``channels × H' × W'`` (or ``n × T`` in one dimension).

    Parameters
    ----------
    channels : int
        Features of the output.
    kernel, stride, dilation : int or tuple of int
        One number for all axes, or one for each.
    padding : int, tuple of int or "same"
        Zeros on both sides of each axis.
    groups : int
        Into how many independent maps the features are split; n of them make it depthwise.
    transposed : bool
        Whether windows are written instead of read; then the stride makes the output larger.
    weights, biases, gain, bias
        As for `dense`; fan_in is n / groups times the size of the kernel.

    Examples
    --------
    >>> from varprop.spec.ops import Shape
    >>> conv(16, 3, stride=2, padding=1).shape(Shape(3, (32, 32))).text
    '16 × 16 × 16'
    """
    return Convolution(
        channels,
        kernel,
        stride,
        padding,
        dilation,
        groups,
        transposed,
        weights=weights,
        biases=biases,
        gain=gain,
        bias=bias,
    )


@builders.register("embedding")
def embedding(width: int, weights: Any = "normal(std=0.02)") -> Embedding:
    """Return a table with a vector for each token: T tokens become ``width × T``.

    Examples
    --------
    >>> from varprop.spec.ops import Shape
    >>> embedding(64).parameters(Shape(1, (16,), vocabulary=1000))
    64000
    """
    return Embedding(width, weights)


@builders.register("positions")
def positions(weights: Any = "normal(std=0.02)") -> Positions:
    """Return what adds a trainable vector of its own to each position: ``n × T`` stays.

    Examples
    --------
    >>> from varprop.spec.ops import Shape
    >>> positions("normal(std=0.01)").parameters(Shape(64, (16,)))
    1024
    """
    return Positions(weights)


@builders.register("class_token")
def class_token(weights: Any = "normal(std=0.02)") -> ClassToken:
    """Return what puts one trainable position before all others: ``n × T`` becomes ``n × (T + 1)``.

    Examples
    --------
    >>> from varprop.spec.ops import Shape
    >>> class_token("zeros").shape(Shape(64, (14, 14))).text
    '64 × 197'
    """
    return ClassToken(weights)


@builders.register("unembedding")
def unembedding(vocabulary: int) -> Unembedding:
    """Return the output map tied to the network's embedding: ``n × T`` becomes ``vocabulary × T``.

    Examples
    --------
    >>> unembedding(50257).vocabulary
    50257
    """
    return Unembedding(vocabulary)


@builders.register("activate")
def activate(activation: str | Activation | Callable[[Any], Any]) -> Activate:
    """Return an activation, entry by entry; in a list of parts its name alone says the same.

    Examples
    --------
    >>> activate("leaky_relu(slope=0.2)").activation.name
    'leaky_relu(slope=0.2)'
    """
    return Activate(activation)


@builders.register("scaled")
def scaled(factor: float) -> Add:
    """Return the multiplication of every number by one factor: any shape stays.

    Examples
    --------
    >>> scaled(0.5).scales
    (0.5,)
    """
    return Add((factor,))


@builders.register("layer_norm")
def layer_norm(eps: float = 1e-5) -> LayerNorm:
    """Return layer normalization over the features of each position (Ba et al. 2016); factors 1, shifts 0.

    Examples
    --------
    >>> layer_norm().eps
    1e-05
    """
    return LayerNorm(eps)


@builders.register("rms_norm")
def rms_norm(eps: float = 1e-6) -> RMSNorm:
    """Return the division by the root mean square of each position's features (Zhang and Sennrich 2019).

    Examples
    --------
    >>> from varprop.spec.ops import Shape
    >>> rms_norm().parameters(Shape(64, (16,)))
    64
    """
    return RMSNorm(eps)


@builders.register("batch_norm")
def batch_norm(eps: float = 1e-5) -> BatchNorm:
    """Return the normalization of each feature over examples and positions, as in training (Ioffe and Szegedy 2015).

    Examples
    --------
    >>> batch_norm().kind
    'batch_norm'
    """
    return BatchNorm(eps)


@builders.register("group_norm")
def group_norm(groups: int = 32, eps: float = 1e-5) -> GroupNorm:
    """Return the normalization of groups of features over their positions (Wu and He 2018).

    Parameters
    ----------
    groups : int
        A divisor of the number of features.
    eps : float
        Added to the variance.

    Examples
    --------
    >>> group_norm(8).groups
    8
    """
    return GroupNorm(eps, groups)


@builders.register("mean_pool")
def mean_pool(window: Axes = 0, stride: Axes = 0) -> MeanPool:
    """Return the mean over windows, or over all positions: ``n × H × W`` becomes ``n × H' × W'``, or ``n``.

    Parameters
    ----------
    window : int or tuple of int
        All positions, if 0.
    stride : int or tuple of int
        The window, if 0.

    Examples
    --------
    >>> from varprop.spec.ops import Shape
    >>> mean_pool().shape(Shape(64, (8, 8))).text, mean_pool(2).shape(Shape(64, (8, 8))).text
    ('64', '64 × 4 × 4')
    """
    return MeanPool(window, stride)


@builders.register("max_pool")
def max_pool(window: Axes = 2, stride: Axes = 0, padding: int = 0) -> MaxPool:
    """Return the largest value of every window: ``n × H × W`` becomes ``n × H' × W'``.

    Parameters
    ----------
    window, stride : int or tuple of int
        As for `mean_pool`.
    padding : int
        Positions of minus infinity on both sides, at most half of the window.

    Examples
    --------
    >>> from varprop.spec.ops import Shape
    >>> max_pool(3, stride=2, padding=1).shape(Shape(64, (112, 112))).text
    '64 × 56 × 56'
    """
    return MaxPool(window, stride, padding)


@builders.register("upsample")
def upsample(factor: Axes = 2) -> Upsample:
    """Return nearest-neighbour interpolation: ``n × H × W`` becomes ``n × f H × f W``.

    Parameters
    ----------
    factor : int or tuple of int
        How often every position is repeated, one number for all axes or one for each.

    Examples
    --------
    >>> from varprop.spec.ops import Shape
    >>> upsample(2).shape(Shape(16, (4, 4))).text
    '16 × 8 × 8'
    """
    return Upsample(factor)


@builders.register("select")
def select(position: int = 0) -> Select:
    """Return one position of all: ``n × T`` becomes ``n``; 0 is the class token.

    Examples
    --------
    >>> select(0).position
    0
    """
    return Select(position)


@builders.register("flatten")
def flatten() -> Flatten:
    """Return the features of all positions as those of one vector: ``n × H × W`` becomes ``n H W``.

    Examples
    --------
    >>> from varprop.spec.ops import Shape
    >>> flatten().shape(Shape(16, (4, 4))).text
    '256'
    """
    return Flatten()


@builders.register("transpose")
def transpose(positions: tuple[int, ...] = ()) -> Transpose:
    """Return features as positions and positions as features: ``n × T`` becomes ``T × n`` (Tolstikhin et al. 2021).

    Parameters
    ----------
    positions : tuple of int
        How the positions of the output lie, for the way back to an image.

    Examples
    --------
    >>> from varprop.spec.ops import Shape
    >>> transpose().shape(Shape(64, (4, 4))).text
    '16 × 64'
    """
    return Transpose(positions)


@builders.register("dropout")
def dropout(rate: float = 0.1) -> Dropout:
    """Return dropout as in training: entries are 0 with probability `rate`, the others divided by 1 - rate.

    Examples
    --------
    >>> dropout(0.5).rate
    0.5
    """
    return Dropout(rate)
