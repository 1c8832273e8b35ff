"""``train`` with every option: what is registered, and what lies in the registry's folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import polars as pl
import pytest
from tests.dialects.documented import documents

from palio.demo.loan_book import TARGET, loan_book
from palio.training.train import train as train_natively

from .conftest import Cli, Town

Told = Callable[..., Any]
CREDIT = Path(__file__).parents[4] / "shared" / "data" / "credit_default.csv"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def loans(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """A table to learn from, named by the settings."""
    assert town.store
    frame = loan_book(600, seed=3)
    frame.write_csv(tmp_path / "loans.csv")
    monkeypatch.setenv("PALIO_CREDTECH_DATA", str(tmp_path / "loans.csv"))
    monkeypatch.setenv("PALIO_CREDTECH_TARGET", TARGET)
    return frame


@documents(
    "credtech:train", "credtech:train-version", "credtech:train-register",
    "credtech:train-promote", "credtech:train-description", "credtech:model-version",
    "credtech:promote-production", "credtech:registry-keeps", "credtech:tree",
    "credtech:tree-model", "credtech:tree-metadata", "credtech:tree-metrics",
    "credtech:tree-plots", "credtech:tree-index", "credtech:versioning",
)  # fmt: skip
def test_the_documented_training(town: Town, told: Told, loans: pl.DataFrame) -> None:
    made = told(
        "train", "--version", "v1.2.0", "--register", "--promote",
        "--description", "Improved model with additional features",
    )  # fmt: skip
    assert (made["model_id"], made["is_production"]) == ("v1.2.0", True)
    with town.native() as opened:
        version = opened.versions.get("credtech@champion")
        assert (version.version, version.stage) == ("v1.2.0", "production")
        assert version.description == "Improved model with additional features"
        assert opened.models.get("credtech").lifecycle == "credtech"
        assert opened.endpoints.get("credtech").model == "credtech"
        rows = loans.drop(TARGET).head(20).to_dicts()
        served = opened.predict("credtech", rows)
        plots = opened.versions.plots("credtech:v1.2.0")

    folder = town.registry / "models" / "v1.2.0"
    assert town.read("models/v1.2.0/metrics.json") == dict(version.metrics)
    # the same split, seed and fit by the trainer itself
    expected = train_natively(loans, target=TARGET)
    assert version.metrics == expected.metrics
    metadata = town.read("models/v1.2.0/metadata.json")
    assert metadata["description"] == version.description
    assert metadata["status"] == "active"
    assert metadata["training"]["fingerprint"] == version.training["fingerprint"]
    assert town.read("registry.json")["production_model_id"] == "v1.2.0"
    for native, here in (("calibration", "calibration_curve"), ("roc", "roc_curve"),
                         ("precision_recall", "pr_curve")):  # fmt: skip
        image = (folder / "plots" / f"{here}.png").read_bytes()
        assert image.startswith(PNG)
        assert image == plots[f"plots/{native}.png"]
    loaded = joblib.load(folder / "model.joblib")
    assert version.signature is not None
    inputs = np.array(version.signature.table(rows), dtype=object)
    assert loaded.predict_proba(inputs).tolist() == served.probabilities


@documents("credtech:train-timestamp", "credtech:train-register", "credtech:versioning",
           "credtech:train-version")  # fmt: skip
@pytest.mark.usefixtures("loans")
def test_a_version_is_made_from_the_time_or_from_any_text(
    town: Town, told: Told, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIO_CREDTECH_ESTIMATOR", "gradient-boosting")
    with town.native() as opened:
        before = _aliases(opened)
    made = told("train", "--register")
    assert re.fullmatch(r"\d{8}T\d{6}Z", made["model_id"])
    named = told("train", "--version", "release 7/b", "--register")
    assert (named["model_id"], named["version"]) == ("release-7-b", "release 7/b")
    with town.native() as opened:
        versions = {one.version: one for one in opened.versions.list("credtech")}
        assert {made["model_id"], "release-7-b"} <= set(versions)
        assert versions["release-7-b"].architecture == "gradient-boosting"
        assert versions["release-7-b"].stage == "active"
        assert _aliases(opened) == before  # nothing was promoted
    assert (town.registry / "models" / "release-7-b" / "model.joblib").exists()
    monkeypatch.setenv("PALIO_CREDTECH_DATA", "nowhere.csv")  # it is refused before it is read
    code, _, err = cli("train", "--version", "release 7/b", "--register")
    assert (code, "release-7-b exists" in err) == (4, True)  # a version never changes
    code, _, err = cli("train", "--version", "…")
    assert (code, "no letter or digit" in err) == (2, True)


def _aliases(opened: Any) -> dict[str, str]:
    return dict(opened.models.aliases("credtech")) if opened.models.list() else {}


@documents("credtech:train-register", "credtech:versioning")
@pytest.mark.parametrize("module_store", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("loans")
def test_without_register_the_files_are_left_beside_the_registry(
    town: Town, told: Told, cli: Cli
) -> None:
    made = told("train", "--version", "draft", "--description", "only to look at")
    assert made["status"] == "not registered"
    folder = town.registry.parent / "draft"
    assert made["saved_in"] == str(folder)
    assert sorted(one.name for one in folder.rglob("*.*")) == [
        "calibration_curve.png", "metadata.json", "metrics.json", "model.joblib",
        "pr_curve.png", "roc_curve.png",
    ]  # fmt: skip
    assert "draft" not in {one["model_id"] for one in told("list-models")}
    assert cli("get-model", "draft")[0] == 3
    code, _, err = cli("train", "--version", town.registry.name)
    assert (code, "the registry's own folder" in err) == (4, True)
    assert not (town.registry / "model.joblib").exists()


@documents("credtech:train")
@pytest.mark.parametrize("module_store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("missing", ["DATA", "TARGET"])
def test_without_data_the_command_says_what_to_set(
    town: Town, cli: Cli, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("PALIO_CREDTECH_DATA", "loans.csv")
    monkeypatch.setenv("PALIO_CREDTECH_TARGET", "default")
    monkeypatch.delenv(f"PALIO_CREDTECH_{missing}")
    code, out, err = cli("train", "--register")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: PALIO_CREDTECH_{missing} is not set")
    assert err.strip().removeprefix("error: ") in town.log.read_text(encoding="utf-8")


@documents("credtech:train")
@pytest.mark.parametrize("module_store", ["sqlite"], indirect=True)
def test_it_trains_on_real_credit_data(
    town: Town, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not CREDIT.exists() and not os.environ.get("PALIO_CI"):
        pytest.skip("the credit data do not lie beside this checkout")
    lines = CREDIT.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "credit.csv").write_text("".join(lines[:4_001]), encoding="utf-8")
    monkeypatch.setenv("PALIO_CREDTECH_MODEL", "taiwan")
    monkeypatch.setenv("PALIO_CREDTECH_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("PALIO_CREDTECH_DATA", str(tmp_path / "credit.csv"))
    monkeypatch.setenv("PALIO_CREDTECH_TARGET", "default.payment.next.month")
    monkeypatch.setenv("PALIO_CREDTECH_DROP", "ID, SEX")
    made = told("train", "--version", "v1", "--promote")
    assert 0.65 < made["metrics"]["roc_auc"] < 0.85  # logistic regressions on it reach 0.7
    assert not {"ID", "SEX"} & set(made["features"])
    with town.native() as opened:
        assert opened.models.aliases("taiwan")["champion"] == "v1"
    assert (tmp_path / "registry" / "models" / "v1" / "model.joblib").exists()
