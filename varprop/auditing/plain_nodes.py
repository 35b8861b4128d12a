"""What traced nodes without weights become: activations, normalizations, sums, views, pools."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from varprop.auditing.axes import FEATURES, POSITION, Axes, Factor, holds, is_image, plain, viewed
from varprop.auditing.found_laws import constant_of, law_of
from varprop.auditing.places import Site, Value, features_last
from varprop.auditing.weighted_nodes import positions
from varprop.spec import ops


def activation_node(site: Site) -> Value:
    """Translate: an activation."""
    value = site.one
    return Value(site.add(ops.Activate(site.node.attributes["activation"]), value.node), value.axes)


def norm_node(make: Callable[[float], ops.Op], site: Site) -> Value | None:
    """Translate: LayerNorm or RMSNorm over features, or over features and positions."""
    value, size = site.one, site.node.attributes["size"]
    shape = site.shape(value)
    if not holds(value.axes[-1], FEATURES, value.axes) and size == shape.features * shape.count:
        if make is not ops.LayerNorm:
            return None
        return _scaled(site, site.add(ops.GroupNorm(site.node.attributes["eps"], 1), value.node), value.axes)
    value = features_last(site, value)
    if size != site.shape(value).features:
        return None
    return _scaled(site, site.add(make(site.node.attributes["eps"]), value.node), value.axes)


def _scaled(site: Site, index: int, axes: Axes) -> Value | None:
    """Return what a normalization's own factors and shifts make of its output: they are the same for all features."""
    factor, shift = constant_of(site.body.recording, site.node, "weight", 1.0), constant_of(
        site.body.recording, site.node, "bias", 0.0
    )  # fmt: skip
    if factor is None or shift != 0.0:
        return None
    return Value(index if factor == 1.0 else site.add(ops.Add((factor,)), index), axes)


def _channels(site: Site) -> bool:
    axes = site.one.axes
    return is_image(axes) or (len(axes) == 2 and holds(axes[1], FEATURES, axes))


def group_norm_node(site: Site) -> Value | None:
    """Translate: GroupNorm."""
    if not _channels(site):
        return None
    op = ops.GroupNorm(site.node.attributes["eps"], site.node.attributes["groups"])
    return _scaled(site, site.add(op, site.one.node), site.one.axes)


def batch_norm_node(site: Site) -> Value | None:
    """Translate: BatchNorm, in training or by running statistics."""
    at, value = site.node.attributes, site.one
    if not _channels(site):
        return None
    if at["from_batch"]:
        return _scaled(site, site.add(ops.BatchNorm(at["eps"]), value.node), value.axes)
    if "scale_square" not in at:
        return None
    return _scaled(site, site.add(ops.Add((math.sqrt(at["scale_square"]),)), value.node), value.axes)


def add_node(site: Site) -> Value | None:
    """Translate: a sum or difference of two values, or of one and a table of positions."""
    node, body = site.node, site.body
    if len(node.sources) != 2 or "constant_mean" in node.attributes or node.kind == "rsub":
        return None
    table = next((i for i in node.sources if i in body.tables), None)
    if table is not None:
        (value,) = (body.values[i] for i in node.sources if i in body.values)
        own = body.tables[table]
        weights = law_of(body.recording, own, "weight", (own.shape[-1], own.shape[-2]))
        return positions(site, value, own.shape, weights)
    first, second = site.inputs
    if first.axes != second.axes:
        first, second = _turned_like(site, first, second), _turned_like(site, second, first)
    if first.axes != second.axes or site.shape(first) != site.shape(second):
        return None
    op = ops.Add((1.0, float(node.attributes["sign"])))
    return Value(site.add(op, first.node, second.node), first.axes)


def _turned_like(site: Site, value: Value, other: Value) -> Value:
    """Return a value whose features and positions change places, where the other one has them so."""
    ours, theirs, shape = value.axes, other.axes, site.shape(other)
    if len(ours) != 3 or len(theirs) != 3 or not holds(theirs[-1], FEATURES, theirs):
        return value
    if not (holds(ours[1], FEATURES, ours) and holds(ours[2], POSITION, ours)):
        return value
    if not holds(theirs[1], POSITION, theirs) or len(site.shape(value).positions) != 1:
        return value
    positions = shape.positions if len(shape.positions) > 1 else ()
    turned = site.add(ops.Transpose(positions), value.node)
    return Value(turned, theirs) if site.graph.shape(turned) == shape else value


def scale_node(site: Site) -> Value | None:
    """Translate: a multiplication by a number, or by a parameter with one value."""
    at, value = site.node.attributes, site.one
    factor = at.get("factor")
    if "parameter" in at:
        own = next((own for i, own in site.body.recording.laws if i == site.node.index), "")
        factor = constant_of(site.body.recording, site.node, own, 1.0) if own else None
    if factor is None:
        return None
    return Value(site.add(ops.Add((float(factor),)), value.node), value.axes)


def multiply_node(site: Site) -> Value | None:
    """Translate: a product entry by entry."""
    if len(site.node.sources) != 2:
        return None
    first, second = site.inputs
    if first.axes != second.axes:
        return None
    return Value(site.add(ops.Multiply(), first.node, second.node), first.axes)


def dropout_node(site: Site) -> Value | None:
    """Translate: dropout of single entries."""
    rate, value = site.node.attributes["p"], site.one
    if rate == 0.0:
        return site.passed(value, value.axes)
    if site.node.kind not in ("Dropout", "dropout"):
        return None  # whole channels at a time
    return Value(site.add(ops.Dropout(rate), value.node), value.axes)


_RENAMING = frozenset(
    (
        "view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "swapaxes", "swapdims",
        "contiguous", "clone", "to", "type", "type_as", "float", "double", "unflatten", "t",
        "T", "mT", "view_as", "alias", "Identity", "Flatten", "Unflatten",
    )
)  # fmt: skip


def reshape_node(site: Site) -> Value | None:
    """Translate: a view."""
    at, value, shape = site.node.attributes, site.one, site.node.shape
    if at.get("unknown_order") or not (site.node.kind in _RENAMING or at.get("stands_for")):
        return None
    order = at.get("axes")
    if order is not None:
        return site.passed(value, tuple(value.axes[i] for i in order))
    return site.passed(value, viewed(value.axes, shape))


def select_node(site: Site) -> Value | None:
    """Translate: one position of all."""
    if site.node.index in site.body.splits:
        return site.body.splits[site.node.index][0]
    chosen, value = site.node.attributes.get("selected"), site.one
    if chosen is None or not holds(value.axes[chosen[0]], POSITION, value.axes):
        return None
    axis, place = chosen
    count = site.shape(value).count
    index = site.add(ops.Select(place % count), value.node)
    return Value(index, tuple(a for i, a in enumerate(value.axes) if i != axis))


def concatenate_node(site: Site) -> Value | None:
    """Translate: features put one below the other."""
    axis, values = site.node.attributes.get("axis"), site.inputs
    if type(axis) is not int or not values:
        return None
    first = values[0].axes
    axis %= len(first)
    if any(not holds(v.axes[axis], FEATURES, v.axes) for v in values):
        return None
    if any(v.axes[:axis] + v.axes[axis + 1 :] != first[:axis] + first[axis + 1 :] for v in values):
        return None
    index = site.add(ops.Concatenate(), *(v.node for v in values))
    width = site.graph.shape(index).features
    return Value(index, (*first[:axis], (Factor(FEATURES, (0,), width),), *first[axis + 1 :]))


def mean_node(site: Site) -> Value | None:
    """Translate: a mean over all positions."""
    value, over = site.one, site.node.attributes["mean_over"]
    gone = {axis % len(value.axes) for axis in (over if isinstance(over, tuple | list) else (over,))}
    inside = [factor for i in gone for factor in value.axes[i]]
    sites = [factor for axis in value.axes for factor in axis if factor.kind == POSITION]
    if not inside or sorted(inside, key=repr) != sorted(sites, key=repr):
        return None
    index = site.add(ops.MeanPool(), value.node)
    kept = tuple(axis for i, axis in enumerate(value.axes) if i not in gone)
    if len(site.node.shape) == len(value.axes):
        kept = tuple(() if i in gone else axis for i, axis in enumerate(value.axes))
    return Value(index, kept)


def pool_node(op: type[ops.MeanPool | ops.MaxPool], site: Site) -> Value | None:
    """Translate: a pool over windows."""
    at, value, shape = site.node.attributes, site.one, site.node.shape
    if not is_image(value.axes):
        return None
    window, stride, padding = at.get("geometry", (at.get("window"), at.get("window"), 0))
    if window is None or (op is ops.MeanPool and padding):
        return None
    extra = {"padding": padding} if op is ops.MaxPool else {}
    index = site.add(op(_tuple(window), _tuple(stride), **extra), value.node)
    if site.graph.shape(index).positions != shape[2:]:
        return None
    return Value(index, plain(site.body.recording.examples, shape[1], shape[2:], True))


def _tuple(given: Any) -> Any:
    return tuple(given) if isinstance(given, tuple | list) else given


def average_pool_node(site: Site) -> Value | None:
    """Translate: a mean over windows, or over all positions."""
    value, shape = site.one, site.node.shape
    if not site.node.attributes.get("adaptive"):
        return pool_node(ops.MeanPool, site)
    if not is_image(value.axes) or math.prod(shape[2:]) != 1:
        return None
    index = site.add(ops.MeanPool(), value.node)
    return Value(index, (*value.axes[:2], *(() for _ in shape[2:])))
