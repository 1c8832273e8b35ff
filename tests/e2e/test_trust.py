"""Versions whose files run code: answered where that is allowed, refused elsewhere, never run."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import palio
from palio.errors import InvalidInput
from palio.registry.signature import Feature, FeatureType, Signature, Task

from .servers import LABELS, PATIENCE_S, SAMPLE, environment, model, serving

ROWS = SAMPLE[:5].tolist()
USERS_OWN = """
import numpy as np

class Above:
    def __init__(self, limit):
        self.limit = limit

    def predict(self, rows):
        return np.where(_total(rows) > self.limit, "accept", "decline")

def _total(rows):
    return rows.sum(axis=1)
"""


class Marking:
    """Pickled, it is a call that leaves a folder behind when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def told(store: str, *arguments: str, **more: str) -> tuple[int, str, str]:
    """Run the command ``palio`` in a process of its own, somewhere else."""
    done = subprocess.run(
        [sys.executable, "-m", "palio", "--store", store, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=environment(**more),
        timeout=PATIENCE_S * 4,
    )
    return done.returncode, done.stdout, done.stderr


def asked(store: str, **more: str) -> tuple[int, str, str]:
    return told(store, "predict", "credit", json.dumps(ROWS), "--json", **more)


def put(store: str, given: Any, **fields: Any) -> None:
    """Register credit:v1 as champion behind the endpoint credit."""
    with palio.connect(store) as opened:
        opened.register("credit", given, version="v1", **fields)
        opened.versions.promote("credit:v1")
        opened.endpoints.create("credit", "credit")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "code-was-run"


@pytest.fixture
def crafted(sqlite_url: str, mark: Path, tmp_path: Path) -> str:
    """Return a store whose champion is a file that runs code when it is unpickled."""
    path = tmp_path / "credit_model_v1.pkl"
    path.write_bytes(pickle.dumps(Marking(mark)))
    put(sqlite_url, path, sample=SAMPLE, target=LABELS)
    assert not mark.exists()
    return sqlite_url


def test_a_pickled_estimator_answers_in_another_process_where_that_is_allowed(
    sqlite_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "credit_model_v1.pkl"
    path.write_bytes(pickle.dumps(model()))
    put(sqlite_url, path, sample=SAMPLE, target=LABELS)
    code, out, err = asked(sqlite_url, PALIO_ALLOW_PICKLE="true")
    assert (code, err) == (0, "")
    answer = json.loads(out)
    # witness: the estimator itself, bit for bit
    assert answer["predictions"] == model().predict(SAMPLE[:5]).tolist()
    assert answer["probabilities"] == model().predict_proba(SAMPLE[:5]).tolist()


def test_an_estimator_saved_by_joblib_answers_in_another_process(sqlite_url: str) -> None:
    put(sqlite_url, model(), sample=SAMPLE, flavor="pickled")
    code, out, _ = asked(sqlite_url, PALIO_ALLOW_PICKLE="true")
    assert code == 0
    assert json.loads(out)["probabilities"] == model().predict_proba(SAMPLE[:5]).tolist()


def test_an_object_of_a_script_answers_where_its_code_is_not(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "palio_scripts_own.py").write_text(USERS_OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    import palio_scripts_own  # type: ignore[import-not-found]  # noqa: PLC0415

    above = palio_scripts_own.Above(0.5)
    put(sqlite_url, above, sample=SAMPLE)
    code, out, _ = asked(sqlite_url, PALIO_ALLOW_PICKLE="true")
    assert code == 0
    assert json.loads(out)["predictions"] == above.predict(SAMPLE[:5]).tolist()


def test_a_function_answers_bit_for_bit_over_http(sqlite_url: str) -> None:
    weights = np.array([0.1, 0.2, 0.3])
    with serving(sqlite_url, allow_pickle=True) as address, palio.connect(address) as remote:
        remote.register("credit", lambda rows: rows @ weights, version="v1", sample=SAMPLE)
        remote.versions.promote("credit:v1")
        remote.endpoints.create("credit", "credit")
        answer = remote.predict("credit", ROWS)
    assert answer.predictions == (SAMPLE[:5] @ weights).tolist()


def test_a_preprocessor_runs_before_its_model_in_another_process(sqlite_url: str) -> None:
    first = StandardScaler().fit(SAMPLE)
    behind = LogisticRegression().fit(first.transform(SAMPLE), LABELS)
    put(sqlite_url, behind, sample=SAMPLE, preprocessor=first)
    code, out, err = asked(sqlite_url)
    assert (code, err) == (0, "")
    # witness: both by hand
    expected = behind.predict_proba(first.transform(SAMPLE[:5])).tolist()
    assert json.loads(out)["probabilities"] == expected


def test_code_is_refused_and_not_run_by_palio_predict(crafted: str, mark: Path) -> None:
    code, out, err = asked(crafted)
    assert (code, out) == (6, "")  # docs/reference.md: exit codes
    problem = json.loads(err)
    assert problem["code"] == "untrusted_artifact"
    assert "credit:v1 is of flavor pickled: loading it runs code" in problem["detail"]
    assert "PALIO_ALLOW_PICKLE=true" in problem["detail"]
    assert not mark.exists()
    asked(crafted, PALIO_ALLOW_PICKLE="true")
    assert mark.is_dir()  # so the file would have run it


def test_code_is_refused_and_not_run_by_a_server(crafted: str, mark: Path) -> None:
    with serving(crafted) as address, httpx.Client(base_url=address, timeout=PATIENCE_S) as http:
        answer = http.post("/v1/predict/credit", json={"rows": ROWS})
        named = http.post("/v1/predict/credit", json={"rows": ROWS, "version": "v1"})
    for refused in (answer, named):
        problem = refused.json()
        assert problem["code"] == "untrusted_artifact"
        assert "PALIO_ALLOW_PICKLE=true" in problem["detail"]
        assert "Traceback" not in refused.text
    assert not mark.exists()


def test_code_that_was_swapped_is_not_run_where_code_is_allowed(
    sqlite_url: str, mark: Path, tmp_path: Path
) -> None:
    put(sqlite_url, model(), sample=SAMPLE, flavor="pickled")
    (file,) = tmp_path.glob("*-artifacts/credit/v1/model.joblib")
    file.write_bytes(pickle.dumps(Marking(mark)))
    code, out, err = asked(sqlite_url, PALIO_ALLOW_PICKLE="true")
    assert (code, out) == (6, "")
    assert json.loads(err)["code"] == "corrupt_artifact"
    assert not mark.exists()


def test_registering_over_http_runs_nothing(sqlite_url: str, mark: Path, tmp_path: Path) -> None:
    path = tmp_path / "credit.joblib"
    path.write_bytes(pickle.dumps(Marking(mark)))
    with serving(sqlite_url, allow_pickle=True) as address, palio.connect(address) as remote:
        version = remote.register("credit", path, version="v1", sample=SAMPLE, target=LABELS)
    assert version.flavor == "pickled"
    assert not mark.exists()


def test_a_pickle_of_unknown_answers_is_asked_about(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "credit.pkl"
    path.write_bytes(pickle.dumps(model()))
    with palio.connect(sqlite_url) as opened:
        with pytest.raises(InvalidInput, match=r"give target \(labels of the sample\) or a sig"):
            opened.register("credit", path, sample=SAMPLE)
        assert opened.models.list() == []


def test_an_estimator_that_skops_saves_needs_no_permission(sqlite_url: str) -> None:
    put(sqlite_url, LogisticRegression().fit(SAMPLE, LABELS), sample=SAMPLE)
    assert asked(sqlite_url)[0] == 0


def test_files_that_are_kept_serve_nobody(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"\0\1")
    signature = Signature(
        tuple(Feature(f"x{at}", FeatureType.NUMBER) for at in range(3)), Task.REGRESSION
    )
    put(sqlite_url, path, signature=signature)
    code, out, err = asked(sqlite_url, PALIO_ALLOW_PICKLE="true")
    assert (code, out) == (2, "")  # docs/reference.md: input that cannot be used
    assert "its files are kept as they are and answer no requests" in json.loads(err)["detail"]


def test_files_that_are_kept_need_no_signature(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"\0\1")
    put(sqlite_url, path)
    code, out, err = asked(sqlite_url)
    assert (code, out) == (2, "")  # docs/reference.md: input that cannot be used
    assert "its files are kept as they are and answer no requests" in json.loads(err)["detail"]
