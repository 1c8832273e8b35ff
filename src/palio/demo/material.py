"""The table of the demonstration: a part to learn from, the rest to arrive as live requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from palio.demo.loan_book import SYNTHETIC_NOTE, TARGET, loan_book
from palio.demo.options import FEWEST_REQUESTS, DemoOptions
from palio.errors import InvalidData, InvalidRows
from palio.registry.signature import Feature, FeatureType, Label, Signature
from palio.training.columns import features_of, labels_of
from palio.training.table import read_table

__all__ = ["Case", "Material", "material_of", "usable"]

_BOOK_ROWS, _BOOK_LEARNT = 20_000, 8_000
_LEARNT_SHARE = 1 / 3
_MOST_LEARNT = _MOST_LIVE = 20_000
_FEWEST_ROWS = 400


@dataclass(frozen=True, slots=True)
class Case:
    """One live request, and the label that becomes known later."""

    row: dict[str, Any]
    label: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the demonstration works on.

    ``name`` is what the model is called, ``source`` where the rows come from, ``note`` what has
    to be said of them.
    """

    name: str
    source: str
    note: str
    target: str
    learnt: pl.DataFrame
    cases: Sequence[Case]


def material_of(options: DemoOptions) -> Material:
    """Read the table, or draw the synthetic one, and split it by the seed.

    Raises
    ------
    InvalidData
        If the table cannot be learnt from, or is too short to learn and to replay.
    """
    if options.data is None or options.target is None:
        return _synthetic(options)
    frame = read_table(options.data)
    features = features_of(frame, options.target, options.drop)
    labels = _labels(frame, options.target)
    if frame.height < _FEWEST_ROWS:
        raise InvalidData(
            f"{options.data} has {frame.height} rows; the demonstration learns from some and "
            f"replays the rest, and needs at least {_FEWEST_ROWS}",
            field="data",
            value=str(options.data),
        )
    order = pl.Series(range(frame.height)).shuffle(seed=options.seed).to_list()
    n_learnt = min(_MOST_LEARNT, round(frame.height * _LEARNT_SHARE))
    live = order[n_learnt:][: options.requests or _MOST_LIVE]
    columns = [feature.name for feature in features]
    return Material(
        name="demo",
        source=f"{options.data.name}, {frame.height:,} rows",
        note="",
        target=options.target,
        learnt=frame[order[:n_learnt]].select(*columns, options.target),
        cases=_cases(frame[live], features, [labels[at] for at in live]),
    )


def _synthetic(options: DemoOptions) -> Material:
    wanted = options.requests or _BOOK_ROWS - _BOOK_LEARNT
    frame = loan_book(max(_BOOK_ROWS, _BOOK_LEARNT + wanted), seed=options.seed)
    live = frame[_BOOK_LEARNT : _BOOK_LEARNT + wanted]
    return Material(
        name="credit-risk",
        source=f"synthetic loan book, seed {options.seed}, {frame.height:,} rows",
        note=SYNTHETIC_NOTE,
        target=TARGET,
        learnt=frame[:_BOOK_LEARNT],
        cases=_cases(live, features_of(frame, TARGET), _labels(live, TARGET)),
    )


def usable(cases: Sequence[Case], signature: Signature, *, source: str | Path) -> list[Case]:
    """Return the cases that a version takes: no row the server would refuse, no unknown class.

    Raises
    ------
    InvalidData
        If too few are left.
    """
    left, refusal = [], ""
    for case in cases:
        try:
            signature.table([case.row])
        except InvalidRows as refused:
            refusal = refusal or f"; the first of the others: {refused.message.split(', ', 1)[-1]}"
            continue
        if case.label in signature.classes:
            left.append(case)
    if len(left) < FEWEST_REQUESTS:
        raise InvalidData(
            f"{source}: only {len(left)} of {len(cases)} rows to replay are like those learnt "
            f"from, and {FEWEST_REQUESTS} are needed{refusal}",
            field="data",
            value=str(source),
        )
    return left


def _labels(frame: pl.DataFrame, target: str) -> list[Label]:
    codes, labels = labels_of(frame, target)
    return [labels[code] for code in codes.tolist()]


def _cases(
    frame: pl.DataFrame, features: Sequence[Feature], labels: Sequence[Label]
) -> list[Case]:
    plain = frame.select(
        pl.col(feature.name).cast(_PLAIN[feature.type]) if feature.type in _PLAIN else feature.name
        for feature in features
    ).with_columns(pl.col(pl.Float64).fill_nan(None))
    return [Case(row, label) for row, label in zip(plain.to_dicts(), labels, strict=True)]


_PLAIN = {FeatureType.NUMBER: pl.Float64, FeatureType.STRING: pl.String}
