"""Hostile ``.keras`` files: refused before Keras sees them, nothing run."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import io
import json
import operator
import os
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palio.artifacts.flavors.keras import KerasFlavor
from palio.artifacts.flavors.keras.archive import rewritten
from palio.artifacts.flavors.keras.trusted import TRUSTED_TYPES
from palio.errors import InvalidInput, UntrustedArtifact

from .models import OLD_ARRAYS, content_of, keras, network, sequence

pytestmark = OLD_ARRAYS
FLAVOR = KerasFlavor()
h5py: Any = importlib.import_module("h5py")
MEMBERS = ["metadata.json", "config.json", "model.weights.h5"]
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return content_of(network(), tmp_path_factory.mktemp("keras"))


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mark"


def members_of(content: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: Members, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def configured(content: bytes, change: Callable[[Any], None]) -> bytes:
    members = members_of(content)
    config = json.loads(members["config.json"])
    change(config)
    return zipped({**members, "config.json": json.dumps(config).encode()})


def weighted(content: bytes, change: Callable[[Any], None]) -> bytes:
    members = members_of(content)
    buffer = io.BytesIO(members["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        change(file)
    return zipped({**members, "model.weights.h5": buffer.getvalue()})


def refuse(content: bytes, mark: Path, why: str, error: type[Exception] = InvalidInput) -> None:
    with pytest.raises(error, match=why):
        FLAVOR.restore({"model.keras": content})
    assert not mark.exists()


def test_every_type_on_the_list_is_one_of_keras_and_has_no_files_of_its_own() -> None:
    api = importlib.import_module("keras.src.api_export")
    for name in TRUSTED_TYPES:
        module, _, kind = name.rpartition(".")
        found = api.get_symbol_from_name(name)
        if found is None:  # not exported: Keras looks into the module that is named
            found = getattr(importlib.import_module(module), kind)
        assert not hasattr(found, "load_assets"), name
        assert "activations" in module or hasattr(found, "from_config"), name


@pytest.mark.parametrize("make", [network, sequence])
def test_what_keras_writes_is_taken_also_compressed(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    members = members_of(content_of(make(), tmp_path))
    assert list(members) == MEMBERS
    packed = zipped(members, compression=zipfile.ZIP_DEFLATED)
    restored: Any = FLAVOR.restore({"model.keras": packed})
    assert restored.input_shape == (None, 3)


def test_lambda_with_code_is_refused(tmp_path: Path, mark: Path) -> None:
    def run(rows: Any) -> Any:
        open("mark", "w").close()  # noqa: PTH123  all inside: only the code travels
        return rows

    rows = keras.Input((3,))
    given = keras.layers.Lambda(run, output_shape=(3,))
    model = keras.Model(rows, given(rows))
    mark.unlink(missing_ok=True)  # what building the model has left
    refuse(content_of(model, tmp_path), mark, "keras.layers.Lambda", UntrustedArtifact)


def layer(module: str, kind: str, config: Any, registered: str | None = None) -> Any:
    return {
        "module": module,
        "class_name": kind,
        "config": config,
        "registered_name": registered,
        "name": "hostile",
        "inbound_nodes": [{"args": ["touch mark"], "kwargs": {}}],
    }


FUNCTION = {"module": "os", "class_name": "function", "config": "system", "registered_name": None}
LAYERS = {
    # CVE-2025-1550: any function by its module
    "os.system": layer("os", "function", "system"),
    "posix.system": layer("posix", "system", {}),
    # CVE-2025-8747: functions of Keras itself
    "keras.utils.get_file": layer("keras.utils", "function", "get_file"),
    "keras.models.load_model": layer("keras.models", "function", "load_model"),
    # CVE-2025-9906: safe mode switched off from inside
    "keras.config.enable_unsafe_deserialization": layer(
        "keras.config", "function", "enable_unsafe_deserialization"
    ),
    # CVE-2025-12058: vocabularies read from any file
    "keras.layers.StringLookup": layer(
        "keras.layers", "StringLookup", {"vocabulary": "/etc/passwd"}
    ),
    "keras.layers.TextVectorization": layer(
        "keras.layers", "TextVectorization", {"vocabulary": "/etc/passwd"}
    ),
    "keras.layers.TFSMLayer": layer("keras.layers", "TFSMLayer", {"filepath": "."}),
    "keras.layers.TorchModuleWrapper": layer("keras.layers", "TorchModuleWrapper", {}),
    "os.system,keras.layers.Lambda": layer("keras.layers", "Lambda", {"function": FUNCTION}),
    # a name that Keras looks up before module and class
    "other>Dense": layer("keras.layers", "Dense", {"units": 1}, "other>Dense"),
    "keras.layers.Dense": layer("keras.layers", "Dense", {"units": 1}, "Lambda"),
    "None.Dense": {"class_name": "Dense", "config": {}, "name": "old", "inbound_nodes": []},
    "None.__lambda__": layer(
        "keras.layers", "Activation", {"activation": {"class_name": "__lambda__", "config": {}}}
    ),
    "None.__numpy__": layer(
        "keras.layers",
        "Rescaling",
        {"scale": {"class_name": "__numpy__", "config": {"value": [1], "dtype": "S9999999"}}},
    ),
    "keras.activations.['relu']": layer("builtins", "function", ["relu"]),
    "own>run": layer("keras.layers", "Activation", {"activation": "own>run"}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_type_that_is_not_on_the_list_is_named_and_not_looked_up(
    name: str, good: bytes, mark: Path
) -> None:
    content = configured(good, lambda found: found["config"]["layers"].append(LAYERS[name]))
    with pytest.raises(UntrustedArtifact) as caught:
        FLAVOR.restore({"model.keras": content})
    assert caught.value.details["types"] == sorted(name.split(","))
    assert not mark.exists()


@pytest.mark.parametrize("where", ["build_config", "shared", "dtype"])
def test_a_type_is_found_wherever_it_stands(where: str, good: bytes, mark: Path) -> None:
    content = configured(
        good, lambda found: found["config"]["layers"][1].update({where: [[{"a": FUNCTION}]]})
    )
    refuse(content, mark, r"not allowed to be loaded: os\.system;", UntrustedArtifact)


def test_what_training_needs_is_dropped_unseen(good: bytes, mark: Path) -> None:
    hostile = {"optimizer": FUNCTION, "loss": FUNCTION}

    def change(found: Any) -> None:
        found["compile_config"] = hostile
        found["config"]["layers"][2]["compile_config"] = hostile

    assert FLAVOR.restore({"model.keras": configured(good, change)})
    assert not mark.exists()


def elsewhere(file: Any, mark: Path) -> Any:
    mark.with_name("other.h5").write_bytes(b"")
    with h5py.File(mark.with_name("other.h5"), "w") as other:
        other["0"] = np.zeros((11, 2), np.float32)
    del file["layers/dense_1/vars/0"]
    return file["layers/dense_1/vars"]


def by_external_link(file: Any, mark: Path) -> None:
    elsewhere(file, mark)["0"] = h5py.ExternalLink(str(mark.with_name("other.h5")), "/0")


def by_soft_link(file: Any, mark: Path) -> None:
    elsewhere(file, mark)["0"] = h5py.SoftLink("/layers/dense/vars/0")


def by_external_storage(file: Any, mark: Path) -> None:
    elsewhere(file, mark).create_dataset(
        "0", (11, 2), np.float32, external=[(str(mark.with_name("other.h5")), 0, 88)]
    )


def by_virtual_dataset(file: Any, mark: Path) -> None:
    layout = h5py.VirtualLayout((11, 2), np.float32)
    layout[:] = h5py.VirtualSource(str(mark.with_name("other.h5")), "0", (11, 2))
    elsewhere(file, mark).create_virtual_dataset("0", layout)


def by_another_name(file: Any, _: Path) -> None:
    file["layers/again"] = file["layers"]


def by_nothing_stored(file: Any, mark: Path) -> None:
    elsewhere(file, mark).create_dataset("0", (10**6, 10**6), np.float32, chunks=(1000, 1000))


def by_compression(file: Any, mark: Path) -> None:
    elsewhere(file, mark).create_dataset("0", data=np.zeros((1000, 1000)), compression="gzip")


def by_strings(file: Any, mark: Path) -> None:
    elsewhere(file, mark)["0"] = "code"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (by_external_link, "hold a ExternalLink"),
        (by_soft_link, "hold a SoftLink"),
        (by_external_storage, "lie in another file"),
        (by_virtual_dataset, "lie in another file"),
        (by_another_name, "hold again twice"),
        (by_nothing_stored, "claim 4000000000000 bytes and hold 0"),
        (by_compression, "claim 8000000 bytes and hold"),
        (by_strings, "which are no numbers"),
    ],
)
def test_weights_are_numbers_of_this_file(
    change: Callable[[Any, Path], None], why: str, good: bytes, mark: Path
) -> None:
    refuse(weighted(good, lambda file: change(file, mark)), mark, why)


def swapped(good: bytes, **members: bytes) -> bytes:
    return zipped({**members_of(good), **members})


ARCHIVES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "escape": (lambda good: swapped(good, **{"../mark": b"x"}), "it holds"),
    "absolute": (lambda good: swapped(good, **{"/tmp/mark": b"x"}), "it holds"),
    "assets": (lambda good: swapped(good, **{"assets/vocabulary.txt": b"x"}), "vocabularies"),
    "missing": (lambda _: zipped({"config.json": b"{}"}), "it holds 'config.json'"),
    "empty": (lambda _: zipped({}), "it holds nothing"),
    "truncated": (lambda good: good[: len(good) // 2], "no Keras model"),
    "no archive": (lambda _: b"touch mark", "not a zip"),
    "nothing": (lambda _: b"", "not a zip"),
    "old format": (lambda good: members_of(good)["model.weights.h5"], "not a zip"),
    "byte": (lambda good: good.replace(b"batch_shape", b"batch_shapf", 1), "Bad CRC"),
    "no JSON": (lambda good: swapped(good, **{"config.json": b"{"}), "Expecting"),
    "a list": (lambda good: swapped(good, **{"config.json": b"[]"}), "describes no model"),
    "deep": (lambda good: swapped(good, **{"config.json": b"[" * 10**6}), "too deeply"),
    "no weights": (lambda good: swapped(good, **{"model.weights.h5": b"x"}), "cannot be read"),
    "layer": (lambda good: configured(good, lambda found: found["config"].clear()), "Keras"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_other_archives_are_refused(name: str, good: bytes, mark: Path) -> None:
    make, why = ARCHIVES[name]
    refuse(make(good), mark, why)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_bomb_is_refused_before_it_grows(name: str, good: bytes, mark: Path) -> None:
    members = {**members_of(good), name: bytes(100 * 1024 * 1024)}
    packed = zipped(members, compression=zipfile.ZIP_DEFLATED)
    assert len(packed) < 1024 * 1024
    refuse(packed, mark, f"{name} would grow to 104857600 bytes")


def test_a_bomb_that_lies_about_its_size_does_not_grow(good: bytes, mark: Path) -> None:
    large = 200 * 1024 * 1024
    packed = zipped(
        {**members_of(good), "metadata.json": bytes(large)}, compression=zipfile.ZIP_DEFLATED
    )
    lying = packed.replace(large.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lying != packed
    tracemalloc.start()
    try:
        refuse(lying, mark, "Bad CRC")
        assert tracemalloc.get_traced_memory()[1] < large / 10
    finally:
        tracemalloc.stop()


def test_other_compressions_are_refused(good: bytes, mark: Path) -> None:
    # Python's zipfile does not bound what these may grow to
    packed = zipped(members_of(good), compression=zipfile.ZIP_BZIP2)
    refuse(packed, mark, "compressed in a way that Keras does not use")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


@pytest.mark.parametrize("other", [None, [], {}, [[{}]], "x>y", "__numpy__", -1, 0.5, {"a": 1}])
def test_whatever_stands_wherever_ends_in_a_model_or_an_error_of_palio(
    other: Any, good: bytes
) -> None:
    config = json.loads(members_of(good)["config.json"])
    for path in places(config):
        changed = copy.deepcopy(config)
        inner = functools.reduce(operator.getitem, path[:-1], changed)
        if other is None:
            del inner[path[-1]]
        else:
            inner[path[-1]] = other
        with contextlib.suppress(InvalidInput, UntrustedArtifact):
            content = swapped(good, **{"config.json": json.dumps(changed).encode()})
            rewritten(content, "model.keras", TRUSTED_TYPES)


def test_the_same_member_twice_is_refused(good: bytes, mark: Path) -> None:
    buffer = io.BytesIO(good)
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", b"{}")
    refuse(buffer.getvalue(), mark, "it holds")


@pytest.mark.parametrize("value", [None, False])
def test_weights_that_no_layer_takes_are_refused(value: Any, good: bytes, mark: Path) -> None:
    content = configured(
        good, lambda found: found["config"]["layers"][2]["config"].update(use_bias=value)
    )
    refuse(content, mark, "says")


def test_weights_of_another_shape_are_refused(good: bytes, mark: Path) -> None:
    def change(file: Any) -> None:
        del file["layers/dense_1/vars/0"]
        file["layers/dense_1/vars/0"] = np.zeros((2, 2), np.float32)

    refuse(weighted(good, change), mark, f"Keras {keras.__version__} says")
    assert os.listdir(mark.parent) == []  # noqa: PTH208  nothing was left
