"""Moments from dataframes: `JointMoments.of` on the same rows in numpy is the witness."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from math import inf, nan
from pathlib import Path
from typing import Any

import duckdb
import ibis
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from palio.stats.frames import HEAD, summarize, summarize_clusters
from palio.stats.joint import JointMoments

Engine = Callable[[pl.DataFrame], Any]

ENGINES: dict[str, Engine] = {
    "pandas": pl.DataFrame.to_pandas,
    "polars": lambda frame: frame,
    "polars lazy": pl.DataFrame.lazy,
    "pyarrow": pl.DataFrame.to_arrow,
    "duckdb": lambda frame: duckdb.connect().from_arrow(frame.to_arrow()),
    "ibis": lambda frame: ibis.memtable(frame.to_arrow()),
}


# Required in CI, else used where it is there.
NO_SPARK = not (find_spec("pyspark") and shutil.which("java"))
SPARK_MARKS = [pytest.mark.filterwarnings("ignore")]
if NO_SPARK and not os.environ.get("PALIO_CI"):
    SPARK_MARKS.append(pytest.mark.skip("needs Java and `make spark`"))


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """PySpark on one thread of a Java of its own."""
    if NO_SPARK:
        pytest.fail("needs Java and `make spark`")
    builder = import_module("pyspark.sql").SparkSession.builder.master("local[1]")
    for option, value in {
        # starts sooner
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": 1,
        "spark.sql.warehouse.dir": tmp_path_factory.mktemp("spark"),
        "spark.ui.enabled": False,
    }.items():
        builder = builder.config(option, str(value))
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    folder, tables = tmp_path_factory.mktemp("tables"), iter(range(10**6))

    def load(frame: pl.DataFrame) -> Any:
        path = Path(folder) / f"{next(tables)}.parquet"
        frame.write_parquet(path)
        return session.read.parquet(str(path))

    yield load
    session.stop()


@pytest.fixture(params=[*ENGINES, pytest.param("pyspark", marks=SPARK_MARKS)])
def engine(request: pytest.FixtureRequest) -> Engine:
    name: str = request.param
    return ENGINES[name] if name in ENGINES else request.getfixturevalue("spark")


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Heights of all that leaves the engine."""
    heights: list[int] = []
    collect = nw.LazyFrame.collect

    def spy(frame: nw.LazyFrame[Any]) -> nw.DataFrame[Any]:
        found = collect(frame)
        heights.append(len(found))
        return found

    monkeypatch.setattr(nw.LazyFrame, "collect", spy)
    return heights


def trial(n: int = 3_000) -> pl.DataFrame:
    rng = np.random.default_rng(4)
    y = rng.lognormal(0, 1, n)
    return pl.DataFrame(
        {
            "arm": rng.choice(["control", "treatment"], n),
            "segment": rng.choice([1, 2, 3], n),
            "y": y,
            "x": 1e9 + y + rng.standard_normal(n),
            "won": rng.random(n) < 0.3,
            "clicks": rng.integers(0, 90, n, dtype=np.int8),
            "user": rng.integers(0, 400, n),
        }
    )


def of(frame: pl.DataFrame, *names: str) -> JointMoments:
    return JointMoments.of(*(frame[name].cast(pl.Float64).to_numpy() for name in names))


def assert_same(ours: JointMoments, theirs: JointMoments, *, rel: float = 1e-9) -> None:
    assert ours.n == theirs.n
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-12, atol=1e-12)
    scale = np.sqrt(np.outer(np.diag(theirs.cov), np.diag(theirs.cov)))
    assert (np.abs(np.subtract(ours.cov, theirs.cov)) <= rel * scale).all()


def test_equals_numpy_on_every_engine(engine: Engine) -> None:
    frame, names = trial(), ["y", "x", "won", "clicks"]  # int8: its sums overflow if left so
    found = summarize(engine(frame), by="arm", values=names)
    assert set(found) == {"control", "treatment"}
    for arm, joint in found.items():
        assert_same(joint, of(frame.filter(arm=arm), *names))


def test_groups_by_several_columns_have_tuples_as_keys(engine: Engine) -> None:
    frame = trial()
    found = summarize(engine(frame), by=["arm", "segment"], values=["x"])
    assert len(found) == 6
    for (arm, segment), joint in found.items():
        assert_same(joint, of(frame.filter(arm=arm, segment=segment), "x"))


def test_a_sequence_of_one_column_has_tuples_too() -> None:
    assert set(summarize(trial(), by=("segment",), values=["y"])) == {(1,), (2,), (3,)}


def test_values_above_a_cap_count_as_the_cap(engine: Engine) -> None:
    frame = trial()
    cap = float(frame["y"].quantile(0.9) or 0)
    found = summarize(engine(frame), by="arm", values=["y", "x"], caps={"y": cap})
    capped = frame.with_columns(pl.col("y").clip(upper_bound=cap))
    for arm, joint in found.items():
        assert_same(joint, of(capped.filter(pl.col("arm") == arm), "y", "x"))
    assert max(joint.value(0).var for joint in found.values()) < float(frame["y"].to_numpy().var())


def test_a_cap_hides_no_infinity() -> None:
    frame = pl.DataFrame({"arm": ["a", "a"], "y": [1.0, inf]})
    with pytest.raises(ValueError, match="'y' is missing"):
        summarize(frame, by="arm", values=["y"], caps={"y": 2.0})


@pytest.mark.parametrize(
    ("caps", "says"),
    [
        ({"z": 1.0}, "caps must be of values, got one of 'z'"),
        ({"y": nan}, "caps.* must be finite"),
    ],
)
def test_caps_that_cannot_be_are_named(caps: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        summarize(trial(), by="arm", values=["y"], caps=caps)


def test_groups_far_from_the_first_rows_lose_nothing(engine: Engine) -> None:
    """Sorted: the head is one arm at 0, the other lies at 1e9 with unit variance."""
    values = np.random.default_rng(5).standard_normal((2, 2 * HEAD))
    frame = pl.DataFrame(
        {"arm": ["a"] * 2 * HEAD + ["b"] * 2 * HEAD, "y": [*values[0], *(1e9 + values[1])]}
    )
    found = summarize(engine(frame), by="arm", values=["y"])
    moved = of(frame.filter(arm="b").with_columns(pl.col("y") - 1e9), "y")
    assert_same(found["a"], of(frame.filter(arm="a"), "y"))
    assert found["b"].cov[0][0] == pytest.approx(moved.cov[0][0], rel=1e-12)
    assert found["b"].mean[0] - 1e9 == pytest.approx(moved.mean[0], abs=1e-6)


def test_only_the_head_and_one_row_a_group_are_collected(
    engine: Engine, collected: list[int]
) -> None:
    summarize(engine(trial()), by="arm", values=["y", "x"])
    assert collected == [HEAD, 2]


def test_a_second_pass_is_made_only_where_digits_are_lost(collected: list[int]) -> None:
    far = pl.DataFrame({"arm": ["a"] * 2 * HEAD + ["b"] * 9, "y": [0.0, 1.0] * HEAD + [200.0] * 9})
    near = {"arm": far["arm"], "y": far["y"].clip(0, 1)}
    summarize(pl.DataFrame(near), by="arm", values=["y"])  # whole numbers, all the same in b
    assert collected == [HEAD, 2]
    spread = far.with_columns(y=pl.col("y") + pl.Series(np.linspace(0, 1, len(far))))
    assert_same(
        summarize(spread, by="arm", values=["y"])["b"], of(spread.filter(arm="b"), "y"), rel=1e-12
    )
    assert collected == [HEAD, 2, HEAD, 2, 2]


def test_constants_have_no_variance(engine: Engine) -> None:
    frame = pl.DataFrame({"arm": ["a", "a", "a", "b", "b", "b"], "y": [0.1] * 3 + [1e9 / 7] * 3})
    found = summarize(engine(frame), by="arm", values=["y"])
    assert found["a"] == JointMoments(3, (0.1,), ((0.0,),))
    assert found["b"].cov == ((0.0,),)


@given(st.lists(st.tuples(st.booleans(), st.floats(-1e6, 1e6)), min_size=1, max_size=30))
def test_any_rows(rows: list[tuple[bool, float]]) -> None:
    frame = pl.DataFrame(rows, schema={"arm": pl.Boolean, "y": pl.Float64}, orient="row")
    found = summarize(frame, by="arm", values=["y"])
    assert sum(joint.n for joint in found.values()) == len(rows)
    for arm, joint in found.items():
        expected = of(frame.filter(pl.col("arm") == arm), "y")
        assert joint.mean == pytest.approx(expected.mean, rel=1e-9, abs=1e-9)
        assert joint.cov[0][0] == pytest.approx(expected.cov[0][0], rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("name", ["polars", "polars lazy", "pyarrow", "duckdb", "ibis"])
def test_decimals_are_numbers(name: str) -> None:
    frame = pl.DataFrame({"arm": [1, 1, 2], "y": [Decimal("1.5"), Decimal("2.5"), Decimal(7)]})
    found = summarize(ENGINES[name](frame), by="arm", values=["y"])
    assert found == {1: JointMoments.of([1.5, 2.5]), 2: JointMoments.of([7.0])}


def test_whole_numbers_do_not_overflow(engine: Engine) -> None:
    values = [2**52, 2**52 + 2**50, 2**52 - 2**50]  # their squares exceed 64 bits
    frame = pl.DataFrame({"arm": [True] * 3, "y": values})
    found = summarize(engine(frame), by="arm", values=["y"])
    assert found == {True: JointMoments(3, (2.0**52,), ((2.0**100,),))}


def test_names_of_columns_are_free(engine: Engine) -> None:
    frame = trial(50).select(v0="arm", k0="y", len="x")
    found = summarize(engine(frame), by="v0", values=["k0", "len", "k0"])
    assert_same(found["control"], of(frame.filter(v0="control"), "k0", "len", "k0"))


def test_what_is_missing_is_counted_and_refused(engine: Engine) -> None:
    frame = pl.DataFrame({"arm": ["a"] * 6, "y": [1.0, None, nan, inf, -inf, 2.0], "x": [1.0] * 6})
    for bad, count in (([1], 1), ([2], 1), ([3], 1), ([3, 4], 2), ([1, 2, 3], 3)):
        rows = engine(frame[[0, *bad, 5]])
        with pytest.raises(ValueError, match="column 'y' is missing") as refused:
            summarize(rows, by="arm", values=["x", "y"])
        assert f"in {count} of {count + 2} rows: drop these rows or fill them" in str(
            refused.value
        )


def test_a_missing_group_is_refused(engine: Engine) -> None:
    frame = pl.DataFrame({"arm": ["a", None, None], "y": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match=r"column 'arm' is missing .* in 2 of 3 rows"):
        summarize(engine(frame), by="arm", values=["y"])


def test_nan_is_no_group_and_na_no_value() -> None:
    with pytest.raises(ValueError, match=r"column 'arm' is missing .* in 1 of 2 rows"):
        summarize(pl.DataFrame({"arm": [1.0, nan], "y": [1, 2]}), by="arm", values=["y"])
    nullable = pd.DataFrame({"arm": ["a", "a"], "y": pd.array([1, None], dtype="Int64")})
    with pytest.raises(ValueError, match=r"column 'y' is missing .* in 1 of 2 rows"):
        summarize(nullable, by="arm", values=["y"])
    nothing = pl.DataFrame({"arm": ["a"], "y": [None]}, schema_overrides={"y": pl.Float64})
    with pytest.raises(ValueError, match=r"column 'y' is missing .* in 1 of 1 rows"):
        summarize(nothing, by="arm", values=["y"])


def test_a_frame_without_rows_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="frame must have rows, got none"):
        summarize(engine(trial(5).clear()), by="arm", values=["y"])


@pytest.mark.parametrize(
    ("by", "values", "says"),
    [
        ("variant", ["y"], r"column 'variant' is not in the frame, which has \['arm', 'segment'"),
        (["arm", "nope"], ["y"], "column 'nope' is not in the frame"),
        ("arm", ["z"], "column 'z' is not in the frame"),
        ("tags", ["y"], "column 'tags' must hold single values, got List"),
        ("segment", ["y", "arm"], "column 'arm' must hold numbers, got String"),
        ("arm", "y", "values must be a sequence of at least one name, got 'y'"),
        ("arm", [], r"values must be a sequence of at least one name, got \[\]"),
        ([], ["y"], "by must name a column, got none"),
    ],
)
def test_columns_that_cannot_be_are_named(by: str, values: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        summarize(trial(5).with_columns(tags=pl.lit([1])), by=by, values=values)


def test_what_is_no_frame_and_what_overflows_is_refused() -> None:
    with pytest.raises(ValueError, match="frame must be what narwhals takes, got <class 'dict'>"):
        summarize({"arm": ["a"], "y": [1.0]}, by="arm", values=["y"])  # type: ignore[arg-type]
    for most in (1e200, 1.7e308):
        huge = pd.DataFrame({"arm": ["a", "a"], "y": [most, -most]})
        with pytest.raises(ValueError, match="values are too large, their squares overflow"):
            summarize(huge, by="arm", values=["y"])


def sums_by_cluster(frame: pl.DataFrame, *names: str) -> JointMoments:
    units = frame.group_by("user").agg(pl.col(names).sum(), pl.len().alias("rows"))
    return of(units, *names, "rows")


def test_clusters_equal_sums_in_numpy(engine: Engine) -> None:
    frame = trial()
    found = summarize_clusters(engine(frame), by="arm", cluster="user", values=["y", "clicks"])
    for arm, joint in found.items():
        assert_same(joint, sums_by_cluster(frame.filter(arm=arm), "y", "clicks"))


def test_clusters_leave_the_engine_as_one_row_a_group(
    engine: Engine, collected: list[int]
) -> None:
    summarize_clusters(engine(trial()), by="arm", cluster="user", values=["y"])
    assert collected == [2]


def spread_of_ratio(joint: JointMoments) -> float:
    """Standard error of sum over rows, by the delta method."""
    (total, rows), cov = joint.mean, joint.cov
    ratio = total / rows
    square = cov[0][0] - 2 * ratio * cov[0][1] + ratio**2 * cov[1][1]
    return float(np.sqrt(square / joint.n)) / rows


def test_their_ratio_has_the_cluster_robust_standard_error_of_statsmodels() -> None:
    """Its correction for one regressor, G / (G - 1), is the divisor of our covariance."""
    frame = trial().with_columns(y=pl.col("y") + pl.col("user") / 100)
    joint = summarize_clusters(frame, by="arm", cluster="user", values=["y"])["control"]
    control = frame.filter(arm="control")
    fit = sm.OLS(control["y"].to_numpy(), np.ones(len(control))).fit(
        cov_type="cluster", cov_kwds={"groups": control["user"].to_numpy()}
    )
    assert joint.mean[0] / joint.mean[1] == pytest.approx(fit.params[0], rel=1e-12)
    assert spread_of_ratio(joint) == pytest.approx(fit.bse[0], rel=1e-9)


def test_an_origin_keeps_the_digits_of_clusters_at_a_billion(engine: Engine) -> None:
    frame = trial()
    found = summarize_clusters(
        engine(frame), by="arm", cluster="user", values=["x"], origin=[1e9]
    )["control"]
    exact = sums_by_cluster(frame.filter(arm="control").with_columns(pl.col("x") - 1e9), "x")
    assert_same(found, exact)
    assert spread_of_ratio(found) == pytest.approx(spread_of_ratio(exact), rel=1e-9)


def test_clusters_with_something_missing_are_refused(engine: Engine) -> None:
    frame = pl.DataFrame({"arm": ["a"] * 3, "user": [1, 1, None], "y": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match=r"column 'user' is missing .* in 1 of 3 rows"):
        summarize_clusters(engine(frame), by="arm", cluster="user", values=["y"])
    frame = frame.with_columns(user=pl.Series([1.0, nan, nan]))
    with pytest.raises(ValueError, match=r"column 'user' is missing .* in 2 of 3 rows"):
        summarize_clusters(engine(frame), by="arm", cluster="user", values=["y"])
    frame = frame.with_columns(user=pl.lit(7), y=pl.Series([1.0, None, 3.0]))
    with pytest.raises(ValueError, match=r"column 'y' is missing .* in 1 of 3 rows"):
        summarize_clusters(engine(frame), by="arm", cluster="user", values=["y"])


def test_an_origin_that_does_not_fit_is_refused() -> None:
    for origin, says in (([1.0, 2.0], "origin must have length 1, got 2"), ([inf], "origin must")):
        with pytest.raises(ValueError, match=says):
            summarize_clusters(trial(9), by="arm", cluster="user", values=["y"], origin=origin)
