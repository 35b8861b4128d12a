"""Ops: the primitive operations of which a network's graph consists, as small frozen data.

Values have positions (none for a vector, T for tokens, H × W for images) and features at every position. All
examples and positions stand side by side as the columns of one matrix, features being its rows: column ``b T + t`` is
position t of example b. An op says what it makes of the shapes of its inputs and, if it multiplies by weights, under
which laws; how it acts on numbers and on laws is said by the engine and by the theory, in one file per op.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from varprop._validation import InputError, check_flag, check_integer, check_real, described
from varprop.activations import Activation, activation
from varprop.initializers import Initializer, Law, bias_of, initializer
from varprop.spec._gains import with_gain
from varprop.spec.widths import WIDEST, check_width


@dataclass(frozen=True)
class Shape:
    """Shape of one example's value.

    Attributes
    ----------
    features : int
        Numbers at every position (1 for whole numbers that name tokens).
    positions : tuple of int
        ``()`` for a vector, ``(T,)`` for tokens, ``(H, W)`` for images.
    vocabulary : int
        How many tokens there are, if the value consists of them; 0 for real numbers.

    Examples
    --------
    >>> Shape(3, (32, 32)).count, Shape(3, (32, 32)).text
    (1024, '3 × 32 × 32')
    """

    features: int
    positions: tuple[int, ...] = ()
    vocabulary: int = 0

    @property
    def count(self) -> int:
        """Number of positions, 1 for a vector."""
        return math.prod(self.positions)

    @property
    def text(self) -> str:
        """The shape in words."""
        if self.vocabulary:
            return f"{self.count} tokens of {self.vocabulary}"
        return " × ".join(str(n) for n in (self.features, *self.positions))


@dataclass(frozen=True)
class Op:
    """One operation on the values of other nodes."""

    kind: ClassVar[str] = ""
    """Its name in tables, TOML and on the command line."""
    arity: ClassVar[int] = 1
    """How many inputs it takes; 0 for any number."""

    def shape(self, *inputs: Shape) -> Shape:
        """Return the shape of the output.

        Raises
        ------
        InputError
            If the op cannot take such inputs.
        """
        return inputs[0]

    def parameters(self, *inputs: Shape) -> int:
        """Return the number of trainable numbers."""
        return 0

    def content(self) -> dict[str, Any]:
        """Return the op as plain data, for digests: what has no registered name, by what it does."""
        plain: dict[str, Any] = {"op": self.kind}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Activation | Initializer):
                plain[item.name] = value.name
                if value.origin is not None:
                    plain[f"{item.name}_code"] = value.origin.digest()
            else:
                plain[item.name] = list(value) if isinstance(value, tuple) else value
        return plain

    def refuse(self, found: str, allowed: str) -> InputError:
        """Return the complaint that an input does not fit."""
        return InputError(self.kind, described(f"an input of {found}"), allowed)


@dataclass(frozen=True)
class Weighted(Op):
    """An op that multiplies by a random weight matrix, once per position.

    Attributes
    ----------
    weights, biases : Initializer
    gain : float
        Factor on every weight.
    bias : bool
        Whether there are biases at all; without them their law is that of zeros.
    """

    weights: Initializer
    biases: Initializer
    gain: float
    bias: bool

    def fans(self, *inputs: Shape) -> tuple[int, int]:
        """Return (fan_in, fan_out) as initializers count them."""
        raise NotImplementedError

    def weight_law(self, *inputs: Shape) -> Law:
        """Return the law of one weight, the gain included."""
        return with_gain(self.weights.law(*self.fans(*inputs)), self.gain)

    def bias_law(self, *inputs: Shape) -> Law:
        """Return the law of one bias."""
        return self.biases.law(*self.fans(*inputs))


def _laws(weights: Any, biases: Any, gain: float, bias: bool) -> dict[str, Any]:
    own = initializer(weights, "weights")
    bias = check_flag("bias", bias)
    if not bias and biases is not None and initializer(biases, "biases") != initializer("zeros"):
        raise InputError("biases", biases, "no law of biases where bias is false")
    other = initializer(biases, "biases") if biases is not None else bias_of(own) if bias else None
    return {
        "weights": own,
        "biases": initializer("zeros", field="biases") if other is None else other,
        "gain": check_real("gain", gain, minimum=0.0, maximum=1e6, exclusive=True),
        "bias": bias,
    }


def _set(op: Op, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(op, name, value)


@dataclass(frozen=True, init=False)
class Dense(Weighted):
    """W h + b at every position, weights of shape (width, features).

    Examples
    --------
    >>> Dense(64, "he_normal").shape(Shape(32, (8,)))
    Shape(features=64, positions=(8,), vocabulary=0)
    """

    kind: ClassVar[str] = "dense"
    width: int

    def __init__(
        self,
        width: int,
        weights: Any = "glorot_normal",
        biases: Any = None,
        gain: float = 1.0,
        bias: bool = True,
    ) -> None:
        _set(self, width=check_width("width", width), **_laws(weights, biases, gain, bias))

    def fans(self, *inputs: Shape) -> tuple[int, int]:
        return inputs[0].features, self.width

    def shape(self, *inputs: Shape) -> Shape:
        return Shape(self.width, inputs[0].positions)

    def parameters(self, *inputs: Shape) -> int:
        return self.width * (inputs[0].features + self.bias)


@dataclass(frozen=True, init=False)
class Convolution(Weighted):
    """A convolution over all positions' axes, or its transpose.

    Parameters
    ----------
    channels : int
        Features of the output.
    kernel, stride, dilation : int or tuple of int
        One number for all axes, or one for each.
    padding : int, tuple of int or "same"
        Zeros on both sides of each axis; ``same`` keeps the size under stride 1.
    groups : int
        Into how many independent maps the features are split.
    transposed : bool
        Whether windows are written instead of read; then the stride makes the output larger.

    Examples
    --------
    >>> Convolution(16, 3, stride=2, padding=1).shape(Shape(3, (32, 32))).text
    '16 × 16 × 16'
    """

    kind: ClassVar[str] = "conv"
    channels: int
    kernel: int | tuple[int, ...]
    stride: int | tuple[int, ...]
    padding: int | str | tuple[int, ...]
    dilation: int | tuple[int, ...]
    groups: int
    transposed: bool

    def __init__(
        self,
        channels: int,
        kernel: int | tuple[int, ...] = 3,
        stride: int | tuple[int, ...] = 1,
        padding: int | str | tuple[int, ...] = "same",
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        transposed: bool = False,
        weights: Any = "he_normal",
        biases: Any = None,
        gain: float = 1.0,
        bias: bool = True,
    ) -> None:
        groups = check_integer("groups", groups, minimum=1, maximum=WIDEST)
        channels = check_width("channels", channels)
        if channels % groups:
            raise InputError("channels", channels, f"a multiple of groups = {groups}")
        _set(
            self,
            channels=channels,
            kernel=_axes("kernel", kernel, 1),
            stride=_axes("stride", stride, 1),
            padding="same"
            if isinstance(padding, str) and padding == "same"
            else _axes("padding", padding, 0),
            dilation=_axes("dilation", dilation, 1),
            groups=groups,
            transposed=check_flag("transposed", transposed),
            **_laws(weights, biases, gain, bias),
        )

    def geometry(self, positions: tuple[int, ...]) -> dict[str, tuple[Any, ...]]:
        """Return ``kernel``, ``stride``, ``dilation`` (one number an axis) and ``padding`` (a pair an axis)."""
        count = len(positions)
        kernel, stride, dilation = (
            _per_axis(name, getattr(self, name), count) for name in ("kernel", "stride", "dilation")
        )
        if self.padding == "same":
            whole = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
            padding = tuple((n // 2, n - n // 2) for n in whole)
        else:
            padding = tuple((n, n) for n in _per_axis("padding", self.padding, count))  # type: ignore[arg-type]
        return {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding}

    def fans(self, *inputs: Shape) -> tuple[int, int]:
        field_size = math.prod(_per_axis("kernel", self.kernel, len(inputs[0].positions)))
        return inputs[0].features // self.groups * field_size, self.channels * field_size

    def shape(self, *inputs: Shape) -> Shape:
        before = inputs[0]
        if not before.positions:
            raise self.refuse(before.text, "an image or a sequence of features")
        if before.features % self.groups:
            raise self.refuse(f"{before.features} features", f"a multiple of groups = {self.groups}")
        found = []
        for size, kernel, stride, dilation, pad in zip(
            before.positions, *self.geometry(before.positions).values(), strict=True
        ):
            reach = dilation * (kernel - 1) + 1
            if self.transposed:
                found.append((size - 1) * stride + reach - sum(pad))
            else:
                found.append((size + sum(pad) - reach) // stride + 1)
        if min(found) < 1:
            raise self.refuse(before.text, "positions for at least one window of the kernel")
        return Shape(self.channels, tuple(found))

    def parameters(self, *inputs: Shape) -> int:
        return self.channels * (self.fans(*inputs)[0] + self.bias)


@dataclass(frozen=True, init=False)
class Embedding(Op):
    """A table of vectors, one for each token: an input token picks its row.

    Examples
    --------
    >>> Embedding(64).shape(Shape(1, (16,), vocabulary=1000)).text
    '64 × 16'
    """

    kind: ClassVar[str] = "embedding"
    width: int
    weights: Initializer

    def __init__(self, width: int, weights: Any = "normal(std=0.02)") -> None:
        _set(self, width=check_width("width", width), weights=initializer(weights, "weights"))

    def shape(self, *inputs: Shape) -> Shape:
        if not inputs[0].vocabulary:
            raise self.refuse("numbers", "tokens")
        return Shape(self.width, inputs[0].positions)

    def weight_law(self, *inputs: Shape) -> Law:
        """Return the law of one entry; PyTorch counts fans of the table as of a (vocabulary, width) matrix."""
        return self.weights.law(self.width, inputs[0].vocabulary)

    def parameters(self, *inputs: Shape) -> int:
        return self.width * inputs[0].vocabulary


@dataclass(frozen=True, init=False)
class Positions(Op):
    """Add a vector of its own to every position, the same for all examples."""

    kind: ClassVar[str] = "positions"
    weights: Initializer

    def __init__(self, weights: Any = "normal(std=0.02)") -> None:
        _set(self, weights=initializer(weights, "weights"))

    def weight_law(self, *inputs: Shape) -> Law:
        """Return the law of one entry."""
        return self.weights.law(inputs[0].features, inputs[0].count)

    def parameters(self, *inputs: Shape) -> int:
        return inputs[0].features * inputs[0].count


@dataclass(frozen=True, init=False)
class ClassToken(Op):
    """Put one more position, a vector of its own, before all others; positions become a sequence."""

    kind: ClassVar[str] = "class_token"
    weights: Initializer

    def __init__(self, weights: Any = "normal(std=0.02)") -> None:
        _set(self, weights=initializer(weights, "weights"))

    def shape(self, *inputs: Shape) -> Shape:
        return Shape(inputs[0].features, (inputs[0].count + 1,))

    def weight_law(self, *inputs: Shape) -> Law:
        """Return the law of one entry."""
        return self.weights.law(inputs[0].features, 1)

    def parameters(self, *inputs: Shape) -> int:
        return inputs[0].features


@dataclass(frozen=True, init=False)
class Unembedding(Op):
    """Inner products with every row of the network's embedding: the tied output layer of a language model."""

    kind: ClassVar[str] = "unembedding"
    vocabulary: int

    def __init__(self, vocabulary: int) -> None:
        _set(self, vocabulary=check_width("vocabulary", vocabulary))

    def shape(self, *inputs: Shape) -> Shape:
        return Shape(self.vocabulary, inputs[0].positions)


@dataclass(frozen=True, init=False)
class Activate(Op):
    """phi, entry by entry."""

    kind: ClassVar[str] = "activate"
    activation: Activation

    def __init__(self, activation: str | Activation | Callable[[Any], Any]) -> None:
        _set(self, activation=_activation(activation))


def _activation(given: Any) -> Activation:
    if not (isinstance(given, str | Activation) or callable(given)):
        raise InputError("activation", given, "a name, an Activation or a function")
    return activation(given)


@dataclass(frozen=True)
class Norm(Op):
    """A normalization; its factors start at 1 and its shifts at 0.

    Attributes
    ----------
    eps : float
        Added to the variance, or to the mean square.
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        object.__setattr__(self, "eps", check_real("eps", self.eps, minimum=0.0, maximum=1e6))

    def parameters(self, *inputs: Shape) -> int:
        return 2 * inputs[0].features


@dataclass(frozen=True)
class LayerNorm(Norm):
    """Subtract the mean over features and divide by their standard deviation, position by position."""

    kind: ClassVar[str] = "layer_norm"


@dataclass(frozen=True)
class RMSNorm(Norm):
    """Divide by the root mean square over features, position by position."""

    kind: ClassVar[str] = "rms_norm"
    eps: float = 1e-6

    def parameters(self, *inputs: Shape) -> int:
        return inputs[0].features


@dataclass(frozen=True)
class BatchNorm(Norm):
    """Normalize each feature over examples and positions (as in training)."""

    kind: ClassVar[str] = "batch_norm"


@dataclass(frozen=True)
class GroupNorm(Norm):
    """Normalize groups of features over their positions, example by example."""

    kind: ClassVar[str] = "group_norm"
    groups: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "groups", check_integer("groups", self.groups, minimum=1, maximum=WIDEST))

    def shape(self, *inputs: Shape) -> Shape:
        if inputs[0].features % self.groups:
            raise self.refuse(f"{inputs[0].features} features", f"a multiple of groups = {self.groups}")
        return inputs[0]


@dataclass(frozen=True)
class Add(Op):
    """The sum of its inputs, each times a number.

    Examples
    --------
    >>> Add((1.0, 0.5)).shape(Shape(8), Shape(8))
    Shape(features=8, positions=(), vocabulary=0)
    """

    kind: ClassVar[str] = "add"
    arity: ClassVar[int] = 0
    scales: tuple[float, ...] = (1.0, 1.0)

    def __post_init__(self) -> None:
        scales = tuple(check_real("scale", s, minimum=-1e6, maximum=1e6) for s in self.scales)
        object.__setattr__(self, "scales", scales)

    def shape(self, *inputs: Shape) -> Shape:
        if len(inputs) != len(self.scales):
            raise InputError("add", described(f"{len(inputs)} inputs"), f"{len(self.scales)} inputs")
        _alike(self, inputs)
        return inputs[0]


@dataclass(frozen=True)
class Multiply(Op):
    """The product of two inputs, entry by entry."""

    kind: ClassVar[str] = "multiply"
    arity: ClassVar[int] = 2

    def shape(self, *inputs: Shape) -> Shape:
        _alike(self, inputs)
        return inputs[0]


def _alike(op: Op, inputs: tuple[Shape, ...]) -> None:
    other = next((shape for shape in inputs if shape != inputs[0]), None)
    if other is not None:
        raise op.refuse(f"{inputs[0].text} and one of {other.text}", "inputs of one shape")


@dataclass(frozen=True)
class Attend(Op):
    """Softmax attention of queries, keys and values (the three inputs); it has no weights of its own.

    Attributes
    ----------
    heads : int
        Of the queries.
    kv_heads : int
        Of keys and values; each serves ``heads / kv_heads`` query heads.
    causal : bool
        Whether a position sees only itself and those before it.
    rotary : bool
        Whether queries and keys are rotated by their position (Su et al. 2021, base 10000).
    """

    kind: ClassVar[str] = "attend"
    arity: ClassVar[int] = 3
    heads: int = 1
    kv_heads: int = 1
    causal: bool = False
    rotary: bool = False

    def __post_init__(self) -> None:
        heads = check_integer("heads", self.heads, minimum=1, maximum=WIDEST)
        kv_heads = check_integer("kv_heads", self.kv_heads, minimum=1, maximum=heads)
        if heads % kv_heads:
            raise InputError("kv_heads", kv_heads, f"a divisor of {heads} heads")
        causal, rotary = check_flag("causal", self.causal), check_flag("rotary", self.rotary)
        _set(self, heads=heads, kv_heads=kv_heads, causal=causal, rotary=rotary)

    def head_size(self, *inputs: Shape) -> int:
        """Return the number of features of one query head."""
        return inputs[0].features // self.heads

    def shape(self, *inputs: Shape) -> Shape:
        query, key, value = inputs
        size, rest = divmod(query.features, self.heads)
        if rest or (self.rotary and size % 2):
            allowed = f"a multiple of {self.heads} heads" + (", of even size" if self.rotary else "")
            raise self.refuse(f"{query.features} features", allowed)
        if key.features != size * self.kv_heads or value.features % self.kv_heads:
            raise self.refuse(f"{key.features} features of keys", f"{self.kv_heads} heads of {size}")
        if key.positions != value.positions:
            raise self.refuse("keys and values of different positions", "the same positions")
        return Shape(value.features // self.kv_heads * self.heads, query.positions)


@dataclass(frozen=True)
class MeanPool(Op):
    """The mean over all positions, or over windows of them."""

    kind: ClassVar[str] = "mean_pool"
    window: int | tuple[int, ...] = 0
    stride: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        for name in ("window", "stride"):
            object.__setattr__(self, name, _window(name, getattr(self, name)))

    def geometry(self, positions: tuple[int, ...]) -> dict[str, tuple[Any, ...]]:
        """Return the windows as `Convolution.geometry` does; a window of 0 is all positions."""
        return _pool_geometry(positions, self.window, self.stride, 0)

    def shape(self, *inputs: Shape) -> Shape:
        if self.window == 0:
            return Shape(inputs[0].features)
        return _pooled(self, inputs[0], self.geometry(inputs[0].positions))


@dataclass(frozen=True)
class MaxPool(Op):
    """The largest value of every window (of all positions, if the window is 0)."""

    kind: ClassVar[str] = "max_pool"
    window: int | tuple[int, ...] = 2
    stride: int | tuple[int, ...] = 0
    padding: int = 0

    def __post_init__(self) -> None:
        for name in ("window", "stride"):
            object.__setattr__(self, name, _window(name, getattr(self, name)))
        check_integer("padding", self.padding, minimum=0, maximum=WIDEST)

    def geometry(self, positions: tuple[int, ...]) -> dict[str, tuple[Any, ...]]:
        """Return the windows as `Convolution.geometry` does; what pads them is minus infinity."""
        return _pool_geometry(positions, self.window, self.stride, self.padding)

    def shape(self, *inputs: Shape) -> Shape:
        if self.window == 0:
            return Shape(inputs[0].features)
        geometry = self.geometry(inputs[0].positions)
        if geometry["kernel"] and 2 * self.padding > min(geometry["kernel"]):
            raise InputError("padding", self.padding, "at most half of the window")
        return _pooled(self, inputs[0], geometry)


def _window(name: str, given: Any) -> int | tuple[int, ...]:
    """Return one number for all axes, 0 for what it stands for, or one of at least 1 for each."""
    return _axes(name, given, 1 if isinstance(given, tuple | list) else 0)


def _pool_geometry(
    positions: tuple[int, ...], window: int | tuple[int, ...], stride: int | tuple[int, ...], padding: int
) -> dict[str, tuple[Any, ...]]:
    count = len(positions)
    kernel = positions if window == 0 else _per_axis("window", window, count)
    step = kernel if stride == 0 else _per_axis("stride", stride, count)
    pads = ((padding, padding),) * count
    return {"kernel": kernel, "stride": step, "dilation": (1,) * count, "padding": pads}


def _pooled(op: Op, before: Shape, geometry: dict[str, tuple[Any, ...]]) -> Shape:
    if not before.positions:
        raise op.refuse("a vector", "an image or a sequence of features")
    found = tuple(
        (size + sum(pad) - kernel) // stride + 1
        for size, kernel, stride, pad in zip(
            before.positions, geometry["kernel"], geometry["stride"], geometry["padding"], strict=True
        )
    )
    if min(found) < 1:
        raise op.refuse(before.text, "positions for at least one window")
    return Shape(before.features, found)


@dataclass(frozen=True)
class Upsample(Op):
    """Every position repeated along every axis: nearest-neighbour interpolation.

    Attributes
    ----------
    factor : int or tuple of int
        How often, one number for all axes or one for each.
    """

    kind: ClassVar[str] = "upsample"
    factor: int | tuple[int, ...] = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", _axes("factor", self.factor, 1))

    def shape(self, *inputs: Shape) -> Shape:
        (before,) = inputs
        if not before.positions or before.vocabulary:
            raise self.refuse(before.text, "an image or a sequence of features")
        factors = _per_axis("factor", self.factor, len(before.positions))
        return Shape(before.features, tuple(n * f for n, f in zip(before.positions, factors, strict=True)))

    def origins(self, positions: tuple[int, ...]) -> tuple[int, ...]:
        """Return for every position of the output, rows first, the position that it repeats.

        Examples
        --------
        >>> Upsample((1, 2)).origins((2, 2))
        (0, 0, 1, 1, 2, 2, 3, 3)
        """
        factors = _per_axis("factor", self.factor, len(positions))
        found = [0]
        for size, factor in zip(positions, factors, strict=True):
            found = [size * start + i // factor for start in found for i in range(size * factor)]
        return tuple(found)


@dataclass(frozen=True)
class Select(Op):
    """One position of all."""

    kind: ClassVar[str] = "select"
    position: int = 0

    def shape(self, *inputs: Shape) -> Shape:
        check_integer("position", self.position, minimum=0, maximum=inputs[0].count - 1)
        return Shape(inputs[0].features)


@dataclass(frozen=True)
class Flatten(Op):
    """All positions' features as the features of one vector, features first (row ``c T + t``)."""

    kind: ClassVar[str] = "flatten"

    def shape(self, *inputs: Shape) -> Shape:
        return Shape(inputs[0].features * inputs[0].count)


@dataclass(frozen=True)
class Transpose(Op):
    """Features become positions and positions features, as an MLP-Mixer needs.

    Attributes
    ----------
    positions : tuple of int
        How the positions of the output lie; ``()`` for a sequence.

    Examples
    --------
    >>> Transpose().shape(Shape(64, (4, 4))).text, Transpose((4, 4)).shape(Shape(16, (64,))).text
    ('16 × 64', '64 × 4 × 4')
    """

    kind: ClassVar[str] = "transpose"
    positions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.positions, tuple | list) or len(self.positions) > 3:
            raise InputError("positions", self.positions, "up to three whole numbers of at least 1")
        checked = (check_integer("positions", n, minimum=1, maximum=WIDEST) for n in self.positions)
        object.__setattr__(self, "positions", tuple(checked))

    def shape(self, *inputs: Shape) -> Shape:
        before = inputs[0]
        if self.positions and math.prod(self.positions) != before.features:
            raise self.refuse(f"{before.features} features", f"{math.prod(self.positions)} features")
        return Shape(before.count, self.positions or (before.features,))


@dataclass(frozen=True)
class Concatenate(Op):
    """The features of all inputs, one below the other."""

    kind: ClassVar[str] = "concatenate"
    arity: ClassVar[int] = 0

    def shape(self, *inputs: Shape) -> Shape:
        if any(shape.positions != inputs[0].positions for shape in inputs):
            raise self.refuse("different positions", "inputs with the same positions")
        return Shape(sum(shape.features for shape in inputs), inputs[0].positions)


@dataclass(frozen=True)
class Dropout(Op):
    """Set entries to 0 with probability `rate` and divide the others by 1 - rate (as in training)."""

    kind: ClassVar[str] = "dropout"
    rate: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", check_real("rate", self.rate, minimum=0.0, maximum=0.999))


@dataclass(frozen=True)
class Source(Op):
    """The network's input."""

    kind: ClassVar[str] = "input"
    arity: ClassVar[int] = 0
    value: Shape = field(default_factory=lambda: Shape(1))

    def shape(self, *inputs: Shape) -> Shape:
        return self.value


def _axes(name: str, given: Any, least: int) -> int | tuple[int, ...]:
    if isinstance(given, tuple | list):
        if not 1 <= len(given) <= 3:
            raise InputError(name, list(given), "one number, or one for each of up to three axes")
        return tuple(check_integer(name, n, minimum=least, maximum=WIDEST) for n in given)
    return check_integer(name, given, minimum=least, maximum=WIDEST)


def _per_axis(name: str, value: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * count
    if len(value) != count:
        raise InputError(name, list(value), f"one number, or {count} for this input")
    return value
