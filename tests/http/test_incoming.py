"""Files on their way in over a socket: whole, in their place and once, or not there at all."""

from __future__ import annotations

import gc
import io
import os
import pickle
import re
import socket
import tarfile
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from tests.e2e import servers
from tests.e2e.worlds import World, serve

from palio.errors import InvalidInput
from palio.registry.domain import RESERVED_FILES, Version, VersionDraft

from .test_register import PATH, traces

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
DRAFT = b'--b\r\nContent-Disposition: form-data; name="draft"\r\n\r\n' + msgspec.json.encode(
    {"version": "v3", "flavor": "plain"}
)
FROM = f"{PATH}/from"
LIMIT = 4 << 20


def part(name: str, content: bytes, *, field: str = "files") -> bytes:
    head = f'\r\n--b\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + content


WHOLE = DRAFT + part("a.txt", b"a" * 5_000) + part("b.txt", b"b" * 5_000) + b"\r\n--b--\r\n"


def plain(version: str) -> VersionDraft:
    return VersionDraft(version=version, flavor="plain")


def own(version: Version) -> set[str]:
    return {file.path for file in version.manifest.files} - RESERVED_FILES


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder for temporary files of the server, which runs in this process."""
    place, former = tmp_path_factory.mktemp("room"), tempfile.tempdir
    tempfile.tempdir = str(place)
    yield place
    tempfile.tempdir = former


@pytest.fixture
def untouched(shared: World, room: Path) -> Iterator[World]:
    """A server that has nothing more afterwards, neither registered nor half received."""
    before = traces(shared)
    yield shared
    deadline, quiet = time.monotonic() + servers.PATIENCE_S, 0
    while quiet < 20 and time.monotonic() < deadline:
        time.sleep(0.01)  # the server may not have begun, or still be tidying up, for one gone
        quiet = 0 if list(room.iterdir()) else quiet + 1
    assert quiet == 20
    assert traces(shared) == before


def problem(answer: httpx.Response, code: str = "invalid_input") -> str:
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    return str(answer.json()["detail"])


@pytest.mark.parametrize("end", [0.2, 0.5, 0.9, -12, -6, -3])
def test_a_form_that_is_cut(untouched: World, end: float) -> None:
    """A proxy that loses the end and says so to nobody: whole for HTTP, cut for the form."""
    cut = WHOLE[: int(len(WHOLE) * end)] if end > 0 else WHOLE[: int(end)]
    assert "breaks off" in problem(untouched.http.post(PATH, content=cut, headers=FORM))


def test_a_body_shorter_than_it_says(untouched: World) -> None:
    address = urlsplit(untouched.address)
    head = f"POST {PATH} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(WHOLE)}\r\n"
    head += f"Content-Type: {FORM['Content-Type']}\r\n\r\n"
    for end in (len(DRAFT), len(WHOLE) // 2, len(WHOLE) - 1):
        with socket.create_connection((address.hostname or "", address.port or 0)) as client:
            client.sendall(head.encode() + WHOLE[:end])
            client.shutdown(socket.SHUT_WR)
            assert b" 201 " not in client.recv(1_000)


def test_a_chunked_body_that_breaks_off(untouched: World) -> None:
    def parts() -> Iterator[bytes]:
        yield WHOLE[: len(WHOLE) // 2]
        raise ConnectionResetError

    with httpx.Client(base_url=untouched.address) as http, pytest.raises(ConnectionResetError):
        http.post(PATH, content=parts(), headers=FORM)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (WHOLE.replace(b'"files"', b'"file"'), "the part 'file' cannot be taken"),
        (WHOLE.replace(b"; filename", b"; name2"), "cannot be the name of a file"),
        (DRAFT + WHOLE.removeprefix(b"--b").join([b"\r\n--b", b""]), "the part 'draft' cannot"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", "the part '' cannot"),
        (WHOLE.replace(b"a.txt", b"\xff\xfe"), "is no UTF-8"),
        (DRAFT + b" " * (1 << 20) + b"\r\n--b--\r\n", "larger than 1048576 bytes"),
        (b"--b\r\nX: " + b"y" * 9_000 + b"\r\n\r\n\r\n--b--\r\n", "cannot be read"),
        (b"--c\r\n", "cannot be read"),
    ],
)
def test_forms_that_are_none(untouched: World, body: bytes, said: str) -> None:
    assert said in problem(untouched.http.post(PATH, content=body, headers=FORM))


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data", "multipart/mixed; x"])
def test_bodies_of_other_types(untouched: World, kind: str) -> None:
    answer = untouched.http.post(PATH, content=WHOLE, headers={"Content-Type": kind})
    assert "is no multipart/form-data with a boundary" in problem(answer)


def test_a_boundary_that_is_too_long(untouched: World) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary={'b' * 300}"}
    assert "cannot be read" in problem(untouched.http.post(PATH, content=b"", headers=headers))


def test_one_file_too_many(untouched: World) -> None:
    body = DRAFT + b"".join(part(f"{number}", b"") for number in range(1_001)) + b"\r\n--b--\r\n"
    answer = untouched.http.post(PATH, content=body, headers=FORM)
    assert "a version has at most 1000 files" in problem(answer)


def test_a_file_is_written_once_and_never_held_in_memory(world: World, tmp_path: Path) -> None:
    size = 96 << 20
    (tmp_path / "big.bin").write_bytes(os.urandom(1 << 20) * (size >> 20))
    gc.collect()
    before = _written()
    tracemalloc.start()  # of client and server, which share this process
    with world.remote() as remote:
        kept = remote.register("big", tmp_path / "big.bin", version="v1")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [file.size_bytes for file in kept.manifest.files if file.path == "big.bin"] == [size]
    assert peak < 24 << 20
    # once as it arrives and once into the artifact store; what goes over sockets is not counted
    assert 2 * size <= _written() - before < 2.1 * size


def _written() -> int:
    """Return how many bytes this process has handed to ``write`` (proc(5), wchar)."""
    found = re.search(r"wchar: (\d+)", Path("/proc/self/io").read_text())
    assert found is not None
    return int(found[1])


def archive(*members: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as packed:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return made.getvalue()


def form(*files: tuple[str, str, bytes]) -> dict[str, Any]:
    return {
        "data": {"draft": '{"version": "v3", "flavor": ""}'},
        "files": [(field, (name, content)) for field, name, content in files],
    }


def test_an_archive_is_unpacked_on_the_server(world: World, room: Path, tmp_path: Path) -> None:
    packed = tmp_path / "model.tar.gz"
    packed.write_bytes(archive(("notes.txt", b"ok"), ("plots/roc.png", b"png")))
    with world.remote() as remote:
        kept = remote.versions.register("credit", plain("v3"), packed, unpack=True)
    with world.opened() as opened:
        here = opened.versions.register("credit", plain("v4"), packed, unpack=True)
    assert own(kept) == own(here) == {"notes.txt", "plots/roc.png"}
    assert list(room.iterdir()) == []


def test_the_flavor_of_what_comes_out_is_recognised(world: World, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    code = archive(("model.pkl", pickle.dumps(Marking(mark))))
    answer = world.http.post(PATH, **form(("archive", "m.tar.gz", code)))
    assert (answer.status_code, answer.json()["flavor"]) == (201, "pickled"), answer.text
    assert not mark.exists()


class Marking:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def bomb() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", b"\0" * (64 << 20))
    return made.getvalue()


@pytest.mark.parametrize("name", ["../up", "/etc/up", "%2e%2e%2fup", "a\\..\\up"])
def test_an_archive_that_leaves_its_folder(untouched: World, name: str) -> None:
    sent = form(("archive", "m.tar.gz", archive(("a", b"a"), (name, b"x"))))
    assert "leaves the version's folder" in problem(untouched.http.post(PATH, **sent))


def test_archives_that_are_refused(untouched: World) -> None:
    good = archive(("a", b"a"))
    for files, said in (
        ([("archive", "m.rar", good)], "is no archive that is taken here"),
        ([("archive", "m.tar.gz", good[:-20])], "cannot be read to its end"),
        ([("archive", "m.zip", good)], "cannot be read to its end"),
        ([("archive", "../m.tar.gz", good)], "leaves the version's folder"),
        ([("archive", "m.tar.gz", good), ("files", "a", b"")], "the part 'files' cannot be taken"),
        ([("files", "a", b""), ("archive", "m.tar.gz", good)], "the part 'archive' cannot be"),
        ([("archive", "m.tar.gz", good), ("archive", "n.tar.gz", good)], "'archive' cannot be"),
    ):
        assert said in problem(untouched.http.post(PATH, **form(*files)))


def test_an_archive_bomb(untouched: World) -> None:
    answer = untouched.http.post(PATH, **form(("archive", "m.zip", bomb())))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert "more than 16777216 bytes come out of it" in answer.json()["detail"]


def test_the_limit_of_uploads_is_that_of_what_comes_out(home: str, room: Path) -> None:
    sent = form(("archive", "m.tar.gz", archive(("a", bytes(range(256)) * (5 << 12)))))
    with serve(home, upload_limit_bytes=LIMIT) as world:
        before = traces(world)
        answer = world.http.post(PATH, **sent)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert traces(world) == before
    assert list(room.iterdir()) == []


@pytest.fixture
def opened_root(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    (root / "v7").mkdir(parents=True)
    (root / "v7" / "notes.txt").write_bytes(b"ok")
    (root / "v8.tar.gz").write_bytes(archive(("notes.txt", b"ok"), ("a/b", b"b")))
    (tmp_path / "secret.txt").write_bytes(b"of somebody else")
    return root


def test_a_version_from_where_the_server_runs(home: str, opened_root: Path) -> None:
    with serve(home, source_roots=(opened_root,)) as world, world.remote() as remote:
        folder = remote.versions.register_from("credit", plain("v7"), str(opened_root / "v7"))
        draft = VersionDraft(version="v8", flavor="")
        source = str(opened_root / "v8.tar.gz")
        unpacked = remote.versions.register_from("credit", draft, source, unpack=True)
        assert own(folder) == {"notes.txt"}
        assert (own(unpacked), unpacked.flavor) == ({"notes.txt", "a/b"}, "plain")
        (opened_root / "out").symlink_to(opened_root.parent)
        before = traces(world)
        for source, said in (
            (opened_root / "out" / "secret.txt", "lies below no folder of PALIO_SOURCE_ROOTS"),
            (opened_root / ".." / "secret.txt", "has '..' in it"),
            (f"file://{opened_root}/v7", "is no absolute path"),
            (f"{opened_root}/v7/%2e%2e/%2e%2e/secret.txt", "is no absolute path"),
            (f"{opened_root}/v7\0", "is no absolute path"),
        ):
            body = {"draft": {"version": "v9", "flavor": ""}, "source": str(source)}
            assert said in problem(world.http.post(FROM, json=body))
        assert traces(world) == before


def test_without_roots_no_path_is_taken(untouched: World, opened_root: Path) -> None:
    body = {"draft": {"version": "v9", "flavor": ""}, "source": str(opened_root / "v7")}
    answer = untouched.http.post(FROM, json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "refused")
    assert "set PALIO_SOURCE_ROOTS" in answer.json()["detail"]


def test_the_client_sends_no_links(untouched: World, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").symlink_to("/etc/passwd")
    with untouched.remote() as remote, pytest.raises(InvalidInput, match="is a link"):
        remote.versions.register("credit", plain("v9"), tmp_path / "in")
