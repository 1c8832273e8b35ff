"""What a person asks of a deployment, and which of it this runtime cannot do."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from palio.delivery.deployments.ports import NO_GPUS, Gpus
from palio.errors import InvalidInput
from palio.registry.describing.metadata import check_text
from palio.registry.domain import check_name

__all__ = [
    "PRODUCTION",
    "Canary",
    "DeploymentDraft",
    "GuardAction",
    "Guarded",
    "Guardrail",
    "HealthCheck",
    "Resources",
    "Scaling",
    "not_honoured",
]

PRODUCTION = "production"
"""The environment whose endpoint bears the model's name."""
_LONGEST_S = 1e7
_PATIENCE_S = 5.0
_MOST_GUARDRAILS = 16
_WORDS = re.compile(
    r"\s*(\w+)\s*<=\s*(?:(baseline)(?:\s*\*\s*([\d.eE+-]+))?|([\d.eE+-]+))\s*(?::\s*(\w+)\s*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a version may take of its machine.

    Parameters
    ----------
    cpu
        Cores.
    memory_bytes
        Most that the files of the version, and later any process that serves it, may take.
    gpu
        Graphics processors; networks of PyTorch are asked on one, where there is one.
    """

    cpu: float | None = None
    memory_bytes: int | None = None
    gpu: int = 0

    def __post_init__(self) -> None:
        if self.cpu is not None:
            _within("resources.cpu", self.cpu, 0.01, 10_000)
        if self.memory_bytes is not None:
            _within("resources.memory_bytes", self.memory_bytes, 1, 2**60)
        _within("resources.gpu", self.gpu, 0, 1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How many processes shall serve a version, and how busy each may be.

    Parameters
    ----------
    min_replicas, max_replicas
        From and to, 0 <= min <= max.
    target_cpu
        Share of a core at which another one is wanted, in (0, 1].
    """

    min_replicas: int = 1
    max_replicas: int = 1
    target_cpu: float | None = None

    def __post_init__(self) -> None:
        _within("scaling.min_replicas", self.min_replicas, 0, 10_000)
        _within("scaling.max_replicas", self.max_replicas, max(1, self.min_replicas), 10_000)
        if self.target_cpu is not None:
            _share("scaling.target_cpu", self.target_cpu)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How it is seen that a version answers.

    Parameters
    ----------
    interval_s
        Seconds between two checks, in [1, 3600]; no fewer than between two looks of the
        controller.
    timeout_s
        Seconds after which an answer has failed, above 0 and at most the interval; 5 when not
        given, or the interval where that is less.
    failure_threshold
        Failures one after the other that make it unhealthy, in [1, 100].
    row
        What it is asked about, an object by feature name or an array in feature order, and must
        not fail on. If not given, a row is made up from its signature: that it answers nothing to
        such a row is noted, and no failure.
    """

    interval_s: float = 10.0
    timeout_s: float | None = None
    failure_threshold: int = 3
    row: dict[str, Any] | list[Any] | None = None

    def __post_init__(self) -> None:
        _within("health_check.interval_s", self.interval_s, 1, 3_600)
        _within("health_check.timeout_s", self.patience_s, 0.001, self.interval_s)
        _within("health_check.failure_threshold", self.failure_threshold, 1, 100)

    @property
    def patience_s(self) -> float:
        """Seconds that an answer has."""
        return min(_PATIENCE_S, self.interval_s) if self.timeout_s is None else self.timeout_s


class Guarded(enum.StrEnum):
    """What a guardrail watches; lower is better."""

    ERROR_RATE = "error_rate"  # share of requests that failed
    LATENCY = "latency_p95_ms"  # what 95 % of the requests did not exceed


class GuardAction(enum.StrEnum):
    """What happens when harm is shown."""

    ROLLBACK = "rollback"
    HOLD = "hold"  # it is told, and a canary is not let on
    WARN = "warn"  # it is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """A figure of the version that must not be shown to be beyond a limit.

    Parameters
    ----------
    metric
        What is watched.
    limit
        The most that is borne; ``None`` compares with what the endpoint's other versions do at
        the same time.
    margin
        By how much, relative to these, it may be larger; only without ``limit``.
    action
        What happens when harm is shown.
    alpha
        Probability of a false alarm within ``window_s``, where the truth stands at the limit; in
        [1e-9, 0.2].
    window_s
        How long ago harm may have begun; whole seconds in [10, 600].
    """

    metric: Guarded = Guarded.ERROR_RATE
    limit: float | None = None
    margin: float = 0.0
    action: GuardAction = GuardAction.ROLLBACK
    alpha: float = 0.001
    window_s: int = 300

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", _one_of(Guarded, "guardrails.metric", self.metric))
        object.__setattr__(self, "action", _one_of(GuardAction, "guardrails.action", self.action))
        if self.limit is not None:
            _within("guardrails.limit", self.limit, 0, self._most)
            if self.margin:
                raise InvalidInput(
                    f"guardrails.margin is {self.margin:g} beside a limit of {self.limit:g}; a "
                    "margin is relative to the other versions, so give one of the two",
                    field="guardrails.margin",
                    value=self.margin,
                )
        _within("guardrails.margin", self.margin, 0, 1_000)
        _within("guardrails.alpha", self.alpha, 1e-9, 0.2)
        _within("guardrails.window_s", self.window_s, 10, 600)

    @property
    def _most(self) -> float:
        return 1.0 if self.metric is Guarded.ERROR_RATE else 1e9

    @property
    def words(self) -> str:
        """The limit as people write it."""
        if self.limit is not None:
            return f"{self.metric} <= {self.limit:g}"
        return f"{self.metric} <= baseline" + (f" * {1 + self.margin:g}" if self.margin else "")

    @classmethod
    def parse(cls, text: str) -> Guardrail:
        """Read a guardrail as people write it.

        Parameters
        ----------
        text
            As in ``error_rate <= 0.02``, ``latency_p95_ms <= 200``, ``error_rate <= baseline`` or
            ``latency_p95_ms <= baseline * 1.2 : warn``.

        Raises
        ------
        InvalidInput
            If it is none of these.
        """
        found = _WORDS.fullmatch(text)
        if found is None:
            raise _unreadable(text)
        metric, baseline, times, limit, action = found.groups()
        try:
            return cls(
                metric=Guarded(metric),
                action=GuardAction(action or GuardAction.ROLLBACK),
                margin=round(float(times or 1) - 1, 9) if baseline else 0.0,
                limit=None if baseline else float(limit),
            )
        except ValueError:
            raise _unreadable(text) from None


def _unreadable(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text!r} is no guardrail; write as in 'error_rate <= 0.02', 'latency_p95_ms <= 200' or "
        "'error_rate <= baseline * 1.2 : warn'",
        field="guardrails",
        value=text,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A beginning with little traffic, and what must be seen of it.

    Parameters
    ----------
    start_share
        Share of the traffic meanwhile, above 0 and at most the deployment's own.
    success_threshold
        Share of requests that must succeed, in (0, 1]: it is let on where at least so many do,
        and rolled back once fewer are shown to.
    duration_s
        How long it lasts at least, above 0.
    min_sample
        Requests without which it is not let on, however long it has lasted; 1 or more.
    """

    start_share: float = 0.05
    success_threshold: float = 0.95
    duration_s: float = 3_600.0
    min_sample: int = 100

    def __post_init__(self) -> None:
        _share("canary.start_share", self.start_share)
        _share("canary.success_threshold", self.success_threshold)
        _within("canary.duration_s", self.duration_s, 0.001, _LONGEST_S)
        _within("canary.min_sample", self.min_sample, 1, 10**9)


def _usual() -> tuple[Guardrail, ...]:
    """Return what must not be shown where nobody says what."""
    return (Guardrail(limit=0.05),)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentDraft:
    """A deployment as a person asks for it.

    Parameters
    ----------
    name
        What it is called; free again once a deployment has ended.
    model, version
        What shall answer.
    endpoint
        Where; if not given, the environment says it: in ``production`` the endpoint has the
        model's name, elsewhere ``MODEL-ENVIRONMENT``, and is opened if it is not there.
    environment
        Where it belongs.
    resources, scaling
        What it may take. What this runtime cannot do is listed as ``not_honoured``.
    health_check
        How it is seen that it answers.
    traffic_share
        Share of the endpoint's traffic in the end, in (0, 1]; the rest stays where it was.
    rollback_on_error
        Whether it is taken back by itself, or it is only told.
    guardrails
        What must not be shown; by default that more than 5 % of the requests fail.
    canary
        How it begins; with its whole share if not given.
    reason
        Why, for the audit log.
    """

    name: str
    model: str
    version: str
    endpoint: str = ""
    environment: str = PRODUCTION
    resources: Resources = field(default_factory=Resources)
    scaling: Scaling = field(default_factory=Scaling)
    health_check: HealthCheck = field(default_factory=HealthCheck)
    traffic_share: float = 1.0
    rollback_on_error: bool = True
    guardrails: tuple[Guardrail, ...] = field(default_factory=_usual)
    canary: Canary | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        check_name("deployment", self.name)
        check_name("environment", self.environment)
        check_text("reason", self.reason)
        _share("traffic_share", self.traffic_share)
        _within("guardrails", len(self.guardrails), 0, _MOST_GUARDRAILS)
        if self.canary is not None and self.canary.start_share > self.traffic_share:
            raise InvalidInput(
                f"canary.start_share is {self.canary.start_share:g}, more than the traffic_share "
                f"of {self.traffic_share:g} that it should grow to; begin with less",
                field="canary.start_share",
                value=self.canary.start_share,
            )


def not_honoured(resources: Resources, scaling: Scaling, gpus: Gpus = NO_GPUS) -> tuple[str, ...]:
    """Return what a runtime of one process per server cannot do, in words.

    Parameters
    ----------
    resources, scaling
        What is asked for.
    gpus
        On how many GPUs the version would be asked here.
    """
    found = []
    if resources.cpu is not None:
        found.append(f"resources.cpu = {resources.cpu:g}: versions share the cores of a process")
    if resources.gpu > gpus.used:
        found.append(f"resources.gpu = {resources.gpu}: {gpus.lack}")
    replicas = (scaling.min_replicas, scaling.max_replicas)
    for name, count in zip(("min_replicas", "max_replicas"), replicas, strict=True):
        if count != 1:
            found.append(
                f"scaling.{name} = {count}: every server answers with it; start more servers, or "
                "workers"
            )
    if scaling.target_cpu is not None:
        found.append(f"scaling.target_cpu = {scaling.target_cpu:g}: nothing scales by itself")
    return tuple(found)


def _share(name: str, value: float) -> None:
    if not (isfinite(value) and 0 < value <= 1):
        raise InvalidInput(
            f"{name} must be a share in (0, 1], got {value}; 0.1 is a tenth",
            field=name,
            value=value,
        )


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidInput(
            f"{name} must be in [{low:,g}, {high:,g}], got {value}; choose one of these",
            field=name,
            value=value,
        )


def _one_of(kind: type[enum.StrEnum], name: str, value: object) -> enum.StrEnum:
    try:
        return kind(str(value))
    except ValueError:
        raise InvalidInput(
            f"{name} must be one of {', '.join(kind)}, got {value!r}", field=name, value=value
        ) from None
