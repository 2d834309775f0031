"""The format lxc-tools: LXC configurations and domain XML, both ways."""

from __future__ import annotations

from .from_native import from_native
from .to_native import to_native

__all__ = ["from_native", "to_native"]
