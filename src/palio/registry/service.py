"""Verbs on models, versions, stages and aliases; each is one unit of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from palio.access.audit import Change
from palio.access.domain import Identity, Role, requires
from palio.errors import AlreadyExists, Conflict
from palio.ports import Clock, Store
from palio.registry import aliases
from palio.registry.comparison import MetricComparison, Way, compare_versions
from palio.registry.domain import (
    CHAMPION,
    AliasMove,
    Manifest,
    Model,
    Version,
    VersionDraft,
    check_name,
    effective_history,
)
from palio.registry.finding import check_stage, find_lifecycle, find_model, find_version
from palio.registry.lifecycle import Lifecycle
from palio.registry.ports import ArtifactStore, RegistryUnit, StagedFiles
from palio.registry.promotion import promote
from palio.registry.requirements import Evidence, Readiness, assess

__all__ = ["Models"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Models and their versions."""

    store: Store[RegistryUnit]
    artifacts: ArtifactStore
    clock: Clock
    actor: Identity

    @requires(Role.OPERATOR)
    def create(self, name: str, description: str = "", lifecycle: str = "standard") -> Model:
        """Open a line of versions under ``name``, in a lifecycle that exists."""
        model = Model(
            check_name("model", name), lifecycle, self.clock(), self.actor.name, description
        )
        with self.store.write() as unit:
            find_lifecycle(unit, lifecycle)
            if unit.models.get(name) is not None:
                raise AlreadyExists(
                    f"the model {name!r} exists; register a version of it, or take another name",
                    kind="model",
                    name=name,
                )
            unit.models.add(model)
            after = {"lifecycle": lifecycle, "description": description}
            unit.audit.append(self._change("model.create", name, after=after))
        return model

    @requires(Role.VIEWER)
    def lifecycle(self, model: str) -> Lifecycle:
        """Return the lifecycle of a model."""
        with self.store.read() as unit:
            return find_lifecycle(unit, find_model(unit, model).lifecycle)

    @requires(Role.VIEWER)
    def compare(
        self, references: Sequence[str], ways: Mapping[str, Way] | None = None
    ) -> Sequence[MetricComparison]:
        """Hold the metrics of versions against those of the first.

        Parameters
        ----------
        references
            Two versions or more, of any models.
        ways
            Which values are better, ``higher`` or ``lower``, for metrics whose name does not
            tell.
        """
        with self.store.read() as unit:
            versions = [find_version(unit, reference) for reference in references]
        return [*compare_versions(versions, ways)]

    @requires(Role.VIEWER)
    def requirements(self, reference: str, stage: str | None = None) -> Readiness:
        """Tell what a version lacks to enter a stage in the caller's name; nothing moves.

        Parameters
        ----------
        reference
            The version.
        stage
            A stage of its lifecycle; production when not given.
        """
        with self.store.read() as unit:
            version = find_version(unit, reference)
            lifecycle = find_lifecycle(unit, find_model(unit, version.model).lifecycle)
            champion = aliases.target(unit, version.model, CHAMPION)
        stage = stage or lifecycle.production
        check_stage(lifecycle, stage)
        evidence = Evidence(actor=self.actor.name, rival=champion is not None)
        findings = assess(lifecycle.required_by(stage), version, evidence)
        step = lifecycle.refusal(version.reference, version.stage, stage)
        return Readiness(
            version=version.reference,
            stage=stage,
            ready=not step and all(finding.met for finding in findings),
            step=step,
            findings=findings,
        )

    @requires(Role.VIEWER)
    def list(self) -> Sequence[Model]:
        """Return all models, oldest first."""
        with self.store.read() as unit:
            return unit.models.find()

    @requires(Role.VIEWER)
    def get(self, model: str) -> Model:
        """Return one model."""
        with self.store.read() as unit:
            return find_model(unit, model)

    @requires(Role.OPERATOR)
    def register(self, model: str, draft: VersionDraft, files: Path) -> Version:
        """Keep the files below a folder as a version, for good.

        Parameters
        ----------
        model
            A model; it is created in the standard lifecycle when it does not exist.
        draft
            What is known of the version.
        files
            A folder; its files become the version's, under their relative paths.
        """
        with self.artifacts.stage(check_name("model", model), draft.version, files) as staged:
            try:
                return self._keep(model, draft, staged)
            except AlreadyExists as taken:
                if taken.details["kind"] != "models":
                    raise
                return self._keep(model, draft, staged)  # another first version made the model

    def _keep(self, name: str, draft: VersionDraft, staged: StagedFiles) -> Version:
        with self.store.write() as unit:
            changes = []
            model = unit.models.get(name, lock=True)
            if model is None:
                model = Model(name, "standard", self.clock(), self.actor.name)
                unit.models.add(model)
                after: dict[str, object] = {"lifecycle": model.lifecycle, "description": ""}
                changes.append(self._change("model.create", name, after=after))
            version = self._admit(unit, model, draft, staged.manifest)
            staged.publish()
            after = {"digest": version.manifest.digest, "stage": version.stage}
            changes.append(self._change("version.register", version.reference, after=after))
            for change in changes:
                unit.audit.append(change)
        return version

    def _admit(
        self, unit: RegistryUnit, model: Model, draft: VersionDraft, manifest: Manifest
    ) -> Version:
        if unit.versions.get(model.name, draft.version) is not None:
            raise AlreadyExists(
                f"{model.name}:{draft.version} exists, and versions never change; "
                "register under another version",
                kind="version",
                name=f"{model.name}:{draft.version}",
            )
        last = unit.versions.find(model=model.name, last=1)
        version = Version(
            model=model.name,
            version=draft.version,
            ordinal=last[0].ordinal + 1 if last else 1,
            stage=find_lifecycle(unit, model.lifecycle).initial,
            flavor=draft.flavor,
            signature=draft.signature,
            manifest=manifest,
            metrics=draft.metrics,
            training=draft.training,
            tags=draft.tags,
            description=draft.description,
            created_at=self.clock(),
            created_by=self.actor.name,
        )
        unit.versions.add(version)
        return version

    @requires(Role.VIEWER)
    def versions(self, model: str) -> Sequence[Version]:
        """Return the versions of a model, oldest first."""
        with self.store.read() as unit:
            find_model(unit, model)
            return unit.versions.find(model=model)

    @requires(Role.VIEWER)
    def version(self, reference: str) -> Version:
        """Return the version that a reference names."""
        with self.store.read() as unit:
            return find_version(unit, reference)

    @requires(Role.OPERATOR)
    def move(self, reference: str, stage: str, reason: str = "") -> Version:
        """Take a version to another stage; into and out of production only ``promote`` goes."""
        with self.store.write() as unit:
            version = find_version(unit, reference)
            model = find_model(unit, version.model, lock=True)
            version = find_version(unit, version.reference)
            lifecycle = find_lifecycle(unit, model.lifecycle)
            check_stage(lifecycle, stage)
            lifecycle.check(version.reference, version.stage, stage)
            if lifecycle.production in (version.stage, stage):
                raise Conflict(
                    f"{version.reference}: production and @{CHAMPION} move together; "
                    f"use promote on the version that should serve, or rollback",
                    version=version.reference,
                    stage=stage,
                )
            moved = aliases.enter(lifecycle, version, stage, Evidence(actor=self.actor.name))
            unit.versions.put_many([moved])
            unit.audit.append(
                self._change(
                    "version.move",
                    version.reference,
                    before={"stage": version.stage},
                    after={"stage": stage},
                    reason=reason,
                )
            )
        return moved

    @requires(Role.OPERATOR)
    def promote(
        self,
        reference: str,
        expected: str | None = None,
        former_to: str | None = None,
        reason: str = "",
    ) -> Version:
        """Make a version production and ``@champion``, both or neither.

        Parameters
        ----------
        reference
            The version.
        expected
            The version that should be champion now, an empty text for none; not compared when
            not given.
        former_to
            The stage the former champion goes to; the lifecycle's ``retired`` when not given.
        reason
            Why, for the audit log.
        """
        with self.store.write() as unit:
            promoted, change = promote(
                unit,
                find_version(unit, reference),
                self._change("version.promote", reference, reason=reason),
                Evidence(actor=self.actor.name),
                expected=expected,
                former_to=former_to,
            )
            unit.audit.append(change)
        return promoted

    @requires(Role.OPERATOR)
    def rollback(self, model: str, reason: str = "") -> Version:
        """Make the champion before this one production again; twice goes two steps back."""
        with self.store.write() as unit:
            line = find_model(unit, model, lock=True)
            history = effective_history(unit.alias_moves.find(model=model, alias=CHAMPION))
            if len(history) < 2:  # noqa: PLR2004
                raise Conflict(
                    f"{model} has no champion before this one; promote a version instead",
                    model=model,
                )
            promoted, change = aliases.crown(
                unit,
                find_lifecycle(unit, line.lifecycle),
                find_version(unit, f"{model}:{history[-2]}"),
                self._change("version.rollback", model, reason=reason),
            )
            unit.audit.append(change)
        return promoted

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
            role = find_lifecycle(unit, line.lifecycle).role_for(alias)
            self.actor.require(role, f"setting {model}@{alias}")
            found = find_version(unit, f"{model}:{version}")
            change = self._change("alias.set", f"{model}@{alias}", reason=reason)
            move = aliases.move(unit, found, alias, change, expected=expected)
            before, after = {"version": move.previous}, {"version": version}
            unit.audit.append(replace(change, before=before, after=after))
        return move

    @requires(Role.VIEWER)
    def aliases(self, model: str) -> Mapping[str, str]:
        """Return where each alias of a model points."""
        with self.store.read() as unit:
            find_model(unit, model)
            points = {move.alias: move.version for move in unit.alias_moves.find(model=model)}
        return {alias: version for alias, version in points.items() if version is not None}

    @requires(Role.VIEWER)
    def history(self, model: str, alias: str = CHAMPION) -> Sequence[AliasMove]:
        """Return every move of an alias, oldest first."""
        with self.store.read() as unit:
            find_model(unit, model)
            return unit.alias_moves.find(model=model, alias=alias)

    def _change(self, action: str, subject: str, **fields: Any) -> Change:
        return Change(
            at=self.clock(), actor=self.actor.name, action=action, subject=subject, **fields
        )
