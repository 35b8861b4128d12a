"""Families on the command line: by name with options, by spelling, in study files."""

from __future__ import annotations

import pytest

from tests.cli.running import run

SMALL = ["transformer", "--depth", "1", "--width", "8", "--heads", "2", "--tokens", "4", "--vocabulary", "9"]


def test_describe_prints_a_row_for_every_node() -> None:
    result = run("describe", *SMALL, "--set", "norm=post", "--format", "csv")
    assert result.code == 0
    rows = result.out.splitlines()
    assert rows[0].startswith("node,op,reads,shape,parameters,weights")
    assert [row.split(",")[1] for row in rows[1:4]] == ["embedding", "positions", "layer_norm"]


def test_a_family_is_spelled_too() -> None:
    spelled = run(
        "describe", "transformer(depth=1, width=8, heads=2, tokens=4, vocabulary=9)", "--format", "csv"
    )
    assert spelled.out == run("describe", *SMALL, "--format", "csv").out


def test_a_file_with_a_body_is_described_by_node(tmp_path) -> None:
    path = tmp_path / "one.toml"
    path.write_text('[[network]]\ninput = "gaussian:4"\nbody = ["dense(width=4)", {residual = ["relu"]}]\n')
    result = run("describe", str(path), "--format", "csv")
    assert [row.split(",")[0] for row in result.out.splitlines()] == [
        "node",
        "dense",
        "residual.relu",
        "residual.stream",
    ]


def test_several_initializers_give_every_network() -> None:
    result = run("describe", *SMALL, "--weights", "he_normal", "--weights", "lecun_normal", "--format", "csv")
    assert [row.split(",")[0] for row in result.out.splitlines()[1:]] == [
        "transformer · he_normal",
        "transformer · lecun_normal",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["describe", "transformer"], "depth: nothing"),
        (["describe", "transformr"], "'transformer' (did you mean that?)"),
        (["describe", "resnet", "--set", "deph=3"], "'depth' (did you mean that?)"),
        (["describe", "resnet", "--set", "18"], "key=value"),
        (["describe", "resnet", "--depth", "18", "--set", "depth=18"], "each key once"),
        (["describe", "resnet", "--widths", "3"], "no --widths for a family"),
        (["describe", "transformer(depth=1, width=8, heads=3)"], "a divisor of the width 8"),
        (["predict", "--depth", "3"], "the name of a family before it"),
        (["predict", "--set", "depth=3"], "the name of a family before it"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert words in result.err
    assert len(result.err.splitlines()) == 1
