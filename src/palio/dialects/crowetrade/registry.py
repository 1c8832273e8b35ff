"""``ModelRegistry``: versions with their policies, along the documented life."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from palio.dialects.crowetrade.metadata import ModelMetadata, metadata_of
from palio.dialects.crowetrade.opening import Opened
from palio.dialects.crowetrade.trees import trees_of
from palio.dialects.crowetrade.versions import latest_of, signature_of
from palio.dialects.crowetrade.words import GUARDED_LIFE, LIFE, ModelStatus, ModelType
from palio.edge.dialects import restored
from palio.edge.verbs import Verbs
from palio.errors import AlreadyExists, CorruptArtifact, InvalidInput, NotFound, PalioError
from palio.registry.domain import Attestation, Version
from palio.registry.ensembles.spec import ENSEMBLE

__all__ = ["ModelRegistry"]


class ModelRegistry:
    """The documented calls on a Palio store.

    Parameters
    ----------
    registry_path
        Its folder, which holds the store unless another one is named, and its files; or the
        address of a store or a server.
    store, key
        Another store, and the API key for a server.
    """

    def __init__(
        self,
        registry_path: str | Path | None = None,
        *,
        store: str | None = None,
        key: str | None = None,
    ) -> None:
        self.opened = Opened(registry_path, store=store, key=key)
        models = self.opened.settings.export_models
        self._trees = trees_of(self._verbs, registry=self.opened.folder, models=models)
        try:
            self._trees.step()
        except PalioError:
            self.close()
            raise

    def register_model(
        self,
        model_object: Any,
        metadata: ModelMetadata,
        policy_config: Mapping[str, Any] | None = None,
        *,
        sample: Any = None,
        target: Any = None,
    ) -> str:
        """Keep a model as a version, in the name of who has created it.

        Parameters
        ----------
        model_object
            A fitted model, a function, any object that can be pickled, or the ``Path`` of a file.
        metadata
            What is known of it.
        policy_config
            How its answers may be traded on.
        sample, target
            Rows and labels that tell the types of what it takes and gives: needed for a ``Path``;
            otherwise all ``input_features`` are numbers.

        Returns
        -------
        str
            ``model_id:version``.
        """
        self._ensure_line(metadata.model_id)
        told = sample is not None or isinstance(model_object, Path)
        answers = callable(model_object) or hasattr(model_object, "predict") or told
        version = self.opened.acting(metadata.created_by).register(
            metadata.model_id,
            model_object,
            policy=policy_config,
            sample=sample,
            target=target,
            signature=None if told else signature_of(model_object, metadata),
            flavor=None if answers else "callables",
            **metadata.kept(),
        )
        self._trees.step()
        return version.reference

    def get_model(self, model_id: str, version: str | None = None) -> tuple[Any, ModelMetadata]:
        """Return a model as the object that was registered, with its metadata.

        Parameters
        ----------
        model_id
            The model; or ``model_id:version``, as tests name it.
        version
            Which; when not given the latest by its number, which is not out of use.

        Raises
        ------
        CorruptArtifact
            Before any byte is interpreted, if a file is not the one that was registered.
        UntrustedArtifact
            If making the object runs code and this process does not allow that.
        """
        found = self._version(model_id, version)
        if found.flavor == ENSEMBLE:
            return self.opened.session.load(found.reference), self._told(found)
        return restored(self._verbs, found.reference), self._told(found)

    def promote_model(
        self,
        registry_id: str,
        new_status: ModelStatus | str,
        approved_by: str | None = None,
        *,
        reason: str = "",
    ) -> bool:
        """Take a version to another status, in the name of who approves.

        Raises
        ------
        InvalidInput
            If nobody approves production.
        IllegalTransition
            If the life has no such step.
        """
        versions = self.opened.acting(approved_by).verbs.versions
        why = reason or (f"approved by {approved_by}" if approved_by else "")
        if new_status == ModelStatus.PRODUCTION:
            if not (approved_by or "").strip():
                raise InvalidInput(
                    f"{registry_id} needs approval for production; say who approves with "
                    "approved_by",
                    field="approved_by",
                )
            versions.promote(registry_id, reason=why)
        else:
            versions.move(registry_id, str(new_status), why)
        self._trees.step()
        return True

    def get_metadata(self, registry_id: str) -> ModelMetadata:
        """Return what is known of a version."""
        return self._told(self._verbs.versions.get(registry_id))

    def list_models(
        self,
        model_type: ModelType | str | None = None,
        status: ModelStatus | str | None = None,
        created_by: str | None = None,
    ) -> list[ModelMetadata]:
        """Return all versions, newest first, or those of a type, a status, a person."""
        wanted = {"model_type": model_type, "status": status, "created_by": created_by}
        lines = [self._verbs.versions.list(model.name) for model in self._verbs.models.list()]
        known = sorted(chain(*lines), key=lambda version: version.created_at, reverse=True)
        return [
            one
            for one in map(self._told, known)
            if all(value in {None, getattr(one, name)} for name, value in wanted.items())
        ]

    def delete_model(self, registry_id: str, reason: str = "") -> bool:
        """Delete an old version that nothing points at; `palio models restore` takes it back."""
        self._verbs.versions.delete(registry_id, reason)
        self._trees.step()
        return True

    def audit(self, model_id: str | None = None) -> list[dict[str, Any]]:
        """Return what was done, by whom, when and why, oldest first; to one model, if asked."""
        found: list[dict[str, Any]] = []
        after = 0
        while page := self._verbs.audit.list(after, 1_000, model=model_id):
            found += [msgspec.to_builtins(entry) for entry in page]
            after = page[-1].seq
        return found

    def verify_model(self, registry_id: str) -> dict[str, Any]:
        """Read every file of a version and compare it with its checksum.

        Raises
        ------
        CorruptArtifact
            Naming the first file that is not the one that was registered.
        """
        if differences := self._verbs.artifacts.verify(registry_id).differences:
            first = differences[0]
            raise CorruptArtifact(
                f"{registry_id}: {first.file} is not what was registered ({first.why})",
                version=registry_id,
                path=first.file,
            )
        version = self._verbs.versions.get(registry_id)
        keys = [one.key_id for one in self._verbs.versions.attestations(registry_id)]
        return {
            "registry_id": version.reference,
            "model_checksum": version.manifest.digest,
            "files": {file.path: file.sha256 for file in version.manifest.files},
            "signed_by": keys,
        }

    def get_model_drift(self, registry_id: str, days: int = 7) -> dict[str, Any]:
        """Return how far the features of what Palio serves of a version have moved.

        ``index`` is the population stability index against the first rows that it saw,
        ``by_chance`` what it is where nothing moves. How a test's returns move, its results tell.
        """
        found = self._verbs.versions.drift(registry_id, days)
        return {
            "registry_id": found.reference,
            "rows": found.rows,
            "reference_rows": found.reference_rows,
            "features": {
                name: {"index": one.index, "by_chance": one.by_chance}
                for name, one in found.features.items()
            },
        }

    def sign_model(
        self, registry_id: str, private_key: bytes, *, password: str | None = None
    ) -> Attestation:
        """Sign the files of a version with a private key (PEM), which stays in this process."""
        return self.opened.session.sign(registry_id, private_key, password=password)

    def close(self) -> None:
        """Give all connections back."""
        self.opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _verbs(self) -> Verbs:
        return self.opened.verbs

    def _told(self, version: Version) -> ModelMetadata:
        return metadata_of(version, self._verbs.models)

    def _version(self, model_id: str, version: str | None) -> Version:
        if version is not None or ":" in model_id:
            return self._verbs.versions.get(
                model_id if version is None else f"{model_id}:{version}"
            )
        return latest_of(model_id, self._verbs.versions.list(model_id))

    def _ensure_line(self, model_id: str) -> None:
        """Make the model, in the documented life, where there is none."""
        try:
            self._verbs.models.get(model_id)
        except NotFound:
            life = GUARDED_LIFE if self.opened.settings.four_eyes else LIFE
            self._verbs.lifecycles.declare(life)
            try:
                self._verbs.models.create(model_id, "", life.name)
            except AlreadyExists:  # somebody else was first, or it was deleted: registering tells
                return
