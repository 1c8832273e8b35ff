"""The documented metrics and queries, in a real Prometheus; and the dashboard that asks them."""

from __future__ import annotations

import json
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.dialects.documented import documents
from tests.e2e import servers
from tests.monitoring.conftest import program

from palio.access.domain import Role
from palio.delivery.observed import Observed, Served
from palio.delivery.traffic import TrafficSums
from palio.dialects.abguide.metrics import families
from palio.testing.records import WHEN

from .conftest import MODEL, ROW, Guide, until

# the document's queries, word for word
REQUESTS = 'ab_test_requests_total{model_version="v1.0.0"}'
PREDICTIONS = 'model_version_predictions_total{version="v1.0.0", outcome="approved"}'
ACTIVE = "active_models_count"
APPROVAL = """\
sum(rate(model_version_predictions_total{outcome="approved"}[5m])) by (version)
/
sum(rate(model_version_predictions_total[5m])) by (version)
"""
ERRORS = "sum(rate(prediction_errors_total[5m])) by (model_version)"
SPLIT = "sum(rate(ab_test_requests_total[5m])) by (model_version)"
APPROVAL_PANEL = (
    "sum(rate(model_version_predictions_total{outcome='approved'}[5m])) by (version)"
    " / sum(rate(model_version_predictions_total[5m])) by (version)"
)
DASHBOARD = Path(__file__).parents[3] / "examples" / "abguide" / "dashboard.json"
Ask = Callable[[str], Mapping[str, float]]
OPTIONS = ("--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path={folder}/data",
           "--config.file={folder}/prometheus.yml", "--log.level=error")  # fmt: skip


@contextmanager
def scraping(guide: Guide, folder: Path) -> Iterator[Ask]:
    """Run a Prometheus that scrapes a server each second; ask it for figures by label."""
    with guide.opened() as opened:
        secret = opened.keys.create("prometheus", Role.VIEWER).secret
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {
                "job_name": "palio",
                "authorization": {"credentials": secret},
                "static_configs": [{"targets": [guide.address.removeprefix("http://")]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = [one.format(port=port, folder=folder) for one in OPTIONS]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program("prometheus"), *options], stdout=log, stderr=log)

    def ask(query: str) -> Mapping[str, float]:
        answer = http.get("/api/v1/query", params={"query": query})
        answer.raise_for_status()
        return {
            ",".join(value for name, value in sorted(one["metric"].items()) if name in LABELS):
                float(one["value"][1])
            for one in answer.json()["data"]["result"]
        }  # fmt: skip

    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            until(lambda: _is_ready(http))
            yield ask
    finally:
        process.terminate()
        process.wait(servers.PATIENCE_S)


LABELS = {"version", "model_version"}


def _is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


@documents(
    "abguide:metric-requests", "abguide:metric-predictions", "abguide:metric-active",
    "abguide:metric-errors", "abguide:query-requests", "abguide:query-predictions",
    "abguide:query-active", "abguide:query-approval", "abguide:query-errors",
    "abguide:per-version-metrics", "abguide:dashboard-split", "abguide:dashboard-approval",
    "abguide:dashboard",
)  # fmt: skip
def test_the_documented_queries_give_numbers(guide: Guide, tmp_path: Path) -> None:
    guide.register("v1.0.0")
    guide.register("v1.1.0", "failing.pkl")
    guide.weigh(v1_0_0=0.5, v1_1_0=0.5)
    with scraping(guide, tmp_path) as ask:
        until(lambda: ask(REQUESTS))  # 0, before anybody has asked
        assert set(ask(PREDICTIONS).values()) == {0.0}
        counts, outcomes = asked(guide)
        assert min(*counts.values(), *outcomes.values()) > 5
        until(lambda: ask("ab_test_requests_total") == counts)
        until(lambda: ask(ERRORS).get("v1.1.0", 0) > 0)
        assert set(ask(REQUESTS).values()) == {counts["v1.0.0"]}
        assert set(ask(PREDICTIONS).values()) == {outcomes["approved"]}
        assert set(ask(ACTIVE).values()) == {2}
        share = outcomes["approved"] / counts["v1.0.0"]
        assert ask(APPROVAL)["v1.0.0"] == pytest.approx(share)
        assert ask(APPROVAL_PANEL) == pytest.approx(ask(APPROVAL), nan_ok=True)
        assert ask(ERRORS)["v1.0.0"] == 0
        assert set(ask(SPLIT)) == {"v1.0.0", "v1.1.0"}
        assert ask("prediction_errors_total") == {"v1.0.0": 0, "v1.1.0": counts["v1.1.0"]}
        # what the document does not show: all to one version
        guide.weigh(v1_0_0=1.0)
        until(lambda: set(ask(ACTIVE).values()) == {1})
        for query in panels():
            ask(query)  # raises what Prometheus cannot read
    told = guide.get(f"/v1/endpoints/{MODEL}/metrics")["versions"]
    assert {name: one["requests"] for name, one in told.items()} == counts


def asked(guide: Guide) -> tuple[Counter[str], Counter[str]]:
    """Ask for sixty users; return answers by version, where v1.1.0 fails, and by outcome."""
    counts, outcomes = Counter[str](), Counter[str]()
    for number in range(60):
        row = ROW | {"debt": (number - 30) / 10, "income": 0.0}
        sent = {"features": row, "user_id": f"u{number}"}
        answer = guide.send("POST", "/predict", sent)
        if answer.status_code == 200:
            counts["v1.0.0"] += 1
            outcomes[answer.json()["outcome"]] += 1
        else:
            assert answer.json()["code"] == "prediction_failed"
            counts["v1.1.0"] += 1
    return counts, outcomes


def panels() -> list[str]:
    """Return the queries of the dashboard."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@documents("abguide:dashboard-file")
def test_the_dashboard_has_the_documented_panels() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    shown = {panel["title"]: panel["targets"][0]["expr"] for panel in dashboard["panels"]}
    assert shown["Traffic Split"] == SPLIT
    assert shown["Approval Rate by Version"] == APPROVAL_PANEL


def test_other_classes_and_endpoints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PALIO_ABGUIDE_MODEL", "loans")
    monkeypatch.setenv("PALIO_ABGUIDE_OUTCOMES", '{"good": "approved", "fair": "approved"}')
    sums = TrafficSums(requests=9, errors=1, outcomes={"good": 3, "fair": 4, "bad": 1})
    seen = Observed(
        at=WHEN,
        served=(
            Served(endpoint="loans", model="loans", version="v7", sums=sums),
            Served(endpoint="loans", model="other", version="v7", sums=TrafficSums(requests=2)),
            Served(endpoint="cards", model="cards", version="v7", sums=sums),
        ),
        processes=(),
        recent=(),
        watched=(),
        shares={"loans": {"v7": 0.5, "v8": 0.5, "v9": 0.0}, "cards": {"v7": 1.0}},
    )
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(seen)
        for sample in family.samples
    }
    assert told == {
        ("ab_test_requests_total", "v7"): 9,
        ("ab_test_requests_total", "other:v7"): 2,
        ("ab_test_requests_total", "v8"): 0,
        ("model_version_predictions_total", "v7", "approved"): 7,
        ("model_version_predictions_total", "v7", "bad"): 1,
        ("model_version_predictions_total", "other:v7", "approved"): 0,
        ("model_version_predictions_total", "v8", "approved"): 0,
        ("prediction_errors_total", "v7"): 1,
        ("prediction_errors_total", "other:v7"): 0,
        ("prediction_errors_total", "v8"): 0,
        ("active_models_count",): 2,
    }
