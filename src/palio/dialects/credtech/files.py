"""What the registry's folders hold, as bytes by name."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from palio.dialects.credtech.words import PLOTS
from palio.edge.following import written

__all__ = ["MODEL", "as_joblib", "as_json", "keep", "plots"]

MODEL = "model.joblib"
"""What a model's own file is called."""


def as_json(content: Any) -> bytes:
    """Return indented JSON, with a line end as editors leave it."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def as_joblib(model: object) -> bytes:
    """Return an object as joblib writes it: for others, Palio never reads it back."""
    import joblib  # type: ignore[import-untyped]  # noqa: PLC0415  every command would load it

    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


def plots(images: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the plots under the names that they have here."""
    for path, image in images.items():
        if (name := PLOTS.get(Path(path).stem)) is not None:
            yield f"plots/{name}.png", image


def keep(path: Path, content: bytes) -> None:
    """Write a file unless it says the same already."""
    if not path.exists() or path.read_bytes() != content:
        written(path, content)
