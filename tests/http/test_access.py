"""Nobody gets in unnoticed: every route asks who calls, and whether they may."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import servers
from tests.e2e.worlds import World, serve

import palio
from palio import platform
from palio.access.domain import Role
from palio.cli.app import run
from palio.http.access import OPEN

ROLES = list(Role)
DESIGN = {
    "key": "nothing",
    "endpoint": "nothing",
    "variants": [
        {"key": "a", "version": "v1", "weight": 0.5},
        {"key": "b", "version": "v2", "weight": 0.5},
    ],
    "metrics": {"goal": "brier"},
}
LIFECYCLE = {
    "name": "standard",
    "initial": "a",
    "production": "b",
    "retired": "c",
    "transitions": {"a": ["b"], "b": ["c"], "c": []},
}
DRAFT = '{"version": "v1", "flavor": "sklearn"}'
# What each operation is sent: well formed, and about things that do not exist or exist already,
# so that a caller who may is answered 404 or 409 and changes nothing.
SENT: dict[str, dict[str, Any]] = {
    "predict": {"json": {"rows": [[1, 2, 3]]}},
    "outcomes_record": {"json": {"request_id": "nothing", "value": []}},
    "versions_register": {"data": {"draft": DRAFT}, "files": [("files", ("a", b"a"))]},
    "versions_register_from": {"json": {"draft": {"version": "v1", "flavor": ""}, "source": "/a"}},
    "versions_combine": {
        "json": {
            "draft": {"version": "e1", "flavor": ""},
            "ensemble": {"members": ["nothing:v1", "nothing:v2"], "combine": "mean"},
        }
    },
    "models_create": {"json": {"name": "nothing", "lifecycle": "nothing"}},
    "versions_compare": {"json": {"references": ["nothing:v1", "nothing:v2"]}},
    "models_set_alias": {"json": {"version": "v1"}},
    "versions_attest": {"json": {"bundle": "nothing"}},
    "versions_move": {"json": {"stage": "testing"}},
    "lifecycles_declare": {"json": LIFECYCLE},
    "outcomes_history": {"params": {"outcome_id": "nothing"}},
    "models_at": {"params": {"at": "2026-01-01T00:00:00Z"}},
    "artifacts_verify": {"params": {"reference": "nothing:v1"}},
    "artifacts_gc": {"json": {"older_than_s": 0}},
    "deployments_deploy": {"json": {"name": "d", "model": "nothing", "version": "v1"}},
    "endpoints_create": {"json": {"name": "nothing", "model": "nothing"}},
    "endpoints_override": {"json": {"version": "v1"}},
    "endpoints_weigh": {"json": {"weights": {"v1": 1.0}}},
    "experiments_draft": {"json": DESIGN},
    "experiments_launch": {"json": DESIGN},
    "experiments_assign": {"json": {"unit": "u"}},
    "experiments_assign_many": {"json": {"units": ["u"]}},
    "experiments_stop": {"json": {"reason": "why"}},
    "experiments_rebuild": {"json": {"reason": "why"}},
    "units_erase": {"json": {"units": ["nothing"], "reason": " "}},
    "experiments_explore": {"json": {"metrics": ["stars:higher"]}},
    "experiments_reweight": {"json": {"weights": {"a": 1.0}, "reason": "why"}},
    "keys_create": {"json": {"name": " ", "role": "viewer"}},
}
BY_VIEWERS = {  # POST, for they fold the log or take a list
    "experiments_analyze",
    "experiments_explore",
    "experiments_verify",
    "versions_compare",
}


BY_ADMINS = {"versions_purge", "models_adopt", "artifacts_gc", "units_erase", "units_retain"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One path and method of the OpenAPI document."""

    id: str
    method: str
    path: str

    @property
    def is_native(self) -> bool:
        """Tell whether it is no dialect's: those look at what is sent before they call a verb."""
        return self.path.startswith("/v1/")

    @property
    def role(self) -> Role:
        """The least role that may: admins hand out keys, operators change, viewers read."""
        if self.id.startswith("keys_") or self.id in BY_ADMINS:
            return Role.ADMIN
        return Role.VIEWER if self.method == "GET" or self.id in BY_VIEWERS else Role.OPERATOR

    def send(self, http: httpx.Client, headers: dict[str, str]) -> httpx.Response:
        path = self.path.replace("{reference}", "nothing:v1")
        if self.id == "versions_register":  # the one that would make its model
            path = path.replace("{model}", "credit")
        for name in ("model", "alias", "name", "key", "id", "endpoint"):
            path = path.replace(f"{{{name}}}", "nothing")
        return http.request(self.method, path, headers=headers, **SENT.get(self.id, {}))


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server with keys, and the secret of each."""

    world: World
    secrets: dict[str, str]

    def key(self, name: str) -> dict[str, str]:
        return {"X-API-Key": self.secrets[name]}


@pytest.fixture(scope="module")
def guarded(world_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded") / "home"
    shutil.copytree(world_files, folder)
    with palio.connect(folder / "palio.db") as opened:
        made = {role: opened.keys.create(f"the {role}", role) for role in ROLES}
        made["expired"] = opened.keys.create("expired", Role.ADMIN, expires_in_days=1e-9)
        made["revoked"] = opened.keys.create("revoked", Role.ADMIN)
        opened.keys.revoke(made["revoked"].key.id)
    secrets = {name: new.secret for name, new in made.items()}
    with serve(str(folder / "palio.db")) as served:
        yield Guarded(served, secrets | {"unknown": "palio_0123", "empty": ""})


@pytest.fixture(scope="module")
def operations(guarded: Guarded) -> list[Operation]:
    document = guarded.world.http.get("/openapi.json").json()
    return [
        Operation(described["operationId"], method.upper(), path)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
        if path not in OPEN
    ]


def test_what_is_open_is_known() -> None:
    # healthz and readyz are asked by machinery without a key and say one word;
    # docs and openapi.json are the same for every Palio of a version
    assert {"/healthz", "/readyz", "/docs", "/openapi.json"} == OPEN


def test_open_paths_answer_anybody(guarded: Guarded) -> None:
    for path in OPEN:
        assert guarded.world.http.get(path).status_code == 200


def test_every_operation_is_tried(operations: list[Operation]) -> None:
    ids = {operation.id for operation in operations}
    assert SENT.keys() | BY_VIEWERS <= ids
    assert len(ids) == len(operations) >= 39


def test_no_operation_answers_without_a_living_key(
    guarded: Guarded, operations: list[Operation]
) -> None:
    for operation in operations:
        for name in (None, "unknown", "empty", "expired", "revoked"):
            given = {} if name is None else guarded.key(name)
            answer = operation.send(guarded.world.http, given)
            assert answer.status_code == 401, (operation, name, answer.text)
            assert answer.json()["code"] == "unauthenticated"
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("role", ROLES)
def test_every_operation_needs_its_role(
    guarded: Guarded, operations: list[Operation], role: Role
) -> None:
    with guarded.world.opened() as opened:
        before = opened.audit.verify().entries
    for operation in operations:
        answer = operation.send(guarded.world.http, guarded.key(role))
        if not operation.is_native:
            assert 200 <= answer.status_code < 500, (operation, answer.text)
        elif role.includes(operation.role):
            assert answer.status_code in (200, 404, 409, 422), (operation, answer.text)
        else:  # before anything is looked up: what exists is nobody's business
            assert answer.status_code == 403, (operation, answer.text)
            assert answer.json()["code"] == "forbidden"
            assert operation.role in answer.json()["detail"]
    with guarded.world.opened() as opened:
        assert opened.audit.verify().entries == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1/nothing"),
        ("DELETE", "/v1/models"),
        ("OPTIONS", "/v1/models"),
        ("HEAD", "/v1/models"),
        ("GET", "/healthz/"),
        ("GET", "//healthz"),
        ("GET", "/docs/x"),
    ],
)
def test_what_is_no_route_asks_for_a_key_too(guarded: Guarded, method: str, path: str) -> None:
    assert guarded.world.http.request(method, path).status_code == 401


def test_bodies_are_not_read_for_strangers(guarded: Guarded) -> None:
    for path in ("/v1/models", "/v1/predict/credit", "/v1/outcomes", "/v1/models/m/versions"):
        answer = guarded.world.http.post(path, content=b"{", headers={"X-API-Key": "x"})
        assert answer.status_code == 401


def test_an_upload_is_not_read_for_low_roles(guarded: Guarded) -> None:
    answer = guarded.world.http.post(
        "/v1/models/m/versions", data={"draft": "no"}, headers=guarded.key(Role.VIEWER)
    )
    assert answer.status_code == 403


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_key_may_come_in_either_header(guarded: Guarded, scheme: str) -> None:
    secret = guarded.secrets[Role.VIEWER]
    for headers in ({"X-API-Key": secret}, {"Authorization": f"{scheme} {secret}"}):
        assert guarded.world.http.get("/v1/models", headers=headers).status_code == 200
    basic = {"Authorization": f"Basic {secret}"}
    assert guarded.world.http.get("/v1/models", headers=basic).status_code == 401


def test_a_key_is_the_actor(guarded: Guarded) -> None:
    body = {"version": "v2", "reason": "why"}
    path = "/v1/models/credit/aliases/next"
    answer = guarded.world.http.put(path, json=body, headers=guarded.key(Role.OPERATOR))
    assert answer.json()["actor"] == "the operator"
    with guarded.world.opened() as opened:
        last = opened.audit.list(after=0, limit=1_000)[-1]
    assert (last.actor, last.action, last.reason) == ("the operator", "alias.set", "why")


def test_revoking_takes_effect_within_a_second(guarded: Guarded) -> None:
    with guarded.world.opened() as opened:
        new = opened.keys.create("short", Role.VIEWER)
        headers = {"X-API-Key": new.secret}
        assert guarded.world.http.get("/v1/models", headers=headers).status_code == 200
        opened.keys.revoke(new.key.id)
    time.sleep(1.05)
    assert guarded.world.http.get("/v1/models", headers=headers).status_code == 401


def test_the_first_key_closes_the_door_for_good(world: World) -> None:
    assert world.http.get("/v1/models").status_code == 200
    with world.opened() as opened:
        new = opened.keys.create("first", Role.ADMIN)
        time.sleep(1.05)
        assert world.http.get("/v1/models").status_code == 401
        opened.keys.revoke(new.key.id)  # as if it expired: nobody's server it must not become
    time.sleep(1.05)
    assert world.http.get("/v1/models").status_code == 401
    assert world.predict().status_code == 401


LOCAL = ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:80", "[::1]:8000", "127.8.8.8"]
FOREIGN = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1"]
ODD_HOSTS = ["[::1", "", "user@127.0.0.1.evil.example", "0.0.0.0"]


@pytest.mark.parametrize("host", LOCAL)
def test_without_keys_this_machine_is_answered(shared: World, host: str) -> None:
    assert shared.http.get("/v1/models", headers={"Host": host}).status_code == 200


def test_without_keys_a_rebound_name_is_refused(shared: World) -> None:
    for host in (*FOREIGN, *ODD_HOSTS):
        answer = shared.http.get("/v1/models", headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), host
        assert "palio keys create" in answer.json()["detail"]
        assert shared.predict().status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
def test_without_keys_a_page_of_another_site_is_refused(shared: World, origin: str) -> None:
    for path in ("/v1/models/credit/rollback", "/v1/predict/credit", "/v1/outcomes"):
        headers = {"Origin": origin, "Content-Type": "text/plain"}  # what needs no preflight
        answer = shared.http.post(path, content=b"{}", headers=headers)
        assert answer.status_code == 403, path
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_without_keys_the_server_s_own_pages_are_answered(shared: World) -> None:
    headers = {"Origin": shared.address}
    assert shared.http.get("/v1/models", headers=headers).status_code == 200


def test_without_keys_what_a_proxy_passes_on_is_refused(shared: World) -> None:
    answer = shared.http.get("/v1/models", headers={"X-Forwarded-For": "203.0.113.9"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "203.0.113.9" in answer.json()["detail"]


def test_with_a_key_any_host_and_page_will_do(guarded: Guarded) -> None:
    headers = {"Host": "palio.example", "Origin": "https://app.example"}
    answer = guarded.world.http.get("/v1/models", headers=headers | guarded.key(Role.VIEWER))
    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "203.0.113.1", "::"])
def test_without_keys_no_other_address_is_bound(
    home: str, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(platform, ["--store", home, "serve", "--host", host, "--port", "0"]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert f"not on {host}; make a key first: palio keys create NAME --role admin" in said.err


def test_with_a_key_another_address_is_tried(
    home: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with palio.connect(home) as opened:
        opened.keys.create("first", Role.ADMIN)
    foreign = "203.0.113.1"  # for documentation (RFC 5737): no machine has it
    assert run(platform, ["--store", home, "serve", "--host", foreign, "--port", "0"]) == 4
    assert f"{foreign}:0 cannot be bound" in capsys.readouterr().err


def test_a_server_that_is_told_nothing_answers_on_loopback(home: str, tmp_path: Path) -> None:
    artifacts = str(Path(home).with_name("palio-artifacts"))
    process = servers.start(home, artifacts=artifacts, folder=tmp_path)
    try:
        assert process.address.startswith("http://127.0.0.1:")
        with httpx.Client(base_url=process.address) as http:
            took_s = [http.get("/v1/models").elapsed.total_seconds() for _ in range(60)]
        assert min(took_s[30:]) < 0.03  # answers do not wait for a delayed acknowledgement, 40 ms
    finally:
        process.end(servers.signal.SIGTERM)
