"""What experiments need of the outside: the event log, and what is folded from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from palio.bucketing import Split
from palio.experiments.domain import Experiment
from palio.experiments.events import Event, LogEntry, Outcome
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
from palio.ports import Collection
from palio.registry.ports import RegistryUnit

__all__ = ["EventLog", "ExperimentUnit"]


class EventLog(Protocol):
    """The durable, append-only log of predictions and outcomes, inside one unit of work.

    Obligations: what is appended is never changed; whoever has read up to ``seq`` will never
    see an entry appear at or below it, whatever other processes append. The one exception is
    ``erase``: entries may be gone, the others stay as they are and keep their ``seq``, and no
    ``seq`` is given twice, even of the last entry.
    """

    def append(self, events: Sequence[Event]) -> None:
        """Add events in order; they are durable when the unit has ended."""
        ...

    def head(self) -> int:
        """Return the ``seq`` of the last entry, 0 when there is none.

        It can be lower than it was where entries have been erased.
        """
        ...

    def after(self, seq: int, *, limit: int) -> Sequence[LogEntry]:
        """Return entries in order, from the one following ``seq``."""
        ...

    def of_requests(
        self, request_ids: Iterable[str], *, up_to: int | None = None
    ) -> Sequence[LogEntry]:
        """Return the predictions and outcomes of requests, in order."""
        ...

    def of_units(self, units: Iterable[str], *, up_to: int | None = None) -> Sequence[LogEntry]:
        """Return the outcomes that were sent for units as a whole, in order."""
        ...

    def of_outcomes(
        self, outcome_ids: Iterable[str], *, up_to: int | None = None
    ) -> Sequence[LogEntry]:
        """Return all revisions of outcomes, in order."""
        ...

    def given_to(self, units: Iterable[str], *, after: int, limit: int) -> Sequence[LogEntry]:
        """Return predictions and exposures of units, in order, from the one following ``after``.

        It may have to look at the whole log, but never holds more than ``limit`` entries.

        Parameters
        ----------
        units
            At most 500.
        after
            The place in the log to go on from.
        limit
            Entries to return at most; fewer only where there are no more.
        """
        ...

    def erase(self, seqs: Iterable[int]) -> int:
        """Remove entries for good, and return how many there were.

        When the unit of work has ended, no reader of the store finds them, and a store that is
        one file has their bytes overwritten. Whoever calls it takes what was folded from them
        off the statistics in the same unit of work; the log does not know what that is.
        """
        ...

    def latest(self, outcome_ids: Iterable[str], *, lock: bool = False) -> Mapping[str, Outcome]:
        """Return the last revision of each outcome that exists.

        With ``lock`` no other unit can append before this one ends.
        """
        ...


class ExperimentUnit(RegistryUnit, Protocol):
    """Experiments, the log and its folded statistics, inside one unit of work."""

    @property
    def experiments(self) -> Collection[Experiment]:
        """Experiments under their key."""
        ...

    @property
    def log(self) -> EventLog:
        """The event log."""
        ...

    @property
    def cursors(self) -> Collection[Cursor]:
        """How far each experiment has read the log, under its key."""
        ...

    @property
    def unit_values(self) -> Collection[UnitValues]:
        """Values under (experiment, epoch, unit)."""
        ...

    @property
    def metric_sums(self) -> Collection[MetricSums]:
        """Sums under (experiment, epoch, variant, metric, segment)."""
        ...

    @property
    def variant_counts(self) -> Collection[VariantCounts]:
        """Counts under (experiment, epoch, variant)."""
        ...

    @property
    def reported_sums(self) -> Collection[ReportedSums]:
        """What was reported for variants, under (experiment, variant, metric)."""
        ...

    @property
    def contrast_sums(self) -> Collection[ContrastSums]:
        """Contrasts of bandits under (experiment, epoch, variant, metric)."""
        ...

    @property
    def falls(self) -> Collection[Falls]:
        """How values added up under (experiment, variant)."""
        ...

    @property
    def published(self) -> Collection[Published]:
        """Weights under (experiment, policy version)."""
        ...

    @property
    def sticky(self) -> Collection[StickyAssignment]:
        """Variants that units keep, under (experiment, unit)."""
        ...

    @property
    def leases(self) -> Collection[Lease]:
        """Who does what only one may do, under its name."""
        ...

    @property
    def marks(self) -> Collection[StoreMark]:
        """What is remembered of the store as a whole, under its name."""
        ...

    @property
    def crossings(self) -> Collection[Crossing]:
        """First crossings under (experiment, metric, variant, verdict)."""
        ...

    @property
    def looks(self) -> Collection[Look]:
        """Looks under (experiment, watermark, variant)."""
        ...

    @property
    def records(self) -> Collection[Record]:
        """The analysis an experiment ended with, under its key."""
        ...

    def model_of(self, endpoint: str, *, lock: bool = False) -> str | None:
        """Return the model that an endpoint serves, if there is such an endpoint.

        With ``lock`` no other unit can start an experiment there before this one ends.
        """
        ...

    def override_of(self, endpoint: str) -> str | None:
        """Return the version that an operator has sent an endpoint's traffic to, if any."""
        ...

    def traffic_of(self, endpoint: str) -> Split | None:
        """Return how an endpoint shares traffic out that is in no experiment, if it does."""
        ...
