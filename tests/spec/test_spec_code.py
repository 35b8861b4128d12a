"""Reading executes nothing unless that was asked for; with permission, only what looks like an activation is called.

Every module here leaves a file behind when it is imported, so that an import cannot go unnoticed.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import varprop as vp
from tests.cli.running import refused, run
from varprop._code import code_from_text, import_named
from varprop._validation import InputError
from varprop.spec import parse_study, read_study

TRAP = """
from pathlib import Path
import functools, os, numpy as np
Path(__file__).with_name("sprung").touch()
def f(z):
    return np.tanh(z)
def steep(z, slope):
    return np.tanh(slope * z)
half = functools.partial(steep, slope=0.5)
leave = functools.partial(os.abort)
def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()
def noise(z):
    return z + np.random.default_rng().standard_normal(z.shape)
def ends(z):
    raise SystemExit(0)
class Model:
    def __init__(self, z):
        Path(__file__).with_name("called").touch()
"""

PLACES = (
    'activation = "{}"',
    'output_activation = "{}"',
    'weights = "{}"',
    'biases = "{}"',
)


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "varprop_trap.py").write_text(TRAP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "varprop_trap", raising=False)
    return tmp_path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["varprop_trap:f", "antigravity:f", "numpy:tanh"])
def test_a_study_file_executes_nothing(
    trap: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str
) -> None:
    monkeypatch.syspath_prepend(str(trap))
    line = place.format(name)
    layer = line.replace("output_", "")
    texts = [
        f'[[network]]\nwidths = "8,4"\n{line}\n',
        f"[[network]]\n[[network.layer]]\nwidth = 4\n{layer}\n",
    ]
    if "biases" not in place and "output" not in place:
        axis = {"activation": "activations", "weights": "initializers"}[line.split(" ")[0]]
        texts.append(f'[grid]\n{axis} = ["{name}"]\n')
    before = set(sys.modules)
    for text in texts:
        with pytest.raises(InputError) as caught:
            parse_study(text)
        assert name in str(caught.value)
        file = trap / "study.toml"
        file.write_text(text)
        with pytest.raises(InputError):
            read_study(file)
        for command in ("describe", "predict", "simulate", "compare", "report"):
            assert name in refused(command, str(file))
    assert not (trap / "sprung").exists()
    assert "antigravity" not in set(sys.modules) - before


def test_the_refusal_names_both_ways_to_permit_it(trap: Path) -> None:
    with pytest.raises(InputError, match=r"activation: 'varprop_trap:f'.*--allow-code.*code=True"):
        parse_study('[[network]]\nwidths = "8,4"\nactivation = "varprop_trap:f"\n')


@pytest.mark.parametrize(
    "arguments",
    [
        ("describe", "varprop_trap:f"),
        ("explain", "varprop_trap:f"),
        *(
            (command, "--widths", "5", option, "varprop_trap:f")
            for command in ("predict", "describe", "simulate", "compare", "report")
            for option in ("--activation", "--output-activation", "--weights", "--biases")
        ),
    ],
)
def test_the_command_line_executes_nothing(trap: Path, arguments: tuple[str, ...]) -> None:
    line = refused(*arguments)
    assert "--allow-code" in line
    assert not (trap / "sprung").exists()


def test_with_permission_the_function_is_used(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = trap / "study.toml"
    file.write_text('[[network]]\nwidths = "8,4"\nactivation = "varprop_trap:f"\n')
    path = list(sys.path)
    assert run("describe", str(file), "--allow-code").code == 0
    assert run("explain", "varprop_trap:half", "--allow-code").code == 0
    assert sys.path == path  # the working folder was there for the command only
    monkeypatch.syspath_prepend(str(trap))
    (network,) = read_study(file, code=True).networks
    np.testing.assert_allclose(network.layers[0].activation([0.3]), np.tanh([0.3]))
    with pytest.raises(InputError):  # permission for one file is none for the next
        read_study(file)


def test_what_python_passes_is_its_own_code(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vp.mlp("8,4", np.tanh).layers[0].activation.origin is not None
    monkeypatch.syspath_prepend(str(trap))
    assert vp.mlp("8,4", "varprop_trap:f").layers[0].activation.name == "varprop_trap:f"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("os:system", "Python's own"),
        ("sys:exit", "Python's own"),
        ("os:_exit", "Python's own"),
        ("builtins:input", "Python's own"),
        ("builtins:exec", "Python's own"),
        ("builtins:breakpoint", "Python's own"),
        ("shutil:rmtree", "Python's own"),
        ("pathlib:Path", "callable"),
        ("varprop_trap:os.system", "Python's own"),
        ("varprop_trap:leave", "Python's own"),
        ("varprop_trap:Model", "callable"),
        ("varprop_trap:softmax", "each number alone"),
        ("varprop_trap:noise", "each number alone"),
        ("varprop_trap:ends", "SystemExit"),
        ("numpy:cumsum", "each number alone"),
        ("numpy:save", "TypeError"),
        ("varprop_trap:f.__globals__", "callable"),
    ],
)
def test_only_what_looks_like_an_activation_is_called(
    trap: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.syspath_prepend(str(trap))
    with pytest.raises(InputError, match=said) as caught:
        vp.activation(name)
    assert len(str(caught.value)) < 700
    assert not (trap / "called").exists()


def test_a_function_that_python_passes_is_held_to_the_same() -> None:
    for function in (lambda z: z / (1 + np.abs(z).max()), np.sort, functools.partial(np.roll, shift=1)):
        with pytest.raises(InputError, match="each number alone"):
            vp.activation(function)


def test_a_module_that_exits_while_it_is_imported_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "varprop_exits.py").write_text("raise SystemExit(0)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="SystemExit"):
        vp.activation("varprop_exits:f")


def test_permission_ends_with_its_block() -> None:
    with code_from_text(False):
        with code_from_text(True):
            assert import_named("math:tau", "number") > 6
        with pytest.raises(InputError, match="--allow-code"):
            import_named("math:tau", "number")
    assert import_named("math:tau", "number") > 6


def test_a_real_process_does_not_import_from_its_folder(trap: Path) -> None:
    command = [sys.executable, "-m", "varprop", "describe", "varprop_trap:f"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert not (trap / "sprung").exists()
    done = subprocess.run([*command, "--allow-code"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (trap / "sprung").exists()


@pytest.mark.parametrize("command", ["report", "predict", "simulate", "compare", "explain", "describe"])
def test_every_command_that_takes_names_has_the_option(command: str) -> None:
    assert "--allow-code" in run(command, "--help").out


def test_the_audit_says_that_it_executes() -> None:
    assert "executes" in run("audit", "--help").out
