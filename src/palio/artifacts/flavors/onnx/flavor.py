"""Saving and loading ONNX models, which onnxruntime runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from palio.artifacts.flavors import Safety, model_file
from palio.artifacts.flavors.answers import is_any
from palio.artifacts.flavors.onnx.predictor import OnnxPredictor
from palio.artifacts.flavors.onnx.session import opened, parsed
from palio.artifacts.flavors.onnx.signatures import check_fits, signature_of
from palio.artifacts.flavors.onnx.weights import bring_in, has_outside
from palio.errors import InvalidInput
from palio.registry.signature import Signature

__all__ = ["OnnxFlavor"]

_MODEL_FILE = "model.onnx"
_PROTO = "onnx.onnx_ml_pb2.ModelProto"
_IR_VERSION = b"\x08"  # tag of the field that comes first
_SECOND_FIELDS = frozenset(
    {b"\x12", b"\x1a", b"\x22", b"\x28", b"\x32", b"\x3a", b"\x42", b"\x72"}
)


class OnnxFlavor:
    """ONNX models as ``model.onnx``: a ``ModelProto``, or its bytes, over rows of a table.

    Weights in files beside a model are taken from the version only and kept in memory.
    """

    name = "onnx"
    safety = Safety.SAFE

    def __init__(self, _: Sequence[str] = ()) -> None:
        """Take the trusted types that every flavor is given; data needs none."""

    def recognises(self, model: object) -> bool:
        """Tell whether the model is a ``ModelProto``, or bytes that begin as one does."""
        if isinstance(model, bytes):
            return model[:1] == _IR_VERSION and model[2:3] in _SECOND_FIELDS
        return is_any(model, {_PROTO})

    def claims(self, name: str, head: bytes) -> bool:
        """Tell whether a file is an ONNX model, by its name and its first field."""
        return name.endswith(".onnx") and head[:1] in {b"", _IR_VERSION}

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> Signature:
        """Read the features off a sample, and task and classes off the graph.

        Raises
        ------
        InvalidInput
            If the sample does not fit, or the model does not take rows of a table.
        """
        session, graph = opened(_proto(model), _MODEL_FILE)
        return signature_of(session, graph, sample, target)

    def save(self, model: object, folder: Path, signature: Signature) -> None:
        """Write the model into ``folder``.

        Raises
        ------
        InvalidInput
            If onnxruntime cannot run it, or it does not fit the signature.
        """
        proto = _proto(model)
        check_fits(opened(proto, _MODEL_FILE)[1], signature)
        content = model if isinstance(model, bytes) else proto.SerializeToString()
        (folder / _MODEL_FILE).write_bytes(content)

    def restore(self, files: Mapping[str, bytes]) -> object:
        """Make a ``ModelProto`` of bytes whose digests have been compared, weights inside.

        Raises
        ------
        UntrustedArtifact
            If the model names files outside of its folder.
        InvalidInput
            If it is no ONNX model, or one that the installed onnxruntime does not run.
        """
        name, model = self._complete(files)
        opened(model, name)
        return cast("object", model)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> OnnxPredictor:
        """Make a predictor of bytes whose digests have been compared; raises as ``restore``."""
        name, model = self._complete(files)
        session, graph = opened(model, name)
        check_fits(graph, signature)
        return OnnxPredictor(session, graph, signature)

    def _complete(self, files: Mapping[str, bytes]) -> tuple[str, Any]:
        name, content = model_file(self, files)
        model = parsed(content, name)
        bring_in(model, {path: held for path, held in files.items() if path != name})
        return name, model


def _proto(model: object) -> Any:
    proto = parsed(model, _MODEL_FILE) if isinstance(model, bytes) else cast("Any", model)
    if has_outside(proto):
        raise InvalidInput(
            "the ONNX model keeps weights in other files; read it with onnx.load from its folder, "
            "which brings them in",
            field="model",
        )
    return proto
