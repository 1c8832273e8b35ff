"""Its verbs, over HTTP and in Python alike: each calls one of Palio's."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from palio.delivery.domain import Answer
from palio.dialects.abtests import words
from palio.dialects.abtests.asking import AskedTest, draft_of
from palio.edge.dialects import connect
from palio.edge.session import Session
from palio.edge.verbs import Verbs
from palio.errors import AlreadyExists
from palio.experiments.domain import Experiment, State
from palio.experiments.events import OutcomeDraft
from palio.registry.domain import CHAMPION

__all__ = ["ABTestService", "Tests", "TrackedModel", "VersionInfo", "VersionName"]


@dataclass(frozen=True, slots=True)
class Tests:
    """Tests in the dialect's words, on Palio's verbs."""

    verbs: Verbs

    def create(self, asked: AskedTest) -> dict[str, Any]:
        """Draft a test, with the address of its model type where there is none yet."""
        design = draft_of(asked, uuid.uuid4())
        with suppress(AlreadyExists):
            self.verbs.endpoints.create(asked.model_type, asked.model_type)
        return words.told(self.verbs.experiments.draft(design))

    def listed(self, model_type: str | None, status: str | None) -> list[dict[str, Any]]:
        """Return tests, filtered."""
        wanted = set(State) if status is None else words.states(status)
        found = words.of_model(self.verbs.experiments.list(), model_type)
        return [words.told(one) for one in found if one.state in wanted]

    def get(self, test_id: str) -> dict[str, Any]:
        """Return a test with its metrics and assignments."""
        experiment = self.verbs.experiments.get(test_id)
        return words.told(experiment, self.verbs.experiments.analyze(test_id))

    def start(self, test_id: str) -> dict[str, Any]:
        """Start a draft, or go on after a pause."""
        experiment = self.verbs.experiments.get(test_id)
        words.check_allowed(experiment, "start")
        begin = {
            State.DRAFT: self.verbs.experiments.start,
            State.PAUSED: self.verbs.experiments.resume,
        }
        return words.told(begin[experiment.state](test_id))

    def pause(self, test_id: str) -> dict[str, Any]:
        """Route nobody for now."""
        words.check_allowed(self.verbs.experiments.get(test_id), "pause")
        return words.told(self.verbs.experiments.pause(test_id))

    def complete(self, test_id: str, winner: str | None) -> dict[str, Any]:
        """End a test. A winner that can be and is not in production yet is promoted."""
        experiments = self.verbs.experiments
        experiment = experiments.get(test_id)
        words.check_allowed(experiment, "complete")
        reason = f"completed with winner {winner}"
        chosen = None if winner is None else words.variant_of(experiment, winner, "winner")
        champion = self.verbs.models.aliases(experiment.model).get(CHAMPION)
        if chosen is None or not words.is_shippable(experiment, chosen, champion):
            return words.told(experiments.complete(test_id, reason, chosen=chosen))
        return words.told(experiments.ship(test_id, reason, variant=chosen, force=True))

    def variant_for(self, user: str, model_type: str) -> dict[str, Any] | None:
        """Give a user the variant of the active test; ``None`` where there is no such test."""
        running = self._active(model_type)
        if running is None:
            return None
        given = self.verbs.experiments.assign(running.endpoint, user)
        if given.experiment is None:
            return None
        experiment = self.verbs.experiments.get(given.experiment)
        return {
            "test_id": given.experiment,
            "variant": words.letter(experiment, given.variant),
            "model_type": experiment.model,
            "version": given.version,
        }

    def assignments(self, test_id: str, user: str | None = None) -> list[dict[str, Any]]:
        """Return what users keep, as rows of the documented table."""
        experiment = self.verbs.experiments.get(test_id)
        found = self.verbs.experiments.assignments(test_id, user)
        return [words.assignment_row(experiment, one) for one in found]

    def record(self, test_id: str, variant: str, metric: str, value: float) -> None:
        """Record a value of a metric for a variant as a whole, the weakest evidence there is."""
        key = words.variant_of(self.verbs.experiments.get(test_id), variant, "variant")
        draft = OutcomeDraft(experiment=test_id, variant=key, name=metric, value=value)
        self.verbs.outcomes.record([draft])

    def _active(self, model_type: str) -> Experiment | None:
        found = words.of_model(self.verbs.experiments.list(), model_type)
        return next((one for one in found if one.state is State.RUNNING), None)


class VersionName(str):
    """A version's name that knows which user it was given to, so that asking it is recorded."""

    __slots__ = ("user",)

    user: str

    def __new__(cls, name: str, user: str) -> Self:
        """Return the name of a version as it was given to a user."""
        made = super().__new__(cls, name)
        made.user = user
        return made


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """The version that a user is given, and by which test."""

    test_id: str
    variant: str
    version: VersionName


@dataclass(frozen=True, slots=True)
class TrackedModel:
    """A version as a test has given it to a user.

    What it is asked is served by Palio, so requests, errors and latency are counted for the
    user's variant.
    """

    session: Session
    endpoint: str
    user: str

    def predict(self, rows: Sequence[object]) -> Answer:
        """Answer rows, objects by feature name or arrays in feature order."""
        return self.session.predict(self.endpoint, rows, unit=self.user)


class ABTestService:
    """The documented calls, in Python, for a service that asks models by itself.

    Parameters
    ----------
    store
        A SQLite file, ``postgresql://…`` or the ``http(s)://…`` address of a server;
        ``PALIO_STORE`` when not given.
    key
        API key for a server.
    """

    def __init__(self, store: str | None = None, *, key: str | None = None) -> None:
        self._session = connect(store, key=key)
        self.tests = Tests(self._session.verbs)

    def get_model_version_for_user(self, user_id: str, model_type: str) -> VersionInfo | None:
        """Return the version that the active test gives a user; ``None`` without such a test."""
        found = self.tests.variant_for(user_id, model_type)
        if found is None:
            return None
        name = VersionName(found["version"], user_id)
        return VersionInfo(found["test_id"], found["variant"], name)

    def load_model(self, model_type: str, version: str) -> Any:
        """Return a model that can be asked with ``predict(rows)``.

        One that a test has given to a user is recorded; any other is loaded into this process,
        and what it is asked is nobody's evidence.
        """
        if isinstance(version, VersionName):
            return TrackedModel(self._session, model_type, version.user)
        return self._session.load(f"{model_type}:{version}")

    def record_metric(self, test_id: str, variant: str, metric: str, value: float) -> None:
        """Record a value of a custom metric for a variant as a whole."""
        self.tests.record(test_id, variant, metric, value)

    def __enter__(self) -> Self:
        """Use it in a ``with`` statement."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give all connections back."""
        self.close()

    def close(self) -> None:
        """Give all connections back."""
        self._session.__exit__(None, None, None)
