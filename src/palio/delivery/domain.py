"""Endpoints, and which version answers a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from palio.bucketing import Split
from palio.errors import NotFound
from palio.registry.signature import Label

__all__ = ["Answer", "Choice", "Endpoint", "PredictRequest", "Route", "Table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A stable address that serves one model.

    ``override`` is the version that an operator has sent everything to, whatever else is
    configured.
    """

    name: str
    model: str
    created_at: datetime
    created_by: str
    description: str = ""
    override: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that answers, and how it was chosen."""

    model: str
    version: str
    experiment: str | None = None
    variant: str | None = None
    epoch: int = 0
    propensity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What one endpoint needs to choose a version, without asking anybody.

    Parameters
    ----------
    endpoint, model
        Where requests arrive, and whose versions answer.
    champion
        The version behind ``@champion``, if there is one.
    override
        The version that an operator has sent everything to, if any.
    experiment, epoch, split, variants
        The running experiment, if any: its key and epoch, its split, and the version of each
        variant.
    """

    endpoint: str
    model: str
    champion: str | None = None
    override: str | None = None
    experiment: str | None = None
    epoch: int = 0
    split: Split | None = None
    variants: Mapping[str, str] = field(default_factory=dict)

    def choose(self, unit: str, version: str | None = None) -> Choice:
        """Choose in this order: the version asked for, the override, the experiment, champion.

        Raises
        ------
        NotFound
            If none of these is there.
        """
        chosen = version or self.override
        if chosen is not None:
            return Choice(self.model, chosen)
        if self.split is not None:
            variant = self.split.assign(unit)
            return Choice(
                self.model,
                self.variants[variant],
                self.experiment,
                variant,
                self.epoch,
                self.split.propensity(variant),
            )
        if self.champion is None:
            raise NotFound(
                f"{self.endpoint} has nothing to serve: {self.model} has no champion; "
                f"`palio models promote {self.model}:VERSION` makes one",
                kind="champion",
                name=self.model,
            )
        return Choice(self.model, self.champion)

    @property
    def versions(self) -> Sequence[str]:
        """Every version that may be chosen without being named."""
        chosen = [self.override, self.champion, *self.variants.values()]
        return sorted({version for version in chosen if version is not None})


@dataclass(frozen=True, slots=True)
class Table:
    """All routes at one ``revision`` of the state; swapped as a whole."""

    revision: int
    routes: Mapping[str, Route]

    def route(self, endpoint: str) -> Route:
        """Return the route of an endpoint, or raise ``NotFound``."""
        route = self.routes.get(endpoint)
        if route is None:
            raise NotFound(
                f"no endpoint is named {endpoint!r}; "
                f"`palio endpoints create {endpoint} --model …` makes it",
                kind="endpoint",
                name=endpoint,
            )
        return route


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest:
    """One request to an endpoint.

    ``rows`` are objects by feature name or arrays in feature order. Without a ``unit`` the
    ``request_id`` is the unit; without that one is made. ``version`` asks for one by name,
    and keeps the request out of experiments.
    """

    endpoint: str
    rows: list[object]
    unit: str | None = None
    request_id: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an endpoint answers; it has been recorded when it is given."""

    request_id: str
    endpoint: str
    model: str
    version: str
    variant: str | None
    experiment: str | None
    predictions: list[Label]
    probabilities: list[list[float]] | None
    classes: tuple[Label, ...]
