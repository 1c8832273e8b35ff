"""What deployments make of their endpoint: who holds which share, what is held in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from palio.delivery.deployments.domain import OPEN, PLACED, Deployment, shared_out
from palio.delivery.domain import Endpoint
from palio.delivery.ports import DeliveryUnit
from palio.registry import aliases
from palio.registry.domain import CHAMPION

__all__ = ["others_of", "place", "standing", "weights_of"]


def standing(unit: DeliveryUnit, endpoint: str) -> list[Deployment]:
    """Return the deployments of an endpoint that have not ended, oldest first."""
    found = [one for one in unit.deployments.find(endpoint=endpoint) if one.state in OPEN]
    return sorted(found, key=lambda one: one.created_at)


def weights_of(
    unit: DeliveryUnit, endpoint: Endpoint, deployments: Sequence[Deployment]
) -> Mapping[str, float] | None:
    """Return the weights that deployments make, all that stand on an endpoint, oldest first."""
    before = deployments[0].weights_before if deployments else endpoint.weights
    placed = [(one.version, one.share) for one in deployments if one.state in PLACED]
    if not placed:
        return before
    return shared_out(_before(unit, endpoint.model, before), placed)


def others_of(
    unit: DeliveryUnit, endpoint: Endpoint, deployments: Sequence[Deployment], name: str
) -> list[str]:
    """Return the versions that would answer without one of the deployments."""
    rest = [one for one in deployments if one.name != name]
    before = deployments[0].weights_before if deployments else endpoint.weights
    without = weights_of(unit, endpoint, rest) if rest else before
    shares = _before(unit, endpoint.model, without)
    gone = {one.version for one in deployments if one.name == name}
    return sorted(version for version, share in shares.items() if share and version not in gone)


def place(unit: DeliveryUnit, endpoint: Endpoint, *, ended: Deployment | None = None) -> Endpoint:
    """Share an endpoint's traffic out by the deployments as they stand, and return it.

    Parameters
    ----------
    unit, endpoint
        Where; it is locked.
    ended
        One that has just ended: the endpoint goes back to what was before it where no other one
        stands, and need not hold its version any more.
    """
    found = standing(unit, endpoint.name)
    weights = weights_of(unit, endpoint, found)
    held = endpoint.held
    if ended is not None:
        weights = weights if found else ended.weights_before
        held = tuple(one for one in held if not (ended.holds and one == ended.version))
    placed = replace(endpoint, weights=weights, held=held)
    if placed != endpoint:
        unit.endpoints.put_many([placed])
    return placed


def _before(
    unit: DeliveryUnit, model: str, weights: Mapping[str, float] | None
) -> Mapping[str, float]:
    """Return weights as shares: all to the champion, if there is one, where there are none."""
    if weights is not None:
        return weights
    champion = aliases.target(unit, model, CHAMPION)
    return {} if champion is None else {champion: 1.0}
