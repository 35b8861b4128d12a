"""Does theory agree with simulation? One rule for every row, one error rate for the whole table."""

from varprop.comparison.agreement import compare_frames
from varprop.comparison.multiplicity import holm
from varprop.comparison.settling import draws_to_settle

__all__ = ["compare_frames", "draws_to_settle", "holm"]
