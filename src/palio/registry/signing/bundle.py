"""The file that a signer's tool writes: which files it speaks of, and whose key signed.

The form is that of OpenSSF Model Signing 1.0, so that its own tool reads what Palio writes and the
other way round: a Sigstore bundle around a DSSE envelope around an in-toto statement, which lists
every file with its SHA-256. Nothing here needs a key, or the files.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import msgspec

from palio.errors import InvalidInput, TooLarge
from palio.registry.domain import Manifest, Version
from palio.registry.manifests import MANIFEST_NAME, manifest_bytes

__all__ = [
    "BUNDLE_LIMIT_BYTES",
    "Bundle",
    "check_cover",
    "content_signed",
    "read_bundle",
    "statement_of",
    "written",
]

BUNDLE_LIMIT_BYTES = 4 << 20
"""Enough for a version of 10,000 files."""

_MEDIA = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_KEY_ID = re.compile("[0-9a-f]{64}")
_NAMED = 5  # files that a message names
_SHOWN = 200  # characters of what somebody sent
_REMEDY = "give the file that `palio models sign` or `model_signing sign key` wrote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What was signed, the signature, and the id of the key: SHA-256 of its PEM."""

    payload: bytes
    signature: bytes
    key_id: str


def statement_of(version: Version) -> bytes:
    """Return what a signer signs: every file of a version, and its ``manifest.json``."""
    digests = _files_of(version.manifest) | _own_manifest(version.manifest)
    resources = [
        {"name": name, "algorithm": "sha256", "digest": digest}
        for name, digest in sorted(digests.items())
    ]
    statement = {
        "_type": _STATEMENT,
        "subject": [{"name": version.reference, "digest": {"sha256": _root(digests)}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": resources,
        },
    }
    return msgspec.json.encode(statement)


def content_signed(payload: bytes) -> bytes:
    """Return the bytes that a signature is over: the payload with its type (DSSE, v1)."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(payload), payload)


def written(bundle: Bundle) -> str:
    """Return a bundle as the text that ``read_bundle`` reads."""
    content = {
        "mediaType": _MEDIA,
        "verificationMaterial": {"publicKey": {"hint": bundle.key_id}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(bundle.payload).decode(),
            "payloadType": _PAYLOAD,
            "signatures": [{"sig": base64.b64encode(bundle.signature).decode(), "keyid": ""}],
        },
    }
    return msgspec.json.encode(content).decode()


def read_bundle(text: str) -> Bundle:
    """Read a bundle that was signed with a key pair.

    Raises
    ------
    TooLarge
        Beyond ``BUNDLE_LIMIT_BYTES``.
    InvalidInput
        If it is none, or one of another kind.
    """
    if len(text) > BUNDLE_LIMIT_BYTES:
        raise TooLarge(
            f"the bundle has {len(text)} characters, and at most {BUNDLE_LIMIT_BYTES} are read; "
            f"{_REMEDY}",
            limit=BUNDLE_LIMIT_BYTES,
        )
    form = _decoded(text.encode("utf-8", "replace"), _Form)
    envelope = form.dsse_envelope
    if form.media_type != _MEDIA:
        _refuse(f"is of the media type {form.media_type!r}, and {_MEDIA!r} is read")
    if envelope.payload_type != _PAYLOAD:
        _refuse(f"holds {envelope.payload_type!r}, and {_PAYLOAD!r} is read")
    if len(envelope.signatures) != 1:
        _refuse(f"has {len(envelope.signatures)} signatures instead of one")
    return Bundle(
        payload=_bytes_in(envelope.payload, "payload"),
        signature=_bytes_in(envelope.signatures[0].sig, "signature"),
        key_id=_key_id(form.verification_material),
    )


def check_cover(bundle: Bundle, version: Version) -> None:
    """Raise ``InvalidInput`` unless a bundle lists exactly the files of a version.

    ``manifest.json`` may be left out, since it follows from the others.
    """
    signed, files = _listed(bundle.payload), _files_of(version.manifest)
    allowed = files | _own_manifest(version.manifest)
    for what, names in {
        "does not cover": sorted(files.keys() - signed.keys()),
        "covers other bytes of": sorted(
            name for name in signed.keys() & allowed if signed[name] != allowed[name]
        ),
        "covers what the version does not have:": sorted(signed.keys() - allowed.keys()),
    }.items():
        if names:
            raise InvalidInput(
                f"the signature is not over the files of {version.reference}: it {what} "
                f"{_some(names)}; sign the version itself: palio models sign "
                f"{version.reference} --key private.pem, or its downloaded folder with "
                "`model_signing sign key --no-ignore-git-paths`",
                field="bundle",
                version=version.reference,
                files=[name[:_SHOWN] for name in names[:_NAMED]],
            )


def _files_of(manifest: Manifest) -> dict[str, str]:
    return {file.path: file.sha256 for file in manifest.files}


def _own_manifest(manifest: Manifest) -> dict[str, str]:
    return {MANIFEST_NAME: hashlib.sha256(manifest_bytes(manifest)).hexdigest()}


def _root(digests: Mapping[str, str]) -> str:
    return _over(digest for _, digest in sorted(digests.items()))


def _over(digests: Iterable[str]) -> str:
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def _listed(payload: bytes) -> dict[str, str]:
    """Return the files that a statement lists, with their digests."""
    statement = _decoded(payload, _Statement)
    if statement.kind != _STATEMENT or statement.predicate_type != _PREDICATE:
        _refuse(
            f"holds a statement of the type {statement.predicate_type!r}, and {_PREDICATE!r} is "
            "read; sign with model-signing 1.0 or later"
        )
    how, resources = statement.predicate.serialization, statement.predicate.resources
    kinds = {how.hash_type, *(one.algorithm for one in resources)}
    if how.method != "files" or kinds != {"sha256"}:
        _refuse(f"lists {how.method} by {', '.join(sorted(kinds))}, and files by sha256 are read")
    listed = {one.name: one.digest.lower() for one in resources}
    if len(listed) != len(resources):
        _refuse("lists a file twice")
    _check_root(statement, resources)
    return listed


def _check_root(statement: _Statement, resources: Iterable[_Resource]) -> None:
    try:
        root = _over(one.digest for one in resources)
    except ValueError:
        _refuse("lists a digest that is no hexadecimal number")
    if [one.digest.get("sha256") for one in statement.subject] != [root]:
        _refuse("contradicts itself: its subject is not the digest over the files it lists")


def _key_id(material: _Material) -> str:
    if material.public_key is None:
        _refuse(
            "was signed with a certificate or without a key (Sigstore), and only key pairs are "
            "checked here",
            remedy="sign with `palio models sign --key` or `model_signing sign key`",
        )
    if not _KEY_ID.fullmatch(material.public_key.hint):
        _refuse("does not name its key by a SHA-256; sign with model-signing 1.1 or later")
    return material.public_key.hint


def _bytes_in(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        _refuse(f"has a {what} that is no Base64")


_T = TypeVar("_T")


def _decoded(content: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as unreadable:
        _refuse(f"cannot be read: {unreadable}", cause=unreadable)


def _refuse(problem: str, *, remedy: str = _REMEDY, cause: Exception | None = None) -> NoReturn:
    raise InvalidInput(f"the bundle {problem[:_SHOWN]}; {remedy}", field="bundle") from cause


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(repr(name[:_SHOWN]) for name in names[:_NAMED]) + more


class _Key(msgspec.Struct, frozen=True):
    hint: str = ""


class _Material(msgspec.Struct, frozen=True, rename="camel"):
    public_key: _Key | None = None


class _Signature(msgspec.Struct, frozen=True):
    sig: str


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: list[_Signature]


class _Form(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope


class _Subject(msgspec.Struct, frozen=True):
    digest: dict[str, str]


class _Resource(msgspec.Struct, frozen=True):
    name: str
    algorithm: str
    digest: str


class _Serialization(msgspec.Struct, frozen=True):
    method: str
    hash_type: str


class _Predicate(msgspec.Struct, frozen=True):
    serialization: _Serialization
    resources: list[_Resource]


class _Statement(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(name="_type")
    subject: list[_Subject]
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: _Predicate
