"""Versions uploaded over HTTP: whole and loadable elsewhere, or not there at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.e2e import servers
from tests.e2e.worlds import World, serve

import palio
from palio.artifacts.loader import package
from palio.errors import AlreadyExists, InvalidInput
from palio.registry.domain import RESERVED_FILES
from palio.registry.signature import Feature, FeatureType, Signature, Task

PATH = "/v1/models/credit/versions"
SIGNATURE = Signature(
    features=tuple(Feature(f"x{at}", FeatureType.NUMBER) for at in range(3)),
    task=Task.CLASSIFICATION,
    classes=(0, 1),
)
LIMIT = 64 << 10


@pytest.fixture(scope="module")
def skops_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("packaged")
    package(servers.model(0.5), folder, SIGNATURE)
    return (folder / "model.skops").read_bytes()


def draft(version: str, **more: Any) -> dict[str, str]:
    fields = {"version": version, "flavor": "sklearn", "signature": SIGNATURE, **more}
    return {"draft": msgspec.json.encode(fields).decode()}


def upload(world: World, version: str, *files: tuple[str, bytes]) -> httpx.Response:
    return world.http.post(PATH, data=draft(version), files=[("files", one) for one in files])


def traces(world: World) -> tuple[list[str], list[str], int]:
    """Return all versions, all files beside the store, and how often state has changed."""
    with world.opened() as opened:
        versions = [
            v.reference for m in opened.models.list() for v in opened.versions.list(m.name)
        ]
        entries = opened.audit.verify().entries
    found = sorted(p.relative_to(world.artifacts).as_posix() for p in world.artifacts.rglob("*"))
    return versions, found, entries


@pytest.fixture
def untouched(shared: World) -> Iterator[World]:
    """A server that must have nothing more when the test is over, half done or whole."""
    before = traces(shared)
    yield shared
    assert traces(shared) == before


def test_what_is_uploaded_answers_the_same_in_another_process(world: World) -> None:
    rows = servers.SAMPLE[:20].tolist()
    with world.remote() as remote:
        registered = remote.register(
            "fresh",
            servers.model(0.5),
            version="v1",
            sample=servers.SAMPLE,
            metrics={"auc": 0.75},
            tags={"team": "ü"},
            files={"plots/roc.png": b"png", "notes.md": b"ok"},
        )
        remote.versions.promote("fresh:v1")
        remote.endpoints.create("fresh", "fresh")
    paths = {file.path for file in registered.manifest.files}
    assert paths - RESERVED_FILES == {"model.skops", "notes.md", "plots/roc.png"}
    assert (registered.metrics, registered.tags) == ({"auc": 0.75}, {"team": "ü"})
    program = (
        "import json, sys, palio\n"
        "with palio.connect(sys.argv[1]) as opened:\n"
        "    rows = json.loads(sys.argv[2])\n"
        "    print(json.dumps(opened.predict('fresh', rows).probabilities))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, world.store, json.dumps(rows)],
        env=servers.environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=servers.PATIENCE_S,
    )
    assert json.loads(done.stdout) == servers.model(0.5).predict_proba(rows).tolist()
    with world.remote() as remote:
        assert remote.predict("fresh", rows).probabilities == json.loads(done.stdout)


def test_the_answer_is_the_version(world: World, skops_file: bytes) -> None:
    answer = upload(world, "v3", ("model.skops", skops_file), ("a/b/c.txt", b"c"))
    assert answer.status_code == 201
    told = answer.json()
    assert (told["model"], told["version"], told["ordinal"]) == ("credit", "v3", 3)
    assert (told["stage"], told["created_by"]) == ("development", "local")
    paths = {file["path"] for file in told["manifest"]["files"]}
    assert paths - RESERVED_FILES == {"a/b/c.txt", "model.skops"}
    assert world.predict([1, 2, 3], version="v3").json()["version"] == "v3"


ESCAPES = [
    *("../up", "a/../../up", "/etc/up", "..", "a\\b", "..\\up", "a/..", "//up"),
    *("%2e%2e%2fup", "a/%2E%2E/%2e%2e/up", "%2fetc%2fup", "%252e%252e%252fup", "%5cup"),
    *("C:up", "c:/up", "C:\\up", "\\\\host\\up"),
]
NO_FILES = [
    *(".", "./", "./a", "a/", "a//b", "a/./b", "a%00b", "\x7f", "x" * 256, "ü" * 200),
    *("a/" * 600 + "b", "\u202eb"),
]


@pytest.mark.parametrize("name", ESCAPES)
def test_names_that_leave_the_folder(untouched: World, name: str, skops_file: bytes) -> None:
    answer = upload(untouched, "v3", ("model.skops", skops_file), (name, b"x"))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert "leaves the version's folder; send a relative path" in answer.json()["detail"]


@pytest.mark.parametrize("name", NO_FILES)
def test_names_that_no_file_can_have(untouched: World, name: str, skops_file: bytes) -> None:
    answer = upload(untouched, "v3", ("model.skops", skops_file), (name, b"x"))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), answer.text


def test_a_name_with_a_nul(untouched: World) -> None:
    part = 'Content-Disposition: form-data; name="files"; filename="a\0b"'
    body = f"--b\r\n{part}\r\n\r\nx\r\n--b--\r\n".encode()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = untouched.http.post(PATH, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


@pytest.mark.parametrize(
    "names", [("a", "a"), ("a", "A"), ("a", "a/b"), ("a/b", "a"), ("manifest.json", "b")]
)
def test_names_that_clash(untouched: World, names: tuple[str, str]) -> None:
    answer = upload(untouched, "v3", *[(name, b"x") for name in names])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_a_version_exists_once(untouched: World, skops_file: bytes) -> None:
    answer = upload(untouched, "v1", ("model.skops", skops_file))
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")
    assert "versions never change; register under another version" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ("", "draft"),
        ("{", "draft"),
        ("7", "draft"),
        ("[" * 20_000, "draft"),
        ('{"version": "v3"}', "draft"),
        ('{"version": 3, "flavor": "sklearn"}', "draft"),
        ('{"version": "../v3", "flavor": "sklearn"}', "version"),
        ('{"version": "", "flavor": "sklearn"}', "version"),
        ('{"version": "v3", "flavor": "sklearn", "metric": {}}', "metric"),
        ('{"version": "v3", "flavor": "sklearn", "metrics": {"auc": NaN}}', "draft"),
        ('{"version": "v3", "flavor": "sklearn", "signature": {"features": 1}}', "draft"),
    ],
)
def test_drafts_that_are_none(untouched: World, sent: str, field: str, skops_file: bytes) -> None:
    files = [("files", ("model.skops", skops_file))]
    answer = untouched.http.post(PATH, data={"draft": sent}, files=files)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_input"), problem
    assert problem["details"]["field"] == field


def test_parts_that_are_missing(untouched: World, skops_file: bytes) -> None:
    files = [("files", ("model.skops", skops_file))]
    for given in ({"files": files}, {"data": draft("v3")}, {"json": {}}, {"content": b""}):
        answer = untouched.http.post(PATH, **given)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_a_form_that_breaks_off(untouched: World) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for body in (b"x", b"--b\r\n", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"):
        answer = untouched.http.post(PATH, content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_names_of_models(untouched: World, skops_file: bytes) -> None:
    files = [("files", ("model.skops", skops_file))]
    for name in ("a b", "-a", "%2e%2e", "x" * 129):
        path = f"/v1/models/{name}/versions"
        answer = untouched.http.post(path, data=draft("v1"), files=files)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_an_upload_that_grows_too_large(home: str) -> None:
    with serve(home, upload_limit_bytes=LIMIT) as world:
        before = traces(world)
        declared = upload(world, "v3", ("model.skops", b"x" * LIMIT))
        part = b'Content-Disposition: form-data; name="files"; filename="model.skops"'

        def parts() -> Iterator[bytes]:
            yield b"--b\r\n" + part + b"\r\n\r\n"
            for _ in range(LIMIT // 1_024 + 2):
                yield b"x" * 1_024

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        chunked = world.http.post(PATH, content=parts(), headers=headers)
        for answer in (declared, chunked):
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert traces(world) == before


def test_a_client_that_goes_away_leaves_nothing(untouched: World) -> None:
    part = b'Content-Disposition: form-data; name="files"; filename="model.skops"'

    def parts() -> Iterator[bytes]:
        yield b"--b\r\n" + part + b"\r\n\r\nx"
        raise ConnectionResetError

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    with httpx.Client(base_url=untouched.address) as http, pytest.raises(ConnectionResetError):
        http.post(PATH, content=parts(), headers=headers)


def test_the_client_says_the_same(world: World, tmp_path: Path) -> None:
    with world.remote() as remote:
        with pytest.raises(AlreadyExists, match="versions never change"):
            remote.register("credit", servers.model(), version="v1", sample=servers.SAMPLE)
        with pytest.raises(InvalidInput, match="is no name"):
            remote.register("a b", servers.model(), version="v1", sample=servers.SAMPLE)
        empty = tmp_path / "empty"
        empty.mkdir()
        with pytest.raises(InvalidInput):
            remote.versions.register("credit", palio_draft("v9"), empty)
    assert not (world.artifacts / "credit" / "v9").exists()


def palio_draft(version: str) -> Any:
    from palio.registry.domain import VersionDraft  # noqa: PLC0415

    return VersionDraft(version=version, flavor="sklearn", signature=SIGNATURE)


def test_connect_is_public() -> None:
    assert callable(palio.connect)
