"""Transformers of the literature: their shapes and initializers, as arguments of `varprop.transformer`.

Sizes are those of the published models; initializers those of their reference code, as the configurations and
``_init_weights`` of Hugging Face's *transformers* state them (``initializer_range = 0.02``). No preset has dropout.

``gpt2`` (Radford et al. 2019)
    Pre-LN, eps 1e-5, gelu in its tanh form, N(0, 0.02²), zero biases, the last map of each branch divided by √(2L),
    output layer tied to the embedding. Published sizes count 1024 positions; here a position in use has a vector,
    so that ``tokens=1024`` gives the published number of parameters. OpenAI's first code drew positions with
    deviation 0.01; Hugging Face's value, 0.02, is taken.
``gpt3-175b`` (Brown et al. 2020, table 2.1)
    GPT-2's with 96 blocks of width 12288. Its alternating sparse attention is taken as dense.
``bert`` (Devlin et al. 2019)
    Post-LN, eps 1e-12, gelu, N(0, 0.02²) (the first code truncated it at two deviations), no mask, a LayerNorm after
    the embeddings; before the tied output layer a dense map, gelu and LayerNorm. Left out: the segment vector, one for
    all positions of a segment, N(0, 0.02²) beside token and position; the bias of the output layer, which is zero.
``llama`` (Touvron et al. 2023a, table 2; 2023b)
    RMSNorm, eps 1e-6 (1e-5 for the second), SwiGLU, rotary positions with base 10000, no biases, N(0, 0.02²), output
    layer of its own. ``llama2-70b`` has 8 key/value heads for 64 query heads.
``vit`` (Dosovitskiy et al. 2021, table 1)
    Patches by a convolution, a class token, learned positions, pre-LN, eps 1e-12, gelu, a dense layer of 1000
    classes on the class token. N(0, 0.02²) everywhere: the code truncates at ±2, a hundred deviations away.
``t5`` (Raffel et al. 2020)
    The encoder's stack without mask: pre-RMSNorm, relu, no biases, weights of variance 1/fan_in, embedding N(0, 1).
    T5's queries have a variance smaller by the head's size and its logits are not divided by √d; here the queries have
    1/fan_in and the logits are divided, so that logits have the same law while queries, and gradients at Wq, differ by
    the factor d. On top of it T5's tied output layer, which reads the stream times n^-1/2. Approximated: there is no op
    for the relative position biases (zero-mean normal of variance 1/n, one a head and distance, added to logits), so
    they are left out; nor for cross-attention, so there is no decoder.

References
----------
Brown et al., arXiv:2005.14165. Devlin et al., arXiv:1810.04805. Dosovitskiy et al., arXiv:2010.11929. Radford et al.,
*Language models are unsupervised multitask learners*. Raffel et al., arXiv:1910.10683. Touvron et al.,
arXiv:2302.13971 and 2307.09288.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from varprop._validation import check_integer

_GPT2: dict[str, Any] = {"vocabulary": 50257, "activation": "gelu_tanh", "residual_gain": "derived"}
_BERT: dict[str, Any] = {
    "vocabulary": 30522,
    "norm": "post",
    "causal": False,
    "eps": 1e-12,
    "transform": True,
}
_LLAMA: dict[str, Any] = {
    "vocabulary": 32000,
    "rms": True,
    "gated": True,
    "activation": "silu",
    "rotary": True,
    "bias": False,
    "tied": False,
}
_VIT: dict[str, Any] = {"image": 224, "eps": 1e-12, "classes": 1000}
_T5: dict[str, Any] = {
    "vocabulary": 32128,
    "rms": True,
    "activation": "relu",
    "weights": "lecun_normal",
    "embedding_weights": "standard_normal",
    "bias": False,
    "causal": False,
    "positions": False,
    "logit_scale": "derived",
}


def _sized(depth: int, width: int, heads: int, **others: Any) -> dict[str, Any]:
    return {"depth": depth, "width": width, "heads": heads, **others}


PRESETS: Mapping[str, dict[str, Any]] = {
    "gpt2": _GPT2 | _sized(12, 768, 12),
    "gpt2-medium": _GPT2 | _sized(24, 1024, 16),
    "gpt2-large": _GPT2 | _sized(36, 1280, 20),
    "gpt2-xl": _GPT2 | _sized(48, 1600, 25),
    "gpt3-175b": _GPT2 | _sized(96, 12288, 96),
    "bert-base": _BERT | _sized(12, 768, 12),
    "bert-large": _BERT | _sized(24, 1024, 16),
    "llama-7b": _LLAMA | _sized(32, 4096, 32, mlp=11008 / 4096),
    "llama-13b": _LLAMA | _sized(40, 5120, 40, mlp=13824 / 5120),
    "llama-33b": _LLAMA | _sized(60, 6656, 52, mlp=17920 / 6656),
    "llama-65b": _LLAMA | _sized(80, 8192, 64, mlp=22016 / 8192),
    "llama2-70b": _LLAMA | _sized(80, 8192, 64, mlp=28672 / 8192, kv_heads=8, eps=1e-5),
    "vit-b/16": _VIT | _sized(12, 768, 12, patch=16),
    "vit-b/32": _VIT | _sized(12, 768, 12, patch=32),
    "vit-l/16": _VIT | _sized(24, 1024, 16, patch=16),
    "vit-h/14": _VIT | _sized(32, 1280, 16, patch=14),
    "t5-small": _T5 | _sized(6, 512, 8, head_size=64),
    "t5-base": _T5 | _sized(12, 768, 12, head_size=64),
    "t5-large": _T5 | _sized(24, 1024, 16, head_size=64),
    "t5-3b": _T5 | _sized(24, 1024, 32, head_size=128, mlp=16.0),
    "t5-11b": _T5 | _sized(24, 1024, 128, head_size=128, mlp=64.0),
}
"""Arguments by name."""


def preset_keywords(preset: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a preset's arguments with those `given` instead; what follows from depth and width follows from these.

    Examples
    --------
    >>> round(preset_keywords("gpt2", {"depth": 50})["residual_gain"] ** -2)
    100
    """
    own = {**PRESETS[preset], **given}
    derived = {key: rule(own) for key, rule in _DERIVED.items() if own.get(key) == "derived"}
    return own | derived


_DERIVED: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "residual_gain": lambda own: (2 * check_integer("depth", own["depth"], minimum=1)) ** -0.5,
    "logit_scale": lambda own: check_integer("width", own["width"], minimum=1) ** -0.5,
}
