"""An exported program read as data and computed here, operator by operator.

``torch.export.load`` unpickles (whatever ``weights_only`` refuses it loads without), opens
compiled libraries, evaluates expressions and makes Python code of names. None of it is used: the
graph in a file is JSON that names operators, each of which must be on a list of exact names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from palio.artifacts.flavors import needed
from palio.artifacts.flavors.torch.archive import members
from palio.artifacts.flavors.torch.arguments import Values, only
from palio.artifacts.flavors.torch.devices import CPU
from palio.artifacts.flavors.torch.network import Network
from palio.artifacts.flavors.torch.operators import OPERATORS
from palio.artifacts.flavors.torch.steps import Step, step_of, trains
from palio.artifacts.flavors.torch.tensors import DTYPES, tensors
from palio.errors import InvalidInput, UntrustedArtifact

__all__ = ["GRAPH", "network_of"]

GRAPH = "models/model.json"
"""The member of an archive that makes it an exported program."""

_MEMBERS = re.compile(
    r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
    r"|models/model\.json|data/sample_inputs/model\.pt"  # which is never opened
    r"|data/weights/(model_weights_config\.json|weight_\d+)"
    r"|data/constants/(model_constants_config\.json|tensor_\d+)"
)
_SCHEMA = 8  # SCHEMA_VERSION of torch/_export/serde/schema.py; a breaking change raises it
_SYMBOL = re.compile(r"(?:Symbol\(')?(\w+)(?:', positive=True, integer=True\))?", re.ASCII)
_MALFORMED = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)
_TABLE = 2
_INPUTS = frozenset({"float32", "float64"})
_WEIGHTS = {
    "parameter": "parameter_name",
    "buffer": "buffer_name",
    "tensor_constant": "tensor_constant_name",
}


def network_of(content: bytes, name: str, trusted: Collection[str] = ()) -> Network:
    """Return what the exported program in a file computes.

    Parameters
    ----------
    content
        The bytes of a file that ``torch.export.save`` wrote.
    name
        How messages call it.
    trusted
        Exact names of further operators, such as ``torch.ops.aten.cosh.default``.

    Raises
    ------
    UntrustedArtifact
        If the file has parts that could run code, or names operators that are not allowed.
    InvalidInput
        If it is no program over rows of a table that the installed PyTorch can compute.
    """
    files = members(content, name)
    if odd := sorted(path for path in files if not _MEMBERS.fullmatch(path)):
        raise UntrustedArtifact(
            f"{name} holds {odd[0]!r}, which is not read here: only graphs and plain tensors of "
            "programs are, no pickles, compiled code or files beside them; save the program "
            "with torch.export.save alone",
            member=odd[0],
        )
    try:
        return _network(files, OPERATORS | frozenset(trusted))
    except _MALFORMED as error:
        raise _unreadable(name, error) from error


def _network(files: Mapping[str, bytes], allowed: Collection[str]) -> Network:
    exported = json.loads(files[GRAPH])
    if exported["schema_version"]["major"] != _SCHEMA or files["byteorder"] != b"little":
        raise _odd("is of another version; export it again with the PyTorch installed here")
    graph = exported["graph_module"]["graph"]
    signature = exported["graph_module"]["signature"]
    if exported.get("guards_code"):
        raise _odd("holds for some tables only; export it without conditions on its input")
    answer = _answer(signature["output_specs"])
    if any(map(trains, graph["nodes"])):
        raise _odd("was exported while training; call eval() on the model and export it again")
    steps = tuple(step_of(node, allowed) for node in graph["nodes"])
    table, weights = _inputs(signature["input_specs"], files)
    program = _Program(weights, table, steps, answer)
    width, double = _shape(graph["tensor_values"][table], exported["range_constraints"])
    return Network(program, width, double=double)


@dataclass(frozen=True, slots=True)
class _Program:
    """Steps in order. None of them writes to a weight, so threads may share it."""

    weights: Mapping[str, Any]
    table: str
    steps: tuple[Step, ...]
    answer: str
    device: str = CPU

    def __call__(self, rows: Any) -> Any:
        values = Values({**self.weights, self.table: rows}, self.device)
        for step in self.steps:
            step.add_to(values)
        return values[self.answer]

    def to(self, device: str) -> _Program:
        """Return the same on a device, as a module does."""
        weights = {name: tensor.to(device) for name, tensor in self.weights.items()}
        return replace(self, weights=weights, device=device)


def _inputs(specs: Any, files: Mapping[str, bytes]) -> tuple[str, dict[str, Any]]:
    kept = {**tensors(files, "constants"), **tensors(files, "weights")}
    tables, weights = [], {}
    for kind, held in map(only, specs):
        if kind == "user_input":
            tables.append(str(held["arg"]["as_tensor"]["name"]))
        else:
            weights[str(held["arg"]["name"])] = kept[held[_WEIGHTS[kind]]]
    if len(tables) != 1:
        raise _odd(f"takes {len(tables)} inputs; wrap it in a module that takes one table")
    return tables[0], weights


def _answer(specs: Any) -> str:
    kinds = [only(spec)[0] for spec in specs]
    if set(kinds) & {"buffer_mutation", "parameter_mutation"}:
        raise _odd("changes its own weights; call eval() on the model and export it again")
    if kinds != ["user_output"]:
        raise _odd(f"gives {len(kinds)} outputs; wrap it in a module that gives one tensor")
    return str(specs[0]["user_output"]["arg"]["as_tensor"]["name"])


def _shape(meta: Any, ranges: Any) -> tuple[int, bool]:
    dtype, sizes = DTYPES[meta["dtype"]], meta["sizes"]
    if dtype not in _INPUTS or len(sizes) != _TABLE or "as_int" not in sizes[1]:
        raise _odd(f"takes {len(sizes)} dimensions of {dtype}; export it over a table of float32")
    rows = sizes[0]
    symbol = _SYMBOL.fullmatch(rows["as_expr"]["expr_str"]) if "as_expr" in rows else None
    limits = ranges[symbol[1]] if symbol else {"min_val": 0, "max_val": 0}
    if (limits["min_val"] or 0) > 1 or limits["max_val"] is not None:
        raise _odd(
            "does not take any number of rows from one on; export it with "
            "dynamic_shapes=({0: torch.export.Dim('rows')},)"
        )
    return int(sizes[1]["as_int"]), dtype == "float64"


def _odd(why: str) -> InvalidInput:
    return InvalidInput(f"the program of PyTorch {why}", field="model")


def _unreadable(name: str, error: Exception) -> InvalidInput:
    torch = needed("torch", extra="torch")
    return InvalidInput(
        f"{name} is no program that PyTorch {torch.__version__} computes here: "
        f"{type(error).__name__} {error}; export it again with the version that is installed "
        "where it is served",
        field="model",
        value=name,
    )
