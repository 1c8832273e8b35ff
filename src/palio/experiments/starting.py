"""What a design needs before it is kept, and before it starts."""

from __future__ import annotations

from palio.errors import InvalidInput
from palio.experiments.designs.design import ExperimentDraft
from palio.experiments.domain import Experiment
from palio.experiments.ports import ExperimentUnit
from palio.registry import aliases
from palio.registry.domain import CHAMPION, Reference
from palio.registry.finding import find_model, find_version, lifecycle_of

__all__ = ["check_shippable", "check_versions"]


def check_versions(unit: ExperimentUnit, model: str, design: ExperimentDraft) -> None:
    """Every variant is a version that exists, and all that serve take the same rows."""
    references = [variant.reference(model) for variant in design.variants]
    for name in sorted({model, *(Reference.parse(one).model for one in references)}):
        find_model(unit, name, lock=True)  # none of them is deleted meanwhile
    versions = [find_version(unit, reference) for reference in references]
    if not design.serves:
        return
    signatures = [version.signature for version in versions]
    for version, signature in zip(versions, signatures, strict=True):
        first = signatures[0]
        if first is not None and signature is not None and first.shape != signature.shape:
            raise InvalidInput(
                f"{version.reference} takes other rows than {versions[0].reference}; "
                "variants of an experiment need the same features and classes",
                field="variants",
                value=version.reference,
            )


def check_shippable(unit: ExperimentUnit, experiment: Experiment) -> None:
    """Refuse now what could not be shipped later: a challenger that has no way to production.

    A design that ships nothing may compare versions of any stage.
    """
    if not experiment.design.ships:
        return
    lifecycle = lifecycle_of(unit, find_model(unit, experiment.model, lock=True))
    champion = aliases.target(unit, experiment.model, CHAMPION)
    for variant in experiment.challengers:
        version = find_version(unit, variant.reference(experiment.model))
        if version.model == experiment.model and version.version != champion:
            lifecycle.check(version.reference, version.stage, lifecycle.production)
