"""Errors outward: one table of HTTP statuses, one of exit codes, one form of JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from palio import errors
from palio.errors import PalioError

__all__ = ["EXIT_CODES", "STATUSES", "error_from", "exit_code_of", "problem_of", "status_of"]

STATUSES: Mapping[type[PalioError], HTTPStatus] = {
    PalioError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidWeights: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidRows: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidOutcome: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidData: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.AlreadyExists: HTTPStatus.CONFLICT,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.IllegalTransition: HTTPStatus.CONFLICT,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.CorruptArtifact: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.UntrustedArtifact: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.PredictionFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.Overloaded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Refused: HTTPStatus.CONFLICT,
    errors.MissingExtra: HTTPStatus.NOT_IMPLEMENTED,
}
"""HTTP status by error class."""

EXIT_CODES: Mapping[type[PalioError], int] = {
    PalioError: 1,
    errors.InvalidInput: 2,
    errors.InvalidWeights: 2,
    errors.InvalidRows: 2,
    errors.InvalidOutcome: 2,
    errors.InvalidData: 2,
    errors.TooLarge: 2,
    errors.NotFound: 3,
    errors.AlreadyExists: 4,
    errors.Conflict: 4,
    errors.IllegalTransition: 4,
    errors.Unauthenticated: 5,
    errors.Forbidden: 5,
    errors.CorruptArtifact: 6,
    errors.UntrustedArtifact: 6,
    errors.PredictionFailed: 1,
    errors.Overloaded: 7,
    errors.StoreUnavailable: 7,
    errors.Refused: 4,
    errors.MissingExtra: 8,
}
"""Exit code of the shell command by error class; 0 is success, 130 an interruption."""


_LARGEST = 2**63 - 1  # of an integer that JSON readers agree about


def status_of(error: PalioError) -> int:
    """Return the HTTP status of an error."""
    return int(STATUSES[type(error)])


def exit_code_of(error: PalioError) -> int:
    """Return the exit code of an error."""
    return EXIT_CODES[type(error)]


def problem_of(error: PalioError) -> dict[str, Any]:
    """Return an error as the fields of an RFC 9457 problem, with its stable ``code``."""
    return {
        "type": f"urn:palio:error:{error.code}",
        "title": (type(error).__doc__ or "").split(".")[0].split(";")[0],
        "status": status_of(error),
        "detail": _plain(error.message),
        "code": error.code,
        "details": _plain(error.details),
    }


def error_from(problem: Mapping[str, Any]) -> PalioError:
    """Return the error that a problem was made from."""
    code = problem.get("code")
    found = next((kind for kind in _all_errors(PalioError) if kind.code == code), PalioError)
    return found(str(problem.get("detail", "")), **problem.get("details", {}))


def _plain(value: object) -> Any:
    """Return what JSON can hold: an error that cannot be told would hide what happened."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case Mapping():
            return {_plain(str(name)): _plain(one) for name, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(one) for one in value]
        case None | bool() | float():
            return value
        case int() if abs(value) <= _LARGEST:
            return value
    return _plain(str(value))


def _all_errors(root: type[PalioError]) -> Iterator[type[PalioError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _all_errors(kind)
