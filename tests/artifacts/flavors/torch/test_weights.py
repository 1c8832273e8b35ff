"""State dicts: weights of a class that is allowed, and nothing that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import palio
from palio.artifacts.flavors.torch import TorchFlavor
from palio.errors import InvalidInput, UntrustedArtifact
from palio.registry.signature import Task

from .models import INPUTS, ROWS, expected, marking, network, nn, packed, parts, saved, torch

CLASS = "palio_test_net:Net"
DOTTED = "palio_test_net.Net"
SETTING = "palio_test_net.Net"
SOURCE = """
from pathlib import Path
import torch
Path(__file__).with_suffix(".mark").touch()
class Net(torch.nn.Module):
    def __init__(self, hidden, outputs=1):
        super().__init__()
        self.first = torch.nn.Linear(3, hidden)
        self.drop = torch.nn.Dropout(0.9)
        self.last = torch.nn.Linear(hidden, outputs)
    def forward(self, rows):
        return torch.sigmoid(self.last(self.drop(torch.relu(self.first(rows)))))
class Other:
    pass
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a module that leaves a mark when it is imported."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "palio_test_net.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "palio_test_net", raising=False)
    return folder / "palio_test_net.py"


def files(weights: Any, name: str = CLASS, **arguments: Any) -> dict[str, bytes]:
    architecture = json.dumps({"class": name, "arguments": arguments}).encode()
    content = weights if isinstance(weights, bytes) else saved(weights)
    return {"model.pt": content, "architecture.json": architecture}


def made(source: Path) -> Any:
    import importlib  # noqa: PLC0415  of a module that this test wrote

    model = importlib.import_module(source.stem).Net(hidden=4)
    source.with_suffix(".mark").unlink()
    del sys.modules[source.stem]
    return model


@pytest.mark.usefixtures("source")
def test_a_class_that_is_not_allowed_is_not_imported(source: Path) -> None:
    given = files(made(source).state_dict(), hidden=4)
    for trusted in ((), ("Net",), ("palio_test_net",), (CLASS,), ("palio_test_net.Nets",)):
        with pytest.raises(UntrustedArtifact) as refused:
            TorchFlavor(trusted).restore(given)
        assert f"PALIO_TRUSTED_TYPES={SETTING} " in str(refused.value)
    assert not source.with_suffix(".mark").exists()


def test_a_class_that_is_allowed_answers_as_in_use(source: Path) -> None:
    model = made(source)
    found: Any = TorchFlavor([DOTTED]).restore(files(model.state_dict(), hidden=4))
    np.testing.assert_array_equal(found.answers(INPUTS), expected(model)[:, 0])


def test_a_folder_answers_in_another_process(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(source)
    monkeypatch.setenv("PALIO_TRUSTED_TYPES", SETTING)
    (tmp_path / "net").mkdir()
    for name, content in files(model.state_dict(), hidden=4).items():
        (tmp_path / "net" / name).write_bytes(content)
    store, artifacts = tmp_path / "palio.db", tmp_path / "artifacts"
    labels = (INPUTS[:, 0] > 0.5).astype(int)
    with palio.connect(store, artifacts=artifacts) as opened:
        opened.register("m", tmp_path / "net", version="v1", sample=INPUTS, target=labels)
    finished = subprocess.run(
        [sys.executable, "-c", _ASK, str(store), str(artifacts), DOTTED, str(source.parent)],
        input=json.dumps(ROWS),
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert finished.returncode == 0, finished.stderr
    assert [row[1] for row in json.loads(finished.stdout)] == expected(model)[:, 0].tolist()


_ASK = """
import json, sys, palio
from palio.artifacts.files import FsspecArtifactStore
from palio.artifacts.loader import ArtifactLoader
from palio.artifacts.policy import Trust
with palio.connect(sys.argv[1], artifacts=sys.argv[2]) as p:
    version = p.versions.get("m:v1")
trust = Trust(trusted_types=(sys.argv[3],))
sys.path.insert(0, sys.argv[4])
predictor = ArtifactLoader(FsspecArtifactStore(sys.argv[2]), trust).load(version)
print(json.dumps(predictor.predict(json.load(sys.stdin)).probabilities))
"""


def test_weights_alone_say_what_is_missing() -> None:
    with pytest.raises(InvalidInput, match=r"architecture\.json is missing beside model\.pt"):
        TorchFlavor().restore({"model.pt": saved(network().state_dict())})


@pytest.mark.parametrize(
    "architecture",
    [b"", b"[]", b"{}", b'{"class": "os"}', b'{"class": "a:b", "arguments": 3}', b"[" * 9_999],
)
def test_architectures_that_are_none_are_refused(architecture: bytes) -> None:
    given = {**files(network().state_dict()), "architecture.json": architecture}
    with pytest.raises(InvalidInput, match=r"architecture\.json (cannot be read|names 'os')"):
        TorchFlavor(["a.b"]).restore(given)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("palio_test_net:Other", "no class of torch.nn.Module"),
        ("palio_test_net:torch", "no class of torch.nn.Module"),
        ("palio_test_net:Absent", "not installed here"),
        ("palio_absent:Net", "not installed here"),
        ("os:system", "no class of torch.nn.Module"),
    ],
)
@pytest.mark.usefixtures("source")
def test_names_of_other_things_are_refused(name: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        TorchFlavor([name.replace(":", ".")]).restore(files(network().state_dict(), name))


@pytest.mark.parametrize("arguments", [{"hidden": 5}, {}, {"hidden": 4, "width": 3}])
def test_weights_that_do_not_fit_the_class_are_refused(
    arguments: dict[str, int], source: Path
) -> None:
    given = files(made(source).state_dict(), **arguments)
    with pytest.raises(InvalidInput, match=r"model\.pt does not fit palio_test_net:Net"):
        TorchFlavor([DOTTED]).restore(given)


@pytest.mark.usefixtures("source")
def test_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for content in (marking(mark), saved(network())):
        with pytest.raises(UntrustedArtifact, match=r"save model\.state_dict\(\) with"):
            TorchFlavor([DOTTED]).restore(files(content, hidden=4))
    assert not mark.exists()
    # witness: the file does leave a mark where pickles are allowed
    (tmp_path / "w.pt").write_bytes(marking(mark))
    torch.load(tmp_path / "w.pt", weights_only=False)
    assert mark.exists()


@pytest.mark.usefixtures("source")
def test_an_environment_does_not_undo_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(UntrustedArtifact):
        TorchFlavor([DOTTED]).restore(files(marking(tmp_path / "mark"), hidden=4))
    assert not (tmp_path / "mark").exists()


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("held", [[1, 2], {"first.weight": 3}, {1: torch.zeros(2)}])
def test_other_than_tensors_by_name_is_refused(held: object) -> None:
    with pytest.raises(UntrustedArtifact, match="other than tensors by name"):
        TorchFlavor([DOTTED]).restore(files(saved(held), hidden=4))


@pytest.mark.usefixtures("source")
def test_torchscript_is_refused() -> None:
    content = packed({**parts(saved({})), "archive/constants.pkl": b""})
    with pytest.raises(UntrustedArtifact, match="TorchScript, which is code"):
        TorchFlavor([DOTTED]).restore(files(content, hidden=4))


@pytest.mark.usefixtures("source")
def test_an_archive_without_weights_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no state dict that PyTorch"):
        TorchFlavor([DOTTED]).restore(files(packed({"archive/x": b""}), hidden=4))


def test_the_width_is_found_by_trying(source: Path) -> None:
    given = files(made(source).state_dict(), hidden=4)
    flavor = TorchFlavor([DOTTED])
    with pytest.raises(InvalidInput, match="sample is missing, and a state dict does not tell"):
        flavor.declared(given)
    signature = flavor.infer_signature(flavor.restore(given), INPUTS)
    assert signature.task is Task.REGRESSION
    narrow = flavor.infer_signature(nn.Linear(2, 1), INPUTS[:, :2])
    with pytest.raises(InvalidInput, match="does not answer 2 numbers"):
        flavor.load(given, narrow)
