"""Versions signed and verified in this process; no word of a server is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from palio.errors import InvalidInput
from palio.registry.domain import Attestation
from palio.registry.ports import TrustedKey
from palio.registry.signing.attestation import Verdict, verdicts
from palio.registry.versions import Versions

__all__ = ["sign", "verify"]


def sign(
    versions: Versions, reference: str, private: bytes, *, password: str | None
) -> Attestation:
    """Sign the registered digests of a version, and hand the signature in."""
    from palio.artifacts.signing import sign as signed

    version = versions.get(reference)
    return versions.attest(version.reference, signed(version, private, password=password))


def verify(
    versions: Versions,
    reference: str,
    *,
    keys: Mapping[str, bytes] | None,
    own: Mapping[str, TrustedKey],
) -> Sequence[Verdict]:
    """Check the signatures over a version by the keys that are given, or by one's own."""
    from palio.artifacts.signing import trusted_keys

    trusted = own if keys is None else trusted_keys(keys.items())
    if not trusted:
        raise InvalidInput(
            "there is no public key to verify with; give one with --key, or name those you "
            "trust in PALIO_SIGNING_KEYS",
            field="keys",
        )
    version = versions.get(reference)
    return verdicts(trusted, version, versions.attestations(version.reference))
