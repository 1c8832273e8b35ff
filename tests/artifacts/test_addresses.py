"""Addresses of artifact stores: what is missing or wrong is named, and secrets never."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from palio.artifacts.files import FsspecArtifactStore
from palio.errors import StoreUnavailable


@pytest.mark.usefixtures("s3_server")
def test_a_bucket_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    store = FsspecArtifactStore("s3://nobody-made-this/palio")
    with (
        pytest.raises(StoreUnavailable, match="s3://nobody-made-this/palio did not answer"),
        store.stage("m", "v1", tmp_path),
    ):
        pass
    buckets = store._folders.fs.ls("")
    assert "nobody-made-this" not in buckets  # nor was it made on the way


_ELSEWHERE = """
import sys
from palio.artifacts.files import FsspecArtifactStore
from palio.errors import PalioError
from palio.registry.domain import ArtifactFile

try:
    list(FsspecArtifactStore(sys.argv[1]).stream("m", "v1", ArtifactFile("x", 1, "0")))
except PalioError as error:
    print(error.code, error.message, error.details)
"""


@pytest.mark.usefixtures("s3_server")
@pytest.mark.parametrize(
    ("url", "environment", "why"),
    [
        ("s3://bucket/palio", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "connect to the"),
        ("s3://bucket/palio", {"AWS_ACCESS_KEY_ID": ""}, "locate credentials"),
        ("s3://bucket/palio", {"AWS_PROFILE": "nobodys"}, "nobodys"),
        ("s3://id:a-secret-of-mine@bucket/palio", {}, "s3://…@bucket/palio did not answer"),
    ],
)  # fmt: skip
def test_what_the_driver_says_is_told_without_secrets(
    url: str, environment: dict[str, str], why: str, tmp_path: Path
) -> None:
    quick = {"AWS_MAX_ATTEMPTS": "1", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, url],
        env=os.environ | quick | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("store_unavailable the artifact store s3://")
    assert why in done.stdout
    assert "secret" not in done.stdout


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [("s3://b/p", "s3fs", "s3"), ("gs://b/p", "gcsfs", "gcs"), ("abfs://c/p", "adlfs", "azure")],
)
def test_a_missing_driver_names_its_extra(url: str, library: str, extra: str) -> None:
    script = f"import sys; sys.modules['{library}'] = None\n{_ELSEWHERE}"
    done = subprocess.run(
        [sys.executable, "-c", script, url], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("missing_extra")
    assert f"pip install 'palio[{extra}]'" in done.stdout
