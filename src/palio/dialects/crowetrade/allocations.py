"""What a request was given, and the requests of this process whose result is awaited."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from threading import Lock
from typing import Any, Self

__all__ = ["Allocation", "Awaited"]

_MOST = 10_000  # allocations that are remembered


class Allocation(str):
    """``model_id:version`` that knows which request it was given to, so that its result joins.

    Attributes
    ----------
    test_id, arm_id, request_id
        Of what.
    """

    __slots__ = ("arm_id", "request_id", "test_id")

    test_id: str
    arm_id: str
    request_id: str

    def __new__(cls, model: str, *, test_id: str, arm_id: str, request_id: str) -> Self:
        """Return the name of a model as it was given to a request."""
        made = super().__new__(cls, model)
        made.test_id, made.arm_id, made.request_id = test_id, arm_id, request_id
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        return (str(self),), {name: getattr(self, name) for name in Allocation.__slots__}


class Awaited:
    """Requests whose result has not come; safe to share between threads.

    It only spares new units: a result that finds no request here is kept all the same.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._queues: defaultdict[tuple[str, str], deque[Allocation]] = defaultdict(
            lambda: deque(maxlen=_MOST)
        )

    def add(self, allocation: Allocation) -> Allocation:
        """Remember an allocation."""
        with self._lock:
            self._queues[allocation.test_id, str(allocation)].append(allocation)
        return allocation

    def take(self, test_id: str, model: str) -> Allocation | None:
        """Return the allocation that a result belongs to: its own, else the oldest of the arm."""
        with self._lock:
            queue = self._queues[test_id, str(model)]
            while queue and queue[0].request_id in self._answered:
                queue.popleft()
            if isinstance(model, Allocation):
                return self._answer(model) if model.request_id not in self._answered else None
            return self._answer(queue.popleft()) if queue else None

    def reopen(self, request_id: str | None) -> None:
        """Forget that a request has its result: nobody knows whether it was kept."""
        with self._lock:
            self._answered.pop(str(request_id), None)

    def _answer(self, allocation: Allocation) -> Allocation:
        self._answered[allocation.request_id] = None
        if len(self._answered) > 2 * _MOST:
            self._answered.popitem(last=False)
        return allocation
