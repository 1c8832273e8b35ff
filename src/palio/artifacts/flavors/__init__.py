"""How models of one library are saved, recognised and loaded: one folder a library.

Libraries that do not come with Palio are imported by :func:`needed` when a model is saved or
loaded, so that asking every flavor costs nothing and a missing one is an error with a remedy.
"""

from __future__ import annotations

import enum
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from palio.errors import InvalidInput, MissingExtra
from palio.registry.domain import RESERVED_FILES
from palio.registry.ports import Predictor
from palio.registry.signature import Signature

__all__ = [
    "FLAVORS",
    "HEAD_BYTES",
    "PREPROCESSOR",
    "Flavor",
    "Movable",
    "Safety",
    "SelfDescribing",
    "model_file",
    "named",
    "needed",
    "recognise",
    "recognise_files",
]

HEAD_BYTES = 4_096
"""How much of a file's beginning a flavor sees when it is asked whether the file is its own."""

PREPROCESSOR = "preprocessor."
"""How the name of a file begins whose transformer runs before the model; never a model's own."""


class Safety(enum.StrEnum):
    """What loading the files of a flavor can do."""

    SAFE = "safe"  # data only: nothing in the files can name code
    CHECKED = "checked"  # the files name types; each is compared with an exact list first
    CODE = "code"  # loading runs what the files say: only where PALIO_ALLOW_PICKLE=true
    KEPT = "kept"  # never loaded: bytes for people and other programs


class Flavor(Protocol):
    """One library's way from a model in memory to files and back. Safe to share.

    Made from ``trusted_types``, exact names that flavors of safety ``checked`` allow beside their
    own; others ignore them. Its module imports a library of an extra by :func:`needed` only.
    """

    @property
    def name(self) -> str:
        """How versions refer to the flavor."""
        ...

    @property
    def safety(self) -> Safety:
        """What loading its files can do; the loader keeps ``code`` away from ``restore``."""
        ...

    def recognises(self, model: object) -> bool:
        """Tell whether an object is of this library, without importing the library.

        The names of the modules of ``type(model).__mro__`` say so: whoever holds an object of a
        library has imported it. Never raises.
        """
        ...

    def claims(self, name: str, head: bytes, /) -> bool:
        """Tell whether a file holds a model of this library, without reading it as one.

        Parameters
        ----------
        name
            The file's name without folders.
        head
            Its first :data:`HEAD_BYTES` bytes, or all of them.
        """
        ...

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> Signature:
        """Read feature names and types off a sample of inputs, and the answer off the model.

        Parameters
        ----------
        model
            An object that it recognises, or one that ``restore`` returned.
        sample
            Inputs as a frame or an array; ``palio.artifacts.flavors.samples`` reads it.
        target
            Labels of the sample, where the model does not keep its classes.
        """
        ...

    def save(self, model: object, folder: Path, signature: Signature) -> None:
        """Write the model as files into ``folder``; refuse what ``load`` would refuse."""
        ...

    def restore(self, files: Mapping[str, bytes]) -> object:
        """Make verified bytes an object again that ``infer_signature`` takes.

        The file is found by :func:`model_file`; a file of another origin keeps its own name.
        Raises ``UntrustedArtifact`` for types not allowed, ``InvalidInput`` for bytes it cannot
        read, ``MissingExtra`` where the library is not installed.
        """
        ...

    def load(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """Make verified bytes a predictor; raises as ``restore``, and if it does not fit."""
        ...


@runtime_checkable
class SelfDescribing(Protocol):
    """A flavor whose files tell their signature themselves, none of them run."""

    def declared(self, files: Mapping[str, bytes], target: Any = None) -> Signature:
        """Return it, or raise ``InvalidInput`` if these files do not tell one.

        Parameters
        ----------
        files
            Bytes by path.
        target
            Labels, where the files name no classes.
        """
        ...


@runtime_checkable
class Movable(Protocol):
    """A flavor whose models can compute elsewhere than on the CPU."""

    def on(self, device: str) -> Flavor:
        """Return the same flavor, which loads models onto a device; ``restore`` does not.

        Parameters
        ----------
        device
            ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        """
        ...


FLAVORS: Mapping[str, tuple[str, str]] = {
    "mlflow": ("palio.artifacts.flavors.mlflow", "MlflowFlavor"),
    "onnx": ("palio.artifacts.flavors.onnx", "OnnxFlavor"),
    "xgboost": ("palio.artifacts.flavors.xgboost", "XgboostFlavor"),
    "lightgbm": ("palio.artifacts.flavors.lightgbm", "LightgbmFlavor"),
    "keras": ("palio.artifacts.flavors.keras", "KerasFlavor"),
    "torch": ("palio.artifacts.flavors.torch", "TorchFlavor"),
    "sklearn": ("palio.artifacts.flavors.sklearn", "SklearnFlavor"),
    "callables": ("palio.artifacts.flavors.callables", "CallablesFlavor"),
    "pickled": ("palio.artifacts.flavors.pickled", "PickledFlavor"),
    "plain": ("palio.artifacts.flavors.plain", "PlainFlavor"),
}
"""Where each flavor is defined, module and class; the first that recognises a model has it.

Libraries come before ``sklearn``, whose base class some of them share; ``callables`` takes any
object that answers, and ``plain`` any file, so these come last.
"""


def named(name: str, trusted_types: Sequence[str] = ()) -> Flavor:
    """Return the flavor of that name; raise ``InvalidInput`` when there is none."""
    if name not in FLAVORS:
        raise InvalidInput(
            f"{name!r} is no flavor known here; known: {', '.join(FLAVORS)}",
            field="flavor",
            value=name,
        )
    module, class_name = FLAVORS[name]
    make = cast(
        "Callable[[Sequence[str]], Flavor]", getattr(importlib.import_module(module), class_name)
    )
    return make(trusted_types)


def recognise(model: object, trusted_types: Sequence[str] = ()) -> Flavor:
    """Return the flavor that can save an object, or load the file at a path.

    Parameters
    ----------
    model
        A model in memory, or the ``Path`` of a file or of a folder whose own files are looked at;
        none is read as a model here.
    trusted_types
        Exact names of types that the flavor allows beside its own.

    Raises
    ------
    InvalidInput
        Listing the known flavors, if none recognises it.
    """
    if isinstance(model, Path):
        return recognise_files(_own_files(model), trusted_types)
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    return _first(kind, trusted_types, lambda flavor: flavor.recognises(model))


def recognise_files(files: Mapping[str, Path], trusted_types: Sequence[str] = ()) -> Flavor:
    """Return the flavor that can load one of the files, given by path; none is read as a model.

    Raises
    ------
    InvalidInput
        Listing the known flavors, if none recognises any.
    """
    heads = [(name, _head(path)) for name, path in sorted(files.items()) if _is_own(name)]
    kind = f"file {', '.join(sorted(files))}"
    return _first(kind, trusted_types, lambda one: any(one.claims(*head) for head in heads))


def _first(kind: str, trusted_types: Sequence[str], takes: Callable[[Flavor], bool]) -> Flavor:
    for name in FLAVORS:
        if takes(flavor := named(name, trusted_types)):
            return flavor
    raise InvalidInput(
        f"a {kind} is no model of a known flavor; known: {', '.join(FLAVORS)}; give a fitted "
        "model of one of these",
        field="model",
        value=kind,
    )


def model_file(flavor: Flavor, files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return name and bytes of the one file of a version that the flavor claims.

    Files in folders, such as ``plots/roc.png``, are never models.

    Raises
    ------
    InvalidInput
        If no file is claimed, or several are.
    """
    claimed = [
        path
        for path, content in files.items()
        if "/" not in path and flavor.claims(path, content[:HEAD_BYTES])
    ]
    if len(claimed) == 1:
        return claimed[0], files[claimed[0]]
    if not claimed:
        raise _no_model(
            f"no model of flavor {flavor.name} is among the files "
            f"({', '.join(sorted(files)) or 'none'}); register a version that has one",
            files,
        )
    raise _no_model(
        f"{' and '.join(sorted(claimed))} could each be the model of flavor {flavor.name}; "
        "register a version with one of them",
        claimed,
    )


def _no_model(message: str, found: Iterable[str]) -> InvalidInput:
    return InvalidInput(message, field="model", value=sorted(found))


def needed(library: str, *, extra: str) -> Any:
    """Import a library that an extra brings.

    Raises
    ------
    MissingExtra
        Naming the extra, if it is not installed.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise MissingExtra(
            f"{library} is not installed; pip install 'palio[{extra}]'",
            extra=extra,
            library=library,
        ) from error


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            return opened.read(HEAD_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error


def _own_files(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        return {path.name: path}
    try:
        return {file.name: file for file in path.iterdir() if file.is_file()}
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InvalidInput:
    return InvalidInput(
        f"{path} cannot be read: {error.strerror}; give the path of a file, or of a folder",
        field="model",
        value=str(path),
    )


def _is_own(name: str) -> bool:
    """Tell whether a file may be the model: those in folders and of preprocessors are not."""
    return "/" not in name and not name.startswith(PREPROCESSOR) and name not in RESERVED_FILES
