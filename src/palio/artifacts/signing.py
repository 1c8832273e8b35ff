"""Elliptic-curve keys: signing the files of a version, and checking who did.

Only the key pairs that OpenSSF Model Signing knows: P-256, P-384 and P-521.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from palio.errors import InvalidInput, MissingExtra
from palio.registry.domain import Version
from palio.registry.signing.bundle import Bundle, content_signed, statement_of, written

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )

__all__ = ["PublicKey", "sign", "trusted_keys"]

_HASHES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
_PAIR = (
    "make a pair: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "
    "private.pem && openssl pkey -in private.pem -pubout -out public.pem"
)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key; ``id`` is the SHA-256 of its PEM, as ``sha256sum public.pem`` prints it."""

    id: str
    _key: EllipticCurvePublicKey = field(repr=False)

    def holds(self, signature: bytes, content: bytes) -> bool:
        """Tell whether this key's private half made a signature over these bytes."""
        invalid: type[Exception] = import_module("cryptography.exceptions").InvalidSignature
        try:
            self._key.verify(signature, content, _algorithm(self._key))
        except invalid:
            return False
        return True


def trusted_keys(files: Iterable[tuple[str, bytes]]) -> dict[str, PublicKey]:
    """Return public keys by id.

    Parameters
    ----------
    files
        Each with the name that a message gives it, such as its path, and its PEM.

    Raises
    ------
    InvalidInput
        If one is no such key.
    MissingExtra
        If the extra ``signing`` is not installed.
    """
    keys = [_public(name, pem) for name, pem in files]
    return {key.id: key for key in keys}


def sign(version: Version, private: bytes, *, password: str | None = None) -> str:
    """Sign the files of a version by their digests, and return the bundle to hand in.

    Parameters
    ----------
    version
        As registered; its files are not needed.
    private
        The private key as PEM.
    password
        Of the key, if it has one.

    Raises
    ------
    InvalidInput
        If the key cannot be read.
    MissingExtra
        If the extra ``signing`` is not installed.
    """
    key = _private(private, password)
    payload = statement_of(version)
    signature = key.sign(content_signed(payload), _algorithm(key))
    public = _known(key.public_key())
    return written(Bundle(payload=payload, signature=signature, key_id=public.id))


def _algorithm(key: EllipticCurvePublicKey | EllipticCurvePrivateKey) -> Any:
    hashes = _crypto("hashes")
    return _crypto("asymmetric.ec").ECDSA(getattr(hashes, _HASHES[key.curve.name])())


def _known(key: EllipticCurvePublicKey) -> PublicKey:
    forms = _crypto("serialization")
    pem = key.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(hashlib.sha256(pem).hexdigest(), key)


def _public(name: str, pem: bytes) -> PublicKey:
    load, kind = _crypto("serialization").load_pem_public_key, "EllipticCurvePublicKey"
    if b"PRIVATE KEY-----" in pem:
        raise _unusable(
            f"{name} is a private key, which belongs to the signer alone; take its public half: "
            "openssl pkey -in private.pem -pubout -out public.pem"
        )
    if pem.count(b"-----BEGIN ") > 1:
        raise _unusable(f"{name} holds more than one key; give each key a file of its own")
    try:
        found = load(pem)
    except (ValueError, _unsupported()) as unreadable:
        raise _no_key(name, "public") from unreadable
    return _known(_checked(found, name, "public", kind))


def _private(pem: bytes, password: str | None) -> EllipticCurvePrivateKey:
    load, kind = _crypto("serialization").load_pem_private_key, "EllipticCurvePrivateKey"
    try:
        found = load(pem, None if password is None else password.encode())
    except TypeError as given:
        has_one = password is None
        raise _unusable(
            "the key has a password; set PALIO_SIGNING_PASSWORD to it"
            if has_one
            else "the key has no password; leave it out"
        ) from given
    except (ValueError, _unsupported()) as unreadable:
        if password is not None:
            raise _unusable(
                "the key cannot be read with this password; check both"
            ) from unreadable
        raise _no_key("the key", "private") from unreadable
    key: EllipticCurvePrivateKey = _checked(found, "the key", "private", kind)
    return key


def _checked(found: object, name: str, half: str, kind: str) -> Any:
    if not isinstance(found, getattr(_crypto("asymmetric.ec"), kind)):
        raise _no_key(name, half)
    curve: str = getattr(found, "curve").name  # noqa: B009 - of a class loaded when asked for
    if curve not in _HASHES:
        raise _unusable(f"{name} is on the curve {curve}, and P-256, P-384, P-521 are known")
    return found


def _no_key(name: str, half: str) -> InvalidInput:
    return _unusable(f"{name} is no {half} key of an elliptic curve in PEM; {_PAIR}")


def _unusable(problem: str) -> InvalidInput:
    return InvalidInput(f"key: {problem}", field="key")


def _unsupported() -> type[Exception]:
    found: type[Exception] = import_module("cryptography.exceptions").UnsupportedAlgorithm
    return found


def _crypto(name: str) -> Any:
    """Load a part of the library that signs, only when asked for."""
    try:
        return import_module(f"cryptography.hazmat.primitives.{name}")
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            "signatures need the extra signing: pip install 'palio[signing]'", extra="signing"
        ) from missing
