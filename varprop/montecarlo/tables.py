"""Tables of several cases, and what travels in their ``attrs``."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from varprop.montecarlo.histograms import Histogram

if TYPE_CHECKING:
    import pandas as pd


class Provenance(dict[Hashable | None, Any]):
    """What a case's table has in ``attrs``, not to be changed: pandas need not copy it at every step."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Provenance:
        return self


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


def join_frames(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the tables of several cases below one another; ``attrs["cases"]`` keeps the provenance of each.

    The joint ``attrs["digest"]`` is the SHA-256 of the cases' digests.
    """
    import pandas as pd

    bare = [frame.copy(deep=False) for frame in frames]
    for frame in bare:
        frame.attrs = {}  # pandas compares them on joining, and arrays have no truth value
    joint = pd.concat(bare, ignore_index=True)
    joint.attrs["cases"] = Provenance({frame["case"].iloc[0]: Provenance(frame.attrs) for frame in frames})
    digests = "".join(str(frame.attrs["digest"]) for frame in frames)
    joint.attrs["digest"] = hashlib.sha256(digests.encode()).hexdigest()
    return joint


def pack_attrs(attrs: Mapping[Hashable | None, Any]) -> tuple[str, bytes]:
    """Return a case's ``attrs`` as JSON text, and its histograms as an .npz archive."""
    listed: tuple[Histogram, ...] = attrs.get("histograms", ())
    arrays = {f"{name}_{h.layer}": getattr(h, name) for h in listed for name in ("edges", "counts")}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return json.dumps({k: v for k, v in attrs.items() if k != "histograms"}), buffer.getvalue()


def unpack_attrs(case: str, text: str, archive: bytes) -> dict[str, Any]:
    """Return the ``attrs`` that `pack_attrs` packed; nothing is ever unpickled."""
    attrs: dict[str, Any] = {k: _tuples(v) for k, v in json.loads(text).items()}
    with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
        layers = range(1, len(arrays.files) // 2 + 1)
        listed = tuple(Histogram(case, i, arrays[f"edges_{i}"], arrays[f"counts_{i}"]) for i in layers)
    return attrs | ({"histograms": listed} if listed else {})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
