"""What a design declares beyond the usual, in words: for tables on every face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from palio.experiments.designs.design import ExperimentDraft, Stopping
from palio.experiments.designs.policy import Policy
from palio.experiments.designs.risk import Criteria, StopLoss

__all__ = ["declared"]


def declared(design: ExperimentDraft) -> Iterator[tuple[str, str]]:
    """Yield name and words of each declaration that the design makes use of."""
    named = ", ".join(f"{name}={value}" for name, value in design.tags.items())
    told = {"title": design.title, "description": design.description, "tags": named}
    yield from ((name, text) for name, text in told.items() if text)
    if design.policy.moves:
        yield "policy", _policy(design.policy)
    if design.sticky:
        yield "sticky", "units keep their variant when weights change"
    if design.label_delay_s:
        yield "label delay", f"outcomes count from {design.label_delay_s:g} s on"
    yield from _known_before(design)
    yield from _ends(design.stopping)
    if design.stop_loss is not None:
        yield "stop-loss", _loss(design.stop_loss)
    if criteria := _criteria(design.criteria):
        yield "criteria", criteria
    if not design.serves:
        yield "serves", "no: units are assigned, and answered elsewhere"
    if design.automatic:
        ships = "ships, " if design.ships else ""
        yield "automatic", f"the evaluator {ships}rolls back and ends it"


def _known_before(design: ExperimentDraft) -> Iterator[tuple[str, str]]:
    if design.segments:
        told = (f"{one.attribute} ({', '.join(one.values)}, other)" for one in design.segments)
        yield "segments", "; ".join(told)
    if design.covariates:
        yield "covariates", ", ".join(one.name for one in design.covariates)


def _policy(policy: Policy) -> str:
    words = str(policy.kind).replace("_", " ")
    bounds = f"{words}, weights from {policy.min_weight:g} to {policy.max_weight:g}"
    return bounds + (", arms shown to be worse are retired" if policy.eliminate else "")


def _ends(stopping: Stopping) -> Iterator[tuple[str, str]]:
    if not stopping.early_stop:
        yield "early stop", "no: a winner is shipped at the end alone"
    if stopping.futility is not None:
        yield "futility", f"given up where the chance to win falls below {stopping.futility:g}"


def _loss(loss: StopLoss) -> str:
    said = []
    if loss.threshold is not None:
        said.append(f"mean {loss.metric} shown to be beyond {loss.threshold:g}")
    if loss.max_drawdown is not None:
        said.append(f"sum of {loss.metric} fallen by more than {loss.max_drawdown:g}")
    return "; ".join(said)


def _criteria(criteria: Criteria) -> str:
    plain = Criteria()
    return ", ".join(
        f"{one.name} {getattr(criteria, one.name):g}"
        for one in fields(criteria)
        if getattr(criteria, one.name) != getattr(plain, one.name)
    )
