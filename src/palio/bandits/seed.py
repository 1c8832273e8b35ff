"""Randomness that every process can repeat."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from palio.stats import ranges

__all__ = ["Seed"]


@dataclass(frozen=True, slots=True)
class Seed:
    r"""Where the draws of a policy version come from.

    Attributes
    ----------
    salt
        The experiment's.
    policy_version
        Which refresh, a whole number >= 0.

    Raises
    ------
    ValueError
        If the version is no whole number >= 0.

    Notes
    -----
    An arm's stream is Philox under the first 128 bits of ``sha256(salt \x1f version \x1f key)``:
    it depends neither on the order of the arms nor on which others there are. numpy promises a
    bit generator's stream for all versions and platforms (NEP 19), but may change how a
    ``Generator`` makes gammas and normals of it with a feature release: processes that share one
    numpy compute the same draws, and across a release the published record is what counts.
    """

    salt: str
    policy_version: int

    def __post_init__(self) -> None:
        ranges.whole("policy_version", self.policy_version, 0)

    def generator(self, key: str) -> np.random.Generator:
        """Start the stream of an arm, always at the same place."""
        text = f"{self.salt}\x1f{self.policy_version}\x1f{key}"
        bits = int.from_bytes(sha256(text.encode()).digest()[:16], "little")
        return np.random.Generator(np.random.Philox(key=bits))
