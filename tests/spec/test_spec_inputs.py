"""Inputs: made ones, the digits, arrays and files, and everything that is refused."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from varprop._validation import InputError
from varprop.spec import Input, constant, data, digits, gaussian, half_on, parse_input


def refused(pattern: str) -> pytest.RaisesExc[InputError]:
    return pytest.raises(InputError, match=pattern)


def test_half_on_is_half_ones_then_zeros() -> None:
    x = half_on(1000).array()
    assert x.shape == (1000, 1)
    assert x[:500].tolist() == [[1.0]] * 500
    assert not x[500:].any()
    assert half_on(1).array().item() == 1.0


def test_gaussian_is_the_same_for_everyone_and_standard_normal() -> None:
    x = gaussian(784, 64)
    assert x == gaussian(784, 64, seed=0)
    assert x != gaussian(784, 64, seed=1)
    # 50,176 numbers: standard errors 0.0045 of the mean, 0.0063 of the variance; five of each
    assert abs(x.array().mean()) < 0.023
    assert abs(x.array().var() - 1.0) < 0.032


def test_an_input_is_its_numbers_and_labels() -> None:
    rows = [[0.0, 1.0], [2.0, 3.0]]
    assert data(rows, name="a") == data(np.array(rows), name="b")
    assert hash(data(rows)) == hash(data(rows))
    assert data(rows) != data(rows, labels=[0, 1])
    assert data(rows).digest() != data([[0.0, 1.0], [2.0, 3.5]]).digest()


def test_data_cannot_be_changed_from_outside() -> None:
    rows = np.array([[0.0, 1.0], [2.0, 3.0]])
    x = data(rows)
    rows[0, 0] = 9.0
    assert x.array()[0, 0] == 0.0
    for y in (x, pickle.loads(pickle.dumps(x))):
        assert y == x
        with pytest.raises(ValueError, match="read-only"):
            y.array()[0, 0] = 1.0


def test_one_dimension_is_one_example_and_images_are_flattened() -> None:
    assert data(np.arange(3.0)).array().shape == (3, 1)
    assert data(np.arange(24.0).reshape(2, 3, 4)).array().shape == (12, 2)


class TestDigits:
    def test_are_the_1797_images_with_labels(self) -> None:
        x = digits(1797, scale="raw")
        assert x.array().shape == (64, 1797)
        assert (x.array().min(), x.array().max()) == (0.0, 16.0)
        # Class counts of the test set as the UCI repository states them (optdigits.names).
        assert np.bincount(x.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]

    def test_equal_those_of_scikit_learn(self) -> None:
        datasets = pytest.importorskip("sklearn.datasets")
        theirs = datasets.load_digits()
        x = digits(1797, scale="raw")
        assert np.array_equal(x.array().T, theirs.data)
        assert np.array_equal(x.labels, theirs.target)

    def test_repeat_makes_squares(self) -> None:
        image = digits(1, scale="raw").array().reshape(8, 8)
        large = digits(1, scale="raw", repeat=4).array().reshape(32, 32)
        for i in range(4):
            for j in range(4):
                assert np.array_equal(large[i::4, j::4], image)

    @pytest.mark.parametrize("scale", ["unit", "raw"])
    def test_standardized_over_all_images(self, scale: str) -> None:
        x = digits(1797, standardize=True, scale=scale).array()
        assert abs(x.mean()) < 1e-12
        assert x.std() == pytest.approx(1.0, abs=1e-12)

    def test_seed_draws_without_replacement(self) -> None:
        x = digits(1797, seed=3)
        assert np.bincount(x.labels).tolist() == np.bincount(digits(1797).labels).tolist()
        assert not np.array_equal(x.labels, digits(1797).labels)
        assert digits(20, seed=3) == digits(20, seed=3)

    def test_ship_with_source_and_licence_and_stay_small(self) -> None:
        import varprop.spec

        folder = Path(varprop.spec.__file__).parent / "_data"
        assert (folder / "digits.npz").stat().st_size < 100_000
        assert "CC BY 4.0" in (folder / "README.md").read_text(encoding="utf-8")


class TestFiles:
    def test_csv_with_header_and_labels(self, tmp_path: Path) -> None:
        path = tmp_path / "iris.csv"
        path.write_text("\ufeffwidth, length ,kind\n1,2,0\n3,4.5,1\n\n", encoding="utf-8")
        x = data(path, labels="kind")
        assert x.array().tolist() == [[1.0, 3.0], [2.0, 4.5]]
        assert x.labels.tolist() == [0, 1]
        assert data(path, labels=-1) == x
        assert data(path, labels="kind", batch=1).array().shape == (2, 1)
        with refused(r"labels: 'knd' .*did you mean"):
            data(path, labels="knd")
        with refused("labels: 3"):
            data(path, labels=3)

    def test_a_first_row_of_numbers_is_no_header(self, tmp_path: Path) -> None:
        path = tmp_path / "plain.csv"
        path.write_text("1,2\n3,4\n")
        assert data(path).array().tolist() == [[1.0, 3.0], [2.0, 4.0]]

    def test_npy_and_parquet_agree_with_the_array(self, tmp_path: Path) -> None:
        rows = np.random.default_rng(0).standard_normal((5, 3))
        np.save(tmp_path / "x.npy", rows)
        assert data(tmp_path / "x.npy") == data(rows)
        pytest.importorskip("pyarrow")
        import pandas as pd

        pd.DataFrame(rows, columns=list("abc")).to_parquet(tmp_path / "x.parquet")
        assert data(str(tmp_path / "x.parquet")) == data(rows)

    @pytest.mark.parametrize(
        ("text", "pattern"),
        [
            ("1,2\n3,4,5\n", r"3 cells in line 2 of bad\.csv .* 2 cells"),
            ("a,b\n1,2,3\n", r"3 cells in line 2"),
            (
                "a,b\n1,2\n3,x\nx,y\n",
                r"2 rows with a cell that is no number, the first 'x' in line 3, col",
            ),
            ("a,b\n1,\n", r"the first '' in line 2, column 2"),
            (
                "1,2\nnan,inf\n",
                r"2 of 4 values not finite, the first \(nan\) in line 2, column 1 of bad",
            ),
            ("nan,nan\n1,2\n", r"2 of 4 values not finite, the first \(nan\) in line 1, column 1"),
            ("1,1\n1,1\n", r"4 values that all equal 1, from row 1, column 1"),
            ("a,b\n", "without numbers"),
            ("", "without numbers"),
            ('1,"2\n', "comma-separated"),
            (
                "1,1_000\n",
                "without numbers",
            ),  # a header: only Python takes 1_000 for a number
        ],
    )
    def test_bad_csv(self, tmp_path: Path, text: str, pattern: str) -> None:
        (tmp_path / "bad.csv").write_text(text)
        with refused(pattern):
            data(tmp_path / "bad.csv")

    def test_csv_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00\x01")
        with refused("UTF-8"):
            data(tmp_path / "bad.csv")

    def test_objects_are_never_unpickled(self, tmp_path: Path) -> None:
        class Trap:
            def __reduce__(self) -> tuple[object, ...]:
                return (Path.touch, (tmp_path / "sprung",))

        np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
        with refused(r"trap\.npy.*plain numbers"):
            data(tmp_path / "trap.npy")
        assert not (tmp_path / "sprung").exists()
        with refused("array of real numbers"):
            data(np.array([Trap()], dtype=object))

    def test_an_archive_or_rubbish_named_npy(self, tmp_path: Path) -> None:
        with (tmp_path / "x.npy").open("wb") as stream:
            np.savez(stream, a=np.arange(3))
        with refused("archive"):
            data(tmp_path / "x.npy")
        (tmp_path / "y.npy").write_bytes(b"")
        with refused("plain numbers"):
            data(tmp_path / "y.npy")

    def test_missing_files_folders_and_other_suffixes(self, tmp_path: Path) -> None:
        (tmp_path / "folder.csv").mkdir()
        with refused("path: .*a file that exists"):
            data(tmp_path / "none.csv")
        with refused("expected a file that can be read, not a folder"):
            data(tmp_path / "folder.csv")
        with refused(r"ends in \.csv, \.npy, \.parquet"):
            data(tmp_path / "data.xlsx")
        with refused("path"):
            data("no\x00thing.csv")

    def test_parquet_of_text(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        import pandas as pd

        pd.DataFrame({"a": [1.0], "b": ["x"]}).to_parquet(tmp_path / "x.parquet")
        with refused("column 'b'"):
            data(tmp_path / "x.parquet")
        (tmp_path / "y.parquet").write_text("no parquet")
        with refused(r"a \.parquet file that can be read"):
            data(tmp_path / "y.parquet")


class TestStandardize:
    def test_by_columns(self) -> None:
        rows = np.random.default_rng(1).uniform(0, 9, (50, 3))
        x = data(rows, standardize=True).array()
        assert np.allclose(x.mean(axis=1), 0, atol=1e-14)
        assert np.allclose(x.std(axis=1), 1, atol=1e-14)
        assert data(rows, standardize="columns") == data(rows, standardize=True)

    def test_over_all(self) -> None:
        x = data([[1.0, 5.0], [1.0, 7.0]], standardize="all").array()
        assert x.mean() == pytest.approx(0.0, abs=1e-15)
        assert x.std() == pytest.approx(1.0)

    def test_constant_columns_are_counted_and_placed(self) -> None:
        with refused(r"2 of 4 columns constant, the first is column 2 \(5\).*standardize=\"all\""):
            data([[1, 5, 2, 0], [2, 5, 2, 1]], standardize=True)

    def test_unknown_mode(self) -> None:
        with refused(r"standardize: 'colums' .*did you mean"):
            data([[1.0, 2.0], [3.0, 5.0]], standardize="colums")


class TestRefused:
    @pytest.mark.parametrize("bad", [0, -1, 1.5, True, "3", None, float("nan"), 10**20])
    def test_sizes(self, bad: object) -> None:
        for make in (half_on, constant, gaussian):
            with refused("size"):
                make(bad)  # type: ignore[operator]

    @pytest.mark.parametrize("bad", [0, 1798, 1.0, True])
    def test_digits_batch(self, bad: object) -> None:
        with refused("batch"):
            digits(bad)  # type: ignore[arg-type]

    def test_values(self) -> None:
        for value in (float("nan"), float("inf"), True, "1", 10**400):
            with refused("value"):
                constant(3, value)  # type: ignore[arg-type]

    def test_nan_has_count_and_first_place(self) -> None:
        rows = np.ones((3, 4))
        rows[1, 2] = np.nan
        rows[2, 0] = np.inf
        with refused(r"2 of 12 values not finite, the first \(nan\) in row 2, column 3"):
            data(rows)
        with refused(r"row 2, column 3"):
            Input(rows.T)

    @pytest.mark.parametrize(
        "bad", [np.array([]), np.zeros((0, 3)), np.array(3.0), ["a", "b"], [1j], [[1, 2], [3]], {}]
    )
    def test_arrays(self, bad: object) -> None:
        with refused("data"):
            data(bad)

    def test_constant_data_but_not_a_single_number(self) -> None:
        with refused(r"3 values that all equal 2, from row 1, column 1"):
            data([2.0, 2.0, 2.0])
        assert data([2.0]).size == 1

    def test_labels(self) -> None:
        rows = [[1.0, 2.0], [3.0, 4.0]]
        for labels in ([0], [0, -1], [0, 0.5], [0, float("nan")], ["a", "b"], [[0, 1]]):
            with refused("labels"):
                data(rows, labels=labels)

    @pytest.mark.parametrize("name", ["", " ", "a\x07", "a\u202eb", "x" * 201, "a\nb"])
    def test_names(self, name: str) -> None:
        with refused("name") as caught:
            Input(np.eye(2), name=name)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300


class TestParse:
    @pytest.mark.parametrize(
        ("text", "made"),
        [
            ("half_on:1000", half_on(1000)),
            (" half_on : 10 ", half_on(10)),
            ("constant:5", constant(5)),
            ("constant(size=5, value=-2)", constant(5, -2)),
            ("gaussian:784x64", gaussian(784, 64)),
            ("gaussian:7", gaussian(7)),
            ("gaussian(size=7, batch=2, seed=3)", gaussian(7, 2, 3)),
            ("digits", digits()),
            ("digits:8", digits(8)),
            ("digits(batch=8, repeat=2, standardize=true)", digits(8, repeat=2, standardize=True)),
        ],
    )
    def test_made(self, text: str, made: Input) -> None:
        assert parse_input(text) == made

    def test_a_file_beside(self, tmp_path: Path) -> None:
        (tmp_path / "x.csv").write_text("1,2\n3,4\n")
        assert parse_input("x.csv", folder=tmp_path) == parse_input(str(tmp_path / "x.csv"))

    @pytest.mark.parametrize(
        ("text", "pattern"),
        [
            ("half_n:10", "did you mean"),
            ("halfon:10", "'half_on' .did you mean"),
            ("half_on:0", "input.size: 0"),
            ("half_on:2x3", "half_on:NUMBER"),
            ("half_on", r"half_on\(size=…\)"),
            ("digits(batc=3)", "'batch' .did you mean"),
            ("digits(scale=big)", "input.scale"),
            ("nothing", r"half_on:SIZE.*\.csv"),
            ("none.csv", "input.path"),
            ("x" * 5000, "characters"),
            ("../\x1b[31m", "\\\\x1b"),
            ("gaussian(size=nan)", "input.size"),
        ],
    )
    def test_refused(self, text: str, pattern: str) -> None:
        with refused(pattern) as caught:
            parse_input(text)
        assert str(caught.value).isprintable()


def test_error_lines_are_short_and_printable() -> None:
    with refused(re.escape("of 200 values")) as caught:
        data(np.full((20, 10), np.nan), name="\x00" * 5000)
    assert len(str(caught.value)) < 300
