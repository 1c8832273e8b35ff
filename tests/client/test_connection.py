"""What the client says when a server is not there, or is no Palio."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import palio
from palio.client.remote import Connection, remote_verbs
from palio.errors import (
    InvalidInput,
    Overloaded,
    PalioError,
    StoreUnavailable,
    Unauthenticated,
)
from palio.http.answers import problem_answer


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_nobody_is_there() -> None:
    with (
        palio.connect(f"http://127.0.0.1:{free_port()}") as opened,
        pytest.raises(StoreUnavailable, match=r"did not answer: .*is `palio serve` running there"),
    ):
        opened.models.list()


@pytest.mark.parametrize("address", ["http://", "http://[::1", "http://a b", "https://x:port"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises((InvalidInput, StoreUnavailable)), palio.connect(address) as opened:
        opened.models.list()


def verbs(answer: Callable[[httpx.Request], httpx.Response], **given: Any) -> Any:
    return remote_verbs(Connection("http://x", transport=httpx.MockTransport(answer), **given))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"models": "none"}),
        httpx.Response(200, content=b""),
        httpx.Response(302, headers={"Location": "https://elsewhere.example"}),
        httpx.Response(404, text="not here"),
        httpx.Response(502, text="<html>"),
        httpx.Response(500, json=[1]),
        httpx.Response(500, json={"code": 1, "details": "none"}),
        httpx.Response(500, json={"code": "not_found", "details": {"message": "twice"}}),
    ],
)
def test_answers_that_are_no_palio_s(answer: httpx.Response) -> None:
    with pytest.raises(PalioError) as caught:
        verbs(lambda _: answer).models.list()
    assert "http://x" in str(caught.value) or str(answer.status_code) in str(caught.value)


def test_a_timeout_is_told() -> None:
    def slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too slow", request=request)

    with pytest.raises(StoreUnavailable, match="did not answer"):
        verbs(slow).models.list()


@pytest.mark.parametrize("error", [Overloaded("wait"), Unauthenticated("who"), PalioError("x")])
def test_problems_become_errors_again(error: PalioError) -> None:
    told = problem_answer(error)

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(told.status_code, content=bytes(told.body))

    with pytest.raises(type(error), match=error.message):
        verbs(answer).models.list()


def test_the_key_is_sent() -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return httpx.Response(200, json=[])

    verbs(answer, key="palio_1").models.list()
    verbs(answer).models.list()
    assert seen == ["Bearer palio_1", None]


def test_names_are_quoted() -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.partition(b"?")[0])
        return httpx.Response(404, json={"code": "not_found", "detail": ""})

    nouns = verbs(answer)
    for call in (
        lambda: nouns.models.get("a/../b?c#d"),
        lambda: nouns.versions.get("models:/a/v1"),
        lambda: nouns.endpoints.get("ü"),
    ):
        with pytest.raises(PalioError):
            call()
    assert seen == [
        b"/v1/models/a%2F..%2Fb%3Fc%23d",
        b"/v1/versions/a%3Av1",
        b"/v1/endpoints/%C3%BC",
    ]
    with pytest.raises(InvalidInput, match="model is empty"):
        nouns.models.get("")


@pytest.mark.parametrize(("verb", "answered"), [("list", True), ("create", False)])
def test_what_only_reads_is_asked_again_where_the_server_has_left(
    verb: str, answered: bool
) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if len(asked) == 1:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return httpx.Response(200, json=[])

    models = remote_verbs(Connection("http://x", transport=httpx.MockTransport(answer))).models
    if answered:
        assert list(getattr(models, verb)()) == []
        return
    with pytest.raises(StoreUnavailable, match="Server disconnected"):
        getattr(models, verb)("m")
    assert asked == ["POST"]


def test_a_file_is_asked_for_again_where_the_server_has_left() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if len(asked) == 1:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        digest = base64.b64encode(hashlib.sha256(b"bytes").digest()).decode()
        headers = {"Repr-Digest": f"sha-256=:{digest}:"}
        return httpx.Response(200, stream=httpx.ByteStream(b"bytes"), headers=headers)

    versions = remote_verbs(Connection("http://x", transport=httpx.MockTransport(answer))).versions
    assert b"".join(versions.fetch("m:v1", "model")) == b"bytes"
    assert asked == ["GET", "GET"]
