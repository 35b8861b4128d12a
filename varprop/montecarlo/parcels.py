"""Plans as they travel to other processes: the functions of a notebook, lambdas and closures come along by value.

What a worker can import travels by its name, and the worker makes sure that its own copy does the same.
"""

from __future__ import annotations

import contextlib
import functools
import io
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from varprop._code_names import is_known, named
from varprop._validation import InputError, described, show
from varprop.activations import Activation
from varprop.initializers import Initializer

if TYPE_CHECKING:
    from varprop.montecarlo.blocks import Plan
    from varprop.spec import Network


@dataclass(frozen=True)
class Parcel:
    """A plan in bytes, packed once and opened once by every worker process.

    Parameters
    ----------
    data : bytes
        What `pack` made; it comes from the process that asks for the work, as the call itself does.
    """

    data: bytes = field(repr=False)

    def open(self) -> Plan:
        """Return the plan.

        Raises
        ------
        InputError
            If this process cannot import what the plan refers to, or has another version of it.
        """
        return _opened(self.data)


def pack(plan: Plan) -> Parcel:
    """Return the plan as bytes for other processes.

    Raises
    ------
    InputError
        If it holds something that no other process could have, such as an open file.

    Examples
    --------
    >>> from varprop.montecarlo.planning import make_plan
    >>> from varprop.spec import mlp
    >>> plan = make_plan(mlp("4,4", lambda z: z / 2, "he_normal"))
    >>> pack(plan).open().network == plan.network
    True
    """
    try:
        with _by_value(_lost_modules(plan)):
            return Parcel(_dumps(plan))
    except Exception as error:  # whatever an object raises on being taken apart
        reason = f"{type(error).__name__}: {show(str(error), 120)}"
        found = described(f"other processes, to which {show(plan.network.case)} cannot be sent ({reason})")
        raise InputError(
            "executor", found, "1 or threads, or functions and laws that can be pickled"
        ) from None


@functools.lru_cache(maxsize=32)
def _opened(data: bytes) -> Plan:
    try:
        plan: Plan = pickle.loads(data)
    except InputError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {show(str(error), 120)}"
        found = described(f"a worker that cannot load a function or law of the network ({reason})")
        raise InputError(
            "executor", found, "workers that can import the same modules as this process"
        ) from error
    for made in _made(plan.network):
        if made.origin is not None:
            made.origin.check_unchanged()
    return plan


def _dumps(plan: Plan) -> bytes:
    """Pickle functions by value where need be, and the two common wrappers that cloudpickle leaves out."""
    import cloudpickle

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
        dispatch_table: ClassVar = ChainMap(
            {np.vectorize: _vectorized, functools._lru_cache_wrapper: _cached},
            cloudpickle.CloudPickler.dispatch_table,
        )

    buffer = io.BytesIO()
    Pickler(buffer).dump(plan)
    return buffer.getvalue()


def _vectorized(thing: Any) -> tuple[Any, ...]:
    # Once used it holds a compiled function, which is made again.
    return np.vectorize, (thing.pyfunc, thing.otypes, None, thing.excluded, thing.cache, thing.signature)


def _cached(thing: Any) -> str | tuple[Any, ...]:
    if named(thing.__module__, thing.__qualname__) is thing and thing.__module__ != "__main__":
        return str(getattr(thing, "__qualname__", ""))
    options = thing.cache_parameters()
    return _cached_again, (thing.__wrapped__, options["maxsize"], options["typed"])


def _cached_again(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    return functools.lru_cache(maxsize, typed)(function)


def _lost_modules(plan: Plan) -> list[ModuleType]:
    """Return the modules that are loaded here and that another process would not find, if functions come along."""
    if all(m.origin is None for m in _made(plan.network)):
        return []
    tops = {name.partition(".")[0] for name in sys.modules}
    lost = {top for top in tops if not is_known(top) and _is_lost(top)}
    return [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in lost]


def _made(network: Network) -> Iterator[Activation | Initializer]:
    """Yield the activations and initializers that a network is made of."""
    if network.is_chain:
        for layer in network.layers:
            yield from (layer.activation, layer.weights, layer.biases)
        return
    for node in network.graph.nodes:
        held = (getattr(node.op, item.name) for item in fields(node.op))
        yield from (value for value in held if isinstance(value, Activation | Initializer))


def _is_lost(top: str) -> bool:
    if top == "__main__" or getattr(sys.modules.get(top), "__file__", None) is None:
        return False  # the script's own functions always travel by value
    try:
        return PathFinder.find_spec(top) is None
    except (ImportError, ValueError):
        return True


@contextlib.contextmanager
def _by_value(modules: list[ModuleType]) -> Iterator[None]:
    import cloudpickle

    registered: Any = cloudpickle.list_registry_pickle_by_value()
    fresh = [module for module in modules if module.__name__ not in registered]
    for module in fresh:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in fresh:
            cloudpickle.unregister_pickle_by_value(module)
