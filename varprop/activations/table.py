"""The one table of activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from varprop._registry import Registry

if TYPE_CHECKING:
    from varprop.activations.base import Activation

registry: Registry[Activation] = Registry("activation")
