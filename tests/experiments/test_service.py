"""Verbs on experiments, in memory: states, what is refused, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from palio.errors import AlreadyExists, Conflict, IllegalTransition, InvalidInput, NotFound
from palio.experiments.designs.design import Stopping, Type, Variant
from palio.experiments.domain import State
from palio.experiments.events import OutcomeDraft
from palio.experiments.judging.analysis import DecisionKind
from palio.registry.signature import Feature, FeatureType, Signature, Task
from palio.storage.store import SqlStore
from palio.testing.records import design, prediction
from palio.testing.wired import Wired


@pytest.fixture
def serving(wired: Wired) -> Wired:
    wired.serve("1", "2")
    return wired


def audited(wired: Wired) -> int:
    with wired.store.read() as unit:
        return unit.audit.head()


# -- drafts


def test_a_draft_is_kept(serving: Wired) -> None:
    made = serving.experiments.draft(design())
    assert serving.experiments.get("exp") == made
    assert (made.state, made.model, made.created_by) == (State.DRAFT, "credit", "ann")
    assert made.salt.startswith("salt_")
    assert (made.started_at, made.champion, made.frozen) == (None, None, None)


def variants(*pairs: tuple[str, float]) -> tuple[Variant, ...]:
    return tuple(Variant(f"v{place}", version, w) for place, (version, w) in enumerate(pairs))


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"variants": variants(("1", 0.45), ("2", 0.5))}, InvalidInput, "must sum to 1, got 0.95"),
        ({"variants": variants(("1", 1.5), ("2", -0.5))}, InvalidInput, "finite and >= 0"),
        ({"variants": variants(("1", 0.5), ("9", 0.5))}, NotFound, "credit has no version '9'"),
        ({"endpoint": "x"}, NotFound, "no endpoint is named 'x'"),
    ],
)
def test_drafts_that_are_refused(
    serving: Wired, fields: dict[str, Any], kind: type[Exception], message: str
) -> None:
    before = audited(serving)
    with pytest.raises(kind, match=message):
        serving.experiments.draft(design(**fields))
    assert list(serving.experiments.list()) == []
    assert audited(serving) == before


def test_a_key_is_taken_once(serving: Wired) -> None:
    serving.experiments.draft(design())
    with pytest.raises(AlreadyExists, match="take another key"):
        serving.experiments.draft(design())


def test_variants_must_take_the_same_rows(serving: Wired) -> None:
    other = Signature((Feature("income", FeatureType.NUMBER),), Task.CLASSIFICATION, (0, 1))
    serving.register("credit:3", signature=other)
    with pytest.raises(InvalidInput, match="credit:3 takes other rows than credit:1"):
        serving.experiments.draft(design(variants=variants(("1", 0.5), ("3", 0.5))))


def test_variants_that_serve_elsewhere_may_take_different_rows(serving: Wired) -> None:
    other = Signature((Feature("income", FeatureType.NUMBER),), Task.CLASSIFICATION, (0, 1))
    serving.register("credit:3", signature=other)
    halves = variants(("1", 0.5), ("3", 0.5))
    serving.run(design(variants=halves, serves=False, ships=False))
    given = [serving.experiments.assign("credit", f"u{number}").version for number in range(40)]
    assert set(given) == {"1", "3"}


def test_lists_of_one_endpoint(serving: Wired) -> None:
    serving.endpoints.create("other", "credit")
    serving.experiments.draft(design("a"))
    serving.experiments.draft(design("b", endpoint="other"))
    assert [one.key for one in serving.experiments.list()] == ["a", "b"]
    assert [one.key for one in serving.experiments.list("other")] == ["b"]


def test_unknown_experiments(serving: Wired) -> None:
    verbs = serving.experiments
    for call in (verbs.get, verbs.start, verbs.pause, verbs.resume, verbs.complete, verbs.ship):
        with pytest.raises(NotFound, match="no experiment has the key 'x'"):
            call("x")
    for call in (verbs.analyze, verbs.looks, verbs.record, verbs.verify):
        with pytest.raises(NotFound, match="no experiment has the key 'x'"):
            call("x")
    with pytest.raises(NotFound, match="no experiment has the key 'x'"):
        verbs.stop("x", "why")


# -- states


def test_starting_freezes(serving: Wired) -> None:
    serving.clock.advance(60)
    started = serving.run(design())
    assert started.state is State.RUNNING
    assert started.frozen == design().digest
    assert (started.champion, started.started_at) == ("1", serving.clock.now)
    entry = serving.audit.list()[-1]
    assert (entry.action, entry.before) == ("experiment.start", {"state": "draft"})
    assert entry.after == {"state": "running", "champion": "1", "frozen": design().digest}


def test_pause_and_resume(serving: Wired) -> None:
    serving.run(design())
    assert serving.experiments.pause("exp", "holiday").reason == "holiday"
    resumed = serving.experiments.resume("exp")
    assert (resumed.state, resumed.reason) == (State.RUNNING, "")
    assert [entry.action for entry in serving.audit.list()[-3:]] == [
        "experiment.start",
        "experiment.pause",
        "experiment.resume",
    ]


@pytest.mark.parametrize(
    ("steps", "refused", "message"),
    [
        ("", "pause", "draft and cannot become paused; allowed: running, stopped"),
        ("", "resume", "is draft; only a paused experiment can be resumed"),
        ("", "complete", "draft and cannot become completed"),
        ("", "ship", "draft and cannot become completed"),
        ("start", "start", "is running; only a draft can be started"),
        ("start", "resume", "is running; only a paused"),
        ("start pause", "start", "is paused; only a draft can be started, resume it"),
        ("start pause", "pause", "paused and cannot become paused"),
        ("start complete", "pause", "allowed: nothing, it has ended"),
        ("start complete", "start", "is completed; only a draft"),
        ("start complete", "resume", "is completed; only a paused"),
        ("start complete", "complete", "nothing, it has ended"),
        ("start complete", "ship", "nothing, it has ended"),
    ],
)
def test_steps_that_are_refused(serving: Wired, steps: str, refused: str, message: str) -> None:
    serving.experiments.draft(design())
    for step in steps.split():
        getattr(serving.experiments, step)("exp")
    before = serving.experiments.get("exp"), audited(serving)
    with pytest.raises(Conflict, match=message):
        getattr(serving.experiments, refused)("exp")
    assert (serving.experiments.get("exp"), audited(serving)) == before


@pytest.mark.parametrize("steps", ["", "start", "start pause"])
def test_stopping_from_every_open_state(serving: Wired, steps: str) -> None:
    serving.experiments.draft(design())
    for step in steps.split():
        getattr(serving.experiments, step)("exp")
    stopped = serving.experiments.stop("exp", "wrong metric")
    assert (stopped.state, stopped.reason) == (State.STOPPED, "wrong metric")
    assert stopped.ended_at == serving.clock.now
    assert serving.audit.list()[-1].action == "experiment.stop"
    with pytest.raises(IllegalTransition):
        serving.experiments.stop("exp", "again")


@pytest.mark.parametrize("reason", ["", " "])
def test_stopping_needs_a_reason(serving: Wired, reason: str) -> None:
    serving.run(design())
    with pytest.raises(InvalidInput, match="say why"):
        serving.experiments.stop("exp", reason)


def test_one_experiment_on_an_endpoint(serving: Wired) -> None:
    serving.run(design("a"))
    serving.experiments.draft(design("b"))
    with pytest.raises(Conflict, match="a is running on credit; stop, complete or pause it first"):
        serving.experiments.start("b")
    serving.experiments.pause("a")
    serving.experiments.start("b")
    with pytest.raises(Conflict, match="b is running on credit"):
        serving.experiments.resume("a")
    serving.experiments.complete("b")
    assert serving.experiments.resume("a").state is State.RUNNING


def test_a_launch_drafts_and_starts(serving: Wired) -> None:
    made = serving.experiments.launch(design())
    assert made == serving.experiments.get("exp")
    assert (made.state, made.champion) == (State.RUNNING, "1")
    assert made.frozen == made.design.digest
    assert [entry.action for entry in serving.audit.list()[-2:]] == [
        "experiment.draft",
        "experiment.start",
    ]


def test_a_launch_freezes_what_is_kept(sql_store: SqlStore) -> None:
    wired = Wired(sql_store)
    wired.serve("1", "2")
    a_day = Stopping(max_duration_s=86_400)  # no float: kept, it is one
    made = wired.experiments.launch(design(stopping=a_day))
    assert made.frozen == made.design.digest == wired.experiments.get("exp").design.digest


def test_of_a_launch_that_fails_nothing_is_kept(serving: Wired) -> None:
    serving.run(design("a"))
    before = audited(serving)
    with pytest.raises(Conflict, match="a is running on credit"):
        serving.experiments.launch(design("b"))
    with pytest.raises(AlreadyExists, match="take another key"):
        serving.experiments.launch(design("a"))
    assert [one.key for one in serving.experiments.list()] == ["a"]
    assert audited(serving) == before


# -- looks and records


def test_a_draft_can_be_looked_at(serving: Wired) -> None:
    serving.experiments.draft(design())
    report = serving.experiments.analyze("exp")
    assert (report.watermark, report.decision.kind) == (0, DecisionKind.KEEP_RUNNING)
    assert list(serving.experiments.looks("exp")) == []


def serve(wired: Wired, number: int, start: int = 0) -> None:
    """Serve and label requests: the challenger is right, the control wrong."""
    split = wired.experiments.get("exp").split()
    made = []
    for place in range(start, start + number):
        variant = split.assign(f"r{place}")
        share = 0.9 if variant == "challenger" else 0.2
        made.append(
            prediction(
                f"r{place}",
                experiment="exp",
                variant=variant,
                epoch=1,
                probabilities=[[1 - share, share]],
            )
        )
    with wired.store.write() as unit:
        unit.log.append(made)
    # a little noise in the labels, so that the arms have a variance
    wired.outcomes.record(
        [
            OutcomeDraft(request_id=one.request_id, value=int(i % 5 > 0))
            for i, one in enumerate(made)
        ]
    )


def test_every_look_is_kept(serving: Wired) -> None:
    serving.run(design())
    for start in (0, 100, 200):
        serving.clock.advance(60)
        serve(serving, 100, start)
        report = serving.experiments.analyze("exp")
        look = serving.experiments.looks("exp")[-1]
        assert (look.watermark, look.at, look.labelled) == (
            report.watermark,
            serving.clock.now,
            start + 100,
        )
        assert look.decision is report.decision.kind
    assert len(serving.experiments.looks("exp")) == 3
    assert serving.experiments.analyze("exp").watermark == report.watermark
    assert len(serving.experiments.looks("exp")) == 3  # nothing new was seen


def test_an_ended_experiment_answers_its_record(serving: Wired) -> None:
    serving.run(design())
    serve(serving, 300)
    with pytest.raises(NotFound, match="has no record yet"):
        serving.experiments.record("exp")
    report = serving.experiments.analyze("exp")
    assert report.decision.kind is DecisionKind.SHIP
    serving.experiments.complete("exp")
    record = serving.experiments.record("exp")
    assert record.report == serving.experiments.analyze("exp")
    assert record.digest == record.report.digest
    serve(serving, 50, 300)  # late: folded, and no part of the record
    assert serving.experiments.analyze("exp") == record.report
    assert serving.experiments.verify("exp").differences == ()


def test_people_may_name_the_better_variant_when_it_ends(serving: Wired) -> None:
    serving.run(design())
    with pytest.raises(InvalidInput, match="exp has no variant 'third'"):
        serving.experiments.complete("exp", "enough", chosen="third")
    ended = serving.experiments.complete("exp", "enough", chosen="control")
    assert (ended.state, ended.winner, ended.chosen) == (State.COMPLETED, None, "control")
    assert serving.audit.list()[-1].after == {"state": "completed", "chosen": "control"}
    with pytest.raises(Conflict, match="has shipped nothing"):
        serving.experiments.rollback("exp", "why")


def test_a_paused_experiment_still_counts(serving: Wired) -> None:
    serving.run(design())
    serve(serving, 300)
    serving.experiments.pause("exp")
    assert serving.experiments.analyze("exp").decision.kind is DecisionKind.SHIP
    with pytest.raises(Conflict, match="challenger has won exp, not control"):
        serving.experiments.ship("exp", variant="control")
    assert serving.experiments.ship("exp").winner == "challenger"


def test_a_crossing_is_kept_in_the_store(serving: Wired) -> None:
    serving.run(design())
    serve(serving, 300)
    assert serving.experiments.analyze("exp").decision.kind is DecisionKind.SHIP
    drafts = [OutcomeDraft(request_id=f"r{place}", value=place % 2) for place in range(300)]
    serving.outcomes.record(drafts)  # everything is taken back
    assert serving.experiments.analyze("exp").decision.kind is DecisionKind.SHIP
    with serving.store.read() as unit:
        assert [one.metric for one in unit.crossings.find()] == ["brier"]


def test_aa_never_ships(serving: Wired) -> None:
    serving.run(
        design(
            type=Type.AA, variants=(Variant("control", "1", 0.5), Variant("challenger", "1", 0.5))
        )
    )
    serve(serving, 300)
    assert serving.experiments.analyze("exp").decision.kind is DecisionKind.INVALID
    with pytest.raises(Conflict, match="not ready to ship: invalid"):
        serving.experiments.ship("exp")


def test_a_challenger_without_a_way_to_production_is_refused_at_the_start(wired: Wired) -> None:
    wired.models.create("credit", lifecycle="strict")
    wired.register("credit:1", "credit:2")
    for stage in ("validation", "testing", "staging"):
        wired.versions.move("credit:1", stage)
    wired.versions.promote("credit:1")
    wired.endpoints.create("credit", "credit")
    wired.experiments.draft(design())
    with pytest.raises(IllegalTransition, match="credit:2 cannot go from development to prod"):
        wired.experiments.start("exp")
    assert wired.experiments.get("exp").state is State.DRAFT
    for stage in ("validation", "testing", "staging"):
        wired.versions.move("credit:2", stage)
    assert wired.experiments.start("exp").state is State.RUNNING


def test_a_design_that_ships_nothing_compares_versions_of_any_stage(wired: Wired) -> None:
    wired.models.create("credit", lifecycle="strict")
    wired.register("credit:1", "credit:2")
    wired.endpoints.create("credit", "credit")
    wired.experiments.draft(design(ships=False))
    assert wired.experiments.start("exp").state is State.RUNNING
