"""The table of flavors, and how each is found by itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from palio.artifacts.flavors import (
    FLAVORS,
    HEAD_BYTES,
    Safety,
    model_file,
    named,
    needed,
    recognise,
)
from palio.errors import InvalidInput, MissingExtra


def test_every_flavor_has_the_name_it_is_listed_under() -> None:
    assert {name: named(name).name for name in FLAVORS} == {name: name for name in FLAVORS}


def test_every_flavor_says_how_safe_it_is() -> None:
    assert {type(named(name).safety) for name in FLAVORS} == {Safety}


def test_an_estimator_is_recognised() -> None:
    assert recognise(LogisticRegression()).name == "sklearn"


def test_a_function_is_recognised() -> None:
    assert recognise(lambda rows: rows).name == "callables"


@pytest.mark.parametrize(
    ("name", "content", "flavor"),
    [
        ("model.skops", b"PK\x03\x04", "sklearn"),
        ("credit.pkl", b"", "pickled"),
        ("credit.joblib", b"", "pickled"),
        ("anything", b"\x80\x04\x95", "pickled"),
        ("model.cloudpickle", b"\x80\x05\x95", "callables"),
        ("weights.npz", b"PK\x03\x04", "plain"),
    ],
)
def test_a_file_is_recognised_by_name_or_content(
    name: str, content: bytes, flavor: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert recognise(tmp_path / name).name == flavor


def test_a_folder_is_recognised_by_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("read me")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "model.skops").write_bytes(b"PK")
    assert recognise(tmp_path).name == "plain"
    (tmp_path / "model.skops").write_bytes(b"PK")
    assert recognise(tmp_path).name == "sklearn"


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.pkl cannot be read: No such file"):
        recognise(tmp_path / "none.pkl")


def test_another_object_is_refused_with_what_is_known() -> None:
    with pytest.raises(InvalidInput, match=r"a builtins\.dict is no model.*sklearn"):
        recognise({})


def test_an_unknown_name_is_refused_with_what_is_known() -> None:
    with pytest.raises(InvalidInput, match=r"'pickle' is no flavor.*sklearn"):
        named("pickle")


def test_the_model_among_the_files() -> None:
    files = {"notes.txt": b"", "credit.pkl": b"x" * (HEAD_BYTES + 1), "plots/a.pkl": b""}
    assert model_file(named("pickled"), files) == ("credit.pkl", files["credit.pkl"])
    with pytest.raises(InvalidInput, match=r"a\.pkl and b\.pkl could each be the model"):
        model_file(named("pickled"), {"b.pkl": b"", "a.pkl": b""})
    with pytest.raises(InvalidInput, match=r"no model of flavor pickled.*\(none\)"):
        model_file(named("pickled"), {})


def test_a_library_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert needed("json", extra="any") is sys.modules["json"]
    monkeypatch.setitem(sys.modules, "cloudpickle", None)  # as Python marks what cannot be had
    with pytest.raises(MissingExtra, match=r"pip install 'palio\[callables\]'") as caught:
        needed("cloudpickle", extra="callables")
    assert caught.value.details == {"extra": "callables", "library": "cloudpickle"}
