"""Two functions that could give different numbers never share a digest; one function has one digest everywhere."""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import operator
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import scipy.special
import scipy.stats

import varprop as vp
from varprop._identity import identity
from varprop._validation import InputError
from varprop.initializers import laws
from varprop.montecarlo import simulate_network
from varprop.spec import Study, half_on, mlp, parse_study, write_study


def made(source: str, name: str = "f", **space):
    """Return what `source` defines, as code of a module of its own."""
    module = types.ModuleType("somebodys")
    vars(module).update(space)
    sys.modules["somebodys"] = module  # where dataclasses look for their module
    try:
        exec(compile(source, "/anywhere/somebodys.py", "exec"), vars(module))
    finally:
        del sys.modules["somebodys"]
    return vars(module)[name]


HELPER = "def g(z):\n    return z * {}\ndef f(z):\n    return g(z)\n"
CLASS = "class C:\n    k = {}\n    def __call__(self, z):\n        return z * self.k\nf = C()\n"
NESTED = "def f(z):\n    def inner(y):\n        return y + {}\n    return inner(z)\n"
CLOSURE = "def make(k):\n    return lambda z: z * k\nf = make({})\n"
DEFAULT = "def f(z, k={}):\n    return z * k\n"
KEYWORD = "def f(z, *, k={}):\n    return z * k\n"
TABLE = "import numpy as np\nT = [0.0, {}]\ndef f(z):\n    return np.interp(z, [0, 1], T)\n"
SETTINGS = "class S: pass\ns = S()\ns.slope = {}\ndef f(z):\n    return z * s.slope\n"
PARTIAL = "import functools\ndef g(z, k):\n    return z * k\nf = functools.partial(g, k={})\n"
METHOD = (
    "class C:\n    def __init__(self, k):\n        self.k = k\n"
    "    def m(self, z):\n        return z * self.k\nf = C({}).m\n"
)
WRAPPED = (
    "import functools\ndef by(k):\n    def deco(g):\n        @functools.wraps(g)\n        def w(z):\n"
    "            return g(z) * k\n        return w\n    return deco\n@by({})\ndef f(z):\n    return z\n"
)
SLOTS = "class C:\n    __slots__ = ('k',)\n    def __call__(self, z):\n        return z * self.k\nf = C()\nf.k = {}\n"
BASE = (
    "class B:\n    def k(self):\n        return {}\n"
    "class C(B):\n    def __call__(self, z):\n        return z * self.k()\nf = C()\n"
)
PROPERTY = (
    "class C:\n    @property\n    def k(self):\n        return {}\n"
    "    def __call__(self, z):\n        return z * self.k\nf = C()\n"
)
DATACLASS = (
    "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass C:\n    k: float = 0.0\n"
    "    def __call__(self, z):\n        return z * self.k\nf = C({})\n"
)
ATTRIBUTE = "def f(z):\n    return z * f.k\nf.k = {}\n"
RECURSIVE = "def f(z, n=3):\n    return z if n == 0 else {} * f(z, n - 1)\n"
MUTUAL = "def f(z, n=3):\n    return g(z, n)\ndef g(z, n):\n    return z * {} if n == 0 else f(z, n - 1)\n"
VECTORIZED = "import numpy as np\ndef g(z):\n    return z * {}\nf = np.vectorize(g, otypes=[float])\n"
CACHED = "import functools\n@functools.lru_cache\ndef k():\n    return {}\ndef f(z):\n    return z * k()\n"
TEMPLATES = {k: v for k, v in list(globals().items()) if k.isupper() and isinstance(v, str)}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_changed_number_anywhere_changes_the_digest(name):
    text = TEMPLATES[name]
    found = [identity(made(text.format(k))) for k in ("0.5", "0.25", "1", "1.0", "-0.0", "0.0")]
    assert len(set(found)) == len(found)
    assert found[0] == identity(made(text.format("0.5")))


@pytest.mark.parametrize("name", TEMPLATES)
def test_lines_names_of_files_and_use_do_not(name):
    moved = made("\n\n# moved\n" + TEMPLATES[name].format("0.5"))
    first = identity(moved)
    assert first == identity(made(TEMPLATES[name].format("0.5")))
    moved(np.array([0.5, 1.0]))
    assert first == identity(moved)


def test_names_of_local_variables_do_not():
    assert identity(made("def f(z):\n    a = 2 * z\n    return a + 1\n")) == identity(
        made("def h(x):\n    b = 2 * x\n    return b + 1\n", "h")
    )


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (np.tanh, np.sinh),
        (scipy.special.expit, scipy.special.erf),
        (math.erf, math.erfc),
        (operator.neg, operator.pos),
        (lambda z: z + 1, lambda z: z - 1),
        (lambda z: np.tanh(z), lambda z: np.sinh(z)),
        (lambda z: z if z is None else 1, lambda z: z if z is not None else 1),
        (functools.partial(np.clip, a_min=0), functools.partial(np.clip, a_max=0)),
        (functools.partial(np.power, 2), functools.partial(np.power, 2.0)),
        (np.poly1d([1, 2]), np.poly1d([2, 1])),
        (np.polynomial.Polynomial([0, 1]), np.polynomial.Polynomial([0, 1], domain=[0, 1])),
        (np.array([1, 2]).dot, np.array([2, 1]).dot),
        (scipy.stats.t(5), scipy.stats.t(6)),
        (scipy.stats.t(5), scipy.stats.t(5, scale=2)),
        (scipy.stats.norm(), scipy.stats.laplace()),
        ([1, 2], (1, 2)),
        ({"a": 1}, {"a": True}),
        ("1", b"1"),
        (np.float32(1), np.float64(1)),
    ],
)
def test_different_things_differ(one, two):
    assert identity(one) != identity(two)
    assert identity(one) == identity(one)


def test_a_module_of_the_users_own_is_known_by_what_is_taken_from_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "import varprop_own\nimport varprop_own.part\n"
    source += "def f(z):\n    return varprop_own.g(z) + varprop_own.part.h(z)\n"
    inside = "def f(z):\n    from varprop_own import g\n    return g(z)\n"
    found = []
    for g, h in ((1.0, 1.0), (2.0, 1.0), (1.0, 2.0)):
        for name in ("varprop_own", "varprop_own.part"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / "varprop_own").mkdir(exist_ok=True)
        (tmp_path / "varprop_own" / "__init__.py").write_text(
            f"def g(z):\n    return z * {g}\nunused = {g + h}\n"
        )
        (tmp_path / "varprop_own" / "part.py").write_text(f"def h(z):\n    return z * {h}\n")
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            found.append((identity(made(source)), identity(made(inside))))
        finally:
            sys.dont_write_bytecode = before
    outer, inner = zip(*found, strict=True)
    assert len(set(outer)) == 3
    assert inner[0] == inner[2] != inner[1]


STABLE = """
import functools, numpy as np
from varprop._identity import identity
{lines}class C:
    words = {{"b", "a", "c"}}
    table = dict(x=1.0, y=frozenset((1, 2, 3)))
    def __call__(self, z):
        return np.tanh(z) if "a" in {{"a", "b", "c", "d"}} else self.helper(z)
    def helper(self, z, k=frozenset(("p", "q", "r"))):
        return z
def f(z):
    return C()(z) + sum(len(w) for w in C.words)
print(identity(f), identity(C()), identity(functools.partial(f, 1)))
"""


def test_the_digest_is_the_same_in_every_process(tmp_path):
    said = set()
    for seed, lines, folder in ((0, "", "a"), (1, "", "b"), (77, "\n\n# further down\n\n", "c")):
        place = tmp_path / folder
        place.mkdir()
        (place / "script.py").write_text(STABLE.format(lines=lines))
        environment = dict(os.environ) | {"PYTHONHASHSEED": str(seed)}
        ran = subprocess.run(
            [sys.executable, "script.py"],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        said.add(ran.stdout)
    assert len(said) == 1


class Said:
    def __init__(self, word, generator):
        self.__varprop_digest__ = word
        self.generator = generator

    def __call__(self, z):
        return np.tanh(z)


def test_what_cannot_be_told_apart_is_refused_in_one_line():
    generator = np.random.default_rng(0)
    for thing in (
        lambda z: z + generator.normal(),
        np.frompyfunc(math.sqrt, 1, 1),
        lambda z: eval("z"),
        sys.stdout,
        (n for n in "ab"),
    ):
        with pytest.raises(InputError, match="__varprop_digest__") as refusal:
            identity(thing)
        assert len(str(refusal.value).splitlines()) == 1
    assert identity(Said("one", generator)) != identity(Said("two", generator))
    assert identity(Said("one", generator)) == identity(Said("one", np.random.default_rng(1)))


def test_enumerations_and_dataclasses_enter_by_value():
    Colour = enum.Enum("Colour", "red green")
    Point = dataclasses.make_dataclass("Point", ["x"])
    assert identity(Colour.red) != identity(Colour.green)
    assert identity(Point(1)) != identity(Point(2))
    assert identity(Point(1)) == identity(Point(1))


def networks(*functions):
    return [mlp("4,4", function, "he_normal", input=half_on(4)) for function in functions]


def test_lambdas_do_not_share_a_network_digest_nor_a_cached_program():
    one, two = networks(lambda z: np.tanh(z), lambda z: np.maximum(z, 0.0))
    assert one.layers[0].activation.name == two.layers[0].activation.name
    assert one != two
    assert one.digest() != two.digest()
    means = [simulate_network(n, draws=4).set_index(["quantity", "layer"]).value for n in (one, two)]
    assert means[0]["inactive_fraction", 1] == means[1]["inactive_fraction", 1]
    assert means[0]["activation_mean", 1] != means[1]["activation_mean", 1]


def test_a_store_refuses_the_second_function(tmp_path):
    """The class's example: the second call returned the first function's numbers."""
    one, two, same = networks(lambda z: np.tanh(z), lambda z: np.sin(z), lambda y: np.tanh(y))
    first = simulate_network(one, draws=8, store=tmp_path / "run.sqlite")
    with pytest.raises(InputError, match="activation_code"):
        simulate_network(two, draws=8, store=tmp_path / "run.sqlite")
    again = simulate_network(same, draws=8, store=tmp_path / "run.sqlite")
    assert first.value.equals(again.value)


def test_a_store_refuses_what_cannot_be_told_apart_and_memory_does_not(tmp_path):
    strange = np.frompyfunc(math.atan, 1, 1)
    (network,) = networks(lambda z: strange(z).astype(float))
    simulate_network(network, draws=4)
    with pytest.raises(InputError, match="__varprop_digest__"):
        simulate_network(network, draws=4, store=tmp_path / "run.sqlite")
    assert not (tmp_path / "run.sqlite").exists()


slope = 1.0


def steep(z):
    return np.tanh(slope * z)


def test_a_global_that_changes_makes_another_activation(tmp_path, monkeypatch):
    (before,) = networks(steep)
    digest = before.digest()
    monkeypatch.setitem(globals(), "slope", 3.0)
    (after,) = networks(steep)
    assert after != before
    assert after.digest() != digest
    with pytest.raises(InputError, match="changed since"):
        simulate_network(before, draws=4, store=tmp_path / "run.sqlite")


def test_initializers_of_ones_own_are_told_apart_by_their_rule():
    def rule(scale):
        return lambda fan_in, fan_out: laws.normal(scale / fan_in**0.5)

    one, two = (vp.Initializer("mine", rule(s)) for s in (1.0, 2.0))
    assert one != two
    assert one == vp.Initializer("mine", rule(1.0))
    a, b = (mlp("4,4", "tanh", w, input=half_on(4)) for w in (one, two))
    assert a != b
    assert a.digest() != b.digest()
    sizes = [simulate_network(n, draws=20).set_index(["quantity", "layer"]).value for n in (a, b)]
    assert sizes[1]["preactivation_variance", 1] > 2 * sizes[0]["preactivation_variance", 1]


def test_registered_names_keep_their_digests():
    """Built-in names alone decide, whatever an object was made from."""
    assert vp.activation("relu").origin is None
    assert "activation_code" not in mlp("4,4", "relu", "he_normal").layers[0].content()


def test_study_files_hold_only_what_can_be_read_back():
    module_level = mlp("4,4", steep, "he_normal")
    assert parse_study(write_study(Study("s", [module_level])), code=True).networks[0] == module_level
    for function in (lambda z: np.tanh(z), functools.partial(np.clip, a_min=0.0, a_max=1.0)):
        with pytest.raises(InputError, match="activation"):
            write_study(Study("s", [mlp("4,4", function, "he_normal")]))
    own = vp.Initializer("mine", lambda fan_in, fan_out: laws.normal(1.0))
    with pytest.raises(InputError, match="weights"):
        write_study(Study("s", [mlp("4,4", "tanh", own)]))
