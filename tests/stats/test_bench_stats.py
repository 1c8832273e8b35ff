"""The Palio part of `make bench-stats`, in small: it needs none of the peers."""

import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "benchmarks" / "stats"
NAMES = ("cells", "rules", "sections", "simulations", "false_positives", "power", "targets")


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """Import the benchmark's modules, and forget them afterwards: their names are short."""
    sys.path.insert(0, str(BENCH))
    yield SimpleNamespace(**{name: import_module(name) for name in NAMES})
    sys.path.remove(str(BENCH))
    for name in NAMES:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["Gauss", "Bern .05", "LN 1.5"])
def test_increments_have_the_moments_of_their_population(
    bench: SimpleNamespace, name: str
) -> None:
    """Mean and variance within five standard errors, the latter's from the simulations."""
    cell = next(cell for cell in bench.cells.BALANCED if cell.name == name)
    paths = bench.cells.simulate(cell, 60, np.random.default_rng(1))
    population, arm = cell.control, paths.control
    assert arm.n.tolist() == list(range(100, 10_001, 100))
    for at in (0, -1):
        means, variances = arm.mean[:, at], arm.var[:, at]
        se = population.sd / np.sqrt(60 * arm.n[at])
        assert abs(means.mean() - population.centre) < 5 * se
        spread = variances.std(ddof=1) / np.sqrt(60)
        assert abs(variances.mean() - population.sd**2) < 5 * spread


def test_lognormal_increments_are_those_of_the_raw_draws(bench: SimpleNamespace) -> None:
    """The same generator, drawn at once and summarised by numpy."""
    cell = next(cell for cell in bench.cells.SMALL_1K if cell.name.endswith("LN 1.5"))
    paths = bench.cells.simulate(cell, 2, np.random.default_rng(2))
    rng = np.random.default_rng(2)
    raw = np.exp(1.5 * rng.standard_normal((2, 10_000)))
    assert paths.control.mean[:, -1] == pytest.approx(raw.mean(axis=1), rel=1e-12)
    assert paths.control.var[:, -1] == pytest.approx(raw.var(axis=1, ddof=1), rel=1e-9)
    assert paths.control.var[:, 9] == pytest.approx(raw[:, :1000].var(axis=1, ddof=1), rel=1e-9)


@pytest.mark.parametrize("group", ["SMALL_1K", "UNLIKE", "EFFECTS"])
def test_looks_that_are_not_asked_would_not_have_crossed(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    """Palio and what it is not asked: the filter on |z| changes no stop."""
    for cell in getattr(bench.cells, group):
        paths = bench.cells.simulate(cell, 30, np.random.default_rng(3))
        quick = bench.rules.palio(paths)
        with monkeypatch.context() as patch:
            patch.setattr(bench.rules, "first_asked", partial(bench.rules.first_asked, least=0.0))
            assert bench.rules.palio(paths).tolist() == quick.tolist()


def test_first_gives_the_first_crossing_or_none(bench: SimpleNamespace) -> None:
    """By hand."""
    crossed = np.zeros((3, 100), dtype=bool)
    crossed[0, [7, 9]] = crossed[2, 99] = True
    assert bench.rules.first(crossed).tolist() == [7, 100, 99]


@pytest.fixture(scope="module")
def small(bench: SimpleNamespace) -> object:
    """Simulate 1,500 experiments in four cells without any peer."""
    cells = [bench.cells.BALANCED[0], bench.cells.SMALL_1K[2], bench.cells.UNEQUAL[1]]
    cells.append(bench.cells.EFFECTS[0])
    work = [
        chunk for cell in cells for chunk in bench.simulations.chunks(cell, ours=1500, peers=0)
    ]
    return bench.simulations.measure(work, processes=1, advance=lambda _: None)


def test_false_positives_are_those_of_the_published_table(small: object) -> None:
    """Within four binomial standard errors of the table in the requirements.

    t-test at every look .38 balanced and .63 on the small skewed arm, the asymptotic sequence at
    the horizon .018 and .141 (5,000 and 2,000 simulations there).
    """
    expected = {
        ("Gauss", "t-test at every look"): 0.38,
        ("1:10, 1k: LN 2", "t-test at every look"): 0.63,
        ("Gauss", "asymptotic CS at horizon"): 0.018,
        ("1:10, 1k: LN 2", "asymptotic CS at horizon"): 0.141,
    }
    for (cell, rule), rate in expected.items():
        found = small.of(cell, rule)
        assert found.sims == 1500
        spread = np.sqrt(rate * (1 - rate) * (1 / 1500 + 1 / 2000))
        assert abs(found.rate - rate) < 4 * spread, (cell, rule)


@pytest.mark.parametrize("rule", ["Palio", "Palio, looks=100"])
def test_palio_keeps_its_level_and_sees_effects(small: object, rule: str) -> None:
    """5 % within four binomial standard errors (.0225); power well above the asymptotic one."""
    for cell in ("Gauss", "1:10, 1k: LN 2", "10k sd 1 : 1k sd 3"):
        assert small.of(cell, rule).rate < 0.05 + 0.0225
    found = small.of("Gauss, 80 % effect", rule)
    assert found.rate > small.of("Gauss, 80 % effect", "asymptotic CS at horizon").rate + 0.1
    assert found.mean_units < 7500


def test_the_effect_is_the_one_of_80_percent_power(small: object) -> None:
    """Four binomial standard errors of 1,500 simulations are .041."""
    found = small.of("Gauss, 80 % effect", "fixed t-test, one look")
    assert abs(found.rate - 0.8) < 0.041
    assert found.mean_units == 10_000


def test_chunks_cover_the_simulations_and_repeat_themselves(bench: SimpleNamespace) -> None:
    """600 with peers, 650 without, every chunk from a stream of its own."""
    cell = bench.cells.BALANCED[0]
    found = list(bench.simulations.chunks(cell, ours=1250, peers=600))
    assert [(chunk.sims, chunk.peers) for chunk in found] == [
        (500, True), (100, True), (500, False), (150, False),
    ]  # fmt: skip
    firsts = [chunk.paths().z[0, 0] for chunk in found]
    assert len(set(firsts)) == 4
    assert [chunk.paths().z[0, 0] for chunk in found] == firsts


def test_outcomes_add_up(bench: SimpleNamespace) -> None:
    """By hand: 3 of 4 stop, at 100, 200, 300 units, the last at 10,000."""
    outcome = bench.sections.Outcome
    both = outcome(2, 2, 300.0, 50_000.0) + outcome(2, 1, 10_300.0, 100_090_000.0)
    assert (both.rate, both.mean_units) == (0.75, 2650.0)
    assert both.rate_se == pytest.approx(np.sqrt(0.75 * 0.25 / 4))
    assert both.mean_units_se == pytest.approx(np.std([100, 200, 300, 10_000]) / 2)


def test_sections_show_what_was_measured(bench: SimpleNamespace, small: object) -> None:
    """Tables carry the rates in per cent, and leave cells out that were not run."""
    text = bench.false_positives.section(small).text
    rate = 100 * small.of("Gauss", "Palio").rate
    row = next(line for line in text.splitlines() if line.startswith("| Palio |"))
    assert f"| {rate:.2f} ± " in row
    assert row.endswith("|  |  |  |")
    assert "fixed t-test, one look" not in text
    assert "| fixed t-test, one look | 0." in bench.power.section(small).text


@pytest.mark.parametrize(("stop", "said"), [(6300, "reached"), (6400, "**missed**")])
def test_targets_are_told_from_the_outcomes(bench: SimpleNamespace, stop: int, said: str) -> None:
    """Against a peer that stops at 7,000: 0.90 of it is 6,300."""
    outcome = bench.sections.Outcome
    cell, rule = "Gauss, 80 % effect", "Palio"
    found = {
        (cell, rule): outcome(100, 72, stop * 100.0, stop**2 * 100.0),
        (cell, "gbstats sequential"): outcome(100, 50, 7000 * 100.0, 7000**2 * 100.0),
        ("Gauss", rule): outcome(100, 6, 0.0, 0.0),
    }
    section = bench.targets.section(bench.sections.Measured(found))
    told = {row["target"]: row["reached"] for row in section.data}
    assert list(told.values()) == [False, True, said == "reached"]
    assert "0 of 1; the most 6.00 ± 2.37 % (Gauss)" in section.text
    assert section.text.splitlines()[-1].endswith(f"| {said} |")
