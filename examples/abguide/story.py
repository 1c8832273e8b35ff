"""The guide's story from start to end, in the folder it is run in: python story.py."""

from __future__ import annotations

import json
import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

ENV = """\
AB_TESTING_ENABLED=true
MODEL_REGISTRY_PATH=models/registry.json

# what Palio wants to be told: where models may be read from, and that these pickles are trusted
PALIO_SOURCE_ROOTS=models
PALIO_ALLOW_PICKLE=true
"""


def main() -> None:
    """Make the models, serve them, and tell the story."""
    _make_models(Path("models"))
    Path(".env").write_text(ENV, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", "palio.dialects.abguide.api:app", "--port", port]
    server = subprocess.Popen([*command, "--log-level", "warning"])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            _wait(http)
            _tell(http)
    finally:
        server.terminate()
        server.wait(30)


def _make_models(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    drawn = np.random.default_rng(7).normal(size=(500, 3))
    rejected = (drawn[:, 2] - drawn[:, 1] + drawn[:, 0] / 2 > 0).astype(int)
    for name, strength in (("v1", 1.0), ("v1_1", 0.05), ("v1_2", 0.01)):
        scaler = StandardScaler().fit(drawn)
        model = LogisticRegression(C=strength).fit(scaler.transform(drawn), rejected)
        (folder / f"credit_model_{name}.pkl").write_bytes(pickle.dumps(model))
        (folder / f"preprocessor_{name}.pkl").write_bytes(pickle.dumps(scaler))


def _wait(http: httpx.Client) -> None:
    for _ in range(300):
        try:
            http.get("/healthz").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server does not answer")


def _tell(http: httpx.Client) -> None:
    for version, name, file, accuracy, brier in (
        ("v1.0.0", "Production Model", "v1", 0.8542, 0.1256),
        ("v1.1.0", "Experimental Model", "v1_1", 0.8601, 0.1104),
    ):
        metrics = {"accuracy": accuracy, "brier_score": brier}
        _send(http, "POST", "/registry/models", _model(version, name, file, metrics=metrics))
        _send(http, "POST", f"/registry/models/{version}/load")
    for share in (0.05, 0.2, 0.5, 0.8):
        _weigh(http, {"v1.0.0": round(1 - share, 2), "v1.1.0": share})
    _predict(http)
    _send(http, "GET", "/registry/ab-test/compare/v1.0.0/v1.1.0")
    _weigh(http, {"v1.1.0": 1.0})
    _weigh(http, {"v1.0.0": 1.0})
    canary = _model("v1.2.0-canary", "Canary Test", "v1_2", tags=["canary"])
    _send(http, "POST", "/registry/models", canary)
    _weigh(http, {"v1.0.0": 0.9, "v1.2.0-canary": 0.1})
    _weigh(http, {"v1.0.0": 1.0})
    _weigh(http, {"v1.0.0": 0.7, "v1.1.0": 0.15, "v1.2.0-canary": 0.15})
    _send(http, "GET", "/registry/models")
    _weigh(http, {"v1.0.0": 0.9, "v1.1.0": 0.05})
    _send(http, "GET", "/registry/models/v9")
    _send(http, "POST", "/registry/models", _model("v2", "Missing", "v2"))


def _model(version: str, name: str, file: str, **more: Any) -> dict[str, Any]:
    paths = {
        "model_path": f"models/credit_model_{file}.pkl",
        "preprocessor_path": f"models/preprocessor_{file}.pkl",
    }
    return {"version": version, "name": name, **paths, **more}


def _weigh(http: httpx.Client, weights: dict[str, float]) -> None:
    _send(http, "POST", "/registry/ab-test/weights", weights)


def _predict(http: httpx.Client) -> None:
    """Let some users ask; each has the version that answers them, whatever they ask."""
    for number in range(20):
        row = {"x0": number / 10, "x1": 0.5, "x2": -0.25}
        http.post("/predict", json={"features": row, "user_id": f"user-{number}"})
    _send(http, "POST", "/predict", {"x0": 0.1, "x1": 0.5, "x2": -0.25})


def _send(http: httpx.Client, method: str, path: str, body: Any = None) -> None:
    answer = http.request(method, path, json=body)
    print(f"{method} {path} {'' if body is None else json.dumps(body)}")
    print(f"  {answer.status_code} {answer.text}\n")


if __name__ == "__main__":
    main()
