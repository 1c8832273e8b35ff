"""The record of an experiment: whole, offline, and safe with what people typed."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from palio.charts.render import bundle_script
from palio.dashboard.record import record_page
from palio.dashboard.record_text import record_charts, record_markdown
from palio.experiments.judging.decision import report_of

from . import cases

VOID = {"meta", "br"}


class Balance(HTMLParser):
    """Checks that elements close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, *_: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def words_of(page: str) -> str:
    """Return the page without its scripts and its style."""
    return re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)


def page_of(*challengers: str, effect: float) -> str:
    one = cases.experiment(*challengers)
    report, looks = cases.history(one, effect=effect)
    return record_page(one, report, looks, cases.audit(), title="A & B", notes=["Made up."])


@pytest.fixture(scope="module")
def shipped() -> str:
    return page_of("b", effect=-0.05)


def test_it_opens_with_the_decision_and_why(shipped: str) -> None:
    words = words_of(shipped)
    assert "Ship v-b (b): it is better than v-control (control) on brier." in words
    assert "Brier is 0.05 lower with b than with control (-25.0%); lower is better." in words
    assert 'class="decision ship"' in words
    assert "1,200" in words
    assert "Made up." in words
    assert "for comparison only: not valid when looked at repeatedly" in words
    assert "Units were split as designed" in words


@pytest.mark.parametrize(
    ("effect", "said", "kind"),
    [
        (0.05, "Stay with v-control (control): harm was shown.", "rollback"),
        (0.0001, "Keep running: the evidence on brier is not enough yet.", "keep_running"),
    ],
)
def test_other_decisions_in_words(effect: float, said: str, kind: str) -> None:
    words = words_of(page_of("b", effect=effect))
    assert said in words
    assert f'class="decision {kind}"' in words


def test_it_needs_no_network(shipped: str) -> None:
    assert shipped.count(bundle_script()) == 1
    rest = shipped.replace(bundle_script(), "")
    assert set(re.findall(r"https?://[\w.-]+", rest)) <= {"https://vega.github.io"}  # a schema
    assert re.findall(r"\b(?:src|href)=", rest) == []
    assert "default-src 'none'" in shipped


def test_what_people_typed_is_text(shipped: str) -> None:
    words = words_of(shipped)
    assert "&lt;script&gt;alert(&#39;no&#39;)&lt;/script&gt; &amp; better" in words
    assert "&lt;b&gt;ann&lt;/b&gt;" in words
    assert "<b>ann" not in shipped
    assert "<h1>A &amp; B</h1>" in words


def test_the_audit_trail_has_changes_and_hashes(shipped: str) -> None:
    words = words_of(shipped)
    for entry in cases.audit():
        assert entry.hash in words
    assert "analysis: ffffffffffff…, champion: v-control → v-b" in words
    assert "it won" in words


def test_elements_close_in_order(shipped: str) -> None:
    balance = Balance()
    balance.feed(shipped.replace(bundle_script(), ""))
    balance.close()
    assert balance.open == []


def test_a_crossing_that_is_no_longer_seen_is_explained() -> None:
    one = cases.experiment("b")
    won, crossed = report_of(one, cases.statistics(one, 1_200, effect=-0.05), cases.START)
    later = cases.statistics(one, 1_200, effect=-0.001)
    report, _ = report_of(one, later, cases.START, known=crossed)
    assert report.decision.kind is won.decision.kind
    words = words_of(record_page(one, report, [], []))
    assert "It had left zero at an earlier look; what was shown once stays shown." in words


def test_every_challenger_has_its_chart() -> None:
    page = page_of("b", "c", effect=-0.01)
    assert page.count("Effect on brier as evidence arrived") == 2
    assert page.count('class="chart"') == 4  # two intervals, traffic, known outcomes
    assert "brier: c less control" in page


def test_one_that_nobody_has_seen_yet() -> None:
    one = cases.experiment("b")
    report, _ = report_of(one, cases.Statistics(0, [], []), cases.START)
    words = words_of(record_page(one, report, [], []))
    assert "<h1>case</h1>" in words
    assert "Nothing is known of brier yet." in words
    assert "None" not in words


def test_weights_that_moved_segments_and_what_covariates_removed_are_shown() -> None:
    one = cases.experiment("b")
    report, looks = cases.history(one, effect=-0.01)
    report = replace(
        report, by_segment={"country=<FR>": report.contrasts}, unadjusted=report.contrasts
    )
    looks[-1] = replace(looks[-1], weights={"control": 0.1, "b": 0.9})
    page = record_page(one, report, looks, [])
    assert "Weights over time, fixed" in page
    words = words_of(page)
    assert "country=&lt;FR&gt;" in words
    assert "Without covariates" in words
    text = record_markdown(one, report, looks, [])
    assert "### country=\\<FR\\>" in text
    assert "### Without covariates" in text
    assert "![weights](plots/weights.png)" in text
    assert record_charts(one, looks)["plots/weights.png"].startswith(b"\x89PNG")
