"""Saving and loading networks of PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from palio.artifacts.flavors import Safety, model_file
from palio.artifacts.flavors.answers import is_any
from palio.artifacts.flavors.samples import features_of
from palio.artifacts.flavors.torch.archive import members
from palio.artifacts.flavors.torch.devices import CPU, device_of, gpus_seen
from palio.artifacts.flavors.torch.exporting import EXPORTED, MODULE, exported
from palio.artifacts.flavors.torch.network import Network
from palio.artifacts.flavors.torch.predictor import TorchPredictor
from palio.artifacts.flavors.torch.program import GRAPH, network_of
from palio.artifacts.flavors.torch.signatures import check_fits, signature_of
from palio.artifacts.flavors.torch.weights import module_of
from palio.errors import InvalidInput
from palio.registry.signature import Signature

__all__ = ["TorchFlavor"]

_MODEL_FILE = "model.pt2"
_PROGRAM = ".pt2"
_WEIGHTS = (".pt", ".pth")
_PICKLE = b"\x80"  # as PyTorch wrote before its archives: the flavor pickled's
_DECLARED_ROWS = 2  # one would hide what mixes rows


class TorchFlavor:
    """Modules and exported programs as ``model.pt2``; state dicts (``.pt``, ``.pth``) are read.

    A module is exported, so no process that loads it needs its class. An exported program is one
    under any of these names, and tells its own signature. A state dict needs
    ``architecture.json`` beside it, and its class among the trusted types.

    Parameters
    ----------
    trusted_types
        Exact names of classes that may be imported, such as ``package.module.Net``, and of
        operators that a program may name, such as ``torch.ops.aten.cosh.default``.
    device
        Where networks that are loaded compute, as ``device_of`` reads it. Whatever is looked at
        before, to be registered, computes on the CPU.
    """

    name = "torch"
    safety = Safety.CHECKED

    def __init__(self, trusted_types: Sequence[str] = (), device: str = CPU) -> None:
        self._trusted = frozenset(trusted_types)
        self._device = device

    def on(self, device: str) -> TorchFlavor:
        """Return the same, with networks loaded onto a device."""
        return TorchFlavor(tuple(self._trusted), device)

    def recognises(self, model: object) -> bool:
        """Tell whether the model is a module or an exported program."""
        return is_any(model, {MODULE, EXPORTED})

    def claims(self, name: str, head: bytes) -> bool:
        """Tell whether a file is of PyTorch, by its name; one that is damaged is no other's."""
        return name.endswith((_PROGRAM, *_WEIGHTS)) and not head.startswith(_PICKLE)

    def declared(self, files: Mapping[str, bytes], target: Any = None) -> Signature:
        """Return what a program takes and gives, having asked it about rows of zeros.

        Parameters
        ----------
        files
            Bytes by path.
        target
            Labels, where one number a row is the probability of the second of two classes.

        Raises
        ------
        InvalidInput
            If the file is a state dict, which does not tell how many numbers a row has; else as
            ``restore`` and ``infer_signature``.
        UntrustedArtifact
            As ``restore``.
        """
        network = self._restored(files)
        if network.width is None:
            raise InvalidInput(
                "sample is missing, and a state dict does not tell what its network takes; give "
                "some of the rows the model was fitted on, or a signature",
                field="sample",
            )
        return signature_of(network, np.zeros((_DECLARED_ROWS, network.width)), target)

    def infer_signature(self, model: object, sample: Any, target: Any = None) -> Signature:
        """Read the features off a sample, and the answer off the model's answers to it.

        Raises
        ------
        InvalidInput
            If the model cannot be exported, does not answer the sample, or gives a classifier's
            target other than probabilities.
        """
        return signature_of(self._network(model, len(features_of(sample))), sample, target)

    def save(self, model: object, folder: Path, signature: Signature) -> None:
        """Write the program into ``folder``.

        Raises
        ------
        UntrustedArtifact
            If it could not be loaded again, because of operators that are not allowed.
        InvalidInput
            If the model cannot be exported, or does not fit the signature.
        """
        content = exported(model, signature.width)
        check_fits(network_of(content, _MODEL_FILE, self._trusted), signature)
        (folder / _MODEL_FILE).write_bytes(content)

    def restore(self, files: Mapping[str, bytes]) -> object:
        """Make a network of bytes whose digests have been compared.

        Raises
        ------
        UntrustedArtifact
            If the files hold what could run code, or name classes or operators not allowed.
        InvalidInput
            If they are nothing that the installed PyTorch can compute.
        """
        return self._restored(files)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> TorchPredictor:
        """Make a predictor of bytes whose digests have been compared; raises as ``restore``.

        Also raises ``InvalidInput`` if the device is not there, or the network does not compute
        on it.
        """
        network = self._restored(files).on(device_of(self._device, gpus=gpus_seen()))
        check_fits(network, signature)
        return TorchPredictor(network, signature)

    def _restored(self, files: Mapping[str, bytes]) -> Network:
        name, content = model_file(self, files)
        if name.endswith(_PROGRAM) or GRAPH in members(content, name):
            return network_of(content, name, self._trusted)
        return module_of(name, files, self._trusted)

    def _network(self, model: object, width: int) -> Network:
        if isinstance(model, Network):
            return model
        return network_of(exported(model, width), _MODEL_FILE, self._trusted)
