"""Gaussian expectations: closed-form pieces, and quadrature split at kinks on both scales."""

from __future__ import annotations

from varprop.moments.adaptive import expectation
from varprop.moments.closed import FIELDS, PAIR_FIELDS, ClosedForms

__all__ = ["FIELDS", "PAIR_FIELDS", "ClosedForms", "expectation"]
