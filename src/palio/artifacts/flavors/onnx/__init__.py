"""ONNX, run by onnxruntime."""

from __future__ import annotations

from palio.artifacts.flavors.onnx.flavor import OnnxFlavor

__all__ = ["OnnxFlavor"]
