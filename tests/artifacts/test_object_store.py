"""Versions on S3 from end to end, and what a crash between two copies leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e import servers

import palio
from palio.artifacts.files import FsspecArtifactStore
from palio.registry.artifacts import Fate
from palio.registry.domain import VersionDraft

DRAFT = VersionDraft(version="v1", flavor="plain")

_DYING = """
import os, signal, sys
from pathlib import Path
import palio
from palio.registry.domain import VersionDraft
from s3fs import S3FileSystem

copy, left = S3FileSystem._cp_file, [int(sys.argv[4])]

async def cp_file(self, *paths, **options):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return await copy(self, *paths, **options)

S3FileSystem._cp_file = cp_file
with palio.connect(sys.argv[1], artifacts=sys.argv[2]) as opened:
    opened.versions.register("m", VersionDraft(version="v1", flavor="plain"), Path(sys.argv[3]))
"""


@pytest.fixture
def url(bucket: str) -> str:
    return f"s3://{bucket}/palio"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("a.bin", "b.bin"):
        (folder / name).write_bytes(name.encode() * 1000)
    return folder


def test_a_model_is_registered_and_answers_from_s3(url: str, tmp_path: Path) -> None:
    with palio.connect(tmp_path / "palio.db", artifacts=url) as opened:
        servers.credit(opened)
        assert not opened.artifacts.verify("credit@champion").differences
        assert opened.artifacts.gc(older_than_s=0.0) == []
        answered = opened.predict("credit", [[1, 2, 3]], unit="u")
    with palio.connect(tmp_path / "palio.db", artifacts=url) as again:
        assert again.predict("credit", [[1, 2, 3]], unit="u").classes == answered.classes


@pytest.mark.parametrize("copies", [0, 1, 2])
def test_a_crash_between_two_copies_leaves_no_version(
    url: str, source: Path, tmp_path: Path, copies: int
) -> None:
    store = str(tmp_path / "palio.db")
    command = [sys.executable, "-c", _DYING, store, url, str(source), str(copies)]
    assert subprocess.run(command, check=False, env=os.environ).returncode == -signal.SIGKILL
    with palio.connect(store, artifacts=url) as opened:
        assert opened.models.list() == []
        found = {one.place[:9]: one.fate for one in opened.artifacts.gc(older_than_s=0.0)}
        begun = {"m/v1": Fate.REMOVABLE} if copies else {}
        assert found == {".staging-": Fate.REMOVABLE, **begun}
        opened.versions.register("m", DRAFT, source)
        assert not opened.artifacts.verify("m:v1").differences
        opened.artifacts.gc(dry_run=False, older_than_s=0.0)
        assert opened.artifacts.gc(older_than_s=0.0) == []
        assert not opened.artifacts.verify("m:v1").differences


def test_what_a_crash_left_is_collected(url: str, source: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "palio.db")
    command = [sys.executable, "-c", _DYING, store, url, str(source), "1"]
    subprocess.run(command, check=False, env=os.environ)
    with palio.connect(store, artifacts=url) as opened:
        places = [one.place for one in opened.artifacts.gc(dry_run=False, older_than_s=0.0)]
        assert sorted(places)[1] == "m/v1"
    files = FsspecArtifactStore(url)._folders
    assert files.fs.find(files.root) == []
