"""What people see meanwhile: a live table on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from palio.dashboard.words import kind_in_words
from palio.demo.replay import Sent
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import DecisionKind, Report

__all__ = ["LiveScreen", "PlainScreen", "Screen", "SilentScreen", "screen_for"]

_ROWS = 8
_WITHOUT_PLOT = 82  # cells that the other columns need
_PLOT_CELLS = range(15, 46)
_BAR_CELLS = 30
_STYLES = {
    DecisionKind.SHIP: "bold green",
    DecisionKind.ROLLBACK: "bold red",
    DecisionKind.INVALID: "bold red",
    DecisionKind.INCONCLUSIVE: "bold yellow",
    DecisionKind.KEEP_RUNNING: "dim",
}


class Screen(Protocol):
    """Where the story is told while it happens. Called from one thread."""

    def step(self, words: str) -> None:
        """Begin a step; the one before is done."""
        ...

    def detail(self, words: str) -> None:
        """Say more of the step."""
        ...

    def source(self, name: str, note: str) -> None:
        """Say what the data is."""
        ...

    def note(self, words: str) -> None:
        """Say something that has to be known."""
        ...

    def experiment(self, experiment: Experiment) -> None:
        """Say what is compared."""
        ...

    def sent(self, sent: Sent, total: int) -> None:
        """Say how far the replay is."""
        ...

    def look(self, report: Report) -> None:
        """Show what a look at the experiment has shown."""
        ...

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        ...


def screen_for(console: Console) -> Screen:
    """Return the screen that suits a console."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveScreen(console)
    return PlainScreen(console)


class SilentScreen:
    """Shows nothing."""

    def step(self, words: str) -> None:
        """Show nothing."""

    detail = note = step

    def source(self, name: str, note: str) -> None:
        """Show nothing."""

    def experiment(self, experiment: Experiment) -> None:
        """Show nothing."""

    def sent(self, sent: Sent, total: int) -> None:
        """Show nothing."""

    def look(self, report: Report) -> None:
        """Show nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class PlainScreen(SilentScreen):
    """A line for each step and each look."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._looks = 0

    @override
    def step(self, words: str) -> None:
        """Print a line."""
        self._print(words)

    @override
    def source(self, name: str, note: str) -> None:
        """Print a line, and one for the note."""
        self._print(f"data: {name}")
        if note:
            self._print(note)

    @override
    def note(self, words: str) -> None:
        """Print a line."""
        self._print(f"note: {words}")

    @override
    def look(self, report: Report) -> None:
        """Print a line."""
        self._looks += 1
        seen = _Seen.of(report)
        self._print(
            f"look {self._looks}: {seen.requests:,} requests ({seen.split}), {seen.labels:,} "
            f"labels, {seen.metric} {seen.effect} [{seen.interval}]: {kind_in_words(seen.kind)}"
        )

    def _print(self, words: str) -> None:
        self._console.print(Text(words), soft_wrap=True)


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look, as it is printed."""

    requests: int
    split: str
    labels: int
    metric: str
    effect: str
    interval: str
    kind: DecisionKind
    waits: str
    middle: float | None
    lower: float | None
    upper: float | None

    @classmethod
    def of(cls, report: Report) -> _Seen:
        goal = report.contrasts[0]
        bounds = goal.lower is not None and goal.upper is not None
        return cls(
            requests=sum(arm.requests for arm in report.arms),
            split=" : ".join(f"{arm.requests:,}" for arm in report.arms),
            labels=sum(arm.labelled for arm in report.arms),
            metric=goal.metric,
            effect="-" if goal.effect is None else f"{goal.effect:+.4f}",
            interval=f"{goal.lower:+.4f} … {goal.upper:+.4f}" if bounds else "too early",
            kind=report.decision.kind,
            waits="; ".join(report.decision.reasons),
            middle=goal.effect,
            lower=goal.lower,
            upper=goal.upper,
        )


@dataclass
class LiveScreen:
    """One picture that is drawn again and again, and stays when it is done."""

    console: Console
    _steps: tuple[tuple[str, float], ...] = ()
    _now: str = ""
    _detail: str = ""
    _since: float = field(default_factory=time.monotonic)
    _data: tuple[str, str] = ("", "")
    _notes: tuple[str, ...] = ()
    _progress: tuple[int, int] = (0, 0)
    _counts: str = ""
    _compared: str = ""
    _seen: tuple[_Seen, ...] = ()
    _spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"))
    _live: Live | None = None

    def step(self, words: str) -> None:
        """Tick the step before, and begin this one."""
        self._tick()
        self._now, self._detail, self._since = words, "", time.monotonic()

    def detail(self, words: str) -> None:
        """Say more of the step."""
        self._detail = words

    def source(self, name: str, note: str) -> None:
        """Say what the data is."""
        self._data = (name, note)

    def note(self, words: str) -> None:
        """Keep it above the table."""
        self._notes += (words,)

    def experiment(self, experiment: Experiment) -> None:
        """Say what is compared."""
        sides = " against ".join(
            f"{variant.key} {experiment.model}:{variant.version}"
            for variant in reversed(experiment.design.variants)
        )
        self._compared = f"{sides}; a negative effect on {experiment.design.metrics.goal} is good"

    def sent(self, sent: Sent, total: int) -> None:
        """Move the bar."""
        self._progress = (sent.requests, total)
        self._counts = f"{sent.requests:,} of {total:,} requests, {sent.outcomes:,} labels back"

    def look(self, report: Report) -> None:
        """Add a row."""
        self._seen += (_Seen.of(report),)

    def __enter__(self) -> Self:
        self._live = Live(get_renderable=self._picture, console=self.console, refresh_per_second=8)
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._tick()
        if self._live is not None:
            self._live.stop()

    def _tick(self) -> None:
        if self._now:
            self._steps += ((self._now, time.monotonic() - self._since),)
        self._now = self._detail = ""

    def _picture(self) -> RenderableType:
        parts: list[RenderableType] = [Text()]
        if self._data[0]:
            parts.append(Text.assemble(("data  ", "dim"), self._data[0]))
        parts += [Text(note, style="yellow") for note in (self._data[1], *self._notes) if note]
        parts += [
            Text.assemble(("✓ ", "green"), words, (f"  {seconds:.1f} s", "dim"))
            for words, seconds in self._steps
        ]
        if self._now:
            said = self._now + (f": {self._detail}" if self._detail else "")
            self._spinner.update(text=Text(said))
            parts.append(self._spinner)
        if self._progress[1]:
            parts += [Text(), self._bar()]
        if self._seen:
            table = _table(self._seen[-_ROWS:], self.console.width)
            parts += [Text(), table, Text(self._compared, style="dim")]
            parts.append(Text(f"{self._seen[-1].waits}", style="dim"))
        return Group(*parts)

    def _bar(self) -> RenderableType:
        done, total = self._progress
        row = Table.grid(padding=(0, 2))
        row.add_row(ProgressBar(total=total, completed=done, width=_BAR_CELLS), Text(self._counts))
        return row


def _table(seen: tuple[_Seen, ...], width: int) -> Table:
    cells = min((width - _WITHOUT_PLOT) // 2 * 2 + 1, _PLOT_CELLS.stop - 1)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("requests", "split", "labels", "effect"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("always-valid interval", justify="center", no_wrap=True)
    table.add_column("decision", no_wrap=True)
    if cells in _PLOT_CELLS:
        table.add_column("less" + "0".center(cells - 8) + "more", no_wrap=True)
    reach = _reach(seen)
    for row in seen:
        decision = Text(kind_in_words(row.kind), style=_STYLES[row.kind])
        plot = [_plot(row, reach, cells)] if cells in _PLOT_CELLS else []
        table.add_row(
            f"{row.requests:,}",
            row.split,
            f"{row.labels:,}",
            row.effect,
            row.interval,
            decision,
            *plot,
        )
    return table


def _reach(seen: tuple[_Seen, ...]) -> float:
    """Return what the ends of the plots stand for: the widest interval shown."""
    bounds = [abs(bound) for row in seen for bound in (row.lower, row.upper) if bound is not None]
    return max(bounds, default=1.0) or 1.0


def _plot(row: _Seen, reach: float, width: int) -> Text:
    """Draw an interval in a line of cells, with zero in the middle."""
    middle = width // 2
    cells, styles = [" "] * width, [""] * width
    if row.lower is not None and row.upper is not None and row.middle is not None:
        low, high, centre = (
            middle + round(max(-1.0, min(bound / reach, 1.0)) * middle)
            for bound in (row.lower, row.upper, row.middle)
        )
        for cell in range(low, high + 1):
            cells[cell], styles[cell] = "━", "cyan"
        cells[centre], styles[centre] = "●", "bold cyan"
    if cells[middle] != "●":
        cells[middle], styles[middle] = "┃" if cells[middle] == "━" else "│", "dim"
    return Text.assemble(*zip(cells, styles, strict=True))
