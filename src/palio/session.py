"""The Python face: the object that `palio.connect` returns, in process and over HTTP alike."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from palio.access.alerts import Alerts
from palio.access.service import Audit, Keys
from palio.delivery.deployments.service import Deployments
from palio.delivery.domain import Answer, PredictRequest
from palio.delivery.service import Endpoints
from palio.edge.verbs import Verbs
from palio.errors import InvalidInput
from palio.experiments.designs.audience import Attributes
from palio.experiments.outcomes import Outcomes
from palio.experiments.privacy.units import Units
from palio.experiments.service import Experiments
from palio.ports import Clock
from palio.registry.artifacts import Artifacts
from palio.registry.domain import Attestation, Version, VersionDraft
from palio.registry.ensembles.spec import ENSEMBLE, Combine, Ensemble, OnMemberError
from palio.registry.lifecycles import Lifecycles
from palio.registry.paths import Paths
from palio.registry.ports import Loader, Predictor, TrustedKey
from palio.registry.service import Models
from palio.registry.signature import Predictions, Signature
from palio.registry.signing.attestation import Verdict, verdicts
from palio.registry.versions import Versions

if TYPE_CHECKING:
    from palio.artifacts.policy import Trust
    from palio.training.train import Trained

__all__ = ["Draft", "Loaded", "Palio", "version_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A model that was trained and is not yet a version."""

    model: str
    version: str
    description: str
    trained: Trained


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version in this process. May be asked from several threads."""

    version: Version
    _predictor: Predictor

    def predict(self, rows: Sequence[object]) -> Predictions:
        """Answer rows, objects by feature name or arrays in feature order; nothing is recorded.

        Raises
        ------
        InvalidRows
            Naming row and field, if a row does not fit the version's signature.
        """
        signature = cast("Signature", self.version.signature)  # what is loaded has one
        return self._predictor.predict(signature.table(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Palio:
    """Everything Palio does, in process or over HTTP: the nouns with their verbs, and predict.

    Close it when done, or use it in a ``with`` statement.
    """

    verbs: Verbs
    _predict: Callable[[PredictRequest], Answer]
    _closing: Callable[[], None]
    _loader: Loader
    _keys: Mapping[str, TrustedKey]
    _trust: Trust
    _clock: Clock

    @property
    def models(self) -> Models:
        """Models and their aliases."""
        return self.verbs.models

    @property
    def versions(self) -> Versions:
        """Versions, from their registration to the last of their files."""
        return self.verbs.versions

    @property
    def lifecycles(self) -> Lifecycles:
        """The stages that versions pass through, as data."""
        return self.verbs.lifecycles

    @property
    def artifacts(self) -> Artifacts:
        """The files of versions: compared, and tidied."""
        return self.verbs.artifacts

    @property
    def endpoints(self) -> Endpoints:
        """Stable addresses that clients call."""
        return self.verbs.endpoints

    @property
    def deployments(self) -> Deployments:
        """Versions placed behind endpoints, watched, and taken back where they fail."""
        return self.verbs.deployments

    @property
    def experiments(self) -> Experiments:
        """Experiments, from the draft to the decision."""
        return self.verbs.experiments

    @property
    def outcomes(self) -> Outcomes:
        """What became known later."""
        return self.verbs.outcomes

    @property
    def units(self) -> Units:
        """What is kept of units, and its end."""
        return self.verbs.units

    @property
    def alerts(self) -> Alerts:
        """What people were told."""
        return self.verbs.alerts

    @property
    def keys(self) -> Keys:
        """API keys."""
        return self.verbs.keys

    @property
    def audit(self) -> Audit:
        """The audit log."""
        return self.verbs.audit

    def register(
        self,
        model: str,
        estimator: Any,
        *,
        version: str | None = None,
        sample: Any = None,
        target: Any = None,
        signature: Signature | None = None,
        flavor: str | None = None,
        preprocessor: Any = None,
        type: str = "",  # noqa: A002 - the word of the record
        framework: str | None = None,
        architecture: str = "",
        dataset_version: str = "",
        metrics: Mapping[str, float] | None = None,
        backtest: Mapping[str, float] | None = None,
        training: Mapping[str, Any] | None = None,
        policy: Mapping[str, Any] | None = None,
        parent: str | None = None,
        source: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        external_ref: str = "",
        card: str = "",
        files: Mapping[str, bytes] | None = None,
        unpack: bool = False,
    ) -> Version:
        """Save a model object and register it as a version.

        Parameters
        ----------
        model
            Name of the model; created when it does not exist.
        estimator
            The fitted object, a function, or the ``Path`` of a file or folder with a model. Files
            that hold code are not run here unless ``PALIO_ALLOW_PICKLE`` is true.
        version
            Name of the version; made from the UTC time when not given.
        sample
            Rows like those it was fitted on, to infer the signature from; or the ``Path`` of a
            CSV or Parquet file with them.
        target
            Labels of the sample, where the model does not keep its classes; or the name of their
            column in such a file.
        signature
            The signature itself, instead of a sample.
        flavor
            How it is saved, such as ``pickled``; recognised when not given.
        preprocessor
            A fitted transformer that runs before the model, or the ``Path`` of its file.
        type, architecture, dataset_version, metrics, backtest, training, policy, source, tags
            What is known of it, as ``VersionDraft`` describes it.
        framework
            What made it; the library of the object and its version when not given.
        parent
            The version that it was made from, by name or by alias.
        description, external_ref, card
            More of what is known, which like the tags may be edited later.
        files
            More files to keep with it, bytes by relative path.
        unpack
            Whether ``estimator`` is the ``Path`` of an archive (``.zip``, ``.tar``, ``.tar.gz``,
            ``.tar.bz2``, ``.tar.xz``) whose members are the model's files.

        Returns
        -------
        Version
            As registered.
        """
        from palio.artifacts.archives import unpacked
        from palio.artifacts.framework import framework_of
        from palio.artifacts.loader import flavor_of, infer_signature, package

        trust = self._trust
        with ExitStack() as held:
            if unpack:
                estimator = held.enter_context(unpacked(Path(estimator)))
            chosen = flavor_of(estimator, flavor, trust)
            if signature is None:
                signature = infer_signature(
                    estimator,
                    chosen,
                    *_sampled(sample, target),
                    preprocessor=preprocessor,
                    trust=trust,
                )
            draft = VersionDraft(
                version=version or version_of(self._clock()),
                flavor=chosen.name,
                signature=signature,
                type=type,
                framework=framework_of(estimator) if framework is None else framework,
                architecture=architecture,
                dataset_version=dataset_version,
                metrics=metrics or {},
                backtest=backtest or {},
                training=training or {},
                policy=policy,
                parent=parent,
                source=source or {},
                tags=tags or {},
                description=description,
                external_ref=external_ref,
                card=card,
            )
            saved = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="palio-package-")))
            own = package(
                estimator,
                saved,
                signature,
                flavor=chosen,
                preprocessor=preprocessor,
                trust=trust,
            )
            return self.versions.register(model, draft, own | _written(files or {}, own, held))

    def combine(
        self,
        model: str,
        members: Sequence[str],
        *,
        version: str | None = None,
        combine: str,
        weights: Sequence[float] | None = None,
        on_member_error: str = "fail",
        min_members: int | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
    ) -> Version:
        """Register an ensemble of other versions as a version.

        Parameters
        ----------
        model
            Name of the model; created when it does not exist.
        members
            2 to 32 versions as ``name:version``, which take the same rows.
        version
            Name of the version; made from the UTC time when not given.
        combine
            How their answers become one: ``mean``, ``weighted_mean``, ``median``, ``soft_vote``
            or ``hard_vote``.
        weights, on_member_error, min_members
            How much each counts, and what happens when one fails, as ``Ensemble`` describes it.
        metrics, tags, description
            What is known of it, as ``VersionDraft`` describes it; ``versions.combine`` takes
            more.

        Returns
        -------
        Version
            As registered.
        """
        ensemble = Ensemble(
            members=cast("tuple[str, ...]", members),
            combine=cast("Combine", combine),  # it checks the words itself
            weights=None if weights is None else tuple(weights),
            on_member_error=cast("OnMemberError", on_member_error),
            min_members=min_members,
        )
        draft = VersionDraft(
            version=version or version_of(self._clock()),
            flavor=ENSEMBLE,
            metrics=metrics or {},
            tags=tags or {},
            description=description,
        )
        return self.versions.combine(model, draft, ensemble)

    def train(
        self,
        data: str | Path,
        *,
        target: str,
        model: str,
        version: str | None = None,
        estimator: str = "logistic",
        seed: int = 0,
        test_share: float = 0.25,
        drop: Sequence[str] = (),
        description: str = "",
        on_step: Callable[[str], None] = lambda _: None,
    ) -> Draft:
        """Fit a classifier on a table and measure it on rows held out; nothing is registered.

        Parameters
        ----------
        data
            A CSV or Parquet file.
        target
            The column to predict.
        model, version
            What it will be registered as; a version is made from the UTC time when not given.
        estimator
            ``logistic``, ``gradient-boosting`` or ``module:callable``.
        seed, test_share, drop
            Seed of the split and the fit, share of rows held out, columns left out.
        description
            Free text.
        on_step
            Called with a few words before every step.

        Returns
        -------
        Draft
            The fitted model with all that was measured; ``submit`` registers it.
        """
        from palio.training.table import read_table
        from palio.training.train import train

        if ":" in estimator:
            sys.path.insert(0, str(Path.cwd()))  # the user's own module, named by the user
        on_step(f"reading {data}")
        trained = train(
            read_table(data),
            target=target,
            estimator=estimator,
            seed=seed,
            test_share=test_share,
            drop=drop,
            on_step=on_step,
        )
        name = version or version_of(self._clock())
        return Draft(model=model, version=name, description=description, trained=trained)

    def submit(self, draft: Draft) -> Version:
        """Register what was trained, with its record, metrics and plots."""
        trained = draft.trained
        return self.register(
            draft.model,
            trained.model,
            version=draft.version,
            signature=trained.signature,
            type=str(trained.signature.task),
            architecture=trained.record["estimator"],
            dataset_version=f"sha256:{trained.record['fingerprint']}",
            metrics=trained.metrics,
            training=trained.record,
            description=draft.description,
            files={f"plots/{name}.png": image for name, image in trained.plots.items()},
        )

    def predict(
        self,
        endpoint: str,
        rows: Sequence[object],
        *,
        unit: str | None = None,
        request_id: str | None = None,
        version: str | None = None,
        attributes: Attributes | None = None,
        variant: str | None = None,
    ) -> Answer:
        """Answer rows by the version that the endpoint's route chooses for the unit.

        Parameters
        ----------
        endpoint
            Which endpoint.
        rows
            Objects by feature name, or arrays in feature order.
        unit
            What is randomised; the request itself when not given.
        request_id
            To name the request in outcomes later; made when not given.
        version
            Ask for one version by name, outside of any experiment.
        attributes
            What is known of the unit, for the audience of experiments.
        variant
            Ask for one variant of what runs here, to try it; it is no evidence.
        """
        return self._predict(
            PredictRequest(
                endpoint=endpoint,
                rows=list(rows),
                unit=unit,
                request_id=request_id,
                version=version,
                attributes=attributes,
                variant=variant,
            )
        )

    def load(self, reference: str) -> Loaded:
        """Make a version a model in this process, wherever its files lie.

        Parameters
        ----------
        reference
            Which version, as in ``credit@champion``.

        Raises
        ------
        CorruptArtifact
            Before any byte is interpreted, if a file differs from what was registered.
        UntrustedArtifact
            If loading it runs code and this process does not allow that, or if it lacks a
            signature that this process demands.
        """
        version = self.versions.get(reference)
        return Loaded(version, self._loader.load(version))

    def download(self, reference: str, folder: str | Path) -> Version:
        """Write the files of a version into a folder that is not there yet, or is empty.

        Every file is compared with what was registered; if one differs, nothing is left.
        """
        from palio.artifacts.fetched import download

        version = self.versions.get(reference)
        download(version, Path(folder), self.versions.fetch)
        return version

    def sign(self, reference: str, private: bytes, *, password: str | None = None) -> Attestation:
        """Sign the files of a version in this process, and hand the signature in.

        Neither the private key nor the files travel: what is signed are the registered digests.

        Parameters
        ----------
        reference
            Which version.
        private
            A private key on the curve P-256, P-384 or P-521, as PEM.
        password
            Of the key, if it has one.
        """
        from palio.artifacts.signing import sign

        version = self.versions.get(reference)
        bundle = sign(version, private, password=password)
        return self.versions.attest(version.reference, bundle)

    def verify(self, reference: str, keys: Mapping[str, bytes] | None = None) -> Sequence[Verdict]:
        """Check the signatures over a version in this process; no word of a server is taken.

        Parameters
        ----------
        reference
            Which version.
        keys
            Public keys as PEM, each under the name that a message gives it; those of
            ``PALIO_SIGNING_KEYS`` when not given.

        Returns
        -------
        sequence of Verdict
            One for each signature, oldest first.
        """
        from palio.artifacts.signing import trusted_keys

        trusted = self._keys if keys is None else trusted_keys(keys.items())
        if not trusted:
            raise InvalidInput(
                "there is no public key to verify with; give one with --key, or name those you "
                "trust in PALIO_SIGNING_KEYS",
                field="keys",
            )
        version = self.versions.get(reference)
        return verdicts(trusted, version, self.versions.attestations(version.reference))

    def close(self) -> None:
        """Give all connections back."""
        self._closing()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def version_of(now: datetime) -> str:
    """Return the name of a version made at a moment, as in ``20261121T093015Z``."""
    return now.strftime("%Y%m%dT%H%M%SZ")


def _sampled(sample: Any, target: Any) -> tuple[Any, Any]:
    """Return rows and labels, read from a table where a sample is the path of one."""
    if not isinstance(sample, Path):
        return sample, target
    from palio.training.table import read_table

    frame = read_table(sample)
    if not isinstance(target, str):
        return frame, target
    if target not in frame.columns:
        raise InvalidInput(
            f"target: {sample} has no column {target!r}; it has {', '.join(frame.columns)}",
            field="target",
            value=target,
        )
    return frame.drop(target), frame[target]


def _written(
    files: Mapping[str, bytes], own: Mapping[str, Path], held: ExitStack
) -> dict[str, Path]:
    if taken := sorted(own.keys() & files.keys()):
        raise InvalidInput(
            f"files: {', '.join(taken)} is the model's own; give it another name",
            field="files",
            value=taken,
        )
    folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="palio-package-")))
    paths, written = Paths("files"), {}
    for name, content in files.items():
        target = folder / paths.add(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        written[name] = target
    return written
