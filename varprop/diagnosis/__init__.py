"""Verdict and advice from per-layer tables: healthy or not, forward and backward, where first, and what to change."""

from __future__ import annotations

from varprop.diagnosis.advice import CHANGE_COLUMNS, suggested_changes
from varprop.diagnosis.lines import torch_lines
from varprop.diagnosis.verdict import Diagnosis, Direction, Finding, diagnose

__all__ = [
    "CHANGE_COLUMNS",
    "Diagnosis",
    "Direction",
    "Finding",
    "diagnose",
    "suggested_changes",
    "torch_lines",
]
