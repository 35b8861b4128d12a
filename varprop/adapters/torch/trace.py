"""See everything that runs: leaf modules by hooks, functions by a torch-function mode.

A `TorchFunctionMode` is called for every torch function while the model really runs, so that functional
activations, additions and matrix products are seen whatever the control flow around them is; a symbolic trace
would stop at the first ``if`` on a value. What stays unseen is code that does not pass through torch's
Python functions (a custom autograd function, a scripted module, a trip through NumPy); a value that comes back
from there has no known origin, and the node that reads it says so.

Hooks and mode only look: nothing they return replaces an output.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

from varprop.adapters.torch.kinds import Kind, mask_of, name_of, of_call, of_leaf
from varprop.adapters.torch.names import ROOT, Names, names_of
from varprop.spec.traced import INPUT, UNSEEN, Graph, Node

_CLOSED_LIBRARIES = ("torch.nn.modules.", "torch.nn.utils.parametrize", "torch.ao.")


@dataclass(frozen=True)
class Weight:
    """A tensor that is a parameter, or a parameter turned round."""

    name: str
    transposed: bool


Observer = Callable[[Node, torch.Tensor, tuple[torch.Tensor, ...]], None]
"""Called with a node, its output and its inputs, right after it ran."""


class Tracer(TorchFunctionMode):  # type: ignore[misc]
    """Trace one forward pass of `model` and show every node to `observe`.

    Use as a context manager around the call of the model. Nodes found in an earlier draw (`known`) keep their
    index, so that draws can be laid over each other.

    Attributes
    ----------
    nodes : dict
        From (module, kind, call) to `Node`, in order of first execution.
    owners : dict
        From the full name of a parameter to (node index, own name): the first node that used it.
    """

    def __init__(
        self,
        model: nn.Module,
        observe: Observer,
        known: dict[tuple[str, str, int], Node] | None = None,
        names: Names | None = None,
    ) -> None:
        super().__init__()
        self.nodes: dict[tuple[str, str, int], Node] = dict(known or {})
        self.owners: dict[str, tuple[int, str]] = {}
        self.called: set[str] = set()
        self.stack: list[str] = []
        names = names or names_of(model)
        self._observe, self._leaves = observe, names.leaves
        self._names = names.modules
        self._parameters = {id(p): name for name, p in names.parameters}
        self._origin: dict[int, tuple[weakref.ref[torch.Tensor], int | Weight]] = {}
        self._parts: dict[int, tuple[weakref.ref[torch.Tensor], int]] = {}
        self._calls: dict[tuple[str, str], int] = {}
        self._closed = 0
        self._handles: list[Any] = []
        self._entered: list[tuple[Any, ...]] = []

    # -- context -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Tracer:
        for module in self._names:
            if isinstance(module, torch.jit.ScriptModule):
                continue  # takes no hooks; what comes out of it has no known origin, and is said to be unseen
            self._handles.append(module.register_forward_pre_hook(self._before, with_kwargs=True))
            self._handles.append(module.register_forward_hook(self._after, with_kwargs=True))
        super().__enter__()
        return self

    def __exit__(self, *failure: Any) -> None:
        super().__exit__(*failure)
        for handle in self._handles:
            handle.remove()

    def mark_inputs(self, inputs: Any) -> None:
        """Say which tensors are the model's input."""
        for tensor in tensors(inputs):
            self._own(tensor, INPUT)

    def graph(self, output: torch.Tensor) -> Graph:
        """Return what was traced, `output` being the tensor on which the loss is put."""
        last = self._origin_of(output)
        return Graph(tuple(self.nodes.values()), last if isinstance(last, int) and last > INPUT else None)

    # -- modules -----------------------------------------------------------------------------------------------

    def _before(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        with torch._C.DisableTorchFunction():
            self._enter_module(module, args, kwargs)

    def _after(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        # What is measured here must not be traced.
        with torch._C.DisableTorchFunction():
            self._leave_module(module, output)

    def _enter_module(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        name = self._names[module]
        self.called.add(name)
        self.stack.append(name)
        inputs = tuple(tensors((args, kwargs) if kwargs else args))
        sources = self._sources(inputs)
        if not sources and any(tensor.is_floating_point() for tensor in inputs):
            sources = (UNSEEN,)
        self._entered.append((inputs, sources, mask_of(module, args, kwargs)))
        if is_closed(module):
            self._closed += 1

    def _leave_module(self, module: nn.Module, output: Any) -> None:
        name, (inputs, sources, mask) = self.stack.pop(), self._entered.pop()
        closed = is_closed(module)
        self._closed -= closed
        if not self._closed and (closed or id(module) in self._leaves):
            outputs = tuple(tensors(output))
            own = tuple(
                own for own, p in module.named_parameters(recurse=closed) if id(p) in self._parameters
            )
            kind: Kind = of_leaf(module) if closed else ("opaque", {})
            if mask:
                kind = kind[0], {**kind[1], "mask": mask}
            if not closed:
                # A leaf of the user's own is open: what ran inside is in the graph, and this node only stands for it.
                inner = self._sources(outputs)
                if inner and UNSEEN not in inner:
                    kind, sources = ("reshape", {"stands_for": True}), inner
            node = self._enter(name, name_of(module), kind, sources, own, inputs, outputs)
            for own_name in own if closed else ():
                full = own_name if name == ROOT else f"{name}.{own_name}"
                self.owners.setdefault(full, (node.index, own_name))

    # -- functions ---------------------------------------------------------------------------------------------

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if self._closed:
            return result
        name = getattr(func, "__name__", "")
        if name == "__get__":
            name = getattr(func.__self__, "__name__", "")
        name = name.strip("_")
        if isinstance(result, torch.Tensor):
            self._saw(name, args, kwargs, (result,))
        elif isinstance(result, tuple | list) and any(isinstance(r, torch.Tensor) for r in result):
            self._saw(name, args, kwargs, tuple(tensors(result)))
        elif name == "setitem":
            self._saw(name, args, kwargs, (args[0],))
        return result

    def _saw(self, name: str, args: Any, kwargs: Any, outputs: tuple[torch.Tensor, ...]) -> None:
        if name in ("grad", "grad_fn", "requires_grad"):
            return
        inputs = tuple(tensors((args, kwargs) if kwargs else args))
        weights = [w for w in (self._origin_of(t) for t in inputs) if isinstance(w, Weight)]
        sources = self._sources(inputs)
        if not outputs[0].is_floating_point() or outputs[0].dim() == 0:
            # Whole numbers (tokens, masks) and scalars (a test's) carry no signal; they only keep their origin.
            for tensor in outputs if sources else ():
                self._own(tensor, sources[0])
            return
        op, attributes = of_call(name, args, kwargs)
        if not sources and len(weights) == 1 and op == "reshape":
            turned = name in ("t", "T", "mT", "transpose") and outputs[0].dim() >= 2
            for tensor in outputs:
                self._own(tensor, Weight(weights[0].name, weights[0].transposed ^ turned))
            return
        if not sources and not weights and not outputs[0].requires_grad:
            return  # a constant: a mask, a table of positions
        attributes = {**attributes, **self._weighted(op, attributes, inputs, weights), "function": True}
        op = attributes.pop("op", op)
        if op == "add" and len(sources) == 1 and (weights or "constant_mean" in attributes):
            op = "shift"
        module = self.stack[-1] if self.stack else ROOT
        self._enter(module, name, (op, attributes), sources, (), inputs, outputs)

    def _weighted(
        self, op: str, attributes: dict[str, Any], inputs: tuple[torch.Tensor, ...], weights: list[Weight]
    ) -> dict[str, Any]:
        """Attributes that come from a parameter or a constant among the inputs of a function."""
        found: dict[str, Any] = {}
        if attributes.get("matrix_product") and weights:
            turned = weights[0].transposed ^ bool(attributes["transposed"])
            found = {"op": "linear", "parameter": weights[0].name, "transposed": turned}
        elif weights and (op == "add" or attributes.get("product")):
            shape = next(tuple(t.shape) for t in inputs if isinstance(self._origin_of(t), Weight))
            found = {"parameter": weights[0].name, "parameter_shape": shape}
            found |= {"op": "scale"} if op != "add" else {}
        elif weights:
            found = {"parameter": weights[0].name}
        elif op == "add":
            for tensor in inputs:
                if self._origin_of(tensor) is None and not tensor.requires_grad:
                    value = tensor.detach().double()
                    found["constant_mean"] = float(value.mean())
                    found["constant_second_moment"] = float((value * value).mean())
        return found

    # -- bookkeeping -------------------------------------------------------------------------------------------

    def _enter(
        self,
        module: str,
        title: str,
        kind: Kind,
        sources: tuple[int, ...],
        parameters: tuple[str, ...],
        inputs: tuple[torch.Tensor, ...],
        outputs: tuple[torch.Tensor, ...],
    ) -> Node:
        call = self._calls[module, title] = self._calls.get((module, title), 0) + 1
        floating = next((tensor for tensor in outputs if tensor.is_floating_point()), None)
        key = (module, title, call)
        if key not in self.nodes:
            op, attributes = kind
            shape = tuple(floating.shape) if floating is not None else ()
            attributes = {"width": _width(shape, attributes), "outputs": len(outputs), **attributes}
            parts = tuple(self._part(tensor) for tensor in inputs if self._is_source(tensor))
            if any(parts) and len(parts) == len(sources):
                attributes["parts"] = parts
            index = len(self.nodes) + 1
            self.nodes[key] = Node(index, module, title, op, call, sources, shape, attributes, parameters)
        node = self.nodes[key]
        if "parameter" in node.attributes:
            full = node.attributes["parameter"]
            self.owners.setdefault(full, (node.index, _own_name(full, module)))
        for number, tensor in enumerate(outputs):
            self._own(tensor, node.index)
            if number and node.op == "slice":
                self._parts[id(tensor)] = (weakref.ref(tensor), number)
        if floating is not None:
            self._observe(node, floating, inputs)
        return node

    def _is_source(self, tensor: torch.Tensor) -> bool:
        return isinstance(self._origin_of(tensor), int)

    def _part(self, tensor: torch.Tensor) -> int:
        """Return which of the outputs of its node a tensor is."""
        reference, number = self._parts.get(id(tensor), (None, 0))
        return number if reference is not None and reference() is tensor else 0

    def _own(self, tensor: torch.Tensor, origin: int | Weight) -> None:
        self._origin[id(tensor)] = (weakref.ref(tensor), origin)

    def _origin_of(self, tensor: torch.Tensor) -> int | Weight | None:
        reference, origin = self._origin.get(id(tensor), (None, None))
        if reference is not None and reference() is tensor:
            return origin
        name = self._parameters.get(id(tensor))
        return Weight(name, False) if name is not None else None

    def _sources(self, inputs: tuple[torch.Tensor, ...]) -> tuple[int, ...]:
        found = []
        for tensor in inputs:
            origin = self._origin_of(tensor)
            if isinstance(origin, int):
                found.append(origin)
            elif origin is None and tensor.requires_grad:
                found.append(UNSEEN)
        return tuple(found)


def _own_name(full: str, module: str) -> str:
    """Return a parameter's name within its module (Keras separates by slashes)."""
    return full.removeprefix(module)[1:] if full.startswith((f"{module}.", f"{module}/")) else full


def is_closed(module: nn.Module) -> bool:
    """Whether a module is one thing for an audit: torch's own leaves, attention, and what cannot be opened."""
    if isinstance(module, nn.MultiheadAttention | torch.jit.ScriptModule):
        return True
    library = f"{type(module).__module__}.".startswith(_CLOSED_LIBRARIES)
    return library and all(name == "parametrizations" for name, _ in module.named_children())


def tensors(tree: Any) -> Iterator[torch.Tensor]:
    """Yield every tensor in nested tuples, lists, dictionaries and output classes."""
    if isinstance(tree, torch.Tensor):
        yield tree
        return
    if isinstance(tree, tuple) and all(isinstance(part, torch.Tensor) for part in tree):
        yield from tree  # most calls; the general way below costs more than many a layer
        return
    for leaf in _pytree.tree_leaves(tree):
        if isinstance(leaf, torch.Tensor):
            yield leaf
        elif hasattr(leaf, "__dataclass_fields__"):
            yield from tensors(vars(leaf))


def _width(shape: tuple[int, ...], attributes: dict[str, Any]) -> int:
    if len(shape) < 2:
        return 1
    return int(shape[attributes.get("channel_axis", -1)])
