"""Requests needed to decide which of two credit models has the lower Brier score, by design.

make bench-credit                      write docs/benchmarks/credit.md, some 90 seconds
make bench-credit ARGS="--print 3"     print it, from three shuffles

Needs ``shared/data/credit_default.csv`` beside the project, which is read where it lies.
"""

from __future__ import annotations

import sys
from pathlib import Path

import loans
from designs import ab, ab_with_cuped, paired
from report import AGAIN, OWN_HORIZON, Shuffle, page

__all__ = ["measure"]

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "credit.md"
SHUFFLES = 20


def measure(table: loans.Loans, number: int) -> Shuffle:
    """Replay one shuffle by every design; its number is in every seed and salt."""
    stream, salt = loans.replay(table, number), f"credit-{number}"
    adjusted = {name: ab_with_cuped(stream, salt, name) for name in stream.covariates}
    return Shuffle(
        number,
        ((stream.control - stream.labels) ** 2).mean(),
        ((stream.treatment - stream.labels) ** 2).mean(),
        {
            "ab": ab(stream, salt),
            "ab with CUPED": adjusted["reference"],
            "paired": paired(stream),
            f"paired, horizon {OWN_HORIZON:,}": paired(stream, OWN_HORIZON),
        },
        adjusted,
        tuple(ab(stream, f"{salt}-{again}") for again in range(1, AGAIN + 1)),
    )


def main() -> None:
    """Measure, and write the page."""
    path = loans.find()
    if path is None:
        sys.exit("shared/data/credit_default.csv is not beside the project: nothing to replay")
    asked = [int(word) for word in sys.argv[1:] if word.isdigit()]
    table, found = loans.read(path), []
    for number in range(asked[0] if asked else SHUFFLES):
        print(f"shuffle {number} …", file=sys.stderr)
        found.append(measure(table, number))
    if "--print" in sys.argv:
        print(page(found))
    else:
        PAGE.write_text(page(found), encoding="utf-8")
        print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
