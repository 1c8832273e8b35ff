"""A table becomes a model that is not yet a version."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from palio.training.train import Trained

__all__ = ["Draft", "fitted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A model that was trained and is not yet a version."""

    model: str
    version: str
    description: str
    trained: Trained


def fitted(
    data: str | Path,
    *,
    target: str,
    estimator: str,
    seed: int,
    test_share: float,
    drop: Sequence[str],
    on_step: Callable[[str], None],
) -> Trained:
    """Read a table and fit an estimator on it, which may be of the user's own module."""
    from palio.training.table import read_table
    from palio.training.train import train

    if ":" in estimator:
        sys.path.insert(0, str(Path.cwd()))  # the user's own module, named by the user
    on_step(f"reading {data}")
    return train(
        read_table(data),
        target=target,
        estimator=estimator,
        seed=seed,
        test_share=test_share,
        drop=drop,
        on_step=on_step,
    )
