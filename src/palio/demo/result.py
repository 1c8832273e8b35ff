"""What a demonstration ended with, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from palio.access.audit import AuditEntry
from palio.experiments.folding.verification import Verification
from palio.experiments.judging.analysis import Arm, Contrast, Decision, Look, SampleRatio

__all__ = ["Champion", "DemoResult", "Source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What it worked on, in rows; ``left_out`` are those unlike the ones learnt from."""

    name: str
    synthetic: bool
    note: str
    target: str
    learnt: int
    to_replay: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Champion:
    """The version in production, before and after."""

    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """The decision and all the counts behind it; JSON-ready.

    ``outcomes_sent`` counts labels once each, ``outcomes_joined`` those that the experiment has
    joined to their request; ``outcomes_repeated`` were sent once more, ``outcomes_early`` before
    their request. ``verified`` says that a recomputation from the events gave the same figures,
    ``audit_intact`` that the audit log's chain holds.
    """

    experiment: str
    decision: Decision
    champion: Champion
    data: Source
    requests_sent: int
    outcomes_sent: int
    outcomes_joined: int
    outcomes_repeated: int
    outcomes_early: int
    variants: Sequence[Arm]
    contrasts: Sequence[Contrast]
    sample_ratio: SampleRatio
    looks: Sequence[Look]
    verified: bool
    verification: Verification
    audit_intact: bool
    audit: Sequence[AuditEntry]
    report: str
    kept: str | None
    seconds: float
