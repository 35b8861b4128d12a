"""The package's face: lazy names, cheap import, no module that shadows a public name."""

import inspect
import pkgutil
import subprocess
import sys

import pytest

import varprop


@pytest.mark.parametrize("name", varprop.__all__)
def test_every_public_name_can_be_reached(name):
    assert getattr(varprop, name) is not None


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'predikt'"):
        varprop.predikt  # noqa: B018 - the look-up is the test


def test_dir_lists_the_public_names():
    assert set(varprop.__all__) <= set(dir(varprop))


def test_no_module_bears_a_public_functions_name():
    """A lazily imported name would be shadowed by a module of that name once the module is imported."""
    modules = {info.name for info in pkgutil.walk_packages(varprop.__path__, "varprop.")}
    functions = {name for name in varprop.__all__ if not inspect.ismodule(getattr(varprop, name))}
    clashes = {m for m in modules if m.rpartition(".")[2] in functions}
    assert not clashes


@pytest.mark.parametrize("command", ["import varprop", "import varprop.cli"])
def test_import_pulls_in_nothing_heavy(command):
    heavy = ("numpy", "scipy", "pandas", "matplotlib", "seaborn", "pydantic", "torch", "rich", "jinja2")
    code = f"{command}; import sys; print([m for m in {heavy!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
