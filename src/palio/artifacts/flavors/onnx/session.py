"""Bytes become a session of onnxruntime, or an error that says why not."""

from __future__ import annotations

import re
from typing import Any

from palio.artifacts.flavors import needed
from palio.artifacts.flavors.onnx.graph import Graph, described
from palio.errors import InvalidInput

__all__ = ["opened", "parsed", "runtime_errors"]

_SIGNATURE = re.compile(r"&\) |\[with [^\]]*\] ")  # of the C++ function that precedes the reason


def parsed(content: bytes, name: str) -> Any:
    """Return the ``ModelProto`` that the bytes of the file ``name`` are.

    Raises
    ------
    InvalidInput
        If they are none.
    """
    onnx = needed("onnx", extra="onnx")
    message = needed("google.protobuf.message", extra="onnx")
    try:
        model = onnx.ModelProto.FromString(content)
    except message.DecodeError as error:
        raise _unreadable(name, error) from error
    if not model.graph.node:
        raise _unreadable(name, "it has no graph")
    return model


def opened(model: Any, name: str) -> tuple[Any, Graph]:
    """Return a session over a ``ModelProto`` with all weights inside, and what it takes and gives.

    Raises
    ------
    InvalidInput
        If the installed onnxruntime does not run it, or it does not answer rows of a table.
    """
    session = _session(model, name)
    return session, described(model, session)


def runtime_errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises, its errors share no parent, and ``ValueError``."""
    state = needed("onnxruntime.capi.onnxruntime_pybind11_state", extra="onnx")
    kinds = (kind for kind in vars(state).values() if isinstance(kind, type))
    return (ValueError, *(kind for kind in kinds if issubclass(kind, Exception)))


def _session(model: Any, name: str) -> Any:
    runtime = needed("onnxruntime", extra="onnx")
    onnx = needed("onnx", extra="onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised
    try:
        onnx.checker.check_model(model)
        content = model.SerializeToString()
        return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (onnx.checker.ValidationError, *runtime_errors()) as error:
        reason = _SIGNATURE.split(str(error))[-1].strip()
        raise _unreadable(
            name,
            f"onnxruntime {runtime.__version__} says: {reason}",
            "export it for an older opset (target_opset), or serve it with a newer onnxruntime",
        ) from error


def _unreadable(name: str, error: object, remedy: str = "export it again") -> InvalidInput:
    return InvalidInput(
        f"{name} is no ONNX model that can be run here: {error}; {remedy}",
        field="model",
        value=name,
    )
