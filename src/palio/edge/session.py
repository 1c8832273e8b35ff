"""What a face is given to work with: an open Palio, and the ways to open one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from palio.access.audit import AuditEntry
from palio.delivery.domain import Answer
from palio.edge.verbs import Verbs
from palio.experiments.designs.audience import Attributes
from palio.experiments.domain import Experiment
from palio.experiments.evaluating import Act
from palio.experiments.judging.analysis import Look, Report
from palio.registry.domain import Attestation, Version
from palio.registry.signing.attestation import Verdict

__all__ = ["Session", "Told", "Wiring"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that the record of an experiment tells."""

    experiment: Experiment
    report: Report
    looks: Sequence[Look]
    audit: Sequence[AuditEntry]
    versions: Sequence[Version]


class Session(Protocol):
    """An open Palio, in process or over HTTP."""

    @property
    def verbs(self) -> Verbs:
        """The nouns with their verbs."""
        ...

    def predict(
        self,
        endpoint: str,
        rows: Sequence[object],
        *,
        unit: str | None = None,
        request_id: str | None = None,
        version: str | None = None,
        attributes: Attributes | None = None,
        variant: str | None = None,
    ) -> Answer:
        """Answer rows by the version that the endpoint's route chooses for the unit."""
        ...

    def load(self, reference: str) -> Any:
        """Make a version a model in this process, wherever its files lie."""
        ...

    def download(self, reference: str, folder: str | Path) -> Version:
        """Write the files of a version into a folder that is not there yet, or is empty."""
        ...

    @property
    def register(self) -> Callable[..., Version]:
        """Register a model in memory, or the files at a path."""
        ...

    @property
    def combine(self) -> Callable[..., Version]:
        """Register an ensemble of other versions."""
        ...

    @property
    def train(self) -> Callable[..., Any]:
        """Fit a classifier on a table and measure it; nothing is registered."""
        ...

    @property
    def submit(self) -> Callable[[Any], Version]:
        """Register what was trained."""
        ...

    def sign(self, reference: str, private: bytes, *, password: str | None = None) -> Attestation:
        """Sign the files of a version in this process, and hand the signature in."""
        ...

    def verify(self, reference: str, keys: Mapping[str, bytes] | None = None) -> Sequence[Verdict]:
        """Check the signatures over a version in this process."""
        ...

    def __enter__(self) -> Self:
        """Use it in a ``with`` statement."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give all connections back."""
        ...


class Wiring(Protocol):
    """The ways to open Palio, and to serve it."""

    def connect(self, store: str | None = None, *, key: str | None = None) -> Session:
        """Open a store or a server."""
        ...

    def version(self) -> str:
        """Return Palio's version."""
        ...

    def settings(
        self,
        *,
        store: str | None = None,
        host: str | None = None,
        port: int | None = None,
        workers: int | None = None,
    ) -> Any:
        """Return the settings of the environment, with what was given instead."""
        ...

    def card_page(self, card: str, plots: Mapping[str, bytes], *, title: str) -> str:
        """Return the card of a version as one file of HTML."""
        ...

    def record_page(self, told: Told) -> str:
        """Return the record of an experiment as one file of HTML."""
        ...

    def record_markdown(self, told: Told) -> str:
        """Return the record of an experiment as Markdown."""
        ...

    def record_charts(self, told: Told) -> Mapping[str, bytes]:
        """Return its charts, PNG images by the path that the Markdown gives them."""
        ...

    def serve(self, settings: Any, *, on_ready: Callable[[str], None]) -> None:
        """Serve until interrupted."""
        ...

    def evaluate(
        self,
        settings: Any,
        *,
        once: bool,
        dry_run: bool,
        on_look: Callable[[Sequence[Act], str | None], None],
    ) -> None:
        """Look at all experiments, once or until interrupted; tell what was seen, or who does."""
        ...

    def upgrade(self, store: str | None = None) -> str:
        """Take a store's schema to the latest revision."""
        ...
