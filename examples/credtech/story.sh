#!/bin/sh
# The document's guide, from a first model to the end of an A/B test.
# Run it in an empty folder: sh story.sh   (it stops the server that it starts)
set -eu

# the document's train names no data, so settings do; these loans are synthetic
python - <<'PYTHON'
from palio.demo.loan_book import loan_book

loan_book(600, seed=1).write_csv("loans.csv")
PYTHON
export PALIO_CREDTECH_DATA=loans.csv PALIO_CREDTECH_TARGET=default

# training (was: python scripts/model_manager_cli.py train …)
palio credtech train --version "v1.2.0" --register --promote \
    --description "Improved model with additional features"
PALIO_CREDTECH_ESTIMATOR=gradient-boosting \
    palio credtech train --version "v1.3.0" --register --description "Trees"

# what is there
palio credtech list-models
palio credtech get-model v1.3.0 --json >v1.3.0.json
palio credtech promote v1.3.0

# an A/B test; it begins at once
palio credtech create-experiment "New Features Test" \
    --description "Testing impact of new features" \
    --model-ids "v1.2.0,v1.3.0" \
    --traffic-split "80,20"
palio credtech list-experiments --json >experiments.json
experiment=$(python -c 'import json; print(json.load(open("experiments.json"))[0]["experiment_id"])')

# scores over HTTP, by a named model and by whatever the A/B test says
: >address # there before anybody looks into it
palio serve --port 0 >address &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
while ! grep -q http address; do sleep 0.2; done
ADDRESS=$(sed 's/.* //' address) python - <<'PYTHON'
import os
from collections import Counter

import httpx
import polars as pl

applicants = pl.read_csv("loans.csv").drop("default").to_dicts()[:50]
with httpx.Client(base_url=os.environ["ADDRESS"], timeout=60) as api:
    print(api.get("/api/models").json()["production_model_id"], "is in production")
    print(api.get("/api/experiments").json()["experiments"][0]["name"])
    print(api.get("/api/model-info", params={"model_id": "v1.3.0"}).json()["model_type"])
    named = api.post("/api/score", params={"model_id": "v1.3.0"}, json=applicants[0])
    print(named.json())
    batch = api.post("/api/batch-score", params={"model_id": "v1.2.0"}, json=applicants)
    print(len(batch.json()["results"]), "applicants scored by", batch.json()["model_id"])
    given = Counter()
    for number, applicant in enumerate(applicants):
        body = {"features": applicant, "request_id": f"application-{number}"}
        given[api.post("/api/score", json=body).json()["model_id"]] += 1
    print("scored by", dict(given))
PYTHON

# what it has shown so far, and the end
palio credtech get-experiment "$experiment"
palio credtech stop-experiment "$experiment"
find models -type f | sort
tail -n 3 logs/credtech_xscore.log
