"""Settings of this dialect, from the environment (``PALIO_CREDTECH_…``) and a file ``.env``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, cast

from pydantic import Field, Json
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

__all__ = ["CredtechSettings"]


class CredtechSettings(BaseSettings):
    """What the document leaves open, and where its files lie."""

    model_config = SettingsConfigDict(
        env_prefix="PALIO_CREDTECH_", env_file=".env", extra="ignore"
    )

    model: str = Field(default="credtech", description="The model whose versions are the models")
    endpoint: str | None = Field(
        default=None, description="The endpoint that scores; it has the model's name by default"
    )
    data: Path | None = Field(default=None, description="CSV or Parquet file to train on")
    target: str | None = Field(default=None, description="The column to predict")
    estimator: str = Field(
        default="logistic", description="logistic, gradient-boosting or module:callable"
    )
    drop: str = Field(default="", description="Columns to leave out, with commas between")
    decisions: Annotated[Json[Mapping[str, str]], NoDecode] = Field(
        default=cast("Mapping[str, str]", '{"0": "approved", "1": "declined"}'),  # read as JSON
        description="What a class of the model means for the applicant, as JSON",
    )
    registry: Path | None = Field(
        default=None,
        description="Folder of the registry's files, models/registry by default; servers keep it "
        "current where it is named or there already",
    )
    refresh_s: float = Field(
        default=5.0, gt=0, le=86_400, description="Seconds between two looks of a server at it"
    )
    log_file: Path = Field(
        default=Path("logs/credtech_xscore.log"), description="Where this dialect logs"
    )

    @property
    def address(self) -> str:
        """The endpoint that scores."""
        return self.endpoint or self.model

    @property
    def folder(self) -> Path:
        """Where the registry's files lie."""
        return self.registry or Path("models/registry")

    @property
    def dropped(self) -> tuple[str, ...]:
        """Columns to leave out."""
        return tuple(part.strip() for part in self.drop.split(",") if part.strip())
