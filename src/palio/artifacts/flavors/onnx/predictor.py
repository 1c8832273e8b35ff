"""A session of onnxruntime that answers tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from palio.artifacts.flavors.answers import scored
from palio.artifacts.flavors.onnx.graph import Graph, Input
from palio.registry.signature import Cell, Label, Predictions, Signature, Task

__all__ = ["OnnxPredictor", "columns_of"]

_ROUNDING = 1e-5  # of probabilities in float32: how far they may lie outside of [0, 1]


class OnnxPredictor:
    """A session in memory, on one thread. May be called from several threads.

    Parameters
    ----------
    session
        A session of onnxruntime.
    graph
        What it takes and gives.
    signature
        What rows are checked against; compared with the graph.
    """

    def __init__(self, session: Any, graph: Graph, signature: Signature) -> None:
        self._session, self._signature, self._outputs = session, signature, graph.outputs
        self._inputs = columns_of(graph, signature)
        known = graph.classes if signature.classes and graph.classes else signature.classes
        self._classes: dict[Label, Label] = dict(zip(known, signature.classes, strict=True))
        self._zipped: list[Any] = list(known)

    def predict(self, table: list[list[Cell]]) -> Predictions:
        """Answer a table that the signature has checked; raises what onnxruntime raises."""
        columns = list(zip(*table, strict=True))
        feeds = {port.name: port.tensor([columns[at] for at in ats]) for port, ats in self._inputs}
        label, scores = self._outputs.label, self._outputs.scores
        if self._signature.task is Task.REGRESSION:
            answer = self._session.run([scores or label], feeds)[0]
            return scored(_one_each(answer, len(table)), self._signature)
        if label is None:
            return scored(
                self._probabilities(self._session.run([scores], feeds)[0]), self._signature
            )
        if scores is None:
            return Predictions(values=self._labels(self._session.run([label], feeds)[0]))
        labels, found = self._session.run([label, scores], feeds)
        answered = scored(self._probabilities(found), self._signature)
        return Predictions(values=self._labels(labels), probabilities=answered.probabilities)

    def _labels(self, labels: Any) -> list[Label]:
        found = np.asarray(labels).ravel().tolist()
        if unknown := set(found) - set(self._classes):
            raise ValueError(f"the model answered {unknown.pop()!r}, which is none of its classes")
        return [self._classes[label] for label in found]

    def _probabilities(self, scores: Any) -> Any:
        if self._outputs.zipped:
            scores = np.array([[row[label] for label in self._zipped] for row in scores])
        if scores.ndim > 1 and scores.shape[1] == 1:
            scores = scores[:, 0]
        if ((scores < -_ROUNDING) | (scores > 1 + _ROUNDING)).any():
            raise ValueError(
                f"the model answered {scores.max()}, which is no probability; end it with Softmax "
                "or Sigmoid when exporting it"
            )
        return scores.clip(0, 1)


def _one_each(answer: Any, rows: int) -> Any:
    if answer.size != rows:
        raise ValueError(f"the model answered {answer.size} numbers to {rows} rows")
    return answer


def columns_of(graph: Graph, signature: Signature) -> list[tuple[Input, range]]:
    """Return which features each input takes: by name if each takes the one of its name."""
    names = [feature.name for feature in signature.columns]
    inputs = list(graph.inputs)
    if len(inputs) == len(names) and {port.name for port in inputs} == set(names):
        inputs.sort(key=lambda port: names.index(port.name))
    found, start = [], 0
    for port in inputs:
        end = start + (port.width or len(names))
        found.append((port, range(start, end)))
        start = end
    return found
