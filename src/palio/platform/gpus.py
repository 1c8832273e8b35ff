"""Whether this process asks a version on a GPU, and why not."""

from __future__ import annotations

from collections.abc import Collection

from palio.delivery.deployments.ports import Gpus
from palio.errors import InvalidInput, MissingExtra

__all__ = ["gpus_of", "gpus_with"]

_HERE = "the process that made the deployment"


def gpus_of(asked: str, flavors: Collection[str]) -> Gpus:
    """Return on how many GPUs a version is asked here.

    Parameters
    ----------
    asked
        Where networks shall compute: ``PALIO_TORCH_DEVICE``.
    flavors
        That of the version, or those of the versions that it asks; PyTorch is only loaded where
        one is ``torch``.
    """
    if "torch" not in flavors:
        given = ", ".join(sorted(flavors))
        return Gpus(lack=f"only flavor torch is asked on a GPU, and this is {given}")
    from palio.artifacts.flavors.torch.devices import gpus_seen

    try:
        return gpus_with(asked, gpus_seen())
    except MissingExtra:
        return Gpus(lack=f"{_HERE} has no PyTorch")


def gpus_with(asked: str, seen: int) -> Gpus:
    """Return the same for a network, given how many GPUs this process sees."""
    from palio.artifacts.flavors.torch.devices import CPU, device_of

    try:
        device = device_of(asked, gpus=seen)
    except InvalidInput:
        return Gpus(lack=f"PALIO_TORCH_DEVICE is {asked}, and {_HERE} sees {_counted(seen)}")
    if device != CPU:
        return Gpus(used=1, lack=f"a network is asked on one GPU of the {seen} that {_HERE} sees")
    if asked == CPU:
        return Gpus(lack=f"PALIO_TORCH_DEVICE is cpu in {_HERE}")
    return Gpus(lack=f"{_HERE} sees no GPU")


def _counted(seen: int) -> str:
    return {0: "no GPU", 1: "one GPU"}.get(seen, f"{seen} GPUs")
