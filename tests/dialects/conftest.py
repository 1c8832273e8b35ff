"""A run that was asked for all dialects fails where a documented item passed in no test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from .documented import DIALECTS, document

_PASSED: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and report.passed:
        for mark in item.iter_markers("documents"):
            _PASSED.update(mark.args)
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A test that was skipped shows nothing, where everything must be there."""
    whole = os.environ.get("PALIO_CI") and not session.config.option.keyword
    if not whole or session.testsfailed or exitstatus != pytest.ExitCode.OK:
        return
    here = [one for one in session.items if one.get_closest_marker("documents") is not None]
    tested = {str(name).partition(":")[0] for one in here for mark in one.iter_markers("documents")
              for name in mark.args}  # fmt: skip
    if not set(DIALECTS) <= tested:
        return  # only a part was asked for
    promised = {item.id for name in DIALECTS for item in document(name).items}
    if missing := sorted(promised - _PASSED):
        print(f"\ndocumented, and shown by no test that passed: {', '.join(missing)}")  # noqa: T201
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Address of an empty store: a SQLite file, then a PostgreSQL database."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def module_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of an empty store that a module shares: a SQLite file, then PostgreSQL."""
    if request.param == "sqlite":
        prepared = request.getfixturevalue("prepared_sqlite")
        return str(shutil.copy(prepared, tmp_path_factory.mktemp("store") / "palio.db"))
    new, prepared = map(request.getfixturevalue, ("new_postgres", "prepared_postgres"))
    return str(new(prepared))
