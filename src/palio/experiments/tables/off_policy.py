"""What a policy or version that did not serve would have earned, from logged propensities."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw
import numpy as np

from palio.errors import InvalidInput
from palio.stats import Estimate, OffPolicyValue, conclude, off_policy_value

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

__all__ = ["OffPolicyReport", "off_policy"]

_LEAST_UNITS = 100  # effective, as an arm needs for a verdict
_FAR_SE = 5.0  # standard errors from 1 at which the weights' mean is no accident


@dataclass(frozen=True, slots=True, kw_only=True)
class OffPolicyReport:
    """A new policy's value, and its gain over the one that was logged.

    Attributes
    ----------
    rows
        Rows of the log.
    logged
        Mean reward of the policy that served.
    value
        The new policy's, with effective sample size and weights.
    gain
        New less logged, with its interval at one look.
    """

    rows: int
    logged: float
    value: OffPolicyValue
    gain: Estimate


def off_policy(
    frame: IntoFrame,
    *,
    reward: str,
    propensity: str,
    new_probability: str | None = None,
    action: str | None = None,
    new_action: str | None = None,
    method: Literal["ips", "snips"] = "snips",
    clip: float | None = None,
    alpha: float = 0.05,
) -> OffPolicyReport:
    """Estimate what another policy would have earned on the logged requests.

    Parameters
    ----------
    frame
        What narwhals takes, a row a request; the columns named here leave its engine.
    reward
        Column of the reward.
    propensity
        Column of the probability, in (0, 1], with which the logged action was drawn.
    new_probability
        Column of the probability with which the new policy would have drawn that action.
    action, new_action
        Instead: columns of the logged action, and of the one that the new policy would take.
    method, clip, alpha
        As `palio.stats.off_policy_value` has them.

    Returns
    -------
    OffPolicyReport
        Value and gain with intervals that hold at one look.

    Raises
    ------
    InvalidInput
        If a column is not there or out of range, or the log says too little about the new
        policy: an effective sample below 100, or weights that do not average to 1.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> rng = np.random.default_rng(1)
    >>> took = rng.choice(["a", "b"], 2_000)
    >>> log = pl.DataFrame({"took": took, "p": 0.5, "earned": 1.0 * (took == "b"), "new": "b"})
    >>> found = off_policy(log, reward="earned", propensity="p", action="took", new_action="new")
    >>> found.value.estimate.effect
    1.0
    """
    asked = {"reward": reward, "propensity": propensity}
    asked |= _source(new_probability, action, new_action)
    columns = _columns(frame, asked)
    try:
        rewards, logged = (_floats(columns[name]) for name in ("reward", "propensity"))
        if new_probability is None:
            probabilities = (columns["action"] == columns["new_action"]).astype(float)
        else:
            probabilities = _floats(columns["new_probability"])
        found = off_policy_value(
            rewards, logged, probabilities, method=method, clip=clip, alpha=alpha
        )
        _refuse_little_overlap(found, probabilities / logged, clip)
        gain = conclude(
            found.gain.mean, sqrt(found.gain.var / found.gain.n), df=found.gain.n - 1, alpha=alpha
        )
    except ValueError as error:
        said = str(error).replace("logged_propensities", propensity)
        said = said.replace("target_probabilities", new_probability or "match of the actions")
        raise InvalidInput(said, field="frame") from error
    return OffPolicyReport(rows=len(rewards), logged=float(rewards.mean()), value=found, gain=gain)


def _source(
    new_probability: str | None, action: str | None, new_action: str | None
) -> dict[str, str]:
    """Name the columns that tell what the new policy does: one way of two."""
    if new_probability is not None and action is None and new_action is None:
        return {"new_probability": new_probability}
    if new_probability is None and action is not None and new_action is not None:
        return {"action": action, "new_action": new_action}
    raise InvalidInput(
        "give new_probability alone, or action and new_action: what the new policy would do",
        field="new_probability",
    )


def _columns(frame: IntoFrame, asked: dict[str, str]) -> dict[str, Any]:
    try:
        rows: nw.LazyFrame[Any] = nw.from_native(frame).lazy()
    except TypeError as error:
        raise InvalidInput(
            f"frame must be a dataframe that narwhals takes, got {type(frame).__name__}",
            field="frame",
        ) from error
    schema = rows.collect_schema()
    for what, name in asked.items():
        if name not in schema:
            raise InvalidInput(
                f"{what} {name!r} is no column; the table has {', '.join(schema)}",
                field=what,
                value=name,
            )
    table = rows.select(**{what: nw.col(name) for what, name in asked.items()}).collect()
    for what, name in asked.items():
        if missing := int(table[what].is_null().sum()):
            raise InvalidInput(
                f"{name} is missing in {missing} of {len(table)} rows: drop or fill them first",
                field=what,
                value=name,
            )
    return {what: table[what].to_numpy() for what in asked}


def _floats(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(values, dtype=np.float64)


def _refuse_little_overlap(
    found: OffPolicyValue, weights: np.ndarray[Any, np.dtype[np.float64]], clip: float | None
) -> None:
    n, spread = weights.size, float(weights.std(ddof=1))
    units = found.effective_sample_size
    if units < _LEAST_UNITS:
        raise InvalidInput(
            f"only {units:.0f} of {n} rows speak for the new policy (effective sample size, "
            f"largest weight {found.max_weight:.3g}), and {_LEAST_UNITS} are needed: log more, "
            "explore more often what the new policy would do"
            + (", or clip the weights and accept a bias" if clip is None else ""),
            field="propensity",
            value=units,
        )
    mean = float(weights.mean())
    if abs(mean - 1) > _FAR_SE * spread / sqrt(n) + 1e-9:
        raise InvalidInput(
            f"the weights average to {mean:.3g} where 1 is expected: the log never draws some of "
            "what the new policy does, or the propensities are not those it was drawn with; keep "
            "the rows where every action of the new policy had a chance, and check the columns",
            field="propensity",
            value=mean,
        )
