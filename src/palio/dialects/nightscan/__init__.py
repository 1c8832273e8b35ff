"""A platform in Python with deployments, canaries and experiments."""

from palio.edge.dialects import Dialect

__all__ = ["DIALECT"]

DIALECT = Dialect(name="nightscan")
