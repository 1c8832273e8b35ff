"""The composition root: settings become a `Palio`; the only file that wires everything."""

from __future__ import annotations

import getpass
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import palio
from palio.access.alerts import Alerts
from palio.access.domain import Identity, Role
from palio.access.service import Audit, Keys
from palio.artifacts.archives import Limits
from palio.artifacts.fetched import FetchedArtifacts
from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.loader import ArtifactLoader
from palio.artifacts.policy import Trust
from palio.artifacts.signing import trusted_keys
from palio.artifacts.sources import FileSources
from palio.client.remote import Connection, remote_verbs
from palio.delivery.deployments.control import Action
from palio.delivery.deployments.controller import CONTROLLER, Controller
from palio.delivery.deployments.looking import Looking
from palio.delivery.deployments.service import Deployments
from palio.delivery.features import FeatureTally, FeatureWatch
from palio.delivery.ports import AsyncServer, Server
from palio.delivery.service import Endpoints
from palio.delivery.tally import Publisher, Tally
from palio.edge.dialects import Dialect
from palio.edge.session import Told
from palio.edge.verbs import Verbs
from palio.errors import InvalidInput, PalioError, Refused
from palio.experiments.evaluating import EVALUATOR, Act, Evaluator
from palio.experiments.folding.quality import fold_quality, watermark_within
from palio.experiments.lease import Lease
from palio.experiments.outcomes import Outcomes
from palio.experiments.privacy.pseudonyms import Pseudonyms, agree
from palio.experiments.privacy.retaining import forget_daily
from palio.experiments.privacy.units import Units
from palio.experiments.service import Experiments
from palio.monitoring.deliverer import Deliverer
from palio.monitoring.exposition import Exposition
from palio.monitoring.logs import begin_logs, log_predictions
from palio.monitoring.processes import ProcessWatch
from palio.monitoring.webhooks import Secret, receivers
from palio.registry.artifacts import Artifacts
from palio.registry.lifecycles import Lifecycles
from palio.registry.ports import ArtifactReader, Loader
from palio.registry.service import Models
from palio.registry.signing.attestation import Demand, Vouching
from palio.registry.versions import Versions
from palio.serving.engine import Engine
from palio.serving.ensembles import EnsembleLoader
from palio.serving.local import LocalServer, TickServer
from palio.serving.probing import EngineRuntime
from palio.session import Palio
from palio.settings import Settings
from palio.storage import schema
from palio.storage.store import SqlStore, engine_for

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from palio.http.background import Background

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

__all__ = [
    "Palio",
    "application",
    "card_page",
    "connect",
    "control",
    "evaluate",
    "record_charts",
    "record_markdown",
    "record_page",
    "restored",
    "serve",
    "settings",
    "upgrade",
    "version",
]


def connect(
    store: str | Path | None = None,
    *,
    artifacts: str | Path | None = None,
    key: str | None = None,
    actor: str | None = None,
) -> Palio:
    """Open Palio: on a SQLite file, on PostgreSQL, or through a server.

    Parameters
    ----------
    store
        Path of a SQLite file (made when it does not exist), ``postgresql://…``, or the
        ``http(s)://…`` address of a server; ``PALIO_STORE`` when not given.
    artifacts
        Folder or URL for the files of versions, in process only; ``PALIO_ARTIFACTS`` or a
        folder beside the SQLite file when not given.
    key
        API key for a server; ``PALIO_KEY`` when not given.
    actor
        Who acts in process, for the audit log; ``PALIO_ACTOR`` or the user when not given.

    Returns
    -------
    Palio
        The same verbs in all three cases.

    Examples
    --------
    >>> import palio, tempfile
    >>> with palio.connect(tempfile.mkdtemp() + "/palio.db") as p:
    ...     [model.name for model in p.models.list()]
    []
    """
    given = {"store": store, "artifacts": artifacts, "key": key, "actor": actor}
    chosen: dict[str, Any] = {
        name: str(value) for name, value in given.items() if value is not None
    }
    settings = Settings(**chosen)
    if settings.store.startswith(("http://", "https://")):
        return _remote(settings)
    return _in_process(settings)


def _remote(settings: Settings) -> Palio:
    vouching = _vouching(settings)
    connection = Connection(settings.store, key=settings.key)
    verbs = remote_verbs(connection)
    fetched = FetchedArtifacts(verbs.versions.fetch)
    return Palio(
        verbs=verbs,
        _predict=connection.predict,
        _closing=connection.close,
        _loader=_loader(settings, fetched, vouching, verbs),
        _keys=vouching.keys,
        _trust=_trust(settings),
        _clock=_now,
    )


def _in_process(settings: Settings) -> Palio:
    vouching = _vouching(settings)
    store = _store(settings)
    actor = Identity(settings.actor or _user(), Role.ADMIN)
    verbs = _verbs(store, settings, vouching, actor)
    loader = _loader(settings, FsspecArtifactStore(settings.artifacts_url()), vouching, verbs)
    seen = _seen(settings, store, loader, server=_process())
    server = LocalServer(seen.engine, seen.publish)

    def close() -> None:
        try:
            seen.publish()
        finally:
            store.close()

    return Palio(
        verbs=_telling(verbs, seen, server),
        _predict=server.predict,
        _closing=close,
        _loader=loader,
        _keys=vouching.keys,
        _trust=_trust(settings),
        _clock=_now,
    )


def restored(verbs: Verbs, reference: str) -> object:
    """Return the object that a version holds, made in this process as its settings allow.

    Parameters
    ----------
    verbs
        Where the version is, in process or behind a server.
    reference
        Which version.
    """
    settings = Settings()
    attested = partial(_vouching(settings).check_load, verbs.versions.attestations)
    loader = ArtifactLoader(FetchedArtifacts(verbs.versions.fetch), _trust(settings), attested)
    return loader.restore(verbs.versions.get(reference))


def card_page(card: str, plots: Mapping[str, bytes], *, title: str) -> str:
    """Return the card of a version, as Markdown with its plots, as one file of HTML."""
    from palio.dashboard.card import card_page as page_of

    return page_of(card, plots, title=title)


def record_page(told: Told) -> str:
    """Return the record of an experiment as one file of HTML."""
    from palio.dashboard.record import record_page as page_of

    seen = told.experiment, told.report, told.looks, told.audit
    return page_of(*seen, versions=told.versions)


def record_markdown(told: Told) -> str:
    """Return the record of an experiment as Markdown."""
    from palio.dashboard.record_text import record_markdown as text_of

    seen = told.experiment, told.report, told.looks, told.audit
    return text_of(*seen, versions=told.versions)


def record_charts(told: Told) -> Mapping[str, bytes]:
    """Return the charts of a record, PNG images by path."""
    from palio.dashboard.record_text import record_charts as charts_of

    return charts_of(told.experiment, told.looks)


def version() -> str:
    """Return Palio's version."""
    return palio.__version__


def settings(
    *,
    store: str | None = None,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
) -> Settings:
    """Return the settings of the environment, with what was given instead."""
    given: dict[str, Any] = {"store": store, "host": host, "port": port, "workers": workers}
    return Settings(**{name: value for name, value in given.items() if value is not None})


def upgrade(store: str | None = None) -> str:
    """Take a store's schema to the one this Palio works with, and return its revision."""
    return schema.upgrade(engine_for(settings(store=store).store))


def application(
    settings: Settings,
    *,
    on_ready: Callable[[], None] = lambda: None,
    server_name: str | None = None,
) -> ASGIApp:
    """Return the ASGI application on the store that the settings name.

    Parameters
    ----------
    settings
        Which store, where files lie, and the limits.
    on_ready
        Called when the models are loaded and requests can be answered.
    server_name
        The name that all processes at one address share; this one's own if not given.
    """
    from palio.http.app import create_app

    vouching = _vouching(settings)
    store = _store(settings)
    nobody = Identity("nobody", Role.VIEWER)  # every request acts in the name of its own key
    verbs = _verbs(store, settings, vouching, nobody)
    loader = _loader(settings, FsspecArtifactStore(settings.artifacts_url()), vouching, verbs)
    name = server_name or _process()
    seen = _seen(settings, store, loader, server=name, warming_s=_WARMING_S)
    server = TickServer(seen.engine)
    controller = [_controller(store, settings, seen)] if settings.control_s else []
    return create_app(
        _telling(verbs, seen, server),
        server,
        version=version(),
        body_limit_bytes=settings.body_limit_bytes,
        upload_limit_bytes=settings.upload_limit_bytes,
        on_ready=on_ready,
        on_stop=store.close,
        background=[
            seen.publisher,
            seen.watch,
            *controller,
            *_background(store, settings, verbs),
        ],
        metrics=_exposition(store, settings, seen, server=name),
        dialects=dialects(settings),
    )


def _background(store: SqlStore, settings: Settings, verbs: Verbs) -> list[Background]:
    own = verbs.acting_as(Identity(FOLLOWER, Role.VIEWER))
    found = [dialect.chore(own) for dialect in dialects(settings)]
    if settings.evaluate_s:
        found.append(_evaluator(store, settings, verbs))
    found.append(_deliverer(store, settings))
    return [one for one in found if one is not None]


def _deliverer(store: SqlStore, settings: Settings) -> Deliverer | None:
    """Return what sends alerts, if anybody shall be sent them."""
    found = receivers(settings.webhook_urls)
    if not found:
        return None
    if settings.webhook_secret is None:
        raise InvalidInput(
            "PALIO_WEBHOOK_URLS is set and PALIO_WEBHOOK_SECRET is not, so that receivers could "
            "not know who sends; set it to whsec_… and 32 random bytes in base64",
            field="PALIO_WEBHOOK_SECRET",
        )
    return Deliverer(
        store=store,
        receivers=found,
        secret=Secret.parse(settings.webhook_secret.get_secret_value()),
        clock=_now,
        log=logging.getLogger("palio.alerts").warning,
    )


def _exposition(store: SqlStore, settings: Settings, seen: _Seen, *, server: str) -> Exposition:
    told = [one.families() for one in dialects(settings)]
    return Exposition(
        store,
        server=server,
        clock=_now,
        publish=seen.publish,
        more=[one for one in told if one is not None],
    )


def dialects(settings: Settings) -> list[Dialect]:
    """Return the contracts of other systems that the settings ask for.

    Raises
    ------
    InvalidInput
        If there is none of a name.
    """
    asked = _DIALECTS if settings.dialects == ("all",) else settings.dialects
    if unknown := sorted(set(asked) - set(_DIALECTS)):
        raise InvalidInput(
            f"PALIO_DIALECTS names {', '.join(unknown)}; there are {', '.join(_DIALECTS)}",
            field="PALIO_DIALECTS",
            value=unknown,
        )
    return [resolve_name(f"palio.dialects.{name}:DIALECT") for name in asked]


def groups() -> list[Dialect]:
    """Return all contracts of other systems, for the command line."""
    return [resolve_name(f"palio.dialects.{name}:DIALECT") for name in _DIALECTS]


_DIALECTS = ("abguide", "abtests", "credtech", "crowetrade", "nightscan")
FOLLOWER = "follower"
"""Who reads the audit log for the files that others expect on disk."""


def evaluate(
    settings: Settings,
    *,
    once: bool = False,
    dry_run: bool = False,
    on_look: Callable[[Sequence[Act], str | None], None] = lambda _, __: None,
) -> None:
    """Look at all experiments that run, and act on those that are automatic.

    Parameters
    ----------
    settings
        Which store, and how often; every 30 seconds where servers do not look.
    once
        Whether to look once; otherwise until interrupted.
    dry_run
        Whether only to look, as ``PALIO_EVALUATOR_DRY_RUN`` says for servers.
    on_look
        Called with what was seen, and with the name of the process that does it where another
        one does.

    Raises
    ------
    InvalidInput
        If the store is a server: that one looks by itself.
    """
    _check_local(settings, "experiments", "evaluate")
    store, vouching = _store(settings), _vouching(settings)
    verbs = _verbs(store, settings, vouching, Identity(EVALUATOR, Role.OPERATOR))
    evaluator = _evaluator(store, settings, verbs, dry_run=dry_run)
    _attend(evaluator, store, settings, once=once, on_look=on_look)


def control(
    settings: Settings,
    *,
    once: bool = False,
    on_look: Callable[[Sequence[tuple[str, Action]], str | None], None] = lambda _, __: None,
) -> None:
    """Look at all deployments that have not ended, and do what is due.

    Parameters
    ----------
    settings
        Which store, and how often; every 5 seconds where servers do not look.
    once
        Whether to look once; otherwise until interrupted.
    on_look
        Called with what was done, and with the name of the process that does it where another
        one does.

    Raises
    ------
    InvalidInput
        If the store is a server: that one looks by itself.
    """
    _check_local(settings, "deployments", "deployments control")
    store, vouching = _store(settings), _vouching(settings)
    verbs = _verbs(store, settings, vouching, Identity(CONTROLLER, Role.OPERATOR))
    loader = _loader(settings, FsspecArtifactStore(settings.artifacts_url()), vouching, verbs)
    seen = _seen(settings, store, loader, server=_process(), warming_s=_WARMING_S)
    own = replace(_controller(store, settings, seen), silent=True)
    _attend(own, store, settings, once=once, on_look=on_look)


def _check_local(settings: Settings, what: str, command: str) -> None:
    """Refuse to do what the server at an address does by itself."""
    if settings.store.startswith(("http://", "https://")):
        raise InvalidInput(
            f"{settings.store} is a server, which looks at its {what} by itself; name its "
            f"store instead: palio --store … {command}",
            field="store",
            value=settings.store,
        )


class _Attending(Protocol[T_co]):
    """Who looks, where it holds the lease."""

    @property
    def holder(self) -> str: ...
    @property
    def rest_s(self) -> float: ...
    def step(self) -> Sequence[T_co]: ...
    def leader(self) -> Lease | None: ...
    def release(self) -> None: ...


def _attend(
    own: _Attending[T],
    store: SqlStore,
    settings: Settings,
    *,
    once: bool,
    on_look: Callable[[Sequence[T], str | None], None],
) -> None:
    """Look once or until interrupted, send what people are told, and give the lease back."""
    try:
        deliverer = _deliverer(store, settings)
        while True:
            done, leader = own.step(), own.leader()
            if deliverer is not None:
                deliverer.step()
            other = leader is not None and leader.holder != own.holder
            on_look(done, leader.holder if leader is not None and other else None)
            if once:
                return
            time.sleep(own.rest_s)
    finally:
        own.release()
        store.close()


def _evaluator(
    store: SqlStore, settings: Settings, verbs: Verbs, *, dry_run: bool = False
) -> Evaluator:
    own = verbs.acting_as(Identity(EVALUATOR, Role.OPERATOR))
    return Evaluator(
        store=store,
        experiments=own.experiments,
        clock=_now,
        holder=_process(),
        interval_s=settings.evaluate_s or _EVALUATE_S,
        dry_run=dry_run or settings.evaluator_dry_run,
        log=logging.getLogger("palio.evaluator").warning,
        chores=_chores(store, settings),
    )


def _controller(store: SqlStore, settings: Settings, seen: _Seen) -> Controller:
    return Controller(
        store=store,
        looking=Looking(store=store, clock=_now, runtime=seen.runtime, actor=CONTROLLER),
        clock=_now,
        holder=_process(),
        interval_s=settings.control_s or _CONTROL_S,
        log=logging.getLogger("palio.controller").warning,
    )


def _chores(store: SqlStore, settings: Settings) -> Sequence[Callable[[], object]]:
    found: list[Callable[[], object]] = [lambda: fold_quality(store, now=_now())]
    if (days := settings.retention_days) is not None:
        found.append(lambda: forget_daily(store, now=_now(), days=days, actor=EVALUATOR))
    return found


_EVALUATE_S, _CONTROL_S = 30.0, 5.0


def serve(settings: Settings, *, on_ready: Callable[[str], None] = lambda _: None) -> None:
    """Serve until interrupted; without any key only on this machine.

    Parameters
    ----------
    settings
        Where to bind, and on which store; port 0 takes a free one.
    on_ready
        Called with the address once requests are answered.

    Raises
    ------
    Refused
        If the address can be reached from elsewhere and no key is configured, or is taken.
    """
    from palio.http.workers import run_one, run_workers

    with connect(settings.store, artifacts=settings.artifacts_url()) as palio:
        if settings.host not in _LOOPBACK and not palio.keys.configured():
            raise Refused(
                f"no API key is configured, so the server answers on this machine only and not "
                f"on {settings.host}; make a key first: palio keys create NAME --role admin",
                host=settings.host,
            )
    _check_log(settings)
    with _bound(settings.host, settings.port) as listening:
        host, port = listening.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _begin_logs(settings)
        if settings.workers > 1:
            make = partial(_worker, settings, _process())
            ready = partial(on_ready, address)
            run_workers(make, listening, workers=settings.workers, on_ready=ready)
        else:
            run_one(application(settings, on_ready=lambda: on_ready(address)), listening)


def _worker(settings: Settings, server_name: str) -> ASGIApp:
    """Return the application of one of several processes."""
    _begin_logs(settings)
    return application(settings, server_name=server_name)


def _check_log(settings: Settings) -> None:
    """Refuse a file that several processes would rotate away from each other."""
    file = settings.log_file
    if settings.workers > 1 and file and settings.log_max_bytes and "{pid}" not in str(file):
        raise InvalidInput(
            f"PALIO_LOG_FILE is {file}, which {settings.workers} workers cannot rotate together; "
            "write {pid} into its name, or set PALIO_LOG_MAX_BYTES=0 and rotate it from outside",
            field="PALIO_LOG_FILE",
            value=str(file),
        )


def _begin_logs(settings: Settings) -> None:
    begin_logs(
        settings.log_level,
        file=settings.log_file,
        max_bytes=settings.log_max_bytes,
        backups=settings.log_backups,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # it tells of each start and stop


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as failed:
        raise Refused(
            f"{host}:{port} cannot be bound: {failed.strerror}; choose another with --port, "
            "0 for a free one",
            host=host,
            port=port,
        ) from failed
    # asyncio does so only for sockets that say they are TCP, and answers would wait 40 ms
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _verbs(store: SqlStore, settings: Settings, vouching: Vouching, actor: Identity) -> Verbs:
    artifacts = FsspecArtifactStore(settings.artifacts_url())
    pseudonyms = _pseudonyms(settings)
    return Verbs(
        models=Models(store=store, clock=_now, actor=actor, vouching=vouching),
        versions=Versions(
            store=store,
            artifacts=artifacts,
            sources=_sources(settings),
            clock=_now,
            actor=actor,
            vouching=vouching,
            fold_quality=partial(_quality_watermark, store),
        ),
        lifecycles=Lifecycles(store=store, clock=_now, actor=actor),
        artifacts=Artifacts(store=store, artifacts=artifacts, clock=_now, actor=actor),
        endpoints=Endpoints(store=store, clock=_now, actor=actor),
        deployments=Deployments(store=store, clock=_now, actor=actor),
        experiments=Experiments(
            store=store,
            clock=_now,
            ids=_id,
            actor=actor,
            vouching=vouching,
            pseudonyms=pseudonyms,
        ),
        outcomes=Outcomes(store=store, clock=_now, ids=_id, actor=actor, pseudonyms=pseudonyms),
        units=Units(
            store=store,
            clock=_now,
            actor=actor,
            pseudonyms=pseudonyms,
            retention_days=settings.retention_days,
        ),
        alerts=Alerts(store=store, actor=actor),
        keys=Keys(store=store, clock=_now, ids=_id, actor=actor),
        audit=Audit(store=store, actor=actor),
    )


def _sources(settings: Settings) -> FileSources:
    return FileSources(settings.source_roots, Limits(size_bytes=settings.upload_limit_bytes))


def _store(settings: Settings) -> SqlStore:
    pseudonyms = _pseudonyms(settings)
    engine = engine_for(settings.store)
    schema.prepare(engine)
    store = SqlStore(engine)
    try:
        agree(store, pseudonyms, _now())
    except PalioError:
        store.close()
        raise
    return store


def _pseudonyms(settings: Settings) -> Pseudonyms:
    secret = settings.unit_key
    return Pseudonyms.by(None if secret is None else secret.get_secret_value())


@dataclass(frozen=True, slots=True)
class _Seen:
    """An engine, who asks its versions, and who publishes what it is asked and answers."""

    engine: Engine
    runtime: EngineRuntime
    publisher: Publisher
    watch: FeatureWatch

    def publish(self) -> None:
        """Bring into the store what there is."""
        self.publisher.flush()
        self.watch.step()


def _seen(
    settings: Settings,
    store: SqlStore,
    loader: Loader,
    *,
    server: str,
    warming_s: float | None = None,
) -> _Seen:
    tally, features, process = Tally(), FeatureTally(), _process()
    pseudonyms = _pseudonyms(settings)
    engine = Engine(
        store,
        loader,
        _now,
        _id,
        pseudonyms=pseudonyms,
        warming_s=warming_s,
        tally=tally,
        features=features,
        told=log_predictions if settings.log_requests else lambda _: None,
    )
    use = ProcessWatch(process, server, clock=_now, loaded=lambda: engine.references)
    publisher = Publisher(store, tally, _now, use)
    watch = FeatureWatch(store, features, _now, process)
    return _Seen(engine, EngineRuntime(engine, process=process), publisher, watch)


def _quality_watermark(store: SqlStore) -> int:
    """Fold the quality of versions, and return the place in the log where it stands."""
    fold_quality(store, now=_now())
    with store.read() as unit:
        return watermark_within(unit)


_WARMING_S = 10.0  # that a version has for the row it is warmed with


def _telling(verbs: Verbs, seen: _Seen, server: Server | AsyncServer) -> Verbs:
    """Return the verbs, with what this process has in memory, and has seen."""
    return replace(
        verbs,
        endpoints=replace(verbs.endpoints, in_memory=server.in_memory, publish=seen.publish),
        deployments=replace(verbs.deployments, publish=seen.publish, runtime=seen.runtime),
        versions=replace(verbs.versions, publish=seen.publish),
    )


def _process() -> str:
    """Return a name that no other process has, nor anything else in this one."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _loader(settings: Settings, files: ArtifactReader, vouching: Vouching, verbs: Verbs) -> Loader:
    attested = partial(vouching.check_load, verbs.versions.attestations)
    return EnsembleLoader(
        ArtifactLoader(files, _trust(settings), attested),
        files,
        verbs.versions.get,
        attested=attested,
        log=logging.getLogger("palio.ensembles").warning,
    )


def _vouching(settings: Settings) -> Vouching:
    demand = Demand(settings.require_attestation)
    if demand is not Demand.NO and not settings.signing_keys:
        raise InvalidInput(
            f"PALIO_REQUIRE_ATTESTATION is {demand}, and PALIO_SIGNING_KEYS names no key, so no "
            "version would do; name the public keys of those who sign",
            field="PALIO_SIGNING_KEYS",
        )
    return Vouching(keys=trusted_keys(map(_pem, settings.signing_keys)), demand=demand)


def _pem(path: Path) -> tuple[str, bytes]:
    try:
        return str(path), path.read_bytes()
    except OSError as unreadable:
        raise InvalidInput(
            f"PALIO_SIGNING_KEYS: {path}: {unreadable.strerror}; check the path and who may read "
            "it",
            field="PALIO_SIGNING_KEYS",
            value=str(path),
        ) from unreadable


def _trust(settings: Settings) -> Trust:
    return Trust(trusted_types=settings.trusted_types, allow_pickle=settings.allow_pickle)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _now() -> datetime:
    return datetime.now(UTC)


def _id(prefix: str) -> str:
    """Return an id that nobody has: milliseconds first, so that indexes grow at their end."""
    return f"{prefix}{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
