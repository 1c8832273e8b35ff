"""Two arms of a table: their rows, their units, and what was done with missing numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from palio.cli.tables import misused
from palio.errors import InvalidInput

__all__ = ["Arms", "Missing", "arms_of"]

Missing = Literal["refuse", "drop", "zero"]
_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """The rows of two variants, ready to be summarised.

    Attributes
    ----------
    frame
        Their rows.
    units
        Number of units of control and treatment.
    units_in_both
        Units with rows in both arms; 0 where every row is a unit of its own.
    other_rows
        Rows of other variants, or of none.
    rows_missing
        Rows in which a number was missing, dropped or counted as zero.
    """

    frame: pl.LazyFrame
    units: tuple[int, int]
    units_in_both: int
    other_rows: int
    rows_missing: int


def arms_of(
    frame: pl.LazyFrame,
    variant: str,
    arms: Mapping[str, str],
    *,
    unit: str | None,
    missing: Missing,
) -> Arms:
    """Take the rows of two variants and do with missing numbers what was asked.

    Parameters
    ----------
    frame
        Numbers, and keys as text.
    variant
        Column of the variant.
    arms
        The option by the variant that it named: control, then treatment.
    unit
        Column of the unit, if it may have several rows.
    missing
        What to do with rows in which a number is missing.

    Raises
    ------
    InvalidInput
        If a variant has no row, or a number is missing and that is refused.
    """
    values = [name for name, kind in frame.collect_schema().items() if kind != pl.String]
    found = frame.group_by(variant).agg(pl.len(), pl.col(values).null_count()).collect()
    counts = dict(zip(found[variant].to_list(), found["len"].to_list(), strict=True))
    for name, option in arms.items():
        if name not in counts:
            why = f"is no value of {variant!r}, {_listed(counts)}"
            raise misused(option, name, why)
    of_arms = pl.col(variant).is_in(list(arms))
    holes = found.filter(of_arms).select(pl.col(values).sum()).row(0, named=True)
    if missing == "refuse":
        _refuse_holes(holes)
    rows, incomplete = frame.filter(of_arms), 0
    if any(holes.values()):
        rows, incomplete = _filled(rows, values, missing)
    counted = pl.len() if unit is None else pl.col(unit).n_unique()
    each = dict(rows.group_by(variant).agg(counted.alias("n")).collect().iter_rows())
    for name, option in arms.items():
        if name not in each:
            raise misused(option, name, "has no row without a missing number")
    control, treatment = (each[name] for name in arms)
    both = control + treatment
    distinct = both if unit is None else rows.select(counted).collect().item()
    return Arms(
        frame=rows,
        units=(control, treatment),
        units_in_both=both - distinct,
        other_rows=sum(counts.values()) - sum(counts[name] for name in arms),
        rows_missing=incomplete,
    )


def _refuse_holes(holes: Mapping[str, int]) -> None:
    if any(holes.values()):
        where = ", ".join(f"{name!r} ({n:,} rows)" for name, n in holes.items() if n)
        raise InvalidInput(
            f"numbers are missing in {where}: --missing drop leaves such rows out, "
            "--missing zero counts them as 0",
            field="missing",
        )


def _filled(
    rows: pl.LazyFrame, values: Sequence[str], missing: Missing
) -> tuple[pl.LazyFrame, int]:
    """Give the rows with no number missing, and how many had one."""
    whole = pl.all_horizontal(pl.col(values).is_not_null())
    incomplete: int = rows.select((~whole).sum()).collect().item()
    if missing == "drop":
        return rows.filter(whole), incomplete
    return rows.with_columns(pl.col(values).fill_null(0)), incomplete


def _listed(counts: Mapping[str | None, int]) -> str:
    """Name the commonest values, with their numbers of rows."""
    if not counts:
        return "which has no rows"
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
    shown = [f"{'(missing)' if name is None else name} ({n:,})" for name, n in ranked[:_SHOWN]]
    return "whose values are " + ", ".join(shown) + (", ..." if len(ranked) > _SHOWN else "")
