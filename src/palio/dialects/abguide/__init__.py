"""A registry and traffic router over HTTP: ``/registry/…``."""

from palio.edge.dialects import Dialect

__all__ = ["DIALECT"]

DIALECT = Dialect(name="abguide")
