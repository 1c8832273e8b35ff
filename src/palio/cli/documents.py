"""YAML and JSON files that people write, and ``name=text`` options, read strictly."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import yaml
from typing_extensions import override

from palio.errors import InvalidInput, TooLarge

__all__ = ["read_document", "read_text", "texts_of"]

_LARGEST = 1_000_000  # bytes of a file that a person writes


def read_document(file: Path, field: str) -> Any:
    """Return what a YAML or JSON file of at most 1 MB says, in plain values.

    Raises
    ------
    InvalidInput
        If it cannot be read, naming line and column where that is known.
    """
    try:
        content = _content(file, field)
        if file.suffix == ".json":
            return msgspec.json.decode(content)
        return yaml.load(content, Loader=_OnceLoader)  # noqa: S506 - a SafeLoader that takes less
    except (OSError, yaml.YAMLError, msgspec.DecodeError, ValueError, RecursionError) as failed:
        raise InvalidInput(f"{file}{_problem(failed)}", field=field) from failed


def read_text(file: Path, field: str) -> str:
    """Return the text of a UTF-8 file of at most 1 MB."""
    try:
        return _content(file, field).decode()
    except (OSError, UnicodeDecodeError) as failed:
        raise InvalidInput(f"{file}{_problem(failed)}", field=field) from failed


def texts_of(option: str, given: Iterable[str]) -> dict[str, str]:
    """Return ``name=text`` options as a mapping.

    Raises
    ------
    InvalidInput
        If one is of another form, or a name comes twice.
    """
    texts: dict[str, str] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not (name and equals):
            raise InvalidInput(f"--{option} takes name=text, got {one!r}", field=option, value=one)
        if name in texts:
            raise InvalidInput(
                f"--{option} has {name!r} twice; give it once", field=option, value=one
            )
        texts[name] = text
    return texts


def _content(file: Path, field: str) -> bytes:
    with file.open("rb") as opened:
        content = opened.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise TooLarge(
            f"{file} has more than {_LARGEST:,} bytes; keep what is read by people, and put the "
            "rest among the version's files",
            field=field,
            value=str(file),
        )
    return content


class _OnceLoader(yaml.SafeLoader):
    """Plain values only; a key that comes twice and an anchor that multiplies are refused."""

    @override
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]  # the stubs leave it open
            raise yaml.MarkedYAMLError(
                problem=f"write out what *{event.anchor} stands for", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        made = super().construct_mapping(node, deep=deep)
        if len(made) < len(node.value):
            raise yaml.MarkedYAMLError(
                problem="a key comes twice in this mapping", problem_mark=node.start_mark
            )
        return made


def _problem(failed: Exception) -> str:
    if isinstance(failed, yaml.MarkedYAMLError) and failed.problem_mark is not None:
        mark = failed.problem_mark
        return f", line {mark.line + 1}, column {mark.column + 1}: {failed.problem}"
    said = failed.strerror if isinstance(failed, OSError) else str(failed)
    return ": " + " ".join((said or "it cannot be read").split())
