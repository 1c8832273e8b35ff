"""PyTorch: exported programs and state dicts, read as data."""

from __future__ import annotations

from palio.artifacts.flavors.torch.flavor import TorchFlavor

__all__ = ["TorchFlavor"]
