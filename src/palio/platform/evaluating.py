"""Experiments looked at, by a command or beside a server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from palio.access.domain import Identity, Role
from palio.edge.verbs import Verbs
from palio.experiments.evaluating import EVALUATOR, Act, Evaluator
from palio.experiments.folding.quality import fold_quality
from palio.experiments.privacy.retaining import forget_daily
from palio.platform.attending import attend, check_local
from palio.platform.process import now, process_name
from palio.platform.store import store_of
from palio.platform.trust import vouching_of
from palio.platform.verbs import verbs_of
from palio.settings import Settings
from palio.storage.store import SqlStore

__all__ = ["evaluate", "evaluator_of"]


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
    check_local(settings, "experiments", "evaluate")
    store, vouching = store_of(settings), vouching_of(settings)
    verbs = verbs_of(store, settings, vouching, Identity(EVALUATOR, Role.OPERATOR))
    evaluator = evaluator_of(store, settings, verbs, dry_run=dry_run)
    attend(evaluator, store, settings, once=once, on_look=on_look)


def evaluator_of(
    store: SqlStore, settings: Settings, verbs: Verbs, *, dry_run: bool = False
) -> Evaluator:
    """Return what looks at experiments, with its daily chores."""
    own = verbs.acting_as(Identity(EVALUATOR, Role.OPERATOR))
    return Evaluator(
        store=store,
        experiments=own.experiments,
        clock=now,
        holder=process_name(),
        interval_s=settings.evaluate_s or _EVALUATE_S,
        dry_run=dry_run or settings.evaluator_dry_run,
        log=logging.getLogger("palio.evaluator").warning,
        chores=_chores(store, settings),
    )


def _chores(store: SqlStore, settings: Settings) -> Sequence[Callable[[], object]]:
    found: list[Callable[[], object]] = [lambda: fold_quality(store, now=now())]
    if (days := settings.retention_days) is not None:
        found.append(lambda: forget_daily(store, now=now(), days=days, actor=EVALUATOR))
    return found


_EVALUATE_S = 30.0
