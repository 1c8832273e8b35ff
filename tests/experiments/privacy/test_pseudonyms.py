"""Unit ids as they are kept: hashed with a key wherever something is kept, and never mixed."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.worlds import home, world_files

import palio
from palio.errors import InvalidInput, PalioError, Refused
from palio.experiments.events import OutcomeDraft
from palio.experiments.judging.analysis import Report
from palio.experiments.privacy.marks import UNIT_KEY
from palio.experiments.privacy.pseudonyms import AS_SENT, Pseudonyms, agree
from palio.platform import verbs
from palio.settings import Settings
from palio.testing.memory import MemoryStore
from palio.testing.records import RECORDS, design, prediction
from palio.testing.wired import Wired

__all__ = ["home", "world_files"]

SECRET = "correct horse battery staple"
KEYED = Pseudonyms.by(SECRET)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
UNIT = "ann.lee@example.org"


def test_a_pseudonym_is_the_first_half_of_a_keyed_hash() -> None:
    """HMAC written out as RFC 2104 has it: the hash of a hash, over two padded keys."""
    padded = SECRET.encode().ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + UNIT.encode()).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).hexdigest()
    assert KEYED.of(UNIT) == f"u_{outer[:32]}"
    assert hmac.new(SECRET.encode(), UNIT.encode(), "sha256").hexdigest() == outer


def test_without_a_key_ids_are_kept_as_they_were_sent() -> None:
    assert Pseudonyms.by(None).of(UNIT) == UNIT
    assert AS_SENT.fingerprint is None


def test_a_key_is_never_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PALIO_UNIT_KEY", SECRET)
    told = [repr(KEYED), str(KEYED), repr(Settings()), str(Settings().model_dump_json())]
    told.append(repr(Wired(MemoryStore(), pseudonyms=KEYED)))
    told.append(repr(Wired(MemoryStore(), pseudonyms=KEYED).outcomes))
    assert not [text for text in told if SECRET in text]


def test_a_short_key_is_refused_and_not_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PALIO_UNIT_KEY", "fifteen-letters")
    with pytest.raises(InvalidInput, match="has 15 characters, at least 16") as refused:
        palio.connect(tmp_path / "palio.db")
    whole = "".join(traceback.format_exception(refused.value)) + repr(refused.value.details)
    assert "fifteen-letters" not in whole
    assert not (tmp_path / "palio.db").exists()


def test_a_store_remembers_its_key() -> None:
    store = MemoryStore()
    agree(store, AS_SENT, NOW)
    agree(store, KEYED, NOW)
    agree(store, KEYED, NOW)
    with store.read() as unit:
        [mark] = unit.marks.find()
    assert (mark.name, mark.at) == (UNIT_KEY, NOW)
    assert SECRET not in mark.value
    with pytest.raises(Refused, match="hashed since 2026-01-02, and PALIO_UNIT_KEY is not set"):
        agree(store, AS_SENT, NOW)
    with pytest.raises(Refused, match="is another key; set it to the key"):
        agree(store, Pseudonyms.by(SECRET[::-1]), NOW)


@pytest.mark.parametrize("kept", ["events", "unit_values", "sticky"])
def test_a_store_with_units_as_they_were_sent_takes_no_key(kept: str) -> None:
    store = MemoryStore()
    with store.write() as unit:
        if kept == "events":
            unit.log.append([prediction("r")])
        else:
            getattr(unit, kept).put_many(RECORDS[kept])
    with pytest.raises(Refused, match="Unset it, or begin a new store"):
        agree(store, KEYED, NOW)
    agree(store, AS_SENT, NOW)


# -- everything that keeps a unit, on a file


@pytest.fixture
def keyed(home: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[palio.Palio]:
    monkeypatch.setenv("PALIO_UNIT_KEY", SECRET)
    with palio.connect(home) as opened:
        yield opened


def use(p: palio.Palio, units: int = 30) -> Report:
    """Predict, assign and record outcomes by request and by unit; return the analysis."""
    variants = [replace(one, version=f"v{one.version}") for one in design().variants]
    metrics = replace(design().metrics, secondary=("revenue:higher",))
    p.experiments.draft(design(variants=tuple(variants), metrics=metrics))
    p.experiments.start("exp")
    for number in range(units):
        name = UNIT if number == 0 else f"customer-{number}@example.org"
        answer = p.predict("credit", [[0.1, 0.2, 0.3]], unit=name, request_id=f"r{number}")
        assigned = p.experiments.assign("credit", name)
        assert (assigned.unit, assigned.variant) == (name, answer.variant)
        p.outcomes.record(
            [
                OutcomeDraft(request_id=f"r{number}", value=number % 2),
                OutcomeDraft(unit=name, name="revenue", value=number),
            ]
        )
    assert p.experiments.verify("exp").differences == ()
    return p.experiments.analyze("exp")


def kept_bytes(home: str) -> bytes:
    """Return all that the store's files hold."""
    return b"".join(path.read_bytes() for path in Path(home).parent.glob("palio.db*"))


def test_no_byte_of_a_store_is_a_unit(keyed: palio.Palio, home: str) -> None:
    use(keyed)
    pseudonym = KEYED.of(UNIT)
    assert b"example.org" not in kept_bytes(home)
    assert pseudonym.encode() in kept_bytes(home)


def test_a_request_that_is_its_own_unit_is_hashed_as_any(keyed: palio.Palio, home: str) -> None:
    keyed.predict("credit", [[0.1, 0.2, 0.3]], request_id="req-77")
    assert f'"request_id":"req-77","unit":"{KEYED.of("req-77")}"'.encode() in kept_bytes(home)


def without_times(report: Report) -> Any:
    """Return an analysis without what differs from run to run: moments and latencies."""
    arms = [replace(arm, metrics={**arm.metrics, "latency_ms": None}) for arm in report.arms]  # type: ignore[dict-item]
    return arms, report.contrasts, report.decision.kind, report.sample_ratio, report.watermark


def test_the_numbers_are_those_without_a_key(
    world_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "new_id", lambda prefix: f"{prefix}1")  # the same salt
    reports = []
    for name, secret in (("plain", None), ("keyed", SECRET)):
        shutil.copytree(world_files, tmp_path / name)
        if secret is not None:
            monkeypatch.setenv("PALIO_UNIT_KEY", secret)
        with palio.connect(tmp_path / name / "palio.db") as p:
            variants = [replace(one, version=f"v{one.version}") for one in design().variants]
            p.experiments.draft(design(variants=tuple(variants)))
            p.experiments.start("exp")
            for number in range(40):
                p.predict(
                    "credit", [[0.1, number, 0.3]], unit=f"c{number}", request_id=f"{number}"
                )
                p.outcomes.record([OutcomeDraft(request_id=f"{number}", value=number % 2)])
            reports.append(without_times(p.experiments.analyze("exp")))
    assert reports[0] == reports[1]


@pytest.mark.usefixtures("keyed")
def test_another_process_without_the_key_is_refused(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PALIO_UNIT_KEY")
    with pytest.raises(Refused, match="PALIO_UNIT_KEY is not set"):
        palio.connect(home)
    monkeypatch.setenv("PALIO_UNIT_KEY", SECRET.upper())
    with pytest.raises(PalioError, match="is another key") as refused:
        palio.connect(home)
    assert SECRET.upper() not in str(refused.value)


def test_a_unit_is_the_same_through_every_door(keyed: palio.Palio) -> None:
    """A correction by unit finds what was sent before; its history names the pseudonym."""
    for value in (1.0, 2.0):
        draft = OutcomeDraft(unit=UNIT, name="revenue", value=value, outcome_id="sale-1")
        receipt = keyed.outcomes.record([draft])
    assert (receipt.accepted, receipt.corrected) == (1, 1)
    assert {one.unit for one in keyed.outcomes.history("sale-1")} == {KEYED.of(UNIT)}
