#!/bin/sh
# The workflow of the document, from a model file to a winner in production.
# Run it in an empty folder: sh story.sh   (it stops the server that it starts)
set -eu

# two models and rows like those they take, as a training job would leave them
python - <<'PYTHON'
import numpy as np
import skops.io
from sklearn.linear_model import LogisticRegression

rows = np.random.default_rng(0).normal(size=(200, 2))
labels = (rows[:, 0] > 0).astype(int)
for name, strength in (("v1", 0.001), ("v2", 1.0)):
    skops.io.dump(LogisticRegression(C=strength).fit(rows, labels), f"safety_{name}.skops")
np.savetxt("rows.csv", rows, delimiter=",", header="length,caps", comments="")
PYTHON

# step 1: deploy both versions (was: python deploy_model.py …)
for v in 1 2; do
    palio abtests deploy-model --type safety_classifier --model-path "safety_v$v.skops" \
        --version "v$v.0.0" --sample rows.csv
done
palio models promote safety_classifier:v1.0.0

# tokens: one for who runs tests, one for each user; the name of a key is the user's id
token=$(palio keys create operations --role operator --json | python -c 'import json,sys; print(json.load(sys.stdin)["secret"])')
ann=$(palio keys create ann --role viewer --json | python -c 'import json,sys; print(json.load(sys.stdin)["secret"])')

: >address # there before anybody looks into it
palio serve --port 0 >address &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
while ! grep -q http address; do sleep 0.2; done
host=$(sed 's/.* //' address)

call() { # method, path, body
    curl -sS -X "$1" "$host/api/v1/ab-tests$2" -H "Authorization: Bearer $token" \
        -H "Content-Type: application/json" -d "${3:-{\}}"
}

# steps 2 and 3: create the test and start it
id=$(call POST "" '{"name": "Safety Classifier v2 Test", "model_type": "safety_classifier",
    "variant_a": "v1.0.0", "variant_b": "v2.0.0", "traffic_split": {"a": 0.5, "b": 0.5}}' \
    | python -c 'import json,sys; print(json.load(sys.stdin)["test_id"])')
call POST "/$id/start" >/dev/null

# a user's variant, and a service that asks for users by itself
curl -sS "$host/api/v1/ab-tests/user/variant?model_type=safety_classifier" \
    -H "Authorization: Bearer $ann"
echo
HOST=$host TOKEN=$token python - <<'PYTHON'
import os

from palio.dialects.abtests import ABTestService

service = ABTestService(os.environ["HOST"], key=os.environ["TOKEN"])
for number in range(50):
    info = service.get_model_version_for_user(f"user-{number}", "safety_classifier")
    model = service.load_model("safety_classifier", info.version)
    model.predict([[0.1 * number, 0.5]])
service.record_metric(info.test_id, info.variant, "satisfaction", 4.0)
service.close()
PYTHON

# step 4: monitor; step 5: complete
curl -sS "$host/api/v1/ab-tests/$id" -H "Authorization: Bearer $token"
echo
call POST "/$id/complete" '{"winner": "b"}'
echo
palio models aliases safety_classifier
