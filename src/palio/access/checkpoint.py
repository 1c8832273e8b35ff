"""Checkpoints: the head of the audit log, signed, to be kept where the log is not."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from palio.access.audit import AuditCheck, Mark
from palio.errors import Conflict, InvalidInput, MissingExtra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

__all__ = ["Checkpoint", "KeyPair", "new_key_pair", "read_checkpoint", "sign_head", "text_of"]

_FORM = "palio-audit-checkpoint/1"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key pair as PEM; the private part is kept out of what is printed."""

    private: bytes = field(repr=False)
    public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where the audit log stood when somebody signed it.

    Parameters
    ----------
    seq, hash
        Number and hash of the last entry; 0 and zeros for an empty log.
    entries
        How many entries there were.
    at
        When it was signed, by the clock of whoever signed.
    key
        SHA-256 of the public key, which tells keys apart.
    signature
        Ed25519 over all other fields, as Base64.
    form
        What this is.
    """

    seq: int
    hash: str
    entries: int
    at: datetime
    key: str
    signature: str = ""
    form: str = _FORM

    @property
    def mark(self) -> Mark | None:
        """The place that the log must contain from now on; none if it was empty."""
        return Mark(self.seq, self.hash) if self.seq else None


def new_key_pair() -> KeyPair:
    """Make a key pair; its private part belongs to whoever signs, and to no server.

    Raises
    ------
    MissingExtra
        If the extra ``signing`` is not installed.
    """
    forms = _crypto("serialization")
    private = _crypto("asymmetric.ed25519").Ed25519PrivateKey.generate()
    public = private.public_key()
    return KeyPair(
        private.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()),
        public.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo),
    )


def sign_head(checked: AuditCheck, private: bytes, *, at: datetime) -> Checkpoint:
    """Sign where a log stands that was read and holds.

    Parameters
    ----------
    checked
        What reading the log found.
    private
        The private key as PEM.
    at
        The present moment.

    Raises
    ------
    Conflict
        If the log does not hold: nobody should vouch for it.
    InvalidInput
        If the key cannot be read.
    """
    if checked.broken is not None:
        raise Conflict(
            f"entry {checked.broken.seq} does not hold: {checked.broken.problem}; nothing was "
            "signed. Compare the log with a copy",
            seq=checked.broken.seq,
        )
    key = _private_key(private)
    unsigned = Checkpoint(
        seq=checked.entries,
        hash=checked.head,
        entries=checked.entries,
        at=at.astimezone(UTC),
        key=_fingerprint(key.public_key()),
    )
    return replace(unsigned, signature=base64.b64encode(key.sign(_content(unsigned))).decode())


def text_of(checkpoint: Checkpoint) -> bytes:
    """Return a checkpoint as the JSON that `read_checkpoint` reads."""
    return msgspec.json.format(msgspec.json.encode(checkpoint), indent=2) + b"\n"


def read_checkpoint(text: bytes, public: bytes) -> Checkpoint:
    """Read a checkpoint and check who signed it.

    Parameters
    ----------
    text
        The checkpoint as `text_of` wrote it.
    public
        The public key as PEM.

    Raises
    ------
    InvalidInput
        If either cannot be read, another key signed, or the signature does not hold.
    """
    key, found = _public_key(public), _parsed(text)
    if found.key != _fingerprint(key):
        raise _unusable(
            f"was signed with the key {found.key[:12]}…, and the public key given is "
            f"{_fingerprint(key)[:12]}…; give the one that belongs to it"
        )
    if not _holds(key, found):
        raise _unusable(
            "does not hold: its signature is not over what it says, so it was edited after it "
            "was signed; take another copy of it"
        )
    return found


def _parsed(text: bytes) -> Checkpoint:
    try:
        found = msgspec.json.decode(text, type=Checkpoint)
    except (msgspec.DecodeError, ValueError, RecursionError) as unreadable:
        raise _unusable(
            f"cannot be read: {unreadable}; give the file that `palio audit checkpoint` wrote"
        ) from unreadable
    if found.form != _FORM:
        raise _unusable(f"is of the form {found.form!r}; this Palio reads {_FORM!r}")
    return found


def _content(checkpoint: Checkpoint) -> bytes:
    content = msgspec.to_builtins(checkpoint)
    content.pop("signature")
    return msgspec.json.encode(content, order="sorted")


def _private_key(pem: bytes) -> Ed25519PrivateKey:
    load = _crypto("serialization").load_pem_private_key
    try:
        found = load(pem, password=None)
    except (ValueError, TypeError, _unsupported()) as unreadable:  # TypeError: it has a password
        raise _no_key("key", "private") from unreadable
    if not isinstance(found, _crypto("asymmetric.ed25519").Ed25519PrivateKey):
        raise _no_key("key", "private")
    key: Ed25519PrivateKey = found
    return key


def _public_key(pem: bytes) -> Ed25519PublicKey:
    load = _crypto("serialization").load_pem_public_key
    try:
        found = load(pem)
    except (ValueError, _unsupported()) as unreadable:
        raise _no_key("public_key", "public") from unreadable
    if not isinstance(found, _crypto("asymmetric.ed25519").Ed25519PublicKey):
        raise _no_key("public_key", "public")
    key: Ed25519PublicKey = found
    return key


def _holds(key: Ed25519PublicKey, checkpoint: Checkpoint) -> bool:
    invalid: type[Exception] = import_module("cryptography.exceptions").InvalidSignature
    try:
        key.verify(base64.b64decode(checkpoint.signature, validate=True), _content(checkpoint))
    except (invalid, ValueError):
        return False
    return True


def _fingerprint(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _no_key(name: str, part: str) -> InvalidInput:
    return InvalidInput(
        f"{name} is no Ed25519 {part} key in PEM without a password; "
        "`palio audit keygen` makes a pair",
        field=name,
    )


def _unusable(problem: str) -> InvalidInput:
    return InvalidInput(f"the checkpoint {problem}", field="checkpoint")


def _unsupported() -> type[Exception]:
    found: type[Exception] = import_module("cryptography.exceptions").UnsupportedAlgorithm
    return found


def _crypto(name: str) -> Any:
    """Load a part of the library that signs; only checkpoints need it."""
    try:
        return import_module(f"cryptography.hazmat.primitives.{name}")
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            "checkpoints need the extra signing: pip install 'palio[signing]'", extra="signing"
        ) from missing
