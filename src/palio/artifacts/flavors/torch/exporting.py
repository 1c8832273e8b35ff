"""Modules in memory become exported programs, and these the bytes of a file."""

from __future__ import annotations

import copy
import io
import warnings
from typing import Any

from palio.artifacts.flavors import needed
from palio.artifacts.flavors.answers import is_any
from palio.artifacts.flavors.torch.network import is_double
from palio.errors import InvalidInput

__all__ = ["EXPORTED", "MODULE", "exported"]

EXPORTED = "torch.export.exported_program.ExportedProgram"
MODULE = "torch.nn.modules.module.Module"

_TRIED_ROWS = 2  # one would be taken for a constant


def exported(model: Any, width: int) -> bytes:
    """Return a model as the bytes of a ``.pt2`` file.

    A module is exported as it answers in ``eval`` mode, over any number of rows; the model
    itself stays as it is. Operators that write in place are replaced by those that do not.

    Parameters
    ----------
    model
        An ``ExportedProgram``, or a module that takes a tensor (n_rows, width) float32.
    width
        How many features a row has.

    Raises
    ------
    InvalidInput
        If PyTorch cannot export the module.
    """
    torch = needed("torch", extra="torch")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch about itself
        try:
            program = model if is_any(model, {EXPORTED}) else _traced(torch, model, width)
            torch.export.save(program.run_decompositions({}), buffer)
        except Exception as error:
            raise _unexported(model, width, error) from error
    return buffer.getvalue()


def _traced(torch: Any, model: Any, width: int) -> Any:
    kind = torch.float64 if is_double(model) else torch.float32
    rows = torch.zeros(_TRIED_ROWS, width, dtype=kind)
    module = copy.deepcopy(model).cpu().eval()
    return torch.export.export(module, (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))


def _unexported(model: Any, width: int, error: Exception) -> InvalidInput:
    reason = str(error).strip().partition("\n")[0]
    return InvalidInput(
        f"this {type(model).__name__} cannot be exported over a table of {width} numbers: "
        f"{type(error).__name__} {reason}; change its forward, give what "
        "torch.export.export returned, or give a folder with its state dict and "
        "architecture.json",
        field="model",
        value=type(model).__name__,
    )
