"""Write docs/reference.md from the code: settings, errors, routes, commands.

``python scripts/reference.py`` writes the page; with ``--check`` it fails if the page is not
what the code says.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from palio.edge.problems import EXIT_CODES, STATUSES
from palio.edge.routes import ROUTES
from palio.errors import PalioError
from palio.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
OF_ERRORS = (
    "Over HTTP an error is RFC 9457 problem details with its `code`; the command ends with the "
    "exit code (0 success, 1 a check that failed, 130 an interruption)."
)
OF_ROUTES = (
    "`POST /v1/predict/{endpoint}`, `POST /v1/outcomes` and `POST /v1/models/{model}/versions` "
    "(upload) need the role operator. The others:"
)


def page() -> str:
    """Return the whole page."""
    parts = [
        "# Reference",
        "Written by `python scripts/reference.py` from the code; a test compares the two.",
        "## Settings",
        "Read from the environment or a file `.env`.",
        table(("setting", "default", "what it is"), settings()),
        "## Errors",
        OF_ERRORS,
        table(("code", "HTTP", "exit", "what it means"), errors()),
        "## Routes",
        OF_ROUTES,
        table(("method", "path", "verb", "role"), routes()),
    ]
    return "\n\n".join(parts) + "\n"


def settings() -> Iterator[tuple[str, ...]]:
    """Yield a row per setting."""
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default!r}`"
        yield f"`PALIO_{name.upper()}`", default, field.description or ""


def errors() -> Iterator[tuple[str, ...]]:
    """Yield a row per error."""
    for kind, status in STATUSES.items():
        if kind is not PalioError:
            meaning = (kind.__doc__ or "").splitlines()[0].rstrip(".")
            yield f"`{kind.code}`", str(int(status)), str(EXIT_CODES[kind]), meaning


def routes() -> Iterator[tuple[str, ...]]:
    """Yield a row per route of the table."""
    for route in ROUTES:
        yield route.method, f"`{route.path}`", f"`{route.noun}.{route.verb}`", str(route.role)


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Write the page, or compare it."""
    if "--check" in sys.argv:
        if PAGE.read_text(encoding="utf-8") == page():
            return 0
        sys.stderr.write(f"{PAGE.name} is stale; run python scripts/reference.py\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
