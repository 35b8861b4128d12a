"""Audit a real model: measure, predict, judge and advise."""

from __future__ import annotations

from varprop.auditing.arrays import audit_arrays
from varprop.auditing.asserting import assert_healthy
from varprop.auditing.public import audit
from varprop.diagnosis import diagnose, diagnose_one, suggest

__all__ = ["assert_healthy", "audit", "audit_arrays", "diagnose", "diagnose_one", "suggest"]
