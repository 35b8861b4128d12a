"""What is put on the model's output: the unit head, or the user's loss; and what a cross-entropy should start at."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from varprop._validation import InputError, described
from varprop.adapters.torch.trace import tensors


@dataclass(frozen=True)
class Seed:
    """The tensor to go backward from, and what turns its gradients into per-example and batch-mean ones.

    Attributes
    ----------
    root : Tensor
        Scalar.
    per_example : float
        Factor on a gradient at an activation that makes it the gradient of that example's own loss.
    batch : float
        Factor on a parameter's gradient that makes it the gradient of the batch mean.
    independent : bool
        Whether examples have independent cotangents of mean zero, so that E|sum of gradients|² = sum of E|gradient|².
    """

    root: torch.Tensor
    per_example: float
    batch: float
    independent: bool


def main_output(output: Any) -> torch.Tensor:
    """Return the tensor that the loss is put on: ``logits`` if the output has it, else the first floating one."""
    named = getattr(output, "logits", None)
    if named is None and isinstance(output, dict):
        named = output.get("logits")
    if isinstance(named, torch.Tensor):
        return named
    floating = next((t for t in tensors(output) if t.is_floating_point()), None)
    if floating is None:
        raise InputError(
            "model", described(f"an output of type {type(output).__name__}"), "a floating tensor in it"
        )
    return floating


def unit_head(output: torch.Tensor, examples: int, generator: torch.Generator) -> Seed:
    """Put an independent N(0, 1) cotangent on every entry of `output`."""
    cotangent = torch.randn(output.shape, generator=generator, dtype=torch.float32).to(output)
    return Seed((output * cotangent).sum(), 1.0, 1.0 / examples, True)


def user_loss(output: Any, loss: Callable[[Any], torch.Tensor], examples: int) -> tuple[Seed, float]:
    """Put the user's loss on the output; a vector is taken as one loss an example, a scalar as their mean."""
    value = loss(output)
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        raise InputError(
            "loss", described(type(value).__name__), "a tensor that depends on the model's output"
        )
    number = float(value.detach().double().mean())
    if not math.isfinite(number):
        raise InputError("loss", number, "a finite loss")
    if value.dim() == 0:
        return Seed(value, float(examples), 1.0, False), number
    return Seed(value.sum(), 1.0, 1.0 / examples, False), number


def expected_start(loss: torch.Tensor, steps: int = 6) -> tuple[float, str] | None:
    """Return what an uninformed model's loss is, read off the autograd graph: log K for a softmax over K classes.

    Examples
    --------
    >>> logits = torch.zeros(4, 10, requires_grad=True)
    >>> value, why = expected_start(torch.nn.functional.cross_entropy(logits, torch.arange(4)))
    >>> round(value, 4), why
    (2.3026, 'log K of K = 10 classes')
    """
    function = loss.grad_fn
    for _ in range(steps):
        name = type(function).__name__
        if name.startswith("LogSoftmaxBackward"):
            shape = function._saved_result.shape
            axis = function._saved_dim
            axis = axis - 2**64 if axis >= 2**63 else axis
            return math.log(shape[axis]), f"log K of K = {shape[axis]} classes"
        if name.startswith("BinaryCrossEntropyWithLogits"):
            return math.log(2), "log 2 of two classes"
        following = [f for f, _ in function.next_functions if f is not None] if function is not None else []
        if not following:
            return None
        function = following[0]
    return None
