"""Pages and charts for people; what draws them loads when asked for."""

from __future__ import annotations

from collections.abc import Mapping

from palio.edge.session import Told

__all__ = ["card_page", "record_charts", "record_markdown", "record_page"]


def card_page(card: str, plots: Mapping[str, bytes], *, title: str) -> str:
    """Return the card of a version, as Markdown with its plots, as one file of HTML."""
    from palio.dashboard.card import card_page as page_of

    return page_of(card, plots, title=title)


def record_page(told: Told) -> str:
    """Return the record of an experiment as one file of HTML."""
    from palio.dashboard.record import record_page as page_of

    seen = told.experiment, told.report, told.looks, told.audit
    return page_of(*seen, versions=told.versions)


def record_markdown(told: Told) -> str:
    """Return the record of an experiment as Markdown."""
    from palio.dashboard.record_text import record_markdown as text_of

    seen = told.experiment, told.report, told.looks, told.audit
    return text_of(*seen, versions=told.versions)


def record_charts(told: Told) -> Mapping[str, bytes]:
    """Return the charts of a record, PNG images by path."""
    from palio.dashboard.record_text import record_charts as charts_of

    return charts_of(told.experiment, told.looks)
