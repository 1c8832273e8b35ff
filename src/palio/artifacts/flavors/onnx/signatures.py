"""What an ONNX model takes and gives, as a signature, and whether it fits one."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from palio.artifacts.flavors.answers import labels_of, misfit
from palio.artifacts.flavors.onnx.graph import Graph, Input
from palio.artifacts.flavors.onnx.predictor import OnnxPredictor, columns_of
from palio.artifacts.flavors.onnx.session import runtime_errors
from palio.artifacts.flavors.samples import features_of
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Label, Signature, Task

__all__ = ["check_fits", "signature_of"]

_TRIED_ROWS = 100
_TWO = 2


def signature_of(session: Any, graph: Graph, sample: Any, target: Any = None) -> Signature:
    """Return the signature of a model, having tried it on the first rows of the sample.

    A single score is a probability if the target has two labels and the sample's scores lie in
    [0, 1], and a number otherwise.

    Raises
    ------
    InvalidInput
        If the sample is of no use, or the model does not answer it.
    """
    features = features_of(sample, _names(graph, sample))
    found = Signature(features=features, task=Task.REGRESSION)
    if not _classifies(graph):
        labels = () if target is None else np.unique(np.asarray(target)).tolist()
        binary = Signature(features=features, task=Task.CLASSIFICATION, classes=tuple(labels))
        if len(labels) == _TWO and _failure(session, graph, binary, sample) is None:
            return binary
    else:
        classes = _classes(graph, target)
        found = Signature(features=features, task=Task.CLASSIFICATION, classes=classes)
    if failure := _failure(session, graph, found, sample):
        raise InvalidInput(
            f"the ONNX model does not answer the sample: {failure}", field="sample"
        ) from failure
    return found


def _classifies(graph: Graph) -> bool:
    outputs = graph.outputs
    return bool(outputs.label or outputs.zipped or outputs.width > 1)


def _failure(session: Any, graph: Graph, signature: Signature, sample: Any) -> Exception | None:
    check_fits(graph, signature)
    try:
        OnnxPredictor(session, graph, signature).predict(_rows(sample, signature))
    except runtime_errors() as error:
        return error
    return None


def _names(graph: Graph, sample: Any) -> list[str]:
    """Return the names of the inputs if each is a column of the sample."""
    names = [port.name for port in graph.inputs]
    columns = {str(column) for column in getattr(sample, "columns", ())}
    return names if set(names) <= columns else []


def _classes(graph: Graph, target: Any) -> tuple[Label, ...]:
    known = len(graph.classes) or (graph.outputs.width if graph.outputs.width > 1 else 0)
    if target is not None and graph.classes:
        found = labels_of(known, target)
        return graph.classes if set(found) == set(graph.classes) else found  # in its own order
    if target is not None:
        return labels_of(known or len(np.unique(np.asarray(target))), target)
    if graph.classes or known:
        return graph.classes or tuple(range(known))
    raise InvalidInput(
        "the ONNX model does not name its classes; give a target with all labels",
        field="target",
        value=None,
    )


def _rows(sample: Any, signature: Signature) -> list[Any]:
    frame = nw.from_native(sample, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        names = [feature.name for feature in signature.columns]
        return signature.table(frame.select(names).head(_TRIED_ROWS).rows())
    return signature.table(np.asarray(sample)[:_TRIED_ROWS].tolist())


def check_fits(graph: Graph, signature: Signature) -> None:
    """Compare a graph with a signature; raise ``InvalidInput`` if they do not fit."""
    features = signature.columns
    width = graph.width(len(features))
    if width != len(features):
        raise misfit(f"takes {width} features, not {len(features)}", len(features))
    _check_task(graph, signature)
    for port, columns in columns_of(graph, signature):
        for feature in (features[at] for at in columns):
            _check_cell(port, feature)


def _check_task(graph: Graph, signature: Signature) -> None:
    known = len(graph.classes) or max(0, graph.outputs.width)
    if signature.task is Task.REGRESSION:
        if graph.outputs.zipped or graph.outputs.width > 1:
            raise misfit("answers classes, not one number", str(signature.task))
    elif known > 1 and known != len(signature.classes):
        raise misfit(f"knows {known} classes, not {len(signature.classes)}", known)


def _check_cell(port: Input, feature: Feature) -> None:
    if (port.kind == "string") != (feature.type is FeatureType.STRING):
        raise misfit(f"takes {port.kind} where {feature.name!r} is {feature.type}", feature.name)
    if feature.nullable and not port.takes_missing:
        raise misfit(
            f"takes {port.kind} for {feature.name!r}, in which no value can be missing",
            feature.name,
        )
