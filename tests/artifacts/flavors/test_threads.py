"""Small tables on one thread."""

from __future__ import annotations

import xgboost  # noqa: F401  brings a runtime of OpenMP
from threadpoolctl import threadpool_info

from palio.artifacts.flavors.threads import FewThreads


def threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]


def test_a_small_table_has_one_thread_and_a_large_one_all() -> None:
    few, before = FewThreads(), threads()
    with few.over(2048):
        assert set(threads()) == {1}
    with few.over(2049):
        assert threads() == before
    assert threads() == before
