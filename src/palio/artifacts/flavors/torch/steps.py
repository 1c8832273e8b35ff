"""The steps of a graph: one operator each, with what it is given and what it gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from palio.artifacts.flavors import needed
from palio.artifacts.flavors.torch.arguments import Read, Values, check, only, read
from palio.artifacts.flavors.torch.operators import INSTEAD, SIZES
from palio.errors import UntrustedArtifact

__all__ = ["Step", "step_of", "trains"]

_OPERATOR = re.compile(r"torch\.ops\.(\w+)\.(\w+)\.(\w+)", re.ASCII)
_TRAINING = frozenset(
    f"torch.ops.aten.{name}.default"
    for name in (
        "native_dropout",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_functional",
    )
)
_FLAGS_OFF: Mapping[str, object] = {
    "train": {"as_bool": False},
    "training": {"as_bool": False},
    "dropout_p": {"as_float": 0.0},
}
_POSITIONAL = 1


@dataclass(frozen=True, slots=True)
class Step:
    """An operator, what reads its arguments, and the names of its values."""

    compute: Callable[..., Any]
    given: tuple[Read, ...]
    named: Mapping[str, Read]
    gives: tuple[str | tuple[str, ...], ...]  # names for its values, or for those of a list

    def add_to(self, values: Values) -> None:
        """Compute from values by name, and put what comes out among them."""
        found = self.compute(
            *[part(values) for part in self.given],
            **{name: part(values) for name, part in self.named.items()},
        )
        if len(self.gives) == 1:
            _keep(values, self.gives[0], found)
        elif self.gives:
            for name, value in zip(self.gives, found, strict=True):
                _keep(values, name, value)


def _keep(values: dict[str, Any], name: str | tuple[str, ...], found: Any) -> None:
    if isinstance(name, str):
        values[name] = found
    else:
        values.update(zip(name, found, strict=True))


def step_of(node: Any, allowed: Collection[str]) -> Step:
    """Return the step that a node of a graph describes.

    Raises
    ------
    UntrustedArtifact
        If its operator is none of the allowed.
    """
    inputs = node["inputs"]
    target = str(node["target"])
    compute = _operator(target, allowed)
    _check_arguments(compute, inputs)
    return Step(
        INSTEAD.get(target, compute),
        tuple(read(one["arg"]) for one in inputs if one["kind"] == _POSITIONAL),
        {str(one["name"]): read(one["arg"]) for one in inputs if one["kind"] != _POSITIONAL}
        | ({"device": lambda values: values.device} if _makes(compute) else {}),
        tuple(_named(one) for one in node["outputs"]),
    )


def trains(node: Any) -> bool:
    """Tell whether a node does what only training does: drop values, or learn from rows."""
    flags = {str(one["name"]): one["arg"] for one in node["inputs"]}
    return str(node["target"]) in _TRAINING or any(
        flags.get(name, off) != off for name, off in _FLAGS_OFF.items()
    )


def _check_arguments(compute: Any, inputs: Any) -> None:
    """Compare names and types of arguments with the schema of the operator."""
    if (schema := getattr(compute, "_schema", None)) is None:
        return
    names = [str(one["name"]) for one in inputs]
    given = [str(one["name"]) for one in inputs if one["kind"] == _POSITIONAL]
    known = {argument.name: str(argument.real_type) for argument in schema.arguments}
    if given != list(known)[: len(given)] or len(set(names)) < len(names):
        raise ValueError(f"{schema.name} does not take {', '.join(names)}")
    for one in inputs:
        check(one["arg"], known[one["name"]])


def _makes(compute: Any) -> bool:
    """Tell whether an operator makes a tensor of none, which lies on the CPU unless told."""
    schema = getattr(compute, "_schema", None)
    kinds = {one.name: str(one.real_type) for one in schema.arguments} if schema else {}
    return "device" in kinds and not any("Tensor" in kind for kind in kinds.values())


def _operator(target: str, allowed: Collection[str]) -> Callable[..., Any]:
    if target in SIZES:
        return SIZES[target]
    found = _OPERATOR.fullmatch(target)
    if found is None or target not in allowed:
        in_place = found is not None and found[2].endswith("_")
        hint = "; program.run_decompositions({}) replaces it" if in_place else ""
        raise UntrustedArtifact(
            f"the program names the operator {target!r}, which is not allowed{hint}; write the "
            "model without it, or, if you know what it does and trust it, allow it by exact "
            f"name: PALIO_TRUSTED_TYPES={target} (trusted_types in Python)",
            types=[target],
            setting="PALIO_TRUSTED_TYPES",
        )
    at = needed("torch", extra="torch").ops
    for name in found.groups():
        at = getattr(at, name)
    return cast("Callable[..., Any]", at)


def _named(output: Any) -> str | tuple[str, ...]:
    kind, held = only(output)
    if kind == "as_tensors":
        return tuple(str(one["name"]) for one in held)
    return str(held["as_name"] if kind == "as_sym_int" else held["name"])
