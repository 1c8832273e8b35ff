"""Which code travels with a model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import pytest

from palio.artifacts.flavors.callables.origin import carried

SOURCE = "def double(rows):\n    return scaled(rows[:, 0])\n\ndef scaled(x):\n    return x * 2\n"
LOAD = (
    "import sys, pickle, numpy as np; "
    "print(pickle.load(open(sys.argv[1], 'rb'))(np.array([[4.0]])).tolist())"
)


def test_code_of_a_script_is_there_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "palio_users_own.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import palio_users_own  # type: ignore[import-not-found]  # noqa: PLC0415

    with carried(palio_users_own.double, cloudpickle):
        (tmp_path / "with").write_bytes(cloudpickle.dumps(palio_users_own.double))
    (tmp_path / "without").write_bytes(cloudpickle.dumps(palio_users_own.double))
    loaded, unloaded = (
        subprocess.run(
            [sys.executable, "-c", LOAD, str(tmp_path / name)],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        for name in ("with", "without")
    )
    assert loaded.stdout == "[8.0]\n"  # twice four
    assert "No module named 'palio_users_own'" in unloaded.stderr  # so it was needed


def test_nothing_stays_registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "palio_users_other.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import palio_users_other  # type: ignore[import-not-found]  # noqa: PLC0415

    with carried(palio_users_other.double, cloudpickle):
        assert cloudpickle.list_registry_pickle_by_value() == {"palio_users_other"}
        with carried(palio_users_other.scaled, cloudpickle):
            pass  # the user's own registration, here the outer one, is left alone
        assert cloudpickle.list_registry_pickle_by_value() == {"palio_users_other"}
    assert cloudpickle.list_registry_pickle_by_value() == set()


def test_installed_packages_are_only_named() -> None:
    for installed in (np.linalg.norm, Path.cwd, len, carried):
        with carried(installed, cloudpickle):
            assert cloudpickle.list_registry_pickle_by_value() == set()
