"""The store: an engine, and the units of work it opens."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, select
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from palio.access.alerts import Alert, AlertDelivery
from palio.access.domain import ApiKey
from palio.bucketing import Split
from palio.delivery.deployments.domain import Deployment
from palio.delivery.domain import Endpoint
from palio.delivery.traffic import ProcessUse, TrafficTotals
from palio.delivery.uses import uses_within
from palio.errors import Conflict, InvalidInput, MissingExtra, StoreUnavailable
from palio.experiments.domain import Experiment
from palio.experiments.folding.statistics import (
    ContrastSums,
    Cursor,
    Falls,
    MetricSums,
    ReportedSums,
    UnitValues,
    VariantCounts,
)
from palio.experiments.judging.analysis import Crossing, Look, Record
from palio.experiments.lease import Lease
from palio.experiments.privacy.marks import StoreMark
from palio.experiments.weights.published import Published
from palio.experiments.weights.sticky import StickyAssignment
from palio.registry.domain import AliasMove, Attestation, Model, Use
from palio.registry.drift import FeatureCounts, FeatureReference
from palio.registry.lifecycle import Lifecycle
from palio.registry.quality import QualitySums
from palio.storage import tables
from palio.storage.collections import SqlCollection, names_nothing
from palio.storage.log import SqlAuditLog, SqlEventLog
from palio.storage.traffic import SqlTraffic
from palio.storage.versions import SqlVersions

__all__ = ["SqlStore", "SqlUnit", "engine_for", "translated_errors"]

_BUSY_MS = 10_000
_AGAIN_S = 0.02  # before a file that is locked is tried again


class SqlUnit:
    """One transaction: every collection that a noun asks for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def keys(self) -> SqlCollection[ApiKey]:
        """API keys."""
        return SqlCollection(self._connection, tables.keys, ApiKey)

    @cached_property
    def alerts(self) -> SqlCollection[Alert]:
        """Alerts."""
        return SqlCollection(self._connection, tables.alerts, Alert)

    @cached_property
    def alert_deliveries(self) -> SqlCollection[AlertDelivery]:
        """Deliveries of alerts."""
        return SqlCollection(self._connection, tables.alert_deliveries, AlertDelivery)

    @cached_property
    def audit(self) -> SqlAuditLog:
        """The audit log."""
        return SqlAuditLog(self._connection)

    @cached_property
    def models(self) -> SqlCollection[Model]:
        """Models."""
        return SqlCollection(self._connection, tables.models, Model)

    @cached_property
    def lifecycles(self) -> SqlCollection[Lifecycle]:
        """The users' own lifecycles."""
        return SqlCollection(self._connection, tables.lifecycles, Lifecycle)

    @cached_property
    def versions(self) -> SqlVersions:
        """Versions."""
        return SqlVersions(self._connection)

    @cached_property
    def feature_references(self) -> SqlCollection[FeatureReference]:
        """What versions' features were like at first."""
        return SqlCollection(self._connection, tables.feature_references, FeatureReference)

    @cached_property
    def feature_counts(self) -> SqlCollection[FeatureCounts]:
        """What they have been like since."""
        return SqlCollection(self._connection, tables.feature_counts, FeatureCounts)

    @cached_property
    def quality_sums(self) -> SqlCollection[QualitySums]:
        """What labels say of answers."""
        return SqlCollection(self._connection, tables.quality_sums, QualitySums)

    @cached_property
    def attestations(self) -> SqlCollection[Attestation]:
        """Signatures over files of versions."""
        return SqlCollection(self._connection, tables.attestations, Attestation)

    @cached_property
    def alias_moves(self) -> SqlCollection[AliasMove]:
        """Moves of aliases."""
        return SqlCollection(self._connection, tables.alias_moves, AliasMove)

    @cached_property
    def endpoints(self) -> SqlCollection[Endpoint]:
        """Endpoints."""
        return SqlCollection(self._connection, tables.endpoints, Endpoint)

    @cached_property
    def deployments(self) -> SqlCollection[Deployment]:
        """Deployments."""
        return SqlCollection(self._connection, tables.deployments, Deployment)

    @cached_property
    def experiments(self) -> SqlCollection[Experiment]:
        """Experiments."""
        return SqlCollection(self._connection, tables.experiments, Experiment)

    @cached_property
    def log(self) -> SqlEventLog:
        """The event log."""
        return SqlEventLog(self._connection)

    @cached_property
    def cursors(self) -> SqlCollection[Cursor]:
        """How far experiments have read the log."""
        return SqlCollection(self._connection, tables.cursors, Cursor)

    @cached_property
    def unit_values(self) -> SqlCollection[UnitValues]:
        """Values per unit."""
        return SqlCollection(self._connection, tables.unit_values, UnitValues)

    @cached_property
    def metric_sums(self) -> SqlCollection[MetricSums]:
        """Sums per metric."""
        return SqlCollection(self._connection, tables.metric_sums, MetricSums)

    @cached_property
    def variant_counts(self) -> SqlCollection[VariantCounts]:
        """Counts per variant."""
        return SqlCollection(self._connection, tables.variant_counts, VariantCounts)

    @cached_property
    def reported_sums(self) -> SqlCollection[ReportedSums]:
        """What was reported for variants."""
        return SqlCollection(self._connection, tables.reported_sums, ReportedSums)

    @cached_property
    def contrast_sums(self) -> SqlCollection[ContrastSums]:
        """Contrasts of bandits."""
        return SqlCollection(self._connection, tables.contrast_sums, ContrastSums)

    @cached_property
    def falls(self) -> SqlCollection[Falls]:
        """How values added up."""
        return SqlCollection(self._connection, tables.falls, Falls)

    @cached_property
    def published(self) -> SqlCollection[Published]:
        """Published weights."""
        return SqlCollection(self._connection, tables.published_weights, Published)

    @cached_property
    def sticky(self) -> SqlCollection[StickyAssignment]:
        """Variants that units keep."""
        return SqlCollection(self._connection, tables.sticky_assignments, StickyAssignment)

    @cached_property
    def leases(self) -> SqlCollection[Lease]:
        """Who does what only one may do."""
        return SqlCollection(self._connection, tables.leases, Lease)

    @cached_property
    def marks(self) -> SqlCollection[StoreMark]:
        """What is remembered of the store as a whole."""
        return SqlCollection(self._connection, tables.marks, StoreMark)

    @cached_property
    def crossings(self) -> SqlCollection[Crossing]:
        """First crossings."""
        return SqlCollection(self._connection, tables.crossings, Crossing)

    @cached_property
    def looks(self) -> SqlCollection[Look]:
        """Looks."""
        return SqlCollection(self._connection, tables.looks, Look)

    @cached_property
    def records(self) -> SqlCollection[Record]:
        """What experiments ended with."""
        return SqlCollection(self._connection, tables.records, Record)

    @cached_property
    def traffic(self) -> SqlTraffic:
        """What was answered, by the second."""
        return SqlTraffic(self._connection)

    @cached_property
    def traffic_totals(self) -> SqlCollection[TrafficTotals]:
        """What was answered since processes began."""
        return SqlCollection(self._connection, tables.traffic_totals, TrafficTotals)

    @cached_property
    def process_uses(self) -> SqlCollection[ProcessUse]:
        """What serving processes take."""
        return SqlCollection(self._connection, tables.process_uses, ProcessUse)

    def model_of(self, endpoint: str, *, lock: bool = False) -> str | None:
        """Return the model that an endpoint serves."""
        query = select(tables.endpoints.c.model).where(tables.endpoints.c.name == endpoint)
        found: str | None = self._connection.execute(
            query.with_for_update() if lock else query
        ).scalar()
        return found

    def override_of(self, endpoint: str) -> str | None:
        """Return the version that an endpoint is overridden to."""
        query = select(tables.endpoints.c.override).where(tables.endpoints.c.name == endpoint)
        found: str | None = self._connection.execute(query).scalar()
        return found

    def traffic_of(self, endpoint: str) -> Split | None:
        """Return how an endpoint shares traffic out."""
        found = self.endpoints.get(endpoint)
        return None if found is None else found.traffic

    def revision(self) -> int:
        """Return how many audit entries and published weights there are."""
        query = select(func.sum(tables.experiments.c.policy_version))
        return self.audit.head() + int(self._connection.execute(query).scalar() or 0)

    def uses_of(self, model: str, version: str | None = None) -> Sequence[Use]:
        """Return what uses a version, or the model at all."""
        return uses_within(self, model, version)


class SqlStore:
    """Units of work on one database; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.audited = 0
        self._counting = Lock()
        sqlite = engine.dialect.name == "sqlite"
        self._reading: dict[str, Any] = (
            {} if sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        self._writing: dict[str, Any] = {"palio_begin": "BEGIN IMMEDIATE"} if sqlite else {}

    @contextmanager
    def read(self) -> Iterator[SqlUnit]:
        """Open a unit that sees one consistent state."""
        with self._begin(self._reading) as connection:
            yield SqlUnit(connection)

    @contextmanager
    def write(self) -> Iterator[SqlUnit]:
        """Open a unit that is kept when its block ends."""
        with self._begin(self._writing) as connection:
            unit = SqlUnit(connection)
            yield unit
        with self._counting:
            self.audited += unit.audit.appended
        if unit.log.erased and self.engine.dialect.name == "sqlite":
            self._empty_journal()

    def _empty_journal(self) -> None:
        """Take pages that were overwritten out of SQLite's journal, where they still stand.

        Where somebody is reading all the while, they go with the next erasure, or when the last
        process closes the file.
        """
        with translated_errors(), closing(self.engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _begin(self, options: dict[str, Any]) -> Iterator[Connection]:
        with translated_errors(), self.engine.connect() as connection:
            chosen = connection.execution_options(**options)
            with chosen.begin():
                yield chosen

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what the driver raises into what Palio raises."""
    try:
        yield
    except (DataError, UnicodeEncodeError, OverflowError) as unfit:
        raise _unfit(unfit) from unfit
    except (DBAPIError, PoolTimeout) as failed:
        if isinstance(failed, IntegrityError) and names_nothing(failed):
            raise Conflict("a record names another that is not there; look again") from failed
        raise StoreUnavailable(
            f"the store did not answer: {_said(failed)}; check PALIO_STORE and try again"
        ) from failed
    except StatementError as unfit:
        raise _unfit(unfit) from unfit


def _unfit(error: Exception) -> InvalidInput:
    return InvalidInput(
        f"a value cannot be kept: {_said(error)}; send numbers of 64 bits and texts in UTF-8 "
        "without NUL, and in free fields only what JSON can hold"
    )


def _said(error: Exception) -> str:
    """Return the first line of what the driver said, without the statement and its values."""
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return lines[0] if lines else type(error).__name__


def engine_for(url: str) -> Engine:
    """Return an engine for ``postgresql://…``, ``sqlite:///…`` or the path of a SQLite file."""
    address = _address(url)
    try:
        engine = create_engine(address, pool_pre_ping="postgres" in url.split("://", 1)[0])
    except (NoSuchModuleError, ModuleNotFoundError) as missing:
        raise _unsupported(url) from missing
    except (ArgumentError, ValueError) as unreadable:
        raise InvalidInput(
            "the address of the store cannot be read; write "
            "postgresql://user:password@host:port/database, or the path of a file",
            field="store",
        ) from unreadable
    if engine.dialect.name == "sqlite":
        if engine.url.database in {None, "", ":memory:"}:
            raise InvalidInput(
                "a SQLite database in memory is another one for every thread; "
                "use the path of a file",
                field="store",
                value=url,
            )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _address(url: str) -> str | URL:
    if "://" in url:
        return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
    if not Path(url).parent.is_dir():
        raise InvalidInput(
            f"the folder of {url} does not exist; create it, or name another file",
            field="store",
            value=url,
        )
    return URL.create("sqlite", database=url)


def _unsupported(url: str) -> InvalidInput | MissingExtra:
    scheme = url.split("://", 1)[0]
    if scheme.startswith("postgres"):
        return MissingExtra(
            "PostgreSQL needs the extra postgres: pip install 'palio[postgres]'", extra="postgres"
        )
    return InvalidInput(
        f"no store speaks {scheme!r}; use the path of a file or postgresql://…",
        field="store",
        value=scheme,
    )


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the unit of work begins its transactions itself
    for pragma in (
        f"busy_timeout={_BUSY_MS}",
        "journal_mode=WAL",
        "foreign_keys=ON",
        "synchronous=NORMAL",
        "secure_delete=ON",  # what is removed is overwritten, whoever wrote or moved it
    ):
        _set_patiently(connection, f"PRAGMA {pragma}")


def _set_patiently(connection: Any, statement: str) -> None:
    """Wait for others who open a new file at the same time: SQLite gives up on them at once."""
    until = time.monotonic() + _BUSY_MS / 1_000
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(_AGAIN_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    begin = connection.get_execution_options().get("palio_begin", "BEGIN")
    connection.exec_driver_sql(begin)
