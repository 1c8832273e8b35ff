"""Networks to save and files to change, or a word where PyTorch is not installed."""

from __future__ import annotations

import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if not find_spec("torch") and not os.environ.get("PALIO_CI"):
    pytest.skip("needs torch", allow_module_level=True)

torch: Any = import_module("torch")  # so that types are checked without it
nn = torch.nn

INPUTS = np.random.default_rng(7).random(size=(200, 3))
LABELS = (INPUTS[:, 0] > INPUTS[:, 1]).astype(int)
ROWS: list[Any] = INPUTS.tolist()


class Attentive(nn.Module):  # type: ignore[misc]
    """Embeddings, attention, shapes, a constant, and layers that write in place."""

    def __init__(self, places: int = 2) -> None:
        super().__init__()
        self.places = nn.Embedding(places, 4)
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 1)
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.inplace = nn.ReLU(inplace=True)
        self.register_buffer("means", torch.tensor([0.5, 0.4]))
        self.register_buffer("chosen", torch.tensor([True]), persistent=False)

    def forward(self, rows: Any) -> Any:
        found = torch.cat([self.places(rows[:, 0].long()), rows[:, 1:] - self.means], dim=1)
        found = self.inplace(self.first(found))
        found = self.attention(found.view(rows.shape[0], 1, 8)).reshape(rows.shape[0], -1)
        left, right = (found + torch.tensor([0.25])).split(4, dim=1)
        found = torch.where(self.chosen, torch.cat([right, left], dim=1), found)
        return torch.sigmoid(self.last(found)).squeeze(1)


def network(outputs: int = 1, *end: Any) -> Any:
    """Return layers that answer other numbers in training than in use."""
    torch.manual_seed(3)
    found = nn.Sequential(
        nn.Linear(3, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, outputs), *end
    )
    found(torch.rand(64, 3) * 3)  # so that means and variances are of some data
    return found


def expected(model: Any) -> Any:
    """Return what a module in use answers to ``INPUTS``."""
    kind = next(model.parameters()).dtype
    with torch.inference_mode():
        return model.eval()(torch.tensor(INPUTS, dtype=kind)).double().numpy()


def program(model: Any, rows: Any = "any", **options: Any) -> Any:
    """Return an exported program, as a user exports one."""
    rows = torch.export.Dim("rows") if rows == "any" else rows
    shapes = ({0: rows},) if rows else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = options.get("dtype", torch.float32)
        return torch.export.export(model, (torch.ones(4, 3, dtype=kind),), dynamic_shapes=shapes)


def content_of(exported: Any) -> bytes:
    """Return what PyTorch itself writes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(exported, buffer)
    return buffer.getvalue()


def saved(held: object) -> bytes:
    """Return what ``torch.save`` writes."""
    buffer = io.BytesIO()
    torch.save(held, buffer)
    return buffer.getvalue()


def parts(content: bytes) -> dict[str, bytes]:
    """Return the members of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def changed(content: bytes, path: str, change: Callable[[Any], None]) -> bytes:
    """Return an archive with one of its JSON members changed in place."""
    members = parts(content)
    (name,) = (name for name in members if name.endswith(path))
    held = json.loads(members[name])
    change(held)
    return packed({**members, name: json.dumps(held).encode()})


class Marks:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def marking(path: Path) -> bytes:
    """Return a file of ``torch.save`` that leaves a mark when it is unpickled."""
    return saved(Marks(path))


def marking_pickle(path: Path) -> bytes:
    """Return a pickle that leaves a mark."""
    return pickle.dumps(Marks(path))
