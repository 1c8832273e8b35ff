"""The Python face: the object that `palio.connect` returns, in process and over HTTP alike."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from palio.access.service import Audit, Keys
from palio.delivery.domain import Answer, PredictRequest
from palio.delivery.service import Endpoints
from palio.edge.verbs import Verbs
from palio.errors import InvalidInput
from palio.experiments.outcomes import Outcomes
from palio.experiments.service import Experiments
from palio.ports import Clock
from palio.registry.domain import Version, VersionDraft
from palio.registry.lifecycles import Lifecycles
from palio.registry.service import Models
from palio.registry.signature import Signature

if TYPE_CHECKING:
    from palio.artifacts.policy import Trust
    from palio.training.train import Trained

__all__ = ["Draft", "Palio", "version_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A model that was trained and is not yet a version."""

    model: str
    version: str
    description: str
    trained: Trained


@dataclass(frozen=True, slots=True, kw_only=True)
class Palio:
    """Everything Palio does, in process or over HTTP: the nouns with their verbs, and predict.

    Close it when done, or use it in a ``with`` statement.
    """

    verbs: Verbs
    _predict: Callable[[PredictRequest], Answer]
    _closing: Callable[[], None]
    _trust: Trust
    _clock: Clock

    @property
    def models(self) -> Models:
        """Models, versions, stages and aliases."""
        return self.verbs.models

    @property
    def lifecycles(self) -> Lifecycles:
        """The stages that versions pass through, as data."""
        return self.verbs.lifecycles

    @property
    def endpoints(self) -> Endpoints:
        """Stable addresses that clients call."""
        return self.verbs.endpoints

    @property
    def experiments(self) -> Experiments:
        """Experiments, from the draft to the decision."""
        return self.verbs.experiments

    @property
    def outcomes(self) -> Outcomes:
        """What became known later."""
        return self.verbs.outcomes

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
        metrics: Mapping[str, float] | None = None,
        training: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        files: Mapping[str, bytes] | None = None,
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
            Rows like those it was fitted on, to infer the signature from.
        target
            Labels of the sample, where the model does not keep its classes.
        signature
            The signature itself, instead of a sample.
        flavor
            How it is saved, such as ``pickled``; recognised when not given.
        preprocessor
            A fitted transformer that runs before the model, or the ``Path`` of its file.
        metrics, training, tags, description
            What is known of it.
        files
            More files to keep with it, bytes by relative path.

        Returns
        -------
        Version
            As registered.
        """
        from palio.artifacts.loader import flavor_of, infer_signature, package

        trust = self._trust
        chosen = flavor_of(estimator, flavor, trust)
        if signature is None:
            signature = infer_signature(
                estimator, chosen, sample, target, preprocessor=preprocessor, trust=trust
            )
        with tempfile.TemporaryDirectory(prefix="palio-package-") as folder:
            package(
                estimator,
                Path(folder),
                signature,
                flavor=chosen,
                preprocessor=preprocessor,
                trust=trust,
            )
            for path, content in (files or {}).items():
                target = _inside(Path(folder), path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            draft = VersionDraft(
                version=version or version_of(self._clock()),
                flavor=chosen.name,
                signature=signature,
                metrics=metrics or {},
                training=training or {},
                tags=tags or {},
                description=description,
            )
            return self.models.register(model, draft, Path(folder))

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
        """
        return self._predict(
            PredictRequest(
                endpoint=endpoint,
                rows=list(rows),
                unit=unit,
                request_id=request_id,
                version=version,
            )
        )

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


def _inside(folder: Path, path: str) -> Path:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise InvalidInput(
            f"{path!r} leaves the version's folder; give a relative path",
            field="files",
            value=path,
        )
    return folder / path
