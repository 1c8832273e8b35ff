"""Moments of any dataframe that narwhals takes, by one aggregation that its own engine runs.

Rows are never collected. The first rows give each value a shift s_i; then the engine sums
``d_i = x_i - s_i`` and ``d_i d_j`` of each group in one pass, which `JointMoments.from_sums` turns
into moments. Rounding takes about ``eps sqrt(n) mean(d_i)^2 / var(d_i)`` of a variance: nothing
where the shift is within a few standard deviations of the mean. Where a group lies so far from
the first rows that this exceeds `PRECISION`, as in sorted data, a second pass centres each group
on its own mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite, sqrt
from sys import float_info
from typing import Any, NoReturn, TypeAlias

import narwhals as nw
import numpy as np
from narwhals.typing import IntoFrame

from palio.stats import ranges
from palio.stats.joint import JointMoments

__all__ = ["summarize", "summarize_clusters"]

HEAD = 1_000
"""First rows, whose medians are the shifts."""

PRECISION = 1e-10
"""Relative rounding of a variance above which a second pass is made; it costs three times the
first."""

_QUIET = np.errstate(over="ignore", invalid="ignore")  # pandas sums by numpy; sums are checked

Key: TypeAlias = Any
Frame: TypeAlias = nw.LazyFrame[Any]
Row: TypeAlias = Mapping[str, Any]


def summarize(
    frame: IntoFrame,
    *,
    by: str | Sequence[str],
    values: Sequence[str],
    caps: Mapping[str, float] | None = None,
) -> dict[Key, JointMoments]:
    """Give the moments of columns in each group of a dataframe with one row a unit.

    Parameters
    ----------
    frame
        What narwhals takes: pandas, Polars (eager or lazy), PyArrow, DuckDB, Ibis, PySpark. Lazy
        ones compute where the data is and hand over one row a group, those of SQL as PyArrow,
        which must be installed.
    by
        Column of the variant, or a sequence of columns (variant, segment).
    values
        Names of k columns of numbers or booleans, computed as 64-bit floats. Whole numbers beyond
        2^53 are rounded to these, or refused by PyArrow.
    caps
        Largest value that counts, by column: larger ones count as the cap (winsorising), which
        tames a heavy tail at the price of what lies beyond it. Fix it on data from before the
        experiment, a high quantile for example: a cap chosen on these rows breaks the bounds.

    Returns
    -------
    dict
        Moments of the values, in their order, by the group's key: a tuple where ``by`` is a
        sequence.

    Raises
    ------
    ValueError
        If frame is no dataframe or has no rows, a column is unknown or not numeric, its squares
        overflow, or a key or value is missing (null, NaN or infinite), saying how many and what
        to do.

    References
    ----------
    Chan, Golub and LeVeque (1983), The American Statistician 37(3), 242-247.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"arm": ["a", "a", "b", "b"], "y": [1, 3, 4, 5]})
    >>> summarize(frame, by="arm", values=["y"])["a"].value(0)
    Moments(n=2, mean=2.0, var=2.0)
    """
    named = _named(by, values)
    rows = _rows(frame, named, caps or {})
    cells = _those(rows, "v")
    head = rows.select(cells).head(HEAD).collect()
    return _keyed(_moments(rows, [_median(head[cell]) for cell in cells], rows, named), by)


def summarize_clusters(
    frame: IntoFrame,
    *,
    by: str | Sequence[str],
    cluster: str,
    values: Sequence[str],
    origin: Sequence[float] | None = None,
) -> dict[Key, JointMoments]:
    """Give the moments over clusters: units with several rows each, randomised as a whole.

    Parameters
    ----------
    frame, by
        As for `summarize`, with one row an observation. A cluster has one key: rows of the same
        cluster in two groups count as two clusters.
    cluster
        Column that names the cluster of a row.
    values
        Names of k columns, as for `summarize`.
    origin
        References, finite, that are subtracted from the values, length k; None for 0. Give one
        near the means where these are large beside the spread (above 1e4 standard deviations)
        and clusters differ in size: ratios of all groups fall by the same origin, and their
        differences keep all digits.

    Returns
    -------
    dict
        Moments over clusters of k + 1 values by the group's key: the cluster's sum of each value,
        then its number of rows. The ratio of a sum to the number of rows, by the delta method, is
        the mean of the rows with a cluster-robust standard error.

    Raises
    ------
    ValueError
        As for `summarize`, or if a cluster is null or origin out of its range.

    References
    ----------
    Deng, Knoblich and Lu (2018), KDD, 233-242, section 3.
    """
    named = _named(by, values) | {"cluster": cluster}
    rows = _rows(frame, named, {})
    origins = ranges.finite_array("origin", [0.0] * len(values) if origin is None else origin)
    if len(origins) != len(values):
        raise ValueError(f"origin must have length {len(values)}, got {len(origins)}")
    units = _clusters(rows, origins.tolist())
    return _keyed(_moments(units, [0.0] * (len(values) + 1), rows, named), by)


def _named(by: str | Sequence[str], values: Sequence[str]) -> dict[str, str]:
    """Give the caller's names by ours, which clash with none: k0, k1, ... and v0, v1, ...."""
    keys = [by] if isinstance(by, str) else list(by)
    if not keys:
        raise ValueError("by must name a column, got none")
    if isinstance(values, str) or not values:
        raise ValueError(f"values must be a sequence of at least one name, got {values!r}")
    named = {f"k{at}": name for at, name in enumerate(keys)}
    return named | {f"v{at}": name for at, name in enumerate(values)}


def _those(frame: Frame, kind: str) -> list[str]:
    return [name for name in frame.collect_schema() if name.startswith(kind)]


def _rows(frame: IntoFrame, named: Mapping[str, str], caps: Mapping[str, float]) -> Frame:
    """Give the columns asked for alone, lazily and under our names, values as floats."""
    try:
        rows: Frame = nw.from_native(frame).lazy()
    except TypeError as error:
        raise ValueError(f"frame must be what narwhals takes, got {type(frame)}") from error
    schema = rows.collect_schema()
    for ours, name in named.items():
        if name not in schema:
            raise ValueError(f"column {name!r} is not in the frame, which has {list(schema)}")
        if schema[name].is_nested():
            raise ValueError(f"column {name!r} must hold single values, got {schema[name]}")
        if ours.startswith("v") and not (schema[name].is_numeric() or schema[name] == nw.Boolean):
            raise ValueError(f"column {name!r} must hold numbers, got {schema[name]}")
    for name, cap in caps.items():
        ranges.finite(f"caps[{name!r}]", cap)
        if name not in named.values():
            raise ValueError(f"caps must be of values, got one of {name!r}")
    return rows.select(
        (_capped(name, caps) if ours.startswith("v") else nw.col(name)).alias(ours)
        for ours, name in named.items()
    )


def _capped(name: str, caps: Mapping[str, float]) -> nw.Expr:
    """Give a column as floats; a cap leaves infinite values alone, which are refused later."""
    value = nw.col(name).cast(nw.Float64)
    if name not in caps:
        return value
    above = (value > caps[name]) & value.is_finite()
    return nw.when(above).then(nw.lit(caps[name])).otherwise(value)


def _median(column: nw.Series[Any]) -> float:
    """Give one of the finite values, so that a constant, or whole numbers, shift exactly."""
    values = sorted(float(value) for value in column.drop_nulls().to_list() if isfinite(value))
    return values[len(values) // 2] if values else 0.0


@_QUIET
def _clusters(rows: Frame, origins: Sequence[float]) -> Frame:
    """Give one row a cluster: sums and number of rows, null where something was missing."""
    keys, cells, schema = _those(rows, "k"), _those(rows, "v"), rows.collect_schema()
    moved = [nw.col(cell) - origin for cell, origin in zip(cells, origins, strict=True)]
    sums = [nw.col(cell).sum() for cell in cells]
    counts = [nw.col(cell).count().alias(f"count_{cell}") for cell in cells]
    summed = rows.with_columns(moved).group_by(*keys, "cluster").agg(nw.len(), *sums, *counts)
    known = _present("cluster", schema["cluster"])
    whole = [
        nw.when(known & (nw.col(f"count_{cell}") == nw.col("len"))).then(nw.col(cell)).alias(cell)
        for cell in cells
    ]
    return summed.select(*keys, *whole, nw.col("len").cast(nw.Float64).alias(f"v{len(cells)}"))


def _moments(
    units: Frame, shifts: Sequence[float], rows: Frame, named: Mapping[str, str]
) -> dict[Key, JointMoments]:
    """Give the moments of each group of units by its tuple of keys."""
    found = _summed(units, [nw.lit(shift) for shift in shifts])
    if len(found) == 0:
        raise ValueError("frame must have rows, got none")
    if not _is_whole(found):
        _refuse(rows, named)
    moments = {_key(row): _joint(row, shifts) for row in found.rows(named=True)}
    if not any(_is_lost(joint, shifts) for joint in moments.values()):
        return moments
    means = units.group_by(keys := _those(units, "k")).agg(
        nw.col(f"v{at}").mean().alias(f"s{at}") for at in range(len(shifts))
    )
    centred = units.join(means, on=keys, how="inner")
    found = _summed(centred, [nw.col(f"s{at}") for at in range(len(shifts))])
    return {
        _key(row): _joint(row, [row[f"s{at}"] for at in range(len(shifts))])
        for row in found.rows(named=True)
    }


@_QUIET
def _summed(units: Frame, shifts: Sequence[nw.Expr]) -> nw.DataFrame[Any]:
    """Sum the shifted values d0, d1, ... of each group, and their products p0_0, p0_1, ...."""
    at = range(len(shifts))
    shifted = [(nw.col(f"v{i}") - shift).alias(f"d{i}") for i, shift in enumerate(shifts)]
    pairs = {f"p{i}_{j}": nw.col(f"d{i}") * nw.col(f"d{j}") for i in at for j in at if i <= j}
    counts = [nw.col(f"d{i}").count().alias(f"count_{i}") for i in at]
    sums = [nw.col(name).sum() for name in (*(f"d{i}" for i in at), *pairs)]
    centres = [nw.col(name).max() for name in _those(units, "s")]
    groups = units.with_columns(shifted).with_columns(**pairs).group_by(_those(units, "k"))
    return groups.agg(nw.len(), *counts, *sums, *centres).collect()


def _is_whole(found: nw.DataFrame[Any]) -> bool:
    """Say whether no key is missing, no value null and every sum finite."""
    parts = [name for name in found.columns if name[0] in "kdp"]
    counts = [name for name in found.columns if name.startswith("count_")]
    present = found.select(_number_present(found.schema, parts)).row(0)
    return all(there == len(found) for there in present) and all(
        (found[name] == found["len"]).all() for name in counts
    )


def _present(name: str, dtype: nw.dtypes.DType) -> nw.Expr:
    column = nw.col(name)
    return ~column.is_null() & column.is_finite() if dtype.is_float() else ~column.is_null()


def _number_present(schema: Mapping[str, nw.dtypes.DType], names: Iterable[str]) -> list[nw.Expr]:
    """Count, by casting first: Spark sums no booleans."""
    return [_present(name, schema[name]).cast(nw.Int64).sum().alias(name) for name in names]


def _refuse(rows: Frame, named: Mapping[str, str]) -> NoReturn:
    """Count again what the sums only betrayed, to say where it is."""
    found = rows.select(nw.len(), *_number_present(rows.collect_schema(), named)).collect()
    n = int(found["len"][0])
    for ours, name in named.items():
        if missing := n - int(found[ours][0]):
            raise ValueError(
                f"column {name!r} is missing (null, NaN or infinite) in {missing} of {n} rows: "
                "drop these rows or fill them first"
            )
    raise ValueError("values are too large, their squares overflow: rescale them first")


def _joint(row: Row, shifts: Sequence[float]) -> JointMoments:
    at = range(len(shifts))
    products = [[float(row[f"p{min(i, j)}_{max(i, j)}"]) for j in at] for i in at]
    sums = [float(row[f"d{i}"]) for i in at]
    return JointMoments.from_sums(int(row["len"]), shifts, sums, products)


def _is_lost(joint: JointMoments, shifts: Sequence[float]) -> bool:
    """Say whether a shift was too far off, unless its sums were of whole numbers and exact."""
    for at, shift in enumerate(shifts):
        one = joint.value(at)
        square = (one.mean - shift) * (one.mean - shift)
        exact = one.var == 0 and one.mean.is_integer() and one.n * square < 2**53
        rounding = float_info.epsilon * sqrt(one.n) * square
        if one.n > 1 and rounding > PRECISION * one.var and not exact:
            return True
    return False


def _key(row: Row) -> tuple[Key, ...]:
    keys = (value for name, value in row.items() if name.startswith("k"))
    return tuple(key.item() if isinstance(key, np.generic) else key for key in keys)


def _keyed(found: Mapping[Key, JointMoments], by: str | Sequence[str]) -> dict[Key, JointMoments]:
    return {key[0] if isinstance(by, str) else key: joint for key, joint in found.items()}
