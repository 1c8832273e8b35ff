"""The registry: what is registered, loaded, promoted, and what is refused."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
import xgboost
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.dialects.documented import documents
from tests.dialects.exchanges import same_as_golden
from tests.e2e import servers

import palio
from palio.access.domain import Role
from palio.dialects.crowetrade import (
    ModelRegistry,
    ModelStatus,
    ModelType,
    create_model_metadata,
)
from palio.errors import (
    AlreadyExists,
    Conflict,
    CorruptArtifact,
    IllegalTransition,
    InvalidInput,
    NotFound,
    Unauthenticated,
    UntrustedArtifact,
)

from .conftest import FEATURES, ROWS, Desk, model

VOLATILE = ("created_at", "created_by", "model_checksum")


@documents(
    "crowetrade:versions", "crowetrade:metadata", "crowetrade:register", "crowetrade:policy",
    "crowetrade:exact", "crowetrade:latest", "crowetrade:backtest",
)  # fmt: skip
def test_the_documented_registration(desk: Desk) -> None:
    metadata = create_model_metadata(
        model_id="signal_v1",
        name="Signal Generation Model v1",
        version="1.0.0",
        model_type=ModelType.SIGNAL,
        created_by="data_scientist",
        description="LSTM-based signal generation",
        input_features=["returns", "volume", "volatility"],
        output_schema={"signal": "float", "confidence": "float"},
        framework="tensorflow",
        backtest_sharpe=1.8,
        backtest_returns=0.25,
    )
    trained_model = model()
    registry_id = desk.registry.register_model(
        model_object=trained_model,
        metadata=metadata,
        policy_config={"position_size": 0.02, "max_leverage": 3.0},
    )
    assert registry_id == "signal_v1:1.0.0"
    for asked in (("signal_v1",), ("signal_v1", "1.0.0"), ("signal_v1:1.0.0",)):
        loaded, found = desk.registry.get_model(*asked)
        assert loaded.predict(ROWS).tolist() == trained_model.predict(ROWS).tolist()
        for name in ("name", "model_type", "description", "framework", "output_schema"):
            assert getattr(found, name) == getattr(metadata, name)
        assert list(found.input_features) == ["returns", "volume", "volatility"]
        assert (found.backtest_sharpe, found.backtest_returns) == (1.8, 0.25)
        assert found.status is ModelStatus.DEVELOPMENT
    answer = httpx.Response(
        200, json=found.to_dict(), request=httpx.Request("CALL", "http://x/get_model")
    )
    same_as_golden("crowetrade/get_model", ["signal_v1", "1.0.0"], answer, volatile=VOLATILE)
    version = desk.native.versions.get("signal_v1:1.0.0")
    assert version.backtest == {"sharpe": 1.8, "returns": 0.25}
    assert version.policy == desk.registry.get_metadata(registry_id).policy_config
    assert version.policy == {"position_size": 0.02, "max_leverage": 3.0}
    assert version.created_by == ("data_scientist" if desk.in_process else "desk")
    assert found.created_by == version.created_by
    with pytest.raises(AlreadyExists, match="versions never change"):
        desk.registry.register_model(trained_model, metadata)


@documents("crowetrade:metadata", "crowetrade:backtest", "crowetrade:latency")
def test_other_metadata_than_the_document_shows(desk: Desk) -> None:
    desk.register(
        "risk_var:0.1.0",
        width=2,
        model_type=ModelType.RISK,
        backtest_max_dd=0.12,
        backtest_calmar=2.0,
        validation_score=0.9,
        hit_rate=0.61,
        latency_requirements=20.0,
        resource_requirements={"memory_mb": 512},
    )
    found = desk.registry.get_metadata("risk_var:0.1.0")
    assert (found.backtest_max_dd, found.backtest["calmar"]) == (0.12, 2.0)
    assert (found.validation_score, found.metrics["hit_rate"]) == (0.9, 0.61)
    assert found.latency_requirements == 20.0
    assert found.to_dict()["resource_requirements"] == {"memory_mb": 512}
    assert found.to_dict()["backtest_calmar"] == 2.0
    assert desk.registry.list_models(model_type=ModelType.RISK) == [found]
    assert desk.native.versions.get("risk_var:0.1.0").metrics["hit_rate"] == 0.61
    with pytest.raises(InvalidInput, match="backtest_note: metadata has no such field"):
        desk.register("risk_var:0.2.0", backtest_note="good")
    with pytest.raises(InvalidInput, match=r"created_by: .* at least 1 character"):
        desk.register("risk_var:0.2.0", created_by="")
    with pytest.raises(InvalidInput, match=r"output_schema: .* valid dictionary, got 'float'"):
        desk.register("risk_var:0.2.0", output_schema="float")


@documents("crowetrade:latest", "crowetrade:semver")
def test_the_latest_is_the_highest_number_in_use(desk: Desk) -> None:
    for version in ("1.2.0", "1.10.0", "1.9.9", "2.0.0-rc1", "nightly"):
        desk.register(f"execution_vwap:{version}")
    latest = desk.registry.get_model("execution_vwap")[1]
    assert latest.version == "2.0.0-rc1"
    desk.registry.promote_model("execution_vwap:2.0.0-rc1", ModelStatus.DEPRECATED)
    assert desk.registry.get_model("execution_vwap")[1].version == "1.10.0"
    with pytest.raises(NotFound, match=r"no version '9\.9\.9'"):
        desk.registry.get_model("execution_vwap", "9.9.9")
    with pytest.raises(NotFound, match="no model is named 'nobody'"):
        desk.registry.get_model("nobody")


@documents("crowetrade:promote", "crowetrade:approval", "crowetrade:audit", "crowetrade:lifecycle")
def test_the_documented_promotion(desk: Desk) -> None:
    desk.register("momentum:1.0.0")
    registry = desk.registry
    registry.promote_model("momentum:1.0.0", ModelStatus.TESTING)
    registry.promote_model("momentum:1.0.0", ModelStatus.STAGING)
    with pytest.raises(InvalidInput, match="needs approval for production"):
        registry.promote_model("momentum:1.0.0", ModelStatus.PRODUCTION)
    registry.promote_model("momentum:1.0.0", ModelStatus.PRODUCTION, approved_by="lead_quant")
    found = registry.get_metadata("momentum:1.0.0")
    who = "lead_quant" if desk.in_process else "desk"
    assert (found.status, found.approval_status) == (ModelStatus.PRODUCTION, "approved")
    assert (found.approved_by, found.approved_at is not None) == (who, True)
    assert desk.native.models.aliases("momentum") == {"champion": "1.0.0"}
    done = [(one["actor"], one["action"], one["reason"]) for one in registry.audit("momentum")]
    assert done[-1] == (who, "version.promote", "approved by lead_quant")
    assert [action for _, action, _ in done] == [
        "model.create", "version.register", "version.move", "version.move", "version.promote",
    ]  # fmt: skip
    assert desk.native.audit.verify().broken is None


@documents("crowetrade:lifecycle")
def test_the_life_has_the_documented_steps_and_no_others(desk: Desk) -> None:
    desk.register("carry:1.0.0")
    promote = desk.registry.promote_model
    for skipped in (ModelStatus.STAGING, ModelStatus.PRODUCTION, ModelStatus.ARCHIVED):
        with pytest.raises(IllegalTransition, match="allowed from development: testing, deprec"):
            promote("carry:1.0.0", skipped, approved_by="lead_quant")
    for status in (ModelStatus.TESTING, ModelStatus.STAGING, ModelStatus.PRODUCTION):
        promote("carry:1.0.0", status, approved_by="lead_quant")
    promote("carry:1.0.0", ModelStatus.DEPRECATED, approved_by="lead_quant")
    assert desk.native.models.aliases("carry") == {}
    promote("carry:1.0.0", ModelStatus.ARCHIVED)
    assert desk.registry.get_metadata("carry:1.0.0").status is ModelStatus.ARCHIVED
    for version, through in (
        ("1.1.0", []),
        ("1.2.0", ["testing"]),
        ("1.3.0", ["testing", "staging"]),
    ):
        desk.register(f"carry:{version}")
        for status in through:
            promote(f"carry:{version}", status)
        promote(f"carry:{version}", ModelStatus.DEPRECATED)
    with pytest.raises(InvalidInput, match="'gold' is no stage"):
        promote("carry:1.1.0", "gold")


@documents("crowetrade:lifecycle")
def test_who_follows_in_production_deprecates_who_was_there(desk: Desk) -> None:
    for version in ("1.0.0", "2.0.0"):
        desk.register(f"pairs:{version}")
        for status in ("testing", "staging", "production"):
            desk.registry.promote_model(f"pairs:{version}", status, approved_by="lead_quant")
    assert desk.native.versions.get("pairs:1.0.0").stage == "deprecated"
    assert desk.native.models.rollback("pairs", "it loses").version == "1.0.0"
    statuses = {
        one.version: one.status for one in desk.registry.list_models() if one.model_id == "pairs"
    }
    assert statuses == {"1.0.0": ModelStatus.PRODUCTION, "2.0.0": ModelStatus.DEPRECATED}


@documents("crowetrade:checksums")
def test_a_file_that_was_changed_is_refused_before_it_is_a_model(desk: Desk) -> None:
    desk.register("stat_arb:1.0.0")
    told = desk.registry.verify_model("stat_arb:1.0.0")
    manifest = desk.native.versions.get("stat_arb:1.0.0").manifest
    assert told["model_checksum"] == manifest.digest
    assert told["files"] == {one.path: one.sha256 for one in manifest.files}
    path = desk.folder / "files" / "stat_arb" / "1.0.0" / "model.skops"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(CorruptArtifact, match=r"model\.skops"):
        desk.registry.get_model("stat_arb")
    with pytest.raises(CorruptArtifact, match=r"model\.skops"):
        desk.registry.verify_model("stat_arb:1.0.0")


@documents("crowetrade:signing")
def test_versions_are_signed_where_that_is_wanted(desk: Desk) -> None:
    desk.register("vol_surface:1.0.0")
    assert desk.registry.verify_model("vol_surface:1.0.0")["signed_by"] == []
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    made = desk.registry.sign_model("vol_surface:1.0.0", pem)
    assert desk.registry.verify_model("vol_surface:1.0.0")["signed_by"] == [made.key_id]
    assert [one.key_id for one in desk.native.versions.attestations("vol_surface:1.0.0")] == [
        made.key_id
    ]


@documents("crowetrade:clean-up")
def test_old_versions_are_deleted_unless_something_needs_them(desk: Desk) -> None:
    for version in ("1.0.0", "1.1.0"):
        desk.register(f"twap:{version}")
    for status in ("testing", "staging", "production"):
        desk.registry.promote_model("twap:1.1.0", status, approved_by="lead_quant")
    assert desk.registry.delete_model("twap:1.0.0", "old") is True
    assert not (desk.folder / "registry" / "models" / "twap" / "1.0.0").exists()
    assert not (desk.folder / "registry" / "metadata" / "twap:1.0.0.json").exists()
    with pytest.raises(Conflict, match="alias twap@champion"):
        desk.registry.delete_model("twap:1.1.0")
    desk.native.versions.restore("twap:1.0.0")


@documents("crowetrade:register", "crowetrade:metadata")
def test_what_comes_back_is_what_was_registered(desk: Desk) -> None:
    names = pd.DataFrame(ROWS, columns=FEATURES).columns
    trained = xgboost.XGBRegressor(n_estimators=3).fit(ROWS, ROWS[:, 0])
    metadata = create_model_metadata(
        model_id="boosted", name="b", version="1.0.0", model_type="signal", created_by="ds",
        input_features=names, backtest_sharpe=np.float32(1.5),
    )  # fmt: skip
    desk.registry.register_model(trained, metadata)
    loaded, found = desk.registry.get_model("boosted")
    assert type(loaded) is xgboost.XGBRegressor
    assert loaded.predict(ROWS).tolist() == trained.predict(ROWS).tolist()
    assert (list(found.input_features), found.backtest_sharpe) == (FEATURES, 1.5)
    assert desk.native.versions.get("boosted:1.0.0").flavor == "xgboost"


def rebalance(table: object) -> list[float]:
    """Answer every row alike."""
    return [0.5 for _ in table]  # type: ignore[attr-defined]


@documents("crowetrade:register", "crowetrade:formats")
@pytest.mark.parametrize(("name", "made"), [("function", rebalance), ("table", {"w": [0.6, 0.4]})])
def test_objects_of_code_are_kept_and_made_only_where_that_is_allowed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, made: object
) -> None:
    metadata = create_model_metadata(
        model_id=f"portfolio_{name}", name=name, version="1.0.0", model_type="portfolio",
        created_by="ds",
    )  # fmt: skip
    desk.registry.register_model(made, metadata)
    with pytest.raises(UntrustedArtifact, match="PALIO_ALLOW_PICKLE"):
        desk.registry.get_model(f"portfolio_{name}")
    monkeypatch.setenv("PALIO_ALLOW_PICKLE", "true")
    loaded, found = desk.registry.get_model(f"portfolio_{name}")
    assert found.model_type is ModelType.PORTFOLIO
    assert (loaded(ROWS[:2]) if callable(loaded) else loaded) == (
        [0.5, 0.5] if callable(made) else made
    )
    assert desk.native.versions.get(f"portfolio_{name}:1.0.0").flavor == "callables"


def test_four_eyes_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIO_CROWETRADE_FOUR_EYES", "true")
    with ModelRegistry(tmp_path / "registry") as registry:
        metadata = create_model_metadata(
            model_id="m", name="m", version="1", model_type="signal", created_by="ann",
            input_features=["a", "b", "c"],
        )  # fmt: skip
        registry.register_model(model(), metadata)
        for status in (ModelStatus.TESTING, ModelStatus.STAGING):
            registry.promote_model("m:1", status)
        with pytest.raises(Conflict, match="someone other than its creator"):
            registry.promote_model("m:1", ModelStatus.PRODUCTION, approved_by="ann")
        registry.promote_model("m:1", ModelStatus.PRODUCTION, approved_by="bob")
        assert registry.get_metadata("m:1").approved_by == "bob"


def test_versions_that_were_made_by_others_are_seen(desk: Desk) -> None:
    desk.native.register("native", model(), version="v1", sample=ROWS, metrics={"r2": 0.5})
    found = desk.registry.get_model("native")[1]
    assert (found.version, found.model_type, found.metrics) == ("v1", "", {"r2": 0.5})
    assert list(found.input_features) == ["x0", "x1", "x2"]
    assert found.status is ModelStatus.DEVELOPMENT
    assert dataclasses.replace(found, description="x").description == "x"
    desk.registry.promote_model("native:v1", ModelStatus.PRODUCTION, approved_by="lead_quant")
    assert desk.native.models.aliases("native") == {"champion": "v1"}


def test_a_registry_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"registry_path .* cannot be a folder: File exists"):
        ModelRegistry(tmp_path / "file")


def test_a_server_needs_a_key(prepared_sqlite: Path, tmp_path: Path) -> None:
    store = shutil.copy(prepared_sqlite, str(tmp_path / "palio.db"))
    with palio.connect(store) as native, servers.serving(store, evaluate_s=0) as address:
        native.keys.create("ann", Role.ADMIN)
        with pytest.raises(Unauthenticated):
            ModelRegistry(address).list_models()


@documents("crowetrade:drift")
def test_drift_of_what_is_served(prepared_sqlite: Path, tmp_path: Path) -> None:
    store = shutil.copy(prepared_sqlite, str(tmp_path / "palio.db"))
    rng = np.random.default_rng(5)
    with (
        servers.serving(store, evaluate_s=0) as address,
        ModelRegistry(address) as registry,
        palio.connect(address) as native,
    ):
        metadata = create_model_metadata(
            model_id="drifting", name="d", version="1.0.0", model_type="signal", created_by="ds",
            input_features=["returns", "volume", "volatility"],
        )  # fmt: skip
        registry.register_model(model(), metadata)
        assert registry.get_model_drift("drifting:1.0.0")["features"] == {}
        native.endpoints.create("drifting", "drifting")
        for shift in (0.0, 0.0, 2.0, 2.0):
            rows = rng.normal((0.0, shift, 0.0), size=(600, 3))
            native.predict("drifting", rows.tolist(), version="1.0.0")
            registry.get_model_drift("drifting:1.0.0")  # what has come is counted at once
        found = registry.get_model_drift("drifting:1.0.0")
        assert found["reference_rows"] == 1_000
        moved, kept = found["features"]["volume"], found["features"]["returns"]
        assert moved["index"] > 0.2
        assert kept["index"] < 0.1
        told = native.versions.drift("drifting:1.0.0").features["volume"]
        assert (moved["index"], moved["by_chance"]) == (told.index, told.by_chance)


def test_a_setting_that_cannot_be_used_is_named_as_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIO_CROWETRADE_EXPORT_MODELS", "perhaps")
    with pytest.raises(InvalidInput, match="setting PALIO_CROWETRADE_EXPORT_MODELS: Input should"):
        ModelRegistry(tmp_path / "registry")
