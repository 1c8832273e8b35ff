"""A registry in Python with policies and approvals, and tests on returns."""

from palio.edge.dialects import Dialect

__all__ = ["DIALECT"]

DIALECT = Dialect(name="crowetrade")
