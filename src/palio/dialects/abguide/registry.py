"""Its calls: each one or two verbs on one model and the endpoint of the same name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from palio.access.audit import AuditEntry
from palio.dialects.abguide.registration import Registration, absolute, named
from palio.dialects.abguide.settings import Settings
from palio.dialects.abguide.words import LIFECYCLE, Status, metadata_of
from palio.edge.verbs import Verbs
from palio.errors import AlreadyExists, Conflict, NotFound
from palio.registry.domain import CHAMPION, Version

__all__ = ["Registry"]


@dataclass(frozen=True, slots=True)
class Registry:
    """The versions of one model in the name of a caller."""

    verbs: Verbs
    settings: Settings

    @property
    def model(self) -> str:
        """The model, and the endpoint that serves it."""
        return self.settings.model

    def is_open(self) -> bool:
        """Tell whether there is such a model."""
        return any(one.name == self.model for one in self.verbs.models.list())

    def register(self, asked: Registration) -> dict[str, Any]:
        """Keep the files at a path as a version; the first one opens model and endpoint."""
        preprocessor = asked.preprocessor_path
        self._open()
        with named({"model_path": asked.model_path, "preprocessor_path": preprocessor}):
            self.verbs.versions.register_from(
                self.model,
                asked.draft(),
                absolute(asked.model_path),
                preprocessor=None if preprocessor is None else absolute(preprocessor),
                ask=True,
            )
        return self.get(asked.version)

    def models(self, status: Status | None = None) -> list[dict[str, Any]]:
        """Return all versions, oldest first, or those of one status."""
        if not self.is_open():
            return []
        found = self._told(*self.verbs.versions.list(self.model))
        return [one for one in found if status in (None, one["status"])]

    def get(self, version: str) -> dict[str, Any]:
        """Return one version."""
        return self._told(self.version(version))[0]

    def version(self, name: str) -> Version:
        """Return the record of a version."""
        with self.known(name):
            return self.verbs.versions.get(f"{self.model}:{name}")

    def check_loaded(self, version: str) -> None:
        """Raise ``Conflict`` if this server was to load a version and could not."""
        for one in self.verbs.endpoints.loaded(self.model).versions:
            if one.version == version and one.error is not None:
                raise Conflict(
                    f"Model version '{version}' could not be loaded: {one.error}", version=version
                )

    def shares(self) -> Mapping[str, float]:
        """Return the share of the traffic that each version gets now."""
        try:
            return self.verbs.endpoints.shares(self.model)
        except NotFound:
            return {}

    @contextmanager
    def known(self, *versions: str) -> Iterator[None]:
        """Say in its words that one of these versions is not there."""
        try:
            yield
        except NotFound as unknown:
            _, _, named = str(unknown.details.get("name")).partition(":")
            missing = named or next(iter(versions), "")
            raise NotFound(
                f"Model version '{missing}' not found in registry", kind="version", name=missing
            ) from unknown

    def _open(self) -> None:
        self.verbs.lifecycles.declare(LIFECYCLE)
        with suppress(AlreadyExists):
            self.verbs.models.create(self.model, lifecycle=LIFECYCLE.name)
        with suppress(AlreadyExists):
            self.verbs.endpoints.create(self.model, self.model)

    def _told(self, *versions: Version) -> list[dict[str, Any]]:
        shares, changed = self.shares(), self._changed()
        champion = self.verbs.models.aliases(self.model).get(CHAMPION)
        return [
            metadata_of(
                one,
                shares.get(one.version, 0.0),
                champion=one.version == champion,
                changed_at=changed.get(one.version),
            )
            for one in versions
        ]

    def _changed(self) -> dict[str, datetime]:
        """Return when each version, or its share, was changed last."""
        found: dict[str, datetime] = {}
        for entry in sorted(self._entries(), key=lambda one: one.seq):
            found |= dict.fromkeys(_changed_by(entry, self.model), entry.at)
        return found

    def _entries(self) -> Iterator[AuditEntry]:
        for action in ("version", "endpoint.weigh"):
            after = 0
            while page := self.verbs.audit.list(after, _PAGE, model=self.model, action=action):
                yield from page
                after = page[-1].seq


_PAGE = 1_000
_CHANGES = frozenset({"edit", "move", "promote", "rollback", "restore"})


def _changed_by(entry: AuditEntry, model: str) -> set[str]:
    """Return the versions of a model that an entry of the audit log has changed."""
    before, after = entry.before or {}, entry.after or {}
    noun, _, verb = entry.action.partition(".")
    if noun == "endpoint":
        own = entry.subject == model  # the endpoint of that name
        was, now = before.get("weights") or {}, after.get("weights") or {}
        return {one for one in {**was, **now} if own and was.get(one) != now.get(one)}
    owner, _, version = entry.subject.partition(":")
    if owner != model or verb not in _CHANGES:
        return set()
    return {version, before.get("champion") or version}
