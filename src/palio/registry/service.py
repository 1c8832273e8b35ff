"""Verbs on models and their aliases; each is one unit of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from palio.access.audit import Change
from palio.access.domain import Identity, Role, requires
from palio.errors import AlreadyExists, Conflict
from palio.ports import Clock, Store
from palio.registry import aliases, deletion
from palio.registry.adoption import adopt
from palio.registry.describing.editing import edited
from palio.registry.describing.metadata import check_text
from palio.registry.domain import (
    CHAMPION,
    AliasMove,
    Model,
    Version,
    check_name,
)
from palio.registry.finding import (
    find_lifecycle,
    find_model,
    find_version,
    lifecycle_of,
)
from palio.registry.lifecycle import Lifecycle
from palio.registry.ports import RegistryUnit
from palio.registry.promotion import rollback_within
from palio.registry.signing.attestation import NOBODY, Vouching

__all__ = ["Models"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Named lines of versions, and the aliases that point at these."""

    store: Store[RegistryUnit]
    clock: Clock
    actor: Identity
    vouching: Vouching = NOBODY

    @requires(Role.OPERATOR)
    def create(self, name: str, description: str = "", lifecycle: str = "standard") -> Model:
        """Open a line of versions under ``name``, in a lifecycle that exists."""
        check_text("description", description)
        model = Model(
            check_name("model", name), lifecycle, self.clock(), self.actor.name, description
        )
        with self.store.write() as unit:
            revision = find_lifecycle(unit, lifecycle).revision
            model = replace(model, lifecycle_revision=revision)
            if (taken := unit.models.get(name)) is not None:
                raise AlreadyExists(
                    f"the model {name!r} exists; register a version of it, or take another name"
                    if taken.deleted_at is None
                    else f"the model {name!r} was deleted, and keeps its name; `palio models "
                    f"restore {name}` brings it back, or take another name",
                    kind="model",
                    name=name,
                )
            unit.models.add(model)
            after = {
                "lifecycle": lifecycle,
                "revision": revision,
                "description": description,
            }
            unit.audit.append(self._change("model.create", name, after=after))
        return model

    @requires(Role.VIEWER)
    def list(self, *, deleted: bool = False) -> Sequence[Model]:
        """Return all models, oldest first; deleted ones too, if asked."""
        with self.store.read() as unit:
            return unit.models.find(**({} if deleted else {"deleted_at": None}))

    @requires(Role.VIEWER)
    def get(self, model: str, *, deleted: bool = False) -> Model:
        """Return one model; one that was deleted, if asked."""
        with self.store.read() as unit:
            return find_model(unit, model, deleted=deleted)

    @requires(Role.OPERATOR)
    def edit(
        self,
        model: str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> Model:
        """Change the description or all tags of a model; what is not given stays."""
        with self.store.write() as unit:
            line = find_model(unit, model, lock=True)
            change = self._change("model.edit", model, reason=reason)
            made, entry = edited(line, {"description": description, "tags": tags}, change)
            if entry is not None:
                unit.models.put_many([made])
                unit.audit.append(entry)
        return made

    @requires(Role.VIEWER)
    def lifecycle(self, model: str) -> Lifecycle:
        """Return the lifecycle of a model."""
        with self.store.read() as unit:
            return lifecycle_of(unit, find_model(unit, model))

    @requires(Role.ADMIN)
    def adopt(
        self,
        model: str,
        lifecycle: str | None = None,
        revision: int | None = None,
        reason: str = "",
    ) -> Model:
        """Let a model follow another lifecycle or revision, which has its versions' stages.

        Parameters
        ----------
        model
            The model.
        lifecycle
            Which lifecycle; the model's own when not given.
        revision
            Which revision; the newest when not given.
        reason
            Why, for the audit log.
        """
        with self.store.write() as unit:
            change = self._change("model.adopt", model, reason=reason)
            adopted, change = adopt(unit, model, change, lifecycle=lifecycle, revision=revision)
            unit.audit.append(change)
        return adopted

    @requires(Role.VIEWER)
    def aliases(self, model: str) -> Mapping[str, str]:
        """Return where each alias of a model points."""
        with self.store.read() as unit:
            find_model(unit, model)
            return aliases.targets(unit, model)

    @requires(Role.OPERATOR)
    def set_alias(
        self,
        model: str,
        alias: str,
        version: str,
        *,
        expected: str | None = None,
        reason: str = "",
    ) -> AliasMove:
        """Point an alias at a version, if it points where ``expected`` says (empty: nowhere)."""
        if alias == CHAMPION:
            raise Conflict(
                f"@{CHAMPION} and production move together; use promote or rollback", alias=alias
            )
        check_name("alias", alias)
        with self.store.write() as unit:
            line = find_model(unit, model, lock=True)
            role = lifecycle_of(unit, line).role_for(alias)
            self.actor.require(role, f"setting {model}@{alias}")
            found = find_version(unit, f"{model}:{version}").version
            change = self._change("alias.set", f"{model}@{alias}", reason=reason)
            move = aliases.move(unit, model, alias, found, change=change, expected=expected)
            before, after = {"version": move.previous}, {"version": version}
            unit.audit.append(replace(change, before=before, after=after))
        return move

    @requires(Role.OPERATOR)
    def clear_alias(
        self, model: str, alias: str, expected: str | None = None, reason: str = ""
    ) -> AliasMove:
        """Let an alias point nowhere, if it points where ``expected`` says."""
        if alias == CHAMPION:
            raise Conflict(
                f"@{CHAMPION} and production move together; promote another version, or delete "
                "the model, which takes its champion out of production",
                alias=alias,
            )
        with self.store.write() as unit:
            line = find_model(unit, model, lock=True)
            role = lifecycle_of(unit, line).role_for(alias)
            self.actor.require(role, f"clearing {model}@{alias}")
            change = self._change("alias.clear", f"{model}@{alias}", reason=reason)
            move = aliases.clear(unit, model, alias, change, expected=expected)
            before, after = {"version": move.previous}, {"version": None}
            unit.audit.append(replace(change, before=before, after=after))
        return move

    @requires(Role.OPERATOR)
    def rollback(self, model: str, reason: str = "") -> Version:
        """Make the champion before this one production again; twice goes two steps back."""
        with self.store.write() as unit:
            promoted, change = rollback_within(
                unit,
                model,
                self._change("version.rollback", model, reason=reason),
                vouching=self.vouching,
            )
            unit.audit.append(change)
        return promoted

    @requires(Role.VIEWER)
    def history(self, model: str, alias: str = CHAMPION) -> Sequence[AliasMove]:
        """Return every move of an alias, oldest first, even if the model was deleted."""
        with self.store.read() as unit:
            find_model(unit, model, deleted=True)
            return unit.alias_moves.find(model=model, alias=alias)

    @requires(Role.VIEWER)
    def at(self, model: str, at: datetime, alias: str = CHAMPION) -> AliasMove:
        """Return the move that was in force at a moment: where an alias pointed, and why.

        Parameters
        ----------
        model
            The model, even if it was deleted.
        at
            The moment, with its zone.
        alias
            Which alias; what was production when not given.
        """
        with self.store.read() as unit:
            find_model(unit, model, deleted=True)
            return aliases.in_force(unit, model, alias, at)

    @requires(Role.OPERATOR)
    def delete(self, model: str, reason: str = "") -> Model:
        """Delete a model, which ``restore`` takes back; its champion leaves production.

        Refused while an endpoint, an experiment or another alias names it.
        """
        with self.store.write() as unit:
            change = self._change("model.delete", model, reason=reason)
            deleted, change = deletion.delete_model(unit, model, change)
            unit.audit.append(change)
        return deleted

    @requires(Role.OPERATOR)
    def restore(self, model: str, reason: str = "") -> Model:
        """Bring a deleted model back, with its versions and without a champion."""
        with self.store.write() as unit:
            change = self._change("model.restore", model, reason=reason)
            restored, change = deletion.restore_model(unit, model, change)
            unit.audit.append(change)
        return restored

    def _change(self, action: str, subject: str, **fields: Any) -> Change:
        return Change(
            at=self.clock(), actor=self.actor.name, action=action, subject=subject, **fields
        )
