"""A model behind an endpoint, with and without a server."""

from tests.e2e.worlds import home, shared, world, world_files

__all__ = ["home", "shared", "world", "world_files"]
