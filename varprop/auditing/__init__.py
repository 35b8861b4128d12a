"""Audit a real model: measure, predict, judge and advise."""

from __future__ import annotations

from varprop.auditing.arrays import audit_arrays
from varprop.auditing.asserting import assert_healthy, suggest
from varprop.auditing.public import audit
from varprop.diagnosis import diagnose

__all__ = ["assert_healthy", "audit", "audit_arrays", "diagnose", "suggest"]
