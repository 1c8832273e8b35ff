"""``palio models sign`` and ``verify``: who vouches for the files of a version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palio.cli.evidence import read_file, read_private, write_new
from palio.cli.models import Reference
from palio.cli.output import AsJson, done, listing, moment
from palio.cli.session import opened
from palio.edge.session import Session
from palio.errors import CorruptArtifact, InvalidInput, TooLarge
from palio.registry.domain import Attestation
from palio.registry.signing.attestation import Verdict
from palio.registry.signing.bundle import BUNDLE_LIMIT_BYTES

__all__ = ["app"]

app = typer.Typer()


@app.command()
def sign(
    ctx: typer.Context,
    reference: Reference,
    key: Annotated[Path | None, typer.Option(help="Your private key, PEM.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="A signature that model_signing wrote, instead of a key.")
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="PALIO_SIGNING_PASSWORD",
            help="Of the key; by the variable, so that no list of processes shows it.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the signature here too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sign the files of a version, for everybody to verify with your public key.

    Key and files stay where they are; the form is that of OpenSSF Model Signing. A key pair:

    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out private.pem

    openssl pkey -in private.pem -pubout -out public.pem

    [dim]palio models sign credit-risk:v2 --key private.pem[/dim]
    """
    if (key is None) is (bundle is None):
        raise InvalidInput(
            "give either --key with your private key, or --bundle with a signature that "
            "model_signing wrote; keyless signing needs a network, and is not offered",
            field="key",
        )
    if out is not None and out.exists():
        write_new(out, b"", "out")  # says that it is taken, before anything is signed
    made = _made(opened(ctx), reference, key, bundle, password)
    if out is not None:
        write_new(out, made.bundle.encode(), "out")
    line = f"{made.model}:{made.version} is signed by the key {made.key_id}"
    done(made, line, as_json=as_json)


@app.command()
def verify(
    ctx: typer.Context,
    reference: Reference,
    key: Annotated[
        list[Path] | None,
        typer.Option(help="A public key, PEM; repeatable. PALIO_SIGNING_KEYS when not given."),
    ] = None,
    files: Annotated[
        bool, typer.Option("--files", help="Compare every byte with what was registered, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the signatures over a version; exit code 1 if none holds.

    A signature is over the registered digests. Every load compares the files with these; here
    [bold]--files[/bold] does.

    [dim]palio models verify credit-risk@champion --key public.pem[/dim]
    """
    keys = {str(path): read_file(path, "key") for path in key} if key else None
    session = opened(ctx)
    found = session.verify(reference, keys)
    if files:
        _compare(session, reference)
    listing(
        found,
        ("#", "holds", "key", "handed in", "by", "why not"),
        [_row(one) for one in found],
        as_json=as_json,
        empty=f"{reference} is not signed",
    )
    if not any(one.holds for one in found):
        raise typer.Exit(1)


def _made(
    session: Session, reference: str, key: Path | None, bundle: Path | None, password: str | None
) -> Attestation:
    if key is not None:
        return session.sign(reference, read_private(key), password=password)
    return session.verbs.versions.attest(reference, _text(bundle or Path()))


def _compare(session: Session, reference: str) -> None:
    found = session.verbs.artifacts.verify(reference)
    if found.differences:
        listed = "; ".join(f"{one.file}: {one.why}" for one in found.differences)
        raise CorruptArtifact(
            f"{found.version} is not what was registered, and signed: {listed}; restore the files "
            "from a backup, or register the model again under a new version",
            version=found.version,
            files=[one.file for one in found.differences],
        )


def _text(path: Path) -> str:
    if path.is_file() and path.stat().st_size > BUNDLE_LIMIT_BYTES:
        raise TooLarge(
            f"bundle: {path} has {path.stat().st_size} bytes, and a signature at most "
            f"{BUNDLE_LIMIT_BYTES}; give the file that model_signing wrote",
            limit=BUNDLE_LIMIT_BYTES,
        )
    return read_file(path, "bundle").decode("utf-8", "replace")


def _row(verdict: Verdict) -> tuple[object, ...]:
    one = verdict.attestation
    holds = "yes" if verdict.holds else "no"
    return one.seq, holds, one.key_id, moment(one.at), one.actor, verdict.problem
