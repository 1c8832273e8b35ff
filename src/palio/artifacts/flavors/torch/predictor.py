"""A network answers a checked table."""

from __future__ import annotations

from typing import Any

from palio.artifacts.flavors.answers import numbers, scored
from palio.artifacts.flavors.threads import FewThreads
from palio.artifacts.flavors.torch.network import Network
from palio.registry.signature import Cell, Predictions, Signature, Task

__all__ = ["TorchPredictor", "probabilities"]

_ROUNDING = 1e-4  # of float32 sums over many classes


class TorchPredictor:
    """A network in memory. May be called from several threads.

    Parameters
    ----------
    network
        What computes the answers.
    signature
        What rows are checked against; compared with the network.
    """

    def __init__(self, network: Network, signature: Signature) -> None:
        self._network, self._signature = network, signature
        self._threads = FewThreads()

    def predict(self, table: list[list[Cell]]) -> Predictions:
        """Answer a table that the signature has checked; raises what PyTorch raises."""
        with self._threads.over(len(table)):
            scores = self._network.answers(numbers(table))
        if self._signature.task is Task.CLASSIFICATION:
            scores = probabilities(scores)
        return scored(scores, self._signature)


def probabilities(scores: Any) -> Any:
    """Return scores (n_rows,) or (n_rows, n_classes) cut to [0, 1].

    Raises
    ------
    ValueError
        If they are no probabilities.
    """
    wrong = (scores < -_ROUNDING) | (scores > 1 + _ROUNDING)
    if wrong.any():
        raise ValueError(
            f"the model answered {scores[wrong][0]:g}, which is no probability; end it with "
            "Softmax or Sigmoid"
        )
    if scores.ndim > 1 and (abs(scores.sum(axis=1) - 1) > _ROUNDING).any():
        raise ValueError(
            "the model answered probabilities that do not add up to 1; end it with Softmax"
        )
    return scores.clip(0, 1)
