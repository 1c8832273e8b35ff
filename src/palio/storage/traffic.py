"""Traffic per second, read and removed by stretches of time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from palio.delivery.traffic import TrafficCounts
from palio.storage.collections import SqlCollection
from palio.storage.tables import traffic_counts

__all__ = ["SqlTraffic"]


class SqlTraffic(SqlCollection[TrafficCounts]):
    """Counts in the table ``traffic_counts``, whose key begins with the second."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, traffic_counts, TrafficCounts)

    def since(self, second: int, *, endpoint: str | None = None) -> Sequence[TrafficCounts]:
        """Return the counts of a second and of those after it."""
        query = select(traffic_counts).where(traffic_counts.c.second >= second)
        if endpoint is not None:
            query = query.where(traffic_counts.c.endpoint == endpoint)
        return [self._read(row) for row in self._connection.execute(query)]

    def forget(self, before: int) -> int:
        """Remove the counts of the seconds before one."""
        statement = traffic_counts.delete().where(traffic_counts.c.second < before)
        return self._connection.execute(statement).rowcount
