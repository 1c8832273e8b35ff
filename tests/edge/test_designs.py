"""What a design declares is said, field by field; what it does not declare is not."""

from __future__ import annotations

from palio.edge.designs import declared
from palio.experiments.designs.covariates import Covariate, Segment
from palio.experiments.designs.design import Metrics, Stopping, Type
from palio.experiments.designs.policy import Policy, PolicyKind
from palio.experiments.designs.risk import Criteria, StopLoss
from palio.testing.records import design


def test_a_plain_design_declares_nothing() -> None:
    assert list(declared(design())) == []


def test_everything_is_said() -> None:
    made = design(
        type=Type.BANDIT,
        sticky=True,
        metrics=Metrics("revenue:higher"),
        policy=Policy(kind=PolicyKind.TOP_TWO_THOMPSON, eliminate=True),
        label_delay_s=60,
        segments=(Segment("country", ("FR", "DE")),),
        stopping=Stopping(early_stop=False, futility=0.1),
        stop_loss=StopLoss(metric="revenue", threshold=-1, max_drawdown=5),
        criteria=Criteria(min_requests=7, max_error_rate=0.01),
        automatic=True,
        title="Dearer",
        description="What a higher price does",
        tags={"team": "risk", "quarter": "4"},
    )
    assert dict(declared(made)) == {
        "title": "Dearer",
        "description": "What a higher price does",
        "tags": "team=risk, quarter=4",
        "policy": "top two thompson, weights from 0.05 to 1, arms shown to be worse are retired",
        "sticky": "units keep their variant when weights change",
        "label delay": "outcomes count from 60 s on",
        "segments": "country (FR, DE, other)",
        "early stop": "no: a winner is shipped at the end alone",
        "futility": "given up where the chance to win falls below 0.1",
        "stop-loss": "mean revenue shown to be beyond -1; sum of revenue fallen by more than 5",
        "criteria": "min_requests 7, max_error_rate 0.01",
        "automatic": "the evaluator ships, rolls back and ends it",
    }
    covariates = design(covariates=(Covariate(name="spend"),))
    assert dict(declared(covariates)) == {"covariates": "spend"}
