"""What a network takes and gives, found by trying it, and whether that fits a signature."""

from __future__ import annotations

from typing import Any

import numpy as np

from palio.artifacts.flavors.answers import check_fits as check_inputs
from palio.artifacts.flavors.answers import labels_of, misfit, numbers
from palio.artifacts.flavors.samples import answers_of, features_of, rows_of
from palio.artifacts.flavors.torch.devices import CPU
from palio.artifacts.flavors.torch.network import Network
from palio.artifacts.flavors.torch.predictor import probabilities
from palio.errors import InvalidInput
from palio.registry.signature import Label, Signature, Task

__all__ = ["check_fits", "signature_of"]

_TRIED_ROWS = 100
_TWO = 2


def signature_of(network: Network, sample: Any, target: Any = None) -> Signature:
    """Return the signature of a network, having tried it on the first rows of the sample.

    Several answers a row are the probabilities of as many classes. One is the probability of the
    second of two classes if the target has two labels that are no floats, else a number.

    Raises
    ------
    InvalidInput
        If the sample is of no use, the network does not answer it, or answers a classifier's
        target with other than probabilities.
    """
    features = features_of(sample)
    found = Signature(features=features, task=Task.REGRESSION)
    check_inputs(found, width=network.width or len(features), classes=None)
    rows = numbers(rows_of(sample, features)[:_TRIED_ROWS])
    try:
        scores = network.answers(rows)
        if classes := _classes(scores, target):
            probabilities(scores)
            return Signature(features=features, task=Task.CLASSIFICATION, classes=classes)
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(
            f"the model does not answer the sample: {error}", field="sample"
        ) from error
    return found


def _classes(scores: Any, target: Any) -> tuple[Label, ...]:
    if scores.ndim > 1:
        return labels_of(scores.shape[1], target)
    task, labels = (Task.REGRESSION, ()) if target is None else answers_of(target)
    return labels if task is Task.CLASSIFICATION and len(labels) == _TWO else ()


def check_fits(network: Network, signature: Signature) -> None:
    """Compare a network with a signature, by a table of zeros; raise ``InvalidInput`` if not."""
    width = signature.width
    check_inputs(
        signature,
        width=network.width or width,
        classes=len(signature.classes) or None,
    )
    try:
        scores = network.answers(np.zeros((_TWO, width)))
    except Exception as error:
        raise _unanswered(network, width, error) from error
    answers = 1 if scores.ndim == 1 else scores.shape[1]
    classes = len(signature.classes)
    if answers != (classes or 1) and (answers, classes) != (1, _TWO):
        raise misfit(f"gives {answers} numbers a row, not {classes or 1}", answers)
    if classes and np.isfinite(scores).all():
        _check_probabilities(scores)


def _unanswered(network: Network, width: int, error: Exception) -> InvalidInput:
    if network.device == CPU:
        return misfit(f"does not answer {width} numbers: {error}", width)
    return InvalidInput(
        f"the model does not answer {width} numbers on {network.device}: {error}; if it does on "
        "the CPU, set PALIO_TORCH_DEVICE=cpu, or register it so that it makes all its tensors "
        "where its rows are",
        field="PALIO_TORCH_DEVICE",
        value=network.device,
    )


def _check_probabilities(scores: Any) -> None:
    try:
        probabilities(scores)
    except ValueError as error:
        raise InvalidInput(f"{error}", field="model") from error
