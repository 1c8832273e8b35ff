"""A credit-scoring registry with a command line, and ``/api/…`` routes."""

from palio.edge.dialects import Dialect

__all__ = ["DIALECT"]

DIALECT = Dialect(
    name="credtech",
    routes="palio.dialects.credtech.routes:router",
    commands="palio.dialects.credtech.commands:app",
    chores="palio.dialects.credtech.tree:keeper",
)
