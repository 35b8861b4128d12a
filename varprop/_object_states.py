"""What distinguishes an object from others of its class, and a class from others."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from varprop._validation import InputError, described, show

HOOK = "__varprop_digest__"
"""Attribute by which an object says what it is: text, bytes or a number."""

_HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE
# What Python writes into a class that says nothing about what it does, or depends on where it stands.
_ABOUT_CLASSES = frozenset(
    (
        "__module__", "__qualname__", "__name__", "__dict__", "__weakref__", "__doc__", "__firstlineno__",
        "__static_attributes__", "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__",
        "__abstractmethods__", "_abc_impl", "__orig_bases__", "__parameters__", "__match_args__",
        "__dataclass_fields__", "__dataclass_params__", "__type_params__", "__slotnames__", "__orig_class__",
    )
)  # fmt: skip


def is_python(kind: type) -> bool:
    """Say whether a class was made by a class statement or `type`, not by compiled code."""
    return bool(kind.__flags__ & _HEAP)


def members_of(kind: type) -> dict[str, Any]:
    """Return what a class statement has put into a class."""
    # A slot stands in __slots__; classes that travel by value lose its descriptor.
    said = {k: v for k, v in sorted(vars(kind).items()) if k not in _ABOUT_CLASSES}
    return {k: v for k, v in said.items() if not isinstance(v, types.MemberDescriptorType)}


def own_word(thing: object) -> object:
    """Return what an object says it is, None if it does not."""
    if isinstance(thing, type):
        return None
    try:
        word = inspect.getattr_static(thing, HOOK, None)
        if word is None:
            return None
        word = getattr(thing, HOOK)
        word = word() if callable(word) else word
    except Exception as error:
        raise InputError(HOOK, described(f"{type(error).__name__}: {show(str(error))}"), "a text") from None
    if not isinstance(word, str | bytes | int | float):
        raise InputError(HOOK, word, "a text, bytes or a number")
    return word


def state_of(thing: Any) -> object:
    """Return what distinguishes an object from others of its class, None if that cannot be said."""
    kind = type(thing)
    try:
        reduced = thing.__reduce_ex__(4)  # refused by objects of compiled classes that hide what they hold
    except Exception:
        return None
    if is_python(kind) and not _reduces(kind):
        slots = [n for base in kind.__mro__ for n in _slots(base)]
        held = {n: getattr(thing, n) for n in slots if hasattr(thing, n)}
        bare = next(base for base in kind.__mro__ if not is_python(base))
        inner = None if bare is object else _contents(thing, bare)
        cached = {
            n
            for base in kind.__mro__
            for n, v in vars(base).items()
            if isinstance(v, functools.cached_property)
        }
        own = {n: v for n, v in getattr(thing, "__dict__", {}).items() if n not in cached}
        return None if inner is _UNKNOWN else (dict(sorted((own | held).items())), inner)
    if isinstance(reduced, str):
        return reduced
    listed = [list(part) if i in (3, 4) and part is not None else part for i, part in enumerate(reduced)]
    return tuple(listed)


def _reduces(kind: type) -> bool:
    """Say whether a class has its own way to be taken apart."""
    return any(name in vars(base) for base in kind.__mro__[:-1] for name in ("__reduce__", "__reduce_ex__"))


_UNKNOWN = object()


def _contents(thing: Any, bare: type) -> object:
    """Return the value of an object whose class extends a built-in one."""
    plain: tuple[tuple[type, Callable[[Any], object]], ...] = (
        (dict, lambda t: dict(t.items())),
        (list, list),
        (tuple, tuple),
        (set, set),
        (frozenset, frozenset),
        (str, str.__str__),
        (bytes, bytes),
        (float, float.__float__),
        (int, int.__int__),
        (np.ndarray, np.asarray),
    )
    for kind, convert in plain:
        if bare is kind:
            return convert(thing)
    return _UNKNOWN


def _slots(kind: type) -> Iterable[str]:
    slots = vars(kind).get("__slots__", ())
    listed = (slots,) if isinstance(slots, str) else tuple(slots)
    return [n for n in listed if n not in ("__dict__", "__weakref__")]
