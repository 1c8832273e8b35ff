"""Verbs on versions; each is one unit of work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from palio.access.audit import Change
from palio.access.domain import Role, requires
from palio.errors import AlreadyExists, Conflict, InvalidInput
from palio.registry import aliases, deletion
from palio.registry.comparison import MetricComparison, Way, compare_versions
from palio.registry.describing.card import card_of, plots_of, surroundings_of
from palio.registry.describing.documents import documents_of
from palio.registry.describing.editing import edited
from palio.registry.domain import (
    CHAMPION,
    Attestation,
    Version,
    VersionDraft,
    check_name,
)
from palio.registry.ensembles.members import check_no_ensemble, drafted
from palio.registry.ensembles.spec import SPEC_FILE, Ensemble
from palio.registry.finding import (
    check_stage,
    find_model,
    find_version,
    lifecycle_of,
)
from palio.registry.ports import ArtifactStore, Sources, StagedFiles
from palio.registry.promotion import promote
from palio.registry.registration import Registration, register, with_parent
from palio.registry.reports import VersionReports
from palio.registry.requirements import Readiness, assess
from palio.registry.search.finding import find_page
from palio.registry.search.pages import VersionPage
from palio.registry.signing.attestation import NOBODY, Vouching, attest, kept_of

__all__ = ["Versions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions(VersionReports):
    """Versions, from their registration to the last of their files."""

    artifacts: ArtifactStore
    sources: Sources
    vouching: Vouching = NOBODY

    @requires(Role.OPERATOR)
    def register(
        self,
        model: str,
        draft: VersionDraft,
        files: Path | Mapping[str, Path],
        *,
        unpack: bool = False,
    ) -> Version:
        """Keep files as a version, for good.

        Parameters
        ----------
        model
            A model; it is created in the standard lifecycle when it does not exist.
        draft
            What is known of the version; an empty flavor is recognised from the files.
        files
            A folder, whose files keep their relative paths, or files by path.
        unpack
            Whether ``files`` is one archive whose members become the version's files.
        """
        if unpack:
            with self.sources.unpacked(files) as folder:
                return self.register(model, draft, folder)
        return self._filed(model, draft, files)

    @requires(Role.OPERATOR)
    def register_from(
        self,
        model: str,
        draft: VersionDraft,
        source: str,
        *,
        unpack: bool = False,
        preprocessor: str | None = None,
        ask: bool = False,
    ) -> Version:
        """Keep files that lie where this verb runs as a version, for good.

        Parameters
        ----------
        model, draft
            As for ``register``.
        source
            The path of a file or folder, below one of the folders of ``PALIO_SOURCE_ROOTS``.
        unpack
            Whether it is one archive whose members become the version's files.
        preprocessor
            The path of the file of a fitted transformer that runs before the model, likewise.
        ask
            Whether a draft without a signature gets the one that the model tells: it is loaded
            for that, where policy allows it. Files that no flavor recognises as a model are
            refused then, unless the draft says that they shall only be kept.
        """
        with ExitStack() as held:
            files: Path | Mapping[str, Path] = held.enter_context(self.sources.opened(source))
            if unpack:
                files = held.enter_context(self.sources.unpacked(files))
            if preprocessor is not None:
                files = held.enter_context(self.sources.preceded(files, preprocessor))
            return self._filed(model, draft, files, ask=ask)

    @requires(Role.OPERATOR)
    def combine(self, model: str, draft: VersionDraft, ensemble: Ensemble) -> Version:
        """Keep an ensemble of other versions as a version, for good.

        It is routed, compared and promoted as any other; its members cannot be deleted while it
        is there.

        Parameters
        ----------
        model
            A model, also one that none of the members is of; it is created in the standard
            lifecycle when it does not exist.
        draft
            What is known of the version; flavor and signature follow from the members.
        ensemble
            Which versions it asks, and how their answers become one.
        """
        with self.store.read() as unit:
            asked = self._asked(model, drafted(unit, draft, ensemble))
        asked = replace(asked, members=ensemble.members)
        return self._register(asked, {}, {SPEC_FILE: ensemble.written()})

    def _filed(
        self,
        model: str,
        draft: VersionDraft,
        files: Path | Mapping[str, Path],
        *,
        ask: bool = False,
    ) -> Version:
        check_no_ensemble(draft.flavor)
        flavor = draft.flavor or self.sources.recognised(files)
        signature = draft.signature
        if ask and signature is None:
            signature = self.sources.asked(files, flavor)
            if signature is None and not draft.flavor:
                raise _no_model(flavor)
        draft = replace(draft, flavor=flavor, signature=signature)
        return self._register(self._asked(model, draft), files)

    def _asked(self, model: str, draft: VersionDraft) -> Registration:
        return Registration(
            model=check_name("model", model),
            draft=draft,
            created_at=self.clock(),
            created_by=self.actor.name,
        )

    def _register(
        self,
        asked: Registration,
        files: Path | Mapping[str, Path],
        written: Mapping[str, bytes] = MappingProxyType({}),
    ) -> Version:
        with self.store.read() as unit:
            asked = with_parent(unit, asked)
        documents = {**documents_of(asked), **written}
        with self.artifacts.stage(asked.model, asked.draft.version, files, documents) as staged:
            try:
                return self._keep(asked, staged)
            except AlreadyExists as taken:
                if taken.details["kind"] != "models":
                    raise
                return self._keep(asked, staged)  # another first version made the model

    def _keep(self, asked: Registration, staged: StagedFiles) -> Version:
        with self.store.write() as unit:
            return register(unit, asked, staged, at=self.clock())

    @requires(Role.VIEWER)
    def list(self, model: str, *, deleted: bool = False) -> Sequence[Version]:
        """Return the versions of a model, oldest first; deleted ones too, if asked."""
        with self.store.read() as unit:
            find_model(unit, model, deleted=deleted)
            return unit.versions.find(model=model, **({} if deleted else {"deleted_at": None}))

    @requires(Role.VIEWER)
    def search(
        self, where: str = "", order: str = "", limit: int = 50, after: str = ""
    ) -> VersionPage:
        """Return a page of the versions that a query asks for; not how many there are in all.

        Parameters
        ----------
        where
            As in ``metrics.auc > 0.8 and tags.team = 'risk'``; all versions, when empty. Deleted
            ones are found only when ``deleted`` is asked for.
        order
            As in ``metrics.auc desc, created_at``; newest first, when empty.
        limit
            Versions a page, 1 to 1,000.
        after
            What the page before gave as ``next``; empty for the first one.
        """
        with self.store.read() as unit:
            return find_page(unit, where, order=order, limit=limit, after=after)

    @requires(Role.VIEWER)
    def get(self, reference: str, *, deleted: bool = False) -> Version:
        """Return the version that a reference names; one that was deleted, if asked."""
        with self.store.read() as unit:
            return find_version(unit, reference, deleted=deleted)

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
    def fetch(self, reference: str, path: str) -> Iterator[bytes]:
        """Return the bytes of one file of a version, in chunks, compared as they go.

        Raises
        ------
        CorruptArtifact
            After the last chunk, if it is not the file that was registered.
        """
        with self.store.read() as unit:
            version = find_version(unit, reference)
        file = version.manifest.file(path)
        return self.artifacts.stream(version.model, version.version, file)

    @requires(Role.VIEWER)
    def card(self, reference: str) -> str:
        """Return the card of a version as Markdown, for people to read before they use it."""
        with self.store.read() as unit:
            version = find_version(unit, reference)
            return card_of(version, surroundings_of(unit, version))

    @requires(Role.VIEWER)
    def plots(self, reference: str) -> Mapping[str, bytes]:
        """Return the plots of a version, PNG images by path, each compared with its digest."""
        with self.store.read() as unit:
            version = find_version(unit, reference)
        wanted = plots_of(version.manifest)
        name, manifest = version.version, version.manifest
        found = self.artifacts.read(version.model, name, manifest, below="plots/")
        return {path: found[path] for path in wanted}

    @requires(Role.OPERATOR)
    def edit(
        self,
        reference: str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        external_ref: str | None = None,
        card: str | None = None,
        reason: str = "",
    ) -> Version:
        """Change what may be edited of a version: all else is frozen.

        Parameters
        ----------
        reference
            The version.
        description, external_ref, card
            New texts, empty to clear them; what is not given stays.
        tags
            All tags from now on.
        reason
            Why, for the audit log.
        """
        given = {
            "description": description,
            "tags": tags,
            "external_ref": external_ref,
            "card": card,
        }
        with self.store.write() as unit:
            version = find_version(unit, reference)
            find_model(unit, version.model, lock=True)
            version = find_version(unit, version.reference)
            change = self._change("version.edit", version.reference, reason=reason)
            made, entry = edited(version, given, change)
            if entry is not None:
                unit.versions.put_many([made])
                unit.audit.append(entry)
        return made

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
            lifecycle = lifecycle_of(unit, find_model(unit, version.model))
            stage = stage or lifecycle.production
            check_stage(lifecycle, stage)
            champion = aliases.target(unit, version.model, CHAMPION)
            evidence = self.vouching.evidence(unit, self.actor.name)
            evidence = replace(evidence, rival=champion is not None)
            findings = assess(aliases.demanded(lifecycle, stage, evidence), version, evidence)
        step = lifecycle.refusal(version.reference, version.stage, stage)
        return Readiness(
            version=version.reference,
            stage=stage,
            ready=not step and all(finding.met for finding in findings),
            step=step,
            findings=findings,
        )

    @requires(Role.OPERATOR)
    def move(self, reference: str, stage: str, reason: str = "") -> Version:
        """Take a version to another stage; into production only ``promote`` goes.

        Out of production the champion goes with nobody to follow, unless something names it.
        """
        with self.store.write() as unit:
            version = find_version(unit, reference)
            model = find_model(unit, version.model, lock=True)
            version = find_version(unit, version.reference)
            lifecycle = lifecycle_of(unit, model)
            check_stage(lifecycle, stage)
            lifecycle.check(version.reference, version.stage, stage)
            if lifecycle.production == stage:
                raise Conflict(
                    f"{version.reference}: production and @{CHAMPION} move together; "
                    f"use promote on the version that should serve, or rollback",
                    version=version.reference,
                    stage=stage,
                )
            evidence = self.vouching.evidence(unit, self.actor.name)
            moved = aliases.enter(lifecycle, version, stage, evidence)
            change = self._change("version.move", version.reference, reason=reason)
            change = replace(change, before={"stage": version.stage}, after={"stage": stage})
            if lifecycle.production == version.stage:
                change = aliases.vacate(unit, version, change)
            unit.versions.put_many([moved])
            unit.audit.append(change)
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
                self.vouching.evidence(unit, self.actor.name),
                expected=expected,
                former_to=former_to,
            )
            unit.audit.append(change)
        return promoted

    @requires(Role.OPERATOR)
    def delete(self, reference: str, reason: str = "") -> Version:
        """Delete a version, which ``restore`` takes back; refused while anything points at it."""
        with self.store.write() as unit:
            change = self._change("version.delete", reference, reason=reason)
            deleted, change = deletion.delete(unit, reference, change)
            unit.audit.append(change)
        return deleted

    @requires(Role.OPERATOR)
    def restore(self, reference: str, reason: str = "") -> Version:
        """Bring a deleted version back to the stage where it stood."""
        with self.store.write() as unit:
            change = self._change("version.restore", reference, reason=reason)
            restored, change = deletion.restore(unit, reference, change)
            unit.audit.append(change)
        return restored

    @requires(Role.ADMIN)
    def purge(self, reference: str, reason: str = "") -> Version:
        """Take the files of a deleted version away for good; its record stays.

        Again on a version that is purged, it finishes what an interruption left.
        """
        with self.store.write() as unit:
            asked = self._change("version.purge", reference, reason=reason)
            purged, change = deletion.purge(unit, reference, asked)
            if change is not None:
                unit.audit.append(change)
        self.artifacts.remove(purged.model, purged.version)
        return purged

    @requires(Role.OPERATOR)
    def attest(self, reference: str, bundle: str) -> Attestation:
        """Keep a cryptographic signature over the files of a version, made elsewhere.

        Parameters
        ----------
        reference
            The version.
        bundle
            What ``Palio.sign`` or the tool ``model_signing`` wrote, as text.

        Raises
        ------
        InvalidInput
            If it cannot be read, or is over other files than those that were registered.
        """
        with self.store.write() as unit:
            find_model(unit, find_version(unit, reference).model, lock=True)
            version = find_version(unit, reference)
            change = self._change("version.attest", reference)
            made, change = attest(unit, version, bundle, change=change, vouching=self.vouching)
            unit.audit.append(change)
        return made

    @requires(Role.VIEWER)
    def attestations(self, reference: str) -> Sequence[Attestation]:
        """Return the cryptographic signatures over the files of a version, oldest first."""
        with self.store.read() as unit:
            return kept_of(unit, find_version(unit, reference))

    def _change(self, action: str, subject: str, **fields: Any) -> Change:
        return Change(
            at=self.clock(), actor=self.actor.name, action=action, subject=subject, **fields
        )


def _no_model(flavor: str) -> InvalidInput:
    return InvalidInput(
        "source: no flavor recognises these files as a model, so there is nobody to ask; give the "
        f"files of a model, or name the flavor {flavor} to only keep them",
        field="source",
    )
