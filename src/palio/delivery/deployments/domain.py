"""Deployments at one moment of their life, the states they pass through, and what shares get."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from palio.delivery.deployments.evidence import Settled
from palio.delivery.deployments.wanted import DeploymentDraft
from palio.errors import IllegalTransition

__all__ = ["ALLOWED", "OPEN", "PLACED", "Deployment", "Health", "State", "Verdict", "shared_out"]


class State(enum.StrEnum):
    """Where a deployment stands."""

    PENDING = "pending"  # the version is held, and gets traffic once it is ready
    CANARY = "canary"  # it gets the start share
    LIVE = "live"  # it gets its share
    ROLLED_BACK = "rolled_back"  # taken back because it failed, or by a person
    UNDEPLOYED = "undeployed"  # taken back because it is not wanted any more
    FAILED = "failed"  # it never became ready


PLACED = frozenset({State.CANARY, State.LIVE})
"""States in which it gets traffic."""
OPEN = PLACED | {State.PENDING}
ALLOWED: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset(
        {State.CANARY, State.LIVE, State.FAILED, State.ROLLED_BACK, State.UNDEPLOYED}
    ),
    State.CANARY: frozenset({State.LIVE, State.ROLLED_BACK, State.UNDEPLOYED}),
    State.LIVE: frozenset({State.ROLLED_BACK, State.UNDEPLOYED}),
    State.ROLLED_BACK: frozenset(),
    State.UNDEPLOYED: frozenset(),
    State.FAILED: frozenset(),
}


class Verdict(enum.StrEnum):
    """What the last look has shown."""

    FINE = "fine"
    UNHEALTHY = "unhealthy"  # it does not answer, or takes too much
    HARMED = "harmed"  # a guardrail is shown to be crossed
    INCONCLUSIVE = "inconclusive"  # the canary is over and has not shown enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the last check has found.

    Parameters
    ----------
    at
        When.
    healthy
        Whether fewer checks have failed, one after the other, than make it unhealthy.
    failures
        How many have.
    reason
        Why the last one has, or what is waited for.
    latency_ms
        How long the answer took.
    rss_bytes
        What the largest process that serves the version takes.
    waiting
        Processes that serve and do not have it in memory yet.
    loading
        Whether the version is still being loaded where it was asked.
    """

    at: datetime
    healthy: bool
    failures: int = 0
    reason: str = ""
    latency_ms: float | None = None
    rss_bytes: int | None = None
    waiting: tuple[str, ...] = ()
    loading: bool = False

    @property
    def words(self) -> str:
        """What has failed, as people are told."""
        one, many = "a check has failed", f"{self.failures} checks in a row have failed"
        return f"{one if self.failures == 1 else many}: {self.reason}"

    @property
    def ready(self) -> bool:
        """Tell whether requests can be given to it."""
        return not (self.failures or self.waiting or self.loading)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(DeploymentDraft):
    """A deployment at one moment of its life.

    Parameters
    ----------
    state, since, verdict
        Where it stands and since when, and what the last look has shown; ``reason`` says why.
    created_at, created_by
        When it was asked for, and by whom.
    revision
        How many deployments have had the name, this one included.
    weights_before
        The endpoint's weights without any deployment; ``None``: all to the champion.
    holds
        Whether it was this deployment that had the endpoint hold the version.
    health
        The last check.
    settled
        What its canary has answered up to some moment.
    not_honoured
        What was asked for and cannot be done here, each with the reason.
    """

    state: State
    since: datetime
    created_at: datetime
    created_by: str
    verdict: Verdict = Verdict.FINE
    revision: int = 1
    weights_before: Mapping[str, float] | None = None
    holds: bool = True
    health: Health | None = None
    settled: Settled | None = None
    not_honoured: tuple[str, ...] = field(default=())

    @property
    def reference(self) -> str:
        """The version, as it is named everywhere."""
        return f"{self.model}:{self.version}"

    @property
    def share(self) -> float:
        """Share of the traffic that it is given in this state."""
        if self.state not in PLACED:
            return 0.0
        begins = self.state is State.CANARY and self.canary is not None
        return self.canary.start_share if begins and self.canary else self.traffic_share

    @property
    def probe_at(self) -> datetime:
        """When the next check is due."""
        if self.health is None:
            return self.created_at
        return self.health.at + timedelta(seconds=self.health_check.interval_s)

    def check(self, target: State) -> None:
        """Raise ``IllegalTransition`` unless the deployment may go to ``target``."""
        allowed = [state for state in State if state in ALLOWED[self.state]]
        if target not in allowed:
            raise IllegalTransition(
                f"{self.name} is {self.state} and cannot become {target}; allowed: "
                f"{', '.join(allowed) or 'nothing, it has ended; deploy again'}",
                deployment=self.name,
                source=self.state,
                target=target,
                allowed=allowed,
            )


def shared_out(
    before: Mapping[str, float], placed: Iterable[tuple[str, float]]
) -> dict[str, float]:
    """Return shares of traffic by version.

    Parameters
    ----------
    before
        Shares without any deployment, summing to 1; nothing where nothing answers.
    placed
        Versions with the share each is to get, oldest first: the others keep their proportions of
        what is left. One that gets everything leaves them nothing, but a place to go back to.
    """
    shares = dict(before)
    for version, share in placed:
        others = {key: of for key, of in shares.items() if key != version}
        total = sum(others.values())
        left = (1 - share) / total if total else 0.0
        shares = {key: of * left for key, of in others.items()}
        shares[version] = share if total else 1.0
    return shares
