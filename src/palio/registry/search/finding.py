"""One page of what was asked, inside a unit of work."""

from __future__ import annotations

from palio.registry.ports import RegistryUnit
from palio.registry.search.pages import VersionPage, check_limit, parse_order
from palio.registry.search.parsing import parse_query

__all__ = ["find_page"]


def find_page(
    unit: RegistryUnit, where: str, *, order: str, limit: int, after: str
) -> VersionPage:
    """Return a page of versions; the four texts are those of the verb ``search``.

    One version more than the page holds is looked for, to know whether another page follows.
    """
    query, ordered = parse_query(where), parse_order(order)
    place = ordered.place_of(after)
    found = unit.versions.search(query, order=ordered, limit=check_limit(limit) + 1, after=place)
    page = found[:limit]
    more = (
        "" if len(found) == len(page) else ordered.token(ordered.place(page[-1][1], page[-1][0]))
    )
    return VersionPage(tuple(version for _, version in page), more)
