"""The object that `palio.connect` returns: the nouns, and verbs that need this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from palio.delivery.domain import Answer, PredictRequest
from palio.experiments.designs.audience import Attributes
from palio.ports import Clock
from palio.registry.domain import Attestation, Version, VersionDraft
from palio.registry.ensembles.spec import ENSEMBLE, Combine, Ensemble, OnMemberError
from palio.registry.ports import Loader, TrustedKey
from palio.registry.signature import Signature
from palio.registry.signing.attestation import Verdict
from palio.session.loaded import Loaded
from palio.session.nouns import Nouns
from palio.session.registering import register
from palio.session.signing import sign, verify
from palio.session.training import Draft, fitted

if TYPE_CHECKING:
    from palio.artifacts.policy import Trust

__all__ = ["Palio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Palio(Nouns):
    """Everything Palio does, in process or over HTTP: the nouns with their verbs, and predict.

    Close it when done, or use it in a ``with`` statement.
    """

    _predict: Callable[[PredictRequest], Answer]
    _closing: Callable[[], None]
    _loader: Loader
    _keys: Mapping[str, TrustedKey]
    _trust: Trust
    _clock: Clock

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
        described = partial(
            VersionDraft,
            version=version or _version_of(self._clock()),
            type=type,
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
        return register(
            self.versions,
            model,
            estimator,
            described=described,
            signature=signature,
            sample=sample,
            target=target,
            flavor=flavor,
            preprocessor=preprocessor,
            framework=framework,
            files=files or {},
            unpack=unpack,
            trust=self._trust,
        )

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
            version=version or _version_of(self._clock()),
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
        trained = fitted(
            data,
            target=target,
            estimator=estimator,
            seed=seed,
            test_share=test_share,
            drop=drop,
            on_step=on_step,
        )
        name = version or _version_of(self._clock())
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
        return sign(self.versions, reference, private, password=password)

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
        return verify(self.versions, reference, keys=keys, own=self._keys)

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


def _version_of(now: datetime) -> str:
    """Return the name of a version made at a moment, as in ``20261121T093015Z``."""
    return now.strftime("%Y%m%dT%H%M%SZ")
