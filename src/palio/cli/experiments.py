"""``palio experiments``: from the draft to the decision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from palio.cli.output import AsJson, describe, done, listing, moment, number, print_json
from palio.cli.session import verbs
from palio.edge.designs import declared
from palio.errors import InvalidInput
from palio.experiments.designs.assignment import Namespace
from palio.experiments.designs.audience import Condition
from palio.experiments.designs.design import ExperimentDraft, Metrics, Stopping, Type, Variant
from palio.experiments.domain import Experiment
from palio.experiments.judging.analysis import Contrast, Report

__all__ = ["Key", "app"]

app = typer.Typer()

Key = Annotated[str, typer.Argument(help="Key of the experiment.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit log.")]


@app.command()
def draft(
    ctx: typer.Context,
    key: Key,
    endpoint: Annotated[str, typer.Option(help="Whose traffic is split.")],
    variant: Annotated[
        list[str], typer.Option(help="key=version:weight; the first is the control. Repeatable.")
    ],
    goal: Annotated[str, typer.Option(help="Metric that decides, as brier or revenue:higher.")],
    secondary: Annotated[list[str] | None, typer.Option(help="Metric to report.")] = None,
    guardrail: Annotated[list[str] | None, typer.Option(help="Metric not to harm.")] = None,
    aa: Annotated[bool, typer.Option("--aa", help="One version against itself.")] = False,
    horizon: Annotated[int, typer.Option(help="Units planned in all; 0 if none are.")] = 20_000,
    alpha: Annotated[float, typer.Option(help="Chance of a false decision.")] = 0.05,
    min_sample: Annotated[int, typer.Option(help="Units per variant before shipping.")] = 1_000,
    min_duration_s: Annotated[float, typer.Option(help="Seconds before shipping.")] = 0.0,
    max_duration_s: Annotated[float | None, typer.Option(help="Seconds until it ends.")] = None,
    coverage: Annotated[float, typer.Option(help="Share of units that take part.")] = 1.0,
    holdout: Annotated[
        float, typer.Option(help="Share of units that always gets the champion.")
    ] = 0.0,
    namespace: Annotated[
        str | None, typer.Option(help="name:start-stop, slots of 10,000 that others leave alone.")
    ] = None,
    audience: Annotated[
        list[str] | None,
        typer.Option(help="Condition on the request's attributes, 'age >= 18'. Repeatable."),
    ] = None,
    hypothesis: Annotated[str, typer.Option(help="What is expected, and why.")] = "",
    as_json: AsJson = False,
) -> None:
    """Design an experiment; nothing is routed until it is started.

    Pairs, bandits, segments and limits of loss are written in a file, for draft-from.

    [dim]palio experiments draft credit-ab --endpoint credit --goal brier --guardrail error
    --variant control=v1:0.5 --variant challenger=v2:0.5[/dim]
    """
    design = ExperimentDraft(
        key=key,
        endpoint=endpoint,
        variants=tuple(_variant(text) for text in variant),
        metrics=Metrics(goal, tuple(secondary or ()), tuple(guardrail or ())),
        type=Type.AA if aa else Type.AB,
        stopping=Stopping(
            alpha=alpha,
            horizon=horizon or None,
            min_sample=min_sample,
            min_duration_s=min_duration_s,
            max_duration_s=max_duration_s,
        ),
        hypothesis=hypothesis,
        coverage=coverage,
        holdout=holdout,
        namespace=None if namespace is None else Namespace.parse(namespace),
        audience=tuple(Condition.parse(text) for text in audience or ()),
    )
    made = verbs(ctx).experiments.draft(design)
    done(made, f"{made.key} is drafted; `palio experiments start {key}` runs it", as_json=as_json)


@app.command("list")
def list_experiments(
    ctx: typer.Context,
    endpoint: Annotated[str | None, typer.Option(help="Only this endpoint's.")] = None,
    as_json: AsJson = False,
) -> None:
    """List experiments.

    [dim]palio experiments list[/dim]
    """
    found = verbs(ctx).experiments.list(endpoint)
    rows = [(e.key, e.endpoint, e.state, _split(e), moment(e.started_at), e.winner) for e in found]
    columns = ("experiment", "endpoint", "state", "split", "started", "winner")
    listing(found, columns, rows, as_json=as_json, empty="no experiments yet")


@app.command()
def show(ctx: typer.Context, key: Key, as_json: AsJson = False) -> None:
    """Show a design and where it stands.

    [dim]palio experiments show credit-ab[/dim]
    """
    found = verbs(ctx).experiments.get(key)
    design = found.design
    describe(
        found,
        [
            ("experiment", found.key),
            ("state", found.state),
            ("endpoint", found.endpoint),
            ("hypothesis", design.hypothesis),
            ("split", _split(found)),
            ("coverage", f"{design.coverage:.0%}"),
            ("holdout", f"{design.holdout:.0%}"),
            ("namespace", design.namespace or ""),
            ("audience", ", ".join(map(str, design.audience))),
            ("goal", design.metrics.goal),
            ("secondary", ", ".join(design.metrics.secondary)),
            ("guardrails", ", ".join(design.metrics.guardrails)),
            *declared(design),
            ("started", moment(found.started_at)),
            ("champion then", found.champion),
            ("winner", found.winner),
            ("chosen", found.chosen),
        ],
        as_json=as_json,
    )


@app.command()
def start(ctx: typer.Context, key: Key, as_json: AsJson = False) -> None:
    """Freeze the design and split the traffic.

    [dim]palio experiments start credit-ab[/dim]
    """
    made = verbs(ctx).experiments.start(key)
    done(made, f"{key} is running on {made.endpoint}: {_split(made)}", as_json=as_json)


@app.command()
def pause(ctx: typer.Context, key: Key, reason: Reason = "", as_json: AsJson = False) -> None:
    """Route nobody for now.

    [dim]palio experiments pause credit-ab --reason "data outage"[/dim]
    """
    made = verbs(ctx).experiments.pause(key, reason)
    done(made, f"{key} is paused; the champion serves", as_json=as_json)


@app.command()
def resume(ctx: typer.Context, key: Key, as_json: AsJson = False) -> None:
    """Route again after a pause.

    [dim]palio experiments resume credit-ab[/dim]
    """
    made = verbs(ctx).experiments.resume(key)
    done(made, f"{key} is running again on {made.endpoint}", as_json=as_json)


@app.command()
def stop(
    ctx: typer.Context,
    key: Key,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")],
    as_json: AsJson = False,
) -> None:
    """End it without a decision; production stays as it is.

    [dim]palio experiments stop credit-ab --reason "wrong segment"[/dim]
    """
    made = verbs(ctx).experiments.stop(key, reason)
    done(made, f"{key} is stopped; production stays as it is", as_json=as_json)


@app.command()
def assignments(
    ctx: typer.Context,
    key: Key,
    of: Annotated[str | None, typer.Option(help="The unit that is asked for.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 1_000,
    as_json: AsJson = False,
) -> None:
    """List the variants that units of a sticky experiment keep.

    [dim]palio experiments assignments credit-ab --of user-42[/dim]
    """
    found = verbs(ctx).experiments.assignments(key, of, limit)
    rows = [(one.unit, one.variant, one.epoch, moment(one.at)) for one in found]
    columns = ("unit", "variant", "epoch", "since")
    listing(found, columns, rows, as_json=as_json, empty="no unit keeps a variant")


@app.command()
def complete(
    ctx: typer.Context,
    key: Key,
    reason: Reason = "",
    chosen: Annotated[
        str | None, typer.Option(help="The variant that people take for the better one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """End it with the decision it has; production stays as it is.

    [dim]palio experiments complete credit-ab --chosen control[/dim]
    """
    made = verbs(ctx).experiments.complete(key, reason, chosen)
    done(made, f"{key} is completed; production stays as it is", as_json=as_json)


@app.command()
def ship(
    ctx: typer.Context,
    key: Key,
    reason: Reason = "",
    force: Annotated[
        bool, typer.Option("--force", help="Ship what the evidence does not say; needs --reason.")
    ] = False,
    variant: Annotated[
        str | None, typer.Option(help="Which of several challengers is forced.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the winner production, if there is one; audited where it is forced.

    [dim]palio experiments ship credit-ab[/dim]
    """
    made = verbs(ctx).experiments.ship(key, reason, variant=variant, force=force)
    shipped = made.variant(made.winner).version if made.winner else ""
    done(made, f"{made.model}:{shipped} ({made.winner}) is production", as_json=as_json)


@app.command()
def rollback(ctx: typer.Context, key: Key, reason: Reason = "", as_json: AsJson = False) -> None:
    """End it with its control or, once shipped, take production one step back.

    [dim]palio experiments rollback credit-ab --reason "complaints"[/dim]
    """
    made = verbs(ctx).experiments.rollback(key, reason)
    served = "production is one step back" if made.winner else "the champion serves everybody"
    done(made, f"{key} is rolled back; {served}", as_json=as_json)


@app.command()
def analyze(ctx: typer.Context, key: Key, as_json: AsJson = False) -> None:
    """Say what the evidence shows and what should be done; as often as you like.

    [dim]palio experiments analyze credit-ab[/dim]
    """
    report = verbs(ctx).experiments.analyze(key)
    if as_json:
        print_json(report)
        return
    _print_report(report)


@app.command()
def explore(
    ctx: typer.Context,
    key: Key,
    metric: Annotated[
        list[str], typer.Option(help="Outcome that no design named, as stars:higher. Repeatable.")
    ],
    as_json: AsJson = False,
) -> None:
    """Compare on metrics that the design does not name; this describes and decides nothing.

    [dim]palio experiments explore credit-ab --metric stars:higher[/dim]
    """
    found = verbs(ctx).experiments.explore(key, metric)
    listing(found, _CONTRAST_COLUMNS, _contrasts(found), as_json=as_json)


@app.command()
def verify(ctx: typer.Context, key: Key, as_json: AsJson = False) -> None:
    """Recompute the statistics from the events and compare; exit code 1 if they differ.

    [dim]palio experiments verify credit-ab[/dim]
    """
    checked = verbs(ctx).experiments.verify(key)
    line = f"{checked.compared} figures at {checked.watermark} equal a recomputation"
    if checked.differences:
        line = "\n".join(checked.differences)
    done(checked, checked.note or line, as_json=as_json)
    if checked.differences:
        raise typer.Exit(1)


@app.command()
def rebuild(
    ctx: typer.Context,
    key: Key,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")],
    as_json: AsJson = False,
) -> None:
    """Throw the folded statistics away, and fold the events again.

    [dim]palio experiments rebuild credit-ab --reason "verify found differences"[/dim]
    """
    checked = verbs(ctx).experiments.rebuild(key, reason)
    line = f"{key} is built anew: {checked.compared} figures at {checked.watermark}"
    done(checked, line, as_json=as_json)


def _print_report(report: Report) -> None:
    typer.echo(f"{report.decision.kind}: {'; '.join(report.decision.reasons)}\n")
    arms = [
        (a.variant, a.version, f"{a.weight:.0%}", a.units, a.requests, a.errors, a.labelled)
        for a in report.arms
    ]
    listing(report.arms, _ARM_COLUMNS, arms, as_json=False)
    typer.echo("")
    listing(report.contrasts, _CONTRAST_COLUMNS, _contrasts(report.contrasts), as_json=False)
    _print_beside(report)
    share = "" if report.progress is None else f"{report.progress:.0%} of the horizon, "
    ratio = "MISMATCH" if report.sample_ratio.mismatch else "as designed"
    p_value = f"{report.sample_ratio.p_value:.3g}"
    typer.echo(f"\n{share}split {ratio} (p {p_value}), events up to {report.watermark}")
    _print_weaker(report)


def _print_beside(report: Report) -> None:
    """Print what is reported beside the contrasts that decide."""
    beside = [*report.by_segment.items()]
    if report.unadjusted:
        beside.append(("without covariates", report.unadjusted))
    for words, contrasts in beside:
        typer.echo(f"\n{words}")
        listing(contrasts, _CONTRAST_COLUMNS, _contrasts(contrasts), as_json=False)
    told = [*report.contrasts, *(row for _, contrasts in beside for row in contrasts)]
    for note in dict.fromkeys(row.note for row in told if row.note):
        typer.echo(f"- {note}")


def _print_weaker(report: Report) -> None:
    """Print what decides nothing: missing values, and what was told of variants as a whole."""
    if report.label_share is not None and report.label_share.differs:
        typer.echo(f"warning: {report.label_share.reason}")
    for arm in report.arms:
        if arm.overdue:
            typer.echo(f"{arm.variant}: {arm.overdue} outcomes came after their window")
        for name, told in arm.reported.items():
            line = (
                f"{name} reported for {arm.variant} as a whole: mean {told.mean:.4g} of {told.n}"
            )
            typer.echo(f"{line} (weaker evidence, decides nothing)")


_ARM_COLUMNS = ("variant", "version", "weight", "units", "requests", "errors", "labelled")
_CONTRAST_COLUMNS = (
    "metric",
    "role",
    "variant",
    "effect",
    "always valid",
    "p",
    "verdict",
    "one look",
    "chance to beat",
)


def _contrasts(rows: Iterable[Contrast]) -> list[tuple[object, ...]]:
    return [
        (
            row.metric,
            row.role,
            row.variant,
            number(row.effect),
            _interval(row.lower, row.upper),
            f"{row.p_value:.3g}",
            row.verdict,
            _interval(row.fixed.lower, row.fixed.upper) if row.fixed else "",
            "" if row.chance_to_beat is None else f"{row.chance_to_beat:.1%}",
        )
        for row in rows
    ]


def _interval(lower: float | None, upper: float | None) -> str:
    return "" if lower is None or upper is None else f"{lower:+.4g} to {upper:+.4g}"


def _split(experiment: Experiment) -> str:
    return ", ".join(
        f"{variant.key}={variant.version}:{experiment.weights[variant.key]:.4g}"
        for variant in experiment.design.variants
    )


def _variant(text: str) -> Variant:
    key, _, rest = text.partition("=")
    version, _, weight = rest.rpartition(":")
    try:
        return Variant(key, version, float(weight))
    except ValueError:
        raise InvalidInput(
            f"variant {text!r} is not of the form key=version:weight, as in challenger=v2:0.5",
            field="variant",
            value=text,
        ) from None
