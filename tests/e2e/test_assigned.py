"""Pairs and kept variants, over a real server: from the request to the analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import palio
from palio.experiments.designs.design import Metrics, Stopping, Type, Variant
from palio.experiments.domain import Experiment
from palio.experiments.events import OutcomeDraft, Prediction
from palio.experiments.judging.analysis import Contrast
from palio.storage.store import SqlStore, engine_for
from palio.testing.steps import change

from . import servers

REQUESTS = 150


def predict(http: httpx.Client, number: int, **fields: Any) -> dict[str, Any]:
    body = {"rows": [servers.SAMPLE[number % 200].tolist()], "request_id": f"r{number}", **fields}
    response = http.post("/v1/predict/credit", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def recorded(path: str) -> list[Prediction]:
    store = SqlStore(engine_for(path))
    with store.read() as unit:
        entries = unit.log.after(0, limit=100_000)
    store.close()
    return [entry.event for entry in entries if isinstance(entry.event, Prediction)]


def reweigh(path: str, key: str, **weights: float) -> Experiment:
    """Give an experiment other weights, as those who move them do."""
    store = SqlStore(engine_for(path))
    with store.write() as unit:
        one = unit.experiments.get(key, lock=True)
        assert one is not None
        version, epoch = one.policy_version + 1, one.epoch + 1
        moved = replace(one, published=weights, policy_version=version, epoch=epoch)
        unit.experiments.put_many([moved])
        unit.audit.append(change())
    store.close()
    return moved


def goal(contrasts: Sequence[Contrast]) -> Contrast:
    [found] = [one for one in contrasts if one.metric == "brier"]
    return found


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.5, 0.5)])
def test_a_pair_from_the_request_to_the_analysis(
    tmp_path: Path, weights: tuple[float, float]
) -> None:
    store = str(tmp_path / "palio.db")
    with palio.connect(store) as opened:
        servers.credit(opened)
        variants = (Variant("control", "v1", weights[0]), Variant("challenger", "v2", weights[1]))
        design = servers.design(
            "pair",
            type=Type.PAIRED,
            variants=variants,
            label_independent=True,
            metrics=Metrics("brier", guardrails=("error",)),
            stopping=Stopping(horizon=1_000, min_sample=50),
            unit="request",
        )
        opened.experiments.draft(design)
        opened.experiments.start("pair")
        with (
            servers.serving(store) as address,
            httpx.Client(base_url=address, timeout=servers.PATIENCE_S) as http,
        ):
            answers = [predict(http, number, unit="one user") for number in range(REQUESTS)]
        opened.outcomes.record(
            [
                OutcomeDraft(request_id=f"r{number}", value=int(servers.LABELS[number % 200]))
                for number in range(REQUESTS)
            ]
        )
        report = opened.experiments.analyze("pair")
        assert opened.experiments.verify("pair").differences == ()

    versions = {"control": "v1", "challenger": "v2"}
    assert {one["version"] for one in answers} == {
        versions[key] for key, weight in zip(versions, weights, strict=True) if weight
    }
    # Witness: Brier scores of both models on the rows, asked directly.
    rows = servers.SAMPLE[np.arange(REQUESTS) % 200]
    labels = servers.LABELS[np.arange(REQUESTS) % 200]
    control, challenger = (
        (servers.model(strength).predict_proba(rows)[:, 1] - labels) ** 2
        for strength in (1.0, 0.001)
    )
    found = goal(report.contrasts)
    assert found.effect == pytest.approx(np.mean(challenger - control), rel=1e-9)
    assert found.fixed is not None
    assert not report.sample_ratio.mismatch
    assert report.label_share is None
    assert [arm.crossovers for arm in report.arms] == [0, 0]
    assert sum(arm.units for arm in report.arms) == REQUESTS  # requests, not the one user
    for one in recorded(store):
        assert one.unit == one.request_id
        (other,) = one.others
        assert {one.version, other.version} == {"v1", "v2"}


def test_units_keep_their_variant_over_weights_and_servers(tmp_path: Path) -> None:
    store = str(tmp_path / "palio.db")
    with palio.connect(store) as opened:
        servers.credit(opened)
        opened.experiments.draft(servers.design("kept", sticky=True))
        opened.experiments.start("kept")

    def served(units: range, start: int) -> dict[str, str]:
        with (
            servers.serving(store) as address,
            httpx.Client(base_url=address, timeout=servers.PATIENCE_S) as http,
        ):
            return {
                f"u{unit}": predict(http, start + unit, unit=f"u{unit}")["variant"]
                for unit in units
            }

    first = served(range(40), 0)
    assert set(first.values()) == {"control", "challenger"}
    split = reweigh(store, "kept", control=0.05, challenger=0.95).split()
    assert {unit: split.assign(unit) for unit in first} != first
    assert served(range(40), 100) == first
    reweigh(store, "kept", control=1, challenger=0)
    assert set(served(range(20), 200).values()) == {"control"}
    reweigh(store, "kept", control=0.05, challenger=0.95)
    last = served(range(40), 300)
    moved = {f"u{unit}": "control" for unit in range(20)}
    assert last == first | moved
