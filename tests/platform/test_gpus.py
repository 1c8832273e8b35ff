"""Whether a version is asked on a GPU, and what is said where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from palio.platform.gpus import gpus_of, gpus_with

HERE = "the process that made the deployment"


@pytest.mark.parametrize(
    ("asked", "seen", "used", "lack"),
    [
        ("auto", 0, 0, f"{HERE} sees no GPU"),
        ("auto", 1, 1, f"a network is asked on one GPU of the 1 that {HERE} sees"),
        ("cuda", 4, 1, f"a network is asked on one GPU of the 4 that {HERE} sees"),
        ("cpu", 4, 0, f"PALIO_TORCH_DEVICE is cpu in {HERE}"),
        ("cuda", 0, 0, f"PALIO_TORCH_DEVICE is cuda, and {HERE} sees no GPU"),
        ("cuda:1", 1, 0, f"PALIO_TORCH_DEVICE is cuda:1, and {HERE} sees one GPU"),
        ("cuda:9", 4, 0, f"PALIO_TORCH_DEVICE is cuda:9, and {HERE} sees 4 GPUs"),
    ],
)
def test_a_network_is_asked_on_the_gpu_that_is_there(
    asked: str, seen: int, used: int, lack: str
) -> None:
    found = gpus_with(asked, seen)
    assert (found.used, found.lack) == (used, lack)


def test_other_flavors_are_not() -> None:
    found = gpus_of("auto", {"sklearn", "onnx"})
    assert found.used == 0
    assert found.lack == "only flavor torch is asked on a GPU, and this is onnx, sklearn"


def test_pytorch_is_loaded_for_its_own_networks_alone() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", _ASK],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert finished.returncode == 0, finished.stderr
    lack = f"{HERE} sees no GPU" if find_spec("torch") else f"{HERE} has no PyTorch"
    assert finished.stdout.splitlines() == ["False", lack]


_ASK = """
import sys
from palio.platform.gpus import gpus_of
gpus_of("auto", {"sklearn"})
print("torch" in sys.modules)
print(gpus_of("auto", {"sklearn", "torch"}).lack)
"""
