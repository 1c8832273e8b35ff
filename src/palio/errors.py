"""Every error that Palio raises on purpose.

::

    PalioError
    ├── InvalidInput            what was sent cannot be used
    │   ├── InvalidWeights      weights of a split that are no distribution
    │   ├── InvalidRows         rows that do not fit the signature of a version
    │   ├── InvalidOutcome      an outcome of the wrong type or shape
    │   ├── InvalidData         a training table that cannot be learnt from
    │   └── TooLarge            a body beyond the limit
    ├── NotFound                nothing has that name
    ├── AlreadyExists           the name is taken, and what has it never changes
    ├── Conflict                the state has moved since it was read, or forbids the verb
    │   └── IllegalTransition   the lifecycle has no such step
    ├── Unauthenticated         no key, or one that is unknown, revoked or expired
    ├── Forbidden               a key whose role is too low
    ├── CorruptArtifact         bytes that are not those that were registered
    ├── UntrustedArtifact       bytes that policy does not allow to become objects
    ├── PredictionFailed        the model raised
    ├── Overloaded              the queue is full; try again
    ├── StoreUnavailable        the store did not answer
    ├── Refused                 a configuration that would be unsafe
    └── MissingExtra            an optional dependency is not installed

A message says what was found, what was expected and what to do next; ``details`` carries the
same as fields for programs.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AlreadyExists",
    "Conflict",
    "CorruptArtifact",
    "Forbidden",
    "IllegalTransition",
    "InvalidData",
    "InvalidInput",
    "InvalidOutcome",
    "InvalidRows",
    "InvalidWeights",
    "MissingExtra",
    "NotFound",
    "Overloaded",
    "PalioError",
    "PredictionFailed",
    "Refused",
    "StoreUnavailable",
    "TooLarge",
    "Unauthenticated",
    "UntrustedArtifact",
]


class PalioError(Exception):
    """Root of the tree; never raised itself.

    Parameters
    ----------
    message
        What was found, what was expected, what to do next.
    details
        The same as JSON-ready fields.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidInput(PalioError):
    """What was sent cannot be used."""

    code = "invalid_input"


class InvalidWeights(InvalidInput):
    """Weights of a split that are no distribution."""

    code = "invalid_weights"


class InvalidRows(InvalidInput):
    """Rows that do not fit the signature of a version."""

    code = "invalid_rows"


class InvalidOutcome(InvalidInput):
    """An outcome of the wrong type or shape."""

    code = "invalid_outcome"


class InvalidData(InvalidInput):
    """A training table that cannot be learnt from."""

    code = "invalid_data"


class TooLarge(InvalidInput):
    """A body beyond the limit."""

    code = "too_large"


class NotFound(PalioError):
    """Nothing has that name."""

    code = "not_found"


class AlreadyExists(PalioError):
    """The name is taken, and what has it never changes."""

    code = "already_exists"


class Conflict(PalioError):
    """The state has moved since it was read, or forbids the verb."""

    code = "conflict"


class IllegalTransition(Conflict):
    """The lifecycle has no such step."""

    code = "illegal_transition"


class Unauthenticated(PalioError):
    """No key, or one that is unknown, revoked or expired."""

    code = "unauthenticated"


class Forbidden(PalioError):
    """A key whose role is too low."""

    code = "forbidden"


class CorruptArtifact(PalioError):
    """Bytes that are not those that were registered."""

    code = "corrupt_artifact"


class UntrustedArtifact(PalioError):
    """Bytes that policy does not allow to become objects."""

    code = "untrusted_artifact"


class PredictionFailed(PalioError):
    """The model raised; the failure is recorded as evidence against its version."""

    code = "prediction_failed"


class Overloaded(PalioError):
    """The queue is full; try again."""

    code = "overloaded"


class StoreUnavailable(PalioError):
    """The store did not answer."""

    code = "store_unavailable"


class Refused(PalioError):
    """A configuration that would be unsafe."""

    code = "refused"


class MissingExtra(PalioError):
    """An optional dependency is not installed."""

    code = "missing_extra"
