"""PyTorch modules on their way into the registry: what they take, and answers as probabilities."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from math import prod
from typing import Any

from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Label, Signature, Task

__all__ = ["AUDIO", "is_module", "prepared"]

AUDIO = "audio_data"
"""The one field of a row: samples of sound."""
_TRIED_ROWS = 2
_ROUNDING = 1e-4


def is_module(model: object) -> bool:
    """Tell whether a model is a module of PyTorch."""
    loaded: Any = sys.modules.get("torch")
    return loaded is not None and isinstance(model, loaded.nn.Module)


def prepared(
    model: Any, shape: Sequence[int], labels: Sequence[Label] = ()
) -> tuple[Any, Signature]:
    """Return a module over flat samples that answers probabilities, and what it takes.

    Parameters
    ----------
    model
        A module over (n, ...) of the given shape. Where it answers no probabilities, as networks
        that were trained with a cross entropy do not, a softmax comes behind it.
    shape
        Of one input, such as ``(22050,)``.
    labels
        Its classes in the order of its answers; numbers from 0 when not given.

    Raises
    ------
    InvalidInput
        If it does not answer such inputs, or has another number of answers than labels.
    """
    torch: Any = sys.modules["torch"]  # where there is a module of it, it was imported
    tried = copy.deepcopy(model).cpu().eval()
    scores = _tried(torch, tried, shape)
    layers = [tried] if len(shape) == 1 else [torch.nn.Unflatten(1, tuple(shape)), tried]
    if scores.ndim == 1 or scores.shape[1] == 1:
        if labels:
            raise _misfit(1, labels)
        task, classes = Task.REGRESSION, tuple(labels)
    else:
        task, classes = Task.CLASSIFICATION, tuple(labels) or tuple(range(scores.shape[1]))
        if len(classes) != scores.shape[1]:
            raise _misfit(scores.shape[1], labels)
        if not _is_probability(scores):
            layers.append(torch.nn.Softmax(dim=1))
    sound = Feature(AUDIO, FeatureType.NUMBER, size=prod(shape))
    return torch.nn.Sequential(*layers), Signature((sound,), task, classes)


def _tried(torch: Any, model: Any, shape: Sequence[int]) -> Any:
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.no_grad():
            scores = model(torch.randn(_TRIED_ROWS, *shape, generator=generator))
    except Exception as error:
        raise InvalidInput(
            f"the model does not answer audio of the shape {tuple(shape)}: "
            f"{type(error).__name__} {error}; give an example of its input, "
            "register_model(model, metadata, example=…)",
            field="example",
        ) from error
    if not hasattr(scores, "ndim") or scores.ndim not in (1, 2):
        raise InvalidInput("the model must answer one number a class, and a row for each input")
    return scores


def _is_probability(scores: Any) -> bool:
    within = bool((scores >= 0).all() and (scores <= 1).all())
    return within and bool(((scores.sum(dim=1) - 1).abs() < _ROUNDING).all())


def _misfit(answers: int, labels: Sequence[Label]) -> InvalidInput:
    return InvalidInput(
        f"the model answers {answers} numbers, and training_config.labels names {len(labels)}; "
        "name one label for each",
        field="labels",
        value=len(labels),
    )
