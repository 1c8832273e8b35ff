"""Every store keeps the same contract."""

from __future__ import annotations

import pytest

from palio.delivery.ports import DeliveryUnit
from palio.ports import Store
from palio.storage.store import SqlStore
from palio.testing.contracts import StoreContract
from palio.testing.memory import MemoryStore


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self, memory_store: MemoryStore) -> Store[DeliveryUnit]:
        return memory_store


class TestSqlite(StoreContract):
    @pytest.fixture
    def store(self, sqlite_store: SqlStore) -> Store[DeliveryUnit]:
        return sqlite_store


class TestPostgres(StoreContract):
    @pytest.fixture
    def store(self, postgres_store: SqlStore) -> Store[DeliveryUnit]:
        return postgres_store
