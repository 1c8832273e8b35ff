"""What may be loaded, by the safety of its flavor."""

from __future__ import annotations

import pytest

from palio.artifacts.flavors import FLAVORS, Safety, named
from palio.artifacts.policy import NOTHING_TRUSTED, Trust
from palio.errors import InvalidInput, UntrustedArtifact

CODE = {name for name in FLAVORS if named(name).safety is Safety.CODE}


def test_the_flavors_that_run_code() -> None:
    # witness: what their libraries' pages say of loading
    assert {"callables", "mlflow", "pickled"} == CODE
    assert named("sklearn").safety is Safety.CHECKED


def test_code_is_loaded_only_where_it_is_allowed() -> None:
    for name in CODE:
        assert not NOTHING_TRUSTED.allows(named(name))
        with pytest.raises(UntrustedArtifact, match=r"runs code.*PALIO_ALLOW_PICKLE=true.*skops"):
            NOTHING_TRUSTED.check(named(name), "credit:v1")
        Trust(allow_pickle=True).check(named(name), "credit:v1")


def test_data_needs_no_permission() -> None:
    for name in FLAVORS.keys() - CODE - {"plain"}:
        NOTHING_TRUSTED.check(named(name), "credit:v1")


def test_kept_files_are_never_loaded() -> None:
    with pytest.raises(InvalidInput, match=r"credit:v1 is of flavor plain.*answer no requests"):
        Trust(allow_pickle=True).check(named("plain"), "credit:v1")
