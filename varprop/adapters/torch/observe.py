"""Measure one draw while it runs: every output as it appears, every gradient as it comes back."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import nn

from varprop._validation import InputError, described
from varprop.activations import Activation, activation
from varprop.adapters.recording import Recording
from varprop.adapters.torch import attention
from varprop.adapters.torch.elementwise import fractions
from varprop.adapters.torch.names import Names
from varprop.adapters.torch.statistics import (
    as_rows,
    channel_spread,
    mean_square,
    row_squares,
    tensor_moments,
)
from varprop.spec.traced import Graph, Node


class DrawObserver:
    """Observer of a `Tracer` that writes into a `Recording`.

    Parameters
    ----------
    recording : Recording
        What to write into.
    names : Names
        Of this draw's model.
    examples, axis : int
        How many examples the batch has, and along which axis.
    share : float
        See `varprop.Activation.saturation`.
    draw : int
        For messages.
    """

    def __init__(
        self, recording: Recording, names: Names, examples: int, axis: int, share: float, draw: int
    ) -> None:
        self._recording, self._names, self._draw = recording, names, draw
        self._examples, self._axis, self._share = examples, axis, share
        source = recording.source
        self._second: dict[int, float] = {} if source is None else {0: float(source.second_moment.mean())}
        self._input_squares: dict[int, torch.Tensor] = {}
        self._handles: list[Any] = []
        self.per_example = 1.0

    def __call__(self, node: Node, output: torch.Tensor, inputs: tuple[torch.Tensor, ...]) -> None:
        """Measure a node's output and listen for its gradient."""
        if node.op == "reshape" and node.attributes.get("function"):
            return
        record = self._recording
        rows = as_rows(output, self._examples, self._axis)
        with torch.no_grad():
            moments = tensor_moments(rows)
            second = float(moments.second_moment.mean())
            if not math.isfinite(second):
                self._refuse(node, output)
                return
            self._second[node.index] = second
            if node.op == "activation":
                record.add(node.index, "activation_mean", float(moments.mean.mean()))
                record.add(node.index, "activation_second_moment", second)
            else:
                record.add(node.index, "preactivation_mean", float(moments.mean.mean()))
                record.add(node.index, "preactivation_second_moment", second)
                record.add_moments(node.index, moments.mean, moments.second_moment)
                if not math.isnan(moments.data_variance):
                    record.add(node.index, "data_variance", moments.data_variance)
            self._special(node, output, inputs)
        if output.requires_grad:
            self._handles.append(output.register_hook(functools.partial(self._gradient, node)))

    def finish(self, graph: Graph) -> None:
        """Note what needs the whole draw: the growth of the residual stream at each addition."""
        for handle in self._handles:
            handle.remove()
        for node in graph.nodes:
            skip = stream(graph, node)
            if skip is not None and self._second.get(skip, 0.0) > 0 and node.index in self._second:
                ratio = self._second[node.index] / self._second[skip]
                self._recording.add(node.index, "residual_growth", ratio)

    def _special(self, node: Node, output: torch.Tensor, inputs: tuple[torch.Tensor, ...]) -> None:
        record = self._recording
        if node.op == "activation":
            # An in-place activation has already overwritten its input, which then has to be taken from the output.
            before = inputs[0] if inputs[0] is not output else None
            if before is not None:
                phi = _activation(node.attributes["activation"])
                rows = as_rows(before.detach(), self._examples, self._axis)
                for quantity, value in fractions(phi, rows, self._share):
                    record.add(node.index, quantity, value)
        elif node.op == "attention":
            record.add(node.index, "attention_logit_variance", self._logits(node, inputs))
        elif node.op == "softmax" and output.dim() >= 3 and node.attributes.get("axis") is not None:
            variance = attention.over_keys(inputs[0], node.attributes["axis"])
            record.add(node.index, "attention_logit_variance", variance)
        elif node.op == "batch_norm":
            record.add(node.index, "batch_variance", channel_spread(inputs[0], 1))
        elif node.op in ("max_pool", "average_pool") and "window" in node.attributes:
            record.add(node.index, "site_correlation", site_correlation(node.attributes["window"], inputs[0]))
        elif node.op == "linear" and inputs[0].dim() == 2 and not node.attributes.get("function"):
            self._input_squares[node.index] = row_squares(inputs[0])

    def _logits(self, node: Node, inputs: tuple[torch.Tensor, ...]) -> float:
        if node.attributes.get("function"):
            return attention.logits(inputs[0], inputs[1], node.attributes.get("scale"))
        return attention.module_logits(self._names.module(node.module), inputs[0], inputs[1])

    def _gradient(self, node: Node, gradient: torch.Tensor) -> None:
        record, factor = self._recording, self.per_example**2
        quantity = "gradient_activation" if node.op == "activation" else "gradient_preactivation"
        value = factor * mean_square(gradient)
        if not math.isfinite(value):
            raise InputError(
                node.title, described(f"a gradient that is {value}"), f"finite gradients (draw {self._draw})"
            )
        record.add(node.index, quantity, value)
        squares = self._input_squares.get(node.index)
        if squares is not None:
            back = row_squares(gradient)
            entries = gradient.shape[1] * squares.shape[0]
            inputs = self._names.module(node.module).in_features
            record.add(
                node.index, "gradient_weight", factor * float(back @ squares) / (entries * inputs), "weight"
            )
            if "bias" in node.parameters:
                record.add(node.index, "gradient_bias", factor * float(back.sum()) / entries, "bias")

    def _refuse(self, node: Node, output: torch.Tensor) -> None:
        if node.attributes.get("function"):
            # A mask of minus infinities is ordinary; what matters arrives at a module or at the output.
            self._recording.note(f"not measured, because not finite: {node.title}")
            return
        kind = "nan" if bool(torch.isnan(output).any()) else "inf"
        raise InputError(
            node.title, described(f"an output with {kind}"), f"a finite output (draw {self._draw})"
        )


@functools.lru_cache(maxsize=64)
def _activation(spelling: str) -> Activation:
    # One object per spelling: it keeps its saturation set once that is found.
    return activation(spelling)


def stream(graph: Graph, node: Node) -> int | None:
    """Return the skip source of a residual addition: the source from which the other one was computed."""
    if node.op != "add" or len(node.sources) != 2 or min(node.sources) < 0:
        return None
    first, second = node.sources
    if first != second and first in graph.ancestors(second):
        return first
    if first != second and second in graph.ancestors(first):
        return second
    return None


def site_correlation(window: Any, inputs: torch.Tensor) -> float:
    """Return the mean normalised second moment of two sites of one pooling window."""
    axes = inputs.dim() - 2
    sizes = tuple(window) if isinstance(window, tuple | list) else (window,) * axes
    average = (nn.functional.avg_pool1d, nn.functional.avg_pool2d, nn.functional.avg_pool3d)[axes - 1]
    count = math.prod(sizes)
    whole = mean_square(inputs)
    if count < 2 or whole == 0:
        return 0.0
    return float((count * mean_square(average(inputs.detach(), sizes)) / whole - 1) / (count - 1))
