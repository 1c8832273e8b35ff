"""On which device networks compute."""

from __future__ import annotations

from palio.artifacts.flavors import needed
from palio.errors import InvalidInput

__all__ = ["CPU", "device_of", "gpus_seen"]

CPU = "cpu"
_AUTO = "auto"
_GPU = "cuda"


def gpus_seen() -> int:
    """Return how many GPUs this process can compute on; raises as ``needed``."""
    cuda = needed("torch", extra="torch").cuda
    return int(cuda.device_count()) if cuda.is_available() else 0


def device_of(asked: str, *, gpus: int) -> str:
    """Return the device that is meant, by the name that PyTorch gives it.

    Parameters
    ----------
    asked
        ``auto`` (the first GPU, where there is one), ``cpu``, ``cuda`` (the first) or ``cuda:N``.
    gpus
        How many GPUs this process sees.

    Raises
    ------
    InvalidInput
        If a GPU is asked for that is not there.
    """
    if asked == _AUTO:
        return f"{_GPU}:0" if gpus else CPU
    kind, _, number = asked.partition(":")
    if kind != _GPU:
        return asked
    index = int(number or 0)
    if index >= gpus:
        raise InvalidInput(
            f"PALIO_TORCH_DEVICE is {asked}, and this process sees {_counted(gpus)}; set it to "
            "one that is there, to cpu, or to auto",
            field="PALIO_TORCH_DEVICE",
            value=asked,
        )
    return f"{_GPU}:{index}"


def _counted(gpus: int) -> str:
    return {0: "no GPU", 1: "one GPU, cuda:0"}.get(gpus, f"{gpus} GPUs, cuda:0 to cuda:{gpus - 1}")
