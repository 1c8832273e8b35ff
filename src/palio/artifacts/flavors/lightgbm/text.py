"""LightGBM's text read strictly, before LightGBM reads it.

LightGBM trusts its own files: one that was cut short, or in which a number points elsewhere, ends
the whole process instead of raising. So nothing reaches it whose every index was not compared
with the array it points into.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["trees_of"]

Fields = Mapping[str, str]

_INTEGERS = ("split_feature", "decision_type", "left_child", "right_child")
_PER_SPLIT = ("split_gain", "threshold", "internal_value", "internal_weight", "internal_count")
_PER_LEAF = ("leaf_value", "leaf_weight", "leaf_count")
_BOUNDS = ("max_feature_idx", "num_class", "num_tree_per_iteration")
_CATEGORICAL = 1  # the bit of decision_type
_WORD_BITS = 32
_END = b"end of trees\n"


def trees_of(text: str) -> str:
    """Return a model from the header to the end of the last tree, once it has been checked.

    What follows is what it was trained with, which LightGBM also reads without care and needs no
    more.

    Parameters
    ----------
    text
        The model as ``Booster.model_to_string`` writes it.

    Returns
    -------
    str
        A model that answers the same.

    Raises
    ------
    ValueError
        Naming what LightGBM would not have written.
    """
    content = text.encode()
    start = content.find(b"Tree=0\n")
    if start < 0:
        raise ValueError("it has no tree")
    header = _fields(content[:start])
    width = _check_header(header)
    sizes = _integers(header, "tree_sizes")
    if len(sizes) % int(header["num_class"]):
        raise ValueError(f"{len(sizes)} trees do not suit {header['num_class']} classes")
    for number, size in enumerate(sizes.tolist()):
        _check_chunk(content[start : start + size], number, width)
        start += size
    if not content[start:].lstrip().startswith(_END):
        raise ValueError("the end of the trees is missing, the file was cut or edited")
    return (content[:start] + _END).decode()


def _check_header(header: Fields) -> int:
    if header.get("tree") != "":
        raise ValueError("its first line is not 'tree'")
    last, classes, per_round = (int(_required(header, name)) for name in _BOUNDS)
    width = last + 1
    for name in ("feature_names", "feature_infos"):
        if len(_required(header, name).split(" ")) != width:
            raise ValueError(f"{name} does not name {width} features")
    if classes < 1 or per_round != classes:
        raise ValueError(f"{classes} classes have {per_round} trees a round")
    objective = header.get("objective", "").split(" ")
    known = [token for token in objective if token.startswith("num_class:")]
    if known != ([f"num_class:{classes}"] if classes > 1 and objective != [""] else []):
        raise ValueError(f"objective {' '.join(objective)!r} does not suit {classes} classes")
    return width


def _check_chunk(chunk: bytes, number: int, width: int) -> None:
    first, _, rest = chunk.partition(b"\n")
    if first != f"Tree={number}".encode() or b"Tree=" in rest:
        raise ValueError(f"tree {number} is not where tree_sizes says")
    try:
        _check_tree(_fields(rest), width)
    except ValueError as error:
        raise ValueError(f"tree {number}: {error}") from error


def _check_tree(tree: Fields, width: int) -> None:
    leaves = int(_required(tree, "num_leaves"))
    if leaves < 1:
        raise ValueError(f"num_leaves is {leaves}")
    for name in _PER_LEAF:
        if name == "leaf_value" or tree.get(name):
            _numbers(tree, name, leaves)
    if leaves > 1:
        _check_splits(tree, leaves, width)
    if _required(tree, "is_linear") != "0":
        _check_linear(tree, leaves, width)


def _check_splits(tree: Fields, leaves: int, width: int) -> None:
    for name in _PER_SPLIT:
        if name == "threshold" or tree.get(name):
            _numbers(tree, name, leaves - 1)
    feature, decision, left, right = (_integers(tree, name, leaves - 1) for name in _INTEGERS)
    _within("split_feature", feature, width)
    # below zero are leaves; every one and every split but the first hangs in exactly one place,
    # so that every path from the first ends
    expected = [*range(-leaves, 0), *range(1, leaves - 1)]
    if np.sort(np.concatenate([left, right])).tolist() != expected:
        raise ValueError("its children are not one tree")
    _check_categories(tree, decision)


def _check_categories(tree: Fields, decision: Any) -> None:
    sets = int(_required(tree, "num_cat"))
    categorical = (decision & _CATEGORICAL) == 1
    if sets < 0 or (sets == 0 and categorical.any()):
        raise ValueError(f"num_cat is {sets}")
    if sets == 0:
        return
    bounds = _integers(tree, "cat_boundaries", sets + 1)
    words = _numbers(tree, "cat_threshold", int(bounds[-1]))
    if bounds[0] != 0 or (np.diff(bounds) < 1).any():
        raise ValueError("cat_boundaries do not rise from 0")
    if ((words < 0) | (words >= 2**_WORD_BITS)).any():
        raise ValueError("cat_threshold is no set of bits")
    chosen = np.array(_required(tree, "threshold").split(" "), dtype=np.float64)[categorical]
    _within("threshold", chosen, sets)


def _check_linear(tree: Fields, leaves: int, width: int) -> None:
    _numbers(tree, "leaf_const", leaves)
    counts = _integers(tree, "num_features", leaves)
    if (counts < 0).any():
        raise ValueError("num_features is below 0")
    total = int(counts.sum())
    _numbers(tree, "leaf_coeff", total)
    _within("leaf_features", _integers(tree, "leaf_features", total), width)


def _fields(content: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in filter(None, content.decode().split("\n")):
        name, _, value = line.partition("=")
        if name in fields:
            raise ValueError(f"{name} is there twice")
        fields[name] = value
    return fields


def _required(fields: Fields, name: str) -> str:
    if name not in fields:
        raise ValueError(f"{name} is missing")
    return fields[name]


def _integers(fields: Fields, name: str, count: int | None = None) -> Any:
    return _parsed(fields, name, count, np.int64)


def _numbers(fields: Fields, name: str, count: int) -> Any:
    return _parsed(fields, name, count, np.float64)


def _parsed(fields: Fields, name: str, count: int | None, dtype: Any) -> Any:
    values = np.array(_required(fields, name).split(), dtype=dtype)
    if count is not None and len(values) != count:
        raise ValueError(f"{name} has {len(values)} values, not {count}")
    return values


def _within(name: str, values: Any, limit: int) -> None:
    if ((values < 0) | (values >= limit)).any():
        raise ValueError(f"{name} points outside of {limit}")
