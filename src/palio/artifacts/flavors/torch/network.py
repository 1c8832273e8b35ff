"""What computes answers: a program out of a file, or a module with the weights of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from palio.artifacts.flavors import needed
from palio.artifacts.flavors.torch.devices import CPU
from palio.errors import InvalidInput

__all__ = ["Network", "is_double"]

_RANKS = (1, 2)


@dataclass(frozen=True, slots=True)
class Network:
    """A function from rows to answers. Safe to share.

    ``compute`` takes a tensor (n_rows, width) float32, or float64 where ``double``, and gives
    (n_rows,) or (n_rows, n_answers); ``width`` is ``None`` where only trying tells. Rows are
    brought to ``device``, where it computes, and answers back.
    """

    compute: Callable[[Any], Any]
    width: int | None = None
    double: bool = False
    device: str = CPU

    def on(self, device: str) -> Network:
        """Return the same on a device; a module is moved there, not copied.

        Raises
        ------
        InvalidInput
            If it cannot be moved there.
        """
        if device == self.device:
            return self
        try:
            moved = self.compute.to(device)  # type: ignore[attr-defined]  # of all that is loaded
        except (AssertionError, NotImplementedError, RuntimeError) as error:
            raise InvalidInput(
                f"the network cannot be brought to {device}: {error}; free memory there, or set "
                "PALIO_TORCH_DEVICE to another device, such as cpu",
                field="PALIO_TORCH_DEVICE",
                value=device,
            ) from error
        return replace(self, compute=moved, device=device)

    def answers(self, numbers: Any) -> Any:
        """Return answers (n_rows,) or (n_rows, n_answers) float64, n_answers at least 2.

        Parameters
        ----------
        numbers
            Rows (n_rows, width) float64, missing cells as NaN.

        Raises
        ------
        ValueError
            If it does not answer row by row; beside what PyTorch raises.
        """
        torch = needed("torch", extra="torch")
        with np.errstate(over="ignore"):
            rows = torch.from_numpy(numbers if self.double else numbers.astype(np.float32))
        with torch.inference_mode():
            found = self.compute(rows.to(self.device))
        if not isinstance(found, torch.Tensor):
            raise ValueError(f"the model answered a {type(found).__name__}, not one tensor")  # noqa: TRY004  the model's fault
        if found.ndim not in _RANKS or len(found) != len(rows) or 0 in found.shape:
            raise ValueError(f"the model answered {tuple(found.shape)} to {len(rows)} rows")
        scores = found.cpu().double().numpy()
        return scores[:, 0] if scores.shape[1:] == (1,) else scores


def is_double(module: Any) -> bool:
    """Tell whether all parameters of a module are float64, so that its rows must be."""
    torch = needed("torch", extra="torch")
    dtypes = {parameter.dtype for parameter in module.parameters()}
    return dtypes == {torch.float64}
