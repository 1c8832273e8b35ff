"""What a server's evaluator does by itself, done in process: weights move, tests end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from palio.errors import Conflict, Forbidden
from palio.experiments.domain import State
from palio.experiments.evaluating import reasons_of, verb_for
from palio.experiments.service import Experiments

__all__ = ["Pace", "attend"]

_RESULTS = 50
_REST_S = 1.0


class Pace:
    """When to look again: after so many results, or so many seconds if any have come."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._results: defaultdict[str, int] = defaultdict(int)
        self._last: dict[str, float] = {}

    def count(self, test_id: str) -> None:
        """Note a result."""
        self._results[test_id] += 1

    def is_due(self, test_id: str) -> bool:
        """Tell whether to look."""
        if test_id not in self._last:
            return True
        return self._results[test_id] >= _RESULTS or self._clock() - self._last[test_id] >= _REST_S

    def done(self, test_id: str) -> None:
        """Note that somebody has looked."""
        self._results[test_id], self._last[test_id] = 0, self._clock()


def attend(experiments: Experiments, key: str) -> None:
    """Move the weights of a test that runs, where that is due, and do what is decided.

    Others may do the same at the same moment: whoever comes second finds it done. Who may only
    read does nothing.
    """
    found = experiments.get(key)
    if found.state is not State.RUNNING:
        return
    with suppress(Conflict, Forbidden):
        if found.design.automatic and not found.design.ships:
            decision = experiments.analyze(key).decision
            if verb := verb_for(experiments, found, decision):
                verb(key, reasons_of(decision))
        if found.design.policy.moves and experiments.get(key).state is State.RUNNING:
            experiments.refresh(key)
