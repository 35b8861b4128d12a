"""Initializers: the law of a weight's first value, under the names of the literature, Keras and PyTorch.

`initializer` turns a spelling such as ``"he_normal(mode=fan_out)"`` into an `Initializer`; its `Law` gives
mean, variance, excess kurtosis and checked flags for stated fans, and `sample` draws from exactly that law.
`table` lists every name. A new initializer is one decorated function in one of the three family files.
"""

from __future__ import annotations

from varprop.initializers import keras, literature, torch  # noqa: F401  (they fill the registry)
from varprop.initializers.base import Initializer, bias_of, initializer, registry
from varprop.initializers.catalogue import table
from varprop.initializers.laws import Law

__all__ = ["Initializer", "Law", "bias_of", "initializer", "registry", "table"]
