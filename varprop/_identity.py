"""What a function does, as a hash: two that could give different numbers never share one.

A name is no identity: every lambda has the same one, and a module that was edited keeps its own. What goes into the
hash is what decides the answer: bytecode, constants, defaults, closures, the globals a function refers to and the
functions it calls through them, recursively; for objects their class and state. What does not: file names, line
numbers, the names of functions and local variables, and whatever depends on the process (addresses, hash seeds).

What belongs to Python itself or to a well-known package is known by its name and that package's version, what else is
compiled by its file. An object of which none of this can be said is refused; it may say what it is in an attribute
``__varprop_digest__``. What a function reads while it runs (files, the environment) is not seen.
"""

from __future__ import annotations

import builtins
import enum
import functools
import hashlib
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from varprop import _code_names as names
from varprop import _object_states as states
from varprop._validation import InputError, described, show

_DEEPEST = 150
_LARGEST = 100_000

_PLAIN = (type(None), bool, int, str, bytes, type(Ellipsis), type(NotImplemented))
# Built-in functions through which code may get at anything.
_OPAQUE = frozenset(("eval", "exec", "compile", "open", "input", "globals", "__import__"))
_UNSTABLE = (
    np.random.Generator,
    np.random.RandomState,
    np.random.BitGenerator,
    types.GeneratorType,
    types.CoroutineType,
    types.FrameType,
    types.TracebackType,
)


def identity(thing: object, field: str = "function") -> str:
    """Return the SHA-256 of what `thing` does, in hexadecimal.

    The same in every process of one version of Python, NumPy and whatever else is called.

    Parameters
    ----------
    thing : object
        A function, lambda, partial, method, ufunc, callable object, or any value that such a thing may hold.
    field : str
        What to call it in an error message.

    Raises
    ------
    InputError
        If it holds something whose behaviour cannot be read: a compiled function of no installed package, an
        open file, a random generator.

    Examples
    --------
    >>> identity(lambda z: 2 * z) == identity(lambda y: 2 * y)
    True
    >>> identity(lambda z: 2 * z) == identity(lambda z: 2.0 * z)
    False
    """
    reader = _Reader(field)
    try:
        reader.read(thing)
    except RecursionError:
        raise reader.refusal(thing, "nested too deeply") from None
    return reader.hexdigest()


class _Reader:
    """Feeds a canonical description of an object to a hash."""

    def __init__(self, field: str) -> None:
        self.field = field
        self._hashes = [hashlib.sha256()]
        self._path: dict[int, int] = {}  # what is being read, by address: its depth
        self._lowest = sys.maxsize  # least depth that what was just read refers back to
        self._read: dict[int, str] = {}
        self._kept: list[object] = []  # so that no address is used twice

    def hexdigest(self) -> str:
        return self._hashes[0].hexdigest()

    def refusal(self, thing: object, why: str) -> InputError:
        found = described(f"{show(thing, 80)} ({why})")
        return InputError(
            self.field,
            found,
            f"what can be told apart from other functions: Python code, plain data, what a package "
            f"names, or an attribute {states.HOOK} (a text that changes whenever the function does)",
        )

    def read(self, thing: object) -> None:
        if isinstance(thing, _PLAIN) and type(thing) in _PLAIN:
            self._say(type(thing).__name__, repr(thing))
            return
        if type(thing) is float:
            self._say("float", thing.hex())
            return
        if type(thing) is complex:
            self._say("complex", thing.real.hex(), thing.imag.hex())
            return
        key = id(thing)
        if key in self._path:
            self._lowest = min(self._lowest, self._path[key])
            self._say("again", str(len(self._path) - self._path[key]))
        elif key in self._read:
            self._say("part", self._read[key])
        else:
            self._say("part", self._part(thing))

    def _part(self, thing: object) -> str:
        """Return the hash of a part; equal parts have equal ones, whether or not they are one object."""
        depth, before = len(self._path), self._lowest
        self._kept.append(thing)
        if depth > _DEEPEST or len(self._kept) > _LARGEST:
            raise self.refusal(thing, "too much to read")
        self._path[id(thing)] = depth
        self._hashes.append(hashlib.sha256())
        self._lowest = sys.maxsize
        self._read_compound(thing)
        part = self._hashes.pop().hexdigest()
        del self._path[id(thing)]
        if self._lowest >= depth:  # it refers to nothing that is still being read
            self._read[id(thing)] = part
            self._lowest = sys.maxsize
        self._lowest = min(self._lowest, before)
        return part

    def _say(self, *words: str) -> None:
        for word in words:
            data = word.encode("utf-8", "surrogatepass")
            self._hashes[-1].update(f"{len(data)}:".encode() + data)

    def _all(self, kind: str, things: Iterable[object]) -> None:
        listed = list(things)
        self._say(kind, str(len(listed)))
        for thing in listed:
            self.read(thing)

    def _read_compound(self, thing: Any) -> None:
        own = states.own_word(thing)
        if own is not None:
            self._say("own word", type(own).__name__, repr(own))
        elif isinstance(thing, types.ModuleType):
            self._module(thing)
        elif isinstance(thing, type):
            self._class(thing)
        elif isinstance(thing, types.CodeType):
            self._code(thing)
        elif isinstance(thing, types.FunctionType):
            self._function(thing)
        elif isinstance(thing, types.MethodType):
            self._all("method", (thing.__func__, thing.__self__))
        elif isinstance(thing, types.BuiltinFunctionType):
            self._builtin(thing)
        elif isinstance(thing, np.ufunc):
            self._ufunc(thing)
        elif isinstance(thing, functools.partial):
            self._all("partial", (thing.func, thing.args, thing.keywords))
        elif isinstance(
            thing, types.WrapperDescriptorType | types.MethodDescriptorType | types.ClassMethodDescriptorType
        ):
            self._all("descriptor", (thing.__objclass__, thing.__name__))
        elif isinstance(thing, types.MethodWrapperType):
            self._all("method", (thing.__name__, thing.__self__))
        elif isinstance(thing, types.MemberDescriptorType | types.GetSetDescriptorType):
            self._say("slot", thing.__name__)
        elif isinstance(thing, staticmethod | classmethod):
            self._all(type(thing).__name__, (thing.__func__,))
        elif isinstance(thing, functools.cached_property):
            self._all("cached property", (thing.func,))
        elif isinstance(thing, property):
            self._all("property", (thing.fget, thing.fset))
        elif isinstance(thing, types.CellType):
            self._cell(thing)
        else:
            self._data(thing)

    def _data(self, thing: Any) -> None:
        kind = type(thing)
        if kind in (tuple, list):
            self._all(kind.__name__, thing)
        elif kind in (dict, types.MappingProxyType):
            self._all("dict", (part for pair in thing.items() for part in pair))
        elif kind in (set, frozenset):
            self._all(kind.__name__, sorted(identity(item, self.field) for item in thing))
        elif kind in (slice, range):
            self._all(kind.__name__, (thing.start, thing.stop, thing.step))
        elif isinstance(thing, np.dtype):
            self._say("dtype", str(thing), repr(thing.descr))
        elif isinstance(thing, np.ndarray | np.generic) and not np.asarray(thing).dtype.hasobject:
            array = np.ascontiguousarray(thing)
            self._say(
                kind.__name__,
                array.dtype.str,
                str(np.shape(thing)),
                hashlib.sha256(array.tobytes()).hexdigest(),
            )
        elif isinstance(thing, enum.Enum):
            self._all("enum", (kind, thing.name))
        elif isinstance(thing, _UNSTABLE):
            raise self.refusal(thing, "its state changes while it is used")
        else:
            self._instance(thing)

    def _module(self, module: types.ModuleType) -> None:
        self._say("module", module.__name__, *names.version_of(module.__name__))

    def _class(self, kind: type) -> None:
        module = kind.__module__
        if names.is_known(module) and (
            names.named(module, kind.__qualname__) is kind or not states.is_python(kind)
        ):
            self._say("class", module, kind.__qualname__, *names.version_of(module))
        elif not states.is_python(kind):
            self._compiled(kind, module, kind.__qualname__)
        else:
            self._all("class", (kind.__bases__, type(kind), states.members_of(kind)))

    def _compiled(self, thing: object, module: str, name: str) -> None:
        """Tell compiled things apart by their names and the file they come from."""
        file = names.file_digest(module)
        if file is None:
            raise self.refusal(thing, "compiled, of no known package and no file")
        self._say("compiled", module, name, file)

    def _function(self, function: types.FunctionType) -> None:
        module, name = function.__module__ or "", function.__qualname__
        if names.is_known(module) and names.named(module, name) is function:
            self._say("named", module, name, *names.version_of(module))
            return
        code = function.__code__
        self._all("function", (code, function.__defaults__, function.__kwdefaults__, function.__closure__))
        self._all("attributes", (vars(function),))
        self._globals(code, function.__globals__)

    def _globals(self, code: types.CodeType, space: Mapping[str, Any]) -> None:
        """Read what the code and the code within it refer to by name."""
        used = sorted(names.globals_of(code))
        modules = {name: space[name] for name in used if isinstance(space.get(name), types.ModuleType)}
        modules |= {
            n: found for n in names.imported_by(code) if (found := names.import_quietly(n)) is not None
        }
        own = {name for name, module in modules.items() if not names.is_known(module.__name__)}
        for name in used:
            self._say("global", name)
            if name in space:
                self.read(space[name])
            elif not hasattr(builtins, name):
                self._say("missing")
            elif name in _OPAQUE or (own and name in ("getattr", "vars")):
                raise self.refusal(getattr(builtins, name), "what code gets through it cannot be read")
        for name in sorted(own):
            # A module of the user's own is known by what is taken from it.
            self._taken_from(modules[name], names.names_of(code), set())

    def _taken_from(self, module: types.ModuleType, used: set[str], done: set[str]) -> None:
        done.add(module.__name__)
        for name in sorted(used & set(vars(module))):
            self._say("from", module.__name__, name)
            found = vars(module)[name]
            self.read(found)
            nested = isinstance(found, types.ModuleType) and not names.is_known(found.__name__)
            if nested and found.__name__ not in done:
                self._taken_from(found, used, done)

    def _code(self, code: types.CodeType) -> None:
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        self._say("code", *map(str, counts), code.co_code.hex(), code.co_exceptiontable.hex())
        # Local variables enter by their places only; those that callers may name, by their names.
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        keywords = arguments[1:] if code.co_argcount else arguments
        self._all("names", (code.co_names, keywords, len(code.co_freevars), len(code.co_cellvars)))
        self._all("constants", code.co_consts)

    def _cell(self, cell: types.CellType) -> None:
        try:
            contents = cell.cell_contents
        except ValueError:
            self._say("empty cell")
        else:
            self._all("cell", (contents,))

    def _builtin(self, function: types.BuiltinFunctionType) -> None:
        owner = function.__self__
        if owner is not None and not isinstance(owner, types.ModuleType):
            self._all("bound", (function.__name__, owner))
            return
        module = function.__module__ or getattr(owner, "__name__", "")
        if names.is_known(module):
            self._say("named", module, function.__qualname__, *names.version_of(module))
        else:
            self._compiled(function, module, function.__qualname__)

    def _ufunc(self, ufunc: np.ufunc) -> None:
        for home in ("numpy", "scipy.special"):
            if getattr(sys.modules.get(home), ufunc.__name__, None) is ufunc:
                self._say("ufunc", home, ufunc.__name__, *names.version_of(home))
                return
        raise self.refusal(ufunc, "a ufunc that neither NumPy nor SciPy names")

    def _instance(self, thing: Any) -> None:
        inner = getattr(thing, "py_func", None)
        if isinstance(inner, types.FunctionType) and type(thing).__module__.startswith("numba"):
            self._all("numba", (inner, sorted(map(str, getattr(thing, "targetoptions", {}).items()))))
            return
        wrapped = getattr(thing, "__wrapped__", None)
        if callable(wrapped) and type(thing).__module__ == "functools":
            self._all("cached", (wrapped,))
            return
        module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
        if (
            callable(thing)
            and isinstance(module, str)
            and isinstance(name, str)
            and names.named(module, name) is thing
        ):
            if names.is_known(module):
                self._say("named", module, name, *names.version_of(module))
                return
            if type(thing).__name__ in ("cython_function_or_method", "fused_cython_function"):
                self._compiled(thing, module, name)
                return
        if isinstance(thing, np.vectorize):  # the rest of its state is a cache
            self._all("vectorize", (thing.pyfunc, thing.otypes, thing.signature, thing.excluded))
            return
        if hasattr(thing, "_original_parameters") and type(thing).__module__.startswith("scipy.stats"):
            self._all("distribution", (type(thing), thing._original_parameters))
            return
        kind = getattr(thing, "dist", thing)
        if hasattr(kind, "_updated_ctor_param") and type(thing).__module__.startswith("scipy.stats"):
            # Beside these there are caches and a generator of its own, which is not used.
            held = [getattr(thing, name, None) for name in ("args", "kwds", "xk", "pk")]
            self._all("distribution", (type(thing), type(kind), kind._updated_ctor_param(), held))
            return
        state = states.state_of(thing)
        if state is None:
            raise self.refusal(thing, f"a {type(thing).__name__}, which does not say what it holds")
        self._all("object", (type(thing), state))
