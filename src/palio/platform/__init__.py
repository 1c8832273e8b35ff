"""The composition root: settings become a `Palio`; the only room that wires everything."""

from __future__ import annotations

from palio.platform.app import application
from palio.platform.connecting import connect
from palio.platform.controlling import control
from palio.platform.dialects import groups
from palio.platform.environment import settings, version
from palio.platform.evaluating import evaluate
from palio.platform.pages import card_page, record_charts, record_markdown, record_page
from palio.platform.process import server_name, settle
from palio.platform.serving import serve
from palio.platform.store import upgrade
from palio.platform.trust import restored
from palio.session import Palio

__all__ = [
    "Palio",
    "application",
    "card_page",
    "connect",
    "control",
    "evaluate",
    "groups",
    "record_charts",
    "record_markdown",
    "record_page",
    "restored",
    "serve",
    "server_name",
    "settings",
    "settle",
    "upgrade",
    "version",
]
