"""The routes over real sockets: sound is answered, analyses are read, refusals are told."""

from __future__ import annotations

import io
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.dialects.documented import documents
from tests.dialects.exchanges import same_as_golden
from tests.e2e import servers

import palio
from palio.access.domain import Role
from palio.artifacts.flavors.torch.predictor import TorchPredictor
from palio.dialects.nightscan import DeploymentConfig, get_deployment_manager
from palio.dialects.nightscan.audio import samples_of
from palio.experiments.designs.design import Metrics

from .conftest import LABELS, SAMPLES, World
from .test_deployments import deployed

VOLATILE = ("request_id", "inference_time", "predictions")


def wav(samples: Any, *, rate: int = 22_050, width: int = 2, channels: int = 1) -> bytes:
    """Return samples in [-1, 1] as a WAV file, the same on every channel."""
    scaled = np.repeat(np.asarray(samples), channels) * (2 ** (8 * width - 1) - 1)
    if width == 1:
        frames = (scaled + 128).astype(np.uint8).tobytes()
    elif width == 3:
        whole = (scaled * 256).astype("<i4").view(np.uint8).reshape(-1, 4)
        frames = whole[:, 1:].tobytes()
    else:
        frames = scaled.astype(f"<i{width}").tobytes()
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(frames)
    return content.getvalue()


TONE = 0.5 * np.sin(np.arange(SAMPLES) / 3)


@pytest.fixture
def placed(world: World) -> str:
    """A deployment to be asked, once a store."""
    with world.native() as opened:
        known = {one.name for one in opened.deployments.list()}
    name = "asked_v1_prod"
    return name if name in known else deployed(world.model("asked", "v1", "v2"))


@documents(
    "nightscan:predict-route",
    "nightscan:predict-experiment",
    "nightscan:predict-answer",
    "nightscan:request-ids",
    "nightscan:balancing",
)
@pytest.mark.parametrize("part", ["file", "audio"])
def test_an_uploaded_file_is_answered(world: World, placed: str, part: str) -> None:
    files = {part: ("owl.wav", wav(TONE), "audio/wav")}
    plain = world.send(f"/predict?deployment_id={placed}", files=files)
    assert plain.status_code == 200, plain.text
    same_as_golden("nightscan/predict", "owl.wav", plain, volatile=VOLATILE)
    answer = plain.json()
    assert answer["predictions"]["predicted_class"] in LABELS
    assert answer["request_id"].startswith("req_")
    key = f"upload_{part}"
    world.experiment(key, "asked")
    named = {"request_id": f"named_{part}"}
    taking = world.send(f"/predict?experiment_id={key}", files=files, data=named).json()
    assert taking.get("request_id") == f"named_{part}", taking
    assert taking["experiment_info"]["experiment_id"] == key
    with world.native() as opened:  # another process of the same store agrees
        variant = opened.experiments.get(key).assigner().assign(f"named_{part}")
        assert taking["experiment_info"]["variant"] == variant
        report = opened.experiments.analyze(key)
        assert sum(arm.metrics["confidence"].n for arm in report.arms) == 1
        samples = samples_of(wav(TONE), 22_050)
        direct = opened.load("asked:v1").predict([[samples]])
    shares = [answer["predictions"]["class_probabilities"][label] for label in LABELS]
    assert shares == pytest.approx((direct.probabilities or [])[0])


@documents("nightscan:batching")
def test_requests_that_come_together_are_asked_together(
    world: World, placed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    predict = TorchPredictor.predict

    def counted(self: TorchPredictor, table: Any) -> Any:
        sizes.append(len(table))
        return predict(self, table)

    monkeypatch.setattr(TorchPredictor, "predict", counted)
    sent = {"audio_data": TONE.tolist()}
    with ThreadPoolExecutor(16) as several:
        answers = several.map(
            lambda _: world.send(f"/predict?deployment_id={placed}", json=sent), range(64)
        )
        assert {one.status_code for one in answers} == {200}
    assert sum(sizes) >= 64  # checks of health may be among them
    assert max(sizes) > 1


def test_samples_may_be_sent_as_json(world: World, placed: str) -> None:
    sent = {"audio_data": TONE.tolist(), "request_id": "as_json"}
    answer = world.send(f"/predict?deployment_id={placed}", json=sent)
    assert answer.status_code == 200
    assert (answer.json()["request_id"], answer.json()["experiment_info"]) == ("as_json", None)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"content": b"{no json"}, "the body cannot be read"),
        ({"json": {"audio": [1]}}, "the body cannot be read"),
        ({"json": [1, 2]}, "the body cannot be read"),
        ({"json": {"audio_data": []}}, "audio_data is empty"),
        ({"json": {"audio_data": [0.1], "request_id": 7}}, "request_id must be a text, got 7"),
        ({"files": {"file": b"no wav"}}, "no WAV file"),
        ({"files": {"file": wav([])}}, "holds no sound"),
        ({"files": {"file": wav(TONE)[:30]}}, "the audio file cannot be taken"),
        ({"data": {"file": "x"}, "files": {}}, "the body cannot be read"),
    ],
)
def test_what_is_no_sound_is_refused(
    world: World, placed: str, request_: dict[str, Any], why: str
) -> None:
    answer = world.send(f"/predict?deployment_id={placed}", **request_)
    assert (answer.status_code, why in answer.json()["error"]) == (422, True), answer.text


@documents("nightscan:not-found")
def test_unknown_experiments_are_not_found(world: World) -> None:
    answer = httpx.get(f"{world.address}/api/v1/experiments/nope/analysis")
    assert (answer.status_code, answer.json()) == (404, {"error": "Experiment not found"})
    same_as_golden("nightscan/not_found", None, answer)
    asked = world.send("/predict?experiment_id=nope", json={"audio_data": [0.0]})
    assert (asked.status_code, asked.json()["error"]) == (404, "Experiment not found")


@documents("nightscan:analysis-route")
@pytest.mark.parametrize("key", ["read_over_http", "read_again"])
def test_an_analysis_is_read(world: World, placed: str, key: str) -> None:
    world.experiment(key, "asked")
    with world.native() as opened:
        opened.experiments.assign_many(key, [f"u{n}" for n in range(30)], record=True)
        counts = {arm.variant: arm.units for arm in opened.experiments.analyze(key).arms}
    answer = httpx.get(f"{world.address}/api/v1/experiments/{key}/analysis")
    assert answer.status_code == 200, placed
    found = answer.json()
    assert found["experiment_metadata"]["status"] == "running"
    samples = {name: one["sample_size"] for name, one in found["variant_statistics"].items()}
    assert samples == counts


@documents("nightscan:login", "nightscan:access")
def test_with_keys_each_call_needs_its_role(
    prepared_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "palio.db"
    store.write_bytes(prepared_sqlite.read_bytes())
    monkeypatch.setenv("PALIO_ARTIFACTS", str(tmp_path / "files"))
    monkeypatch.setenv("NIGHTSCAN_LOG", str(tmp_path / "ab_test.log"))
    monkeypatch.chdir(tmp_path)
    with palio.connect(store) as opened:
        opened.register("m", servers.model(), version="v1", sample=servers.SAMPLE)
        opened.register("m", servers.model(0.1), version="v2", sample=servers.SAMPLE)
        opened.endpoints.create("e", "m")
        opened.experiments.draft(
            servers.design("e", endpoint="e", metrics=Metrics("confidence:higher"))
        )
        viewer = opened.keys.create("ann", Role.VIEWER).secret
        operator = opened.keys.create("bob", Role.OPERATOR).secret
    path = "/api/v1/experiments/e/analysis"
    with (
        servers.serving(str(store), evaluate_s=0) as address,
        httpx.Client(base_url=address, timeout=servers.PATIENCE_S) as http,
    ):
        assert http.get(path).status_code == 401
        assert http.get(path, headers={"X-API-Key": "wrong"}).status_code == 401
        assert http.get(path, headers={"X-API-Key": viewer}).status_code == 200
        sound = {"audio_data": [0.1, 0.2, 0.3]}
        refused = http.post("/api/v1/predict", json=sound, headers={"X-API-Key": viewer})
        assert (refused.status_code, refused.json()["code"]) in {
            (403, "forbidden"),
            (404, "not_found"),
        }
        nothing = http.post("/api/v1/predict", json=sound, headers={"X-API-Key": operator})
        assert nothing.status_code == 404
        assert "nothing is deployed in production" in nothing.json()["error"]


@documents("nightscan:integrity")
def test_changed_bytes_are_found_before_a_model_is_deployed(world: World) -> None:
    model = world.model("changed", "v1")
    [file] = (world.folder / "files" / model).rglob("model.pt2")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    manager = get_deployment_manager()
    manager.deploy_model(DeploymentConfig(model, "v1", "of_changed"))
    status = manager.get_deployment_status("of_changed")
    assert status["status"] == "pending"
    assert "CorruptArtifact" in str(status["notes"])
    manager.undeploy_model("of_changed")


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_widths_and_channels(width: int, channels: int) -> None:
    found = samples_of(wav(TONE, width=width, channels=channels), 22_050)
    # witness: the tone itself, as exact as so many bits are
    assert found == pytest.approx(TONE, abs=2 ** (2 - 8 * width))


def test_rates_are_made_the_model_s() -> None:
    at = np.arange(44_100) / 44_100
    found = samples_of(wav(0.5 * np.sin(2 * np.pi * 5 * at), rate=44_100), 22_050)
    assert len(found) == 22_050
    wanted = 0.5 * np.sin(2 * np.pi * 5 * np.arange(22_050) / 22_050)
    assert found == pytest.approx(wanted, abs=1e-3)
