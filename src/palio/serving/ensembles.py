"""Ensembles in memory: members loaded as any version is, asked together, answered as one.

A member fails for a row, never for a batch: where it fails on several rows it is asked again row
by row, so that an answer does not depend on what else came in the same tick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from palio.errors import (
    CorruptArtifact,
    InvalidInput,
    PalioError,
    PredictionFailed,
    StoreUnavailable,
)
from palio.registry.domain import Version
from palio.registry.ensembles.combining import Scores, answered, combined, scores_of
from palio.registry.ensembles.members import go_together, signature_of
from palio.registry.ensembles.spec import ENSEMBLE, SPEC_FILE, Ensemble, read_spec
from palio.registry.ports import ArtifactReader, Loader, Predictor
from palio.registry.signature import Cell, Predictions, Signature

__all__ = ["EnsembleLoader", "EnsemblePredictor", "Member", "Skip"]

Table = list[list[Cell]]
Log = Callable[[str], None]
Skip = Callable[[str, str, int], object]


@dataclass(slots=True)
class Member:
    """A version that an ensemble asks, or why it could not be loaded.

    ``failed`` tells whether it ever failed to answer, so that this is logged once.
    """

    reference: str
    signature: Signature
    predictor: Predictor | None
    failure: Exception | None = None
    failed: bool = field(default=False, compare=False)


class EnsemblePredictor:
    """Asks members, and makes one answer of theirs. May be called from several threads.

    Parameters
    ----------
    name
        How the log calls the ensemble.
    spec
        How it combines, and what happens when a member fails.
    members
        In the order of the spec.
    signature
        What the ensemble takes and gives.
    log
        Told when a member fails for the first time, and the others go on.
    skip
        Told each time: the ensemble, the member, and how many rows are answered without it.
    """

    def __init__(
        self,
        name: str,
        spec: Ensemble,
        members: Sequence[Member],
        signature: Signature,
        *,
        log: Log = lambda _: None,
        skip: Skip = lambda _, __, ___: None,
    ) -> None:
        self._name = name
        self._spec = spec
        self._members = members
        self._signature = signature
        self._log = log
        self._skip = skip
        self._shares = spec.shares
        self._width = max(1, len(signature.classes))

    def predict(self, table: Table) -> Predictions:
        """Answer a table.

        Raises
        ------
        PredictionFailed
            If a member fails and the spec says so, or if fewer members than needed answer a row.
        """
        errors: dict[str, Exception] = {}
        scores = np.stack([self._asked(member, table, errors) for member in self._members])
        there: npt.NDArray[np.bool_] = np.asarray(np.isfinite(scores).all(axis=2))
        if there.sum(axis=0).min() < self._spec.least:
            raise self._too_few(errors)
        if errors:
            self._count(there)
        return answered(self._combined(scores, there), self._spec.combine, self._signature)

    def _count(self, there: npt.NDArray[np.bool_]) -> None:
        for member, rows in zip(self._members, (~there).sum(axis=1).tolist(), strict=True):
            if rows:
                self._skip(self._name, member.reference, rows)

    def _combined(self, scores: Scores, there: npt.NDArray[np.bool_]) -> Scores:
        rule = self._spec.combine
        if there.all():
            return combined(scores, rule, self._shares)
        made = np.empty(scores.shape[1:])
        patterns, which = np.unique(there, axis=1, return_inverse=True)
        for number, own in enumerate(patterns.T):  # rows that the same members answered
            rows = which.ravel() == number
            shares = [one for one, used in zip(self._shares, own, strict=True) if used]
            made[rows] = combined(scores[np.ix_(own, rows)], rule, shares)
        return made

    def _asked(self, member: Member, table: Table, errors: dict[str, Exception]) -> Scores:
        """Return a member's scores, NaN in the rows for which it failed."""
        try:
            return self._scores(member, table)
        except Exception as failed:  # a model may raise anything
            if self._spec.skips and len(table) > 1 and member.predictor is not None:
                rows = [self._asked(member, [row], errors) for row in table]
                return np.concatenate(rows)
            errors[member.reference] = failed
            if not self._spec.skips:
                raise self._too_few(errors) from failed
            self._tell(member, failed)
            return np.full((len(table), self._width), np.nan)

    def _scores(self, member: Member, table: Table) -> Scores:
        if member.predictor is None:
            raise member.failure or ValueError("it is not loaded")
        given = member.predictor.predict(table)
        return scores_of(
            given,
            member.signature,
            of=self._signature,
            rule=self._spec.combine,
            n_rows=len(table),
        )

    def _tell(self, member: Member, failed: Exception) -> None:
        if not member.failed:
            member.failed = True
            self._log(
                f"{self._name} answers without {member.reference}, which failed: {_text(failed)}; "
                "later failures of it are not told"
            )

    def _too_few(self, errors: dict[str, Exception]) -> PredictionFailed:
        told = "; ".join(f"{name} failed: {_text(failed)}" for name, failed in errors.items())
        needed = f"{self._spec.least} of {len(self._members)} members must answer"
        return PredictionFailed(f"{needed}, and {told}", members=[*errors])


class EnsembleLoader:
    """A loader that knows ensembles, and leaves all other versions to the one inside.

    Parameters
    ----------
    inner
        Loads members, and versions that are no ensembles.
    files
        Where the bytes of versions lie.
    find
        Returns the version of a reference ``name:version``.
    attested
        As for the loader inside; ensembles are held to it as their members are.
    log
        Told of members that an ensemble goes on without.
    skip
        Told how many rows an ensemble answers without a member.
    """

    def __init__(
        self,
        inner: Loader,
        files: ArtifactReader,
        find: Callable[[str], Version],
        *,
        attested: Callable[[Version], None] = lambda _: None,
        log: Log = lambda _: None,
        skip: Skip = lambda _, __, ___: None,
    ) -> None:
        self._inner = inner
        self._files = files
        self._find = find
        self._attested = attested
        self._log = log
        self._skip = skip

    def load(self, version: Version) -> Predictor:
        """Make a registered version a predictor.

        Raises
        ------
        CorruptArtifact, UntrustedArtifact, InvalidInput
            As the loader inside; for an ensemble also if a member cannot be loaded for that
            reason and the ensemble cannot go on without.
        StoreUnavailable
            If the files cannot be reached: that says nothing of a member, so it is never skipped.
        """
        if version.flavor != ENSEMBLE:
            return self._inner.load(version)
        files = self._files.read(version.model, version.version, version.manifest)
        self._attested(version)
        if version.signature is None or SPEC_FILE not in files:
            raise InvalidInput(
                f"{version.reference} is no ensemble that `palio models combine` made; register "
                "it anew",
                field="flavor",
                value=version.flavor,
            )
        spec = read_spec(files[SPEC_FILE])
        members = self._members(version.reference, spec, version.signature)
        return EnsemblePredictor(
            version.reference,
            spec,
            members,
            version.signature,
            log=self._log,
            skip=self._skip,
        )

    def _members(self, name: str, spec: Ensemble, signature: Signature) -> list[Member]:
        members = [self._member(name, reference, signature) for reference in spec.members]
        failed = [member for member in members if member.failure is not None]
        if len(members) - len(failed) < spec.least:
            raise _not_loaded(name, spec, failed)
        for member in failed:
            member.failed = True
            self._log(
                f"{name} is loaded without {member.reference}: {_text(member.failure)}; it stays "
                "so until this process starts again or the ensemble is loaded anew"
            )
        return members

    def _member(self, name: str, reference: str, signature: Signature) -> Member:
        try:
            version = self._find(reference)
            own = _fitting(version, signature, name)
            return Member(reference, own, self._inner.load(version))
        except StoreUnavailable:
            raise
        except Exception as failure:  # noqa: BLE001 - one broken member must not stop the others
            return Member(reference, signature, None, failure)


def _fitting(member: Version, signature: Signature, name: str) -> Signature:
    """Return a member's signature; it was compared at registration, and is once more."""
    own = signature_of(member)
    if not go_together(own, signature):
        raise CorruptArtifact(
            f"{member.reference} is not what {name} was made of: it takes other rows or knows "
            "other classes; restore the database from a backup, or combine the members anew",
            version=member.reference,
        )
    return own


def _not_loaded(name: str, spec: Ensemble, failed: Sequence[Member]) -> PalioError:
    first = failed[0].failure
    told = "; ".join(f"{one.reference}: {_text(one.failure)}" for one in failed)
    message = (
        f"{name} needs {spec.least} of {len(spec.members)} members, and could not load {told}"
    )
    if isinstance(first, PalioError):
        return type(first)(message, **first.details)
    return PredictionFailed(message, members=[one.reference for one in failed])


def _text(failed: Exception | None) -> str:
    if isinstance(failed, PalioError):
        return failed.message
    lines = str(failed).splitlines()
    return f"{type(failed).__name__}: {lines[0] if lines else ''}"[:300]
