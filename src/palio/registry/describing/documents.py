"""What Palio writes beside the files of a version, for people to read.

The documents stand in the manifest: a figure that is edited on disk is found as a changed byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from palio.registry.registration import Registration

__all__ = ["documents_of", "yaml_of"]


def documents_of(asked: Registration) -> dict[str, bytes]:
    """Return the documents of a version by file name.

    ``metadata.json`` holds all that is known at registration, ``metrics.json`` the figures,
    ``policy.yaml`` the policy and ``features.json`` the signature, where there is one.
    """
    draft = asked.draft
    known = {field: getattr(asked, field) for field in ("model", "created_at", "created_by")}
    documents = {
        "metadata.json": _json({**msgspec.to_builtins(draft), **msgspec.to_builtins(known)}),
        "metrics.json": _json(draft.metrics),
    }
    if draft.policy is not None:
        documents["policy.yaml"] = yaml_of(draft.policy).encode()
    if draft.signature is not None:
        documents["features.json"] = _json(msgspec.to_builtins(draft.signature))
    return documents


def yaml_of(content: Mapping[str, Any]) -> str:
    """Return a document as YAML, keys in the order given."""
    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)


def _json(content: object) -> bytes:
    text = json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()
