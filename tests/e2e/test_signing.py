"""A server that loads signed versions only: what it answers, and what it never loads."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.artifacts.test_signing import Pair, stock

import palio
from palio.errors import Conflict, UntrustedArtifact

from .servers import LABELS, SAMPLE, model, serving, start
from .test_trust import Marking, put

ROW = [[0.1, 0.2, 0.3]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair.on("P-256", tmp_path_factory.mktemp("keys"))


@dataclass(frozen=True, slots=True)
class Strict:
    """A store and its files, served by processes that load signed versions only."""

    store: str
    folder: Path
    pair: Pair

    @property
    def settings(self) -> dict[str, str]:
        return {
            "PALIO_REQUIRE_ATTESTATION": "load",
            "PALIO_SIGNING_KEYS": str(self.pair.public),
        }

    @contextmanager
    def serving(self, **more: str) -> Iterator[str]:
        artifacts = str(self.folder / "artifacts")
        server = start(
            self.store, artifacts=artifacts, folder=self.folder, **self.settings, **more
        )
        try:
            yield server.address
        finally:
            server.end(signal.SIGTERM)

    def sign(self, opened: palio.Palio, reference: str) -> str:
        return opened.sign(reference, self.pair.private.read_bytes()).bundle


@pytest.fixture
def strict(sqlite_url: str, tmp_path: Path, pair: Pair) -> Strict:
    return Strict(sqlite_url, tmp_path, pair)


def told(address: str, **fields: object) -> dict[str, object]:
    body = {"rows": ROW, **fields}
    found: dict[str, object] = httpx.post(f"{address}/v1/predict/credit", json=body).json()
    return found


def test_a_server_answers_with_what_was_signed(strict: Strict, tmp_path: Path) -> None:
    with strict.serving() as address, palio.connect(address) as remote:
        remote.register("credit", model(), version="v1", sample=SAMPLE)
        remote.register("credit", model(0.001), version="v2", sample=SAMPLE)
        with pytest.raises(Conflict, match="attestation: found none"):
            remote.versions.promote("credit:v1")
        bundle = strict.sign(remote, "credit:v1")  # here: the server never sees the key
        remote.versions.promote("credit:v1")
        remote.endpoints.create("credit", "credit")
        # witness: the estimator itself
        assert told(address)["predictions"] == model().predict(ROW).tolist()
        refused = told(address, version="v2")
        assert refused["code"] == "untrusted_artifact"
        assert "credit:v2 is not signed by a key that this process trusts" in str(refused)
        other = Pair.on("P-256", tmp_path)
        remote.sign("credit:v2", other.private.read_bytes())
        assert "found: 1, of which none holds" in str(told(address, version="v2"))
        strict.sign(remote, "credit:v2")
        remote.versions.promote("credit:v2")
        assert told(address)["version"] == "v2"
        assert remote.models.rollback("credit").version == "v1"
    folder = tmp_path / "artifacts" / "credit" / "v1"
    (folder / "model.sig").write_text(bundle)
    verify = ("verify", "key", folder, "--signature", folder / "model.sig")
    assert stock(*verify, "--public_key", strict.pair.public)[0] == 0
    file = folder / "model.skops"
    file.write_bytes(file.read_bytes() + b"x")
    assert stock(*verify, "--public_key", strict.pair.public)[0] == 1
    with strict.serving() as address:  # a signature mends no bytes
        assert told(address, version="v1")["code"] == "corrupt_artifact"


def test_code_that_nobody_signed_is_not_run_where_code_is_allowed(
    strict: Strict, tmp_path: Path
) -> None:
    mark = tmp_path / "code-was-run"
    path = tmp_path / "credit.pkl"
    path.write_bytes(pickle.dumps(Marking(mark)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PALIO_ARTIFACTS", str(tmp_path / "artifacts"))
        put(strict.store, path, sample=SAMPLE, target=LABELS)
    with strict.serving(PALIO_ALLOW_PICKLE="true") as address:
        assert told(address)["code"] == "untrusted_artifact"
        assert not mark.exists()
        with palio.connect(address) as remote:
            strict.sign(remote, "credit:v1")
        told(address)
        assert mark.is_dir()  # so the file would have run it


def test_a_version_that_could_not_be_loaded_is_not_rolled_back_to(strict: Strict) -> None:
    with serving(strict.store) as address, palio.connect(address) as remote:
        for name in ("v1", "v2"):
            remote.register("credit", model(), version=name, sample=SAMPLE)
            remote.versions.promote(f"credit:{name}")
    with strict.serving() as address, palio.connect(address) as remote:
        with pytest.raises(Conflict, match="nothing was rolled back: credit:v1 is not signed"):
            remote.models.rollback("credit")
        assert remote.versions.get("credit@champion").version == "v2"


def test_a_client_takes_no_word_of_a_server(
    strict: Strict, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(strict.store) as address:
        for name, value in strict.settings.items():
            monkeypatch.setenv(name, value)
        with palio.connect(address) as remote:
            remote.register("credit", model(), version="v1", sample=SAMPLE)
            with pytest.raises(UntrustedArtifact, match="credit:v1 is not signed by a key that"):
                remote.load("credit:v1")
            strict.sign(remote, "credit:v1")
            [verdict] = remote.verify("credit:v1")
            assert verdict.holds
            answered = remote.load("credit:v1").predict(ROW).values
    assert answered == model().predict(ROW).tolist()
