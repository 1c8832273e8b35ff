"""The quality of versions, folded from the log: predictions by day, judged by their labels.

What a request contributes follows from its events alone. Whatever is new of a request, what it
contributed is taken off and what it contributes now is added: a label that comes before its
prediction, or is corrected, needs no rule of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from palio.experiments.designs.metrics import brier_of
from palio.experiments.events import LABEL, LogEntry, Outcome, Prediction, asked_of
from palio.experiments.folding.folding import in_force
from palio.experiments.ports import ExperimentUnit
from palio.experiments.privacy.marks import StoreMark
from palio.ports import Store
from palio.registry.quality import BINS, DAY_S, QualityCounts, QualitySums
from palio.registry.signature import Label

__all__ = ["QUALITY", "fold_quality", "forget_within", "watermark_within"]

QUALITY = "quality"
"""The mark whose value is the place in the log up to which quality is folded."""
_PAGE = 1_000
_PAGES = 200  # at one call, so that a long log holds nobody up
Key = tuple[str, str, int, str]
Contribution = dict[Key, QualityCounts]


def fold_quality(store: Store[ExperimentUnit], *, now: datetime) -> int:
    """Fold what is new in the log, page by page, and return how many events there were.

    Safe to run from several processes, and to kill: a page counts with its place in the log.
    """
    folded = 0
    for _ in range(_PAGES):
        with store.read() as unit:
            seq = watermark_within(unit)
            page = unit.log.after(seq, limit=_PAGE)
            if not page:
                break
            moved = _moved(unit, page, seq)
        with store.write() as unit:
            if watermark_within(unit, lock=True) != seq:
                break  # another process was first
            _write(unit, moved)
            unit.marks.put_many([StoreMark(name=QUALITY, value=str(page[-1].seq), at=now)])
        folded += len(page)
        if len(page) < _PAGE:
            break
    return folded


def watermark_within(unit: ExperimentUnit, *, lock: bool = False) -> int:
    """Return the place in the log up to which quality is folded."""
    mark = unit.marks.get(QUALITY, lock=lock)
    return 0 if mark is None else int(mark.value)


def forget_within(
    unit: ExperimentUnit, request: Sequence[LogEntry], left: Sequence[LogEntry]
) -> None:
    """Take off what a request contributed, and add what is left of it once units are erased.

    Parameters
    ----------
    unit
        A unit of work in which nobody else folds.
    request, left
        All events of a request, and those that stay.
    """
    seq = watermark_within(unit, lock=True)
    moved: Contribution = {}
    _add(moved, _contribution(_up_to(request, seq)), -1)
    _add(moved, _contribution(_up_to(left, seq)), 1)
    _write(unit, moved)


def _moved(unit: ExperimentUnit, page: Sequence[LogEntry], seq: int) -> Contribution:
    """Return what a page changes."""
    requests = {entry.event.request_id for entry in page if entry.event.request_id}
    by_request: defaultdict[str, list[LogEntry]] = defaultdict(list)
    for entry in unit.log.of_requests(sorted(requests), up_to=page[-1].seq):
        by_request[entry.event.request_id or ""].append(entry)
    moved: Contribution = {}
    for entries in by_request.values():
        _add(moved, _contribution(_up_to(entries, seq)), -1)
        _add(moved, _contribution(entries), 1)
    return moved


def _up_to(entries: Iterable[LogEntry], seq: int) -> list[LogEntry]:
    return [entry for entry in entries if entry.seq <= seq]


def _add(moved: Contribution, other: Contribution, sign: int) -> None:
    for key, counts in other.items():
        moved[key] = moved.get(key, QualityCounts()).plus(counts, sign)


def _write(unit: ExperimentUnit, moved: Contribution) -> None:
    changed = {key: counts for key, counts in moved.items() if counts != QualityCounts()}
    kept = unit.quality_sums.get_many(sorted(changed))
    rows = []
    for (model, version, cohort, segment), counts in changed.items():
        before = kept.get((model, version, cohort, segment))
        summed = counts if before is None else before.counts.plus(counts)
        rows.append(
            QualitySums(
                model=model, version=version, cohort=cohort, segment=segment, counts=summed
            )
        )
    unit.quality_sums.put_many(rows)


def _contribution(entries: Sequence[LogEntry]) -> Contribution:
    """Return what a request contributes, by its events in order."""
    outcomes = [entry.event for entry in entries if isinstance(entry.event, Outcome)]
    labels = [one.value for one in in_force(outcomes) if one.name == LABEL]
    found: Contribution = {}
    served = [entry.event for entry in entries if isinstance(entry.event, Prediction)]
    for asked in (asked for one in served for asked in asked_of(one) if asked.error is None):
        counts = _judged(asked, labels[-1] if labels else None)
        day = int(asked.at.timestamp()) // DAY_S * DAY_S
        for segment in ("", *dict.fromkeys(asked.segments)):
            _add(found, {(asked.model, asked.version, day, segment): counts}, 1)
    return found


def _judged(prediction: Prediction, label: Label | list[Label] | None) -> QualityCounts:
    """Count the rows of one prediction, by their labels if they are known."""
    n = len(prediction.values)
    if label is None:
        return _unjudged(prediction)
    truths = label if isinstance(label, list) else [label]
    if len(truths) != n:  # one sent before its prediction may not fit it
        return _unjudged(prediction)
    judge = _of_class if prediction.classes else _of_number
    counts = _unjudged(prediction)
    for row, truth in enumerate(truths):
        counts = counts.plus(judge(prediction, row, truth))
    return counts


def _unjudged(prediction: Prediction) -> QualityCounts:
    """Count the rows of a prediction that no label is known of."""
    values, classes = prediction.values, prediction.classes
    if not _is_binary(classes):
        return QualityCounts(rows=len(values))
    return QualityCounts(rows=len(values), two=len(values), positive=values.count(classes[1]))


def _is_binary(classes: Sequence[Label]) -> bool:
    return len(classes) == 2  # noqa: PLR2004 - the second is the positive one


def _of_number(prediction: Prediction, row: int, truth: Label) -> QualityCounts:
    value = prediction.values[row]
    if isinstance(truth, str) or isinstance(value, str):
        return QualityCounts()
    gap = float(value) - float(truth)
    return QualityCounts(measured=1, squared=gap * gap, absolute=abs(gap))


def _of_class(prediction: Prediction, row: int, truth: Label) -> QualityCounts:
    value, classes = prediction.values[row], prediction.classes
    if truth not in classes:
        return QualityCounts()
    right, brier = value == truth, brier_of(prediction, row, truth)
    found = QualityCounts(
        labelled=1, correct=int(right), scored=int(brier is not None), brier=brier or 0.0
    )
    if not _is_binary(classes):
        return found
    said = value == classes[1]
    return replace(
        found,
        true_positives=int(said and right),
        false_positives=int(said and not right),
        true_negatives=int(not said and right),
        false_negatives=int(not said and not right),
        **({} if brier is None else _binned(prediction, row, truth)),
    )


def _binned(prediction: Prediction, row: int, truth: Label) -> dict[str, Any]:
    """Return the reliability bin that a row of two classes falls into."""
    share = (prediction.probabilities or [])[row][1]
    at = str(min(int(share * BINS), BINS - 1))
    hits = {at: 1} if truth == prediction.classes[1] else {}
    return {"held": {at: 1}, "hits": hits, "sums": {at: share}}
