"""Write into each dialect's page which test shows which documented item.

``python scripts/dialects.py`` writes the tables of docs/dialects/*.md; with ``--check`` it names
the pages that are not what the tests say, and fails.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.dialects.documented import DIALECTS, table  # noqa: E402 - found where it was added

BETWEEN = re.compile(r"(?<=<!-- tests -->\n).*?(?=<!-- end -->)", re.DOTALL)


def main() -> int:
    """Write the tables, or compare them."""
    stale = []
    for dialect in DIALECTS:
        page = ROOT / "docs" / "dialects" / f"{dialect}.md"
        text = page.read_text(encoding="utf-8")
        told = f"\n{table(dialect)}\n"
        made = BETWEEN.sub(lambda _, told=told: told, text)
        if made != text:
            stale.append(page.name)
            if "--check" not in sys.argv:
                page.write_text(made, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"{', '.join(stale)}: run `python scripts/dialects.py`")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
