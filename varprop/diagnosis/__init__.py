"""Verdict and advice from per-layer tables: healthy or not, forward and backward, where first, and what to change."""

from __future__ import annotations

from varprop.diagnosis.advice import CHANGE_COLUMNS, changes, suggest
from varprop.diagnosis.cases import only_case
from varprop.diagnosis.lines import torch_lines
from varprop.diagnosis.verdict import Diagnosis, Direction, Finding, diagnose, diagnose_one, judge

__all__ = [
    "CHANGE_COLUMNS",
    "Diagnosis",
    "Direction",
    "Finding",
    "changes",
    "diagnose",
    "diagnose_one",
    "judge",
    "only_case",
    "suggest",
    "torch_lines",
]
