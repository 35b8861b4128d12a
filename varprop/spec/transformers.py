"""The family of transformers: language models, encoders, image classifiers; presets for the known ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from varprop._registry import Registry
from varprop._validation import InputError, check_flag, check_integer, check_one_of, check_real, described
from varprop.activations import Activation
from varprop.spec.builders import (
    class_token,
    conv,
    dense,
    dropout,
    embedding,
    layer_norm,
    mean_pool,
    positions,
    rms_norm,
    scaled,
    select,
    unembedding,
)
from varprop.spec.graph import Part
from varprop.spec.heads import Head
from varprop.spec.inputs import Input
from varprop.spec.networks import Network
from varprop.spec.ops import Norm
from varprop.spec.parts import as_part, attention, gate, residual, sequence
from varprop.spec.presets import PRESETS, preset_keywords
from varprop.spec.shorthand import as_head, parse_input
from varprop.spec.tokens_and_images import images
from varprop.spec.tokens_and_images import tokens as make_tokens
from varprop.spec.widths import DEEPEST, WIDEST, check_width

families: Registry[Network] = Registry("family")
"""Whole networks by name, for study files and the command line."""

Law = Any
"""Whatever `varprop.initializer` takes."""


@families.register("transformer")
def transformer(
    depth: int | None = None,
    width: int | None = None,
    heads: int | None = None,
    tokens: int | None = None,
    vocabulary: int | None = None,
    *,
    preset: str | None = None,
    norm: str | None = None,
    mlp: float | None = None,
    activation: str | Activation | Callable[[Any], Any] | None = None,
    weights: Law = None,
    biases: Law = None,
    bias: bool | None = None,
    residual_scale: float | None = None,
    residual_gain: float | None = None,
    kv_heads: int | None = None,
    head_size: int | None = None,
    rotary: bool | None = None,
    causal: bool | None = None,
    gated: bool | None = None,
    rms: bool | None = None,
    eps: float | None = None,
    tied: bool | None = None,
    positions: bool | None = None,
    embedding_weights: Law = None,
    embedding_norm: bool | None = None,
    transform: bool | None = None,
    logit_scale: float | None = None,
    dropout: float | None = None,
    pool: str | None = None,
    classes: int | None = None,
    image: int | None = None,
    channels: int | None = None,
    patch: int | None = None,
    head: Head | str = "softmax_ce",
    targets: Any = None,
    batch: int | None = None,
    ids: Any = None,
    seed: int | None = None,
    input: Input | str | None = None,
    name: str = "",
) -> Network:
    r"""Return a transformer: embedding, blocks of attention and MLP on a residual stream, output layer.

    By default a language model as GPT-2 is one, without its scaled initialization: learned positions, pre-LN, causal,
    gelu, weights N(0, 0.02²), output layer tied to the embedding, cross-entropy against uniform random targets. What
    is not given is the preset's, or else the default stated here.

    Parameters
    ----------
    depth, width, heads : int
        Number of blocks L, features n of the stream, query heads.
    tokens, vocabulary : int
        Positions T of an example (default 64) and number of tokens (default 50257).
    preset : str, optional
        ``gpt2``, ``gpt2-medium``, ``gpt2-large``, ``gpt2-xl``, ``gpt3-175b``; ``bert-base``, ``bert-large``;
        ``llama-7b``, ``llama-13b``, ``llama-33b``, ``llama-65b``, ``llama2-70b``; ``vit-b/16``, ``vit-b/32``,
        ``vit-l/16``, ``vit-h/14``; ``t5-small``, ``t5-base``, ``t5-large``, ``t5-3b``, ``t5-11b``. What each is, and
        what of it is approximated or left out, is said in `varprop.spec.presets`. Other arguments replace its own.
    norm : {"pre", "post"}
        Whether the branches' inputs are normalized, or the sums (Xiong et al. 2020). Default ``pre``.
    mlp : float
        Hidden features of the MLP over n (rounded). Default 4.
    activation : str, Activation or callable
        Of the MLP, or of its gate. Default ``gelu``.
    weights, biases : initializers
        Of all dense maps. Default ``normal(std=0.02)`` and zeros.
    bias : bool
        Whether dense maps have biases (the untied output layer of a language model has none). Default true.
    residual_scale : float
        Factor on every branch. Default 1.
    residual_gain : float
        Factor on the weights of every branch's last map, 1/√(2L) in GPT-2. Default 1.
    kv_heads, head_size : int
        Key and value heads (default: as many as `heads`) and features of a head (default n / heads).
    rotary, causal : bool
        Whether queries and keys are rotated by position (default false), and whether a position sees only itself and
        those before it (default true for tokens, false for images).
    gated : bool
        Whether the MLP is ``down(activation(gate x) · (value x))``. Default false.
    rms : bool
        Whether normalizations are RMSNorm instead of LayerNorm. Default false.
    eps : float
        Of all normalizations. Default 1e-5, with `rms` 1e-6.
    tied : bool
        Whether the output layer's weights are the embedding's. Default true, false for images and classes.
    positions : bool
        Whether a learned vector is added to each position. Default: unless `rotary`.
    embedding_weights : initializer
        Of the table of tokens, positions and class token. Default ``normal(std=0.02)``.
    embedding_norm : bool
        Whether the embeddings are normalized before the first block. Default: true for ``post``, as in BERT.
    transform : bool
        Whether a dense map, the activation and a normalization come before the output layer, as in BERT. Default false.
    logit_scale : float
        Factor on what the output layer reads, n^-1/2 in T5. Default 1.
    dropout : float
        Rate after the embeddings and at the end of every branch, as in training. Default 0.
    pool : {"none", "mean", "class_token"}
        What becomes of the positions before the output layer: nothing, their mean, or one more position put before all
        others that alone is read. Default ``none``, for images ``class_token``.
    classes : int
        Outputs of an untied output layer; the vocabulary by default, for images 1000.
    image, channels, patch : int
        For images instead of tokens: height and width, channels (default 3), side of a patch (default 16).
    head, targets
        See `Head`; ``softmax_ce`` without targets draws them uniformly with every network.
    batch, ids, seed
        Of the input: see `varprop.tokens` and `varprop.images`.
    input : Input or str, optional
        Tokens, images, or sequences of n features, instead of made ones.
    name : str
        The case's name; the preset's by default.

    Raises
    ------
    InputError
        Arguments out of range or that do not fit each other or the input.

    Notes
    -----
    A pre-LN block is x + A(LN x), then x + M(LN x), with one more LN before the output layer; a post-LN block
    LN(x + A x), then LN(x + M x). Attention is softmax(q k / √d) v with dense maps before and after (Vaswani et al.
    2017, eq. 1).

    Examples
    --------
    >>> network = transformer(2, 64, 4, tokens=16, vocabulary=1000)
    >>> [node.name for node in network.graph.nodes[3:9]]
    ['block1.attention.layer_norm', 'block1.attention.query', 'block1.attention.key', 'block1.attention.value',
    'block1.attention.attend', 'block1.attention.output']
    >>> gpt2 = transformer(preset="gpt2", tokens=1024, ids="uniform")
    >>> f"{gpt2.parameters:,}"
    '124,439,808'
    """
    given = {key: value for key, value in locals().items() if value is not None and key in _ARCHITECTURE}
    if preset is not None:
        check_one_of("preset", preset, PRESETS)
        given = preset_keywords(preset, given)
        name = name or preset
    data = _data(given, input, tokens, batch, ids, seed)
    plan = _Plan.of(given, data)
    return Network(data, plan.body(), as_head(head, targets), name)


_ARCHITECTURE = frozenset(
    (
        "depth", "width", "heads", "vocabulary", "norm", "mlp", "activation", "weights", "biases", "bias",
        "residual_scale", "residual_gain", "kv_heads", "head_size", "rotary", "causal", "gated", "rms", "eps", "tied",
        "positions", "embedding_weights", "embedding_norm", "transform", "logit_scale", "dropout", "pool", "classes",
        "image", "channels", "patch",
    )
)  # fmt: skip

_POOLS = ("none", "mean", "class_token")


def _data(
    given: Mapping[str, Any],
    input: Input | str | None,
    tokens: int | None,
    batch: int | None,
    ids: Any,
    seed: int | None,
) -> Input:
    """Return the input: the one given, images, or tokens."""
    made = {"batch": batch, "seed": seed}
    own = {key: value for key, value in made.items() if value is not None}
    if input is not None:
        extra = own | {k: v for k, v in {"tokens": tokens, "ids": ids}.items() if v is not None}
        for key in extra:
            raise InputError(key, extra[key], "nothing beside an input, which says it itself")
        return parse_input(input) if isinstance(input, str) else input
    if "image" in given:
        if tokens is not None or ids is not None:
            raise InputError("tokens", tokens or ids, "no tokens for a network on images")
        size = given["image"]
        return images(given.get("channels", 3), size, size, **own)
    if ids is not None:
        own["ids"] = ids
    return make_tokens(64 if tokens is None else tokens, given.get("vocabulary", 50257), **own)


@dataclass(frozen=True)
class _Plan:
    """Checked arguments of a transformer, and the parts that they make."""

    data: Input
    depth: int
    width: int
    heads: int
    options: Mapping[str, Any]

    @staticmethod
    def of(given: Mapping[str, Any], data: Any) -> _Plan:
        """Return the plan of `given` arguments, defaults filled in."""
        if not isinstance(data, Input):
            raise InputError("input", described(type(data).__name__), "an Input")
        for key in ("depth", "width", "heads"):
            if key not in given:
                raise InputError(key, described("nothing"), "a whole number, or a preset that says it")
        pictures = len(data.positions) > 1
        words = data.vocabulary > 0
        rotary, rms = given.get("rotary", False), given.get("rms", False)
        norm = check_one_of("norm", given.get("norm", "pre"), ("pre", "post"))
        classes = given.get("classes")
        options: dict[str, Any] = {
            "norm": norm,
            "mlp": 4.0,
            "activation": "gelu",
            "weights": "normal(std=0.02)",
            "biases": None,
            "bias": True,
            "residual_scale": 1.0,
            "residual_gain": 1.0,
            "kv_heads": None,
            "head_size": None,
            "rotary": False,
            "causal": not pictures,
            "gated": False,
            "rms": False,
            "eps": 1e-6 if rms is True else 1e-5,
            "tied": words and classes is None,
            "positions": rotary is not True,
            "embedding_weights": "normal(std=0.02)",
            "embedding_norm": norm == "post",
            "transform": False,
            "logit_scale": 1.0,
            "dropout": 0.0,
            "pool": "class_token" if pictures else "none",
            "classes": data.vocabulary or 1000,
            "patch": 16,
        } | {key: value for key, value in given.items() if key not in ("depth", "width", "heads")}
        for key in (
            "bias",
            "rotary",
            "causal",
            "gated",
            "rms",
            "tied",
            "positions",
            "embedding_norm",
            "transform",
        ):
            check_flag(key, options[key])
        check_one_of("pool", options["pool"], _POOLS)
        check_real("mlp", options["mlp"], minimum=0.0, maximum=1e6, exclusive=True)
        check_real("dropout", options["dropout"], minimum=0.0, maximum=0.999)
        check_real("logit_scale", options["logit_scale"], minimum=-1e6, maximum=1e6)
        if options["tied"] and (not words or classes is not None):
            raise InputError("tied", True, "an output layer over the tokens of the input, to be tied")
        if words and given.get("vocabulary", data.vocabulary) != data.vocabulary:
            raise InputError("vocabulary", given["vocabulary"], f"the input's, {data.vocabulary}")
        return _Plan(
            data,
            check_integer("depth", given["depth"], minimum=1, maximum=DEEPEST),
            check_width("width", given["width"]),
            check_integer("heads", given["heads"], minimum=1, maximum=WIDEST),
            options,
        )

    def body(self) -> list[Any]:
        """Return the parts from the input to the output."""
        own = self.options
        gain = check_real("residual_gain", own["residual_gain"], minimum=0.0, maximum=1e6, exclusive=True)
        block = self._block(gain)
        parts = [*self._stem(), *[block] * self.depth]
        if own["norm"] == "pre":
            parts.append(self._norm())
        if own["pool"] != "none":
            parts.append(select(0) if own["pool"] == "class_token" else mean_pool())
        if own["transform"]:
            parts.append(sequence(self._dense(self.width), own["activation"], self._norm(), name="transform"))
        if own["logit_scale"] != 1.0:
            parts.append(scaled(own["logit_scale"]))
        return [*parts, self._output()]

    def _stem(self) -> list[Any]:
        own, table = self.options, self.options["embedding_weights"]
        parts: list[Any] = []
        if self.data.vocabulary:
            parts.append(embedding(self.width, table))
        elif len(self.data.positions) > 1:
            side = check_width("patch", own["patch"])
            maps = self._laws() | {"bias": True}
            parts.append(conv(self.width, side, stride=side, padding=0, **maps))
        if own["pool"] == "class_token":
            parts.append(class_token(table))
        if own["positions"]:
            parts.append(positions(table))
        if own["embedding_norm"]:
            parts.append(self._norm())
        return [*parts, *self._dropout()]

    def _block(self, gain: float) -> Part:
        own = self.options
        hidden = max(1, round(own["mlp"] * self.width))
        size = 0 if own["head_size"] is None else check_width("head_size", own["head_size"]) * self.heads
        mix = attention(
            self.heads,
            kv_heads=own["kv_heads"],
            causal=own["causal"],
            rotary=own["rotary"],
            width=size,
            output={"gain": gain},
            **self._laws(),
        )
        up: list[Any]
        if own["gated"]:
            up = [gate(hidden, own["activation"], **self._laws())]
        else:
            up = [self._dense(hidden), as_part(own["activation"], "activation")]
        down = dense(self.width, gain=gain, **self._laws())
        branches = (("attention", [mix, *self._dropout()]), ("mlp", [*up, down, *self._dropout()]))
        parts: list[Any] = []
        for title, branch in branches:
            before = [self._norm()] if own["norm"] == "pre" else []
            parts.append(residual([*before, *branch], scale=own["residual_scale"], name=title))
            parts += [self._norm()] if own["norm"] == "post" else []
        return sequence(*parts, name="block")

    def _output(self) -> Any:
        if self.options["tied"]:
            return unembedding(self.data.vocabulary)
        maps = self._laws()
        if self.data.vocabulary and self.options["classes"] == self.data.vocabulary:
            maps |= {"bias": False, "biases": None}
        return dense(self.options["classes"], **maps)

    def _laws(self) -> dict[str, Any]:
        return {key: self.options[key] for key in ("weights", "biases", "bias")}

    def _dense(self, width: int) -> Any:
        return dense(width, **self._laws())

    def _norm(self) -> Norm:
        eps: float = self.options["eps"]
        return rms_norm(eps) if self.options["rms"] else layer_norm(eps)

    def _dropout(self) -> list[Any]:
        return [] if self.options["dropout"] == 0 else [dropout(self.options["dropout"])]
