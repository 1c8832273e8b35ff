"""The card of a version: what people read before they use it, as Markdown.

What a version's fields hold is escaped, so that no text becomes a table, a link or HTML. The
card's own prose is Markdown by its author: it stands in a quotation, which ends where it ends,
whatever was left open in it. Whoever makes HTML of a card must leave raw HTML off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from palio.registry import aliases
from palio.registry.describing.documents import yaml_of
from palio.registry.domain import Attestation, Manifest, Version
from palio.registry.ports import RegistryUnit

__all__ = ["Surroundings", "card_of", "plots_of", "surroundings_of"]

_MOST_ANCESTORS = 20
_SPECIAL = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")  # a_b is what it is
_BEGINS_A_BLOCK = re.compile(r"^(\d*)([#+=:.)-])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known of a version beyond its own record.

    ``ancestors`` begin with the parent; ``children`` were made from the version.
    """

    aliases: Sequence[str] = ()
    ancestors: Sequence[str] = ()
    children: Sequence[str] = ()
    attestations: Sequence[Attestation] = ()


def surroundings_of(unit: RegistryUnit, version: Version) -> Surroundings:
    """Read what surrounds a version."""
    names = {move.alias for move in unit.alias_moves.find(model=version.model)}
    pointing = [
        name
        for name in sorted(names)
        if aliases.target(unit, version.model, name) == version.version
    ]
    return Surroundings(
        aliases=pointing,
        ancestors=[*_ancestors(unit, version)],
        children=[child.reference for child in unit.versions.find(parent=version.reference)],
        attestations=unit.attestations.find(model=version.model, version=version.version),
    )


def _ancestors(unit: RegistryUnit, version: Version) -> Iterator[str]:
    found: Version | None = version
    for _ in range(_MOST_ANCESTORS):
        if found is None or found.parent is None:
            return
        yield found.parent
        model, _, name = found.parent.partition(":")
        found = unit.versions.get(model, name)


def plots_of(manifest: Manifest) -> list[str]:
    """Return the paths of a version's plots: ``plots/*.png``."""
    return [file.path for file in manifest.files if re.fullmatch(r"plots/[^/]+\.png", file.path)]


def card_of(version: Version, around: Surroundings) -> str:
    """Return the card of a version as Markdown (CommonMark with tables)."""
    sections = {
        "Intended use": _quoted(version.card),
        "Training": _training(version),
        "Metrics": _figures(version),
        "Inputs and output": _signature(version),
        "Policy": _fenced(version.policy),
        "Plots": _plots(version),
        "Lineage": _lineage(version, around),
        "Approval": _approval(version, around),
        "Files": _files(version),
    }
    lines = [f"# {_text(version.reference)}", ""]
    if version.description:
        lines += [_BEGINS_A_BLOCK.sub(r"\1\\\2", _text(version.description)), ""]
    lines += [*_about(version), ""]
    for title, content in sections.items():
        if shown := "\n".join(content).strip("\n"):
            lines += [f"## {title}", "", shown, ""]
    return "\n".join(lines)


def _about(version: Version) -> Iterator[str]:
    yield from _pairs(
        [
            ("Type", version.type),
            ("Framework", version.framework),
            ("Architecture", version.architecture),
            ("Flavor", version.flavor),
            ("Registered", f"{_moment(version.created_at)} by {version.created_by}"),
            ("Deleted", _moment(version.deleted_at)),
            ("Purged", _moment(version.purged_at)),
            ("External reference", version.external_ref),
            *((f"Tag {name}", value) for name, value in version.tags.items()),
        ]
    )


def _training(version: Version) -> Iterator[str]:
    yield from _pairs(
        [
            ("Dataset version", version.dataset_version),
            *((f"Source {name}", value) for name, value in version.source.items()),
        ]
    )
    if version.training:
        yield ""
        yield from _fenced(version.training)


def _figures(version: Version) -> Iterator[str]:
    names = [*version.metrics, *(name for name in version.backtest if name not in version.metrics)]
    rows = [
        (name, _number(version.metrics, name), _number(version.backtest, name)) for name in names
    ]
    if version.backtest:
        yield from _table(("metric", "held out", "backtest"), rows)
    elif rows:
        yield from _table(("metric", "held out"), [row[:2] for row in rows])


def _signature(version: Version) -> Iterator[str]:
    signature = version.signature
    if signature is None:
        return
    rows = [
        (feature.name, feature.said, "yes" if feature.nullable else "no")
        for feature in signature.features
    ]
    yield from _table(("feature", "type", "may be missing"), rows)
    classes = ", ".join(str(label) for label in signature.classes)
    yield ""
    yield f"Output: {_text(signature.task)}{f' into {_text(classes)}' if classes else ''}."


def _plots(version: Version) -> Iterator[str]:
    for path in plots_of(version.manifest):
        yield f"![{_text(PurePosixPath(path).stem)}]({quote(path)})"
        yield ""


def _lineage(version: Version, around: Surroundings) -> Iterator[str]:
    if around.ancestors:
        chain = " ← ".join(_text(name) for name in (version.reference, *around.ancestors))
        yield f"Made from: {chain}"
        yield ""
    if around.children:
        made = ", ".join(_text(name) for name in around.children)
        yield f"Made from it: {made}"


def _approval(version: Version, around: Surroundings) -> Iterator[str]:
    yield from _pairs(
        [
            ("Stage", version.stage),
            ("Approved by", version.approved_by or "nobody yet"),
            ("Aliases", ", ".join(f"@{name}" for name in around.aliases) or "none"),
            *(
                ("Signed", f"{_moment(one.at)} by {one.actor}, key {one.key_id}")
                for one in around.attestations
            ),
        ]
    )


def _files(version: Version) -> Iterator[str]:
    yield f"SHA-256 over the list of files: `{version.manifest.digest}`"
    yield ""
    rows = [(file.path, f"{file.size_bytes:,}", file.sha256) for file in version.manifest.files]
    yield from _table(("file", "bytes", "SHA-256"), rows)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    if rows := [(name, value) for name, value in pairs if value]:
        yield from _table(("", ""), rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield _row(columns)
    yield _row(["---"] * len(columns), escape=False)
    for row in rows:
        yield _row(row)


def _row(cells: Iterable[object], *, escape: bool = True) -> str:
    shown = [_text(str(cell)) if escape else str(cell) for cell in cells]
    return f"| {' | '.join(shown)} |"


def _quoted(prose: str) -> Iterator[str]:
    for line in prose.strip().splitlines():
        yield f"> {line}".rstrip()


def _fenced(content: Mapping[str, Any] | None) -> Iterator[str]:
    if content is None:
        return
    text = yaml_of(content)
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}yaml"
    yield text.rstrip("\n")
    yield fence


def _text(text: str) -> str:
    """Return a text as it is read, on one line, whatever it would mean in Markdown or HTML."""
    one_line = " ".join(text.split())
    plain = _SPECIAL.sub(r"\\\g<0>", one_line)
    return re.sub("[&<>]", lambda found: _HTML[found[0]], plain)


def _number(figures: Mapping[str, float], name: str) -> str:
    return f"{figures[name]:.6g}" if name in figures else ""


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
