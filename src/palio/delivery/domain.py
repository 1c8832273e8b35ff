"""Endpoints, and which version answers a request."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import fsum

from palio.bucketing import Split
from palio.errors import InvalidInput, NotFound
from palio.experiments.designs.assignment import Assigner
from palio.experiments.designs.audience import Attributes
from palio.experiments.weights.sticky import Drawn, StickyAssignment
from palio.registry.domain import parted
from palio.registry.signature import Label

__all__ = ["Answer", "Choice", "Endpoint", "OnError", "PredictRequest", "Route", "Table"]

_NOTHING = 1e-9  # of the traffic, which floats leave over


class OnError(enum.StrEnum):
    """What a request gets whose version failed."""

    FAIL = "fail"  # the failure
    FALLBACK = "fallback"  # the champion's answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A stable address that serves one model.

    Parameters
    ----------
    name, model, created_at, created_by, description
        Where requests arrive, whose versions answer, and who opened it.
    override
        The version that an operator has sent everything to, whatever else is configured.
    weights
        Share of the traffic by version, where it is shared out by hand or by a deployment;
        requests in experiments are not part of it.
    held
        Versions that stay in memory, whether anything is routed to them or not.
    on_error
        What a request gets whose version failed.
    timeout_s
        Seconds after which a version that does not answer has failed; ``None``: never.
    """

    name: str
    model: str
    created_at: datetime
    created_by: str
    description: str = ""
    override: str | None = None
    weights: Mapping[str, float] | None = None
    held: tuple[str, ...] = ()
    on_error: OnError = OnError.FAIL
    timeout_s: float | None = None

    @property
    def traffic(self) -> Split | None:
        """How traffic is shared out, as a function of the unit; ``None`` where it is not.

        Its salt is the endpoint's name: whoever changes the weights moves only as many units as
        the change needs, and one who goes back moves the same units back.
        """
        if self.weights is None:
            return None
        return Split.of(salt=f"endpoint/{self.name}", weights=self.weights)


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that answers, and how it was chosen.

    ``assigner`` is the experiment's function, where one has chosen or was asked for.
    """

    model: str
    version: str
    experiment: str | None = None
    variant: str | None = None
    epoch: int = 0
    propensity: float = 1.0
    forced: bool = False
    policy_version: int = 0
    segments: tuple[str, ...] = ()
    assigner: Assigner | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, model: str, assigner: Assigner, variant: str) -> Choice:
        """Choose a variant of an experiment, as its weights are now."""
        return cls(
            *parted(assigner.versions[variant], model),
            assigner.experiment,
            variant,
            assigner.epoch,
            assigner.split.propensity(variant),
            policy_version=assigner.policy_version,
            assigner=assigner,
        )

    @property
    def by_request(self) -> bool:
        """Tell whether the request is the unit, whatever unit was sent with it."""
        return self.assigner is not None and self.assigner.by_request

    @property
    def others(self) -> Mapping[str, Choice]:
        """Versions by variant that score the request too, though they do not answer it."""
        if self.assigner is None or not self.assigner.paired or self.forced:
            return {}
        versions = self.assigner.versions
        return {
            key: Choice(*parted(versions[key], self.model))
            for key in versions
            if key != self.variant
        }

    def drawn(self, unit: str, at: datetime) -> Drawn | None:
        """Return what the split has given a unit that may keep another variant."""
        if self.assigner is None or not self.assigner.sticky or self.forced or not self.variant:
            return None
        return Drawn.by(self.assigner, unit, self.variant, at)

    def keeping(self, kept: StickyAssignment) -> Choice:
        """Return the variant that the unit keeps, with the chance it had when it was given it."""
        if self.assigner is None:
            return self
        model, version = parted(self.assigner.versions[kept.variant], self.model)
        return replace(
            self,
            model=model,
            version=version,
            variant=kept.variant,
            epoch=kept.epoch,
            propensity=kept.propensity,
            policy_version=kept.policy_version,
        )


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
    traffic
        How requests are shared out that are in no experiment; all to the champion if not given.
    held
        Versions that stay in memory.
    on_error, timeout_s
        What becomes of a request whose version fails, and when it has failed.
    """

    endpoint: str
    model: str
    champion: str | None = None
    override: str | None = None
    experiments: tuple[Assigner, ...] = ()
    traffic: Split | None = None
    held: tuple[str, ...] = ()
    on_error: OnError = OnError.FAIL
    timeout_s: float | None = None
    _choices: Mapping[tuple[str, str], Choice] = field(init=False, repr=False, compare=False)
    _shares: Mapping[str, Choice] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        choices = {
            (one.experiment, key): Choice.of(self.model, one, key)
            for one in self.experiments
            for key in one.versions
        }
        object.__setattr__(self, "_choices", choices)
        shares = self.traffic.variants if self.traffic is not None else ()
        shared = {key: Choice(self.model, key, propensity=share) for key, share in shares}
        object.__setattr__(self, "_shares", shared)

    def choose(
        self,
        unit: str,
        version: str | None = None,
        attributes: Attributes | None = None,
        *,
        request_id: str | None = None,
    ) -> Choice:
        """Choose in this order: version asked for, override, experiment, traffic, champion.

        Parameters
        ----------
        unit
            What was sent as the unit.
        version
            The one that is asked for.
        attributes
            What the request says about the unit.
        request_id
            The unit of experiments that randomise requests; ``unit`` if not given.

        Raises
        ------
        NotFound
            If none of these is there.
        """
        chosen = version or self.override
        if chosen is not None:
            return Choice(self.model, chosen)
        for one in self.experiments:
            own = request_id if one.by_request and request_id is not None else unit
            variant = one.assign(own, attributes)
            if variant is not None:
                choice = self._choices[one.experiment, variant]
                if one.segments:
                    return replace(choice, segments=one.segments_of(attributes))
                return choice
        if self.traffic is not None:
            return self._shares[self.traffic.assign(unit)]
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
            replace(choice, propensity=1.0, forced=True)
            for (experiment, key), choice in self._choices.items()
            if variant in (key, f"{experiment}/{key}")
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

    def fallback(self, choice: Choice, *, named: bool) -> Choice | None:
        """Return the champion, where it answers for a version that failed.

        It does not for versions and variants that are asked for by name: who asks for one wants
        to know what that one does.
        """
        if self.on_error is not OnError.FALLBACK or self.champion is None:
            return None
        if named or choice.forced or (choice.model, choice.version) == (self.model, self.champion):
            return None
        return Choice(self.model, self.champion)

    @property
    def shares(self) -> Mapping[str, float]:
        """Share of the requests that each version gets, in [0, 1], if none is asked for by name.

        What is not yet known counts as met: an experiment with an audience gets all whom it may.
        A version of another model stands there as ``model:version``.
        """
        if self.override is not None:
            return {self.override: 1.0}
        found: dict[str, float] = defaultdict(float)
        for one in self.experiments:
            for key, weight in one.split.variants:
                found[one.versions[key]] += one.coverage * weight
        rest = 1 - fsum(found.values())
        if rest > _NOTHING:
            champion = () if self.champion is None else ((self.champion, 1.0),)
            for version, weight in champion if self.traffic is None else self.traffic.variants:
                found[version] += rest * weight
        return dict(found)

    @property
    def versions(self) -> Sequence[tuple[str, str]]:
        """Model and name of every version that may be chosen without being named, or is held."""
        given = [version for one in self.experiments for version in one.versions.values()]
        chosen = [self.override, self.champion, *given, *self._shares, *self.held]
        return sorted({parted(version, self.model) for version in chosen if version is not None})


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
    ``request_id`` is the unit, and in experiments that randomise requests it is in any case;
    without that one is made. ``version`` asks for one by name, and keeps the request out of
    experiments. ``attributes`` say more about the unit, for the audience and the segments of
    experiments; they are not kept. ``variant`` asks for one of those that run here, to try it:
    it is logged as ``forced`` and is no evidence.
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
    """What an endpoint answers; it has been recorded when it is given.

    ``model`` and ``version`` say who answered. With ``fallback`` that is the champion, for the
    version that was chosen has failed; ``variant`` is still the one that the unit is given.
    """

    request_id: str
    endpoint: str
    model: str
    version: str
    variant: str | None
    experiment: str | None
    predictions: list[Label]
    probabilities: list[list[float]] | None
    classes: tuple[Label, ...]
    fallback: bool = False
