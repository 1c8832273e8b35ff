"""Fixtures of the rooms that test against a server, and programs that Debian's packages bring."""

from __future__ import annotations

import os
import shutil

import pytest
from tests.e2e.worlds import home, shared, world, world_files

__all__ = ["home", "program", "shared", "world", "world_files"]


def program(name: str) -> str:
    """Return the path of a program; where there is none the test is skipped, but never in CI."""
    found = shutil.which(name)
    if found is None:
        said = f"{name} is not installed: apt-get install prometheus"
        if os.environ.get("PALIO_CI"):
            pytest.fail(said)
        pytest.skip(said)
    return found
