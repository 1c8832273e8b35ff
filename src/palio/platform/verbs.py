"""The nouns in process, on a store."""

from __future__ import annotations

from functools import partial

from palio.access.alerts import Alerts
from palio.access.domain import Identity
from palio.access.service import Audit, Keys
from palio.artifacts.archives import Limits
from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.sources import FileSources
from palio.delivery.deployments.service import Deployments
from palio.delivery.service import Endpoints
from palio.edge.verbs import Verbs
from palio.experiments.folding.quality import fold_quality, watermark_within
from palio.experiments.outcomes import Outcomes
from palio.experiments.privacy.units import Units
from palio.experiments.service import Experiments
from palio.platform.gpus import gpus_of
from palio.platform.process import new_id, now
from palio.platform.store import pseudonyms_of
from palio.platform.trust import trust_of
from palio.registry.artifacts import Artifacts
from palio.registry.lifecycles import Lifecycles
from palio.registry.service import Models
from palio.registry.signing.attestation import Vouching
from palio.registry.versions import Versions
from palio.settings import Settings
from palio.storage.store import SqlStore

__all__ = ["verbs_of"]


def verbs_of(store: SqlStore, settings: Settings, vouching: Vouching, actor: Identity) -> Verbs:
    """Return all verbs on a store, in the name of an actor."""
    artifacts = FsspecArtifactStore(settings.artifacts_url())
    pseudonyms = pseudonyms_of(settings)
    return Verbs(
        models=Models(store=store, clock=now, actor=actor, vouching=vouching),
        versions=Versions(
            store=store,
            artifacts=artifacts,
            sources=_sources(settings),
            clock=now,
            actor=actor,
            vouching=vouching,
            fold_quality=partial(_quality_watermark, store),
        ),
        lifecycles=Lifecycles(store=store, clock=now, actor=actor),
        artifacts=Artifacts(store=store, artifacts=artifacts, clock=now, actor=actor),
        endpoints=Endpoints(store=store, clock=now, actor=actor, vouching=vouching),
        deployments=Deployments(
            store=store, clock=now, actor=actor, gpus=partial(gpus_of, settings.torch_device)
        ),
        experiments=Experiments(
            store=store,
            clock=now,
            ids=new_id,
            actor=actor,
            vouching=vouching,
            pseudonyms=pseudonyms,
        ),
        outcomes=Outcomes(store=store, clock=now, ids=new_id, actor=actor, pseudonyms=pseudonyms),
        units=Units(
            store=store,
            clock=now,
            actor=actor,
            pseudonyms=pseudonyms,
            retention_days=settings.retention_days,
        ),
        alerts=Alerts(store=store, actor=actor),
        keys=Keys(store=store, clock=now, ids=new_id, actor=actor),
        audit=Audit(store=store, actor=actor),
    )


def _sources(settings: Settings) -> FileSources:
    limits = Limits(size_bytes=settings.upload_limit_bytes)
    return FileSources(settings.source_roots, limits, trust_of(settings))


def _quality_watermark(store: SqlStore) -> int:
    """Fold the quality of versions, and return the place in the log where it stands."""
    fold_quality(store, now=now())
    with store.read() as unit:
        return watermark_within(unit)
