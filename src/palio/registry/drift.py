"""How far the features of a version's requests have moved from those it first saw."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from math import isfinite

import numpy as np

from palio.registry.signature import Cell, Feature, FeatureType
from palio.stats.quality.stability import population_stability, stability_by_chance

__all__ = [
    "FeatureCounts",
    "FeatureDrift",
    "FeatureReference",
    "Profile",
    "VersionDrift",
    "drift_of",
    "profile_of",
]

_NUMBERS = (FeatureType.NUMBER, FeatureType.INTEGER)
_DECILES = [k / 10 for k in range(1, 10)]
_MOST_WORDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The bins of one feature, and how many rows of the reference fell into each.

    Numbers are parted by ``edges``, the deciles of the reference; other cells by ``words``, the
    most frequent ones, and one bin for all others. The last bin is for cells that are missing.
    """

    edges: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def bins(self) -> tuple[str, ...]:
        """What stands in each bin, in words."""
        if self.words:
            return (*self.words, "other", "missing")
        if not self.edges:
            return ("any", "missing")
        within = [f"[{low:g}, {high:g})" for low, high in pairwise(self.edges)]
        return (f"< {self.edges[0]:g}", *within, f">= {self.edges[-1]:g}", "missing")

    def counted(self, cells: Iterable[Cell]) -> tuple[int, ...]:
        """Count cells by bin."""
        counts = [0] * len(self.bins)
        for cell in cells:
            counts[self._place(cell)] += 1
        return tuple(counts)

    def _place(self, cell: Cell) -> int:
        if _is_missing(cell):
            return -1
        if self.words:
            word = str(cell)
            return self.words.index(word) if word in self.words else len(self.words)
        return bisect_right(self.edges, float(cell or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureReference:
    """What a version's features were like at first: the profile of each."""

    model: str
    version: str
    at: datetime
    rows: int
    features: Mapping[str, Profile]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCounts:
    """Rows that one process has seen on one ``day`` for a version, by feature and bin.

    ``day`` is when it began, in seconds of Unix time.
    """

    day: int
    process: str
    model: str
    version: str
    rows: int
    features: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDrift:
    """How far a feature has moved.

    ``index`` is the population stability index, ``by_chance`` what it is on average where nothing
    has moved. ``before`` and ``now`` are shares of rows by bin.
    """

    index: float
    by_chance: float
    before: Mapping[str, float]
    now: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDrift:
    """How far a version's features have moved within some days; none while nothing is known.

    ``reference_rows`` are the first rows that it saw, ``rows`` those it is compared on.
    """

    reference: str
    reference_at: datetime | None
    reference_rows: int
    rows: int
    features: Mapping[str, FeatureDrift]


def profile_of(feature: Feature, cells: Sequence[Cell]) -> Profile:
    """Return the bins of a feature by the first cells seen, and the counts of these."""
    known = [cell for cell in cells if not _is_missing(cell)]
    if feature.type in _NUMBERS:
        numbers = np.array([float(cell or 0) for cell in known])
        edges = np.unique(np.quantile(numbers, _DECILES)).tolist() if known else []
        bare = Profile(edges=tuple(edges))
    else:
        words = Counter(map(str, known)).most_common(_MOST_WORDS)
        bare = Profile(words=tuple(word for word, _ in words))
    return Profile(edges=bare.edges, words=bare.words, counts=bare.counted(cells))


def drift_of(
    name: str, reference: FeatureReference | None, counts: Sequence[FeatureCounts]
) -> VersionDrift:
    """Compare what was counted with the reference.

    Parameters
    ----------
    name
        Reference of the version.
    reference
        What its features were like at first, if that is known.
    counts
        What was seen since, over all days and processes asked about.
    """
    rows = sum(one.rows for one in counts)
    features = {} if reference is None or not rows else reference.features
    return VersionDrift(
        reference=name,
        reference_at=None if reference is None else reference.at,
        reference_rows=0 if reference is None else reference.rows,
        rows=rows,
        features={feature: _moved(feature, features[feature], counts) for feature in features},
    )


def _moved(feature: str, profile: Profile, counts: Sequence[FeatureCounts]) -> FeatureDrift:
    seen = [one.features[feature] for one in counts if feature in one.features]
    now = [sum(bins) for bins in zip(*seen, strict=True)] or [0] * len(profile.counts)
    n_before, n_now = max(sum(profile.counts), 1), max(sum(now), 1)
    return FeatureDrift(
        index=population_stability(profile.counts, now),
        by_chance=stability_by_chance(n_before, n_now, len(now)),
        before=_shares(profile, profile.counts, n_before),
        now=_shares(profile, now, n_now),
    )


def _shares(profile: Profile, counts: Sequence[int], n: int) -> Mapping[str, float]:
    return {name: count / n for name, count in zip(profile.bins, counts, strict=True)}


def _is_missing(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, float) and not isfinite(cell))
