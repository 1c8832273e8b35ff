"""What happened: predictions and outcomes, as the append-only log keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from palio.errors import InvalidInput, InvalidOutcome
from palio.registry.signature import Label

__all__ = [
    "LABEL",
    "LONGEST_ID",
    "Event",
    "Exposure",
    "Fallback",
    "LogEntry",
    "Outcome",
    "OutcomeDraft",
    "Prediction",
    "Receipt",
    "Scored",
    "Value",
    "asked_of",
    "check_against",
    "check_draft",
    "check_id",
    "refused",
]

LABEL = "label"
LONGEST_ID = 256  # characters of a request_id, unit or outcome_id: they are keys of indexes
_LARGEST = 1e60  # squares of squares of it are still numbers
_PLAIN = frozenset({bool, int, float, str})
Value = Label | list[Label]
Subject = tuple[str | None, str | None, str | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What another variant made of the same request: it was asked, and did not answer."""

    variant: str
    version: str
    values: list[Label]
    probabilities: list[list[float]] | None = None
    latency_ms: float
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What the champion made of a request whose version failed; ``error`` says why nothing.

    ``latency_ms`` is the time until it had answered, with that of the version that failed.
    """

    model: str
    version: str
    values: list[Label]
    probabilities: list[list[float]] | None = None
    classes: tuple[Label, ...] = ()
    latency_ms: float
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One served request, with all that a later judgement of it needs.

    ``values`` has one entry per row; ``probabilities`` one list per row, in the order of
    ``classes``. ``propensity`` is the chance with which the unit was given this variant.
    ``error`` says why the model gave no answer; then ``values`` is empty. ``forced`` says that
    the request asked for its variant, to try it; then it is no part of the experiment.

    ``policy_version`` names the weights that were in force, ``segments`` those that the unit is
    in; ``others`` is what the other variants of a paired experiment made of the request.

    ``fallback`` is what the champion answered instead of a version that failed. No judgement of
    this one or of its experiment reads it: the failure stays what is recorded of the variant.
    """

    request_id: str
    unit: str
    at: datetime
    endpoint: str
    model: str
    version: str
    experiment: str | None = None
    variant: str | None = None
    epoch: int = 0
    propensity: float = 1.0
    values: list[Label]
    probabilities: list[list[float]] | None = None
    classes: tuple[Label, ...] = ()
    latency_ms: float
    error: str | None = None
    runtime: str = ""
    forced: bool = False
    policy_version: int = 0
    segments: tuple[str, ...] = ()
    others: tuple[Scored, ...] = ()
    fallback: Fallback | None = None

    def counts_for(self, experiment: str) -> bool:
        """Tell whether it is evidence in an experiment."""
        return self.experiment == experiment and not self.forced


def asked_of(prediction: Prediction) -> Sequence[Prediction]:
    """Return what each version was asked: one that failed, and the champion that stood in."""
    stood_in = prediction.fallback
    if stood_in is None:
        return (prediction,)
    own = replace(
        prediction,
        model=stood_in.model,
        version=stood_in.version,
        values=stood_in.values,
        probabilities=stood_in.probabilities,
        classes=stood_in.classes,
        latency_ms=stood_in.latency_ms,
        error=stood_in.error,
        fallback=None,
    )
    return prediction, own


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """A unit was given a variant by those who serve elsewhere; otherwise as in `Prediction`."""

    unit: str
    at: datetime
    endpoint: str
    model: str
    version: str
    experiment: str
    variant: str
    epoch: int
    propensity: float
    policy_version: int = 0
    segments: tuple[str, ...] = ()

    @property
    def request_id(self) -> None:
        """None: an exposure belongs to no request."""
        return

    def counts_for(self, experiment: str) -> bool:
        """Tell whether it is evidence in an experiment."""
        return self.experiment == experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeDraft:
    """What became known later about a request or a unit, as a client sends it.

    It is about a request (``request_id``), a unit, or, the weakest evidence, a ``variant`` of an
    ``experiment`` as a whole: exactly one of them. ``value`` is a number, or for the
    ``label`` of a request one of the version's classes; a list, when the request had several
    rows. ``outcome_id`` makes repeats harmless; without it a request has one outcome of a name.
    Values of numpy become Python's.
    """

    value: Value
    name: str = LABEL
    request_id: str | None = None
    unit: str | None = None
    outcome_id: str | None = None
    at: datetime | None = None
    experiment: str | None = None
    variant: str | None = None

    def __post_init__(self) -> None:
        if type(self.value) not in _PLAIN:
            object.__setattr__(self, "value", _plain(self.value))

    @property
    def subject(self) -> Subject:
        """What it is about."""
        return (self.request_id, self.unit, self.experiment, self.variant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An outcome in the log; a later ``revision`` of the same ``outcome_id`` replaces it."""

    outcome_id: str
    revision: int
    name: str
    value: Value
    at: datetime
    request_id: str | None = None
    unit: str | None = None
    experiment: str | None = None
    variant: str | None = None

    @property
    def subject(self) -> Subject:
        """What it is about."""
        return (self.request_id, self.unit, self.experiment, self.variant)


Event = Prediction | Exposure | Outcome


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An event at its place in the log; ``seq`` only ever grows."""

    seq: int
    event: Event


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of outcomes that were sent.

    ``accepted`` are new in the log, ``corrected`` of them replace an earlier value; ``repeated``
    were there already; ``unknown`` of the accepted wait for a prediction that has not arrived;
    ``late`` of them are about a request or a variant of an experiment that had ended.
    """

    accepted: int
    corrected: int
    repeated: int
    unknown: int
    late: int = 0


def _plain(value: Any) -> Any:
    """Return scalars and arrays of numpy, also in a list, as Python's own; others as they are."""
    if type(value) is list:
        return [one if type(one) in _PLAIN else _plain(one) for one in value]
    tolist = getattr(value, "tolist", None)
    return tolist() if callable(tolist) else value


def check_draft(number: int, draft: OutcomeDraft) -> None:
    """Raise ``InvalidOutcome`` when an outcome cannot be kept, naming its place and field."""
    _check_subject(number, draft)
    for field in ("request_id", "unit", "experiment", "variant", "name", "outcome_id"):
        _check_id(number, field, getattr(draft, field))
    values = draft.value if isinstance(draft.value, list) else [draft.value]
    if not values:
        raise refused(number, "value", [], "the list of values is empty")
    for value in values:
        _check_value(number, draft.name, value)
    if draft.at is not None and draft.at.tzinfo is None:
        raise refused(number, "at", str(draft.at), "the time has no zone; end it with Z")


def _check_subject(number: int, draft: OutcomeDraft) -> None:
    if (draft.experiment is None) != (draft.variant is None):
        field = "variant" if draft.variant is None else "experiment"
        raise refused(number, field, None, "give experiment and variant together")
    if (draft.request_id, draft.unit, draft.variant).count(None) != 2:  # noqa: PLR2004
        why = "give request_id or unit, not both, or else experiment and variant"
        raise refused(number, "request_id", draft.request_id, why)
    if draft.variant is not None and isinstance(draft.value, str):
        raise refused(number, "value", draft.value, "what a variant did as a whole is a number")


def _check_id(number: int, field: str, text: str | None) -> None:
    if text is None:
        return
    if not text:
        raise refused(number, field, "", f"{field} is empty")
    if len(text) > LONGEST_ID:
        why = f"{field} has {len(text)} characters, {LONGEST_ID} are allowed"
        raise refused(number, field, text[:LONGEST_ID], why)
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise refused(number, field, ascii(text), f"{field} has a character no store can keep")


def _check_value(number: int, name: str, value: object) -> None:
    if not isinstance(value, bool | int | float | str):
        why = f"the value must be a number or a text, got {type(value).__name__}"
        raise refused(number, "value", str(value), why)
    if not isinstance(value, str) and not abs(value) <= _LARGEST:  # NaN too
        why = f"the value must be a finite number of at most {_LARGEST:g}, got {value}"
        raise refused(number, "value", str(value), why)
    if isinstance(value, str) and name != LABEL:
        raise refused(
            number, "value", value, f"{name} must be a number; only {LABEL} may be a text"
        )


def check_id(name: str, value: object) -> None:
    """Raise ``InvalidInput`` when a value cannot be the id of a request or unit."""
    if not isinstance(value, str):
        raise InvalidInput(
            f"{name} must be a text, got {value!r}; write it in quotation marks",
            field=name,
            value=str(value),
        )
    if not 0 < len(value) <= LONGEST_ID:
        why = f"must have 1 to {LONGEST_ID} characters, got {len(value)}"
    elif "\0" in value:
        why = "has a NUL, which no store can keep"
    elif not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        why = "has half of a surrogate pair, which is no character"
    else:
        return
    raise InvalidInput(f"{name} {why}", field=name, value=value[:LONGEST_ID])


def check_against(number: int, draft: OutcomeDraft, prediction: Prediction) -> None:
    """Raise ``InvalidOutcome`` when an outcome cannot belong to the prediction it names."""
    if draft.name != LABEL or prediction.error is not None:
        return
    values = draft.value if isinstance(draft.value, list) else [draft.value]
    if len(values) != len(prediction.values):
        raise refused(
            number,
            "value",
            draft.value,
            f"the request had {len(prediction.values)} rows, {len(values)} labels were sent",
        )
    for value in values:
        if prediction.classes and value not in prediction.classes:
            raise refused(
                number,
                "value",
                value,
                f"the label {value!r} is none of the classes {_listed(prediction.classes)} of "
                f"{prediction.model}:{prediction.version}",
            )
        if not prediction.classes and isinstance(value, str):
            raise refused(number, "value", value, "the label of a regression must be a number")


def refused(number: int, field: str, value: object, why: str) -> InvalidOutcome:
    """Return the error for the outcome at place ``number`` of those sent."""
    return InvalidOutcome(f"outcome {number}: {why}", outcome=number, field=field, value=value)


def _listed(classes: Sequence[Label]) -> str:
    return ", ".join(repr(label) for label in classes)
