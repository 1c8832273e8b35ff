r"""From unit to variant: weighted rendezvous hashing, a pure function that anyone can recompute.

For a unit and every variant ``i`` with weight ``w_i``::

    seed_i = xxh3_64(utf8(salt + "\x1f" + key_i))
    h_i    = xxh3_64(utf8(unit), seed=seed_i)
    u_i    = ((h_i >> 12) + 0.5) / 2**52
    score  = w_i / -ln(u_i)

The largest score wins, the first of the weights in order if two are equal. The seed is the
digest of salt and key with the ASCII unit separator between them, so that splits of different
salt are independent and a variant's scores do not depend on the other variants.

Who takes part at all is told by a place on a line, as in ``place < coverage``::

    place = u of the unit under the seed xxh3_64(utf8(purpose + "\x1f" + salt))

References
----------
Thaler and Ravishankar (1998), IEEE/ACM Transactions on Networking 6(1), 1-14; with weights:
Efraimidis and Spirakis (2006), Information Processing Letters 97(5), 181-185.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import fsum, isfinite, log
from typing import TYPE_CHECKING

import numpy as np
from xxhash import xxh3_64_intdigest

from palio.errors import InvalidWeights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Line", "Split"]

_SUM_TOLERANCE = 1e-9
_SEPARATOR = "\x1f"
_SCALE = 2.0**-52


@dataclass(frozen=True, slots=True)
class Split:
    """Variants with weights and a salt: which unit gets which variant.

    One unit always gets the same variant; shares follow the weights; when the weights change a
    unit goes from variant i to j only if ``w_j / w_i`` rose. Weight 0 gets nobody. Immutable,
    so safe to share between threads. Build it with `Split.of`, which checks the weights.

    Attributes
    ----------
    salt
        What makes this split independent of others, usually the experiment's seed.
    variants
        Pairs (key, weight) in the order given.
    """

    salt: str
    variants: tuple[tuple[str, float], ...]
    _live: tuple[tuple[int, float, str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        live = tuple(
            (_seed(self.salt, key), weight, key) for key, weight in self.variants if weight
        )
        object.__setattr__(self, "_live", live)

    @classmethod
    def of(cls, *, salt: str, weights: Mapping[str, float]) -> Split:
        """Build a split from checked weights.

        Parameters
        ----------
        salt
            Any text; another salt shuffles the units anew.
        weights
            Variant key to weight; finite, >= 0, summing to 1 within 1e-9; keys not empty.

        Returns
        -------
        Split
            Ready to assign.

        Raises
        ------
        InvalidWeights
            If the weights are no distribution over named variants.
        """
        _check(weights)
        return cls(salt, tuple((key, float(weight)) for key, weight in weights.items()))

    def assign(self, unit: str) -> str:
        """Give the variant of a unit.

        Parameters
        ----------
        unit
            Id of what is randomised.

        Returns
        -------
        str
            Key of the variant, always the same for the same unit.
        """
        data = unit.encode()
        if len(self._live) == 2:  # noqa: PLR2004 -- most splits: no loop, and no division
            (seed, weight, key), (seed_2, weight_2, key_2) = self._live
            u = ((xxh3_64_intdigest(data, seed) >> 12) + 0.5) * _SCALE
            u_2 = ((xxh3_64_intdigest(data, seed_2) >> 12) + 0.5) * _SCALE
            return key if weight * log(u_2) <= weight_2 * log(u) else key_2
        best, winner = 0.0, ""
        for seed, weight, key in self._live:
            score = weight / -log(((xxh3_64_intdigest(data, seed) >> 12) + 0.5) * _SCALE)
            if score > best:
                best, winner = score, key
        return winner

    def assign_many(self, units: Sequence[str] | NDArray[np.str_]) -> NDArray[np.str_]:
        """Give the variants of many units.

        Parameters
        ----------
        units
            Ids, shape (n,), strings.

        Returns
        -------
        numpy.ndarray
            Keys, shape (n,), dtype str; each what `assign` gives for the unit.
        """
        data = [str(unit).encode() for unit in units]
        keys = np.array([key for _, _, key in self._live], dtype=np.str_)
        scores = np.empty((len(self._live), len(data)))
        for row, (seed, weight, _) in enumerate(self._live):
            digests = (xxh3_64_intdigest(item, seed) >> 12 for item in data)
            uniforms = (np.fromiter(digests, np.float64, len(data)) + 0.5) * _SCALE
            scores[row] = weight / -np.log(uniforms)
        assigned: NDArray[np.str_] = keys[scores.argmax(axis=0)]
        return assigned

    def propensity(self, key: str) -> float:
        """Give the probability with which a unit is given a variant.

        Parameters
        ----------
        key
            Key of a variant of this split.

        Returns
        -------
        float
            The weight, in [0, 1].

        Raises
        ------
        InvalidWeights
            If the split has no such variant.
        """
        for name, weight in self.variants:
            if name == key:
                return weight
        known = ", ".join(name for name, _ in self.variants)
        raise InvalidWeights(f"variant {key!r} is not in this split, which has {known}", key=key)


@dataclass(frozen=True, slots=True)
class Line:
    """Gives every unit a place of its own between 0 and 1, evenly, and always the same.

    Attributes
    ----------
    purpose, salt
        What the line is for, and whose it is; another purpose or salt gives other places.
    """

    purpose: str
    salt: str
    _own: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own", _seed(self.purpose, self.salt))

    def place(self, unit: str) -> float:
        """Give the place of a unit, in (0, 1)."""
        return ((xxh3_64_intdigest(unit.encode(), self._own) >> 12) + 0.5) * _SCALE

    def places(self, units: Sequence[str] | NDArray[np.str_]) -> NDArray[np.float64]:
        """Give the places of many units, shape (n,) float64."""
        return np.fromiter((self.place(str(unit)) for unit in units), np.float64, len(units))


def _seed(salt: str, key: str) -> int:
    return xxh3_64_intdigest(f"{salt}{_SEPARATOR}{key}".encode())


def _check(weights: Mapping[str, float]) -> None:
    if "" in weights:
        raise InvalidWeights("a variant needs a key, got an empty one")
    for key, weight in weights.items():
        if not (isfinite(weight) and weight >= 0):
            raise InvalidWeights(
                f"weight of {key!r} must be finite and >= 0, got {weight}", key=key
            )
    total = fsum(weights.values())
    if abs(total - 1) > _SUM_TOLERANCE:
        raise InvalidWeights(f"weights of a split must sum to 1, got {total:.10g}", total=total)
