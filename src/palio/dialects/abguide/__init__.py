"""A registry and traffic router over HTTP: ``/registry/…``, and ``/predict`` behind it."""

from palio.edge.dialects import Dialect

__all__ = ["DIALECT"]

DIALECT = Dialect(
    name="abguide",
    routes="palio.dialects.abguide.routes:routes",
    chores="palio.dialects.abguide.file:registry_file",
    metrics="palio.dialects.abguide.metrics:families",
)
