"""The command that stands for ``deploy_model.py``, given the ``.pt`` file that it is given."""

from __future__ import annotations

import os
import re
import shlex
import textwrap
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.dialects.documented import documents

from palio.errors import NotFound

from .conftest import Command, World

if not find_spec("torch") and not os.environ.get("PALIO_CI"):
    pytest.skip("needs torch", allow_module_level=True)

torch: Any = import_module("torch")


PAGE = Path(__file__).parents[3] / "docs/dialects/abtests.md"
ROW = [0.1, 0.2, 0.3]
pytestmark = pytest.mark.parametrize("module_store", ["sqlite"], indirect=True)


def network(seed: int) -> Any:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Softmax(1)).eval()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the document, in the folder where commands run."""
    monkeypatch.chdir(tmp_path)
    (folder := tmp_path / "models").mkdir()
    return folder


@documents("abtests:deploy-model")
def test_the_blocks_of_the_page_run(tester: World, models: Path, command: Command) -> None:
    """A pickled model becomes a program; then the first screen, and the service's calls."""
    page = PAGE.read_text()
    calls, export = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    networks = {"v1.0.0": network(1), "v2.0.0": network(2)}
    for number, one in enumerate(networks.values(), start=1):
        path = models / f"safety_classifier_v{number}.pt"
        torch.save(one, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch about itself
            exec(re.sub(r"models/\S+\.pt", str(path), textwrap.dedent(export)), {})
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    *lines, serve = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert serve[:2] == ["palio", "serve"]
    for line in lines:
        code, said = command(*line[1:])
        assert code == 0, said
    test_id = tester.create("safety_classifier")["test_id"]
    tester.call("POST", f"/{test_id}/start")
    there = calls.replace("http://localhost:3000", tester.address)
    exec(there, found := {"token": tester.operator})
    info, answer = found["info"], found["answer"]
    assert (info.test_id, info.version) == (test_id, answer.version)
    [expected] = networks[info.version](torch.tensor([ROW])).tolist()
    assert answer.probabilities == [pytest.approx(expected)]
    metrics = tester.call("GET", f"/{test_id}").json()["metrics"]
    assert metrics[f"variant_{info.variant}"]["custom"]["custom_metric"]["mean"] == 4.0


@documents("abtests:deploy-model")
def test_files_that_cannot_be_served(tester: World, models: Path, command: Command) -> None:
    (models / "broken.pt").write_bytes(b"no model")
    (models / "own.bin").write_bytes(b"of another program")
    deploy = ("abtests", "deploy-model", "--type", "broken", "--version", "v1", "--model-path")
    code, said = command(*deploy, "models/broken.pt")
    assert (code, "Traceback" in said) == (2, False)
    assert "broken.pt is no archive that PyTorch writes" in said
    with tester.native() as native:
        with pytest.raises(NotFound):
            native.versions.get("broken:v1")
        code, said = command(*deploy, "models/own.bin")
        assert (code, "kept as it is, and nothing can be served" in said) == (0, True)
        assert native.versions.get("broken:v1").signature is None
