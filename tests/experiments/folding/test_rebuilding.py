"""Rebuilding: statistics that were tampered with are folded from the events again."""

from __future__ import annotations

from dataclasses import replace

from palio.access.audit import Change
from palio.experiments.events import OutcomeDraft
from palio.experiments.folding.folding import read_batch
from palio.experiments.folding.rebuilding import clear_folded
from palio.testing.records import design, prediction
from palio.testing.wired import Wired


def filled(wired: Wired) -> Wired:
    """Return an experiment with forty units, looked at once."""
    wired.serve("1", "2")
    experiment = wired.run(design())
    with wired.store.write() as unit:
        unit.log.append(
            [
                prediction(
                    name, experiment="exp", variant=experiment.split().assign(name), epoch=1
                )
                for name in (f"r{number}" for number in range(40))
            ]
        )
    wired.outcomes.record([OutcomeDraft(request_id=f"r{n}", value=n % 2) for n in range(40)])
    wired.experiments.analyze("exp")
    return wired


def test_tampered_sums_are_built_anew(wired: Wired) -> None:
    filled(wired)
    with wired.store.write() as unit:
        before = [*unit.looks.find(), *unit.crossings.find(), *unit.published.find()]
        row = unit.metric_sums.find(metric="brier")[0]
        unit.metric_sums.put_many([replace(row, sums=(row.sums[0] + 1.0,))])
    assert len(wired.experiments.verify("exp").differences) == 1
    assert wired.experiments.rebuild("exp", "somebody edited a row").differences == ()
    assert wired.experiments.verify("exp").compared > 0
    with wired.store.read() as unit:
        assert [*unit.looks.find(), *unit.crossings.find(), *unit.published.find()] == before
    entry = wired.audit.list()[-1]
    assert (entry.action, entry.reason) == ("experiment.rebuild", "somebody edited a row")
    assert (entry.before, entry.after) == ({"watermark": 80}, {"watermark": 0})


def test_a_rebuild_that_was_killed_goes_on(wired: Wired) -> None:
    """Only its first unit of work was written: whoever folds next does the rest."""
    filled(wired)
    experiment = wired.experiments.get("exp")
    with wired.store.read() as unit:
        whole = {row.variant: row for row in unit.variant_counts.find()}
        overtaken = read_batch(unit, experiment, limit=10, now=wired.clock.now)
    assert overtaken is None

    change = Change(at=wired.clock.now, actor="a", action="b", subject="exp", reason="c")
    with wired.store.write() as unit:
        clear_folded(unit, experiment, change)
    with wired.store.write() as unit:
        batch = read_batch(unit, experiment, limit=7, now=wired.clock.now)
        assert batch is not None
        assert batch.write(unit)
    assert wired.experiments.verify("exp").differences == ()
    with wired.store.read() as unit:
        assert {row.variant: row for row in unit.variant_counts.find()} == whole


def test_a_batch_from_before_a_rebuild_is_not_written(wired: Wired) -> None:
    filled(wired)
    experiment = wired.experiments.get("exp")
    wired.outcomes.record([OutcomeDraft(request_id="r0", value=1)])
    with wired.store.read() as unit:
        slow = read_batch(unit, experiment, limit=10, now=wired.clock.now)
    assert slow is not None
    wired.experiments.rebuild("exp", "try")
    with wired.store.write() as unit:
        assert not slow.write(unit)
    assert wired.experiments.verify("exp").differences == ()
