"""Files of any kind, kept as they are."""

from __future__ import annotations

from palio.artifacts.flavors.plain.flavor import PlainFlavor

__all__ = ["PlainFlavor"]
