"""``palio models sign`` and ``verify``, on a file and through a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.artifacts.test_signing import Pair, openssl, stock
from tests.e2e import servers

from palio.registry.signing.bundle import BUNDLE_LIMIT_BYTES

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair.on("P-256", tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair.on("P-384", tmp_path_factory.mktemp("others"))


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls commands on one store."""

    cli: Cli
    store: str

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        return self.cli("--store", self.store, "models", *arguments)

    def json(self, *arguments: object) -> Any:
        code, out, err = self(*arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)


@pytest.fixture(params=["file", "server"])
def call(request: pytest.FixtureRequest, cli: Cli, home: str) -> Iterator[Caller]:
    """Commands on a store as a file, then through a server."""
    if request.param == "file":
        yield Caller(cli, home)
        return
    with servers.serving(home) as address:
        yield Caller(cli, address)


@pytest.fixture
def local(cli: Cli, home: str) -> Caller:
    return Caller(cli, home)


def test_a_version_is_signed_and_verified(
    call: Caller, home: str, *, pair: Pair, other: Pair, tmp_path: Path
) -> None:
    code, out, _ = call("verify", "credit:v1", "--key", pair.public)
    assert (code, out) == (1, "credit:v1 is not signed\n")
    out_file = tmp_path / "model.sig"
    made = call.json("sign", "credit@champion", "--key", pair.private, "--out", out_file)
    assert (made["version"], made["seq"], made["bundle"]) == ("v1", 1, out_file.read_text())
    code, out, _ = call("verify", "credit:v1", "--key", pair.public)
    assert code == 0
    assert f"yes    {made['key_id']}" in out
    code, out, _ = call("verify", "credit:v1", "--key", other.public)
    assert code == 1
    assert f"the key {made['key_id'][:12]}…, which is not trusted here" in out
    [verdict] = call.json("verify", "credit:v1", "--key", other.public, "--key", pair.public)
    assert (verdict["holds"], verdict["problem"]) == (True, "")
    [folder] = Path(home).parent.glob("*artifacts/credit/v1")
    verify = ("verify", "key", folder, "--signature", out_file, "--public_key", pair.public)
    assert stock(*verify) == (0, "Verification succeeded\n")  # witness: the standard's own tool


def test_a_signature_of_the_standard_s_tool_is_handed_in(
    call: Caller, home: str, pair: Pair, tmp_path: Path
) -> None:
    [folder] = Path(home).parent.glob("*artifacts/credit/v1")
    signature = tmp_path / "model.sig"
    stock("sign", "key", folder, "--signature", signature, "--private_key", pair.private)
    assert call("sign", "credit:v1", "--bundle", signature)[0] == 0
    assert call("verify", "credit:v1", "--key", pair.public)[0] == 0
    code, _, err = call("sign", "credit:v1", "--bundle", signature)
    assert (code, "is kept already" in err) == (4, True)  # docs/reference.md: exit codes
    code, _, err = call("sign", "credit:v2", "--bundle", signature)
    assert code == 2
    assert "the signature is not over the files of credit:v2: it covers other bytes of" in err


def test_files_are_compared_where_it_is_asked(call: Caller, home: str, pair: Pair) -> None:
    call.json("sign", "credit:v1", "--key", pair.private)
    verify = ("verify", "credit:v1", "--key", pair.public)
    assert call(*verify, "--files")[0] == 0
    [file] = Path(home).parent.glob("*artifacts/credit/v1/model.skops")
    file.write_bytes(file.read_bytes() + b"x")
    assert call(*verify)[0] == 0  # the signature holds, over what was registered
    code, out, err = call(*verify, "--files")
    assert (code, out) == (6, "")  # docs/reference.md: exit codes
    assert "credit:v1 is not what was registered, and signed: model.skops: " in err


@pytest.mark.parametrize("arguments", [[], ["--key", "private.pem", "--bundle", "model.sig"]])
def test_a_key_or_a_signature_is_given(local: Caller, arguments: list[str]) -> None:
    code, _, err = local("sign", "credit:v1", *arguments)
    assert code == 2
    assert "give either --key with your private key, or --bundle" in err
    assert "keyless signing needs a network, and is not offered" in err


def test_a_file_is_not_replaced(local: Caller, pair: Pair, tmp_path: Path) -> None:
    out = tmp_path / "model.sig"
    out.write_text("mine")
    code, _, err = local("sign", "credit:v1", "--key", pair.private, "--out", out)
    assert (code, "model.sig exists and is not replaced" in err) == (4, True)
    assert out.read_text() == "mine"
    assert local("verify", "credit:v1", "--key", pair.public)[1] == "credit:v1 is not signed\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{}", "the bundle cannot be read"),
        (b"\xff\0", "the bundle cannot be read"),
        (b'{"a":' * 100_000, "the bundle cannot be read"),
    ],
)
def test_what_is_no_signature_is_refused(
    call: Caller, tmp_path: Path, text: bytes, why: str
) -> None:
    (tmp_path / "model.sig").write_bytes(text)
    code, _, err = call("sign", "credit:v1", "--bundle", tmp_path / "model.sig")
    assert (code, why in err) == (2, True)


def test_a_huge_file_is_not_read(local: Caller, tmp_path: Path) -> None:
    huge = tmp_path / "model.sig"
    with huge.open("wb") as file:
        file.truncate(100_000_000)
    code, _, err = local("sign", "credit:v1", "--bundle", huge)
    assert code == 2
    assert f"has 100000000 bytes, and a signature at most {BUNDLE_LIMIT_BYTES}" in err


def test_keys_that_cannot_be_used_are_named(local: Caller, pair: Pair, tmp_path: Path) -> None:
    code, _, err = local("sign", "credit:v1", "--key", pair.public)
    assert (code, "is no private key" in err or "others may read" in err) == (2, True)
    code, _, err = local("verify", "credit:v1", "--key", pair.private)
    assert (code, "is a private key, which belongs to the signer alone" in err) == (2, True)
    code, _, err = local("sign", "credit:v1", "--key", tmp_path / "none.pem")
    assert (code, "No such file" in err) == (2, True)
    code, _, err = local("verify", "credit:v1")
    assert (code, "name those you trust in PALIO_SIGNING_KEYS" in err) == (2, True)
    shown = tmp_path / "shown.pem"
    shown.write_bytes(pair.private.read_bytes())
    shown.chmod(0o644)
    code, _, err = local("sign", "credit:v1", "--key", shown)
    assert (code, "others may read" in err) == (2, True)


def test_a_password_comes_by_the_environment(
    local: Caller, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked.pem"
    openssl("pkey", "-in", pair.private, "-aes256", "-passout", "pass:geheim", "-out", locked)
    code, _, err = local("sign", "credit:v1", "--key", locked)
    assert (code, "set PALIO_SIGNING_PASSWORD" in err) == (2, True)
    monkeypatch.setenv("PALIO_SIGNING_PASSWORD", "geheim")
    assert local("sign", "credit:v1", "--key", locked)[0] == 0
    assert local("verify", "credit:v1", "--key", pair.public)[0] == 0


def test_the_environment_says_whom_to_trust(
    call: Caller, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    call.json("sign", "credit:v1", "--key", pair.private)
    monkeypatch.setenv("PALIO_SIGNING_KEYS", str(pair.public))
    assert call("verify", "credit:v1")[0] == 0


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("PALIO_REQUIRE_ATTESTATION", "load", "PALIO_SIGNING_KEYS names no key, so no version"),
        ("PALIO_REQUIRE_ATTESTATION", "always", "setting PALIO_REQUIRE_ATTESTATION: "),
        ("PALIO_SIGNING_KEYS", "/nonexistent/x.pem", "PALIO_SIGNING_KEYS: /nonexistent/x.pem"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    local: Caller, monkeypatch: pytest.MonkeyPatch, *, name: str, value: str, why: str
) -> None:
    monkeypatch.setenv(name, value)
    code, _, err = local("list")
    assert (code, why in err) == (2, True)


def test_what_promotion_lacks_is_shown(
    local: Caller, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIO_SIGNING_KEYS", str(pair.public))
    monkeypatch.setenv("PALIO_REQUIRE_ATTESTATION", "promotion")
    code, out, _ = local("requirements", "credit:v2")
    assert code == 1
    assert "attestation  a signature over its files by a trusted key  none" in out
    assert local("promote", "credit:v2")[0] == 4
    local.json("sign", "credit:v2", "--key", pair.private)
    assert local("promote", "credit:v2")[0] == 0
