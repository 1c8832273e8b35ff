"""A version as it is registered: its fields, and the paths of its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from palio.errors import InvalidInput, NotFound
from palio.registry.domain import VersionDraft

__all__ = ["Registration", "absolute", "named"]


class Registration(BaseModel):
    """A version as it is registered."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    version: str
    name: str
    model_path: str
    description: str = ""
    preprocessor_path: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)

    def draft(self) -> VersionDraft:
        """Return what is known of the version; its flavor is recognised."""
        source = {"title": self.name, "model_path": self.model_path}
        if self.preprocessor_path is not None:
            source["preprocessor_path"] = self.preprocessor_path
        return VersionDraft(
            version=self.version,
            flavor="",
            metrics=self.metrics,
            tags=dict.fromkeys(self.tags, ""),
            description=self.description,
            source=source,
        )


@contextmanager
def named(sent: Mapping[str, str | None]) -> Iterator[None]:
    """Call paths what they were sent as, and say in its words which file does not exist."""
    try:
        yield
    except InvalidInput as refused:
        field = str(refused.details.get("field"))
        own, what = _PATHS.get(field, ("", ""))
        if not own:
            raise
        path = sent[own]
        if refused.details.get("missing"):
            raise NotFound(f"{what} file not found: {path}", kind="file", name=path) from refused
        text = refused.message.removeprefix(f"{field}: ")
        raise InvalidInput(f"{own}: {text}", field=own, value=path) from refused


_PATHS = {
    "source": ("model_path", "Model"),
    "preprocessor": ("preprocessor_path", "Preprocessor"),
}
"""What its paths are called, by what Palio calls them."""


def absolute(path: str) -> str:
    """Return a path from where the server runs."""
    return str(Path(path).absolute())
