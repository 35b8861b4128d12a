"""How every op acts on arrays, forward and back: one file per op or family of ops, one table."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from varprop.montecarlo.ops._rule import RULES, Context, Place, Rule

if TYPE_CHECKING:
    from varprop.spec.ops import Op

__all__ = ["RULES", "Context", "Place", "Rule", "rule_of"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def rule_of(op: Op) -> Rule:
    """Return the rule of an op.

    Examples
    --------
    >>> from varprop.spec.ops import Add
    >>> rule_of(Add()).weight_gradients is None
    True
    """
    return RULES[type(op)]
