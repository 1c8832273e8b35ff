"""A test service over HTTP, whose units are users: ``/api/v1/ab-tests``."""

from palio.edge.dialects import Dialect

__all__ = ["DIALECT"]

DIALECT = Dialect(name="abtests")
