"""The digest of a spec: a hash of what it says, not of how it was written."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np


def content_digest(content: Any) -> str:
    """Return the SHA-256 of plain data (dicts, lists, text, numbers, arrays) as 64 hexadecimal digits.

    Floats enter by their shortest exact representation and arrays by type, shape and little-endian bytes, so
    that the digest is the same on every machine.

    Examples
    --------
    >>> content_digest({"a": 1, "b": 2.0}) == content_digest({"b": 2.0, "a": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_array_content)
    return hashlib.sha256(text.encode()).hexdigest()


def _array_content(array: Any) -> dict[str, Any]:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"a digest is of plain data, not of {type(array).__name__}")
    portable = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {
        "shape": list(portable.shape),
        "dtype": portable.dtype.str,
        "sha256": hashlib.sha256(portable.reshape(-1).view(np.uint8).data).hexdigest(),  # no copy
    }


def frozen_array(array: np.ndarray, dtype: Any) -> np.ndarray:
    """Return a private, contiguous, read-only copy of `array`."""
    copy = np.array(array, dtype=dtype, order="C", copy=True)
    copy.setflags(write=False)
    return copy
