"""From a registered version to a predictor in memory, and from a model to a folder of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from palio.artifacts.flavors import named, recognise
from palio.errors import InvalidInput
from palio.registry.domain import Version
from palio.registry.ports import ArtifactStore, Predictor
from palio.registry.signature import Signature

__all__ = ["ArtifactLoader", "package"]


class ArtifactLoader:
    """Reads a version's files, compares them with the manifest, and hands them to the flavor.

    Parameters
    ----------
    store
        Where the bytes lie.
    trusted_types
        Exact names of types that may be loaded beside those every flavor allows.
    """

    def __init__(self, store: ArtifactStore, trusted_types: Sequence[str] = ()) -> None:
        self._store = store
        self._trusted_types = tuple(trusted_types)

    def load(self, version: Version) -> Predictor:
        """Make a registered version a predictor.

        Raises
        ------
        CorruptArtifact
            Before any byte is interpreted, if a file differs from the manifest.
        UntrustedArtifact
            If the files hold types that policy does not allow.
        InvalidInput
            If the version has no signature, or its model does not fit it.
        """
        if version.signature is None:
            raise InvalidInput(
                f"{version.reference} has no signature, so rows for it cannot be checked; "
                "register the model again under a new version with a sample of its inputs",
                field="signature",
                value=None,
            )
        flavor = named(version.flavor, self._trusted_types)
        files = self._store.read(version.model, version.version, version.manifest)
        return flavor.load(files, version.signature)


def package(
    model: object, folder: Path, signature: Signature, *, trusted_types: Sequence[str] = ()
) -> str:
    """Save a model object into ``folder`` and return the name of its flavor.

    Parameters
    ----------
    model
        A fitted model of a known flavor.
    folder
        An existing folder; the model's files are written there.
    signature
        What the model takes and gives; compared with the model.
    trusted_types
        Exact names of types that whoever loads the model will allow beside the flavor's own.

    Raises
    ------
    InvalidInput
        If no flavor recognises the model, or it does not fit the signature.
    UntrustedArtifact
        If the model holds types that could not be loaded again.
    """
    flavor = recognise(model, trusted_types)
    flavor.save(model, folder, signature)
    return flavor.name
