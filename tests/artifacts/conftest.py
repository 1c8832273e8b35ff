"""An S3 server of our own, in a process of its own on loopback."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from socket import create_server
from unittest.mock import patch

import httpx
import pytest
from tests.e2e.servers import PATIENCE_S


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of a server that speaks S3, with the environment that leads drivers there."""
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    where = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "a-key-of-the-tests",
        "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        _wait_for(address)
        with patch.dict(os.environ, where):
            yield address
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture
def bucket(s3_server: str) -> str:
    """Name of a new bucket."""
    name = f"palio-{secrets.token_hex(6)}"
    assert httpx.put(f"{s3_server}/{name}", trust_env=False).status_code == 200
    return name


def _wait_for(address: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            httpx.get(address, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"{address} did not answer")
