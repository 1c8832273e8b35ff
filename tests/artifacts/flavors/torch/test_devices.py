"""Where networks compute: chosen by a name, moved there, and asked there.

``meta`` is a device that every build of PyTorch has beside the CPU. It computes shapes only, so
its answers cannot come back: there a made-up one does instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import palio
from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.flavors import FLAVORS, Movable, named
from palio.artifacts.flavors.torch import TorchFlavor
from palio.artifacts.flavors.torch.devices import device_of, gpus_seen
from palio.artifacts.flavors.torch.exporting import exported
from palio.artifacts.flavors.torch.network import Network
from palio.artifacts.flavors.torch.program import network_of
from palio.artifacts.loader import ArtifactLoader
from palio.errors import InvalidInput
from palio.registry.domain import Version
from palio.registry.signature import Feature, FeatureType, Signature, Task
from palio.serving.ensembles import EnsembleLoader

from .models import (
    INPUTS,
    LABELS,
    ROWS,
    Attentive,
    changed,
    content_of,
    network,
    nn,
    program,
    saved,
    torch,
)

FEATURES = tuple(Feature(name, FeatureType.NUMBER) for name in "abc")
NUMBERS = Signature(features=FEATURES, task=Task.REGRESSION)
MADE_UP = 0.5


class Elsewhere(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
    """Notes the devices that rows are sent to and answers fetched from; makes answers up."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.fetched: list[str] = []

    def __torch_function__(
        self,
        function: Any,
        types: Any,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function is torch.Tensor.cpu:
            self.fetched.append(args[0].device.type)
            return torch.full(args[0].shape, MADE_UP)
        found = function(*args, **(kwargs or {}))
        if function is torch.Tensor.to and args[0].shape[1:] == (3,):
            self.sent.append(found.device.type)
        return found


# -- which one


@pytest.mark.parametrize(
    ("asked", "gpus", "device"),
    [
        ("auto", 0, "cpu"),
        ("auto", 1, "cuda:0"),
        ("auto", 4, "cuda:0"),
        ("cpu", 0, "cpu"),
        ("cpu", 4, "cpu"),
        ("cuda", 1, "cuda:0"),
        ("cuda:0", 1, "cuda:0"),
        ("cuda:3", 4, "cuda:3"),
    ],
)
def test_a_device_is_chosen_by_what_is_there(asked: str, gpus: int, device: str) -> None:
    assert device_of(asked, gpus=gpus) == device


@pytest.mark.parametrize(
    ("asked", "gpus", "seen"),
    [
        ("cuda", 0, "no GPU"),
        ("cuda:1", 1, "one GPU, cuda:0"),
        ("cuda:4", 4, "4 GPUs, cuda:0 to cuda:3"),
    ],
)
def test_one_that_is_not_there_is_told(asked: str, gpus: int, seen: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        device_of(asked, gpus=gpus)
    assert refused.value.message == (
        f"PALIO_TORCH_DEVICE is {asked}, and this process sees {seen}; set it to one that is "
        "there, to cpu, or to auto"
    )


def test_only_networks_of_pytorch_are_moved() -> None:
    assert [name for name in FLAVORS if isinstance(named(name), Movable)] == ["torch"]


# -- moved there


def test_a_program_makes_its_constants_where_it_is() -> None:
    class Made(nn.Module):  # type: ignore[misc]
        def forward(self, rows: Any) -> Any:
            steps = torch.arange(3, dtype=torch.float32) + torch.ones(3) + torch.full((3,), 2.0)
            return (rows * steps).to("cpu").sum(1)

    def silent(held: Any) -> None:
        for node in held["graph_module"]["graph"]["nodes"]:
            node["inputs"] = [one for one in node["inputs"] if one["name"] != "device"]

    content = exported(Made(), 3)
    traced, told_nothing = content_of(program(Made())), changed(content, "model.json", silent)
    assert told_nothing != content
    for given in (content, traced, told_nothing):
        found = network_of(given, "made").on("meta").compute(torch.ones(2, 3, device="meta"))
        assert (found.device.type, found.shape) == ("meta", (2,))


@pytest.mark.parametrize("make", [Attentive, lambda: network(3, nn.Softmax(1)).eval()])
def test_all_weights_of_a_program_are_moved(make: Any) -> None:
    found: Any = network_of(exported(make(), 3), "made")
    assert {one.device.type for one in found.compute.weights.values()} == {"cpu"}
    moved: Any = found.on("meta")
    assert {one.device.type for one in moved.compute.weights.values()} == {"meta"}
    assert {one.device.type for one in found.compute.weights.values()} == {"cpu"}


def test_where_it_is_already_nothing_is_moved() -> None:
    found = Network(lambda rows: rows)
    assert found.on("cpu") is found


def test_rows_are_sent_and_answers_fetched() -> None:
    found = network_of(exported(Attentive(), 3), "made").on("meta")
    with Elsewhere() as seen:
        assert found.answers(INPUTS).tolist() == [MADE_UP] * len(INPUTS)
    assert seen.sent[0] == "meta"
    assert seen.fetched == ["meta"]


def test_a_network_that_cannot_be_moved_is_told() -> None:
    found = Network(network())
    with pytest.raises(InvalidInput, match=r"cannot be brought to xpu: .*such as cpu") as refused:
        found.on("xpu")  # no build for CPUs or GPUs of NVIDIA has it
    assert refused.value.details["field"] == "PALIO_TORCH_DEVICE"


class OnCpu(nn.Module):  # type: ignore[misc]
    """Makes a tensor on the CPU, wherever its rows are."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 1)

    def forward(self, rows: Any) -> Any:
        return self.last(rows + torch.ones(3))


def test_a_module_that_only_computes_on_the_cpu_is_told(tmp_path: Path) -> None:
    flavor = TorchFlavor([f"{OnCpu.__module__}.OnCpu"])
    kind = json.dumps({"class": f"{OnCpu.__module__}:OnCpu"}).encode()
    files = {"model.pt": saved(OnCpu().state_dict()), "architecture.json": kind}
    flavor.load(files, NUMBERS)
    with pytest.raises(InvalidInput, match=r"3 numbers on meta: .* set PALIO_TORCH_DEVICE=cpu"):
        flavor.on("meta").load(files, NUMBERS)
    flavor.save(OnCpu(), tmp_path, NUMBERS)  # which makes a program of it
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with Elsewhere():
        assert flavor.on("meta").load(files, NUMBERS).predict(ROWS).values[0] == MADE_UP


# -- as versions


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a store with the versions m:plain, m:scaled and m:both of a network."""
    monkeypatch.setenv("PALIO_TORCH_DEVICE", "cuda:99")  # nothing that is registered needs it
    path = tmp_path / "palio.db"
    model = network(1, nn.Sigmoid()).eval()
    with palio.connect(path) as opened:
        opened.register("m", model, version="plain", sample=INPUTS, target=LABELS)
        scaler = StandardScaler().fit(INPUTS)
        opened.register(
            "m", model, version="scaled", sample=INPUTS, target=LABELS, preprocessor=scaler
        )
        opened.combine("m", ["m:plain", "m:scaled"], version="both", combine="mean")
    return path


@pytest.mark.parametrize(("version", "networks"), [("plain", 1), ("scaled", 1), ("both", 2)])
def test_versions_are_loaded_onto_the_device(store: Path, version: str, networks: int) -> None:
    files = FsspecArtifactStore(str(store.with_name("palio-artifacts")))
    with palio.connect(store) as opened:
        versions = {one.reference: one for one in opened.versions.list("m")}
        inner = ArtifactLoader(files, device="meta")
        loader = EnsembleLoader(inner, files, versions.__getitem__)
        with Elsewhere() as loading:
            loaded = loader.load(versions[f"m:{version}"])
        assert loading.fetched == ["meta"] * networks  # each was tried there
        with Elsewhere() as asking:
            found = loaded.predict(ROWS)
    assert asking.fetched == ["meta"] * networks
    assert [row[1] for row in found.probabilities or ()] == [MADE_UP] * len(ROWS)


def test_what_comes_back_as_an_object_is_on_the_cpu(store: Path) -> None:
    files = FsspecArtifactStore(str(store.with_name("palio-artifacts")))
    with palio.connect(store) as opened:
        version: Version = opened.versions.get("m:plain")
    found: Any = ArtifactLoader(files, device="meta").restore(version)
    assert found.device == "cpu"


def test_a_gpu_that_is_not_there_is_told_when_a_version_is_loaded(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with palio.connect(store) as opened:
        with pytest.raises(InvalidInput, match="PALIO_TORCH_DEVICE is cuda:99, and this process"):
            opened.load("m:plain")
        opened.versions.promote("m:plain")
        opened.endpoints.create("m", "m")
        opened.endpoints.load("m", "plain")
        (told,) = opened.endpoints.loaded("m").versions
        assert "PALIO_TORCH_DEVICE is cuda:99" in str(told.error)
    monkeypatch.setenv("PALIO_TORCH_DEVICE", "cpu")
    with palio.connect(store) as opened:
        assert len(opened.load("m:plain").predict(ROWS).values) == len(ROWS)


# no CI has a GPU: this one is skipped under PALIO_CI, too, and by nothing but that
@pytest.mark.skipif(not gpus_seen(), reason="needs a GPU")
@pytest.mark.parametrize("make", [Attentive, lambda: network(3, nn.Softmax(1)).eval()])
def test_a_gpu_answers_as_the_cpu_does(make: Any) -> None:
    torch.manual_seed(5)
    content = exported(make(), 3)
    wanted = network_of(content, "made").answers(INPUTS)  # witness: the same network on the CPU
    found = network_of(content, "made").on(device_of("auto", gpus=gpus_seen()))
    np.testing.assert_allclose(found.answers(INPUTS), wanted, rtol=1e-4, atol=1e-6)  # float32
