"""The words of this dialect as data: statuses, names of files, and what its errors advise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from palio.errors import Conflict, CorruptArtifact, InvalidInput, NotFound, PalioError
from palio.registry.lifecycle import Lifecycle

__all__ = ["LIFECYCLE", "PLOTS", "creating", "finding", "finding_experiment", "loading", "status"]

LIFECYCLE = Lifecycle(
    name="credtech",
    initial="active",
    production="production",
    retired="active",
    transitions={
        "active": ("production", "archived"),
        "production": ("active",),
        "archived": (),
    },
)
"""A model is active until it is archived; the one in production is marked beside that."""

PLOTS: Mapping[str, str] = {
    "calibration": "calibration_curve",
    "roc": "roc_curve",
    "precision_recall": "pr_curve",
}
"""What the three plots are called here, by the name that training gives them."""


def status(stage: str, lifecycle: Lifecycle) -> str:
    """Return ``active`` where production can be reached from a stage, otherwise ``archived``."""
    seen, waiting = {stage}, [stage]
    while waiting:
        new = set(lifecycle.transitions.get(waiting.pop(), ())) - seen
        seen |= new
        waiting.extend(new)
    return "active" if lifecycle.production in seen else "archived"


_MODEL = (
    "Model Not Found",
    "Ensure the model ID is correct and the model exists in the registry",
)
_NONE = "no model is in production; palio credtech promote MODEL_ID puts one there"
_WHY: Mapping[str, str] = {
    "model": "{name!r} has no models yet; palio credtech train --register makes the first",
    "alias": _NONE,
    "champion": _NONE,
    "reference": "{value!r} is no model ID; palio credtech list-models shows them",
}
"""What is said here of what the core misses, by its kind or its field."""
_EXPERIMENT = (
    "Experiment Not Found",
    "Ensure the experiment ID is correct: palio credtech list-experiments shows them",
)
_CREATION = (
    "Experiment Creation Failed",
    "Check that model IDs exist and traffic percentages sum to 100",
)
_LOADING = ("Model Loading Failed", "Verify that model files are not corrupted")


@contextmanager
def finding() -> Iterator[None]:
    """Say that a model was not found in the document's words."""
    try:
        yield
    except (NotFound, InvalidInput) as error:
        raise _told(error, _MODEL, NotFound) from error


@contextmanager
def finding_experiment() -> Iterator[None]:
    """Say that an experiment was not found in the same manner."""
    try:
        yield
    except NotFound as error:
        raise _told(error, _EXPERIMENT) from error


@contextmanager
def creating() -> Iterator[None]:
    """Say why an experiment could not be created in the document's words."""
    try:
        yield
    except (InvalidInput, NotFound, Conflict) as error:
        raise _told(error, _CREATION) from error


@contextmanager
def loading() -> Iterator[None]:
    """Say that a model was not found, or could not be loaded, in the document's words."""
    try:
        yield
    except NotFound as error:
        raise _told(error, _MODEL) from error
    except CorruptArtifact as error:
        raise _told(error, _LOADING) from error
    except InvalidInput as error:
        about = error.details.get("field")
        if about == "reference":
            raise _told(error, _MODEL, NotFound) from error
        if about == "model":
            raise _told(error, _LOADING) from error
        raise


def _told(
    error: PalioError, words: tuple[str, str], kind: type[PalioError] | None = None
) -> PalioError:
    title, advice = words
    is_unread = error.details.get("field") == "reference"
    about = "reference" if is_unread else str(error.details.get("kind"))
    why = _WHY.get(about, "").format_map(error.details) or error.message
    return (kind or type(error))(f"{title}: {why}. {advice}", **error.details)
