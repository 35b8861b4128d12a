"""The command's body: finding the factory, exit codes, the report's folder."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from varprop._validation import InputError  # noqa: E402
from varprop.auditing.command import find_model, random_inputs, run_command, terminal_lines  # noqa: E402

pytestmark = pytest.mark.torch

CODE = """
from torch import nn

class Zoo:
    @staticmethod
    def good():
        return nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))

def bad():
    return nn.Sequential(*(layer for _ in range(25) for layer in (nn.Linear(16, 16), nn.ReLU())))

def tokens():
    return nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 8))

def failing():
    raise OSError("disk on <b>fire</b>")

def leaving():
    raise SystemExit(0)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "users_models.py").write_text(CODE)
    (tmp_path / "users_broken.py").write_text("1 +")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "users_models", raising=False)
    return tmp_path


def test_unhealthy_model_is_reported(place):
    outcome = run_command("users_models:bad", "8x16", draws=4, output="out")
    assert outcome.exit_code(strict=True) == 1
    assert outcome.exit_code(strict=False) == 0
    assert outcome.after.healthy
    page = outcome.page.read_text()
    assert page.startswith("<!")
    assert "vanishing" in page
    names = {p.name for p in outcome.page.parent.iterdir()}
    assert names == {
        "report.html",
        "report.md",
        "audit.csv",
        "changes.csv",
        "changes.py",
        "provenance.json",
        "figures",
    }
    facts = json.loads((outcome.page.parent / "provenance.json").read_text())
    assert facts["healthy"] is False
    with pytest.raises(InputError, match="exists"):
        run_command("users_models:bad", "8x16", draws=2, output="out")
    run_command("users_models:bad", "8x16", draws=2, output="out", force=True)


def test_lines_heal_the_model(place):
    outcome = run_command("users_models:bad", "8x16", draws=3)
    model = find_model("users_models:bad")()
    exec(compile(outcome.lines, "changes", "exec"), {"model": model})
    wanted = outcome.changes.set_index(["module", "parameter"])["suggested"]
    for module in ("0", "24", "48"):
        assert model.get_parameter(f"{module}.weight").std().item() == pytest.approx(
            wanted[module, "weight"], rel=0.2
        )
        assert not model.get_parameter(f"{module}.bias").any()


def test_healthy_model_and_dotted_name(place):
    outcome = run_command("users_models:Zoo.good", "8x16", draws=4)
    assert outcome.exit_code(strict=True) == 0
    assert outcome.page is None
    assert terminal_lines(outcome)[0] == "healthy"


def test_tokens(place):
    outcome = run_command("users_models:tokens", "4x5", tokens=11, draws=2)
    # One matrix has nothing to be compared with; that is neither healthy nor a reason to fail.
    assert outcome.diagnosis.health == "unknown"
    assert (outcome.exit_code(strict=True), len(outcome.changes)) == (0, 0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("users_models", "package.module:factory"),
        ("users_models:", "package.module:factory"),
        ("os.system('x'):y", "package.module:factory"),
        ("users_models:nothing", "a name that users_models has"),
        ("no_such_module:x", "a module that can be imported"),
        ("users_broken:x", "a module that can be imported"),
        ("users_models:failing", "disk on <b>fire</b>"),
        ("users_models:leaving", "SystemExit"),
    ],
)
def test_places_that_are_none(place, name, said):
    with pytest.raises(InputError) as caught:
        run_command(name, "2x3", draws=1)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "shape", ["", "3x", "x3", "0x4", "3x-1", "3,4", "9" * 12, "99999999x99999999", "1e3x2"]
)
def test_shapes_that_are_none(shape):
    with pytest.raises(InputError, match="input"):
        random_inputs(shape, None, 0)


def test_inputs_are_the_seed_s():
    assert (random_inputs("3x4", None, 5) == random_inputs("3x4", None, 5)).all()
    assert (random_inputs("3x4", None, 5) != random_inputs("3x4", None, 6)).any()
