"""Where an artifact store lies: from an address to folders that can be written."""

from __future__ import annotations

import importlib
import re

import fsspec  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from palio.artifacts.folders import DiskFolders, Folders, S3Folders
from palio.errors import InvalidInput, MissingExtra

__all__ = ["folders_at"]

_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "azure"),
}
_FAILURES = {  # what drivers raise that is no OSError
    "s3": ("botocore.exceptions:BotoCoreError", "botocore.exceptions:ClientError"),
    "gcs": ("google.auth.exceptions:GoogleAuthError", "aiohttp:ClientError"),
    "azure": ("azure.core.exceptions:AzureError",),
}
_SECRET = re.compile(r"(?<=//)[^/@]+(?=@)")  # who is let in, and by which password


def folders_at(url: str) -> Folders:
    """Return the folders below an address.

    Raises
    ------
    MissingExtra
        If the package for that kind of address is not installed.
    InvalidInput
        If fsspec knows no such kind of address.
    """
    shown, extra = _SECRET.sub("…", url), _EXTRAS.get(url.partition("://")[0])
    try:
        # another process may have written since: listings are never remembered
        fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        remedy = f"pip install 'palio[{extra}]'" if extra else f"install it: {error}"
        raise MissingExtra(
            f"the artifact store {shown} needs a package that is not installed; {remedy}",
            extra=extra,
        ) from error
    except ValueError as error:
        raise InvalidInput(
            f"the artifact store {shown!r} is no folder and no address that fsspec knows: "
            f"{_without_secret(str(error), url)}; write a path, or a URL such as s3://bucket/palio",
            field="artifacts",
            value=shown,
        ) from error
    kind = S3Folders if extra == "s3" else Folders
    if isinstance(fs, LocalFileSystem):
        kind = DiskFolders
    return kind(
        fs,
        root.rstrip("/"),
        shown=shown,
        failures=_failures(extra),
        keeps_folders=extra is None,
        clean=lambda text: _without_secret(text, url),
    )


def _failures(extra: str | None) -> tuple[type[Exception], ...]:
    named = (name.split(":") for name in _FAILURES.get(extra or "", ()))
    return (OSError, *(getattr(importlib.import_module(home), kind) for home, kind in named))


def _without_secret(text: str, url: str) -> str:
    for secret in _SECRET.findall(url):
        text = text.replace(secret, "…")
    return text
