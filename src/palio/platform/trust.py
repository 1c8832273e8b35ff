"""Which keys and which code this process trusts, and the loaders that go by that."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from palio.artifacts.fetched import FetchedArtifacts
from palio.artifacts.loader import ArtifactLoader
from palio.artifacts.policy import Trust
from palio.artifacts.signing import trusted_keys
from palio.edge.verbs import Verbs
from palio.errors import InvalidInput
from palio.registry.ports import ArtifactReader, Loader
from palio.registry.signing.attestation import Demand, Vouching
from palio.serving.ensembles import EnsembleLoader, Skip
from palio.settings import Settings

__all__ = ["loader_of", "restored", "trust_of", "vouching_of"]


def vouching_of(settings: Settings) -> Vouching:
    """Return whose signatures count here, and where one is demanded."""
    demand = Demand(settings.require_attestation)
    if demand is not Demand.NO and not settings.signing_keys:
        raise InvalidInput(
            f"PALIO_REQUIRE_ATTESTATION is {demand}, and PALIO_SIGNING_KEYS names no key, so no "
            "version would do; name the public keys of those who sign",
            field="PALIO_SIGNING_KEYS",
        )
    return Vouching(keys=trusted_keys(map(_pem, settings.signing_keys)), demand=demand)


def _pem(path: Path) -> tuple[str, bytes]:
    try:
        return str(path), path.read_bytes()
    except OSError as unreadable:
        raise InvalidInput(
            f"PALIO_SIGNING_KEYS: {path}: {unreadable.strerror}; check the path and who may read "
            "it",
            field="PALIO_SIGNING_KEYS",
            value=str(path),
        ) from unreadable


def trust_of(settings: Settings) -> Trust:
    """Return what this process may make objects of."""
    return Trust(trusted_types=settings.trusted_types, allow_pickle=settings.allow_pickle)


def loader_of(
    settings: Settings,
    files: ArtifactReader,
    vouching: Vouching,
    verbs: Verbs,
    *,
    skip: Skip = lambda _, __, ___: None,
) -> Loader:
    """Return what makes versions predictors, ensembles among them."""
    attested = partial(vouching.check_load, verbs.versions.attestations)
    return EnsembleLoader(
        ArtifactLoader(files, trust_of(settings), attested, device=settings.torch_device),
        files,
        verbs.versions.get,
        attested=attested,
        log=logging.getLogger("palio.ensembles").warning,
        skip=skip,
    )


def restored(verbs: Verbs, reference: str) -> object:
    """Return the object that a version holds, made in this process as its settings allow.

    Parameters
    ----------
    verbs
        Where the version is, in process or behind a server.
    reference
        Which version.
    """
    settings = Settings()
    attested = partial(vouching_of(settings).check_load, verbs.versions.attestations)
    loader = ArtifactLoader(FetchedArtifacts(verbs.versions.fetch), trust_of(settings), attested)
    return loader.restore(verbs.versions.get(reference))
