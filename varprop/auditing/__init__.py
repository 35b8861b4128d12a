"""Audit a real model: measure, predict, judge and advise."""

from __future__ import annotations

from varprop.auditing.public import audit

__all__ = ["audit"]
