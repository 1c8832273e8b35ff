"""Endpoints, and which version answers a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from palio.errors import InvalidInput, NotFound
from palio.experiments.assignment import Assigner
from palio.experiments.audience import Attributes
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
    forced: bool = False


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
    experiments
        Those that run here; no unit is in two of them.
    """

    endpoint: str
    model: str
    champion: str | None = None
    override: str | None = None
    experiments: tuple[Assigner, ...] = ()

    def choose(
        self, unit: str, version: str | None = None, attributes: Attributes | None = None
    ) -> Choice:
        """Choose in this order: the version asked for, the override, an experiment, champion.

        Raises
        ------
        NotFound
            If none of these is there.
        """
        chosen = version or self.override
        if chosen is not None:
            return Choice(self.model, chosen)
        for one in self.experiments:
            variant = one.assign(unit, attributes)
            if variant is not None:
                return Choice(
                    self.model,
                    one.versions[variant],
                    one.experiment,
                    variant,
                    one.epoch,
                    one.split.propensity(variant),
                )
        if self.champion is None:
            raise NotFound(
                f"{self.endpoint} has nothing to serve: {self.model} has no champion; "
                f"`palio models promote {self.model}:VERSION` makes one",
                kind="champion",
                name=self.model,
            )
        return Choice(self.model, self.champion)

    def force(self, variant: str) -> Choice:
        """Choose a variant that is asked for, to try it.

        Parameters
        ----------
        variant
            Its key, or ``experiment/variant`` where two experiments have a variant of that key.

        Raises
        ------
        InvalidInput
            If no experiment that runs here has it, or more than one.
        """
        found = [
            Choice(self.model, version, one.experiment, key, one.epoch, forced=True)
            for one in self.experiments
            for key, version in one.versions.items()
            if variant in (key, f"{one.experiment}/{key}")
        ]
        if len(found) == 1:
            return found[0]
        known = ", ".join(
            f"{one.experiment}/{key}" for one in self.experiments for key in one.versions
        )
        how = "the only one" if found else "one"
        raise InvalidInput(
            f"variant {variant!r} is not {how} of what runs on {self.endpoint}: "
            f"{known or 'no experiment'}",
            field="variant",
            value=variant,
        )

    @property
    def versions(self) -> Sequence[str]:
        """Every version that may be chosen without being named."""
        given = [version for one in self.experiments for version in one.versions.values()]
        chosen = [self.override, self.champion, *given]
        return sorted({version for version in chosen if version is not None})


@dataclass(frozen=True, slots=True)
class Table:
    """All routes at one ``revision`` of the state, as units count it; swapped as a whole."""

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
    and keeps the request out of experiments. ``attributes`` say more about the unit, for the
    audience of experiments. ``variant`` asks for one of those that run here, to try it: it is
    logged as ``forced`` and is no evidence.
    """

    endpoint: str
    rows: list[object]
    unit: str | None = None
    request_id: str | None = None
    version: str | None = None
    attributes: Attributes | None = None
    variant: str | None = None


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
