"""How good a version has turned out to be once labels have come: sums, and figures of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from palio.stats.one_look.proportions import wilson

__all__ = [
    "BINS",
    "DAY_S",
    "Bin",
    "Cohort",
    "QualityCounts",
    "QualityFigures",
    "QualitySums",
    "Rate",
    "VersionQuality",
    "figures_of",
    "quality_of",
]

DAY_S = 86_400
"""Seconds of one cohort as sums are kept."""
BINS = 10
"""Reliability bins, equally wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityCounts:
    """Rows that were answered, and of those with a label what it said; adds and subtracts.

    ``rows`` were answered with a class out of ``two`` that are not ``positive`` or that are.
    ``labelled`` have a label; ``correct`` have the same. ``brier`` sums Brier scores over
    ``scored`` rows with probabilities. The four kinds of right and wrong are of two classes.
    ``measured`` are rows with a number and a label, ``squared`` and ``absolute`` sum their errors.
    ``sums`` and ``hits`` are, by reliability bin, the sum of probabilities and how often the class
    came true; ``held`` how many rows.
    """

    rows: int = 0
    two: int = 0
    positive: int = 0
    labelled: int = 0
    correct: int = 0
    scored: int = 0
    brier: float = 0.0
    true_positives: int = 0
    false_positives: int = 0
    true_negatives: int = 0
    false_negatives: int = 0
    measured: int = 0
    squared: float = 0.0
    absolute: float = 0.0
    held: Mapping[str, int] = field(default_factory=dict)
    hits: Mapping[str, int] = field(default_factory=dict)
    sums: Mapping[str, float] = field(default_factory=dict)

    def plus(self, other: QualityCounts, sign: int = 1) -> QualityCounts:
        """Return the sum, or with ``sign`` -1 what is left."""
        added: dict[str, Any] = {}
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, Mapping):
                keys = sorted(mine.keys() | theirs.keys())
                summed = {key: mine.get(key, 0) + sign * theirs.get(key, 0) for key in keys}
                added[one.name] = {key: value for key, value in summed.items() if value}
            else:
                added[one.name] = mine + sign * theirs
        return QualityCounts(**added)


@dataclass(frozen=True, slots=True, kw_only=True)
class QualitySums:
    """What is known of a version's answers of one day, in one segment; ``""`` is everybody.

    ``cohort`` is when that day began, in seconds of Unix time.
    """

    model: str
    version: str
    cohort: int
    segment: str
    counts: QualityCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share of ``n`` rows, with Wilson's 95 % interval."""

    value: float
    lower: float
    upper: float
    n: int

    @classmethod
    def of(cls, part: int, n: int) -> Rate | None:
        """Return the share of a part, if there is any row."""
        if n < 1:
            return None
        lower, upper = wilson(part, n)
        return cls(value=part / n, lower=lower, upper=upper, n=n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Rows whose probability lies in one bin: what was said on average, and what came true."""

    lower: float
    upper: float
    n: int
    said: float
    came_true: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFigures:
    """How good answers were; what nothing is known of is ``None``.

    ``positive`` is the share of answers that were the second of two classes, whether labelled or
    not (an approval rate, where that class means approval). ``calibration_error`` is the mean
    distance of what was said from what came true, weighted by rows (expected calibration error
    over ten bins: Naeini et al. 2015); it is above zero by chance where rows are few.
    """

    rows: int
    labelled: int
    accuracy: Rate | None
    brier: float | None
    calibration_error: float | None
    bins: tuple[Bin, ...]
    positive: Rate | None
    false_positive_rate: Rate | None
    false_negative_rate: Rate | None
    mean_squared_error: float | None
    mean_absolute_error: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Answers that were given from ``start`` on, for as long as cohorts are."""

    start: datetime
    figures: QualityFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionQuality:
    """How good a version's answers were: all of them, by cohort, and by segment.

    ``watermark`` is the place in the event log up to which this is known.
    """

    reference: str
    watermark: int
    overall: QualityFigures
    cohorts: tuple[Cohort, ...]
    segments: Mapping[str, QualityFigures]


def quality_of(
    reference: str, sums: Sequence[QualitySums], *, cohort_s: int, watermark: int
) -> VersionQuality:
    """Return what sums of a version say.

    Parameters
    ----------
    reference, watermark
        Which version, and up to where it is known.
    sums
        All of the version.
    cohort_s
        Length of a cohort in seconds: a whole number of days.
    """
    cohorts: dict[int, list[QualitySums]] = defaultdict(list)
    segments: dict[str, list[QualitySums]] = defaultdict(list)
    for one in sums:
        segments[one.segment].append(one)
        if not one.segment:
            cohorts[one.cohort // cohort_s * cohort_s].append(one)
    return VersionQuality(
        reference=reference,
        watermark=watermark,
        overall=_figures(segments.pop("", [])),
        cohorts=tuple(
            Cohort(start=datetime.fromtimestamp(start, UTC), figures=_figures(cohorts[start]))
            for start in sorted(cohorts)
        ),
        segments={name: _figures(segments[name]) for name in sorted(segments)},
    )


def _figures(sums: Iterable[QualitySums]) -> QualityFigures:
    return figures_of(reduce(QualityCounts.plus, (one.counts for one in sums), QualityCounts()))


def figures_of(counts: QualityCounts) -> QualityFigures:
    """Return the figures of counts."""
    bins, n = tuple(_bins(counts)), counts.scored
    apart = sum(one.n * abs(one.said - one.came_true) for one in bins)
    binned, measured = sum(one.n for one in bins), counts.measured
    negatives = counts.false_positives + counts.true_negatives
    positives = counts.false_negatives + counts.true_positives
    return QualityFigures(
        rows=counts.rows,
        labelled=counts.labelled + measured,
        accuracy=Rate.of(counts.correct, counts.labelled),
        brier=counts.brier / n if n else None,
        calibration_error=apart / binned if binned else None,
        bins=bins,
        positive=Rate.of(counts.positive, counts.two),
        false_positive_rate=Rate.of(counts.false_positives, negatives),
        false_negative_rate=Rate.of(counts.false_negatives, positives),
        mean_squared_error=counts.squared / measured if measured else None,
        mean_absolute_error=counts.absolute / measured if measured else None,
    )


def _bins(counts: QualityCounts) -> Iterable[Bin]:
    hits = Counter(counts.hits)
    for at, n in sorted(counts.held.items()):  # one digit each
        yield Bin(
            lower=int(at) / BINS,
            upper=(int(at) + 1) / BINS,
            n=n,
            said=counts.sums.get(at, 0.0) / n,
            came_true=hits[at] / n,
        )
