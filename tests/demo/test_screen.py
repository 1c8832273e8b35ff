"""What people see meanwhile, and at the end."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from rich.console import Console

from palio.access.audit import GENESIS, Change, seal
from palio.demo.closing import close
from palio.demo.replay import Sent
from palio.demo.result import Champion, DemoResult, Source
from palio.demo.screen import LiveScreen, PlainScreen, Screen, screen_for
from palio.experiments.folding.verification import Verification
from palio.experiments.judging.analysis import (
    Arm,
    Contrast,
    Decision,
    DecisionKind,
    MetricRole,
    Report,
    SampleRatio,
    Verdict,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def arm(variant: str, requests: int) -> Arm:
    return Arm(
        variant=variant,
        version=f"v-{variant}",
        weight=0.5,
        units=requests,
        requests=requests,
        errors=0,
        labelled=requests,
        outcomes=requests,
        crossovers=0,
        metrics={},
    )


def report(
    number: int, *, kind: DecisionKind = DecisionKind.KEEP_RUNNING, known: bool = True
) -> Report:
    goal = Contrast(
        metric="brier",
        role=MetricRole.GOAL,
        variant="challenger",
        alpha=0.05,
        null=0.0,
        effect=-0.02,
        relative=-0.1,
        lower=-0.02 - 4 / number if known else None,
        upper=-0.02 + 4 / number if known else None,
        p_value=0.3,
        rule="horizon",
        verdict=Verdict.UNCLEAR,
    )
    return Report(
        experiment="e",
        at=NOW,
        watermark=number,
        progress=None,
        arms=(arm("control", number), arm("challenger", number)),
        contrasts=(goal,),
        sample_ratio=SampleRatio(1.0, mismatch=False),
        decision=Decision(kind, ("wait [for] more",)),
    )


def told(screen_of: Callable[[Console], Screen], *, width: int, terminal: bool) -> str:
    written = io.StringIO()
    console = Console(
        file=written,
        width=width,
        height=60,
        force_terminal=terminal,
        color_system=None,
        legacy_windows=False,
    )
    with screen_of(console) as screen:
        screen.step("reading [it]")
        screen.source("loans.csv, 9 rows", "Synthetic data: made up.")
        screen.note("id is unique per row")
        screen.step("replaying")
        screen.sent(Sent(requests=300, outcomes=120), 600)
        screen.look(report(100, known=False))
        for number in range(200, 1_200, 100):
            screen.look(report(number))
        screen.look(report(1_200, kind=DecisionKind.SHIP))
    return written.getvalue()


def test_plain_lines_when_nobody_watches() -> None:
    lines = told(screen_for, width=80, terminal=False).splitlines()
    assert lines[:2] == ["reading [it]", "data: loans.csv, 9 rows"]
    assert lines[-1] == (
        "look 12: 2,400 requests (1,200 : 1,200), 2,400 labels, "
        "brier -0.0200 [-0.0233 … -0.0167]: ship"
    )
    assert "look 1: 200 requests (100 : 100), 200 labels, brier -0.0200 [too early]" in lines[5]


@pytest.mark.parametrize("width", [80, 100, 130])
def test_the_live_table_fits_the_window(width: int) -> None:
    shown = told(LiveScreen, width=width, terminal=True).split("reading [it]")[-1]
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width
    assert any("✓ replaying" in line for line in lines)
    assert "300 of 600 requests, 120 labels back" in shown
    rows = [line for line in lines if line.lstrip().startswith(("1,", "2,")) and ":" in line]
    assert len(rows) == 8  # the latest
    assert "ship" in rows[-1]
    assert "-0.0233 … -0.0167" in rows[-1]
    assert ("●" in rows[-1]) == (width > 96)


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(screen_for(Console(force_terminal=True)), PlainScreen)


def result(kind: DecisionKind, *, kept: str | None = None) -> DemoResult:
    entry = seal(
        Change(at=NOW, actor="demo", action="experiment.ship", subject="e"),
        seq=1,
        prev_hash=GENESIS,
    )
    last = report(2_000, kind=kind)
    return DemoResult(
        experiment="e",
        decision=last.decision,
        champion=Champion("scorecard", "boosting" if kind is DecisionKind.SHIP else "scorecard"),
        data=Source(
            name="loans",
            synthetic=True,
            note="",
            target="default",
            learnt=10,
            to_replay=4_000,
            left_out=3,
        ),
        requests_sent=4_000,
        outcomes_sent=4_000,
        outcomes_joined=4_000,
        outcomes_repeated=80,
        outcomes_early=40,
        variants=last.arms,
        contrasts=last.contrasts,
        sample_ratio=last.sample_ratio,
        looks=(),
        verified=True,
        verification=Verification(4_000, 10, ()),
        audit_intact=True,
        audit=[entry],
        report="/tmp/report.html",
        kept=kept,
        seconds=12.3,
    )


def closed(found: DemoResult) -> str:
    written = io.StringIO()
    close(found, Console(file=written, width=80, color_system=None))
    return written.getvalue()


def test_the_end_says_what_was_decided_and_what_is_next() -> None:
    said = closed(result(DecisionKind.SHIP))
    assert (
        "Decision: ship\n  wait [for] more\nProduction moved from scorecard to boosting." in said
    )
    assert "4,000 requests sent: control 2,000, challenger 2,000" in said
    assert "4,000 labels sent late and out of order, 4,000 joined; 80 were sent twice" in said
    assert "10 figures recomputed from the events: the same" in said
    assert "3 rows were left out" in said
    assert "1 entries, the chain of hashes holds" in said
    assert "Report: /tmp/report.html" in said
    assert "palio demo --keep FOLDER" in said


def test_the_end_without_a_winner() -> None:
    said = closed(result(DecisionKind.INCONCLUSIVE))
    assert "Production stays with scorecard." in said
    assert "--requests" in said


def test_the_end_names_what_was_kept() -> None:
    said = closed(result(DecisionKind.SHIP, kept="/a folder"))
    assert "palio --store '/a folder/palio.db' serve" in said
    assert "--keep" not in said
