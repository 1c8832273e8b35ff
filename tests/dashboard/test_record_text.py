"""The record as Markdown: everything is on it, and no text gets out of its place."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from palio.dashboard.record_text import record_charts, record_markdown
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import Look, Report
from palio.testing.records import ODD

from . import cases

NASTY = f"{ODD} | <script>alert(1)</script> ![x](http://x) **b** `c` \n# d"
Case = tuple[Experiment, Report, list[Look]]


@pytest.fixture(scope="module")
def case() -> Case:
    one = cases.experiment("b", "c")
    return one, *cases.history(one, effect=-0.05)


def rendered(text: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(text)


def test_everything_is_on_it(case: Case) -> None:
    one, report, looks = case
    text = record_markdown(one, report, looks, cases.audit())
    assert "**Ship v-b (b): it is better than v-control (control) on brier.**" in text
    assert "Brier is 0.05 lower with b than with control (-25.0%); lower is better." in text
    assert report.digest in text
    for arm in report.arms:
        assert f"| {arm.variant} | {arm.version} | " in text
    for entry in cases.audit():
        assert entry.hash[:12] in text
    named = set(re.findall(r"!\[[^]]*\]\(([^)]*)\)", text))
    assert named == set(record_charts(one, looks))


def test_charts_are_images(case: Case) -> None:
    one, _, looks = case
    charts = record_charts(one, looks)
    assert sorted(charts) == [
        *("plots/interval-b.png", "plots/interval-c.png", "plots/known.png", "plots/traffic.png")
    ]
    for image in charts.values():
        assert image.startswith(b"\x89PNG\r\n")


def test_no_text_gets_out_of_its_place(case: Case) -> None:
    one, report, looks = case
    odd = replace(one, design=replace(one.design, hypothesis=NASTY))
    reasons = replace(report, decision=replace(report.decision, reasons=(NASTY,)))
    plain = replace(report, decision=replace(report.decision, reasons=("x",)))
    made = rendered(record_markdown(odd, reasons, looks, []))
    witness = rendered(record_markdown(one, plain, looks, []))
    for tag in ("<script", "<strong", "<code", "<h1", "<h2", "<img", "<tr", "<td", "<a "):
        assert made.count(tag) == witness.count(tag), tag


def test_without_looks_it_has_no_charts(case: Case) -> None:
    one, report, _ = case
    assert record_charts(one, []) == {}
    assert "plots/" not in record_markdown(one, report, [], [])
