"""Nouns whose verbs are calls to a server, made from the table of routes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
import msgspec
from typing_extensions import override

from palio.client.digests import compared, digest_in
from palio.delivery.domain import Answer, PredictRequest
from palio.edge.problems import error_from
from palio.edge.routes import ROUTES, Route
from palio.edge.verbs import NOUNS, Verbs
from palio.errors import InvalidInput, PalioError, StoreUnavailable
from palio.experiments.events import OutcomeDraft, Receipt
from palio.registry.domain import Reference, Version, VersionDraft

__all__ = ["Connection", "remote_verbs"]

_TIMEOUT_S = 60.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Connection:
    """A server's address and key; safe to share between threads.

    Parameters
    ----------
    url
        Where the server answers, as in ``https://palio.example``.
    key
        The API key that calls are made with.
    transport
        What carries requests; the network unless a test says otherwise.
    """

    def __init__(
        self, url: str, *, key: str | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            self._http = httpx.Client(
                base_url=url,
                headers=headers,
                timeout=_TIMEOUT_S,
                transport=transport,
                trust_env=httpx.URL(url).host not in _LOOPBACK,  # no proxy leads back here
            )
        except httpx.InvalidURL as unreadable:
            raise InvalidInput(
                f"{url!r} is no address of a server: {unreadable}; write http://host:port",
                field="store",
                value=url,
            ) from unreadable

    def call(self, method: str, path: str, answer: Any, **request: Any) -> Any:
        """Send a request and read its answer as the type expected, or raise its error."""
        try:
            response = self._sent(method, path, **request)
        except httpx.HTTPError as failed:
            raise StoreUnavailable(
                f"{self._http.base_url} did not answer: {failed}; is `palio serve` running there?"
            ) from failed
        if not response.is_success:
            raise self._error_in(response)
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.DecodeError as unreadable:
            raise self._strange(response, str(unreadable)) from unreadable

    def _sent(
        self, method: str, path: str, *, stream: bool = False, **request: Any
    ) -> httpx.Response:
        """Send a request; one that only reads again, if the server has left the connection."""
        made = self._http.build_request(method, path, **request)
        try:
            return self._http.send(made, stream=stream)
        except httpx.RemoteProtocolError:
            if method != "GET":
                raise
            return self._http.send(made, stream=stream)

    def fetch(self, reference: str, file: str) -> Iterator[bytes]:
        """Return the bytes of a file of a version as they arrive, compared with their digest."""
        below = "/".join(quote(part, safe="") for part in file.split("/"))
        version = _in_path("reference", reference)
        return self._streamed(f"/v1/versions/{version}/files/{below}", reference, file)

    def _streamed(self, path: str, reference: str, file: str) -> Iterator[bytes]:
        try:
            with closing(self._sent("GET", path, stream=True)) as response:
                if not response.is_success:
                    response.read()
                    raise self._error_in(response)
                if (digest := digest_in(response.headers.get("Repr-Digest", ""))) is None:
                    raise self._strange(response, "no digest of the file")
                chunks = response.iter_raw()
                yield from compared(chunks, reference=reference, path=file, sha256=digest)
        except httpx.HTTPError as failed:
            raise StoreUnavailable(
                f"{self._http.base_url} broke off: {failed}; try again, and if it stays, look "
                "there with `palio artifacts verify`"
            ) from failed

    def _error_in(self, response: httpx.Response) -> PalioError:
        try:
            return error_from(msgspec.json.decode(response.content))
        except (msgspec.DecodeError, AttributeError, TypeError):
            return self._strange(response, "no problem details")

    def _strange(self, response: httpx.Response, why: str) -> PalioError:
        return PalioError(
            f"{self._http.base_url} answered {response.status_code} as no Palio of this version "
            f"does ({why}); check the address, and that client and server have the same version"
        )

    def predict(self, request: PredictRequest) -> Answer:
        """Send rows to an endpoint."""
        fields: dict[str, object] = {"rows": request.rows, "unit": request.unit}
        fields |= {"request_id": request.request_id, "version": request.version}
        fields |= {"attributes": request.attributes, "variant": request.variant}
        path = f"/v1/predict/{quote(request.endpoint, safe='')}"
        answer: Answer = self.call("POST", path, Answer, **_json(fields))
        return answer

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


def remote_verbs(connection: Connection) -> Verbs:
    """Return all verbs, each a call to the server."""
    nouns: dict[str, dict[str, Callable[..., Any]]] = {noun: {} for noun in NOUNS}
    for route in ROUTES:
        nouns[route.noun][route.verb] = _caller(connection, route)
    nouns["versions"]["register"] = _Register(connection)
    nouns["versions"]["fetch"] = connection.fetch
    nouns["outcomes"]["record"] = _Record(connection)
    remote = {noun: cast("Any", _Noun(noun, verbs)) for noun, verbs in nouns.items()}
    return Verbs(**remote)


class _Noun:
    """A noun that has the verbs it was given."""

    def __init__(self, name: str, verbs: Mapping[str, Callable[..., Any]]) -> None:
        self._name = name
        for verb, caller in verbs.items():
            setattr(self, verb, caller)

    @override
    def __repr__(self) -> str:
        return f"<palio {self._name} over HTTP>"


def _caller(connection: Connection, route: Route) -> Callable[..., Any]:
    signature = inspect.Signature(list(route.parameters.values()))

    def call(*positional: Any, **named: Any) -> Any:
        bound = signature.bind(*positional, **named)
        bound.apply_defaults()
        given = dict(bound.arguments)
        in_path = {name: _in_path(name, str(given.pop(name))) for name in route.in_path}
        path = route.path.format(**in_path)
        if route.method in ("GET", "DELETE"):
            return connection.call(route.method, path, route.answer, params=_query(given))
        body = given if route.record is None else given[route.record]
        return connection.call(route.method, path, route.answer, **_json(body))

    call.__doc__ = route.function.__doc__
    call.__name__ = route.verb
    return call


def _in_path(name: str, value: str) -> str:
    if name == "reference":
        named = Reference.parse(value)
        value = f"{named.model}@{named.alias}" if named.alias else f"{named.model}:{named.version}"
    if not value:
        raise InvalidInput(f"{name} is empty", field=name, value=value)
    return quote(value, safe="")


def _query(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in given.items() if value is not None}


def _json(content: Any) -> dict[str, Any]:
    return {
        "content": msgspec.json.encode(content),
        "headers": {"Content-Type": "application/json"},
    }


class _Register:
    """Uploads files, streamed from disk."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(
        self,
        model: str,
        draft: VersionDraft,
        files: Path | Mapping[str, Path],
        *,
        unpack: bool = False,
    ) -> Version:
        """Register a version on the server."""
        part = "archive" if unpack else "files"
        with ExitStack() as opened:
            parts = [
                (part, (name, opened.enter_context(file.open("rb"))))
                for name, file in sorted(_files_of(files, unpack=unpack).items())
            ]
            version: Version = self._connection.call(
                "POST",
                f"/v1/models/{quote(model, safe='')}/versions",
                Version,
                data={"draft": msgspec.json.encode(draft).decode()},
                files=parts,
            )
        return version


def _files_of(given: Path | Mapping[str, Path], *, unpack: bool) -> Mapping[str, Path]:
    """Return what to send by its path; links are refused as the artifact store does."""
    if isinstance(given, Mapping):
        return given
    if unpack:
        return {given.name: given}
    found = list(given.rglob("*"))
    if links := [path for path in found if path.is_symlink()]:
        raise InvalidInput(
            f"{links[0]} is a link; copy the file itself there",
            field="source",
            value=str(links[0]),
        )
    return {path.relative_to(given).as_posix(): path for path in found if path.is_file()}


class _Record:
    """Sends outcomes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, outcomes: Sequence[OutcomeDraft]) -> Receipt:
        """Send outcomes to the server; all are kept or none."""
        receipt: Receipt = self._connection.call(
            "POST", "/v1/outcomes", Receipt, **_json({"outcomes": list(outcomes)})
        )
        return receipt
