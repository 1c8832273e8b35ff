"""Every error has a status, an exit code and a form that programs can read back."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from palio import errors
from palio.edge.problems import (
    EXIT_CODES,
    STATUSES,
    error_from,
    exit_code_of,
    problem_of,
    status_of,
)
from palio.errors import PalioError


def below(kind: type[PalioError]) -> Iterator[type[PalioError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from below(child)


ALL = sorted(below(PalioError), key=lambda kind: kind.__name__)
ODD = {
    "text": "half \ud800 a pair",
    "large": 2**70,
    "tuple": (1, "two", None),
    "set": frozenset({3}),
    "nested": {"\udfff": [{"deep": 1.5}]},
    "anything": PalioError,
}


def test_all_are_public() -> None:
    assert [kind.__name__ for kind in ALL] == sorted(errors.__all__)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_mapped(kind: type[PalioError]) -> None:
    assert 400 <= STATUSES[kind] <= 599
    assert 1 <= EXIT_CODES[kind] <= 8


def test_nothing_else_is_mapped() -> None:
    assert STATUSES.keys() == EXIT_CODES.keys() == set(ALL)


def test_codes_are_stable_and_unlike() -> None:
    assert len({kind.code for kind in ALL}) == len(ALL)
    assert {kind.code for kind in ALL} == {
        "already_exists", "conflict", "corrupt_artifact", "error", "forbidden",
        "illegal_transition", "invalid_data", "invalid_input", "invalid_outcome", "invalid_rows",
        "invalid_weights", "missing_extra", "not_found", "overloaded", "prediction_failed",
        "refused", "store_unavailable", "too_large", "unauthenticated", "untrusted_artifact",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ALL)
def test_a_problem_is_read_back_as_the_same_error(kind: type[PalioError]) -> None:
    error = kind("what was found; what to do", field="unit", value=["ü", 1, None, {"a": 0.5}])
    problem = problem_of(error)
    assert problem.keys() == {"type", "title", "status", "detail", "code", "details"}
    assert problem["type"] == f"urn:palio:error:{kind.code}"
    assert problem["title"]
    assert problem["status"] == status_of(error) == STATUSES[kind]
    again = error_from(msgspec.json.decode(msgspec.json.encode(problem)))
    assert type(again) is kind
    assert (again.message, again.details) == (error.message, error.details)
    assert exit_code_of(again) == exit_code_of(error)


def test_what_json_cannot_hold_is_told_anyway() -> None:
    problem = msgspec.json.decode(msgspec.json.encode(problem_of(PalioError("\ud800!", **ODD))))
    assert problem["detail"] == "\\ud800!"
    assert problem["details"] == {
        "text": "half \\ud800 a pair",
        "large": str(2**70),
        "tuple": [1, "two", None],
        "set": [3],
        "nested": {"\\udfff": [{"deep": 1.5}]},
        "anything": str(PalioError),
    }


def test_a_code_of_a_newer_server_is_an_error_all_the_same() -> None:
    error = error_from({"code": "not_yet_invented", "detail": "so"})
    assert (type(error), error.message, error.details) == (PalioError, "so", {})
