"""What a run returns for its cases: the tidy table, and the histograms, which no table can hold."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop.montecarlo.histograms import Histogram

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Simulated:
    """What was measured of one case, or of several.

    Attributes
    ----------
    table : DataFrame
        Columns of `varprop.results.schema.SIMULATED_COLUMNS`; ``attrs`` hold plain JSON provenance.
    histograms : tuple of Histogram
        Of the pre-activations, by case and layer.
    """

    table: pd.DataFrame
    histograms: tuple[Histogram, ...] = ()


def content_digest(content: Any) -> str:
    """Return the SHA-256 of a dataclass of arrays, whole numbers and other such dataclasses.

    Examples
    --------
    >>> from varprop.montecarlo.blocks import Block
    >>> content_digest(Block(0, 5)) == content_digest(Block(0, 5)) != content_digest(Block(0, 6))
    True
    """
    digest = hashlib.sha256()

    def add(name: str, value: Any) -> None:
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                add(f"{name}.{field.name}", getattr(value, field.name))
        else:
            array = np.ascontiguousarray(value)
            digest.update(f"{name} {array.dtype} {np.shape(value)}\n".encode())
            digest.update(array.data)

    add("", content)
    return digest.hexdigest()


def join_cases(cases: Sequence[Simulated]) -> Simulated:
    """Put the tables of several cases below one another; ``attrs["cases"]`` keeps the provenance of each.

    The joint ``attrs["digest"]`` is the SHA-256 of the cases' digests.
    """
    import pandas as pd

    bare = [case.table.copy(deep=False) for case in cases]
    for frame in bare:
        frame.attrs = {}  # pandas compares them on joining, and drops what differs
    joint = pd.concat(bare, ignore_index=True)
    joint.attrs["cases"] = {case.table["case"].iloc[0]: dict(case.table.attrs) for case in cases}
    digests = "".join(str(case.table.attrs["digest"]) for case in cases)
    joint.attrs["digest"] = hashlib.sha256(digests.encode()).hexdigest()
    return Simulated(joint, tuple(h for case in cases for h in case.histograms))


def pack_attrs(attrs: Mapping[Hashable | None, Any]) -> str:
    """Return a case's ``attrs`` as JSON text."""
    return json.dumps(dict(attrs))


def pack_histograms(histograms: Sequence[Histogram]) -> bytes:
    """Return a case's histograms, layer by layer, as an .npz archive without pickled objects."""
    arrays = {f"{name}_{h.layer}": getattr(h, name) for h in histograms for name in ("edges", "counts")}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def unpack_histograms(case: str, archive: bytes) -> tuple[Histogram, ...]:
    """Return the histograms that `pack_histograms` packed; nothing is ever unpickled."""
    with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
        layers = range(1, len(arrays.files) // 2 + 1)
        return tuple(Histogram(case, i, arrays[f"edges_{i}"], arrays[f"counts_{i}"]) for i in layers)
