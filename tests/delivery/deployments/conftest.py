"""Deployments on a store in memory."""

from __future__ import annotations

import pytest

from palio.testing.wired import Wired

from .cases import Watched


@pytest.fixture
def watched(wired: Wired) -> Watched:
    """An endpoint ``credit`` with the champion 1, versions 2 and 3, and a controller."""
    wired.serve("1", "2", "3")
    return Watched(wired)
