"""Studies as TOML: round trips, and complaints that name the field."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varprop._validation import InputError
from varprop.spec import (
    Head,
    Input,
    Layer,
    Network,
    Study,
    constant,
    data,
    default_study,
    digits,
    gaussian,
    half_on,
    mlp,
    parse_study,
    read_study,
    write_study,
)

LABELS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
FINITE = st.floats(-1e6, 1e6)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    batch = draw(st.integers(1, 3))
    size = draw(st.integers(1, 4))
    made = draw(
        st.sampled_from(
            [
                half_on(size),
                constant(size, -0.1),
                gaussian(size, batch, 2),
                digits(batch, scale="raw", seed=1),
            ]
        )
    )
    rows = draw(st.lists(st.lists(FINITE, min_size=size, max_size=size), min_size=batch, max_size=batch))
    inputs = draw(st.sampled_from([made, Input(np.array(rows).T, "rows", np.arange(batch))]))
    layers = draw(
        st.lists(
            st.builds(
                Layer,
                st.integers(1, 5),
                st.sampled_from(["relu", "tanh", "leaky_relu(slope=0.3)"]),
                st.sampled_from(["he_normal", "normal(std=0.1)", "torch.linear_default"]),
                st.sampled_from([None, "zeros", "constant(value=0.5)"]),
                st.floats(0.1, 10),
            ),
            min_size=1,
            max_size=4,
        )
    )
    head = draw(st.sampled_from([Head(), Head("mse", 0.25), Head("mse", np.full(layers[-1].width, 1e-300))]))
    return Network(inputs, tuple(layers), head)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(networks(), min_size=1, max_size=3),
    LABELS,
    LABELS,
    st.integers(2, 10**9),
    st.floats(0.001, 0.999),
)
def test_round_trip(nets: list[Network], name: str, title: str, draws: int, alpha: float) -> None:
    study = Study(name, tuple(nets), title, draws, draws, alpha, alpha, alpha)
    again = parse_study(write_study(study))
    assert again == study
    assert again.digest() == study.digest()
    assert again.cases == study.cases


def test_the_default_study_round_trips_through_a_file(tmp_path: Path) -> None:
    study = default_study()
    text = write_study(study, tmp_path / "study.toml")
    assert (tmp_path / "study.toml").read_text(encoding="utf-8") == text
    assert read_study(tmp_path / "study.toml") == study


def test_what_a_stranger_writes() -> None:
    study = parse_study("""
        name = "he against glorot"
        draws = 400

        [input]
        kind = "digits"
        batch = 8

        [[network]]
        widths = "50x3,10"
        activation = "relu"
        weights = "he_normal"
        head = "softmax_ce"

        [[network]]
        name = "by layer"
        input = "half_on:20"
        head = {kind = "mse", targets = 0.0}
        [[network.layer]]
        width = 30
        activation = "tanh"
        [[network.layer]]
        width = 1
        weights = "zeros"

        [grid]
        initializers = ["he_normal", "glorot_normal"]
        activations = "tanh"
        widths = 20
        depths = [2, 3]
        gains = [1.0, 1.5]
        head = "unit"
    """)
    assert study.draws == 400
    assert len(study.networks) == 2 + 8
    first, second, *grid = study.networks
    assert first.widths == (64, 50, 50, 50, 10)
    assert first.targets is not None
    assert second.widths == (20, 30, 1)
    assert second.layers[1].weights.name == "zeros"
    assert all(network.input == digits(8) for network in grid)
    assert {network.depth for network in grid} == {2, 3}


def test_names_that_need_escapes(tmp_path: Path) -> None:
    for name in ('"quoted"', "back\\slash", "<b>", "$x$", "#", "[x]", "ünï · 漢字 🙂", "'''"):
        study = Study(name, [mlp([2, 1], name=name)], title=name)
        assert parse_study(write_study(study)) == study
        tomllib.loads(write_study(study))


class TestDataFiles:
    def test_paths_are_relative_to_the_study(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "here" / "deep").mkdir(parents=True)
        np.savetxt(tmp_path / "here" / "x.csv", np.arange(12.0).reshape(4, 3), delimiter=",")
        x = data(tmp_path / "here" / "x.csv", standardize=True, labels=0, batch=3)
        study = Study("s", [mlp([2, 1], input=x)])
        write_study(study, tmp_path / "here" / "deep" / "study.toml")
        assert 'path = "../x.csv"' in (tmp_path / "here" / "deep" / "study.toml").read_text()
        monkeypatch.chdir(tmp_path / "here")
        assert read_study("deep/study.toml") == study
        monkeypatch.chdir(tmp_path)
        assert read_study("here/deep/study.toml") == study
        assert parse_study(write_study(study)) == study

    def test_a_changed_file_is_noticed(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.arange(4.0))
        write_study(Study("s", [mlp([2, 1], input=data(tmp_path / "x.npy"))]), tmp_path / "s.toml")
        np.save(tmp_path / "x.npy", np.arange(4.0) + 1e-9)
        with pytest.raises(InputError, match=r"sha256: x.npy .*not changed"):
            read_study(tmp_path / "s.toml")

    def test_large_arrays_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("varprop.spec.writing.MOST_NUMBERS", 5)
        with pytest.raises(InputError, match=r"6 numbers .*\.npy"):
            write_study(Study("s", [mlp([2, 1], input=data(np.arange(6.0)))]))

    def test_given_labels_are_kept(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2))
        x = data(tmp_path / "x.npy", labels=[2, 0, 1])
        study = Study("s", [mlp([2, 3], input=x, head="softmax_ce")])
        assert parse_study(write_study(study)) == study


NETWORK = "[[network]]\nwidths = [3, 2]\n"


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("draws = 0\n" + NETWORK, "^draws: 0"),
        ("draws = 10.0\n" + NETWORK, r"^draws: 10\.0"),
        ("draws = nan\n" + NETWORK, "^draws: nan"),
        ("draws = true\n" + NETWORK, "^draws: True"),
        ("seed = '0'\n" + NETWORK, "^seed: '0'"),
        ("alpha = inf\n" + NETWORK, "^alpha: inf"),
        ("name = 3\n" + NETWORK, "^name: 3"),
        ('name = "a\\u0007b"\n' + NETWORK, r"^name: 'a\\x07b'"),
        (f'name = "{"x" * 5000}"\n' + NETWORK, r"^name: 'x+… \(5002 characters\)"),
        ("drawz = 3\n" + NETWORK, "^drawz: unknown key.*'draws' .did you mean"),
        (f"{'k' * 5000} = 3\n" + NETWORK, "^k{40}: unknown key"),
        ("", r"^network: nothing .*\[\[network\]\]"),
        ("network = 3", "^network: int"),
        ("network = [3]", r"^network\[0\]: 3"),
        ("[network]\nwidths = 3", "^network: dict"),
        ("[[network]]\nname = 'x'", r"^network\[0\].widths: nothing"),
        (NETWORK + "[[network]]\nwidth = 3", r"^network\[1\].width: unknown key.*'widths'"),
        ("[[network]]\nwidths = 0", r"^network\[0\].widths: 0"),
        ("[[network]]\nwidths = [3, -1]", r"^network\[0\].widths\[1\]: -1"),
        ("[[network]]\nwidths = '3,x'", r"^network\[0\].widths: '3,x'"),
        (NETWORK + "activation = 'tan'", r"^network\[0\].activation: 'tan' .*'tanh' .did you mean"),
        (NETWORK + "activation = 3", r"^network\[0\].activation: 3"),
        (NETWORK + "weights = 'normal(sdt=1)'", r"^network\[0\].weights.sdt: 1 .*'std' .did you mean"),
        (NETWORK + "weights = 'normal(std=-1)'", r"^network\[0\].weights.std: -1"),
        (NETWORK + "weights = 'normal(std=nan)'", r"^network\[0\].weights.std: 'nan'"),
        (NETWORK + "biases = ['zeros']", r"^network\[0\].biases: \['zeros'\]"),
        (NETWORK + "gain = 0", r"^network\[0\].gain: 0"),
        (NETWORK + "output_activation = 'lin'", r"^network\[0\].output_activation: 'lin'"),
        (NETWORK + "head = 'softmax'", r"^network\[0\].head.kind: 'softmax' .*'softmax_ce' .did you mean"),
        (NETWORK + "head = 3", r"^network\[0\].head.kind: 3"),
        (NETWORK + "head = {knd = 'mse'}", r"^network\[0\].head.knd: unknown key.*'kind'"),
        (NETWORK + "head = {kind = 'mse'}", r"^network\[0\].head.targets: None"),
        (NETWORK + "head = {kind = 'mse', targets = [nan]}", r"^network\[0\].head.targets: 1 of 1"),
        (
            NETWORK + "[[network.layer]]\nwidth = 3",
            r"^network\[0\].widths: .*nothing beside \[\[network.layer\]\]",
        ),
        ("[[network]]\nlayer = []", r"^network\[0\].layer: an empty list"),
        ("[[network]]\n[network.layer]\nwidth = 3", r"^network\[0\].layer: dict"),
        ("[[network]]\n[[network.layer]]\nwidth = 1.5", r"^network\[0\].layer\[0\].width: 1.5"),
        ("[[network]]\n[[network.layer]]\nactivation = 'relu'", r"^network\[0\].layer\[0\].width: nothing"),
        (
            "[[network]]\n[[network.layer]]\nwidth=1\n[[network.layer]]\nwidht=1",
            r"^network\[0\].layer\[1\].widht",
        ),
        ("input = 3\n" + NETWORK, "^input: 3"),
        ("input = 'halfon:3'\n" + NETWORK, "^input: 'halfon' .*'half_on'"),
        ("[input]\nsize = 3\n" + NETWORK, "^input.kind: None"),
        ("[input]\nkind = 'half_of'\n" + NETWORK, "^input.kind: 'half_of' .*'half_on'"),
        ("[input]\nkind = 'half_on'\nsize = true\n" + NETWORK, "^input.size: True"),
        ("[input]\nkind = 'half_on'\nsiz = 3\n" + NETWORK, "^input.siz: 3 .*'size'"),
        ("[input]\nkind = 'half_on'\n" + NETWORK, r"^input: 'half_on' .*half_on\(size=…\)"),
        ("[input]\nkind = 'constant'\nsize = 2\nvalue = inf\n" + NETWORK, "^input.value: inf"),
        ("[input]\nkind = 'data'\n" + NETWORK, "^input.path: .*either a path or rows"),
        ("[input]\nkind = 'data'\npath = 'no.csv'\n" + NETWORK, "^input.path: .*a file that exists"),
        ("[input]\nkind = 'data'\npath = 3\n" + NETWORK, "^input.path: 3"),
        ("[input]\nkind = 'data'\nrows = [[1], [1, 2]]\n" + NETWORK, "^input.rows: ragged"),
        ("[input]\nkind = 'data'\nrows = [['a']]\n" + NETWORK, "^input.rows"),
        ("[input]\nkind = 'data'\nrows = [[1, nan]]\n" + NETWORK, "^input.values: 1 of 2 values not finite"),
        ("[input]\nkind = 'data'\nrows = [[1, 2]]\nbatch = 1\n" + NETWORK, "^input.batch"),
        (NETWORK + "input = {kind = 'gaussian', size = 3, batch = 0}", r"^network\[0\].input.batch: 0"),
        ("[[network]]\nname='a'\nwidths=2\n[[network]]\nname='a'\nwidths=3", r"^network\[0\].name: 'a'"),
        ("grid = 3", "^grid: 3"),
        ("[grid]\nwidth = 3", "^grid.width: unknown key.*'widths'"),
        ("[grid]\ninitializers = ['he_normal', 'he']", r"^grid.initializers\[1\]: 'he'"),
        ("[grid]\ndepths = []", "^grid.depths: an empty list"),
        ("[grid]\ndepths = [2]\ngains = ['1']", r"^grid.gains\[0\]: '1'"),
        (f"[grid]\nwidths = {list(range(1, 10_002))}", "^grid.size: 10001 networks"),
        ("a = [", "^study: .*TOML"),
        ("a = 1\na = 2", "^study: .*TOML"),
        (f"x = {'[' * 5000}", "^study: .*TOML"),
        (f"x = {'9' * 5000}", "^study: .*TOML|^x"),
    ],
)
def test_refused_with_the_path_of_the_field(text: str, pattern: str) -> None:
    with pytest.raises(InputError, match=pattern) as caught:
        parse_study(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"study: .*none\.toml"):
        read_study(tmp_path / "none.toml")
    with pytest.raises(InputError, match=r"study: .*can be read"):
        read_study(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(InputError, match="UTF-8"):
        read_study(tmp_path / "latin.toml")


def test_an_unwritable_place_keeps_the_old_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="output"):
        write_study(Study("s", [mlp([2, 1])]), tmp_path / "no" / "study.toml")


def test_draws_are_a_number_or_auto() -> None:
    text = '[[network]]\nwidths = "3"\n'
    assert parse_study(text).draws == "auto"
    for line, draws in (('draws = "auto"', "auto"), ("draws = 300", 300)):
        study = parse_study(f"{line}\n{text}")
        assert study.draws == draws
        assert parse_study(write_study(study)) == study
    for bad in ('"many"', '""', "1", "2.5", "true"):
        with pytest.raises(InputError, match="draws"):
            parse_study(f"draws = {bad}\n{text}")
