"""The Python face: what `palio.connect` returns, in process and over HTTP alike."""

from __future__ import annotations

from palio.session.loaded import Loaded
from palio.session.palio import Palio
from palio.session.training import Draft

__all__ = ["Draft", "Loaded", "Palio"]
