"""Two arms of a bandit under Thompson sampling: whether intervals hold, and how wide they are.

Every cell: 1,000 rounds, 95 % nominal, coverage of all looks from t = 100 on together, 20,000
simulations. Propensities are ``f + (1 - K f) P(best)`` of the policy version, guesses are the arm
means so far with one pseudo-unit at the mean of all. Compared, per cell:

- naive: plain arm means, Welch's standard error, 1.96 of them;
- textbook: the plain mean of the scores d, their sample variance, rule 2;
- ours: `palio.stats.policies.adaptive`, by rule 2 and, with the horizon declared, by rule 1.

python benchmarks/bench_adaptive.py [simulations]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from palio.stats.policies.adaptive import AdaptiveSums, adaptive_interval

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, Array, Array], Array]
ROUNDS, FIRST, SIMS, CHUNK = 1_000, 100, 20_000, 1_000
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(24)


def gauss(rng: np.random.Generator, means: Array, deviations: Array) -> Array:
    """Draw normal outcomes."""
    return means + deviations * rng.standard_normal(means.shape)


def bernoulli(rng: np.random.Generator, means: Array, _: Array) -> Array:
    """Draw outcomes 0 and 1."""
    return (rng.random(means.shape) < means).astype(float)


def lognormal(rng: np.random.Generator, means: Array, _: Array) -> Array:
    """Draw skewed outcomes: sigma 1, shifted to the means."""
    return means + rng.lognormal(0.0, 1.0, means.shape) - np.exp(0.5)


@dataclass(frozen=True)
class Cell:
    """One bandit: how it draws, decides and begins."""

    draw: Draw
    truth: tuple[float, ...]
    deviations: tuple[float, ...] = (1.0, 1.0, 1.0)
    floor: float = 0.05
    refresh: int = 50
    early: tuple[float, ...] | None = None
    louder: float = 1.0
    """Factor on the noise from half-time on."""


CELLS = {
    "gauss": Cell(gauss, (0.0, 0.0)),
    "bernoulli .5": Cell(bernoulli, (0.5, 0.5)),
    "bernoulli .3": Cell(bernoulli, (0.3, 0.3)),
    "bernoulli .05": Cell(bernoulli, (0.05, 0.05)),
    "gauss, effect .3": Cell(gauss, (0.0, 0.3)),
    "bernoulli .3 and .5": Cell(bernoulli, (0.3, 0.5)),
    "three arms": Cell(gauss, (0.0, 0.0, 0.2)),
    "heavy early, .9": Cell(gauss, (0.0, 0.0), early=(0.9, 0.1)),
    "deviations 1 and 3": Cell(gauss, (0.0, 0.0), deviations=(1.0, 3.0)),
    "lognormal": Cell(lognormal, (0.0, 0.0)),
    "noise x 3 at half-time": Cell(gauss, (0.0, 0.0), louder=3.0),
    "the same, effect .3": Cell(gauss, (0.0, 0.3), louder=3.0),
    "gauss, floor .01, every round": Cell(gauss, (0.0, 0.0), floor=0.01, refresh=1),
    "bernoulli .5, floor .01, every round": Cell(bernoulli, (0.5, 0.5), floor=0.01, refresh=1),
    "bernoulli .1, floor .01, every round": Cell(bernoulli, (0.1, 0.1), floor=0.01, refresh=1),
}


@dataclass(frozen=True)
class Runs:
    """Arrays (simulations, rounds), and (simulations, rounds, 2) of the two arms contrasted."""

    outcomes: Array
    chosen: NDArray[np.int8]
    propensities: Array
    guesses: Array


def best(means: Array, errors: Array) -> Array:
    """Give P(arm is best) under independent normal posteriors, shape (sims, K)."""
    if means.shape[1] == 2:
        second = ndtr((means[:, 1] - means[:, 0]) / np.hypot(errors[:, 0], errors[:, 1]))
        return np.stack([1 - second, second], axis=1)
    shares = np.empty_like(means)
    for arm in range(means.shape[1]):
        points = means[:, [arm]] + errors[:, [arm]] * NODES
        others = [k for k in range(means.shape[1]) if k != arm]
        below = [ndtr((points - means[:, [k]]) / errors[:, [k]]) for k in others]
        shares[:, arm] = np.prod(below, axis=0) @ WEIGHTS
    return shares / shares.sum(axis=1, keepdims=True)


def decide(cell: Cell, t: int, *, n: Array, s1: Array, s2: Array) -> tuple[Array, Array]:
    """Give propensities and guesses, shape (sims, K), of the version that begins at round t."""
    sims, arms = n.shape
    overall = (s1.sum(axis=1, keepdims=True) + 0.5) / (n.sum(axis=1, keepdims=True) + 1)
    guesses = (s1 + overall) / (n + 1)
    if cell.early and t < 100:
        return np.tile(np.array(cell.early), (sims, 1)), guesses
    if t < max(cell.refresh, 4):
        return np.full((sims, arms), 1 / arms), guesses
    squares = np.maximum(s2 - s1**2 / np.maximum(n, 1), 0) + 0.25
    shares = best(guesses, np.sqrt(squares) / (n + 1))
    return cell.floor + (1 - arms * cell.floor) * shares, guesses


def run(cell: Cell, rng: np.random.Generator, sims: int) -> Runs:
    """Play all rounds."""
    arms, rows = len(cell.truth), np.arange(sims)
    truth, deviations = np.array(cell.truth), np.array(cell.deviations)
    n, s1, s2 = (np.zeros((sims, arms)) for _ in range(3))
    found = Runs(
        np.empty((sims, ROUNDS)), np.empty((sims, ROUNDS), np.int8),
        np.empty((sims, ROUNDS, 2)), np.empty((sims, ROUNDS, 2)),
    )  # fmt: skip
    for t in range(ROUNDS):
        if t % cell.refresh == 0:
            shares, guesses = decide(cell, t, n=n, s1=s1, s2=s2)
            edges = shares.cumsum(axis=1)[:, :-1]
        arm = (rng.random((sims, 1)) > edges).sum(axis=1)
        louder = cell.louder if t >= ROUNDS // 2 else 1.0
        y = cell.draw(rng, truth[arm], deviations[arm] * louder)
        n[rows, arm] += 1
        s1[rows, arm] += y
        s2[rows, arm] += y * y
        found.outcomes[:, t], found.chosen[:, t] = y, arm
        found.propensities[:, t], found.guesses[:, t] = shares[:, :2], guesses[:, :2]
    return found


def factors(**plan: int) -> Array:
    """Give half-width over standard error at every number of units, as the function has it."""
    found = []
    for n in range(1, ROUNDS + 1):
        unit = AdaptiveSums(
            n=max(n, FIRST), n_control=2, n_treatment=2, weight=1.0,
            load_control=1.0, residuals_control=2.0,
        )  # fmt: skip
        found.append(adaptive_interval(unit, **plan).upper)
    return np.array(found)


def naive(runs: Runs) -> tuple[Array, Array]:
    """Give estimate and standard error of the difference of plain means."""
    effect, square = 0.0, 0.0
    for arm, sign in ((0, -1), (1, 1)):
        mine = runs.chosen == arm
        n = np.maximum(mine.cumsum(axis=1), 2)
        mean = (mine * runs.outcomes).cumsum(axis=1) / n
        squares = (mine * runs.outcomes**2).cumsum(axis=1) - n * mean**2
        effect, square = effect + sign * mean, square + np.maximum(squares, 0) / (n - 1) / n
    return np.asarray(effect), np.sqrt(square)


def scores(runs: Runs) -> tuple[Array, Array, Array]:
    """Give d, and per arm whether it was drawn and the residual."""
    drew = runs.chosen[..., None] == np.arange(2)
    residuals = np.where(drew, runs.outcomes[..., None] - runs.guesses, 0.0)
    both = runs.guesses + residuals / runs.propensities
    return both[..., 1] - both[..., 0], drew, residuals


def textbook(d: Array) -> tuple[Array, Array]:
    """Give the running mean of the scores and its standard error."""
    n = np.arange(1, ROUNDS + 1)
    mean = d.cumsum(axis=1) / n
    squares = np.maximum((d**2).cumsum(axis=1) - n * mean**2, 0)
    return mean, np.sqrt(squares / np.maximum(n - 1, 1) / n)


def stabilised(runs: Runs, d: Array, drew: Array, residuals: Array) -> tuple[Array, Array]:
    """Give what `AdaptiveSums.effect` and ``.se`` are at every round, all simulations at once."""
    inverse = 1 / runs.propensities
    precision = 1 / inverse.sum(axis=2)
    weight = np.sqrt(precision).cumsum(axis=1)
    loads = (precision[..., None] * inverse).cumsum(axis=1)
    n, squares = drew.cumsum(axis=1), (residuals**2).cumsum(axis=1)
    own = (squares / np.maximum(n, 1) * loads).sum(axis=2)
    pooled = squares.sum(axis=2) / np.maximum(n.sum(axis=2), 1) * loads.sum(axis=2)
    effect = (d * np.sqrt(precision)).cumsum(axis=1) / weight
    observed = (
        (d * d * precision).cumsum(axis=1)
        - 2 * effect * (d * precision).cumsum(axis=1)
        + effect**2 * precision.cumsum(axis=1)
    )
    worst = np.maximum(np.maximum(own, pooled), observed)
    return effect, np.where(n.min(axis=2) < 2, np.inf, np.sqrt(worst) / weight)


def same_as_the_module(runs: Runs, effect: Array, se: Array) -> None:
    """Stop unless the sums of the first simulation say what the arrays say."""
    e = runs.propensities[0]
    sums, shares = AdaptiveSums(), np.column_stack([e, 1 - e.sum(axis=1)])
    for t in range(ROUNDS):
        sums = sums.merge(
            AdaptiveSums.of(
                runs.outcomes[0, [t]], runs.chosen[0, [t]], np.clip(shares[[t]], 0, 1),
                means=[*runs.guesses[0, t], 0.0], floor=0.01,
            )
        )  # fmt: skip
    if not np.allclose([sums.effect, sums.se], [effect[0, -1], se[0, -1]], rtol=1e-9):
        raise AssertionError((sums.effect, effect[0, -1], sums.se, se[0, -1]))


@dataclass
class Tally:
    """Counts over chunks of simulations."""

    sims: int = 0
    covered: float = 0.0
    covered_at_end: float = 0.0
    widths: Array = field(default_factory=lambda: np.zeros(ROUNDS - FIRST + 1))

    def add(self, effect: Array, half: Array, truth: float) -> None:
        """Count one chunk, arrays (simulations, rounds)."""
        holds = np.abs(effect - truth)[:, FIRST - 1 :] <= half[:, FIRST - 1 :]
        self.sims += len(holds)
        self.covered += holds.all(axis=1).sum()
        self.covered_at_end += holds[:, -1].sum()
        self.widths += len(half) * np.median(half[:, FIRST - 1 :], axis=0)

    def shares(self) -> tuple[float, float]:
        """Give the coverage of all looks together, and of the last."""
        return self.covered / self.sims, self.covered_at_end / self.sims


def measure(name: str, sims: int) -> dict[str, Tally]:
    """Simulate one cell."""
    cell, tallies = CELLS[name], {k: Tally() for k in ("naive", "textbook", "rule 2", "rule 1")}
    rng = np.random.default_rng([20, list(CELLS).index(name)])
    rule1, rule2 = factors(horizon=ROUNDS), factors(planned=ROUNDS)
    truth = cell.truth[1] - cell.truth[0]
    for start in range(0, sims, CHUNK):
        runs = run(cell, rng, min(CHUNK, sims - start))
        d, drew, residuals = scores(runs)
        effect, se = naive(runs)
        tallies["naive"].add(effect, 1.96 * se, truth)
        effect, se = textbook(d)
        tallies["textbook"].add(effect, rule2 * se, truth)
        effect, se = stabilised(runs, d, drew, residuals)
        if start == 0:
            same_as_the_module(runs, effect, se)
        tallies["rule 2"].add(effect, rule2 * se, truth)
        tallies["rule 1"].add(effect, rule1 * se, truth)
    return tallies


def rows(sims: int = SIMS) -> list[dict[str, str | float]]:
    """Give coverage and the median half-width at the horizon, beside the textbook's, by cell."""
    found: list[dict[str, str | float]] = []
    for name in CELLS:
        tallies = measure(name, sims)
        ours, theirs = tallies["rule 1"], tallies["textbook"]
        noise = 3 * sqrt(0.95 * 0.05 / sims)
        covered = ours.shares()[0]
        wide = [ours.widths[at] / theirs.widths[at] for at in (0, -1)]
        found += [
            {"what": f"bandit {name}: coverage, %", "ours": 100 * covered, "limit": 95.0,
             "ratio": covered / 0.95, "target": f">= 1 (+- {noise:.3f})"},
            {"what": f"bandit {name}: half-width", "ours": ours.widths[-1] / sims,
             "limit": theirs.widths[-1] / sims, "ratio": wide[1], "target": "<= 0.8"},
        ]  # fmt: skip
        print(f"  {name}", file=sys.stderr)
        for kind, tally in tallies.items():
            together, end = tally.shares()
            mean = tally.widths.sum() / theirs.widths.sum()
            last = tally.widths[-1] / theirs.widths[-1]
            print(
                f"    {kind:<9} covers {together:.4f} of all looks, {end:.4f} of the last; "
                f"half-width / textbook's {mean:.3f} over t, {last:.3f} at the end",
                file=sys.stderr,
            )
    return found


if __name__ == "__main__":
    print(rows(int(sys.argv[1]) if len(sys.argv) > 1 else SIMS))
