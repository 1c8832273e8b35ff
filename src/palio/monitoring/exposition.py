"""What Prometheus scrapes: families of several faces, from one reading of the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from palio.delivery.observed import Observed, observe
from palio.delivery.ports import DeliveryUnit
from palio.monitoring.families import families
from palio.ports import Clock, Store

__all__ = ["Exposition", "Families"]

Families = Callable[[Observed], Iterable[Metric]]
"""What one face tells of what is seen, under its own names; no other face may use them."""


class Exposition:
    """Writes what is seen, in the format that is asked for. Safe to share between threads.

    Parameters
    ----------
    store
        Where it is seen.
    server
        The name of the processes that answer at this address.
    clock
        What time it is.
    publish
        Brings what this process has answered into the store.
    more
        What is told beside Palio's own families.
    """

    def __init__(
        self,
        store: Store[DeliveryUnit],
        *,
        server: str,
        clock: Clock,
        publish: Callable[[], object],
        more: Sequence[Families] = (),
    ) -> None:
        self._store, self._server = store, server
        self._clock, self._publish = clock, publish
        self._families = (families, *more)

    def __call__(self, accept: str) -> tuple[bytes, str]:
        """Return the text, and its media type by what a scraper says that it accepts."""
        self._publish()
        with self._store.read() as unit:
            seen = observe(unit, server=self._server, now=self._clock())
        told = [one for families_of in self._families for one in families_of(seen)]
        for name, times in Counter(one.name for one in told).items():
            if times > 1:  # a scraper would refuse everything
                raise ValueError(f"{name} is told twice; a face takes names of its own")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Told(told))
        write, media_type = choose_encoder(accept)
        return write(registry), media_type


class _Told(Collector):
    def __init__(self, told: Sequence[Metric]) -> None:
        self._told = told

    @override
    def collect(self) -> Iterable[Metric]:
        return self._told
