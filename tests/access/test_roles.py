"""Every verb has a role, refuses lower ones, and changes nothing when it refuses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from palio.access.alerts import Alerts
from palio.access.domain import Identity, Role, required_role
from palio.access.service import Audit, Keys
from palio.delivery.deployments.service import Deployments
from palio.delivery.service import Endpoints
from palio.errors import Forbidden
from palio.experiments.outcomes import Outcomes
from palio.experiments.privacy.units import Units
from palio.experiments.service import Experiments
from palio.registry.artifacts import Artifacts
from palio.registry.lifecycles import Lifecycles
from palio.registry.service import Models
from palio.registry.versions import Versions
from palio.testing.wired import Wired

NOUNS = {
    "alerts": Alerts,
    "artifacts": Artifacts,
    "audit": Audit,
    "deployments": Deployments,
    "endpoints": Endpoints,
    "experiments": Experiments,
    "keys": Keys,
    "lifecycles": Lifecycles,
    "models": Models,
    "versions": Versions,
    "outcomes": Outcomes,
    "units": Units,
}
OPEN = {"keys.authenticate", "keys.configured", "keys.ring"}  # asked before anybody is known
VERBS = {
    f"{noun}.{name}": verb
    for noun, service in NOUNS.items()
    for name, verb in inspect.getmembers(service, inspect.isfunction)
    if not name.startswith("_") and f"{noun}.{name}" not in OPEN
}
# design.md, section 5: viewers read, operators serve, experiment and move production,
# admins hand out keys
READS = {
    "endpoints.shares",
    *(
        "audit.list",
        "audit.verify",
        "endpoints.get",
        "endpoints.list",
        "endpoints.loaded",
        "experiments.analyze",
    ),
    *("endpoints.metrics", "alerts.list", "versions.quality", "versions.drift"),
    *("deployments.get", "deployments.health", "deployments.list", "deployments.metrics"),
    "deployments.status",
    *("experiments.get", "experiments.list", "experiments.looks", "experiments.record"),
    *("experiments.explore", "experiments.weights", "experiments.assignments"),
    *("experiments.verify", "models.aliases", "models.get", "models.history", "models.list"),
    *("models.lifecycle", "versions.get", "versions.list", "lifecycles.list"),
    *("versions.fetch", "versions.search"),
    *("versions.compare", "lifecycles.get", "versions.requirements"),
    *("versions.attestations", "artifacts.verify"),
    *("models.at", "lifecycles.revisions"),
    *("versions.card", "versions.plots"),
    "outcomes.history",
}


# what cannot be undone, and what would let a version past the requirements it is held to
BY_ADMINS = {"versions.purge", "models.adopt", "artifacts.gc", "units.erase", "units.retain"}


def expected(name: str) -> Role:
    if name.startswith("keys.") or name in BY_ADMINS:
        return Role.ADMIN
    return Role.VIEWER if name in READS else Role.OPERATOR


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_has_its_role(name: str) -> None:
    assert required_role(VERBS[name]) is expected(name)


def test_every_read_is_a_verb() -> None:
    assert set(VERBS) >= READS


def test_a_verb_without_a_role_is_a_defect() -> None:
    with pytest.raises(AttributeError):
        required_role(test_every_read_is_a_verb)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("name", VERBS)
def test_lower_roles_are_refused(wired: Wired, name: str, role: Role) -> None:
    noun, verb = name.split(".")
    called: Callable[..., Any] = getattr(getattr(wired.acting("bob", role), noun), verb)
    required = expected(name)
    if role.includes(required):
        with pytest.raises(TypeError, match="unexpected keyword"):  # it was let in
            called(nothing_takes_this=1)
        return
    with pytest.raises(Forbidden, match=f"bob is {role}, and {name} needs {required}") as caught:
        called(nothing_takes_this=1)
    assert caught.value.details == {"actor": "bob", "role": role, "required": required}
    with wired.store.read() as unit:
        assert unit.audit.head() == 0


@pytest.mark.parametrize(
    ("one", "other", "includes"),
    [
        (Role.ADMIN, Role.VIEWER, True),
        (Role.ADMIN, Role.ADMIN, True),
        (Role.OPERATOR, Role.VIEWER, True),
        (Role.OPERATOR, Role.ADMIN, False),
        (Role.VIEWER, Role.OPERATOR, False),
    ],
)
def test_roles_include_those_before(one: Role, other: Role, *, includes: bool) -> None:
    assert one.includes(other) is includes


def test_an_identity_is_required_by_name() -> None:
    with pytest.raises(Forbidden, match="use a key with the role admin"):
        Identity("bob", Role.OPERATOR).require(Role.ADMIN, "the act")
