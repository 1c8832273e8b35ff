"""The members of an ensemble: whether they go together, and what keeps them from being deleted.

The file ``ensemble.json`` is what is served and signed; the version's record says the same under
``training.ensemble``, so that members are known without reading files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from palio.errors import Conflict, InvalidInput, NotFound
from palio.registry.domain import Use, Version, VersionDraft
from palio.registry.ensembles.spec import ENSEMBLE, Ensemble
from palio.registry.finding import find_version
from palio.registry.ports import RegistryUnit
from palio.registry.signature import Feature, Signature, Task, label_key

__all__ = [
    "check_no_ensemble",
    "check_restored",
    "drafted",
    "ensembles_with",
    "go_together",
    "hold",
    "lock_models",
    "members_of",
    "signature_of",
    "signature_over",
]


def drafted(unit: RegistryUnit, draft: VersionDraft, ensemble: Ensemble) -> VersionDraft:
    """Return the draft of an ensemble: its signature is that of its members.

    Raises
    ------
    NotFound
        If a member does not exist.
    InvalidInput
        If a member is an ensemble or has no signature, if they take other rows or know other
        classes than the first, or if their answers cannot be combined this way; if the draft
        says what the members say.
    """
    for field, given in (("flavor", draft.flavor), ("signature", draft.signature)):
        if given not in ("", ENSEMBLE, None):
            raise InvalidInput(
                f"{field}: an ensemble has the one that follows from its members; leave it out",
                field=field,
            )
    signature = signature_over([find_version(unit, member) for member in ensemble.members])
    ensemble.check_task(signature.task)
    training = {**draft.training, ENSEMBLE: ensemble.document()}
    kind = draft.type or str(signature.task)
    return replace(draft, flavor=ENSEMBLE, signature=signature, training=training, type=kind)


def signature_over(members: Sequence[Version]) -> Signature:
    """Return what an ensemble takes and gives.

    A feature may be missing where every member lets it; classes stand in the order of the first
    member.
    """
    signatures = [signature_of(member) for member in members]
    first = signatures[0]
    for member, own in zip(members, signatures, strict=True):
        if not go_together(own, first):
            raise InvalidInput(
                f"members: {member.reference} takes other rows or knows other classes than "
                f"{members[0].reference}; members of an ensemble need the same features, in the "
                "same order, and the same classes",
                field="members",
                value=member.reference,
            )
    columns = zip(*(own.features for own in signatures), strict=True)
    features = tuple(_feature(column) for column in columns)
    return replace(first, features=features)


def signature_of(member: Version) -> Signature:
    """Return the signature of a version that may be a member, or raise ``InvalidInput``."""
    if member.flavor == ENSEMBLE:
        raise InvalidInput(
            f"members: {member.reference} is an ensemble, and there are none of ensembles; name "
            f"its members: {', '.join(members_of(member))}",
            field="members",
            value=member.reference,
        )
    if member.signature is None:
        raise InvalidInput(
            f"members: {member.reference} has no signature and answers nobody; name a version "
            "that has one",
            field="members",
            value=member.reference,
        )
    if member.signature.task is Task.CLASSIFICATION and not member.signature.classes:
        raise InvalidInput(
            f"members: the signature of {member.reference} names no classes, so its answers "
            "cannot be told apart; register it with them",
            field="members",
            value=member.reference,
        )
    return member.signature


def go_together(one: Signature, other: Signature) -> bool:
    """Tell whether two versions take the same rows and know the same classes, in any order."""
    return _shape(one) == _shape(other)


def check_no_ensemble(flavor: str) -> None:
    """Raise ``InvalidInput`` for files that claim to be an ensemble: nobody checked them."""
    if flavor == ENSEMBLE:
        raise InvalidInput(
            "flavor: an ensemble is not made of files but of versions; "
            "`palio models combine` registers one",
            field="flavor",
            value=flavor,
        )


def hold(unit: RegistryUnit, model: str, members: Sequence[str]) -> None:
    """Keep the members of an ensemble of a model from being deleted until the unit ends.

    Raises
    ------
    NotFound
        If one of them is not there.
    """
    lock_models(unit, model, members)
    for member in members:
        find_version(unit, member)


def lock_models(unit: RegistryUnit, model: str, members: Sequence[str]) -> None:
    """Keep a model and those of members still, if there are members; nothing is looked for."""
    if not members:
        return
    for name in sorted({model, *(member.partition(":")[0] for member in members)}):
        unit.models.get(name, lock=True)  # in one order, so that no two wait for each other


def members_of(version: Version) -> tuple[str, ...]:
    """Return the versions that an ensemble asks; none for other versions."""
    if version.flavor != ENSEMBLE:
        return ()
    return tuple(version.training.get(ENSEMBLE, {}).get("members", ()))


def ensembles_with(unit: RegistryUnit, model: str, version: str | None = None) -> Sequence[Use]:
    """Return the ensembles that ask a version, or, without one, any version of a model.

    What is deleted asks nobody; an ensemble of the model itself goes with the model.
    """
    wanted = model if version is None else f"{model}:{version}"
    return [
        Use(ENSEMBLE, one.reference)
        for one in unit.versions.find(flavor=ENSEMBLE, deleted_at=None)
        if wanted in _asked(one, whole=version is not None)
        if version is not None or one.model != model
        if _is_there(unit, one.model)
    ]


def check_restored(unit: RegistryUnit, version: Version) -> None:
    """Raise ``Conflict`` if a version that is restored would ask another that is gone."""
    for member in members_of(version):
        try:
            find_version(unit, member)
        except NotFound as gone:
            raise Conflict(
                f"{version.reference} cannot be restored, for it asks {member}: {gone.message}",
                version=version.reference,
                member=member,
            ) from gone


def _asked(ensemble: Version, *, whole: bool) -> set[str]:
    members = members_of(ensemble)
    return set(members) if whole else {member.partition(":")[0] for member in members}


def _is_there(unit: RegistryUnit, model: str) -> bool:
    found = unit.models.get(model)
    return found is not None and found.deleted_at is None


def _shape(signature: Signature) -> tuple[object, ...]:
    inputs, task, classes = signature.shape
    return inputs, task, frozenset(map(label_key, classes))  # type: ignore[call-overload]


def _feature(column: Sequence[Feature]) -> Feature:
    return replace(column[0], nullable=all(feature.nullable for feature in column))
