"""What the servers serve: two pipelines with 23 features, in files or behind an endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import joblib
import msgspec
import numpy as np
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import palio
from palio.access.domain import Role
from palio.experiments.designs.design import ExperimentDraft, Metrics, Variant

__all__ = ["BODY", "Material", "prepared"]

FEATURES = 23
BODY = msgspec.json.encode({"rows": [[round(0.04 * place, 2) for place in range(FEATURES)]]})


@dataclass(frozen=True, slots=True)
class Material:
    """Files of a pipeline, and the key to a store where it stands behind the endpoint ``e``."""

    pickled: str
    converted: str
    key: str


def prepared(folder: str, *, experiment: bool = True) -> Material:
    """Fit, convert and register; ``m:v1`` is champion, an experiment splits with ``m:v2``."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(500, FEATURES))
    labels = (inputs[:, 0] + random.normal(size=500) > 0).astype(int)
    models = {
        name: make_pipeline(StandardScaler(), LogisticRegression(C=strength)).fit(inputs, labels)
        for name, strength in (("v1", 1.0), ("v2", 0.1))
    }
    pickled, converted = f"{folder}/model.joblib", f"{folder}/model.onnx"
    joblib.dump(models["v1"], pickled)
    graph = to_onnx(models["v1"], inputs[:1].astype(np.float32), options={"zipmap": False})
    Path(converted).write_bytes(graph.SerializeToString())
    with palio.connect(f"{folder}/palio.db") as p:
        for name, model in models.items():
            p.register("m", model, version=name, sample=inputs)
        p.versions.promote("m:v1")
        p.endpoints.create("e", "m")
        if experiment:
            p.experiments.draft(_design())
            p.experiments.start("x")
        return Material(pickled, converted, p.keys.create("bench", Role.OPERATOR).secret)


def _design() -> ExperimentDraft:
    return ExperimentDraft(
        key="x",
        endpoint="e",
        variants=(Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5)),
        metrics=Metrics("brier"),
    )
