"""Its settings, from the environment and a file ``.env``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, Json
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

__all__ = ["Settings"]

_OUTCOMES: Any = '{"0": "approved", "1": "rejected", "False": "approved", "True": "rejected"}'
"""As it would be set: defaults are read as settings are."""


class Settings(BaseSettings):
    """What its documents let one configure, and what Palio needs to know beside that."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", populate_by_name=True)

    ab_testing_enabled: bool = Field(
        default=False, description="Whether weights may be read and set, and versions compared"
    )
    model_registry_path: Path = Field(
        default=Path("models/registry.json"),
        description="Where the registry is written for people",
    )
    model: str = Field(
        default="main",
        validation_alias="PALIO_ABGUIDE_MODEL",
        description="The model whose versions these are, and the endpoint that serves them",
    )
    outcomes: Annotated[Json[dict[str, str]], NoDecode] = Field(
        default=_OUTCOMES,
        validation_alias="PALIO_ABGUIDE_OUTCOMES",
        description="What each class that a model answers is called, as JSON",
    )

    def outcome(self, answer: object) -> str:
        """Return what an answer is called; itself, where nothing else is known."""
        return self.outcomes.get(str(answer), str(answer))
