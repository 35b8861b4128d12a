"""Which op a torch module or function is, and the attributes that rules need of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from varprop.adapters.torch.activation_names import of_function, of_module

Kind = tuple[str, dict[str, Any]]

VIEWS = frozenset(
    (
        "view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "swapaxes", "swapdims",
        "movedim", "moveaxis", "contiguous", "clone", "to", "type", "type_as", "float", "double", "half",
        "bfloat16", "unflatten", "t", "T", "mT", "view_as", "requires_grad", "detach", "data", "pixel_shuffle",
        "pixel_unshuffle", "channel_shuffle", "expand_as", "alias",
    )
)  # fmt: skip
"""Functions whose output holds the same numbers as their input."""
SLICES = frozenset(
    (
        "getitem", "chunk", "split", "tensor_split", "select", "narrow", "unbind", "index_select", "take",
        "gather", "masked_select", "split_with_sizes",
    )
)  # fmt: skip
_CONVOLUTIONS = frozenset(f"conv{d}d" for d in (1, 2, 3))
_JOINS = frozenset(("cat", "concat", "concatenate", "stack", "hstack", "vstack"))
_SUMS: Mapping[str, float] = {"add": 1.0, "radd": 1.0, "iadd": 1.0, "sub": -1.0, "rsub": -1.0, "isub": -1.0}
_SCALES = frozenset(("mul", "multiply", "rmul", "imul", "div", "divide", "true_divide", "truediv"))


def of_leaf(module: nn.Module) -> Kind:
    """Return op and attributes of a leaf module."""
    spelling = of_module(module)
    if spelling is not None:
        return "activation", {"activation": spelling}
    for kind, rule in _MODULES:
        if isinstance(module, kind):
            return rule(module)
    return "opaque", {}


def name_of(module: nn.Module) -> str:
    """Return the class a reader knows: a parametrized Linear is still a Linear."""
    kind = type(module)
    return kind.__mro__[1].__name__ if kind.__module__ == "torch.nn.utils.parametrize" else kind.__name__


def _linear(module: Any) -> Kind:
    return "linear", {"width": module.out_features}


def _convolution(module: Any) -> Kind:
    padding = module.padding
    if isinstance(padding, str):
        sides = [(0, 0)] * len(module.kernel_size)
        if padding == "same":
            total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
            sides = [(t // 2, t - t // 2) for t in total]
    else:
        sides = [(p, p) for p in padding]
    return "transposed_convolution" if module.transposed else "convolution", {
        "width": module.out_channels,
        "channel_axis": 1,
        "inputs_per_group": module.in_channels // module.groups,
        "outputs_per_group": module.out_channels // module.groups,
        "kernel": tuple(module.kernel_size),
        "stride": tuple(module.stride),
        "dilation": tuple(module.dilation),
        "padding": tuple(sides),
        "zero_padding": module.padding_mode == "zeros",
    }


def _batch_norm(module: Any) -> Kind:
    batch = module.training or not module.track_running_stats
    found = {"eps": module.eps, "from_batch": batch, "channel_axis": 1}
    if not batch and not bool(module.running_mean.any()):
        found["scale_square"] = float((1 / (module.running_var.double() + module.eps)).mean())
    return "batch_norm", found


def _group_norm(module: Any) -> Kind:
    return "group_norm", {"eps": module.eps, "groups": module.num_groups}


def _instance_norm(module: Any) -> Kind:
    # A group of one channel; with running statistics it is not a normalisation by what it sees.
    return ("opaque", {}) if not module.training and module.track_running_stats else ("group_norm", {
        "eps": module.eps, "groups": module.num_features,
    })  # fmt: skip


def _layer_norm(module: Any) -> Kind:
    return "layer_norm", {"eps": module.eps, "size": math.prod(module.normalized_shape)}


def _rms_norm(module: Any) -> Kind:
    return "rms_norm", {"eps": module.eps or 0.0, "size": math.prod(module.normalized_shape)}


def _dropout(module: Any) -> Kind:
    return "dropout", {"p": float(module.p) if module.training else 0.0}


def _attention(module: Any) -> Kind:
    plain = module.in_proj_weight is not None and module.bias_k is None and not module.add_zero_attn
    dropped = module.training and module.dropout > 0
    return "attention", {
        "width": module.embed_dim,
        "heads": module.num_heads,
        "plain": plain and not dropped and module.batch_first,
    }


def mask_of(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return what an attention module is called with: ``""`` for no mask, ``"causal"``, or ``"other"``."""
    if not isinstance(module, nn.MultiheadAttention):
        return ""
    names = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask")
    given = dict(zip(names, args, strict=False)) | dict(kwargs)
    if given.get("key_padding_mask") is not None:
        return "other"
    mask = given.get("attn_mask")
    return "" if mask is None else _shape_of_mask(mask)


def _shape_of_mask(mask: torch.Tensor, allowed: bool = False) -> str:
    """Return ``"causal"`` for a mask that hides what comes later and nothing else.

    A mask of truth values says what is hidden, or with `allowed` what is seen.
    """
    if mask.dim() != 2 or mask.shape[0] != mask.shape[1]:
        return "other"
    later = torch.ones_like(mask, dtype=torch.bool).triu(1)
    if mask.dtype == torch.bool:
        return "causal" if bool(((mask ^ allowed) == later).all()) else "other"
    hidden = torch.isneginf(mask)
    plain = bool((hidden == later).all()) and not bool(mask[~later].any())
    return "causal" if plain else "other"


def _pool(op: str) -> Callable[[Any], Kind]:
    def rule(module: Any) -> Kind:
        return _window(op, module.kernel_size, module.stride, module.padding, getattr(module, "dilation", 1))

    return rule


def _adaptive(op: str) -> Callable[[Any], Kind]:
    return lambda module: (op, {"adaptive": True, "channel_axis": 1})


def _window(op: str, kernel: Any, stride: Any, padding: Any = 0, dilation: Any = 1) -> Kind:
    simple = _all(padding, 0) and _all(dilation, 1) and (stride is None or stride in ((), kernel))
    # Only windows that tile the plane have a rule node by node; of others the geometry is noted.
    if simple:
        return op, {"window": kernel, "channel_axis": 1, "pool": op}
    pool = {"pool": op, "geometry": (kernel, stride or kernel, padding)} if _all(dilation, 1) else {}
    return "opaque", {"channel_axis": 1, **pool}


def _all(value: Any, wanted: int) -> bool:
    return all(v == wanted for v in (value if isinstance(value, tuple | list) else (value,)))


_AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_MODULES: tuple[tuple[Any, Callable[[Any], Kind]], ...] = (
    (nn.Linear, _linear),
    (nn.modules.conv._ConvNd, _convolution),
    (
        nn.Embedding,
        lambda m: (
            "embedding",
            {
                "width": m.embedding_dim,
                "vocabulary": m.num_embeddings,
                "plain": m.padding_idx is None and m.max_norm is None,
            },
        ),
    ),
    (nn.modules.instancenorm._InstanceNorm, _instance_norm),
    (nn.modules.batchnorm._BatchNorm, _batch_norm),
    (nn.LayerNorm, _layer_norm),
    (nn.GroupNorm, _group_norm),
    *(((nn.RMSNorm, _rms_norm),) if hasattr(nn, "RMSNorm") else ()),
    (nn.modules.dropout._DropoutNd, _dropout),
    (
        nn.Identity | nn.Flatten | nn.Unflatten | nn.PixelShuffle | nn.ChannelShuffle,
        lambda m: ("reshape", {}),
    ),
    *((kind, _pool("average_pool")) for kind in _AVERAGES),
    *((kind, _pool("max_pool")) for kind in _MAXIMA),
    (nn.modules.pooling._AdaptiveAvgPoolNd, _adaptive("average_pool")),
    (nn.MultiheadAttention, _attention),
    (nn.RNNBase, lambda m: ("recurrent", {"width": m.hidden_size})),
    (nn.Softmax, lambda m: ("softmax", {"axis": m.dim})),
)


def of_call(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Kind:
    """Return op and attributes of a function called ``name(*args, **kwargs)``.

    `name` has no leading or trailing underscores: ``relu_`` is ``relu``.

    Examples
    --------
    >>> of_call("view", (), {}), of_call("mul", (torch.ones(2), 0.5), {})
    (('reshape', {}), ('scale', {'factor': 0.5}))
    """
    spelling = of_function(name, args, kwargs)
    if spelling is not None:
        return "activation", {"activation": spelling}
    if name in VIEWS:
        return "reshape", _permutation(name, args)
    if name in SLICES:
        return "slice", _selected(name, args)
    if name in _JOINS:
        given = dict(zip(("tensors", "dim"), args, strict=False)) | dict(kwargs)
        return "concatenate", {"axis": given.get("dim", 0)} if name.startswith("c") else {}
    if name in _SUMS:
        return _sum(name, args, kwargs)
    if name in _SCALES:
        return _scale(name, args)
    if name == "neg":
        return "scale", {"factor": -1.0}
    if name in ("linear", "matmul", "mm", "rmatmul"):
        return _product(name, args)
    if name in ("softmax", "scaled_dot_product_attention"):
        given = dict(zip(("input", "dim"), args, strict=False)) | dict(kwargs)
        if name == "softmax":
            return "softmax", {"axis": given.get("dim")}
        return "attention", {"scale": kwargs.get("scale"), "mask": _product_mask(args, kwargs)}
    if name == "dropout" and len(args) + len(kwargs) >= 1:
        given = dict(zip(("input", "p", "training"), args, strict=False)) | dict(kwargs)
        return "dropout", {"p": float(given.get("p", 0.5)) if given.get("training", True) else 0.0}
    if name == "layer_norm":
        given = dict(zip(("input", "shape", "weight", "bias", "eps"), args, strict=False)) | dict(kwargs)
        shape = given.get("shape", given.get("normalized_shape", ()))
        return "layer_norm", {"eps": float(given.get("eps", 1e-5)), "size": math.prod(shape), "bare": True}
    if name in ("max_pool2d", "avg_pool2d", "max_pool1d", "avg_pool1d"):
        given = dict(zip(("input", "kernel", "stride", "padding"), args, strict=False)) | dict(kwargs)
        kernel = given.get("kernel", given.get("kernel_size"))
        op = "max_pool" if name.startswith("max") else "average_pool"
        return _window(op, kernel, given.get("stride"), given.get("padding", 0), given.get("dilation", 1))
    if name.startswith("adaptive_avg_pool"):
        return "average_pool", {"adaptive": True, "channel_axis": 1}
    if name == "mean":
        given = dict(zip(("input", "dim"), args, strict=False)) | dict(kwargs)
        axes = given.get("dim", given.get("axis"))
        return "opaque", {} if axes is None else {"mean_over": axes}
    return "opaque", ({"channel_axis": 1} if name in _CONVOLUTIONS else {})


def _sum(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Kind:
    attributes: dict[str, Any] = {"sign": _SUMS[name]}
    if kwargs.get("alpha", 1) != 1:
        return "opaque", {}
    for value in args[:2]:
        if isinstance(value, int | float):
            attributes |= {"constant_mean": float(value), "constant_second_moment": float(value) ** 2}
    return "add", attributes


def _scale(name: str, args: tuple[Any, ...]) -> Kind:
    if len(args) < 2 or not isinstance(args[0], torch.Tensor):
        return "opaque", {}
    other = args[1]
    if isinstance(other, torch.Tensor):
        if isinstance(other, nn.Parameter) or other.requires_grad or other.numel() != 1:
            return "opaque", {"product": True}
        other = float(other)
    if not isinstance(other, int | float):
        return "opaque", {}
    return "scale", {"factor": 1 / other if "div" in name and other else float(other)}


def _product(name: str, args: tuple[Any, ...]) -> Kind:
    # Whether the second factor is a weight (and which way round) is for the tracer to say: it knows the parameters.
    return "opaque", {"matrix_product": True, "transposed": name != "linear"}


def _permutation(name: str, args: tuple[Any, ...]) -> dict[str, Any]:
    """Return in which order a view takes the axes, where it takes them in another."""
    count = args[0].dim() if args and isinstance(args[0], torch.Tensor) else 0
    axes = list(range(count))
    if name == "permute":
        order = args[1] if isinstance(args[1], tuple | list) else args[1:]
        return {"axes": tuple(axis % count for axis in order)}
    swapped: tuple[int, int] | None = None
    if name in ("transpose", "swapaxes", "swapdims") and len(args) == 3:
        swapped = args[1] % count, args[2] % count
    elif name == "mT" or (name in ("t", "T") and count == 2):
        swapped = count - 2, count - 1
    elif name in ("transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "T"):
        return {"unknown_order": True}
    if swapped is None:
        return {}
    first, second = swapped
    axes[first], axes[second] = axes[second], axes[first]
    return {"axes": tuple(axes)}


def _selected(name: str, args: tuple[Any, ...]) -> dict[str, Any]:
    """Return the axis and the place of ``x[:, i]``."""
    key = args[1] if name == "getitem" and len(args) > 1 else None
    if not isinstance(key, tuple) or any(type(one) is not int and one != slice(None) for one in key):
        return {}
    places = [(axis, one) for axis, one in enumerate(key) if type(one) is int]
    return {"selected": places[0]} if len(places) == 1 else {}


def _product_mask(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    given = dict(zip(names, args, strict=False)) | dict(kwargs)
    mask = given.get("attn_mask")
    if given.get("dropout_p") or given.get("enable_gqa"):
        return "other"
    if mask is not None:
        return _shape_of_mask(mask, allowed=True)
    return "causal" if given.get("is_causal") else ""
