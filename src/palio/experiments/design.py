"""Designs: what is compared, on what, and by what rule it stops."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field

import msgspec

from palio.errors import InvalidInput
from palio.experiments.assignment import Namespace, Part
from palio.experiments.audience import Condition
from palio.experiments.metrics import LATER, Metric, metric_named
from palio.registry.domain import check_name

__all__ = ["ExperimentDraft", "Metrics", "Stopping", "Type", "Variant"]

_MOST_CONDITIONS = 32
_LATER = ("coverage", "holdout", "namespace", "audience")  # fields that old designs do not have
_LEAST_ALPHA = 0.001  # the smallest level that a comparison is made for


class Type(enum.StrEnum):
    """What kind of comparison it is."""

    AB = "ab"  # versions against each other
    AA = "aa"  # a version against itself: checks the instrument, never ships


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm: its key, the version that answers, the share of units in [0, 1]."""

    key: str
    version: str
    weight: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is measured: one goal, and what else is watched.

    Metrics are named as people write them: a built-in name (``brier``), an outcome with its
    direction (``revenue:higher``), or the name of one that is ``declared`` here in full.
    """

    goal: str
    secondary: tuple[str, ...] = ()
    guardrails: tuple[str, ...] = ()
    declared: tuple[Metric, ...] = ()

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.all]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidInput(
                f"metrics named twice: {', '.join(twice)}; give each one role",
                field="metrics",
                value=twice,
            )

    def named(self, text: str) -> Metric:
        """Return the metric that a text names."""
        for metric in self.declared:
            if metric.name == text:
                return metric
        return metric_named(text)

    @property
    def goal_metric(self) -> Metric:
        """The goal."""
        return self.named(self.goal)

    @property
    def secondary_metrics(self) -> tuple[Metric, ...]:
        """What is reported beside the goal."""
        return tuple(self.named(text) for text in self.secondary)

    @property
    def guardrail_metrics(self) -> tuple[Metric, ...]:
        """What must not be harmed."""
        return tuple(self.named(text) for text in self.guardrails)

    @property
    def all(self) -> tuple[Metric, ...]:
        """Goal, secondary and guardrails in this order."""
        return (self.goal_metric, *self.secondary_metrics, *self.guardrail_metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """When the evidence is enough, and when it is time to give up.

    Parameters
    ----------
    alpha
        Chance of a false decision on the goal over the experiment's whole life, in (0, 0.2].
    horizon
        Units in all variants together that are planned; ``None`` when nobody can say.
    min_sample
        Units with a value in each variant before anything is shipped.
    min_duration_s, max_duration_s
        Seconds since the start before which nothing is shipped, and after which it is
        inconclusive.
    """

    alpha: float = 0.05
    horizon: int | None = 20_000
    min_sample: int = 1_000
    min_duration_s: float = 0.0
    max_duration_s: float | None = None

    def __post_init__(self) -> None:
        _within("alpha", self.alpha, 0.01, 0.2)
        if self.horizon is not None:
            _within("horizon", self.horizon, 200, 10**12)
        _within("min_sample", self.min_sample, 1, 10**12)
        _within("min_duration_s", self.min_duration_s, 0, 10**9)
        if self.max_duration_s is not None:
            _within("max_duration_s", self.max_duration_s, max(1.0, self.min_duration_s), 10**9)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentDraft:
    """An experiment as a person designs it.

    The first variant is the control. ``unit`` says what is randomised (``user_id``), for the
    record; clients send its value.

    ``coverage``, ``holdout``, ``namespace`` and ``audience`` say which units take part, as in
    `Part`; all others get the champion and are no units of the experiment.
    """

    key: str
    endpoint: str
    variants: tuple[Variant, ...]
    metrics: Metrics
    type: Type = Type.AB
    stopping: Stopping = field(default_factory=Stopping)
    hypothesis: str = ""
    unit: str = "unit"
    coverage: float = 1.0
    holdout: float = 0.0
    namespace: Namespace | None = None
    audience: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        check_name("experiment", self.key)
        self._check_part()
        if len(self.variants) < 2:  # noqa: PLR2004
            raise InvalidInput(
                f"{self.key} needs at least two variants, got {len(self.variants)}",
                field="variants",
                value=len(self.variants),
            )
        for variant in self.variants:
            check_name("variant", variant.key)
        keys = [variant.key for variant in self.variants]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise InvalidInput(
                f"variants named twice: {', '.join(twice)}; give each one a key of its own",
                field="variants",
                value=twice,
            )
        self._check_alpha()
        versions = {variant.version for variant in self.variants}
        if (self.type is Type.AA) != (len(versions) == 1):
            raise InvalidInput(
                f"{self.key} is of type {self.type} and compares {len(versions)} version(s); "
                "aa compares a version with itself, ab different ones",
                field="type",
                value=self.type,
            )

    def _check_alpha(self) -> None:
        questions = (len(self.variants) - 1) * max(1, len(self.metrics.guardrails))
        share = self.stopping.alpha / questions
        if share < _LEAST_ALPHA:
            raise InvalidInput(
                f"alpha {self.stopping.alpha:g} shared over {questions} comparisons leaves "
                f"{share:.2g} for each, below {_LEAST_ALPHA:g}; compare fewer variants or "
                "guardrails, or raise alpha",
                field="alpha",
                value=self.stopping.alpha,
            )

    def _check_part(self) -> None:
        if not 0 < self.coverage <= 1:
            raise _refused("coverage", self.coverage, "must be in (0, 1]")
        if not 0 <= self.holdout < 1:
            raise _refused("holdout", self.holdout, "must be in [0, 1)")
        if self.namespace is not None:
            check_name("namespace", self.namespace.name)
        if len(self.audience) > _MOST_CONDITIONS:
            why = f"takes at most {_MOST_CONDITIONS} conditions"
            raise _refused("audience", len(self.audience), why)

    @property
    def part(self) -> Part:
        """Which units take part."""
        return Part(
            coverage=self.coverage,
            holdout=self.holdout,
            namespace=self.namespace,
            audience=self.audience,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the design: what is frozen when the experiment starts.

        Fields that came later count only where they are used, so that digests stay as they were.
        """
        fields = msgspec.to_builtins(self)
        unused = {name for name in _LATER if not fields[name] or fields[name] == 1.0}
        kept = {name: value for name, value in fields.items() if name not in unused}
        for metric in fields["metrics"]["declared"]:
            for name in [name for name in LATER if not metric[name]]:
                del metric[name]
        return hashlib.sha256(msgspec.json.encode(kept, order="sorted")).hexdigest()


def _refused(name: str, value: float, why: str) -> InvalidInput:
    return InvalidInput(f"{name} {why}, got {value}", field=name, value=value)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidInput(
            f"{name} must be in [{low}, {high}], got {value}", field=name, value=value
        )
