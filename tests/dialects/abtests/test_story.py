"""The document's workflow, step by step, and the same by Palio's own API."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import skops.io
from tests.dialects.documented import documents
from tests.dialects.exchanges import same_as_golden
from tests.e2e import servers

from palio.bucketing import Split
from palio.dialects.abtests import ABTestService
from palio.experiments.domain import State

from .conftest import Command, World, add_type

USERS = [f"user-{number}" for number in range(40)]
VOLATILE = ("id", "test_id", "start_date", "avg_latency", "reasons")
ROWS = servers.SAMPLE.tolist()


@documents(
    "abtests:create", "abtests:start", "abtests:get", "abtests:stats", "abtests:complete",
    "abtests:bearer", "abtests:version-for-user", "abtests:load-model", "abtests:tracked",
    "abtests:versions-at-once", "abtests:version-by-variant",
)  # fmt: skip
def test_the_workflow(tester: World) -> None:
    add_type(tester.store, "safety_classifier")
    asked = {
        "name": "Safety Classifier v2 Test",
        "model_type": "safety_classifier",
        "variant_a": "v1.0.0",
        "variant_b": "v2.0.0",
        "traffic_split": {"a": 0.5, "b": 0.5},
    }
    created = tester.call("POST", "", asked)
    same_as_golden("abtests/create", asked, created, volatile=("id", "test_id"))
    test_id = created.json()["test_id"]
    assert str(uuid.UUID(test_id)) == test_id
    started = tester.call("POST", f"/{test_id}/start")
    assert (started.status_code, started.json()["status"]) == (200, "active")
    given = serve(tester, "safety_classifier")
    answer = tester.call("GET", f"/{test_id}")
    same_as_golden("abtests/get", None, answer, volatile=(*VOLATILE, "requests", "assignments"))
    stats = answer.json()
    for name, variant in (("variant_a", "a"), ("variant_b", "b")):
        users = [user for user in USERS if given[user] == variant]
        assert users  # or the test shows nothing
        assert stats["assignments"][name] == len(users)
        assert stats["metrics"][name]["requests"] == 2 * len(users)
        assert stats["metrics"][name]["avg_latency"] > 0
    assert stats["assignments"]["total"] == len(USERS)
    with tester.native() as native:
        seen = native.experiments.get(test_id)
        assert (seen.state, seen.endpoint) == (State.RUNNING, "safety_classifier")
        split = Split.of(salt=seen.salt, weights={"a": 0.5, "b": 0.5})
        assert given == {user: split.assign(user) for user in USERS}
        arms = {arm.variant: arm.requests for arm in native.experiments.analyze(test_id).arms}
        assert arms == {name[-1]: one["requests"] for name, one in stats["metrics"].items()}
    done = tester.call("POST", f"/{test_id}/complete", {"winner": "b"}).json()
    assert (done["status"], done["winner"]) == ("completed", "b")
    with tester.native() as native:
        assert native.models.aliases("safety_classifier")["champion"] == "v2.0.0"


def serve(tester: World, model_type: str) -> dict[str, str]:
    """Let a service ask for each user twice, and return the variants given."""
    service = ABTestService(tester.address, key=tester.operator)
    given = {}
    for number, user in enumerate(USERS):
        info = service.get_model_version_for_user(user, model_type)
        assert info is not None
        assert info.version == {"a": "v1.0.0", "b": "v2.0.0"}[info.variant]
        given[user] = info.variant
        model = service.load_model(model_type, info.version)
        for row in ROWS[number : number + 2]:
            assert model.predict([row]).version == info.version
    service.close()
    return given


@documents("abtests:split", "abtests:consistent")
@pytest.mark.parametrize("share", [0.2, 0.1, 0.37])
def test_splits(tester: World, share: float) -> None:
    """80/20 and 90/10 are documented, 63/37 is not."""
    test_id = tester.running(f"ranker_{share:g}", traffic_split={"a": 1 - share, "b": share})
    with tester.native() as native:
        users = [f"u{number}" for number in range(2_000)]
        given = native.experiments.assign_many(f"ranker_{share:g}", users)
        found = sum(one.variant == "b" for one in given) / len(users)
        # within four standard errors of a binomial share
        assert abs(found - share) < 4 * (share * (1 - share) / len(users)) ** 0.5
        kept = {one.unit: one.variant for one in given}
        split = Split.of(
            salt=native.experiments.get(test_id).salt, weights={"a": 1 - share, "b": share}
        )
        assert kept == {user: split.assign(user) for user in users}


@documents("abtests:deploy-model")
def test_a_model_is_deployed_and_tested(tester: World, tmp_path: Path, command: Command) -> None:
    skops.io.dump(servers.model(0.5), tmp_path / "safety_classifier_v2.skops")
    rows = "\n".join(",".join(map(str, row)) for row in ROWS[:50])
    (tmp_path / "rows.csv").write_text(f"x0,x1,x2\n{rows}")
    given = ("--type", "toxicity", "--model-path", "safety_classifier_v2.skops")
    deploy = ("abtests", "deploy-model", *given, "--version", "v2.0.0", "--sample", "rows.csv")
    code, said = command(*deploy)
    assert (code, "toxicity:v2.0.0 is registered" in said) == (0, True)
    with tester.native() as native:
        assert native.versions.get("toxicity:v2.0.0").flavor == "sklearn"
        native.versions.promote("toxicity:v2.0.0")
    again = tester.create("toxicity", variant_a="v2.0.0", variant_b="v2.0.0")
    assert again["status"] == "draft"  # a version against itself checks the instrument
    code, said = command(*deploy)
    assert (code, "exists" in said) == (4, True)
    code, said = command(
        "abtests", "deploy-model", *given[:2], "--model-path", "no.pt", "--version", "v3"
    )
    assert (code, "no.pt" in said) == (2, True)
