"""Checkpoints: signed by one key, read with its public part, and never for a broken log."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from tests.e2e.servers import environment

from palio.access.audit import GENESIS, AuditCheck, Break, Mark
from palio.access.checkpoint import new_key_pair, read_checkpoint, sign_head, text_of
from palio.errors import Conflict, InvalidInput

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=9)))
CHECKED = AuditCheck(7, None, "ab" * 32)
PAIR = new_key_pair()
TEXT = text_of(sign_head(CHECKED, PAIR.private, at=NOW))


def test_what_was_signed_comes_back() -> None:
    signed = sign_head(CHECKED, PAIR.private, at=NOW)
    assert read_checkpoint(text_of(signed), PAIR.public) == signed
    assert (signed.seq, signed.hash, signed.entries) == (7, "ab" * 32, 7)
    assert signed.at == NOW
    assert signed.at.tzinfo is UTC
    assert signed.mark == Mark(7, "ab" * 32)


def test_an_empty_log_can_be_signed() -> None:
    signed = sign_head(AuditCheck(0, None, GENESIS), PAIR.private, at=NOW)
    assert read_checkpoint(text_of(signed), PAIR.public).mark is None


def test_others_can_check_the_signature() -> None:
    """RFC 8032 over the JSON of all other fields, in order of their names, without blanks."""
    said = json.loads(TEXT)
    signature = said.pop("signature")
    public = forms.load_pem_public_key(PAIR.public)
    assert isinstance(public, ed25519.Ed25519PublicKey)
    content = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    public.verify(base64.b64decode(signature), content)  # raises if it is not


def test_a_log_that_does_not_hold_is_not_signed() -> None:
    broken = AuditCheck(2, Break(3, "its content was edited"), "ab" * 32)
    with pytest.raises(Conflict, match="entry 3 does not hold: its content was edited; nothing"):
        sign_head(broken, PAIR.private, at=NOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seq", 6),
        ("hash", "cd" * 32),
        ("entries", 8),
        ("at", "2026-01-01T03:00:01Z"),
        ("signature", "AAAA"),
        ("signature", "no Base64"),
        ("signature", ""),
    ],
)
def test_an_edit_is_found(name: str, value: object) -> None:
    edited = json.dumps(json.loads(TEXT) | {name: value}).encode()
    with pytest.raises(InvalidInput, match="edited after it was signed; take another") as caught:
        read_checkpoint(edited, PAIR.public)
    assert caught.value.details["field"] == "checkpoint"


def test_another_key_is_found() -> None:
    other = new_key_pair()
    with pytest.raises(InvalidInput, match="give the one that belongs to it"):
        read_checkpoint(TEXT, other.public)
    # somebody who claims the right key, and signs with another
    forged = json.loads(text_of(sign_head(CHECKED, other.private, at=NOW)))
    forged["key"] = json.loads(TEXT)["key"]
    with pytest.raises(InvalidInput, match="does not hold"):
        read_checkpoint(json.dumps(forged).encode(), PAIR.public)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "cannot be read"),
        (b"{}", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (TEXT.replace(b"checkpoint/1", b"checkpoint/2"), "this Palio reads"),
    ],
)
def test_what_is_no_checkpoint(text: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        read_checkpoint(text, PAIR.public)
    assert caught.value.details["field"] == "checkpoint"


def pem(private: Any, password: bytes | None = None) -> bytes:
    sealed = forms.BestAvailableEncryption(password) if password else forms.NoEncryption()
    made: bytes = private.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, sealed)
    return made


RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
NO_PRIVATE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no PEM": lambda: b"key",
    "a public key": lambda: PAIR.public,
    "another kind": lambda: pem(RSA),
    "with a password": lambda: pem(ed25519.Ed25519PrivateKey.generate(), b"secret"),
}
NO_PUBLIC: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no PEM": lambda: b"key",
    "a private key": lambda: PAIR.private,
    "another kind": lambda: RSA.public_key().public_bytes(
        forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo
    ),
}


@pytest.mark.parametrize("kind", NO_PRIVATE)
def test_what_is_no_private_key(kind: str) -> None:
    with pytest.raises(InvalidInput, match="key is no Ed25519 private key in PEM") as caught:
        sign_head(CHECKED, NO_PRIVATE[kind](), at=NOW)
    assert caught.value.details == {"field": "key"}


@pytest.mark.parametrize("kind", NO_PUBLIC)
def test_what_is_no_public_key(kind: str) -> None:
    with pytest.raises(InvalidInput, match="public_key is no Ed25519 public key") as caught:
        read_checkpoint(TEXT, NO_PUBLIC[kind]())
    assert caught.value.details == {"field": "public_key"}


def test_a_private_key_is_not_shown() -> None:
    assert "PRIVATE" not in repr(PAIR)
    assert "PRIVATE" not in str(replace(PAIR))


ABSENT = """
import sys
sys.modules["cryptography"] = None  # what an import finds where it is not installed
sys.modules["cryptography.hazmat"] = None
from palio.access.checkpoint import new_key_pair, read_checkpoint
from palio.errors import MissingExtra
for call in (new_key_pair, lambda: read_checkpoint(b"", b"")):
    try:
        call()
    except MissingExtra as missing:
        print(missing)
"""


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABSENT],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment(),
    )
    said = "checkpoints need the extra signing: pip install 'palio[signing]'\n"
    assert done.stdout == said * 2
