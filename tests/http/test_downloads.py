"""Files of versions over HTTP: sent as they were registered, or broken off."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from tests.e2e import servers
from tests.e2e.worlds import World

import palio
from palio.access.domain import Role
from palio.errors import CorruptArtifact, NotFound, PalioError
from palio.http.downloads import download_router
from palio.registry.domain import Version

FILE = "/v1/versions/credit:v1/files/model.skops"


def test_a_file_is_sent_with_its_digest(shared: World) -> None:
    answer = shared.http.get(FILE)
    assert answer.status_code == 200
    assert answer.content == (shared.artifacts / "credit/v1/model.skops").read_bytes()
    digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/versions/credit:v1/files/nothing",
        "/v1/versions/credit:v1/files/../../../palio.db",
        "/v1/versions/credit:v1/files/..%2f..%2f..%2fpalio.db",
        "/v1/versions/credit:v1/files/%2fetc%2fpasswd",
        "/v1/versions/credit:v1/files/model.skops%00",
        "/v1/versions/credit:v1/files/manifest.json",
        "/v1/versions/credit:v9/files/model.skops",
    ],
)
def test_what_is_no_file_of_the_version_is_not_sent(shared: World, path: str) -> None:
    answer = shared.http.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_a_version_is_loaded_through_the_server(shared: World) -> None:
    expected = servers.model(1.0).predict_proba(servers.SAMPLE[:20]).tolist()
    rows = servers.SAMPLE[:20].tolist()
    with shared.remote() as remote, shared.opened() as opened:
        there, here = remote.load("credit@champion"), opened.load("credit:v1")
        assert there.version == here.version
        assert there.predict(rows).probabilities == here.predict(rows).probabilities == expected
        with pytest.raises(PalioError, match="row 1"):
            there.predict([rows[0], ["a", 1, 2]])


def test_a_version_is_downloaded_whole(shared: World, tmp_path: Path) -> None:
    with shared.remote() as remote:
        version = remote.download("credit@champion", tmp_path / "there")
    with shared.opened() as opened:
        opened.download("credit:v1", tmp_path / "here")
    for file in version.manifest.files:
        contents = {(tmp_path / folder / file.path).read_bytes() for folder in ("there", "here")}
        assert {hashlib.sha256(one).hexdigest() for one in contents} == {file.sha256}


def test_a_changed_file_reaches_nobody(world: World, tmp_path: Path) -> None:
    path = world.artifacts / "credit/v1/model.skops"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with world.remote() as remote:
        for reach in (
            lambda: remote.load("credit:v1"),
            lambda: remote.download("credit:v1", tmp_path / "new"),
            lambda: b"".join(remote.versions.fetch("credit:v1", "model.skops")),
        ):
            with pytest.raises(CorruptArtifact, match=r"credit:v1: model\.skops"):
                reach()
    assert not (tmp_path / "new").exists()
    path.unlink()
    assert world.http.get(FILE).status_code == 500
    assert world.http.get(FILE).json()["code"] == "corrupt_artifact"


def test_an_unknown_version_is_not_found(shared: World, tmp_path: Path) -> None:
    with shared.remote() as remote:
        for reach in (remote.load, lambda name: remote.download(name, tmp_path / "x")):
            with pytest.raises(NotFound):
                reach("credit:v9")
        with pytest.raises(NotFound, match="it has no file"):
            list(remote.versions.fetch("credit:v1", "nothing"))


def test_whoever_may_see_may_fetch(home: str, tmp_path: Path) -> None:
    with palio.connect(home) as opened:
        secret = opened.keys.create("reader", Role.VIEWER).secret
    with servers.serving(home) as address:
        with palio.connect(address, key=secret) as remote:
            assert remote.load("credit:v1").predict([[0.1, 0.2, 0.3]]).values
            remote.download("credit:v1", tmp_path / "new")
        with palio.connect(address) as nobody, pytest.raises(PalioError, match="key"):
            nobody.load("credit:v1")


async def asked(app: FastAPI, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://palio") as http:
        return await http.get(path)


def test_an_alias_that_moves_meanwhile_mixes_no_two_versions(world: World) -> None:
    with world.opened() as opened:

        class Moving:
            """Versions of which the champion changes as soon as somebody has asked for it."""

            fetch = staticmethod(opened.versions.fetch)

            @staticmethod
            def get(reference: str) -> Version:
                found = opened.versions.get(reference)
                opened.versions.promote("credit:v2")
                return found

        app = FastAPI()
        app.include_router(download_router(lambda: cast("Any", SimpleNamespace(versions=Moving))))
        answer = asyncio.run(asked(app, "/v1/versions/credit@champion/files/model.skops"))
    assert answer.content == (world.artifacts / "credit/v1/model.skops").read_bytes()
