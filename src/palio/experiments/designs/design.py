"""Designs: what is compared, on what, and by what rule it stops."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields

import msgspec

from palio.errors import InvalidInput
from palio.experiments.designs.assignment import Namespace, Part
from palio.experiments.designs.audience import Condition
from palio.experiments.designs.covariates import Covariate, Segment
from palio.experiments.designs.metric_forms import Kind
from palio.experiments.designs.metrics import LATER, Metric, Source, metric_named
from palio.experiments.designs.policy import Belief, Policy, one_of
from palio.experiments.designs.risk import Criteria, StopLoss
from palio.registry.describing.metadata import check_text, check_texts
from palio.registry.domain import check_name, parted

__all__ = ["REQUEST", "ExperimentDraft", "Metrics", "Stopping", "Type", "Variant"]

REQUEST = "request"
"""The ``unit`` of a design that randomises requests."""
_MOST_CONDITIONS = 32
_MOST_SEGMENTS, _MOST_COVARIATES = 4, 8
_LONGEST_S = 1e9
_LONGEST_TITLE = 200
_LATER = frozenset(  # fields that old designs do not have
    {
        *("coverage", "holdout", "namespace", "audience", "label_independent", "label_delay_s"),
        *("sticky", "segments", "covariates", "policy", "stop_loss", "criteria", "automatic"),
        *("title", "description", "tags", "ships", "serves"),
    }
)
_STOPPING_LATER = {"early_stop": True, "futility": None}
_LEAST_ALPHA = 0.001  # the smallest level that a comparison is made for


class Type(enum.StrEnum):
    """What kind of comparison it is."""

    AB = "ab"  # versions against each other
    AA = "aa"  # a version against itself: checks the instrument, never ships
    PAIRED = "paired"  # every version scores each request, one answers
    BANDIT = "bandit"  # a policy moves the weights


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm: its key, the version that answers, the share of units in [0, 1].

    ``version`` is one of the endpoint's model, or ``name:version`` of another model.
    """

    key: str
    version: str
    weight: float

    def reference(self, model: str) -> str:
        """Return ``name:version`` where the endpoint serves ``model``."""
        return ":".join(parted(self.version, model))


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
    early_stop
        Whether a winner is shipped as soon as it is known; otherwise at the horizon or the
        maximum duration, whichever comes first.
    futility
        Chance to win by the horizon, in (0, 0.5], below which it is inconclusive at once, even if
        the effect were as good as its interval admits; needs a horizon. It never ships anything,
        so the level holds.
    """

    alpha: float = 0.05
    horizon: int | None = 20_000
    min_sample: int = 1_000
    min_duration_s: float = 0.0
    max_duration_s: float | None = None
    early_stop: bool = True
    futility: float | None = None

    def __post_init__(self) -> None:
        _within("alpha", self.alpha, 0.01, 0.2)
        if self.horizon is not None:
            _within("horizon", self.horizon, 200, 10**12)
        _within("min_sample", self.min_sample, 1, 10**12)
        _within("min_duration_s", self.min_duration_s, 0, 10**9)
        if self.max_duration_s is not None:
            _within("max_duration_s", self.max_duration_s, max(1.0, self.min_duration_s), 10**9)
        if self.futility is not None:
            _within("futility", self.futility, 1e-6, 0.5)
            if self.horizon is None:
                raise InvalidInput(
                    "futility needs a horizon to be reached; declare one, or leave it out",
                    field="futility",
                    value=self.futility,
                )
        if not self.early_stop and self.horizon is None and self.max_duration_s is None:
            raise InvalidInput(
                "without early_stop an end must be declared; give horizon or max_duration_s",
                field="early_stop",
                value=False,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentDraft:
    """An experiment as a person designs it.

    The first variant is the control. ``unit`` says what is randomised (``user_id``); clients send
    its value. ``request`` randomises each request by its id, whatever unit is sent with it.

    Parameters
    ----------
    key, endpoint, variants, metrics, type, stopping, hypothesis
        What is compared, where, on what and until when.
    coverage, holdout, namespace, audience
        Which units take part, as in `Part`; all others get the champion and are no units of the
        experiment.
    label_independent
        That the label of a request does not depend on which version answered, which a paired
        experiment needs.
    label_delay_s
        Seconds that outcomes take to arrive: those of younger requests and units do not count
        yet, so that quick outcomes are not over-represented.
    sticky
        Whether units keep their variant when weights change; it is kept in the store.
    segments
        Segments that are reported, by attributes of the request.
    covariates
        What is known of units from before, taken out of means.
    policy
        How weights move.
    stop_loss, criteria
        What is not borne, and what a winner must fulfil.
    automatic
        Whether the evaluator ships, rolls back and ends the experiment by itself.
    ships
        Whether a winner becomes production when the evaluator ends the experiment; otherwise it
        is completed, production stays as it is, and variants may be in any stage.
    serves
        Whether its variants answer the endpoint's requests; otherwise units are only assigned,
        for those who serve elsewhere, and the versions may take different rows.
    title, description, tags
        What people call it, what it is about, and marks of theirs.
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
    label_independent: bool = False
    label_delay_s: float = 0.0
    sticky: bool = False
    segments: tuple[Segment, ...] = ()
    covariates: tuple[Covariate, ...] = ()
    policy: Policy = field(default_factory=Policy)
    stop_loss: StopLoss | None = None
    criteria: Criteria = field(default_factory=Criteria)
    automatic: bool = False
    ships: bool = True
    serves: bool = True
    title: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("experiment", self.key)
        object.__setattr__(self, "type", one_of(Type, "type", self.type))
        check_text("title", self.title, _LONGEST_TITLE)
        check_text("description", self.description)
        object.__setattr__(self, "tags", check_texts("tags", self.tags))
        self._check_part()
        self._check_variants()
        self._check_alpha()
        self._check_type()
        self._check_measures()

    def _check_variants(self) -> None:
        if len(self.variants) < 2:  # noqa: PLR2004
            raise InvalidInput(
                f"{self.key} needs at least two variants, got {len(self.variants)}",
                field="variants",
                value=len(self.variants),
            )
        for variant in self.variants:
            check_name("variant", variant.key)
        _check_once("variants", [variant.key for variant in self.variants])

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

    def _check_type(self) -> None:
        versions = {variant.version for variant in self.variants}
        if (self.type is Type.AA) != (len(versions) == 1):
            raise InvalidInput(
                f"{self.key} is of type {self.type} and compares {len(versions)} version(s); "
                "aa compares a version with itself, the others different ones",
                field="type",
                value=self.type,
            )
        if self.policy.moves != (self.type is Type.BANDIT):
            raise InvalidInput(
                f"{self.key} is of type {self.type} and its policy is {self.policy.kind}; a "
                "bandit needs one that moves weights, and the other types the fixed one",
                field="policy",
                value=self.policy.kind,
            )
        if self.type is Type.PAIRED:
            self._check_paired()
        if self.type is Type.BANDIT:
            self._check_bandit()

    def _check_paired(self) -> None:
        if not self.serves:
            raise _refused("serves", self.serves, "must be true where variants score each request")
        if not self.label_independent:
            raise InvalidInput(
                f"{self.key} is paired and does not declare label_independent; it must be true "
                "that a request has the same label whichever version answers it. Where the answer "
                "decides what becomes known (a rejected loan has no label), take type ab",
                field="label_independent",
                value=False,
            )
        for metric in self.metrics.all:
            if metric.kind is not Kind.MEAN or metric.source is Source.OUTCOME:
                raise InvalidInput(
                    f"{metric.name} cannot be measured in a paired experiment: it depends on the "
                    "version that answered; take scores of prediction and label (brier, "
                    "log_loss, accuracy …), latency_ms or error",
                    field="metrics",
                    value=metric.name,
                )

    def _check_bandit(self) -> None:
        self.policy.check(len(self.variants))
        if not self.weights_may_move:
            raise InvalidInput(
                f"{self.key} is a bandit: its weights move, and units would move with them; "
                "randomise requests (unit: request), or keep variants (sticky: true)",
                field="sticky",
                value=self.sticky,
            )
        goal = self.metrics.goal_metric
        if goal.kind not in {Kind.MEAN, Kind.WIN_RATE}:
            raise InvalidInput(
                f"the goal of a bandit is a mean a unit, and {goal.name} is a {goal.kind}; take "
                "the outcome itself, or its win_rate",
                field="metrics",
                value=goal.name,
            )
        for metric in self.metrics.guardrail_metrics:
            if metric.kind not in {Kind.MEAN, Kind.WIN_RATE}:
                raise InvalidInput(
                    f"the guardrail {metric.name} of a bandit is a {metric.kind}; only means can "
                    "be judged where a policy moves weights; take a mean, or make it secondary",
                    field="metrics",
                    value=metric.name,
                )
        if self.policy.belief is Belief.BETA and not goal.is_share:
            raise InvalidInput(
                f"belief beta counts successes, and {goal.name} is no share; take the normal "
                f"belief, limits of 0 and 1, or name how often it is above 0 as the goal: "
                f"win_rate({goal.name})",
                field="belief",
                value=self.policy.belief,
            )
        self._check_first_weights()

    def _check_first_weights(self) -> None:
        low, high = self.policy.min_weight, self.policy.max_weight
        for variant in self.variants:
            if not low <= variant.weight <= high:
                raise InvalidInput(
                    f"variant {variant.key} starts with the weight {variant.weight:g}, outside of "
                    f"the policy's bounds {low:g} to {high:g}; start within them",
                    field="variants",
                    value=variant.weight,
                )

    def _check_measures(self) -> None:
        if not 0 <= self.label_delay_s <= _LONGEST_S:
            raise _refused("label_delay_s", self.label_delay_s, f"must be in [0, {_LONGEST_S:g}]")
        _check_once("segments", [segment.attribute for segment in self.segments])
        _check_once("covariates", [covariate.name for covariate in self.covariates])
        if len(self.segments) > _MOST_SEGMENTS or len(self.covariates) > _MOST_COVARIATES:
            raise InvalidInput(
                f"at most {_MOST_SEGMENTS} segments and {_MOST_COVARIATES} covariates can be "
                f"asked for, got {len(self.segments)} and {len(self.covariates)}",
                field="segments",
            )
        if self.covariates and self.type in {Type.PAIRED, Type.BANDIT}:
            raise InvalidInput(
                f"covariates have no place in an experiment of type {self.type}; take them out, "
                "or take type ab",
                field="covariates",
            )
        self._check_stop_loss()
        self._check_criteria()

    def _check_criteria(self) -> None:
        measured = {metric.name for metric in self.metrics.all}
        if self.criteria.max_latency_ms is not None and "latency_ms" not in measured:
            raise InvalidInput(
                f"max_latency_ms is {self.criteria.max_latency_ms:g}, and this design does not "
                "measure latency_ms; name it as a secondary metric or a guardrail",
                field="max_latency_ms",
                value=self.criteria.max_latency_ms,
            )

    def _check_stop_loss(self) -> None:
        if self.stop_loss is None:
            return
        for metric in self.metrics.all:
            plain = metric.kind is Kind.MEAN and metric.source is Source.OUTCOME
            if metric.name == self.stop_loss.metric and plain:
                return
        raise InvalidInput(
            f"stop_loss is on {self.stop_loss.metric!r}, which is no outcome that this design "
            "measures; name one of its metrics whose source is outcome",
            field="stop_loss",
            value=self.stop_loss.metric,
        )

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
    def by_request(self) -> bool:
        """Tell whether each request is a unit of its own."""
        return self.unit == REQUEST

    @property
    def weights_may_move(self) -> bool:
        """Tell whether weights may change while it runs without moving units."""
        return self.sticky or self.by_request

    @property
    def digest(self) -> str:
        """SHA-256 of the design: what is frozen when the experiment starts.

        Fields that came later count only where they are used, so that digests stay as they were.
        """
        given = msgspec.to_builtins(self)
        unused = msgspec.to_builtins(_unused_later())
        kept = {name: value for name, value in given.items() if unused.get(name, ...) != value}
        for name, unused in _STOPPING_LATER.items():
            if given["stopping"][name] == unused:
                del kept["stopping"][name]
        for metric in given["metrics"]["declared"]:
            for name in [name for name in LATER if not metric[name]]:
                del metric[name]
        return hashlib.sha256(msgspec.json.encode(kept, order="sorted")).hexdigest()


def _unused_later() -> dict[str, object]:
    """Return what fields that came later are where they are not used."""
    later = [one for one in fields(ExperimentDraft) if one.name in _LATER]
    return {
        one.name: one.default if one.default_factory is MISSING else one.default_factory()
        for one in later
    }


def _check_once(field_name: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInput(
            f"{field_name} named twice: {', '.join(twice)}; give each one once",
            field=field_name,
            value=twice,
        )


def _refused(name: str, value: float, why: str) -> InvalidInput:
    return InvalidInput(f"{name} {why}, got {value}", field=name, value=value)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidInput(
            f"{name} must be in [{low}, {high}], got {value}", field=name, value=value
        )
