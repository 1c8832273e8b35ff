"""The signature of a model whose files come without one: the model is loaded, and asked."""

from __future__ import annotations

from collections.abc import Mapping

from palio.artifacts.flavors import Flavor, Safety, SelfDescribing
from palio.artifacts.loader import predictor
from palio.artifacts.policy import Trust
from palio.artifacts.preprocessing import parted, restored
from palio.registry.signature import Signature

__all__ = ["signature_asked"]

_WHAT = "the model"


def signature_asked(files: Mapping[str, bytes], flavor: Flavor, trust: Trust) -> Signature | None:
    """Return what a model takes and gives, as its files or the fitted object itself say.

    Parameters
    ----------
    files
        Bytes by path, with those of a preprocessor if one runs first: then the features are the
        preprocessor's, and the answer is the model's.
    flavor
        How they become a model.
    trust
        What may be made an object in this process.

    Returns
    -------
    Signature or None
        ``None`` for files that are kept only.

    Raises
    ------
    UntrustedArtifact
        If loading runs code that this process does not allow, before any is run.
    InvalidInput
        If the files are no model, or do not say what it takes.
    """
    if flavor.safety is Safety.KEPT:
        return None
    trust.check(flavor, _WHAT)
    own, first = parted(files)
    found = _of_model(own, flavor)
    for path, content in first.items():
        found = _behind(restored(path, content, trust, what=_WHAT), found)
    predictor(files, found, flavor, trust, what=_WHAT)  # refuses what does not fit together
    return found


def _of_model(files: Mapping[str, bytes], flavor: Flavor) -> Signature:
    from palio.artifacts.flavors.sklearn.fitted import signature_of  # noqa: PLC0415  seldom

    if isinstance(flavor, SelfDescribing):
        return flavor.declared(files)
    return signature_of(flavor.restore(files))


def _behind(transformer: object, model: Signature) -> Signature:
    from palio.artifacts.flavors.sklearn.fitted import features_of  # noqa: PLC0415  seldom

    return Signature(features=features_of(transformer), task=model.task, classes=model.classes)
