"""What is simulated: two populations, the sizes of their arms and 100 even looks.

A look needs no more than the count, the mean and the variance of each arm so far, so only these
are drawn: an increment of a Gaussian arm is its mean and a chi-square, one of a Bernoulli arm is a
binomial. A lognormal has no such shortcut and is drawn unit by unit. Sums are centred at the
population's mean, so that no precision is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

LOOKS = 100
HORIZON = 10_000
ALPHA = 0.05
POWER = 0.8
BLOCK = 1_000_000  # raw draws at once, 8 MB


@dataclass(frozen=True)
class Population:
    """A distribution: its kind, its one parameter, its mean without an effect, the effect."""

    kind: Literal["gauss", "bernoulli", "lognormal", "constant"]
    parameter: float
    centre: float
    effect: float = 0.0

    @property
    def sd(self) -> float:
        """Give the standard deviation."""
        if self.kind == "bernoulli":
            rate = self.parameter + self.effect
            return sqrt(rate * (1 - rate))
        if self.kind == "lognormal":
            return self.centre * sqrt(exp(self.parameter**2) - 1)
        return self.parameter


def gauss(sd: float = 1.0, *, mean: float = 1.0, effect: float = 0.0) -> Population:
    """Make a normal population."""
    return Population("gauss", sd, mean, effect)


def bernoulli(rate: float = 0.05, *, effect: float = 0.0) -> Population:
    """Make a binary population; an effect adds to the rate."""
    return Population("bernoulli", rate, rate, effect)


def lognormal(sigma: float, *, effect: float = 0.0) -> Population:
    """Make a lognormal population, whose median is 1; an effect shifts it."""
    return Population("lognormal", sigma, exp(sigma**2 / 2), effect)


def constant(value: float) -> Population:
    """Make a population that does not vary."""
    return Population("constant", 0.0, value)


@dataclass(frozen=True)
class Cell:
    """One column of a table: two populations and the units of each arm at the horizon."""

    name: str
    control: Population
    treatment: Population
    n_control: int = HORIZON
    n_treatment: int = HORIZON

    @property
    def binary(self) -> bool:
        """Tell whether every value is 0 or 1."""
        return self.control.kind == self.treatment.kind == "bernoulli"


def _fixed_power(control: Population, treatment: Population) -> float:
    se = sqrt((control.sd**2 + treatment.sd**2) / HORIZON)
    return float(ndtr(treatment.effect / se + ndtri(ALPHA / 2)))


def _effect(make: object, *, upper: float) -> float:
    """Find the effect that one t-test at the horizon sees with 80 % probability."""
    return float(brentq(lambda e: _fixed_power(make(), make(effect=e)) - POWER, 1e-9, upper))


def _pair(name: str, one: Population, n_control: int, n_treatment: int) -> Cell:
    return Cell(name, one, one, n_control, n_treatment)


_NULLS = (("Bern .05", bernoulli()), ("LN 1.5", lognormal(1.5)), ("LN 2", lognormal(2.0)))
_GAUSS = _effect(gauss, upper=1.0)
_LN = _effect(lambda **shift: lognormal(1.5, **shift), upper=10.0)

BALANCED = (
    Cell("Gauss", gauss(), gauss()),
    *(_pair(name, one, HORIZON, HORIZON) for name, one in _NULLS),
)
SMALL_1K = tuple(_pair(f"1:10, 1k: {name}", one, 10_000, 1_000) for name, one in _NULLS)
SMALL_10K = tuple(_pair(f"1:10, 10k: {name}", one, 100_000, 10_000) for name, one in _NULLS)
UNEQUAL = (
    Cell("sd 1 : 3", gauss(1), gauss(3)),
    Cell("10k sd 1 : 1k sd 3", gauss(1), gauss(3), 10_000, 1_000),
    Cell("10k sd 3 : 1k sd 1", gauss(3), gauss(1), 10_000, 1_000),
    Cell("100k sd 1 : 10k sd 3", gauss(1), gauss(3), 100_000, 10_000),
    Cell("100k sd 3 : 10k sd 1", gauss(3), gauss(1), 100_000, 10_000),
)
UNLIKE = (
    Cell("LN 1.5 : Gauss", lognormal(1.5), gauss(1, mean=exp(1.5**2 / 2))),
    Cell("constant : Bern .05", constant(0.05), bernoulli()),
    Cell("10k constant : 1k Bern .05", constant(0.05), bernoulli(), 10_000, 1_000),
)
EFFECTS = (
    Cell("Gauss, 80 % effect", gauss(), gauss(effect=_GAUSS)),
    Cell("Bern .05, 80 % effect", bernoulli(), bernoulli(effect=_effect(bernoulli, upper=0.1))),
    Cell("LN 1.5, 80 % effect", lognormal(1.5), lognormal(1.5, effect=_LN)),
    Cell("Gauss, twice that effect", gauss(), gauss(effect=2 * _GAUSS)),
)


@dataclass(frozen=True)
class Arm:
    """One arm at every look of every simulation: n (looks,), mean and var (sims, looks)."""

    n: NDArray[np.int64]
    mean: Array
    var: Array


@dataclass(frozen=True)
class Paths:
    """Both arms of a cell at every look.

    ``z`` is effect / se by Welch, 0 where se is. ``varied`` is False where an arm shows no
    variance yet, though its population has one: z says nothing there, and gbstats gives no
    verdict. Plain rules follow it in that, lest they look worse than they are used.
    """

    cell: Cell
    control: Arm
    treatment: Arm
    z: Array
    varied: NDArray[np.bool_]


def simulate(cell: Cell, sims: int, rng: np.random.Generator) -> Paths:
    """Draw both arms of a number of experiments up to the horizon."""
    control = _arm(cell.control, cell.n_control // LOOKS, sims, rng)
    treatment = _arm(cell.treatment, cell.n_treatment // LOOKS, sims, rng)
    se = np.sqrt(control.var / control.n + treatment.var / treatment.n)
    effect = treatment.mean - control.mean
    z = np.divide(effect, se, out=np.zeros_like(se), where=se > 0)
    varied = ((control.var > 0) | (cell.control.sd == 0)) & (
        (treatment.var > 0) | (cell.treatment.sd == 0)
    )
    return Paths(cell, control, treatment, z, varied)


def _arm(population: Population, units: int, sims: int, rng: np.random.Generator) -> Arm:
    n = units * np.arange(1, LOOKS + 1)
    if population.kind == "bernoulli":
        rate = population.parameter + population.effect
        ones = rng.binomial(units, rate, (sims, LOOKS)).cumsum(axis=1)
        return Arm(n, ones / n, ones * (n - ones) / (n * (n - 1)))
    sums, squares = (drawn.cumsum(axis=1) for drawn in _increments(population, units, sims, rng))
    var = np.maximum(squares - sums**2 / n, 0.0) / (n - 1)
    return Arm(n, population.centre + population.effect + sums / n, var)


def _increments(
    population: Population, units: int, sims: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw the sums of x - mean and of its square between two looks, shape (sims, looks)."""
    size = sims, LOOKS
    if population.kind == "gauss":
        means = rng.standard_normal(size) * population.sd / sqrt(units)
        return units * means, population.sd**2 * rng.chisquare(units - 1, size) + units * means**2
    if population.kind == "lognormal":
        return _lognormal_increments(population, units, sims, rng)
    return np.zeros(size), np.zeros(size)


def _lognormal_increments(
    population: Population, units: int, sims: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    sums, squares = np.empty((sims, LOOKS)), np.empty((sims, LOOKS))
    at_once = max(1, BLOCK // (units * LOOKS))
    for start in range(0, sims, at_once):
        block = slice(start, min(start + at_once, sims))
        x = rng.standard_normal((block.stop - start, LOOKS, units))
        x *= population.parameter
        np.exp(x, out=x)
        x -= population.centre
        sums[block] = x.sum(axis=2)
        squares[block] = np.einsum("slu,slu->sl", x, x)
    return sums, squares
