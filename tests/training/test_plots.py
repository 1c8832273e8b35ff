"""Curves as images."""

from __future__ import annotations

import numpy as np
import pytest

from palio.training.metrics import classifier_metrics
from palio.training.plots import draw

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("n_classes", [2, 3, 12])
def test_three_images(n_classes: int) -> None:
    p = RNG.dirichlet(np.ones(n_classes), 300)
    y = RNG.integers(0, n_classes, 300)
    drawn = draw(
        y, p, target="y", labels=tuple(range(n_classes)), metrics=classifier_metrics(y, p)
    )
    assert set(drawn) == {"calibration", "roc", "precision_recall"}
    assert all(image.startswith(b"\x89PNG") for image in drawn.values())  # RFC 2083, section 3.1


def test_one_class_alone_has_a_calibration_only() -> None:
    y, p = np.zeros(40, dtype=int), np.full((40, 2), 0.5)
    drawn = draw(y, p, target="y", labels=(0, 1), metrics=classifier_metrics(y, p))
    assert set(drawn) == {"calibration"}
