"""An engine, and what it tells the verbs of what it has in memory and has seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from palio.delivery.features import FeatureTally, FeatureWatch
from palio.delivery.ports import AsyncServer, Server
from palio.delivery.tally import Publisher, Tally
from palio.edge.verbs import Verbs
from palio.monitoring.logs import log_predictions
from palio.monitoring.processes import ProcessWatch
from palio.platform.process import new_id, now, process_name
from palio.platform.store import pseudonyms_of
from palio.registry.ports import Loader
from palio.serving.engine import Engine
from palio.serving.probing import EngineRuntime
from palio.settings import Settings
from palio.storage.store import SqlStore

__all__ = ["WARMING_S", "Seen", "seen_of", "telling"]

WARMING_S = 10.0
"""How long a version has for the row that it is warmed with."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An engine, who asks its versions, and who publishes what it is asked and answers."""

    engine: Engine
    runtime: EngineRuntime
    publisher: Publisher
    watch: FeatureWatch

    def publish(self) -> None:
        """Bring into the store what there is."""
        self.publisher.flush()
        self.watch.step()


def seen_of(
    settings: Settings,
    store: SqlStore,
    loader: Loader,
    *,
    server: str,
    tally: Tally,
    warming_s: float | None = None,
) -> Seen:
    """Return an engine on a store, and what counts its work."""
    features, process = FeatureTally(), process_name()
    pseudonyms = pseudonyms_of(settings)
    engine = Engine(
        store,
        loader,
        now,
        new_id,
        pseudonyms=pseudonyms,
        warming_s=warming_s,
        tally=tally,
        features=features,
        told=log_predictions if settings.log_requests else lambda _: None,
    )
    use = ProcessWatch(process, server, clock=now, loaded=lambda: engine.references)
    publisher = Publisher(store, tally, now, use)
    watch = FeatureWatch(store, features, now, process)
    return Seen(engine, EngineRuntime(engine, process=process), publisher, watch)


def telling(verbs: Verbs, seen: Seen, server: Server | AsyncServer) -> Verbs:
    """Return the verbs, with what this process has in memory, and has seen."""
    return replace(
        verbs,
        endpoints=replace(verbs.endpoints, in_memory=server.in_memory, publish=seen.publish),
        deployments=replace(verbs.deployments, publish=seen.publish, runtime=seen.runtime),
        versions=replace(verbs.versions, publish=seen.publish),
    )
