"""Settings of this dialect, from the environment (``PALIO_CROWETRADE_…``) and a file ``.env``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["CrowetradeSettings"]


class CrowetradeSettings(BaseSettings):
    """What the document leaves open, and the folders that servers keep current."""

    model_config = SettingsConfigDict(
        env_prefix="PALIO_CROWETRADE_", env_file=".env", extra="ignore"
    )

    store: str | None = Field(
        default=None,
        validation_alias="PALIO_STORE",
        description="The store; palio.db in the registry's folder when not given",
    )
    registry_path: Path | None = Field(
        default=None, description="Folder of the registry's files that servers keep current"
    )
    ab_tests_path: Path | None = Field(
        default=None, description="Folder of the tests' files that servers keep current"
    )
    export_models: bool = Field(
        default=True, description="Write model.pkl for other programs; Palio never reads it"
    )
    four_eyes: bool = Field(
        default=False,
        description="Models that are new need somebody else than who registered to approve",
    )
