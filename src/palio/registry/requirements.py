"""What a stage requires of the versions that enter it, and what a version lacks.

A requirement is data, one mapping of plain values::

    {"metric": "auc", "at_least": 0.75}     a figure measured offline; at_most, or both
    {"approval": "four_eyes"}               who moves the version did not create it
    {"signature": "declared"}               what it takes and answers is known
    {"attestation": "verified"}             a key that this process trusts signed its files
    {"experiment": "passed"}                it won an experiment, which ships it; the first
                                            champion has nobody to win against
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from palio.errors import Conflict, InvalidInput
from palio.registry.domain import Version

__all__ = [
    "ATTESTED",
    "FOUR_EYES",
    "PASSED_EXPERIMENT",
    "Evidence",
    "Finding",
    "Readiness",
    "Requirement",
    "Requirements",
    "assess",
    "check_requirement",
    "enforce",
    "nearest",
    "wanted_by",
]

Requirement = Mapping[str, str | float]
Requirements = Mapping[str, tuple[Requirement, ...]]

FOUR_EYES: Requirement = {"approval": "four_eyes"}
ATTESTED: Requirement = {"attestation": "verified"}
PASSED_EXPERIMENT: Requirement = {"experiment": "passed"}
_FIXED: Mapping[str, tuple[Requirement, str]] = {
    "approval": (FOUR_EYES, "someone other than its creator"),
    "signature": ({"signature": "declared"}, "features and task"),
    "attestation": (ATTESTED, "a signature over its files by a trusted key"),
    "experiment": (PASSED_EXPERIMENT, "a won experiment that ships it"),
}
_BOUNDS = {"at_least": "at least", "at_most": "at most"}


def _unattested(_: Version) -> tuple[str, bool]:
    return "none", False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known at the moment of a move besides the version itself.

    ``actor`` is who moves it; ``experiment`` tells whether an experiment that it won does;
    ``rival`` tells whether there is a champion to win against; ``attested`` tells what is found of
    a version's signatures and whether one holds; ``demands`` is what this process requires of
    production whatever the lifecycle says.
    """

    actor: str
    experiment: bool = False
    rival: bool = True
    attested: Callable[[Version], tuple[str, bool]] = _unattested
    demands: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One requirement beside what was found.

    ``what`` names the thing looked at, as in ``metric auc``.
    """

    requirement: Requirement
    what: str
    wanted: str
    found: str
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What a version lacks to enter a stage.

    ``step`` says why the lifecycle has no such step, and is empty when it has one.
    """

    version: str
    stage: str
    ready: bool
    step: str
    findings: tuple[Finding, ...]


def assess(
    requires: Iterable[Requirement], version: Version, evidence: Evidence
) -> tuple[Finding, ...]:
    """Compare a version with requirements, in their order; none is left out.

    Parameters
    ----------
    requires
        Requirements that ``check_requirement`` has let pass.
    version
        Who should meet them.
    evidence
        Who moves it, and on what grounds.
    """
    return tuple(_compared(requirement, version, evidence) for requirement in requires)


def enforce(version: Version, stage: str, findings: Sequence[Finding]) -> None:
    """Raise ``Conflict`` that lists every requirement which is not met."""
    missing = [finding for finding in findings if not finding.met]
    if not missing:
        return
    listed = "; ".join(f"{one.what}: found {one.found}, wanted {one.wanted}" for one in missing)
    raise Conflict(
        f"{version.reference} does not meet what {stage} requires: {listed}; "
        f"`palio models requirements {version.reference} {shlex.quote(stage)}` shows all of it",
        version=version.reference,
        stage=stage,
        missing=[
            {
                "requirement": dict(one.requirement),
                "what": one.what,
                "wanted": one.wanted,
                "found": one.found,
            }
            for one in missing
        ],
    )


def wanted_by(requirement: Requirement) -> str:
    """Return a requirement in words: ``metric auc at least 0.75``."""
    if "metric" in requirement:
        return f"metric {requirement['metric']} {_bounds(requirement)}"
    [kind] = requirement
    return f"{kind}: {_FIXED[kind][1]}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return how to end a sentence about a wrong word: with the nearest known one, if any is."""
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else "."


def check_requirement(place: str, requirement: Requirement) -> None:
    """Raise ``InvalidInput`` unless a requirement is of a kind that is known, and whole.

    Parameters
    ----------
    place
        Where it stands, as in ``requires.staging.0``.
    requirement
        The requirement as declared.
    """
    known = {"metric", *_BOUNDS} if "metric" in requirement else {"metric", *_FIXED}
    for name in requirement:
        if name not in known:
            raise InvalidInput(
                f"{place}.{name}: the field is unknown{nearest(name, {*known, *_BOUNDS})} "
                f"A requirement has {' or '.join(['metric with at_least or at_most', *_FIXED])}",
                field=f"{place}.{name}",
                value=name,
            )
    if "metric" in requirement:
        _check_metric(place, requirement)
    else:
        _check_fixed(place, requirement)


def _check_fixed(place: str, requirement: Requirement) -> None:
    if len(requirement) != 1:
        raise InvalidInput(
            f"{place} has {len(requirement)} fields; write one requirement in each entry of "
            f"the list, with one of metric, {', '.join(_FIXED)}",
            field=place,
            value=dict(requirement),
        )
    [(kind, value)] = requirement.items()
    [only] = _FIXED[kind][0].values()
    if value != only:
        raise InvalidInput(
            f"{place}.{kind} is {value!r}; it can be {only!r} only",
            field=f"{place}.{kind}",
            value=value,
        )


def _check_metric(place: str, requirement: Requirement) -> None:
    name = requirement["metric"]
    if not isinstance(name, str) or not name:
        raise InvalidInput(
            f"{place}.metric is {name!r}; give the name of a metric of the versions",
            field=f"{place}.metric",
            value=name,
        )
    bounds = {bound: requirement[bound] for bound in _BOUNDS if bound in requirement}
    for bound, value in bounds.items():
        if isinstance(value, str | bool) or not math.isfinite(value):
            raise InvalidInput(
                f"{place}.{bound} is {value!r}; give a finite number",
                field=f"{place}.{bound}",
                value=str(value),
            )
    least, most = float(bounds.get("at_least", -math.inf)), float(bounds.get("at_most", math.inf))
    if not bounds or least > most:
        problem = f"at_least {least} is above at_most {most}" if bounds else "it has no bound"
        raise InvalidInput(
            f"{place}: of the metric {name}, {problem}; "
            "give at_least, at_most, or both with at_least the smaller",
            field=place,
            value=dict(requirement),
        )


def _bounds(requirement: Requirement) -> str:
    return " and ".join(
        f"{words} {requirement[bound]}" for bound, words in _BOUNDS.items() if bound in requirement
    )


def _compared(requirement: Requirement, version: Version, evidence: Evidence) -> Finding:
    if "metric" in requirement:
        return _metric(requirement, version)
    [kind] = requirement
    found, met = _FOUND[kind](version, evidence)
    return Finding(
        requirement=requirement, what=kind, wanted=_FIXED[kind][1], found=found, met=met
    )


def _approval(version: Version, evidence: Evidence) -> tuple[str, bool]:
    own = evidence.actor == version.created_by
    return f"{evidence.actor}, who created it" if own else evidence.actor, not own


def _signature(version: Version, _: Evidence) -> tuple[str, bool]:
    return ("none", False) if version.signature is None else ("both", True)


def _attestation(version: Version, evidence: Evidence) -> tuple[str, bool]:
    return evidence.attested(version)


def _experiment(_: Version, evidence: Evidence) -> tuple[str, bool]:
    if not evidence.rival:
        return "no champion to win against", True
    return ("one", True) if evidence.experiment else ("none", False)


_FOUND: Mapping[str, Callable[[Version, Evidence], tuple[str, bool]]] = {
    "approval": _approval,
    "signature": _signature,
    "attestation": _attestation,
    "experiment": _experiment,
}


def _metric(requirement: Requirement, version: Version) -> Finding:
    name = str(requirement["metric"])
    value = version.metrics.get(name)
    met = value is not None and (
        float(requirement.get("at_least", -math.inf))
        <= value
        <= float(requirement.get("at_most", math.inf))
    )
    return Finding(
        requirement=requirement,
        what=f"metric {name}",
        wanted=_bounds(requirement),
        found="none" if value is None else str(value),
        met=met,
    )
