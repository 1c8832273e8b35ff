"""Who vouches for the files of a version, and what this process makes of it.

An attestation is a bundle that somebody handed in; whether it holds is asked each time, with the
keys that the process trusts at that moment, so that a key is revoked by taking it out.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from palio.access.audit import Change
from palio.errors import AlreadyExists, Conflict, InvalidInput, UntrustedArtifact
from palio.registry.domain import Attestation, Version
from palio.registry.ports import RegistryUnit, TrustedKey
from palio.registry.requirements import ATTESTED, Evidence, Requirement
from palio.registry.signing.bundle import check_cover, content_signed, read_bundle

__all__ = [
    "NOBODY",
    "Demand",
    "Verdict",
    "Vouching",
    "attest",
    "kept_of",
    "signer",
    "verdicts",
]


class Demand(enum.StrEnum):
    """Where a version that no trusted key has signed is refused."""

    NO = "no"
    PROMOTION = "promotion"
    LOAD = "load"  # and at promotion


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An attestation, and why it does not hold; ``problem`` is empty if it does."""

    attestation: Attestation
    holds: bool
    problem: str = ""


def signer(keys: Mapping[str, TrustedKey], version: Version, bundle: str) -> str:
    """Return the id of the trusted key that has signed exactly the files of a version.

    Parameters
    ----------
    keys
        The keys that are trusted, by id.
    version
        Its manifest is what must have been signed; the store compares the bytes with that.
    bundle
        As it was handed in.

    Raises
    ------
    InvalidInput
        If the bundle cannot be read, or is over other files.
    UntrustedArtifact
        If another key signed, or the signature does not hold.
    """
    read = read_bundle(bundle)
    check_cover(read, version)
    key = keys.get(read.key_id)
    if key is None:
        raise UntrustedArtifact(
            f"{version.reference} was signed with the key {read.key_id[:12]}…, which is not "
            "trusted here; if you know whose it is, give its public key: --key, or "
            "PALIO_SIGNING_KEYS",
            version=version.reference,
            key_id=read.key_id,
        )
    if not key.holds(read.signature, content_signed(read.payload)):
        raise UntrustedArtifact(
            f"the signature over {version.reference} does not hold: the key "
            f"{read.key_id[:12]}… has not signed this; sign the version again",
            version=version.reference,
            key_id=read.key_id,
        )
    return read.key_id


def verdicts(
    keys: Mapping[str, TrustedKey], version: Version, attestations: Sequence[Attestation]
) -> list[Verdict]:
    """Tell of each attestation whether it holds, and why not."""
    return [_judged(keys, version, attestation) for attestation in attestations]


def _judged(keys: Mapping[str, TrustedKey], version: Version, attestation: Attestation) -> Verdict:
    try:
        signer(keys, version, attestation.bundle)
    except (InvalidInput, UntrustedArtifact) as problem:
        return Verdict(attestation=attestation, holds=False, problem=problem.message)
    return Verdict(attestation=attestation, holds=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouching:
    """Whose signatures this process takes, and where it demands one."""

    keys: Mapping[str, TrustedKey] = field(default_factory=dict)
    demand: Demand = Demand.NO

    def found(self, version: Version, kept: Sequence[Attestation]) -> tuple[str, bool]:
        """Tell in words what is found among a version's signatures, and whether one holds."""
        if not kept:
            return "none", False
        for one in kept:
            if one.key_id in self.keys and _judged(self.keys, version, one).holds:
                return f"one by the key {one.key_id[:12]}…", True
        return f"{len(kept)}, of which none holds by a key trusted here", False

    def evidence(self, unit: RegistryUnit, actor: str) -> Evidence:
        """Return what is known when somebody moves a version in this process."""
        demands: tuple[Requirement, ...] = () if self.demand is Demand.NO else (ATTESTED,)
        return Evidence(
            actor=actor,
            attested=lambda version: self.found(version, kept_of(unit, version)),
            demands=demands,
        )

    def check_load(
        self, attestations: Callable[[str], Sequence[Attestation]], version: Version
    ) -> None:
        """Raise ``UntrustedArtifact`` if this process does not load a version.

        Parameters
        ----------
        attestations
            Returns those of a reference; asked only where signatures are demanded.
        version
            Which version; its bytes are those of its manifest, as the store has compared.
        """
        if self.demand is not Demand.LOAD:
            return
        if lack := self._lack(version, attestations(version.reference)):
            raise UntrustedArtifact(
                lack, version=version.reference, setting="PALIO_REQUIRE_ATTESTATION"
            )

    def check_rollback(self, unit: RegistryUnit, version: Version) -> None:
        """Raise ``Conflict`` before a version becomes champion that could not be loaded."""
        if self.demand is not Demand.LOAD:
            return
        if lack := self._lack(version, kept_of(unit, version)):
            raise Conflict(f"nothing was rolled back: {lack}", version=version.reference)

    def _lack(self, version: Version, kept: Sequence[Attestation]) -> str:
        found, holds = self.found(version, kept)
        if holds:
            return ""
        return (
            f"{version.reference} is not signed by a key that this process trusts (found: "
            f"{found}), and PALIO_REQUIRE_ATTESTATION is {self.demand}; sign it: palio models "
            f"sign {version.reference} --key private.pem, and name the public key in "
            "PALIO_SIGNING_KEYS"
        )


NOBODY = Vouching()
"""The default: no key is trusted, and no signature is demanded."""


def kept_of(unit: RegistryUnit, version: Version) -> Sequence[Attestation]:
    """Return the attestations of a version, oldest first."""
    return unit.attestations.find(model=version.model, version=version.version)


def attest(
    unit: RegistryUnit,
    version: Version,
    bundle: str,
    *,
    change: Change,
    vouching: Vouching,
) -> tuple[Attestation, Change]:
    """Keep a signature over a version, inside a unit of work in which the model is locked.

    Returns
    -------
    tuple of Attestation and Change
        What is kept, and the change with what was found, for the caller to append.

    Raises
    ------
    InvalidInput
        If the bundle cannot be read, or is over other files than the registered ones.
    UntrustedArtifact
        If it names a key that is trusted here, and that key has not signed it.
    AlreadyExists
        If the same bundle is kept.
    """
    read = read_bundle(bundle)
    check_cover(read, version)
    if read.key_id in vouching.keys:
        signer(vouching.keys, version, bundle)
    kept = kept_of(unit, version)
    if any(one.bundle == bundle for one in kept):
        raise AlreadyExists(
            f"this signature over {version.reference} is kept already; nothing to do",
            kind="attestation",
            name=version.reference,
        )
    made = Attestation(
        model=version.model,
        version=version.version,
        seq=len(kept) + 1,
        bundle=bundle,
        key_id=read.key_id,
        at=change.at,
        actor=change.actor,
    )
    unit.attestations.add(made)
    sha256 = hashlib.sha256(bundle.encode()).hexdigest()
    after = {"key_id": made.key_id, "seq": made.seq, "bundle_sha256": sha256}
    return made, replace(change, subject=version.reference, after=after)
