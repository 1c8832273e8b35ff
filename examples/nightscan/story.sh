#!/bin/sh
# The document's story, from a network in PyTorch to a rollback.
# Run it in an empty folder: sh story.sh   (it stops the server that it starts)
set -eu

# register three versions (was: from model_versioning import …)
python - <<'PYTHON'
from datetime import datetime

import torch
from torch import nn

from palio.dialects.nightscan import ModelMetadata, ModelStatus, get_model_registry

registry = get_model_registry()
labels = ["owl", "hawk", "sparrow", "robin"]
for model_id, version, accuracy in (
    ("wildlife_detector", "v2.0.0", 0.91),
    ("wildlife_detector", "v2.1.0", 0.95),
    ("wildlife_detector_specialized", "v1.0.0", 0.93),
):
    torch.manual_seed(int(accuracy * 100))
    model = nn.Sequential(
        nn.Unflatten(1, (1, 22050)), nn.Conv1d(1, 8, 64, 16), nn.ReLU(), nn.AdaptiveAvgPool1d(1),
        nn.Flatten(), nn.Linear(8, len(labels)),
    )
    metadata = ModelMetadata(
        model_id=model_id, version=version, name=f"Wildlife Detector {version}",
        description="Improved accuracy with new training data", created_at=datetime.now(),
        status=ModelStatus.TRAINING, framework="pytorch", architecture="cnn",
        dataset_version="v1.5", training_config={"epochs": 100, "labels": labels},
        metrics={"accuracy": accuracy}, file_size_bytes=0, checksum="", tags=["production"],
    )
    assert registry.register_model(model, metadata)
registry.update_status("wildlife_detector", "v2.0.0", ModelStatus.DEPLOYED)
comparison = registry.compare_models(
    ("wildlife_detector", "v2.0.0"), ("wildlife_detector", "v2.1.0")
)
gain = comparison["metric_differences"]["accuracy"]["percentage_improvement"]
print(f"Accuracy improvement: {gain:.2f}%")

ensemble_config = {
    "models": [
        "wildlife_detector:v2.0.0",
        "wildlife_detector:v2.1.0",
        "wildlife_detector_specialized:v1.0.0",
    ],
    "voting_strategy": "weighted_average",
    "weights": [0.4, 0.4, 0.2],
}
metadata.model_id, metadata.version = "wildlife_detector", "v3.0.0"
assert registry.register_ensemble(ensemble_config, metadata)
PYTHON

# was: python model_versioning.py registry …
palio nightscan registry list
palio nightscan registry list --model-id wildlife_detector --status deployed
palio nightscan registry compare wildlife_detector:v2.0.0 wildlife_detector:v2.1.0
ls -la models/registry/models/
cat models/registry/metadata.json >/dev/null

# an experiment (was: from model_versioning import get_ab_test_manager, …)
python - <<'PYTHON'
from palio.dialects.nightscan import ExperimentConfig, get_ab_test_manager

get_ab_test_manager().create_experiment(
    ExperimentConfig(
        experiment_id="accuracy_improvement_test",
        name="Test v2.1 vs v2.0 Accuracy",
        description="Compare new model version against current production",
        model_variants={
            "control": "wildlife_detector:v2.0.0",
            "treatment": "wildlife_detector:v2.1.0",
        },
        traffic_allocation={"control": 70.0, "treatment": 30.0},
        success_metrics=["accuracy", "confidence", "inference_time"],
        minimum_sample_size=1000, maximum_duration_days=14, confidence_level=0.95,
    )
)
PYTHON
palio nightscan experiment list
palio nightscan experiment start accuracy_improvement_test

# the deployment, and inference in this process
palio nightscan deploy wildlife_detector v2.1.0 \
    --deployment-id wildlife_detector_v2_1_prod --environment production
python - <<'PYTHON'
import asyncio

import numpy as np

from palio.dialects.nightscan import get_ab_test_manager, get_deployment_manager

manager, ab_manager = get_deployment_manager(), get_ab_test_manager()
test = "accuracy_improvement_test"
for number in range(20):
    request = f"inference_{number}"
    audio = np.random.default_rng(number).normal(size=22050)
    result = asyncio.run(
        manager.run_inference(audio_data=audio, request_id=request, experiment_id=test)
    )
    # what became known later
    ab_manager.record_result(
        experiment_id=test, request_id=request, variant=result["variant"],
        metrics={"accuracy": 0.9},
    )
print(f"Predicted class: {result['predictions']['predicted_class']}")
print(f"Confidence: {result['predictions']['confidence']:.3f}")
metrics = manager.performance_tracker.get_current_metrics("wildlife_detector_v2_1_prod")
print(f"Requests/sec: {metrics.requests_per_second:.2f}, error rate: {metrics.error_rate:.2f}%")
PYTHON
grep -c request_id= logs/ab_test.log

# the routes: a second of sound as a file
: >address
palio serve --port 0 >address &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
while ! grep -q http address; do sleep 0.2; done
host=$(sed 's/.* //' address)
python - <<'PYTHON'
import wave

import numpy as np

with wave.open("owl.wav", "wb") as file:
    file.setnchannels(1), file.setsampwidth(2), file.setframerate(22050)
    file.writeframes((3000 * np.sin(np.arange(22050) / 9)).astype("<i2").tobytes())
PYTHON
curl -sS "$host/api/v1/predict?experiment_id=accuracy_improvement_test" -F file=@owl.wav
echo
curl -sS "$host/api/v1/experiments/accuracy_improvement_test/analysis" >analysis.json

palio nightscan experiment status accuracy_improvement_test
palio nightscan experiment analyze accuracy_improvement_test
palio nightscan experiment stop accuracy_improvement_test --reason "Sufficient data collected"

# was: python model_deployment.py …
palio nightscan list
palio nightscan status wildlife_detector_v2_1_prod
palio nightscan health wildlife_detector_v2_1_prod
palio nightscan undeploy wildlife_detector_v2_1_prod
