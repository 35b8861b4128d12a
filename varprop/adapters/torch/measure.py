"""Run a torch model over several draws, forward and backward, and write down what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from varprop._validation import InputError, described
from varprop.adapters.recording import InputMoments, Recording
from varprop.adapters.torch import draws as drawing
from varprop.adapters.torch.batches import Batch, floating, prepare, run_forward
from varprop.adapters.torch.fans import dense_fans, fans
from varprop.adapters.torch.laws import Sample, name_law
from varprop.adapters.torch.losses import Seed, expected_start, main_output, unit_head, user_loss
from varprop.adapters.torch.names import ROOT, Names, check_backend, is_keras, names_of
from varprop.adapters.torch.observe import DrawObserver
from varprop.adapters.torch.parameters import copies, fans_of_bias, tracer_linear, uncalled
from varprop.adapters.torch.preserve import random_state
from varprop.adapters.torch.statistics import mean_and_std, mean_square, tensor_moments
from varprop.adapters.torch.trace import Tracer, tensors
from varprop.spec.traced import Graph, Node

_LAW_ENTRIES = 200_000
"""Entries of a parameter after which its law is known well enough."""

Alteration = Callable[[nn.Module], None]


def measure(
    model: Any,
    inputs: Any,
    *,
    draws: int,
    seed: int,
    loss: Callable[[Any], torch.Tensor] | None,
    share: float,
    mode: str | None,
    axis: int,
    alter: Alteration | None = None,
) -> Recording:
    """Measure a model, or what a factory builds, over `draws` draws; everything is left as found.

    Parameters
    ----------
    model : Module or callable
        See `varprop.audit`.
    inputs : Tensor, ndarray, tuple or dict
        One batch.
    alter : callable, optional
        Changes the model after each draw, before it is measured (a dry run of an advice).

    Returns
    -------
    Recording
    """
    recording = Recording(_case(model))
    with random_state(), torch.enable_grad():
        check_backend(model, "model")
        if isinstance(model, nn.Module):
            model = drawing.check_model(getattr(model, "_orig_mod", model))
            models = drawing.from_instance(model, draws, seed, recording.note)
        elif callable(model):
            models = drawing.from_factory(model, draws, seed)
        else:
            raise InputError(
                "model", described(type(model).__name__), "a torch.nn.Module or a function that builds one"
            )
        run = _Run(recording, inputs, seed, loss, share, mode, axis, alter)
        # Closing the generator is what puts an instance back when a draw fails.
        try:
            for draw, drawn in enumerate(models):
                run.draw(draw, drawn)
        finally:
            models.close()  # type: ignore[attr-defined]
    run.close()
    return recording


class _Run:
    """The state that goes from draw to draw."""

    def __init__(
        self, recording: Recording, inputs: Any, seed: int, loss: Any, share: float, mode: str | None, axis: int,
        alter: Alteration | None,
    ) -> None:  # fmt: skip
        self._recording, self._inputs, self._seed, self._loss = recording, inputs, seed, loss
        self._share, self._mode, self._axis, self._alter = share, mode, axis, alter
        self._nodes: dict[tuple[str, str, int], Node] = {}
        self._samples: dict[tuple[int, str], Sample] = {}
        self._fans: dict[tuple[int, str], Any] = {}
        self._output: int | None = None

    def draw(self, index: int, model: nn.Module) -> None:
        if self._mode is not None:
            model.train(self._mode == "train")
        if self._alter is not None:
            self._alter(model)
        names = names_of(model)
        batch = prepare(self._inputs, model, self._axis, self._recording.note)
        if names.keras:
            batch = replace(batch, kwargs={**batch.kwargs, "training": self._mode == "train"})
        first = index == 0
        if first:
            self._describe(model, names, batch)
        observer = DrawObserver(self._recording, names, batch.examples, self._axis, self._share, index + 1)
        tracer = Tracer(model, observer, self._nodes, names)
        tracer.mark_inputs((batch.args, dict(batch.kwargs)))
        output = run_forward(model, batch, tracer)
        main = main_output(output)
        if not bool(torch.isfinite(main).all()):
            raise InputError(
                ROOT, described("an output that is not finite"), f"a finite output (draw {index + 1})"
            )
        graph = tracer.graph(main)
        self._nodes, self._output = tracer.nodes, graph.output if first else self._output
        head = self._head(output, main, batch, index, graph)
        observer.per_example = head.per_example
        named = [(n, p) for n, p in names.parameters if p.requires_grad]
        wanted = [p for _, p in named] + list(batch.leaves)
        if wanted and head.root.requires_grad:
            found = torch.autograd.grad(head.root, wanted, allow_unused=True)
            self._parameters_back(named, found[: len(named)], tracer, head, batch.examples)
            self._inputs_back(found[len(named) :], head)
        else:
            self._recording.note("no gradient: nothing that the output depends on requires one")
        observer.finish(graph)
        self._parameters(model, names, tracer, first)

    def close(self) -> None:
        """Put together what all draws have shown."""
        self._recording.graph = Graph(tuple(self._nodes.values()), self._output)
        for (index, name), sample in self._samples.items():
            law = name_law(sample, self._fans.get((index, name)), bias="bias" in name)
            self._recording.laws[index, name] = law

    def _head(self, output: Any, main: torch.Tensor, batch: Batch, index: int, graph: Graph) -> Seed:
        if self._loss is None:
            generator = torch.Generator().manual_seed(drawing.draw_seed(self._seed, index) ^ 1)
            return unit_head(main, batch.examples, generator)
        head, value = user_loss(output, self._loss, batch.examples)
        last = graph.output or len(graph.nodes)
        self._recording.add(last, "initial_loss", value)
        self._recording.loss_start = expected_start(head.root)
        return head

    def _parameters_back(
        self, named: list[tuple[str, nn.Parameter]], found: Iterable[torch.Tensor | None], tracer: Tracer, head: Seed,
        examples: int,
    ) -> None:  # fmt: skip
        for (name, _), gradient in zip(named, found, strict=True):
            if name not in tracer.owners or gradient is None:
                continue
            node, own = tracer.owners[name]
            what = "gradient_bias" if "bias" in own else "gradient_weight"
            square = mean_square(gradient.to_dense() if gradient.is_sparse else gradient)
            self._recording.add(node, f"{what}_batch", square * head.batch**2, own)
            exact = tracer_linear(tracer, node)
            if head.independent and not exact:
                self._recording.add(node, what, square / examples, own)

    def _inputs_back(self, found: Iterable[torch.Tensor | None], head: Seed) -> None:
        known = [gradient for gradient in found if gradient is not None]
        if known and self._nodes:
            value = head.per_example**2 * mean_square(known[0])
            self._recording.add(1, "gradient_input", value)

    def _parameters(self, model: nn.Module, names: Names, tracer: Tracer, first: bool) -> None:
        unused, frozen = [], []
        for name, parameter in names.parameters:
            if name not in tracer.owners:
                unused.append(name)
                continue
            key = tracer.owners[name]
            mean, spread = mean_and_std(parameter.detach())
            self._recording.add(key[0], "parameter_mean", mean, key[1])
            self._recording.add(key[0], "parameter_std", spread, key[1])
            sample = self._samples.setdefault(key, Sample())
            if sample.count < _LAW_ENTRIES:
                sample.add(parameter, _LAW_ENTRIES)
            if first:
                self._note_fans(model, key, name, parameter)
                frozen += [] if parameter.requires_grad else [name]
        if first:
            leaves = [] if names.keras else uncalled(model, tracer.called)
            for what, listed in (("modules never called", leaves), ("parameters never used", unused)):
                if listed:
                    self._recording.note(f"{what}: {drawing._listed(listed)}")
            if frozen:
                self._recording.note(f"frozen (no gradient): {drawing._listed(frozen)}")

    def _note_fans(self, model: nn.Module, key: tuple[int, str], name: str, parameter: nn.Parameter) -> None:
        node = list(self._nodes.values())[key[0] - 1]
        if node.attributes.get("function"):
            linear = node.op == "linear" and parameter.dim() >= 2
            found = dense_fans(parameter, bool(node.attributes["transposed"])) if linear else None
            if found is not None and is_keras(model):
                # Keras counts the fans of its (in, out) kernels as they are.
                found = replace(found, stated_in=found.fan_in, stated_out=found.fan_out)
        else:
            path, _, own = name.rpartition(".")
            found = fans(model.get_submodule(path), own, parameter)
        torch_bias = found is None and "bias" in key[1] and not node.attributes.get("function")
        bias_fans = fans_of_bias(model, name) if torch_bias else None
        self._fans[key] = found or bias_fans
        if found is None:
            return
        facts = {
            "fan_in": found.fan_in,
            "fan_out": found.fan_out,
            "fan_in_stated": found.stated_in,
            "fan_out_stated": found.stated_out,
            "fan_in_factor": found.fan_in / found.stated_in,
            "fan_out_factor": found.fan_out / found.stated_out,
        }
        for quantity, value in facts.items():
            self._recording.facts[key[0], key[1], quantity] = value

    def _describe(self, model: nn.Module, names: Names, batch: Batch) -> None:
        modes = {module.training for module in model.modules()}
        self._recording.note({(True,): "mode: training", (False,): "mode: evaluation"}.get(
            tuple(modes), "mode: training in some modules, evaluation in others"))  # fmt: skip
        sample = floating(model)
        self._recording.examples, self._recording.axis = batch.examples, self._axis
        given = list(tensors((batch.args, dict(batch.kwargs))))
        if len(given) == 1 and not given[0].is_floating_point() and given[0].dim() == 2 and not self._axis:
            self._recording.tokens = given[0].cpu().numpy().astype(np.float64)
        self._recording.copies = copies(names)
        if self._recording.copies:
            twins = drawing._listed([" = ".join(group[:3]) for group in self._recording.copies], 2)
            self._recording.note(f"born with the same weights: {twins}")
        self._recording.note(f"{str(sample.dtype).removeprefix('torch.')} on {sample.device}")
        if batch.leaves:
            values = batch.leaves[0].detach()
            array = values.double().cpu().numpy()
            array = np.moveaxis(array, self._axis, 0) if self._axis else array
            rows = torch.from_numpy(np.ascontiguousarray(array)).reshape(batch.examples, -1)
            found = tensor_moments(rows)
            self._recording.source = InputMoments(array, found.mean, found.second_moment, found.data_variance)


def _case(model: Any) -> str:
    return type(model).__name__ if isinstance(model, nn.Module) else getattr(model, "__name__", "model")
