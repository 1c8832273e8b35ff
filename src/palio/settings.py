"""Settings, from the environment (``PALIO_…``) and a file ``.env``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

__all__ = ["Settings"]


def _parted(given: Any) -> Any:
    """Return the parts of a text with commas; what is no text is a list already."""
    return (
        [part.strip() for part in given.split(",") if part.strip()]
        if isinstance(given, str)
        else given
    )


def _device(given: str) -> str:
    if not _DEVICE.fullmatch(given):
        raise PydanticCustomError("device", "must be auto, cpu, cuda or cuda:N")
    return given


_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?", re.ASCII)
_Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parted)]
_Paths = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_parted)]


class Settings(BaseSettings):
    """Everything that can be configured; each field is read from ``PALIO_`` and its name."""

    model_config = SettingsConfigDict(env_prefix="PALIO_", env_file=".env", extra="ignore")

    store: str = Field(
        default="palio.db",
        description="Path of a SQLite file, or postgresql://…; for the client also http(s)://…",
    )
    artifacts: str | None = Field(
        default=None,
        description="Folder or URL for the files of versions; beside a SQLite file by default",
    )
    key: str | None = Field(default=None, description="API key that the client sends")
    actor: str | None = Field(
        default=None, description="Who acts in process, for the audit log; the user by default"
    )
    host: str = Field(default="127.0.0.1", description="Address that the server binds to")
    port: int = Field(default=8000, ge=0, le=65_535, description="Port that the server binds to")
    workers: int = Field(
        default=1, ge=1, le=64, description="Processes that answer at this address"
    )
    body_limit_bytes: int = Field(
        default=8 << 20, ge=1_024, description="Largest body of a request"
    )
    upload_limit_bytes: int = Field(
        default=1 << 30, ge=1_024, description="Largest body of the registration of a version"
    )
    source_roots: _Paths = Field(
        default=(),
        description="Folders, with commas between, from which versions may be registered by path",
    )
    trusted_types: _Texts = Field(
        default=(),
        description="Types, with commas between, that model files may name beside our own",
    )
    allow_pickle: bool = Field(
        default=False,
        description="Load versions whose files run code: pickle, joblib and cloudpickle",
    )
    torch_device: Annotated[str, AfterValidator(_device)] = Field(
        default="auto",
        description="Where networks of PyTorch compute: auto, cpu, cuda or cuda:N",
    )
    signing_keys: _Paths = Field(
        default=(),
        description="Public keys, PEM files with commas between, whose signatures count",
    )
    require_attestation: Literal["no", "promotion", "load"] = Field(
        default="no",
        description="Refuse versions without such a signature: no, at promotion, or at load too",
    )

    dialects: _Texts = Field(
        default=("all",),
        description="Contracts of other systems that servers answer, with commas between; or all",
    )
    unit_key: SecretStr | None = Field(
        default=None,
        description="A secret of 16 characters or more: ids of units are kept hashed with it",
    )
    retention_days: int | None = Field(
        default=None, ge=1, description="Days after which events may be forgotten; never if unset"
    )
    evaluate_s: float = Field(
        default=30.0,
        ge=0,
        le=1e6,
        description="Seconds between two looks at all experiments that run; 0: no server looks",
    )
    control_s: float = Field(
        default=5.0,
        ge=0,
        le=3_600,
        description="Seconds between two looks at all deployments; 0: this server does not look",
    )
    webhook_urls: _Texts = Field(
        default=(),
        description="Addresses, http(s)://… with commas between, that alerts are sent to",
    )
    webhook_secret: SecretStr | None = Field(
        default=None, description="whsec_… and base64: what these messages are signed with"
    )
    evaluator_dry_run: bool = Field(
        default=False,
        description="Only look and log what would be done with automatic experiments",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that servers log, as lines of JSON on stderr"
    )
    log_file: Path | None = Field(
        default=None,
        description="A file for the same lines, rotated; {pid} in it is the process's number",
    )
    log_max_bytes: int = Field(
        default=64 << 20, ge=0, description="Size at which a new log file begins; 0: never"
    )
    log_backups: int = Field(default=5, ge=0, description="Old log files that are kept")
    log_requests: bool = Field(
        default=False, description="Log a line for each request, without its inputs and its unit"
    )

    def artifacts_url(self) -> str:
        """Return where the files of versions lie."""
        if self.artifacts is not None:
            return self.artifacts
        if "://" in self.store:
            return "palio-artifacts"
        return str(Path(self.store).with_name(f"{Path(self.store).stem}-artifacts"))
