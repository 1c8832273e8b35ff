"""What the demonstration was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from palio.errors import InvalidInput

__all__ = ["FEWEST_REQUESTS", "DemoOptions"]

FEWEST_REQUESTS = 200  # the shortest horizon that an experiment takes
_MOST_REQUESTS = 100_000
_LOOK_EVERY = range(20, 10_001)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """Which table, how much of it, and where the report goes.

    Parameters
    ----------
    data, target
        The user's own CSV or Parquet file and the column to predict; without them a synthetic
        loan book is drawn.
    drop
        Columns to leave out.
    requests
        Requests to replay at most, 200 to 100,000; as many as the table gives, or 12,000, when
        not given.
    look_every
        Requests between two looks at the experiment, 20 to 10,000.
    seed
        Of the synthetic book, the order of rows, the fits and the delays of labels.
    report
        The HTML file to write, in a folder that exists.
    keep
        A folder to make, with the store and the models in it; nothing is kept when not given.
    """

    data: Path | None = None
    target: str | None = None
    drop: tuple[str, ...] = ()
    requests: int | None = None
    look_every: int = 300
    seed: int = 0
    report: Path = Path("palio-demo.html")
    keep: Path | None = None

    def __post_init__(self) -> None:
        if self.data is not None and self.target is None:
            raise _refused("target", None, f"name the column of {self.data} to predict: --target")
        if self.data is None and (self.target is not None or self.drop):
            raise _refused("data", None, "--target and --drop speak of a table: give it by --data")
        if self.requests is not None and not FEWEST_REQUESTS <= self.requests <= _MOST_REQUESTS:
            raise _refused(
                "requests",
                self.requests,
                f"--requests must be {FEWEST_REQUESTS} to {_MOST_REQUESTS}, got {self.requests}",
            )
        if self.look_every not in _LOOK_EVERY:
            raise _refused(
                "look_every",
                self.look_every,
                f"--look-every must be {_LOOK_EVERY.start} to {_LOOK_EVERY.stop - 1}, "
                f"got {self.look_every}",
            )
        self._check_places()

    def _check_places(self) -> None:
        if self.report.is_dir():
            raise _refused("report", self.report, f"{self.report} is a folder; name a file in it")
        if self.keep is not None and self.keep.exists():
            raise _refused("keep", self.keep, f"{self.keep} exists; name a folder to be made")
        for field, path in (("report", self.report), ("keep", self.keep)):
            if path is not None and not path.absolute().parent.is_dir():
                parent = path.absolute().parent
                raise _refused(field, path, f"there is no folder {parent}; make it first")


def _refused(field: str, value: object, why: str) -> InvalidInput:
    shown = value if isinstance(value, int | None) else str(value)
    return InvalidInput(why, field=field, value=shown)
