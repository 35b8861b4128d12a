"""Sizes are refused before anything of that size is made or read; files that never end are never begun.

Every refusal runs under a limit of address space that what is asked for would exceed many times, or within a time that
a blocked read would exceed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import varprop as vp
from tests.cli.running import refused, run
from varprop._validation import InputError
from varprop.spec import limits, parse_study, read_study
from varprop.spec.grids import expand_grid

pytestmark = pytest.mark.filterwarnings("error")


@contextlib.contextmanager
def little_memory(more: int = 300 * 2**20) -> Iterator[None]:
    """Let this process map `more` bytes beyond what it has."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def one_line(error: InputError) -> None:
    assert str(error).isprintable()
    assert len(str(error)) < 700


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("gaussian:1000000000x1000", r"size: 1000000000"),
        ("gaussian:100000000x10000000", "100000000 × 10000000"),
        ("gaussian:50001x1000", "50,000,000"),
        ("half_on:100000000", "50,000,000"),
        ("half_on:99999999999", "size"),
        ("constant(size=60000000)", "50,000,000"),
        ("digits(batch=1797, repeat=32)", "1797 × 65536"),
    ],
)
def test_inputs(text: str, field: str) -> None:
    with little_memory(), pytest.raises(InputError, match=field) as caught:
        vp.mlp("10,5", input=text)
    one_line(caught.value)
    with little_memory(), pytest.raises(InputError, match=field):
        parse_study(f'[input]\nkind = "digits"\n[[network]]\nwidths = "5"\ninput = "{text}"\n')


def test_the_default_input_of_a_wide_network() -> None:
    with little_memory(), pytest.raises(InputError, match=r"^input\.size: 100000000 inputs"):
        vp.mlp("100000000,10")


@pytest.mark.parametrize("head", ["mse", "bce"])
def test_targets_are_not_spread_beyond_the_limit(head: str) -> None:
    with little_memory(), pytest.raises(InputError, match=r"head\.targets: 1000 × 100000 examples"):
        vp.mlp("10,100000", input=vp.gaussian(10, 1000), head=head, targets=0.0)


@pytest.mark.parametrize(
    ("axes", "field"),
    [
        ({"widths": range(1, 10**9)}, "widths: 999999999 values"),
        ({"gains": range(1, 10**9), "widths": range(1, 10**9)}, "values"),
        ({"depths": [100_001]}, "depths"),
        ({"widths": [60_000_000], "depths": [2, 3]}, "60000000 inputs"),
        ({"widths": [30_000_000, 30_000_001]}, "60000001 inputs"),
        ({"widths": [[1, 2], [1, 2]]}, r"widths\[0\]"),
        ({"gains": [{}]}, r"gains\[0\]"),
    ],
)
def test_grids(axes: dict[str, object], field: str) -> None:
    with little_memory(), pytest.raises(InputError, match=field) as caught:
        expand_grid(**axes)
    one_line(caught.value)


def test_networks_of_one_width_share_their_input() -> None:
    """10,000 networks on a million inputs: 80 GB if each had its own."""
    with little_memory():
        networks = expand_grid(widths=100_000, gains=[1 + i / 1000 for i in range(1000)], depths=[2, 3])
    assert len({id(network.input) for network in networks}) == 1


def test_the_inputs_of_a_study_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f'[[network]]\nwidths = "5"\nname = "{i}"\ninput = "gaussian:100x10"\n' for i in range(4))
    monkeypatch.setattr(limits, "MOST_NUMBERS", 3000)
    with pytest.raises(InputError, match=r"^network\[3\]\.input: 4000"):
        parse_study(text)


@pytest.mark.parametrize(
    "widths", ["100x1000000", "5," * 100_001, "1x50000,1x50001", "x" * 10**7, range(10**9)]
)
def test_depth(widths: object) -> None:
    with little_memory(), pytest.raises(InputError, match="widths") as caught:
        vp.mlp(widths)  # type: ignore[arg-type]
    one_line(caught.value)


def test_more_networks_than_allowed_are_counted_first() -> None:
    with pytest.raises(InputError, match="network: 10001 tables"):
        parse_study("[[network]]\n" * 10_001)


# Files


def npy(header: str, body: bytes = b"", version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode("latin1") + body


def described(shape: str, kind: str = "<f8") -> str:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n"


HEADERS = {
    "huge": (npy(described("(1000000000000, 1000)"), b"\0" * 800), "50,000,000"),
    "overflowing": (npy(described(f"({2**62}, {2**62})"), b"\0" * 800), "50,000,000"),
    "truncated": (npy(described("(1000, 100)"), b"\0" * 799), "promises 800000 bytes"),
    "one byte short": (npy(described("(10, 10)"), b"\0" * 799), "promises 800 bytes.*has 799"),
    "negative": (npy(described("(-1, 10)"), b"\0" * 800), "plain numbers"),
    "not integers": (npy(described("(1.5,)"), b"\0" * 800), "plain numbers"),
    "long header": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b" " * 100, "plain numbers"),
    "nested": (npy("(" * 9000), "plain numbers"),
    "long number": (npy(described("(" + "9" * 5000 + ",)")), "plain numbers|50,000,000"),
    "empty": (npy(described("(0, 10)")), "at least one"),
    "objects": (npy(described("(10,)", "|O"), b"\0" * 80), "plain numbers"),
    "complex": (npy(described("(10,)", "<c16"), b"\0" * 160), "plain numbers"),
    "text": (npy(described("(10,)", "<U4"), b"\0" * 160), "plain numbers"),
    "version 3": (npy(described("(10,)"), b"\0" * 80, version=3), "plain numbers"),
    "no header": (b"\x93NUMPY", "plain numbers"),
    "archive": (b"PK\x03\x04" + b"\0" * 100, "archive"),
    "nothing": (b"", "plain numbers"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_npy_headers_are_not_believed(tmp_path: Path, name: str) -> None:
    content, said = HEADERS[name]
    (tmp_path / "x.npy").write_bytes(content)
    with little_memory(), pytest.raises(InputError, match=said) as caught:
        vp.data(tmp_path / "x.npy")
    one_line(caught.value)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f8", ">f4", "<i2", "|u1", "|b1", "<f2"])
def test_sound_npy_files_are_read_as_numpy_reads_them(tmp_path: Path, order: str, kind: str) -> None:
    rows = (np.arange(24).reshape(2, 3, 4) % 2 if kind == "|b1" else np.arange(24).reshape(2, 3, 4)).astype(
        kind
    )
    np.save(tmp_path / "x.npy", np.asarray(rows, order=order))
    theirs = np.load(tmp_path / "x.npy").reshape(2, 12).astype(float)
    assert np.array_equal(vp.data(tmp_path / "x.npy").array().T, theirs)


def test_parquet_is_counted_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of equal numbers takes a few kilobytes in the file and eight bytes a number in memory."""
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table({"a": np.zeros(3000), "b": np.ones(3000)}), tmp_path / "x.parquet")
    monkeypatch.setattr(limits, "MOST_NUMBERS", 5000)
    with pytest.raises(InputError, match="3000 × 2"):
        vp.data(tmp_path / "x.parquet")


def test_csv_is_counted_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from varprop.spec import datafiles

    (tmp_path / "x.csv").write_text("1,2\n" * 3000)
    monkeypatch.setattr(limits, "MOST_NUMBERS", 5000)
    monkeypatch.setattr(datafiles, "MOST_NUMBERS", 5000)
    with pytest.raises(InputError, match="2501 × 2"):
        vp.data(tmp_path / "x.csv")


@pytest.mark.parametrize("name", ["x.csv", "x.npy", "x.parquet", "x.toml"])
def test_files_of_many_gigabytes_are_not_opened(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as stream:
        stream.truncate(2**40)  # a hole: it takes no space
    with little_memory(), pytest.raises(InputError, match="1,099,511,627,776 bytes"):
        read_study(tmp_path / name) if name == "x.toml" else vp.data(tmp_path / name)


@pytest.mark.parametrize("name", ["x.csv", "x.npy", "x.parquet", "x.toml"])
@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device", "folder", "socket"])
def test_what_is_no_file_is_never_waited_for(tmp_path: Path, name: str, kind: str) -> None:
    import socket

    place = tmp_path / name
    with contextlib.ExitStack() as open_things:
        if kind == "pipe":
            os.mkfifo(place)
        elif kind == "folder":
            place.mkdir()
        elif kind == "socket":
            open_things.enter_context(socket.socket(socket.AF_UNIX)).bind(str(place))
        else:
            place.symlink_to("/dev/zero" if kind == "device" else "/dev/stdin")
        with pytest.raises(InputError, match="a file"):
            read_study(place) if name == "x.toml" else vp.data(place)
        if name == "x.toml":
            refused("predict", str(place))
            refused("describe", str(place))
        else:
            refused("predict", "--input", str(place), "--widths", "3")


def test_workers_are_counted_before_they_are_started() -> None:
    assert "1024" in refused("simulate", "--widths", "3", "--draws", "4", "--workers", "1000000")


def test_memory_may_be_raised_on_the_command_line() -> None:
    place = ("simulate", "--widths", "2500,1", "--draws", "2", "--sampler", "dense", "--memory")
    assert "memory: 200.0 MiB is not allowed; expected at least" in refused(*place, "200MiB")
    assert run(*place, "1GiB").code == 0
    for text in ("", "much", "-1", "1e9", "1GiB2", "9" * 400):
        assert "memory" in refused(*place, text)
