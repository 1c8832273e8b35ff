"""Whatever is sent: problem details with a stable code, never a traceback, never a trace."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.e2e.worlds import World, serve

from palio.access.domain import Identity, KeyRing, Role
from palio.delivery.domain import Answer, PredictRequest
from palio.edge.routes import ROUTES
from palio.edge.verbs import NOUNS, Verbs
from palio.errors import Overloaded, PalioError, StoreUnavailable
from palio.http.app import create_app

LIMIT = 4_096
LONE = "\ud800"  # half of a surrogate pair: in JSON it can be written, in UTF-8 it cannot
JSON = {"Content-Type": "application/json"}
BODIES = {  # what no route can read
    "empty": b"",
    "malformed": b'{"rows": [',
    "no JSON": b"rows=1",
    "not UTF-8": b'{"name": "\xff\xfe", "rows": [["\xff"]], "value": "\xff"}',
    "NaN": b'{"rows": [[NaN, 1, 2]], "value": NaN, "request_id": "r", "name": NaN}',
    "Infinity": b'{"rows": [[Infinity, 1, 2]], "value": -Infinity, "request_id": "r"}',
    "a number": b"7",
    "a string": b'"rows"',
    "null": b"null",
    "a list of lists": b"[[[]]]",
    "deep": b"[" * 50_000 + b"]" * 50_000,
    "deep inside": b'{"rows": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "deep objects": b'{"value": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "large integer": b'{"value": ' + b"9" * 3_000 + b', "request_id": "r", "name": 1}',
    "huge exponent": b'{"rows": [[1e999, 0, 0]], "value": 1e999, "request_id": "r"}',
    "unknown field": b'{"rows": [[1, 2, 3]], "extra": 1, "request_id": "r", "value": 1}',
}
WRITING = sorted(
    {(route.method, route.path) for route in ROUTES if route.method in ("POST", "PUT")}
    | {("POST", "/v1/predict/{endpoint}"), ("POST", "/v1/outcomes")}
    | {("POST", "/v1/models/{model}/versions")}
)
KNOWN = {"model": "credit", "name": "credit", "endpoint": "credit", "reference": "credit:v1"}


@pytest.fixture(scope="module")
def narrow(world_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server with small limits."""
    folder = tmp_path_factory.mktemp("narrow") / "home"
    shutil.copytree(world_files, folder)
    fields = {"body_limit_bytes": LIMIT, "upload_limit_bytes": 4 * LIMIT}
    with serve(str(folder / "palio.db"), **fields) as made:
        yield made


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the problem, which must be one and say nothing of our insides."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert problem.keys() == {"type", "title", "status", "detail", "code", "details"}
    assert problem["status"] == status
    assert problem["type"] == f"urn:palio:error:{code}"
    for inside in ("Traceback", ".py", "site-packages", "sqlalchemy", "msgspec", "pydantic"):
        assert inside not in answer.text
    return problem


def path_of(path: str) -> str:
    for name, value in KNOWN.items():
        path = path.replace(f"{{{name}}}", value)
    for name in ("key", "version"):
        path = path.replace(f"{{{name}}}", "nothing")
    return path.replace("{alias}", "next")


def all_optional(path: str) -> bool:
    """Tell whether a verb's fields may all be left out, so that no body is as good as one."""
    for route in ROUTES:
        if route.path == path and route.method in ("POST", "PUT"):
            return all(one.default is not one.empty for one in route.elsewhere.values())
    return False


def has_nothing_to_read(path: str) -> bool:
    """Tell whether a verb has no fields at all, so that whatever is sent is not looked at."""
    return any(r.path == path and r.method == "POST" and not r.parameters for r in ROUTES)


@pytest.mark.parametrize("what", BODIES)
def test_no_body_is_answered_by_a_defect(shared: World, what: str) -> None:
    with shared.opened() as opened:
        before = opened.audit.verify().entries
    for method, path in WRITING:
        answer = shared.http.request(method, path_of(path), content=BODIES[what], headers=JSON)
        unknown = "{key}" in path or "{version}" in path or "/deployments/" in path
        if unknown and answer.status_code == 404:
            is_problem(answer, 404, "not_found")  # the verb has nothing to read, or was sent it
            continue
        if has_nothing_to_read(path):
            is_problem(answer, 409, "refused")  # nothing is retained where no setting says so
            continue
        if what in ("empty", "null") and all_optional(path):
            if answer.status_code != 200:  # as it is for an edit of nothing
                is_problem(answer, 409, "conflict")  # v1 is champion already, with none before it
            continue
        is_problem(answer, 422, "invalid_outcome" if "outcomes" in path else "invalid_input")
    with shared.opened() as opened:
        assert opened.audit.verify().entries == before


IDS = {"empty": "", "long": "u" * 300, "NUL": "a\0b", "lone surrogate": f"a{LONE}"}


@pytest.mark.parametrize("what", IDS)
@pytest.mark.parametrize("field", ["unit", "request_id"])
def test_ids_of_predictions(shared: World, field: str, what: str) -> None:
    body = json.dumps({"rows": [[1, 2, 3]], field: IDS[what]})
    answer = shared.http.post("/v1/predict/credit", content=body, headers=JSON)
    problem = is_problem(answer, 422, "invalid_input")
    assert problem["details"]["field"] == ("body" if LONE in IDS[what] else field)


@pytest.mark.parametrize("what", IDS)
@pytest.mark.parametrize("field", ["unit", "request_id", "outcome_id", "name"])
def test_ids_of_outcomes(shared: World, field: str, what: str) -> None:
    named = {"unit": "u"} if field in ("outcome_id", "name") else {}
    body = json.dumps({"value": 1, **named, field: IDS[what]})
    answer = shared.http.post("/v1/outcomes", content=body, headers=JSON)
    problem = is_problem(answer, 422, "invalid_outcome")
    assert problem["details"]["field"] == ("body" if LONE in IDS[what] else field)


@pytest.mark.parametrize("what", IDS)
def test_names_and_texts_of_verbs(shared: World, what: str) -> None:
    odd = IDS[what]
    for method, path, body in (
        ("POST", "/v1/models", {"name": odd}),
        ("POST", "/v1/models", {"name": "m", "lifecycle": odd}),
        ("POST", "/v1/endpoints", {"name": odd, "model": "credit"}),
        ("POST", "/v1/endpoints", {"name": "other", "model": odd}),
        ("PUT", "/v1/models/credit/aliases/next", {"version": odd}),
        ("POST", "/v1/versions/credit:v1/move", {"stage": odd}),
        ("PUT", "/v1/endpoints/credit/override", {"version": odd}),
    ):
        answer = shared.http.request(method, path, content=json.dumps(body), headers=JSON)
        assert answer.status_code in (404, 422), (path, answer.text)
        is_problem(answer, answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("path", ["%00", "%ed%a0%80", "%ff", "x" * 300, "%2e%2e", "a%2fb", " "])
def test_odd_paths(shared: World, path: str) -> None:
    for before, after in (
        ("/v1/models/", ""),
        ("/v1/models/", "/versions"),
        ("/v1/versions/", ""),
        ("/v1/endpoints/", ""),
        ("/v1/experiments/", "/record"),
    ):
        answer = shared.http.get(f"{before}{path}{after}")
        assert answer.status_code in (404, 422), answer.text
        is_problem(answer, answer.status_code, answer.json()["code"])
    is_problem(shared.post(f"/v1/predict/{path}", {"rows": [[1, 2, 3]]}), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v2/models"),
        ("GET", "/v1/nothing"),
        ("PUT", "/v1/models"),
        ("DELETE", "/v1/experiments/e"),
        ("GET", "/v1/predict/credit"),
        ("GET", "/v1/outcomes"),
        ("PATCH", "/v1/endpoints/credit"),
        ("POST", "/healthz"),
        ("POST", "/v1/predict/"),
        ("POST", "/v1/predict/no/such"),
    ],
)
def test_unknown_routes_and_methods(shared: World, method: str, path: str) -> None:
    answer = shared.http.request(method, path, json={"rows": [[1, 2, 3]]})
    is_problem(answer, 404, "not_found")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/models", {"name": 1}, "name"),
        ("/v1/models", {"name": "m", "extra": 1}, "extra"),
        ("/v1/endpoints", {"name": "e"}, "model"),
        ("/v1/keys", {"name": "k", "role": "king"}, "role"),
        ("/v1/keys", {"name": "k", "expires_in_days": -1}, "expires_in_days"),
        ("/v1/keys", {"name": "k", "expires_in_days": 1e300}, "expires_in_days"),
        ("/v1/lifecycles", {"name": "l", "stages": []}, "stages"),
        ("/v1/experiments", {"key": "k", "guardrails": ["error"]}, "guardrails"),
        ("/v1/experiments", {"key": "k", "metrics": {"gaol": "brier"}}, "metrics.gaol"),
        ("/v1/experiments", {"variants": [{}, {"wieght": 1}]}, "variants.1.wieght"),
        ("/v1/experiments", {"stopping": {"alhpa": 0.05}}, "stopping.alhpa"),
        ("/v1/outcomes", {"request_id": "r", "value": 1, "lable": 1}, "lable"),
        ("/v1/predict/credit", {"rows": [[1, 2, 3]], "unti": "u"}, "body"),
    ],
)
def test_the_field_is_named(shared: World, path: str, body: Any, field: str) -> None:
    answer = shared.post(path, body)
    problem = is_problem(answer, 422, answer.json()["code"])
    assert problem["details"]["field"] == field
    assert field.rpartition(".")[2] in problem["detail"]


@pytest.mark.parametrize("limit", ["x", "1.5", "9" * 30, "-9223372036854775809", "%00", ""])
def test_queries(shared: World, limit: str) -> None:
    for name in ("after", "limit"):
        answer = shared.http.get(f"/v1/audit?{name}={limit}")
        assert answer.status_code in (200, 422)
        if answer.status_code == 422:
            is_problem(answer, 422, "invalid_input")


def chunks(size: int) -> Iterator[bytes]:
    """Yield a body whose length no header declares."""
    for _ in range(size // 1_024):
        yield b" " * 1_024


READING = sorted(  # what reads a body as JSON
    {(route.method, route.path) for route in ROUTES if route.has_body}
    | {("POST", "/v1/predict/{endpoint}"), ("POST", "/v1/outcomes")}
)


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=b"])
@pytest.mark.parametrize(("method", "path"), WRITING)
def test_a_body_that_says_it_is_too_large(
    narrow: World, method: str, path: str, content_type: str
) -> None:
    limit = 4 * LIMIT if path == "/v1/models/{model}/versions" else LIMIT
    headers, content = {"Content-Type": content_type}, b" " * (limit + 1)
    answer = narrow.http.request(method, path_of(path), content=content, headers=headers)
    problem = is_problem(answer, 413, "too_large")
    assert f"larger than {limit} bytes" in problem["detail"]
    assert problem["details"]["value"] == limit + 1


@pytest.mark.parametrize(("method", "path"), READING)
def test_a_body_that_grows_too_large(narrow: World, method: str, path: str) -> None:
    content = chunks(LIMIT + 2_048)
    answer = narrow.http.request(method, path_of(path), content=content, headers=JSON)
    problem = is_problem(answer, 413, "too_large")
    assert problem["details"]["value"] > LIMIT
    assert narrow.predict().status_code == 200


def test_a_length_beside_chunks_does_not_get_round_the_limit(narrow: World) -> None:
    """RFC 9112, 6.3: the length is nothing then; a server may refuse such a request."""
    address, chunk = urlsplit(narrow.address), b"%x\r\n%b\r\n" % (2 * LIMIT, b" " * 2 * LIMIT)
    head = f"POST /v1/predict/credit HTTP/1.1\r\nHost: {address.netloc}\r\n"
    for lengths in ("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
                    "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n"):  # fmt: skip
        with socket.create_connection((address.hostname or "", address.port or 0)) as client:
            client.sendall((head + lengths).encode() + chunk + b"0\r\n\r\n")
            assert client.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 413")
    assert narrow.predict().status_code == 200


def test_a_very_large_body_gets_its_answer(shared: World) -> None:
    for content in (b" " * (9 << 20), chunks(9 << 20)):
        answer = shared.http.post("/v1/outcomes", content=content, headers=JSON)
        is_problem(answer, 413, "too_large")


def test_rows(shared: World) -> None:
    is_problem(shared.post("/v1/predict/credit", {"rows": []}), 422, "invalid_rows")
    many = shared.predict(*[[0, 0, 0]] * 10_001)
    problem = is_problem(many, 422, "invalid_input")
    assert "10001 rows were sent at once; send at most 10000" in problem["detail"]
    assert shared.predict(*[[0, 0, 0]] * 10_000).status_code == 200


SECRET = "what only the log may know"


@dataclass(frozen=True)
class Broken:
    """A noun whose verbs, whatever they are, have a defect."""

    actor: Identity

    def ring(self) -> KeyRing:
        return KeyRing({})

    def __getattr__(self, _: str) -> Any:
        def verb(*_: object, **__: object) -> None:
            raise ZeroDivisionError(SECRET)

        return verb


@dataclass
class BrokenServer:
    """A server that raises."""

    error: Exception

    async def start(self) -> None:
        """Do nothing."""

    revision = 0

    def catch_up(self) -> None:
        pass

    async def stop(self) -> None:
        """Do nothing."""

    async def predict(self, _: PredictRequest) -> Answer:
        raise self.error


PREDICT = ("POST", "/v1/predict/credit", {"rows": [[1]]})


def answers_of(error: Exception, *requests: tuple[str, str, Any]) -> list[httpx.Response]:
    """Return what an application of broken parts answers."""
    broken: dict[str, Any] = {noun: Broken(Identity("nobody", Role.VIEWER)) for noun in NOUNS}
    app = create_app(
        Verbs(**broken),
        BrokenServer(error),
        version="0",
        body_limit_bytes=LIMIT,
        upload_limit_bytes=LIMIT,
    )

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return [await http.request(method, path, json=body) for method, path, body in requests]

    return asyncio.run(ask())


def test_a_defect_of_ours_shows_nothing() -> None:
    for answer in answers_of(
        ZeroDivisionError(SECRET),
        PREDICT,
        ("GET", "/v1/models", None),
        ("GET", "/v1/audit/verify", None),
        ("POST", "/v1/models", {"name": "m"}),
        ("POST", "/v1/outcomes", {"request_id": "r", "value": 1}),
    ):
        is_problem(answer, 500, "error")
        assert SECRET not in answer.text
        assert "ZeroDivision" not in answer.text


@pytest.mark.parametrize(
    ("error", "status"), [(Overloaded("full"), 429), (StoreUnavailable("away"), 503)]
)
def test_what_passes_says_when_to_try_again(error: PalioError, status: int) -> None:
    (answer,) = answers_of(error, PREDICT)
    is_problem(answer, status, error.code)
    assert answer.headers["Retry-After"] == "1"
