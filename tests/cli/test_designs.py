"""`palio experiments draft-from`: every field of a design, from YAML or JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from palio.cli.designs import read_design
from palio.errors import InvalidInput
from palio.experiments.designs.assignment import Namespace
from palio.experiments.designs.audience import Condition
from palio.experiments.designs.covariates import Covariate, Segment
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Type, Variant
from palio.experiments.designs.metrics import Direction, Metric
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.designs.risk import Criteria, StopLoss

WHOLE = """
key: pricing
endpoint: credit
type: bandit
unit: user_id
sticky: true
hypothesis: v2 earns more
variants:
  - {key: control, version: v1, weight: 0.5}
  - {key: challenger, version: v2, weight: 0.5}
metrics:
  goal: revenue
  guardrails: [error]
  declared:
    - {name: revenue, direction: higher_is_better, limits: [-10, 10], winsorise: true}
coverage: 0.5
namespace: checkout:0-5000
audience: ["age >= 18"]
segments: ["country=FR,DE", {attribute: plan, values: [pro]}]
label_delay_s: 3600
policy: {kind: thompson, min_weight: 0.1}
stop_loss: {metric: revenue, threshold: -0.5, max_drawdown: 100}
criteria: {min_requests: 500, max_error_rate: 0.01}
stopping: {horizon: 20000, min_sample: 500, early_stop: false}
automatic: true
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "design.yaml"
    file.write_text(text)
    return file


def test_a_design_says_everything(tmp_path: Path) -> None:
    assert read_design(written(tmp_path, WHOLE)) == ExperimentDraft(
        key="pricing",
        endpoint="credit",
        type=Type.BANDIT,
        unit="user_id",
        sticky=True,
        hypothesis="v2 earns more",
        variants=(Variant("control", "v1", 0.5), Variant("challenger", "v2", 0.5)),
        metrics=Metrics(
            "revenue",
            (),
            ("error",),
            (Metric("revenue", Direction.HIGHER, limits=(-10, 10), winsorise=True),),
        ),
        coverage=0.5,
        namespace=Namespace("checkout", 0, 5_000),
        audience=(Condition.parse("age >= 18"),),
        segments=(Segment("country", ("FR", "DE")), Segment("plan", ("pro",))),
        label_delay_s=3_600,
        policy=Policy(kind=PolicyKind.THOMPSON, min_weight=0.1),
        stop_loss=StopLoss(metric="revenue", threshold=-0.5, max_drawdown=100),
        criteria=Criteria(min_requests=500, max_error_rate=0.01),
        stopping=Stopping(horizon=20_000, min_sample=500, early_stop=False),
        automatic=True,
    )


SHORT = """
experiment:
  key: short
  endpoint: credit
  variants: [{key: a, version: v1, weight: 0.5}, {key: b, version: v2, weight: 0.5}]
  metrics: {goal: brier}
  covariates: [spend]
"""


def test_it_may_stand_below_the_word_experiment(tmp_path: Path) -> None:
    found = read_design(written(tmp_path, SHORT))
    assert (found.key, found.covariates) == ("short", (Covariate(name="spend"),))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  key: short", "  kye: short", "a design has no field 'kye'"),
        ("goal: brier", "gaol: brier", "a design has no field 'metrics.gaol'"),
        ("weight: 0.5}, {", "weight: half}, {", "`float`, got `str`"),
        ("[spend]", "[spend]\n  policy: greedy", "'greedy' is no policy; there are fixed"),
        ("[spend]", "[spend]\n  segments: [country]", "write attribute=value,value"),
        ("[spend]", "[spend]\n  policy: ucb", "a bandit needs one that moves weights"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_design(written(tmp_path, SHORT.replace(old, new)))
    assert message in str(caught.value)


def test_the_command_drafts_it(cli: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    store = ("--store", tmp_path / "palio.db")
    code, _, err = cli(*store, "experiments", "draft-from", written(tmp_path, SHORT))
    assert code != 0  # there is no such endpoint in an empty store
    assert "no endpoint is named 'credit'" in err
