"""Draw the README's picture from a store that ``palio demo --keep FOLDER`` has left.

``python scripts/picture.py FOLDER/palio.db`` writes docs/interval.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import palio
from palio.charts.experiment import interval_over_time
from palio.charts.render import to_png

PICTURE = Path(__file__).parents[1] / "docs" / "interval.png"


def main() -> None:
    """Draw the interval over time of the store's only experiment."""
    with palio.connect(sys.argv[1]) as store:
        (experiment,) = store.experiments.list()
        looks = store.experiments.looks(experiment.key)
        chart = interval_over_time(
            [look for look in looks if look.lower is not None],
            effect=f"{experiment.design.metrics.goal}: challenger less control",
            title="Effect on Brier score as labels arrived",
            subtitle="Band: always-valid interval, looked at every 300 requests. "
            "Dashed: valid for one look only.",
        )
    PICTURE.write_bytes(to_png(chart, scale=1.5))


if __name__ == "__main__":
    main()
